//! Tokens that were good lately, so that a token that comes again costs a hash.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::Identity;
use crate::authenticate::Digest;

/// What all entries together may weigh, in bytes.
const CAPACITY: u64 = 16 << 20;
/// About how many that are.
const ENTRIES: usize = 16 * 1024;

/// By the SHA-256 of the token: the token itself is kept nowhere.
#[derive(Debug)]
pub(super) struct Verified(Cache<Digest, Entry, Weight>);

#[derive(Debug, Clone)]
struct Entry {
    issuer: usize,
    /// The set of keys that the token was verified with. With another set it is verified again.
    generation: u64,
    until: u64,
    identity: Arc<Identity>,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Digest, Entry> for Weight {
    fn weight(&self, _: &Digest, entry: &Entry) -> u64 {
        let lists = [
            &entry.identity.models,
            &entry.identity.providers,
            &entry.identity.operations,
            &entry.identity.bridges,
        ];
        let texts = lists.into_iter().flatten().flatten().map(|name| name.len() + size_of::<String>());
        let ids = entry.identity.org.len() + entry.identity.user.as_ref().map_or(0, |user| user.len());
        (texts.sum::<usize>() + ids + size_of::<Identity>() + 128) as u64
    }
}

impl Verified {
    pub(super) fn new() -> Self {
        Self(Cache::with_weighter(ENTRIES, CAPACITY, Weight))
    }

    /// Who the token stands for, if it was good, has not expired, and its issuer's keys are still `generation`.
    pub(super) fn get(
        &self,
        token: &Digest,
        now: u64,
        generation: impl Fn(usize) -> Option<u64>,
    ) -> Option<Arc<Identity>> {
        let entry = self.0.get(token)?;
        if now < entry.until && generation(entry.issuer) == Some(entry.generation) {
            return Some(entry.identity);
        }
        self.0.remove(token);
        None
    }

    pub(super) fn put(
        &self,
        token: Digest,
        issuer: usize,
        generation: u64,
        until: u64,
        identity: Arc<Identity>,
    ) {
        self.0.insert(token, Entry { issuer, generation, until, identity });
    }

    #[cfg(test)]
    pub(super) fn forget(&self, token: &Digest) {
        self.0.remove(token);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
