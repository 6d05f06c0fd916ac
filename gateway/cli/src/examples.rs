//! The examples that the commands show are read as a shell and the command line would read them: one that names a flag
//! which is gone, or leaves out one that is needed, is found.

use std::iter::Peekable;
use std::str::Chars;

use caretrail_model::consent::Grantee;
use caretrail_model::ids::Subject;
use caretrail_model::tag::TagSet;
use caretrail_model::time::UnixMs;
use clap::{CommandFactory as _, Parser as _};

use crate::arguments;
use crate::calls_by_command::verbs;
use crate::commands::Cli;
use crate::failure::Invalid;
use crate::provision::Surroundings;

/// The public key that the examples begin to name: that of the model's vectors.
const KEY: &str = "BKLf0HuF7O_-QZF3alE7VRk5Ij9FqlN_DlcitnQgchwlHeDfJjCbagjh3TSDtClFVa1spJf3yrgBGlWJp38E_Ww";

/// The commands among the examples of a help: continued lines are joined, and what is chained, piped or put in for its
/// output stands alone.
fn examples(help: &str) -> Vec<String> {
    let shown = help.split_once("Example").or_else(|| help.split_once("Try it out")).unwrap_or_default().1;
    let joined = shown.replace("\\\n", " ");
    let commands = joined.lines().flat_map(|line| line.split(" && ").flat_map(|part| part.split(" | ")));
    let inner = |part: &str| match part.split_once("$(") {
        Some((_, rest)) => rest.split(')').next().unwrap_or_default().trim().to_owned(),
        None => part.trim().to_owned(),
    };
    commands.map(inner).filter(|line| line.starts_with("caretrail ")).collect()
}

/// The words of a line as a shell splits it, up to where its output goes or the next command begins.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.chars().peekable();
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        match rest.peek() {
            None | Some('>' | '|' | '&' | ';' | '#') => return words,
            Some(_) => words.push(word(&mut rest)),
        }
    }
}

fn word(rest: &mut Peekable<Chars<'_>>) -> String {
    let (mut word, mut quote) = (String::new(), None);
    while let Some(c) = rest.next_if(|c| quote.is_some() || !c.is_whitespace()) {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => word.push(c),
        }
    }
    assert_eq!(quote, None, "a quote is open after `{word}`");
    word
}

/// What may stand for a word that is cut short: ids have 16 bytes, digests and transactions 32.
fn written_out(word: &str) -> Vec<String> {
    let Some((before, after)) = word.split_once('…') else { return vec![word.to_owned()] };
    let (start, digits) = before.split_at(before.len().saturating_sub(2));
    if digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return [16, 32].map(|bytes| format!("{start}{}{after}", digits.repeat(bytes))).into();
    }
    vec![if KEY.starts_with(before) { KEY } else { word }.to_owned()]
}

/// Every way to write the words of a line out.
fn ways(line: &str) -> Vec<Vec<String>> {
    words(line).iter().fold(vec![Vec::new()], |ways, word| {
        let written = written_out(word);
        let longer = |way: &Vec<String>| {
            let way = way.clone();
            written
                .iter()
                .map(move |word| way.iter().cloned().chain([word.clone()]).collect())
                .collect::<Vec<_>>()
        };
        ways.iter().flat_map(longer).collect()
    })
}

/// Reads a line; the error is that of the last way to write it out.
fn read(line: &str) -> Result<Cli, String> {
    let mut read = Err(format!("{line}: no words"));
    for way in ways(line) {
        read = Cli::try_parse_from(&way).map_err(|error| format!("{line}: {error}"));
        if read.is_ok() {
            break;
        }
    }
    read
}

/// Reads the provision that a line says with flags, if it says one.
fn provision(line: &str, cli: Cli) -> Result<(), String> {
    let by_flags = !["--operation", "--provision"].iter().any(|other| line.contains(other));
    let Some(args) = cli.command.into_provision().filter(|_| by_flags) else { return Ok(()) };
    let somebody = |text: &str| match text.split_once('/') {
        Some(("north", _)) => Some("NorthMSP"),
        Some(("south", _)) => Some("SouthMSP"),
        _ => None,
    };
    let named = |text: &str| match somebody(text) {
        Some(msp_id) => {
            let subject = Subject::from_bytes([1; 16]);
            Ok(Grantee::Person { msp_id: msp_id.parse()?, subject })
        }
        None => arguments::grantee(text).map_err(|problem| Invalid(problem).into()),
    };
    let blind = |_: Option<&caretrail_model::ids::MspId>, labels: &[caretrail_model::label::Label]| {
        let tags = labels.iter().map(|label| label.blinded(&[1; 32])).collect();
        Ok(TagSet { custodian: "NorthMSP".parse()?, epoch: 1, tags })
    };
    let surroundings = Surroundings { now: UnixMs::EPOCH, named: &named, blind: &blind };
    args.provision(&surroundings).map(|_| ()).map_err(|error| format!("{line}: {error:#}"))
}

#[test]
fn every_command_is_well_formed_and_shows_an_example_of_itself() {
    let mut poor = Vec::new();
    for verb in verbs() {
        let help = verb.command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let line: Vec<_> = ["caretrail".to_owned()].into_iter().chain(verb.words).collect();
        let shown = examples(&help).iter().any(|example| words(example).starts_with(&line));
        if !shown || verb.command.get_about().is_none() {
            poor.push(line.join(" "));
        }
    }
    assert_eq!(poor, [""; 0], "these show no example of themselves, or do not say what they do");
}

#[test]
fn every_example_that_is_shown_is_a_command() {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for command in verbs().into_iter().map(|verb| verb.command).chain([Cli::command()]) {
        for line in examples(&command.get_after_help().map(ToString::to_string).unwrap_or_default()) {
            tried += 1;
            wrong.extend(read(&line).and_then(|cli| provision(&line, cli)).err());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried >= verbs().len(), "{tried} examples");
}

#[test]
fn a_line_is_split_as_a_shell_would() {
    let line = r#"caretrail x --body '{"a":"9a…"}' "two words" > out.json"#;
    assert_eq!(words(line), ["caretrail", "x", "--body", r#"{"a":"9a…"}"#, "two words"]);
    let nine = [16, 32].map(|bytes| vec![format!(r#"{{"a":"{}"}}"#, "9a".repeat(bytes))]);
    assert_eq!(ways(r#"'{"a":"9a…"}'"#), nine);
    let line = "caretrail consent list --patient 5d… --identity north/service";
    assert_eq!(examples(&format!("Example:\n  eval \"$({line})\" && other | {line}")), [line; 2]);
    assert!(read(line).is_ok());
    assert!(read(&format!("{line} --gone")).is_err());
}
