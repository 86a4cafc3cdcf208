//! Reasoning that clients cannot send back, in the memory of this process: bounded, expiring, forgotten at its end.

use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};
use tollgate_filters::ports::Reasonings;
use tollgate_filters::recall::{Key, Recalled, Remembered};

use super::cache;

/// What one entry takes beside the reasoning in it.
const OVERHEAD: usize = 256;
/// About how large an entry is.
const TYPICAL: usize = 2048;

#[derive(Debug, Clone, Copy)]
pub struct MemoryLimits {
    pub bytes: usize,
    /// How long an entry is kept at the most.
    pub life: Duration,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self { bytes: 64 * 1024 * 1024, life: Duration::from_secs(24 * 60 * 60) }
    }
}

/// When it is full, what nobody has asked for goes first. An entry of more than an eighth of it is not taken.
#[derive(Debug)]
pub struct ReasoningMemory {
    entries: Cache<Name, Entry, Weight>,
    life: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    org: Box<str>,
    key: Key,
}

/// A [`Name`] that is only looked up. Has the same hash.
#[derive(Hash)]
struct Asked<'a> {
    org: &'a str,
    key: &'a Key,
}

impl Equivalent<Name> for Asked<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        *self.org == *name.org && *self.key == name.key
    }
}

#[derive(Debug, Clone)]
struct Entry {
    value: Arc<[Remembered]>,
    size: usize,
    /// `None` is never.
    until: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Name, Entry> for Weight {
    fn weight(&self, _: &Name, entry: &Entry) -> u64 {
        entry.size as u64
    }
}

impl ReasoningMemory {
    pub fn new(limits: MemoryLimits) -> Self {
        let entries = cache::of(limits.bytes, TYPICAL, Weight);
        Self { entries, life: limits.life }
    }

    /// How many entries there are, and about how many bytes they take.
    pub fn used(&self) -> (usize, u64) {
        (self.entries.len(), self.entries.weight())
    }

    fn find(&self, org: &str, key: &Key) -> Option<Arc<[Remembered]>> {
        let asked = Asked { org, key };
        let entry = self.entries.get(&asked)?;
        if entry.until.is_none_or(|until| until > Instant::now()) {
            return Some(entry.value);
        }
        self.entries.remove(&asked);
        None
    }
}

#[async_trait]
impl Reasonings for ReasoningMemory {
    fn remember(&self, org: &str, key: Key, value: Vec<Remembered>) {
        let name = match &key {
            Key::Call(id) => id.len(),
            Key::Content(_) => 0,
        };
        let size = OVERHEAD + org.len() + name + value.iter().map(Remembered::size).sum::<usize>();
        let until = Instant::now().checked_add(self.life);
        self.entries.insert(Name { org: org.into(), key }, Entry { value: value.into(), size, until });
    }

    async fn recall(&self, org: &str, keys: &[&Key]) -> Recalled {
        keys.iter().filter_map(|key| Some(((*key).clone(), self.find(org, key)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use tollgate_filters::chat::{Maker, Reasoning, Seal};
    use tollgate_filters::recall::Place;

    use super::*;

    fn value(length: usize) -> Vec<Remembered> {
        let seal = Seal { maker: Maker::Anthropic, data: "s".repeat(length), redacted: false };
        let reasoning = Reasoning { seal: Some(seal), ..Reasoning::default() };
        vec![Remembered { reasoning, place: Place::Close }]
    }

    fn key(n: usize) -> Key {
        Key::Call(format!("toolu_{n:08}"))
    }

    fn limits(bytes: usize, life: Duration) -> MemoryLimits {
        MemoryLimits { bytes, life }
    }

    #[tokio::test]
    async fn one_organisation_does_not_get_what_another_thought() {
        let memory = ReasoningMemory::new(MemoryLimits::default());
        memory.remember("a", key(1), value(10));
        assert_eq!(memory.recall("a", &[&key(1), &key(2)]).await.len(), 1);
        assert!(memory.recall("b", &[&key(1)]).await.is_empty());
    }

    #[tokio::test]
    async fn an_entry_expires() {
        let memory = ReasoningMemory::new(limits(1 << 20, Duration::from_millis(20)));
        memory.remember("a", key(1), value(10));
        assert_eq!(memory.recall("a", &[&key(1)]).await.len(), 1);
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert!(memory.recall("a", &[&key(1)]).await.is_empty());
        assert_eq!(memory.used(), (0, 0));
    }

    #[tokio::test]
    async fn it_never_takes_more_than_it_may() {
        let bytes = 1 << 20;
        let memory = ReasoningMemory::new(limits(bytes, Duration::from_secs(60)));
        for n in 0..5000 {
            memory.remember("a", key(n), value(if n % 1000 == 0 { 2 * bytes } else { 1000 }));
            assert!(memory.used().1 <= bytes as u64);
        }
        assert!(memory.used().0 > 400, "{:?}", memory.used());
        let mut last = Recalled::new();
        for n in 4900..5000 {
            last.extend(memory.recall("a", &[&key(n)]).await);
        }
        assert_eq!(last.len(), 100, "the newest entries are there");
    }

    #[tokio::test]
    async fn what_is_asked_for_again_and_again_stays() {
        let memory = ReasoningMemory::new(limits(1 << 20, Duration::from_secs(60)));
        let running: Vec<Key> = (0..50).map(key).collect();
        for key in &running {
            memory.remember("a", key.clone(), value(1000));
        }
        for n in 50..5000 {
            memory.remember("a", key(n), value(1000));
            if n % 100 == 0 {
                let found = memory.recall("a", &running.iter().collect::<Vec<_>>()).await;
                assert_eq!(found.len(), 50, "after {n}");
            }
        }
    }

    #[tokio::test]
    async fn small_entries_are_bounded_too() {
        let bytes = 1 << 20;
        let memory = ReasoningMemory::new(limits(bytes, Duration::from_secs(60)));
        (0..20_000).for_each(|n| memory.remember("a", key(n), Vec::new()));
        assert!(memory.used().0 <= bytes / OVERHEAD);
    }
}
