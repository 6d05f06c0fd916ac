//! The signature by which Fabric CA knows who asks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::pem::parse_x509_pem;

use super::FabricCaError;
use crate::ca::Key;

/// An enrolled identity: its certificate, and the key that signs what it asks.
#[derive(Debug)]
pub struct Identity {
    certificate_pem: String,
    key: Key,
}

impl Identity {
    /// From a certificate and its PKCS #8 key, PEM; ECDSA on P-256 or P-384.
    ///
    /// # Errors
    /// [`FabricCaError::Identity`] when one of them cannot be read or they do not belong together.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, FabricCaError> {
        let wrong = |what: String| FabricCaError::Identity(what);
        let key = Key::of_any_kind(key_pem).map_err(|error| wrong(format!("its key: {error}")))?;
        let (_, pem) =
            parse_x509_pem(certificate_pem.as_bytes()).map_err(|error| wrong(error.to_string()))?;
        let certificate = pem.parse_x509().map_err(|error| wrong(error.to_string()))?;
        if certificate.public_key().subject_public_key.data.as_ref() != rcgen::PublicKeyData::der_bytes(&key)
        {
            return Err(wrong("its key does not match its certificate".to_owned()));
        }
        Ok(Self { certificate_pem: certificate_pem.to_owned(), key })
    }

    /// The header's value for a request: Base64 of the certificate, and of a signature over method, path, body and it.
    pub(super) fn token(&self, method: &str, uri: &str, body: &[u8]) -> Result<String, FabricCaError> {
        let certificate = STANDARD.encode(&self.certificate_pem);
        let payload = format!("{method}.{}.{}.{certificate}", STANDARD.encode(uri), STANDARD.encode(body));
        let signature = self.key.sign_sha256(payload.as_bytes()).ok_or_else(|| {
            FabricCaError::Identity("Fabric CA takes signatures of ECDSA keys alone".to_owned())
        })?;
        Ok(format!("{certificate}.{}", STANDARD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Verifier as _;
    use p256::ecdsa::{DerSignature, Signature, VerifyingKey};

    use super::*;
    use crate::fabric_ca::KeyAndRequest;

    fn identity() -> Identity {
        let (certificate, key) = crate::ca::Authority::make("ada").unwrap();
        let key_pem = key.to_pem().unwrap();
        Identity::from_pem(&certificate, std::str::from_utf8(key_pem.as_ref()).unwrap()).unwrap()
    }

    #[test]
    fn a_token_is_a_low_s_signature_over_all_that_is_asked() {
        let identity = identity();
        for body in [&b""[..], b"{\"id\":\"a\"}"] {
            let token = identity.token("POST", "/api/v1/register?ca=x", body).unwrap();
            let (certificate, signature) = token.split_once('.').unwrap();
            let pem = STANDARD.decode(certificate).unwrap();
            let (_, pem) = parse_x509_pem(&pem).unwrap();
            let parsed = pem.parse_x509().unwrap();
            let key = VerifyingKey::from_sec1_bytes(&parsed.public_key().subject_public_key.data).unwrap();
            let signature = DerSignature::from_bytes(&STANDARD.decode(signature).unwrap()).unwrap();
            let payload = [
                "POST".to_owned(),
                STANDARD.encode("/api/v1/register?ca=x"),
                STANDARD.encode(body),
                certificate.to_owned(),
            ]
            .join(".");
            key.verify(payload.as_bytes(), &signature).unwrap();
            let signature = Signature::try_from(signature).unwrap();
            assert_eq!(signature, signature.normalize_s());
        }
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let one = identity();
        let other = KeyAndRequest::generate("bob", &[]).unwrap();
        let refused = Identity::from_pem(&one.certificate_pem, other.key_pem().unwrap().as_str());
        assert!(matches!(refused, Err(FabricCaError::Identity(_))));
    }
}
