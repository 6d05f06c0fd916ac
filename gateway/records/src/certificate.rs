//! What an enrolment certificate says about its holder.

use std::collections::BTreeMap;
use std::fmt;

use caretrail_model::hash::sha256;
use caretrail_model::ids::{Actor, Digest, MspId, Subject};
use caretrail_model::role::{ROLE_ATTRIBUTE, Role, SUBJECT_ATTRIBUTE};
use p256::ecdsa::VerifyingKey;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use x509_parser::oid_registry::{Oid, asn1_rs::oid};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The extension in which Fabric CA writes attributes.
const ATTRIBUTES: Oid<'static> = oid!(1.2.3.4.5.6.7.8.1);

/// An actor's enrolment certificate, read. Who vouches for it is the channel's to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentCertificate {
    /// `caretrail.subject`, equal to the common name.
    pub subject: Subject,
    /// `caretrail.role`.
    pub role: Role,
    /// SHA-256 of the certificate's DER.
    pub digest: Digest,
    /// The certified P-256 key.
    pub key: VerifyingKey,
}

/// A certificate that is not an actor's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the enrolment certificate {problem}: enrol with a P-256 certificate whose common name is its `caretrail.subject`, with a `caretrail.role`"
)]
pub struct CertificateError {
    problem: &'static str,
}

impl EnrolmentCertificate {
    /// Reads a certificate in PEM.
    ///
    /// # Errors
    /// When it is none, its attributes are missing, doubled or malformed, its common name is not its
    /// subject, or its key is not of P-256.
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        let refuse = |problem| CertificateError { problem };
        let (rest, block) = parse_x509_pem(pem.as_bytes()).map_err(|_| refuse("is not PEM"))?;
        if block.label != "CERTIFICATE" || !rest.trim_ascii().is_empty() {
            return Err(refuse("is not one certificate in PEM"));
        }
        let (rest, certificate) =
            X509Certificate::from_der(&block.contents).map_err(|_| refuse("is not X.509"))?;
        if !rest.is_empty() {
            return Err(refuse("is followed by other bytes"));
        }

        let mut extensions = certificate.extensions().iter().filter(|extension| extension.oid == ATTRIBUTES);
        let extension = extensions.next().ok_or(refuse("has no attributes"))?;
        if extensions.next().is_some() {
            return Err(refuse("has its attributes twice"));
        }
        let Written { attrs: Attributes(attributes) } = serde_json::from_slice(extension.value)
            .map_err(|_| refuse("has attributes that are malformed or doubled"))?;
        let attribute = |name| attributes.get(name).map(String::as_str);

        let mut names = certificate.subject().iter_common_name();
        let name = names.next().and_then(|name| name.as_str().ok());
        let subject = attribute(SUBJECT_ATTRIBUTE).ok_or(refuse("has no `caretrail.subject`"))?;
        if name != Some(subject) || names.next().is_some() {
            return Err(refuse("has another common name than its `caretrail.subject`"));
        }
        Ok(Self {
            subject: subject.parse().map_err(|_| refuse("has a malformed `caretrail.subject`"))?,
            role: attribute(ROLE_ATTRIBUTE)
                .and_then(|role| role.parse().ok())
                .ok_or(refuse("has no `caretrail.role` that is known"))?,
            digest: sha256(&block.contents),
            key: VerifyingKey::from_sec1_bytes(&certificate.public_key().subject_public_key.data)
                .map_err(|_| refuse("has a key that is not of P-256"))?,
        })
    }

    /// The actor that it makes of its holder at a hospital.
    pub fn actor(&self, msp_id: &MspId) -> Actor {
        Actor { msp_id: msp_id.clone(), subject: self.subject }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    attrs: Attributes,
}

/// A JSON object of texts without a name that occurs twice.
struct Attributes(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;

        impl<'de> Visitor<'de> for Once {
            type Value = Attributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of texts, each name once")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Attributes, M::Error> {
                let mut attributes = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    if attributes.insert(name, value).is_some() {
                        return Err(M::Error::custom("a name occurs twice"));
                    }
                }
                Ok(Attributes(attributes))
            }
        }

        deserializer.deserialize_map(Once)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};

    use super::*;

    /// A self-signed certificate with this common name and attribute extension, and its key in PEM.
    pub(crate) fn certificate(common_name: &str, attributes: &[&str]) -> (String, String) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.custom_extensions = attributes
            .iter()
            .map(|value| {
                CustomExtension::from_oid_content(&[1, 2, 3, 4, 5, 6, 7, 8, 1], value.as_bytes().to_vec())
            })
            .collect();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    const SUBJECT: &str = "00112233445566778899aabbccddeeff";

    #[test]
    fn an_actor_follows_from_a_certificate() {
        let attributes =
            format!(r#"{{"attrs":{{"caretrail.role":"clinician","caretrail.subject":"{SUBJECT}"}}}}"#);
        let (pem, _) = certificate(SUBJECT, &[&attributes]);
        let read = EnrolmentCertificate::from_pem(&pem).unwrap();
        assert_eq!((read.subject.to_string().as_str(), read.role), (SUBJECT, Role::Clinician));
        let north = "NorthMSP".parse().unwrap();
        assert_eq!(read.actor(&north).to_string(), format!("NorthMSP/{SUBJECT}"));
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        let sound = format!(r#"{{"attrs":{{"caretrail.role":"service","caretrail.subject":"{SUBJECT}"}}}}"#);
        let doubled = sound.replace(r#""caretrail.role""#, r#""caretrail.role":"admin","caretrail.role""#);
        let cases: [(&str, &str, &[&str]); 7] = [
            ("is not PEM", "", &[]),
            ("has no attributes", SUBJECT, &[]),
            ("has its attributes twice", SUBJECT, &[&sound, &sound]),
            ("has attributes that are malformed or doubled", SUBJECT, &[&doubled]),
            ("has no `caretrail.subject`", SUBJECT, &[r#"{"attrs":{}}"#]),
            ("has another common name than its `caretrail.subject`", "Dr. Who", &[&sound]),
            ("has no `caretrail.role` that is known", SUBJECT, &[&sound.replace("service", "wizard")]),
        ];
        for (problem, name, attributes) in cases {
            let pem = if name.is_empty() { String::new() } else { certificate(name, attributes).0 };
            assert_eq!(EnrolmentCertificate::from_pem(&pem), Err(CertificateError { problem }));
        }
        let (pem, _) = certificate(SUBJECT, &[&sound]);
        assert!(EnrolmentCertificate::from_pem(&format!("{pem}{pem}")).is_err());
    }
}
