//! Keys of every kind that Fabric accepts.

use hlf_gateway::{Callback, Credentials, Identity, KeyKind, KeySigner, MspFolder, SignError};
use hlf_network::spec::UserKey;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::pkcs8::DecodePrivateKey as _;

use crate::world::{NOTES, Notes, certificate_and_key};

pub(crate) async fn keys_of_every_kind_sign_transactions_that_commit_valid(world: &mut Notes) {
    for key in world.keys() {
        let msp = world.enrolled(&format!("{key:?}"), key);
        let opened = MspFolder::open(&msp, "NorthMSP").unwrap();
        let kind = KeySigner::from_pem(&certificate_and_key(&msp).1).unwrap().kind();
        assert_eq!(KeyKind::of_certificate(&opened.identity().certificate_pem), Some(kind));
        let gateway = world.gateway_as("north", opened.into_credentials()).await;
        let notes = gateway.contract(world.channel(), NOTES);
        // ECDSA has a high S in half of all cases unless it is brought low.
        for round in 0..4 {
            let put = notes.proposal("Put").args([format!("{key:?}"), round.to_string()]).build().unwrap();
            notes.submit(put).await.unwrap();
        }
        let get = notes.proposal("Get").arg(format!("{key:?}")).build().unwrap();
        assert_eq!(get.evaluate().await.unwrap(), b"3", "{kind}");
        assert!(gateway.filtered_blocks(world.channel(), ..).await.unwrap().next().await.unwrap().is_some());
    }
}

pub(crate) async fn a_closure_that_signs_digests_commits_valid(world: &mut Notes) {
    let (certificate_pem, key) = certificate_and_key(&world.enrolled("P256", UserKey::P256));
    let key = p256::ecdsa::SigningKey::from_pkcs8_pem(&key).unwrap();
    // As a key service would: later, elsewhere, the two numbers alone with a high S.
    let signer = Callback::digest_async(move |digest| {
        let key = key.clone();
        async move {
            let made: Result<p256::ecdsa::Signature, _> = key.sign_prehash(&digest);
            let (r, s) =
                made.map_err(|error| SignError::new(error.to_string()))?.normalize_s().split_scalars();
            tokio::task::yield_now().await;
            let high = p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-s).to_bytes());
            high.map(|signature| signature.to_vec()).map_err(|error| SignError::new(error.to_string()))
        }
    });
    let identity = Identity { msp_id: "NorthMSP".to_owned(), certificate_pem };
    let gateway = world.gateway_as("north", Credentials::new(identity, signer)).await;
    let notes = gateway.contract(world.channel(), NOTES);
    notes.submit(notes.proposal("Put").args(["closure", "x"]).build().unwrap()).await.unwrap();
}
