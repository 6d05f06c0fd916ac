//! Every command of `docs/ihe-pcf.md` is read, and gives the very body that stands below it; those of
//! `docs/consents.md` are read.

use caretrail_model::consent::Provision;
use caretrail_model::ids::MspId;
use caretrail_model::label::Label;
use caretrail_model::statement::Operation;
use caretrail_model::tag::TagSet;
use caretrail_model::time::UnixMs;
use clap::Parser as _;

use super::Surroundings;
use crate::arguments;
use crate::commands::Cli;
use crate::failure::Invalid;

const PAGE: &str = include_str!("../../../../docs/ihe-pcf.md");

/// The tags that the page's examples name, whatever the label.
fn tags() -> TagSet {
    serde_json::from_str(r#"{"custodian":"NorthMSP","epoch":1,"tags":["07070707070707070707070707070707"]}"#)
        .unwrap()
}

/// The fenced blocks of the page: their language, and what stands in them.
fn blocks() -> Vec<(&'static str, &'static str)> {
    blocks_of(PAGE)
}

fn blocks_of(page: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut blocks = Vec::new();
    for block in page.split("```").skip(1).step_by(2) {
        blocks.push(block.split_once('\n').unwrap());
    }
    blocks
}

/// The commands of a block, as words; no word of the page is quoted.
fn commands(block: &str) -> Vec<Vec<String>> {
    let joined = block.replace("\\\n", " ");
    joined
        .lines()
        .map(|line| line.split(" > ").next().unwrap().split_whitespace().map(str::to_owned).collect())
        .collect()
}

fn provision(words: &[String]) -> Provision {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tags.json");
    std::fs::write(&file, serde_json::to_string(&tags()).unwrap()).unwrap();
    let words = words
        .iter()
        .map(|word| if word == "tags.json" { file.to_str().unwrap().to_owned() } else { word.clone() });
    let cli = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{error}"));
    let args = cli.command.into_provision().expect("a command that makes a provision");
    let named = |text: &str| arguments::grantee(text).map_err(|problem| Invalid(problem).into());
    let blind = |custodian: Option<&MspId>, labels: &[Label]| {
        let named: Vec<Label> = ["HIV", "2025-Q3"].map(|label| label.parse().unwrap()).into();
        assert!(custodian.is_none() && labels.len() == 1 && named.contains(&labels[0]));
        Ok(tags())
    };
    let now = UnixMs::EPOCH;
    args.provision(&Surroundings { now, named: &named, blind: &blind }).unwrap()
}

#[test]
fn each_example_of_ihe_pcf_is_what_its_command_makes() {
    let (mut compared, mut command) = (0, None);
    for (language, block) in blocks() {
        match language {
            "sh" => {
                for words in commands(block) {
                    assert_eq!(words[0], "caretrail");
                    Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
                    command = Some(words);
                }
            }
            "json" => {
                let Some(Operation::GrantConsent(expected)) =
                    Operation::from_body("grant_consent", block.trim())
                else {
                    panic!("no grant: {block}")
                };
                let command = command.take().expect("a command above each body");
                assert_eq!(provision(&command), expected.provision, "{command:?}");
                compared += 1;
            }
            other => panic!("a block of {other}"),
        }
    }
    assert_eq!(compared, 8);
}

#[test]
fn each_command_of_the_page_about_consents_is_one() {
    let page = include_str!("../../../../docs/consents.md");
    let lines: Vec<_> = blocks_of(page).into_iter().flat_map(|(_, block)| commands(block)).collect();
    assert!(lines.len() >= 25, "{}", lines.len());
    for words in lines {
        Cli::try_parse_from(&words).unwrap_or_else(|error| panic!("{words:?}: {error}"));
    }
}

#[test]
fn a_provision_in_a_file_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let body = blocks().into_iter().find(|(language, _)| *language == "json").unwrap().1.trim();
    let bare = body.strip_prefix("{\"provision\":").unwrap().strip_suffix('}').unwrap();
    let line = "caretrail consent grant --patient 01010101010101010101010101010101 --key k --provision";
    for (name, text) in [("body.json", body), ("bare.json", bare)] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let mut words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        words.push(file.to_str().unwrap().to_owned());
        let provision = provision(&words);
        assert_eq!(serde_json::to_string(&provision).unwrap(), bare);
        words.extend(["--to".to_owned(), "SouthMSP".to_owned()]);
        assert!(Cli::try_parse_from(&words).is_err(), "a file and flags");
    }
}

#[test]
fn no_flag_is_read_beside_a_file_that_says_it_all() {
    let preview = |flag: &[&str]| {
        let mut words = vec!["caretrail", "consent", "preview", "grant.json", "--actor", "south/ben", "--on"];
        words.push("41414141414141414141414141414141");
        Cli::try_parse_from(words.into_iter().chain(flag.iter().copied()))
    };
    assert!(preview(&[]).is_ok());
    for flag in [&["--for", "3d"][..], &["--deny"], &["--to", "SouthMSP"], &["--purpose", "TREAT"]] {
        let refused = preview(flag).unwrap_err();
        assert_eq!(refused.kind(), clap::error::ErrorKind::ArgumentConflict, "{flag:?}");
    }
}
