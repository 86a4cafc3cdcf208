//! Counters of limits and budgets: in this process, or shared by many.

mod memory;
mod redis;

pub use memory::MemoryCounters;
pub use redis::{ROUND_TRIPS, RedisConf, RedisCounters, RedisStats};
