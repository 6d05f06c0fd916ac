//! Certificates that a hospital's own authority issues as an attacker likes, and those of others.

use std::fs;

use caretrail_model::code::Code;
use hlf_gateway::{Credentials, Gateway, Identity, KeySigner, Proposal};
use hlf_network::ca::DevelopmentCa;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::json;
use time::OffsetDateTime;

use crate::world::{Siege, random};

/// Fabric CA's certificate extension for attributes.
const ATTRIBUTES_OID: [u64; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 1];

/// What a certificate says.
pub(crate) struct Certificate {
    pub(crate) common_name: String,
    /// The extension's content, byte for byte; none when it is empty.
    pub(crate) attributes: String,
}

impl Certificate {
    /// A sound one, of a service.
    pub(crate) fn of(subject: &str) -> Self {
        let attributes = json!({ "caretrail.role": "service", "caretrail.subject": subject });
        Self { common_name: subject.to_owned(), attributes: json!({ "attrs": attributes }).to_string() }
    }
}

/// A gateway of South's peer for somebody with a certificate of an organisation's authority, under an MSP's name.
pub(crate) fn gateway_of(
    siege: &Siege,
    organization: &str,
    msp_id: &str,
    certificate: &Certificate,
) -> Gateway {
    let issuer = siege.hospitals.organization(organization);
    let folder = siege.hospitals.network().layout().organization(issuer).join("ca");
    issued(siege, &folder, &issuer.domain, msp_id, certificate)
}

fn issued(
    siege: &Siege,
    folder: &std::path::Path,
    domain: &str,
    msp_id: &str,
    certificate: &Certificate,
) -> Gateway {
    let key = KeyPair::from_pem(&fs::read_to_string(folder.join("priv_sk")).unwrap()).unwrap();
    let authority = fs::read_to_string(folder.join(format!("ca.{domain}-cert.pem"))).unwrap();
    let authority = Issuer::from_ca_cert_pem(&authority, key).unwrap();

    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationalUnitName, "client");
    params.distinguished_name.push(DnType::CommonName, certificate.common_name.as_str());
    let now = OffsetDateTime::now_utc();
    (params.not_before, params.not_after) = (now, now + time::Duration::days(1));
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if !certificate.attributes.is_empty() {
        let content = certificate.attributes.clone().into_bytes();
        params.custom_extensions.push(CustomExtension::from_oid_content(&ATTRIBUTES_OID, content));
    }
    let own = KeyPair::generate().unwrap();
    let certificate_pem = params.signed_by(&own, &authority).unwrap().pem();
    let identity = Identity { msp_id: msp_id.to_owned(), certificate_pem };
    let credentials = Credentials::new(identity, KeySigner::from_pem(&own.serialize_pem()).unwrap());
    siege.gateway("south/service").with_credentials(credentials)
}

fn reading_the_policy(gateway: &Gateway) -> Proposal {
    gateway.contract("records", "caretrail").proposal("GetPolicy").arg("{}").build().unwrap()
}

pub(crate) async fn a_certificate_says_things_twice_or_of_another(siege: &mut Siege) {
    let subject = hex::encode(random::<16>());
    let other = siege.actor("north/admin").subject.to_string();
    // The authority is the hospital's own, and this one is sound: it is what the others say that nobody acts by.
    let sound = gateway_of(siege, "south", "SouthMSP", &Certificate::of(&subject));
    siege.both.alike(&reading_the_policy(&sound)).await;

    let attributes = |inside: String| format!(r#"{{"attrs":{{{inside}}}}}"#);
    let role = r#""caretrail.role":"service""#;
    let subject_is = |subject: &str| format!(r#""caretrail.subject":"{subject}""#);
    let of = |attributes: String| Certificate { attributes, ..Certificate::of(&subject) };
    let admin = r#""caretrail.role":"admin""#;
    for (what, certificate) in [
        ("a role twice", of(attributes(format!("{role},{admin},{}", subject_is(&subject))))),
        (
            "a role twice, once escaped",
            of(attributes(format!(r#"{role},"caretr\u0061il.role":"admin",{}"#, subject_is(&subject)))),
        ),
        (
            "a subject twice",
            of(attributes(format!("{role},{},{}", subject_is(&subject), subject_is(&other)))),
        ),
        ("attributes twice", of(format!(r#"{{"attrs":{{{role}}},"attrs":{{{admin}}}}}"#))),
        ("the subject of another", of(attributes(format!("{role},{}", subject_is(&other))))),
        ("the name of another", Certificate { common_name: other.clone(), ..Certificate::of(&subject) }),
        ("a name with more", Certificate { common_name: format!("{subject} "), ..Certificate::of(&subject) }),
        ("no subject", of(attributes(role.to_owned()))),
        ("no role", of(attributes(subject_is(&subject)))),
        ("an unknown role", of(attributes(format!(r#""caretrail.role":"root",{}"#, subject_is(&subject))))),
        ("a subject that is no id", Certificate::of("Mallory")),
        ("no attributes", of(String::new())),
        ("attributes that are no JSON", of("caretrail.role=admin".to_owned())),
    ] {
        let gateway = gateway_of(siege, "south", "SouthMSP", &certificate);
        let refused = siege.both.refused(&reading_the_policy(&gateway)).await;
        assert_eq!(refused, (403, Code::IdentityInvalid.as_str().to_owned()), "{what}");
    }
}

pub(crate) async fn a_certificate_is_of_a_foreign_msp(siege: &mut Siege) {
    let subject = siege.actor("north/admin").subject.to_string();
    let attributes = json!({ "attrs": { "caretrail.role": "admin", "caretrail.subject": subject } });
    let certificate = Certificate { common_name: subject, attributes: attributes.to_string() };
    let east = siege.hospitals.caretrail.file("east").join("peerOrganizations/east.example.com");
    DevelopmentCa::open_or_make(&east, "east.example.com").unwrap();
    let east = |msp_id: &str| issued(siege, &east.join("ca"), "east.example.com", msp_id, &certificate);
    // South's authority says that somebody is North's admin; an authority of nobody says it, and says that there is an East.
    for gateway in [
        gateway_of(siege, "south", "NorthMSP", &certificate),
        gateway_of(siege, "north", "SouthMSP", &certificate),
        east("NorthMSP"),
        east("SouthMSP"),
        east("EastMSP"),
    ] {
        let proposal = reading_the_policy(&gateway);
        let signed = proposal.signed().await.unwrap();
        for endorser in siege.both.endorsers() {
            // The peers themselves let none of them in: the contract is not even asked.
            match endorser.process(signed.clone()).await {
                Ok(answer) => {
                    assert!(answer.endorsement.is_none(), "{answer:?}");
                    let said = answer.response.unwrap_or_default();
                    assert!(said.status >= 500 && said.payload.is_empty(), "{said:?}");
                    assert!(said.message.parse::<Code>().is_err(), "{said:?}");
                }
                Err(error) => {
                    let told = caretrail_records::failure::chain(&error);
                    assert!(told.contains("access denied"), "{told}");
                }
            }
        }
    }
}
