//! A played provider, a real gateway process, and a plain HTTP client that shows every byte.

#![allow(dead_code)] // each test takes what it needs

pub mod client;
pub mod dialect;
pub mod gateway;
pub mod http2;
pub mod policy;
pub mod provider;

pub use client::{Answer, Client};
pub use dialect::{DIALECTS, Dialect};
pub use gateway::Gateway;
pub use provider::{Provider, Reply, Seen};

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Waits until `condition` gives something; panics with `what` after ten seconds.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "timed out waiting for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Tests that put load on the machine, or measure under load, wait for each other.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
