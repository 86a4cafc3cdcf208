//! Sealing with AES-256-GCM: master keys, and the data key that each secret has to itself.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest;
use zeroize::Zeroizing;

use super::StoreError;

/// The form in which secrets are sealed; part of what every seal is bound to.
pub(super) const VERSION: i64 = 1;

const KEY_LEN: usize = 32;

/// What goes in front of everything that is hashed or authenticated here, so that no other use of a key meets it.
const DOMAIN: &[u8] = b"tollgate secret";

/// Fewer different bytes than this among 32 random ones do not happen; in placeholders and typed keys they do.
const FEWEST_BYTES: usize = 16;

const FORM: &str = "a master key is 32 random bytes, in base64 or as 64 hexadecimal digits; `tollgate secrets keygen` prints one";

/// A key that wraps data keys. It is known by an id that is made from it, so that nobody has to name keys.
pub struct MasterKey {
    id: String,
    key: LessSafeKey,
}

/// The master key in use, and earlier ones whose secrets have not been wrapped again yet.
#[derive(Debug, Default)]
pub struct MasterKeys {
    current: Option<MasterKey>,
    previous: Vec<MasterKey>,
}

/// The key of one value. It seals that value once and never another.
pub(super) struct DataKey(Zeroizing<[u8; KEY_LEN]>);

/// What a value is bound to. A blob that is moved to another row, or a row that is changed, does not open.
pub(super) struct Label<'a> {
    pub(super) name: &'a str,
    pub(super) version: i64,
    pub(super) created: i64,
    pub(super) updated: i64,
}

/// A blob that its key does not open: damaged, forged, or made for another place. Nothing more is to be known.
#[derive(Debug)]
pub(super) struct Unopened;

// === impl MasterKey ===

impl MasterKey {
    /// Reads a key as [`new_master_key`] writes it. A password is refused: hashing it would make a weak key look
    /// like a strong one.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let invalid = |why: &str| StoreError::Invalid(format!("{why}: {FORM}"));
        let text = text.trim();
        let bytes = if text.len() == 2 * KEY_LEN { from_hex(text) } else { from_base64(text) };
        let bytes = bytes
            .filter(|b| b.len() == KEY_LEN)
            .ok_or_else(|| invalid("it does not have the form of a master key"))?;
        let mut seen = [false; 256];
        bytes.iter().for_each(|b| seen[usize::from(*b)] = true);
        if seen.into_iter().filter(|seen| *seen).count() < FEWEST_BYTES {
            return Err(invalid("it is not random"));
        }
        let key = aead(&bytes).map_err(|_| invalid("it is not usable"))?;
        Ok(Self { id: id(&bytes), key })
    }

    /// Eight hexadecimal digits that tell master keys apart and tell nothing about them.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The nonce is random. Under one key, 2^32 random nonces may be used before two alike become likely enough
    /// to matter (NIST SP 800-38D, 8.3); a master key is used once for each secret that is set or rotated.
    pub(super) fn wrap(&self, label: &Label<'_>, key: &DataKey) -> Result<Vec<u8>, StoreError> {
        seal(&self.key, &self.wrap_aad(label), &key.0[..])
    }

    pub(super) fn unwrap(&self, label: &Label<'_>, wrapped: &[u8]) -> Result<DataKey, Unopened> {
        let bytes = open(&self.key, &self.wrap_aad(label), wrapped)?;
        let mut key = Zeroizing::new([0; KEY_LEN]);
        if bytes.len() != KEY_LEN {
            return Err(Unopened);
        }
        key.copy_from_slice(&bytes);
        Ok(DataKey(key))
    }

    /// A wrapped data key is bound to the secret's name, not to its times: [`Label`]'s rest binds the value.
    fn wrap_aad(&self, label: &Label<'_>) -> Vec<u8> {
        bind(&[b"data key", &label.version.to_be_bytes(), self.id.as_bytes(), label.name.as_bytes()])
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

// === impl MasterKeys ===

impl MasterKeys {
    /// Without a current one, secrets can be listed, removed, and read with a previous one.
    pub fn new(current: Option<MasterKey>, previous: Vec<MasterKey>) -> Self {
        Self { current, previous }
    }

    /// Reads the keys that the configuration names.
    pub fn parse(current: Option<&str>, previous: &[String]) -> Result<Self, StoreError> {
        let at = |place: &str, why: StoreError| StoreError::Invalid(format!("secrets.{place}: {why}"));
        let current =
            current.map(|text| MasterKey::parse(text).map_err(|why| at("master_key", why))).transpose()?;
        let previous = previous.iter().enumerate().map(|(i, text)| {
            MasterKey::parse(text).map_err(|why| at(&format!("previous_master_keys[{i}]"), why))
        });
        Ok(Self::new(current, previous.collect::<Result<_, _>>()?))
    }

    pub fn current(&self) -> Option<&MasterKey> {
        self.current.as_ref()
    }

    /// What a secret's master key is to this process: `current`, `previous` or `unknown`.
    pub fn standing(&self, id: &str) -> &'static str {
        match &self.current {
            Some(key) if key.id == id => "current",
            _ if self.previous.iter().any(|key| key.id == id) => "previous",
            _ => "unknown",
        }
    }

    pub(super) fn find(&self, id: &str) -> Option<&MasterKey> {
        self.all().find(|key| key.id == id)
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.all().map(|key| key.id.clone()).collect()
    }

    fn all(&self) -> impl Iterator<Item = &MasterKey> {
        self.current.iter().chain(&self.previous)
    }
}

