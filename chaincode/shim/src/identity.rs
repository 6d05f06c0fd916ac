//! Who created a proposal: an X.509 certificate under a membership service provider.

use std::collections::BTreeMap;
use std::fmt;

use hlf_protos::msp::SerializedIdentity;
use prost::Message;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use sha2::{Digest, Sha256};
use thiserror::Error;
use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{OID_X509_COMMON_NAME, OID_X509_ORGANIZATIONAL_UNIT, Oid, asn1_rs::oid};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

use crate::response::{Failure, code};

/// Where Fabric CA writes attributes, as JSON `{"attrs":{"name":"value"}}`.
const ATTRIBUTES: Oid<'static> = oid!(1.2.3.4.5.6.7.8.1);

/// Why a creator cannot be told who it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The creator is no `msp.SerializedIdentity`.
    #[error("creator is no serialised identity")]
    Undecodable(#[source] prost::DecodeError),
    /// The creator names no membership service provider.
    #[error("creator names no MSP")]
    MspMissing,
    /// The identity is not exactly one PEM block labelled `CERTIFICATE`.
    #[error("identity is not one PEM certificate")]
    NotPem,
    /// The certificate does not parse.
    #[error("certificate is malformed: {reason}")]
    Malformed {
        /// Which part of it.
        reason: &'static str,
    },
    /// The certificate says the same thing twice, so readers could disagree on what it says.
    #[error("certificate has more than one {what}")]
    Ambiguous {
        /// What there is more than one of.
        what: &'static str,
    },
    /// The attribute extension is not the JSON that Fabric CA writes.
    #[error("attributes of the certificate are malformed or repeated")]
    Attributes(#[source] serde_json::Error),
}

impl From<IdentityError> for Failure {
    fn from(error: IdentityError) -> Self {
        Failure::new(403, code::IDENTITY_INVALID).caused_by(error)
    }
}

/// The creator of a proposal: MSP id and X.509 certificate.
///
/// The peer has verified the proposal's signature and the certificate's chain before it asks the
/// chaincode; this type only reads what the certificate says. Calls from other chaincode keep the
/// first proposal's creator.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    msp_id: String,
    certificate_der: Vec<u8>,
    common_name: Option<String>,
    organizational_units: Vec<String>,
    attributes: BTreeMap<String, String>,
}

impl ClientIdentity {
    /// Reads a serialised identity: protobuf `msp.SerializedIdentity` around a PEM certificate.
    ///
    /// # Errors
    /// [`IdentityError`] for anything but one well-formed certificate that says everything once.
    pub fn from_creator(creator: &[u8]) -> Result<Self, IdentityError> {
        let identity = SerializedIdentity::decode(creator).map_err(IdentityError::Undecodable)?;
        if identity.mspid.is_empty() {
            return Err(IdentityError::MspMissing);
        }
        let certificate_der = certificate_der(&identity.id_bytes)?;
        let (rest, certificate) = X509Certificate::from_der(&certificate_der)
            .map_err(|_| IdentityError::Malformed { reason: "it is no X.509 certificate in DER" })?;
        if !rest.is_empty() {
            return Err(IdentityError::Malformed { reason: "bytes follow it" });
        }
        let mut common_names = texts(certificate.subject(), &OID_X509_COMMON_NAME)?;
        let common_name = common_names.pop();
        if !common_names.is_empty() {
            return Err(IdentityError::Ambiguous { what: "common name" });
        }
        let organizational_units = texts(certificate.subject(), &OID_X509_ORGANIZATIONAL_UNIT)?;
        let attributes = attributes(&certificate)?;
        Ok(Self { msp_id: identity.mspid, common_name, organizational_units, attributes, certificate_der })
    }

    /// The membership service provider that vouches for the certificate, for example `NorthMSP`.
    #[must_use]
    pub fn msp_id(&self) -> &str {
        &self.msp_id
    }

    /// The certificate in DER, as it came.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate_der
    }

    /// SHA-256 of the certificate's DER, 32 bytes.
    #[must_use]
    pub fn certificate_sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate_der).into()
    }

    /// The subject's common name, if it has one.
    #[must_use]
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }

    /// The subject's organisational units in the certificate's order; node OUs are among them.
    #[must_use]
    pub fn organizational_units(&self) -> &[String] {
        &self.organizational_units
    }

    /// The value of one attribute from extension 1.2.3.4.5.6.7.8.1.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// All attributes by name.
    #[must_use]
    pub fn attributes(&self) -> &BTreeMap<String, String> {
        &self.attributes
    }
}

