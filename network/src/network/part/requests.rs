//! Keys that are made here, and certificates that an authority elsewhere makes of requests, before there is a channel.

use std::path::{Path, PathBuf};

use hlf_protos::msp::FabricMspConfig;
use rcgen::PublicKeyData as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::super::Network;
use super::super::certificates::import::{demand_fit, pem_of, pems};
use super::super::certificates::{CertificatesError, UnfitError, Use};
use super::super::issue::CHAINCODE_SERVICE;
use super::super::up::{Stand, UpError};
use super::PartError;
use crate::ca::{self, CaError, Holding, Home, Key, Order, Signs, attributes_of};
use crate::files::{self, FileError};
use crate::progress::Step;
use crate::spec::Keys;
use crate::wait;

/// The authorities' own certificates, in the folder of requests.
const AUTHORITIES: [(Signs, &str); 2] = [(Signs::Identities, "ca.pem"), (Signs::Tls, "tlsca.pem")];

/// What waits for a certificate, in the state folder: a key, what its certificate shall be like, and the request that
/// was put into the other folder.
struct Waiting {
    name: String,
    folder: PathBuf,
}

impl Stand<'_> {
    /// Takes up certificates that were made elsewhere, once; false when they are to be made here. Until all are there,
    /// [`PartError::Requested`] says which are missing.
    pub(super) async fn take_requested(&self) -> Result<bool, PartError> {
        let network = self.network;
        let Some(Keys::Requests { folder }) = network.part.as_ref().map(|part| &part.keys) else {
            return Ok(false);
        };
        let (home, holdings) = self.requested()?;
        let what = "certificates from your authority";
        if holdings.iter().all(Holding::is_there) {
            self.skipped(
                what,
                "they were taken over; what changes later is requested and imported by itself",
            );
            return Ok(true);
        }
        let step = Step::begin(self.progress, what);
        let kept = network.layout.root().join("requests");
        files::make_private_folder(&kept)?;
        files::make_folder(folder)?;
        // What the channel knows of the organisation changes by proposals, and no file beside requests takes it back.
        let later = home.folder().join("msp").exists() && network.first_block_here()?.is_some();
        let mut missing: Vec<String> = AUTHORITIES
            .into_iter()
            .filter(|(_, name)| !later && !folder.join(name).exists())
            .map(|(_, name)| name.to_owned())
            .collect();
        let mut ready = Vec::new();
        for holding in holdings.into_iter().filter(|holding| !holding.is_there()) {
            let who = holding.target().file_name().unwrap_or_default().to_string_lossy().into_owned();
            let mut waiting = Vec::new();
            for (kind, order) in holding.kinds().iter().zip(holding.orders()) {
                let one = Waiting { name: format!("{who}.{kind}"), folder: kept.clone() };
                one.request(order, folder)?;
                if !one.certificate(folder).exists() {
                    missing.push(format!("{}.pem", one.name));
                }
                waiting.push(one);
            }
            ready.push((holding, waiting));
        }
        if !missing.is_empty() {
            step.done(&format!("requests are in `{}`", folder.display()));
            return Err(PartError::Requested { folder: folder.clone(), missing: missing.join(", ") });
        }
        let msp = if later { known_trust(network, &home).await? } else { trust_of(folder)? };
        // All are judged before the first is taken.
        let mut taken = Vec::new();
        for (holding, waiting) in ready {
            let mut certificates = Vec::new();
            let mut orders = Vec::new();
            for one in &waiting {
                certificates.push(one.judged(folder, &msp, network.own_msp_id())?);
                orders.push(one.order()?);
            }
            taken.push((holding.with_orders(orders), certificates));
        }
        for (signs, name) in AUTHORITIES.into_iter().filter(|_| !later) {
            let pem = files::read(&folder.join(name))?;
            files::replace(&home.authority(signs), files::PUBLIC, pem.as_bytes())?;
        }
        home.make_msp().map_err(UpError::from)?;
        home.set_trust(&msp)?;
        let count = taken.len();
        for (holding, certificates) in taken {
            home.install(&holding, &certificates).map_err(UpError::from)?;
        }
        std::fs::remove_dir_all(&kept).map_err(|e| FileError::new(&kept, "removed", e))?;
        step.done(&format!("{count} identities have theirs, from `{}`", folder.display()));
        Ok(true)
    }

    /// The own organisation's folder, and everything that it shall hold.
    fn requested(&self) -> Result<(Home, Vec<Holding>), PartError> {
        let network = self.network;
        let wanted = match network.own_organizations().next() {
            Some(own) if !network.holds_ordering() => {
                let home = network.home(own);
                network.holdings(own, &home).and_then(|mut wanted| {
                    wanted.push(home.of_service(CHAINCODE_SERVICE)?);
                    Ok((home, wanted))
                })
            }
            _ => {
                let home = network.ordering_home();
                network.ordering_holdings(&home).map(|wanted| (home, wanted))
            }
        };
        Ok(wanted.map_err(UpError::from)?)
    }
}

