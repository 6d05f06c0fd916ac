//! What a recipient signs to ask for a release.

use caretrail_model::hash::{Domain, framed};
use caretrail_model::ids::{MspId, PatientId, RecordId, TxId};
use hlf_gateway::{Credentials, SignError};
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Verifier as _;
use serde::{Deserialize, Serialize};

use super::{Base64Url, KemPublicKey};
use crate::certificate::{CertificateError, EnrolmentCertificate};
use crate::ledger_name::LedgerName;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleaseAsk {
    /// The transaction that decided.
    pub decision: TxId,
    /// The patient.
    pub patient: PatientId,
    /// The record.
    pub record: RecordId,
}

/// The body of `POST /v1/releases`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// The transaction that decided.
    pub decision: TxId,
    /// The patient.
    pub patient: PatientId,
    /// The record.
    pub record: RecordId,
    /// The key that the secret shall be wrapped to.
    pub kem_public_key: KemPublicKey,
    /// The certificate that the decision's transaction was made with, in PEM.
    pub certificate: String,
    /// ECDSA P-256 over SHA-256 of [`ReleaseRequest::signed_bytes`] by that certificate's key: DER, low S.
    pub signature: Base64Url,
}

/// A request whose signature was checked.
#[derive(Clone, Debug)]
pub struct VerifiedRequest {
    /// What is asked for.
    pub ask: ReleaseAsk,
    /// The key that the secret shall be wrapped to.
    pub kem_public_key: KemPublicKey,
    /// The certificate whose key signed.
    pub certificate: EnrolmentCertificate,
}

/// A request that its sender did not sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The certificate is not an actor's.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The signature is not the certificate's key's, or over another request.
    #[error("the request was not signed by the certificate's key for this custodian: sign it anew")]
    Signature,
}

impl ReleaseRequest {
    /// Signs a request with the enrolment key, for one custodian.
    ///
    /// # Errors
    /// When the signer fails.
    pub async fn sign(
        ask: &ReleaseAsk,
        kem_public_key: &KemPublicKey,
        ledger: &LedgerName,
        custodian: &MspId,
        credentials: &Credentials,
    ) -> Result<Self, SignError> {
        let mut request = Self {
            decision: ask.decision,
            patient: ask.patient,
            record: ask.record,
            kem_public_key: kem_public_key.clone(),
            certificate: credentials.identity().certificate_pem.clone(),
            signature: Base64Url(Vec::new()),
        };
        let signature = credentials.sign(&request.signed_bytes(ledger, custodian)).await?;
        request.signature = Base64Url(signature);
        Ok(request)
    }

    /// Checks the signature, for the custodian that the request came to.
    ///
    /// # Errors
    /// When the certificate is no actor's, or its key did not sign.
    pub fn verify(&self, ledger: &LedgerName, custodian: &MspId) -> Result<VerifiedRequest, RequestError> {
        let certificate = EnrolmentCertificate::from_pem(&self.certificate)?;
        let signature =
            Signature::from_der(self.signature.as_bytes()).map_err(|_| RequestError::Signature)?;
        if signature.normalize_s() != signature {
            return Err(RequestError::Signature);
        }
        certificate
            .key
            .verify(&self.signed_bytes(ledger, custodian), &signature)
            .map_err(|_| RequestError::Signature)?;
        Ok(VerifiedRequest {
            ask: ReleaseAsk { decision: self.decision, patient: self.patient, record: self.record },
            kem_public_key: self.kem_public_key.clone(),
            certificate,
        })
    }

    /// The framed domain, channel, chaincode, custodian, decision, patient, record, key and certificate.
    pub fn signed_bytes(&self, ledger: &LedgerName, custodian: &MspId) -> Vec<u8> {
        framed(
            Domain::ReleaseRequest,
            &[
                ledger.channel.as_str().as_bytes(),
                ledger.chaincode.as_str().as_bytes(),
                custodian.as_str().as_bytes(),
                self.decision.as_bytes(),
                self.patient.as_bytes(),
                self.record.as_bytes(),
                self.kem_public_key.as_bytes(),
                self.certificate.as_bytes(),
            ],
        )
    }
}

#[cfg(test)]
mod tests {
    use hlf_gateway::{Identity, KeySigner};

    use super::*;
    use crate::certificate::tests::certificate;
    use crate::release::KemKey;

    fn credentials() -> Credentials {
        let subject = "00112233445566778899aabbccddeeff";
        let attributes =
            format!(r#"{{"attrs":{{"caretrail.role":"clinician","caretrail.subject":"{subject}"}}}}"#);
        let (certificate_pem, key) = certificate(subject, &[&attributes]);
        let identity = Identity { msp_id: "SouthMSP".to_owned(), certificate_pem };
        Credentials::new(identity, KeySigner::from_pem(&key).unwrap())
    }

    #[tokio::test]
    async fn a_request_counts_as_signed_and_nowhere_else() {
        let ledger =
            LedgerName { channel: "records".parse().unwrap(), chaincode: "caretrail".parse().unwrap() };
        let north: MspId = "NorthMSP".parse().unwrap();
        let ask = ReleaseAsk {
            decision: TxId::from_bytes([1; 32]),
            patient: PatientId::from_bytes([2; 16]),
            record: RecordId::from_bytes([3; 16]),
        };
        let (key, other_key) = (KemKey::generate().unwrap(), KemKey::generate().unwrap());
        let credentials = credentials();
        let request = ReleaseRequest::sign(&ask, key.public(), &ledger, &north, &credentials).await.unwrap();
        let json = serde_json::to_string(&request).unwrap();
        let request: ReleaseRequest = serde_json::from_str(&json).unwrap();
        assert_eq!(request.verify(&ledger, &north).unwrap().ask, ask);

        let refused = |request: &ReleaseRequest| request.verify(&ledger, &north).unwrap_err();
        let elsewhere = LedgerName { channel: "other".parse().unwrap(), ..ledger.clone() };
        assert_eq!(request.verify(&elsewhere, &north).unwrap_err(), RequestError::Signature);
        let south = "SouthMSP".parse().unwrap();
        assert_eq!(request.verify(&ledger, &south).unwrap_err(), RequestError::Signature);

        let other_certificate = self::credentials().identity().certificate_pem.clone();
        let mut high_s = Signature::from_der(request.signature.as_bytes()).unwrap();
        high_s = Signature::from_scalars(*high_s.r(), -*high_s.s()).unwrap();
        let changed = [
            ReleaseRequest { decision: TxId::from_bytes([9; 32]), ..request.clone() },
            ReleaseRequest { patient: PatientId::from_bytes([9; 16]), ..request.clone() },
            ReleaseRequest { record: RecordId::from_bytes([9; 16]), ..request.clone() },
            ReleaseRequest { kem_public_key: other_key.public().clone(), ..request.clone() },
            ReleaseRequest { certificate: other_certificate, ..request.clone() },
            ReleaseRequest { signature: Base64Url(high_s.to_der().as_bytes().to_vec()), ..request.clone() },
            ReleaseRequest { signature: Base64Url(Vec::new()), ..request.clone() },
        ];
        for changed in &changed {
            assert_eq!(refused(changed), RequestError::Signature);
        }
        for at in 0..request.signature.0.len() {
            let mut spoiled = request.clone();
            spoiled.signature.0[at] ^= 1;
            assert_eq!(refused(&spoiled), RequestError::Signature, "byte {at}");
        }
        let unread = ReleaseRequest { certificate: "none".to_owned(), ..request };
        assert!(matches!(refused(&unread), RequestError::Certificate(_)));
    }
}