impl fmt::Debug for ClientIdentity {
    /// Names the MSP only: certificates do not belong into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientIdentity").field("msp_id", &self.msp_id).finish_non_exhaustive()
    }
}

fn certificate_der(pem: &[u8]) -> Result<Vec<u8>, IdentityError> {
    let (rest, block) = parse_x509_pem(pem).map_err(|_| IdentityError::NotPem)?;
    if block.label != "CERTIFICATE" || !rest.trim_ascii().is_empty() {
        return Err(IdentityError::NotPem);
    }
    Ok(block.contents)
}

fn texts(name: &X509Name<'_>, of: &Oid<'_>) -> Result<Vec<String>, IdentityError> {
    name.iter_attributes()
        .filter(|attribute| attribute.attr_type() == of)
        .map(|attribute| {
            attribute
                .as_str()
                .map(str::to_owned)
                .map_err(|_| IdentityError::Malformed { reason: "a name in its subject is no text" })
        })
        .collect()
}

fn attributes(certificate: &X509Certificate<'_>) -> Result<BTreeMap<String, String>, IdentityError> {
    let mut extensions = certificate.extensions().iter().filter(|found| found.oid == ATTRIBUTES);
    let Some(extension) = extensions.next() else {
        return Ok(BTreeMap::new());
    };
    if extensions.next().is_some() {
        return Err(IdentityError::Ambiguous { what: "attribute extension" });
    }
    attributes_of_json(extension.value)
}

