//! Gateway keys are kept and compared as SHA-256 digests, never as themselves.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How every gateway key begins; 256 random bits in base64url follow.
pub const KEY_PREFIX: &str = "tg-";

/// The digest a key is known by.
///
/// A key has 256 bits of entropy, so a plain hash is enough. Digests are looked up in a hash map and
/// compared in constant time: how long it takes says nothing about a key that was nearly right.
#[derive(Clone, Copy, Eq)]
pub struct Digest(pub [u8; 32]);

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::hash::Hash for Digest {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Digest({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

pub fn digest(key: &str) -> Digest {
    Digest(Sha256::digest(key.as_bytes()).into())
}
