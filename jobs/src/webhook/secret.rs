//! Signing secrets and signatures: HMAC-SHA256 of `id.timestamp.body`, version `v1` of the specification.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// Hours that a replaced secret still signs, beside the new one.
pub const GRACE_HOURS: i32 = 24;

/// A signing secret: 32 random bytes. `Debug` hides it, and it has no `Display`.
#[derive(Clone, sqlx::Type)]
#[sqlx(transparent)]
pub struct SigningSecret(Vec<u8>);

impl SigningSecret {
    /// A new secret.
    #[must_use]
    pub fn generate() -> Self {
        Self(rand::random::<[u8; 32]>().into())
    }

    /// The secret as its owner gets it: `whsec_` and base64. For the answer that creates it alone.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("whsec_{}", STANDARD.encode(&self.0))
    }

    /// The signature of one message, `v1,` and base64. `timestamp` is in seconds since 1970.
    #[must_use]
    pub fn sign(&self, message_id: Uuid, timestamp: i64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(format!("{message_id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries, with a UUID as the message's id. Expected value by
    /// `openssl dgst -sha256 -mac HMAC`.
    #[test]
    fn a_signature_is_the_hmac_of_id_timestamp_and_body() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let secret = SigningSecret(key);
        let id = "0b5f7a64-4f5c-4d5e-9c59-2c5a2f0a7d11".parse().expect("a UUID");
        let signature = secret.sign(id, 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,oioys2cnIDbckxMhhyQqpsApp2tTlPLQFXf+ga2K4Mw=");
        assert_eq!(secret.reveal(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(format!("{secret:?}"), "SigningSecret(…)");
    }
}
