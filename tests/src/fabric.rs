//! Fabric's own programs, there before anything waits for a network.

use std::path::PathBuf;

use caretrail_records::failure::chain;
use hlf_network::Event;
use hlf_network::fabric::{Binaries, Search};
use hlf_network::spec::Consortium;

use crate::caretrail::Caretrail;

/// Finds the programs of a consortium's release, or builds them as `network up` would, which takes minutes.
///
/// # Panics
/// When they cannot be had; it says what to do.
pub async fn programs(consortium: &Consortium) -> Binaries {
    let say = |event: &Event<'_>| {
        if let Event::Waiting { .. } | Event::Done { .. } = event {
            eprintln!("{event:?}");
        }
    };
    let search = Search::from_environment(consortium.fabric, cache());
    search.find(&say).await.unwrap_or_else(|error| panic!("{}", chain(&error)))
}

/// Makes the programs be there for networks that are stood up with the option that it gives: none, or the spec of
/// another Fabric release than the built-in one, where `HLF_NETWORK_FABRIC` names one.
///
/// # Panics
/// When they cannot be had; it says what to do.
pub async fn spec_option(caretrail: &Caretrail) -> String {
    let ran = caretrail.run("network spec").await;
    let built_in = Consortium::parse(ran.text()).expect("the built-in consortium");
    let Some(release) = std::env::var("HLF_NETWORK_FABRIC").ok().filter(|release| !release.is_empty()) else {
        programs(&built_in).await;
        return String::new();
    };
    let stated = |release: &str| format!("fabric = \"{release}\"");
    let spec = ran.text().replacen(&stated(&built_in.fabric.to_string()), &stated(&release), 1);
    let other = Consortium::parse(&spec).expect("a consortium of that release");
    assert_eq!(other.fabric.to_string(), release);
    programs(&other).await;
    caretrail.write("consortium.toml", spec.as_bytes());
    " --spec consortium.toml".to_owned()
}

/// Where the network keeps the programs that it builds.
fn cache() -> PathBuf {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    of("HLF_NETWORK_CACHE")
        .or_else(|| of("XDG_CACHE_HOME").map(|home| home.join("hlf-network")))
        .or_else(|| of("HOME").map(|home| home.join(".cache/hlf-network")))
        .expect("HOME, XDG_CACHE_HOME or HLF_NETWORK_CACHE")
}