impl Waiting {
    fn kept(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name))
    }

    fn certificate(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.pem", self.name))
    }

    /// Makes key and request, once, and puts the request into the folder where it is signed.
    fn request(&self, order: &Order, folder: &Path) -> Result<(), PartError> {
        let (key, sample, csr) = (self.kept("key"), self.kept("sample"), self.kept("csr"));
        // The request is written last: when it is there, all is.
        if !csr.exists() {
            let made = || -> Result<_, CaError> {
                Ok((
                    order.key.to_pem()?,
                    ca::sample(order)?,
                    ca::whole_request(&order.key, &order.subject, order.purpose)?,
                ))
            };
            let (key_pem, sample_pem, request) = made().map_err(UpError::from)?;
            files::replace(&key, files::SECRET, key_pem.as_ref())?;
            files::replace(&sample, files::PUBLIC, sample_pem.as_bytes())?;
            files::replace(&csr, files::PUBLIC, request.as_bytes())?;
        }
        let request = files::read(&csr)?;
        let there = folder.join(format!("{}.csr", self.name));
        if !there.exists() || files::read(&there)? != request {
            files::replace(&there, files::PUBLIC, request.as_bytes())?;
        }
        Ok(())
    }

    fn order(&self) -> Result<Order, PartError> {
        let key = self.kept("key");
        let damaged = |what| CaError::Damaged { folder: key.clone(), what };
        let made = Key::of_any_kind(&files::read(&key)?).map_err(damaged).map_err(UpError::from)?;
        Ok(Order::like(&self.kept("sample"), made).map_err(UpError::from)?)
    }

    /// The certificate, once it is held against what was requested; PEM.
    fn judged(&self, folder: &Path, msp: &FabricMspConfig, msp_id: &str) -> Result<String, PartError> {
        let order = self.order()?;
        let file = self.certificate(folder);
        let (given, sample) = (files::read(&file)?, files::read(&self.kept("sample"))?);
        let (of, name) = match order.signs {
            Signs::Identities => (Use::Identity, "ca.pem"),
            Signs::Tls => (Use::Tls, "tlsca.pem"),
        };
        let unfit = |why: String| PartError::Keys(format!("`{}` does not fit: {why}", file.display()));
        let key = order.key.der_bytes();
        let der = demand_fit(&self.name, of, &given, (&sample, key), (msp, msp_id)).map_err(|error| match error {
            CertificatesError::Import(UnfitError::Chain { issuer, .. }) => unfit(format!(
                "it is of `{issuer}`, and neither `{name}` nor, once there is one, the channel holds such an authority with \
                 that key, and those above it"
            )),
            error => unfit(wait::chain(&error)),
        })?;
        let pem = pem_of(&der);
        if of == Use::Identity && attributes_of(&pem) != attributes_of(&sample) {
            return Err(unfit(
                "it has not the attributes that were requested; have the request's extensions copied"
                    .to_owned(),
            ));
        }
        Ok(pem)
    }
}

/// Whom the channel trusts of the organisation; when nobody tells, whom it trusted when that was last heard.
async fn known_trust(network: &Network, home: &Home) -> Result<FabricMspConfig, PartError> {
    let told = network.channel_config().await;
    match told.ok().and_then(|config| config.msp(network.own_msp_id()).ok()) {
        Some(msp) => Ok(msp),
        None => Ok(home.trust()?),
    }
}

/// Whom the organisation trusts: authorities that signed themselves are roots, the others are below them.
fn trust_of(folder: &Path) -> Result<FabricMspConfig, PartError> {
    let mut msp = FabricMspConfig::default();
    for (signs, name) in AUTHORITIES {
        let file = folder.join(name);
        let unfit = |why: String| PartError::Keys(format!("`{}` does not fit: {why}", file.display()));
        let (first, rest) = pems(&files::read(&file)?).map_err(unfit)?;
        for pem in std::iter::once(first).chain(rest) {
            let (_, authority) =
                X509Certificate::from_der(&pem.contents).map_err(|error| unfit(error.to_string()))?;
            if !authority.is_ca() {
                return Err(unfit("a certificate in it is no authority's".to_owned()));
            }
            let is_root = authority.subject().as_raw() == authority.issuer().as_raw();
            let known = match (signs, is_root) {
                (Signs::Identities, true) => &mut msp.root_certs,
                (Signs::Identities, false) => &mut msp.intermediate_certs,
                (Signs::Tls, true) => &mut msp.tls_root_certs,
                (Signs::Tls, false) => &mut msp.tls_intermediate_certs,
            };
            known.push(pem_of(&pem.contents).into_bytes());
        }
    }
    Ok(msp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::{Authority, DevelopmentCa};
    use crate::spec::{Consortium, DEFAULT, Part};

    /// Its authorities were changed on the channel; the file beside requests still holds the first ones.
    #[tokio::test]
    async fn what_the_channel_trusts_is_not_taken_back_by_files_beside_requests() {
        let folder = tempfile::tempdir().unwrap();
        let spec = Consortium::parse(DEFAULT).unwrap();
        let network = Network::new_part(&folder.path().join("state"), spec, Part::new("north")).unwrap();
        let home = network.home(network.own_organizations().next().unwrap());
        DevelopmentCa::open_or_make(home.folder(), home.domain()).unwrap();
        let new = || vec![Authority::make("ca.north").unwrap().0.into_bytes()];
        let changed =
            FabricMspConfig { root_certs: new(), tls_root_certs: new(), ..FabricMspConfig::default() };
        home.set_trust(&changed).unwrap();
        for (_, name) in AUTHORITIES {
            std::fs::write(folder.path().join(name), Authority::make(name).unwrap().0).unwrap();
        }
        // None of its peers runs that could tell.
        assert_eq!(known_trust(&network, &home).await.unwrap(), changed);
        assert_ne!(trust_of(folder.path()).unwrap(), changed);
    }
}