// === impl DataKey ===

impl DataKey {
    pub(super) fn random() -> Result<Self, StoreError> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        random(&mut key[..])?;
        Ok(Self(key))
    }

    /// Takes the key, which is used this once: whatever its nonce, no second one can be like it.
    pub(super) fn seal(self, label: &Label<'_>, value: &str) -> Result<Vec<u8>, StoreError> {
        let key = aead(&self.0[..]).map_err(|_| unsealed())?;
        seal(&key, &label.aad(), value.as_bytes())
    }

    pub(super) fn open(&self, label: &Label<'_>, sealed: &[u8]) -> Result<Zeroizing<String>, Unopened> {
        let bytes = open(&aead(&self.0[..])?, &label.aad(), sealed)?;
        std::str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned())).map_err(|_| Unopened)
    }
}

impl Label<'_> {
    fn aad(&self) -> Vec<u8> {
        let numbers = [self.version, self.created, self.updated].map(i64::to_be_bytes);
        bind(&[b"value", &numbers[0], &numbers[1], &numbers[2], self.name.as_bytes()])
    }
}

/// A fresh master key, in base64.
pub fn new_master_key() -> Result<Zeroizing<String>, StoreError> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    random(&mut key[..])?;
    Ok(Zeroizing::new(STANDARD.encode(&key[..])))
}

/// The nonce, what was sealed, and its tag.
fn seal(key: &LessSafeKey, aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut nonce = [0; NONCE_LEN];
    random(&mut nonce)?;
    // Made large enough at once: a buffer that grows would leave a copy of the plain text behind.
    let mut blob = Zeroizing::new(Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len()));
    blob.extend_from_slice(&nonce);
    blob.extend_from_slice(plain);
    let tag = key
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad),
            &mut blob[NONCE_LEN..],
        )
        .map_err(|_| unsealed())?;
    blob.extend_from_slice(tag.as_ref());
    Ok(std::mem::take(&mut *blob))
}

fn open(key: &LessSafeKey, aad: &[u8], blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
    let (nonce, sealed) = blob.split_at_checked(NONCE_LEN).ok_or(Unopened)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Unopened)?;
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let plain = key.open_in_place(nonce, Aad::from(aad), &mut buffer).map_err(|_| Unopened)?.len();
    buffer.truncate(plain);
    Ok(buffer)
}

fn aead(key: &[u8]) -> Result<LessSafeKey, Unopened> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| Unopened)
}

/// One text of several, each behind its length, so that no two lists give the same.
fn bind(parts: &[&[u8]]) -> Vec<u8> {
    let mut text = DOMAIN.to_vec();
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part);
    }
    text
}

fn id(key: &[u8]) -> String {
    let hashed = Zeroizing::new(bind(&[b"master key id", key]));
    let digest = digest::digest(&digest::SHA256, &hashed);
    let first = digest.as_ref().iter().take(4).fold(0_u32, |id, byte| id << 8 | u32::from(*byte));
    format!("{first:08x}")
}

fn from_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pairs = text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?));
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_LEN));
    for byte in pairs {
        bytes.push(byte?);
    }
    Some(bytes)
}

fn from_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
        .iter()
        .find_map(|form| form.decode(text).ok())
        .map(Zeroizing::new)
}

fn random(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(|e| StoreError::Invalid(format!("no randomness to be had: {e}")))
}

fn unsealed() -> StoreError {
    StoreError::Invalid("a secret could not be encrypted".to_owned())
}