pub(crate) fn attributes_of_json(json: &[u8]) -> Result<BTreeMap<String, String>, IdentityError> {
    let written: WrittenAttributes = serde_json::from_slice(json).map_err(IdentityError::Attributes)?;
    Ok(written.attrs.0)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAttributes {
    attrs: UniqueAttributes,
}

/// A JSON object of strings in which no name occurs twice.
struct UniqueAttributes(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for UniqueAttributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Unique;
        impl<'de> Visitor<'de> for Unique {
            type Value = UniqueAttributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut attributes = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    if attributes.insert(name, value).is_some() {
                        return Err(M::Error::custom("an attribute occurs twice"));
                    }
                }
                Ok(UniqueAttributes(attributes))
            }
        }
        deserializer.deserialize_map(Unique)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair};

    const OID: &[u64] = &[1, 2, 3, 4, 5, 6, 7, 8, 1];

    fn certificate(names: &[(DnType, &str)], attributes: &[&str]) -> rcgen::Certificate {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        for json in attributes {
            params.custom_extensions.push(CustomExtension::from_oid_content(OID, json.as_bytes().to_vec()));
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    fn creator(msp_id: &str, id_bytes: impl Into<Vec<u8>>) -> Vec<u8> {
        SerializedIdentity { mspid: msp_id.into(), id_bytes: id_bytes.into() }.encode_to_vec()
    }

    fn read(names: &[(DnType, &str)], attributes: &[&str]) -> Result<ClientIdentity, IdentityError> {
        ClientIdentity::from_creator(&creator("NorthMSP", certificate(names, attributes).pem()))
    }

    #[test]
    fn a_certificate_says_who_it_is() {
        let names = [(DnType::CommonName, "clerk"), (DnType::OrganizationalUnitName, "client")];
        let certificate = certificate(&names, &[r#"{"attrs":{"shop.role":"clerk","hf.Type":"client"}}"#]);
        let identity = ClientIdentity::from_creator(&creator("NorthMSP", certificate.pem())).unwrap();
        assert_eq!(identity.msp_id(), "NorthMSP");
        assert_eq!(identity.common_name(), Some("clerk"));
        assert_eq!(identity.organizational_units(), ["client"]);
        assert_eq!(identity.attribute("shop.role"), Some("clerk"));
        assert_eq!(identity.attribute("absent"), None);
        assert_eq!(identity.attributes().len(), 2);
        assert_eq!(identity.certificate_der(), certificate.der().as_ref());
        assert_eq!(identity.certificate_sha256().as_slice(), Sha256::digest(certificate.der()).as_slice());
        assert_eq!(format!("{identity:?}"), r#"ClientIdentity { msp_id: "NorthMSP", .. }"#);
    }

    #[test]
    fn a_certificate_without_names_and_attributes_has_none() {
        let identity = read(&[], &[]).unwrap();
        assert_eq!((identity.common_name(), identity.organizational_units().len()), (None, 0));
        assert!(identity.attributes().is_empty());
    }

    #[test]
    fn what_is_said_twice_is_refused() {
        let twice = [(DnType::CommonName, "a"), (DnType::CustomDnType(vec![2, 5, 4, 3]), "b")];
        assert!(matches!(read(&twice, &[]), Err(IdentityError::Ambiguous { what: "common name" })));
        let extension = r#"{"attrs":{}}"#;
        assert!(matches!(
            read(&[], &[extension, extension]),
            Err(IdentityError::Ambiguous { what: "attribute extension" })
        ));
        for json in [r#"{"attrs":{"a":"1","a":"1"}}"#, r#"{"attrs":{},"attrs":{}}"#] {
            assert!(matches!(read(&[], &[json]), Err(IdentityError::Attributes(_))), "{json}");
        }
    }

    #[test]
    fn attributes_in_another_shape_are_refused() {
        for json in [
            "",
            "{}",
            "null",
            "[]",
            r#"{"attrs":null}"#,
            r#"{"attrs":[]}"#,
            r#"{"attrs":{"a":1}}"#,
            r#"{"attrs":{"a":null}}"#,
            r#"{"attrs":{},"more":1}"#,
            r#"{"ATTRS":{}}"#,
            r#"{"attrs":{}} {}"#,
        ] {
            assert!(matches!(read(&[], &[json]), Err(IdentityError::Attributes(_))), "{json}");
        }
    }

    #[test]
    fn only_one_pem_certificate_is_an_identity() {
        let pem = certificate(&[], &[]).pem();
        let key = KeyPair::generate().unwrap().serialize_pem();
        for bytes in [
            String::new(),
            "text".into(),
            key,
            format!("{pem}{pem}"),
            format!("{pem}more"),
            pem.replace("CERTIFICATE", "X"),
        ] {
            let refused = ClientIdentity::from_creator(&creator("NorthMSP", bytes.clone()));
            assert!(matches!(refused, Err(IdentityError::NotPem)), "{refused:?} for {bytes}");
        }
        assert!(ClientIdentity::from_creator(&creator("NorthMSP", format!("{pem}\n\n"))).is_ok());
        assert!(matches!(ClientIdentity::from_creator(&creator("", pem)), Err(IdentityError::MspMissing)));
        assert!(matches!(ClientIdentity::from_creator(&[0xff]), Err(IdentityError::Undecodable(_))));
    }

    #[test]
    fn a_certificate_that_is_cut_or_prolonged_is_refused() {
        let der = certificate(&[(DnType::CommonName, "a")], &[r#"{"attrs":{"a":"1"}}"#]).der().to_vec();
        let pem = |der: &[u8]| creator("NorthMSP", pem_of(der));
        assert!(ClientIdentity::from_creator(&pem(&der)).is_ok());
        for length in 0..der.len() {
            assert!(ClientIdentity::from_creator(&pem(&der[..length])).is_err(), "{length} bytes");
        }
        let longer = [der.as_slice(), b"x"].concat();
        assert!(matches!(ClientIdentity::from_creator(&pem(&longer)), Err(IdentityError::Malformed { .. })));
    }

    fn pem_of(der: &[u8]) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
        for chunk in der.chunks(3) {
            let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            for place in 0..4 {
                let index = (bits >> (18 - 6 * place)) as usize & 63;
                text.push(if place > chunk.len() { '=' } else { ALPHABET[index].into() });
            }
        }
        text.push_str("\n-----END CERTIFICATE-----\n");
        text
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ClientIdentity::from_creator(&bytes);
            let _ = ClientIdentity::from_creator(&creator("NorthMSP", bytes.clone()));
            let _ = ClientIdentity::from_creator(&creator("NorthMSP", pem_of(&bytes)));
        }

        #[test]
        fn no_changed_certificate_is_a_panic(changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6)) {
            let names = [(DnType::CommonName, "clerk"), (DnType::OrganizationalUnitName, "client")];
            let mut der = certificate(&names, &[r#"{"attrs":{"a":"1"}}"#]).der().to_vec();
            for (at, byte) in changes {
                let at = at.index(der.len());
                der[at] = byte;
            }
            let _ = ClientIdentity::from_creator(&creator("NorthMSP", pem_of(&der)));
        }
    }
}
