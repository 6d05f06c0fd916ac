//! Keys in a PKCS#11 token, here SoftHSM: `make test-pkcs11-fabric`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use hlf_gateway::{Credentials, Hsm, HsmKey, Identity};

use crate::world::{NOTES, Notes, certificate_and_key};

const NEEDED: &str =
    "this test needs SoftHSM: `apt-get install softhsm2`, or name its library in SOFTHSM2_MODULE";
const TOKENS: &str = "SOFTHSM2_CONF";

/// Runs this program again where SoftHSM keeps tokens in a folder of this run; it reads that from its environment alone.
pub(crate) fn again_with_tokens_of_its_own() -> Option<ExitCode> {
    if std::env::var_os(TOKENS).is_some() {
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("softhsm-{}", std::process::id()));
    fs::create_dir_all(folder.join("tokens")).unwrap();
    let configuration = folder.join("softhsm2.conf");
    fs::write(&configuration, format!("directories.tokendir = {}\n", folder.join("tokens").display()))
        .unwrap();
    let ended = Command::new(std::env::current_exe().unwrap())
        .args(std::env::args_os().skip(1))
        .env(TOKENS, &configuration)
        .status()
        .unwrap();
    fs::remove_dir_all(folder).unwrap();
    Some(if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(crate) async fn keys_in_a_token_sign_transactions_that_commit_valid(world: &mut Notes) {
    let module = std::env::var_os("SOFTHSM2_MODULE").map(PathBuf::from);
    let known = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/libsofthsm2.so"];
    let module =
        module.or_else(|| known.iter().map(PathBuf::from).find(|path| path.is_file())).expect(NEEDED);
    softhsm(&["--init-token", "--free", "--label", "north", "--so-pin", "officer", "--pin", "1234"]);
    for (number, key) in world.keys().into_iter().enumerate() {
        let (certificate_pem, pem) = certificate_and_key(&world.enrolled(&format!("{key:?}"), key));
        let file = world.folder.join(format!("hardware-{key:?}.pem"));
        fs::write(&file, pem).unwrap();
        let (path, label, id) = (file.display().to_string(), format!("{key:?}"), format!("0{number}"));
        let import = ["--import", &path, "--token", "north", "--pin", "1234", "--label", &label, "--id", &id];
        softhsm(&import);
        fs::remove_file(&file).unwrap();

        let hsm = Hsm::load(&module).unwrap();
        let signer = hsm.signer("north", "1234", HsmKey::Label(&label)).unwrap();
        let identity = Identity { msp_id: "NorthMSP".to_owned(), certificate_pem };
        let gateway = world.gateway_as("north", Credentials::new(identity, signer)).await;
        let notes = gateway.contract(world.channel(), NOTES);
        for round in 0..4 {
            let put = notes.proposal("Put").args(["hardware".to_owned(), round.to_string()]).build().unwrap();
            notes.submit(put).await.unwrap();
        }
    }
}

fn softhsm(arguments: &[&str]) {
    let ran = Command::new("softhsm2-util").args(arguments).output().unwrap_or_else(|error| {
        panic!("{NEEDED} ({error})");
    });
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
}
