//! The signatures, by ring: the back end that `jsonwebtoken` is given, so that no second set of primitives is
//! built in.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{
    self as sig, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, RsaEncoding, RsaKeyPair, RsaParameters,
};
use ring::{error::Unspecified, hmac};
use signature::{Signer, Verifier};

static RING: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| {
        fits(*algorithm, key.family())?;
        Ok(Box::new(With { algorithm: *algorithm, key: key.clone() }))
    },
    verifier_factory: |algorithm, key| {
        fits(*algorithm, key.family())?;
        Ok(Box::new(With { algorithm: *algorithm, key: key.clone() }))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes ring the process's back end. Whoever embeds the gateway and has chosen another keeps it.
pub(super) fn install() {
    let _ = RING.install_default();
}

/// A key never serves an algorithm of another family: a public key is no secret.
fn fits(algorithm: Algorithm, key: AlgorithmFamily) -> Result<()> {
    if algorithm.family() == key { Ok(()) } else { Err(ErrorKind::InvalidKeyFormat.into()) }
}

struct With<K> {
    algorithm: Algorithm,
    key: K,
}

impl JwtVerifier for With<DecodingKey> {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for With<DecodingKey> {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        let good = match self.key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => rsa(self.algorithm)
                .ok_or(Unspecified)
                .and_then(|how| sig::RsaPublicKeyComponents { n, e }.verify(how, message, signature)),
            DecodingKeyKind::SecretOrDer(key) => other(self.algorithm, key, message, signature),
        };
        good.map_err(|_| signature::Error::new())
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &sig::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &sig::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &sig::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &sig::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &sig::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &sig::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn other(
    algorithm: Algorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> std::result::Result<(), Unspecified> {
    let public = |how: &'static dyn sig::VerificationAlgorithm| {
        sig::UnparsedPublicKey::new(how, key).verify(message, signature)
    };
    match algorithm {
        Algorithm::ES256 => public(&sig::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => public(&sig::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => public(&sig::ED25519),
        _ => {
            let hash = hash(algorithm).ok_or(Unspecified)?;
            hmac::verify(&hmac::Key::new(hash, key), message, signature)
        }
    }
}

fn hash(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    Some(match algorithm {
        Algorithm::HS256 => hmac::HMAC_SHA256,
        Algorithm::HS384 => hmac::HMAC_SHA384,
        Algorithm::HS512 => hmac::HMAC_SHA512,
        _ => return None,
    })
}

impl JwtSigner for With<EncodingKey> {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Signer<Vec<u8>> for With<EncodingKey> {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        sign(self.algorithm, self.key.as_bytes(), message).ok_or_else(signature::Error::new)
    }
}

fn sign(algorithm: Algorithm, key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let rsa = |how: &'static dyn RsaEncoding| {
        let pair = RsaKeyPair::from_der(key).ok()?;
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(how, &SystemRandom::new(), message, &mut signature).ok()?;
        Some(signature)
    };
    let ec = |how: &'static EcdsaSigningAlgorithm| {
        let pair = EcdsaKeyPair::from_pkcs8(how, key, &SystemRandom::new()).ok()?;
        Some(pair.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec())
    };
    match algorithm {
        Algorithm::RS256 => rsa(&sig::RSA_PKCS1_SHA256),
        Algorithm::RS384 => rsa(&sig::RSA_PKCS1_SHA384),
        Algorithm::RS512 => rsa(&sig::RSA_PKCS1_SHA512),
        Algorithm::PS256 => rsa(&sig::RSA_PSS_SHA256),
        Algorithm::PS384 => rsa(&sig::RSA_PSS_SHA384),
        Algorithm::PS512 => rsa(&sig::RSA_PSS_SHA512),
        Algorithm::ES256 => ec(&sig::ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::ES384 => ec(&sig::ECDSA_P384_SHA384_FIXED_SIGNING),
        // OpenSSL writes Ed25519 keys without the public half, which ring then computes.
        Algorithm::EdDSA => {
            Some(Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).ok()?.sign(message).as_ref().to_vec())
        }
        _ => Some(hmac::sign(&hmac::Key::new(hash(algorithm)?, key), message).as_ref().to_vec()),
    }
}
