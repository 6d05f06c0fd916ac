//! Fabric's own programs, there before anything waits for a network.

use caretrail_records::failure::chain;
use hlf_network::Event;
use hlf_network::fabric::{Binaries, Search, default_cache_dir};
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
    let cache = default_cache_dir().expect("HOME, XDG_CACHE_HOME or HLF_NETWORK_CACHE");
    let search = Search::from_environment(consortium.fabric, cache);
    search.find(&say).await.unwrap_or_else(|error| panic!("{}", chain(&error)))
}

/// The consortium that `caretrail network up` makes, on the Fabric release in `HLF_NETWORK_FABRIC` when it is set; its
/// programs are there.
///
/// # Panics
/// When they cannot be had; it says what to do.
pub async fn consortium(caretrail: &Caretrail) -> Consortium {
    Consortium::parse(&spec(caretrail).await).expect("a consortium")
}

/// The text of that consortium's spec.
///
/// # Panics
/// As [`consortium`].
pub async fn spec(caretrail: &Caretrail) -> String {
    match spec_option(caretrail).await.as_str() {
        "" => caretrail.run("network spec").await.text().to_owned(),
        _ => String::from_utf8(caretrail.read("consortium.toml")).expect("a spec of text"),
    }
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
