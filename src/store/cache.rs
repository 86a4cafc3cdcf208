//! Caches in memory that are bounded by bytes and do not starve what is new.

use std::hash::Hash;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// How many parts a cache has, each with a lock and its share of the bytes: the most that one entry can have.
const SHARDS: usize = 8;
/// The share of what was used again. The rest is for what came last: here, that is asked for next. (The cache's own
/// default leaves it three percent, and forgets it for the sake of what nobody asks for any more.)
const HOT: f64 = 0.5;

/// A cache of at most `bytes`, whose entries have about `typical` each.
pub(super) fn of<K, V, W>(bytes: usize, typical: usize, weight: W) -> Cache<K, V, W>
where
    K: Eq + Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
{
    let (items, bytes) = (bytes / typical, bytes as u64);
    let options = OptionsBuilder::new()
        .shards(SHARDS)
        .hot_allocation(HOT)
        .estimated_items_capacity(items)
        .weight_capacity(bytes)
        .build();
    match options {
        Ok(options) => {
            Cache::with_options(options, weight, DefaultHashBuilder::default(), DefaultLifecycle::default())
        }
        Err(_) => Cache::with_weighter(items, bytes, weight),
    }
}
