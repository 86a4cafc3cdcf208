//! Where a host name points: looked up when it is not known or no longer fresh, and remembered.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// How long a resolved name is believed.
const FRESH: Duration = Duration::from_secs(30);
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) enum Address {
    Fixed(SocketAddr),
    Named { host: String, port: u16, known: ArcSwapOption<Known>, next: AtomicUsize },
}

#[derive(Debug)]
pub(super) struct Known {
    addresses: Vec<SocketAddr>,
    since: Instant,
}

impl Address {
    pub(super) fn new(host: &str, port: u16) -> Self {
        match host.parse::<IpAddr>() {
            Ok(ip) => Self::Fixed(SocketAddr::new(ip, port)),
            Err(_) => Self::Named {
                host: host.to_owned(),
                port,
                known: ArcSwapOption::empty(),
                next: AtomicUsize::new(0),
            },
        }
    }

    /// An address to connect to. A name that stops resolving keeps its last addresses.
    pub(super) async fn current(&self) -> Result<SocketAddr, String> {
        let (host, port, known, next) = match self {
            Self::Fixed(address) => return Ok(*address),
            Self::Named { host, port, known, next } => (host, *port, known, next),
        };
        let mut current = known.load_full();
        if current.as_ref().is_none_or(|k| k.since.elapsed() > FRESH) {
            match timeout(LOOKUP_TIMEOUT, lookup_host((host.as_str(), port))).await {
                Ok(Ok(found)) => {
                    let addresses: Vec<SocketAddr> = found.collect();
                    if !addresses.is_empty() {
                        let fresh = Arc::new(Known { addresses, since: Instant::now() });
                        known.store(Some(fresh.clone()));
                        current = Some(fresh);
                    }
                }
                Ok(Err(e)) if current.is_none() => return Err(format!("{host}: {e}")),
                Err(_) if current.is_none() => return Err(format!("{host}: the name lookup timed out")),
                // The last known addresses stay good until the name resolves again.
                _ => {}
            }
        }
        let current = current.ok_or_else(|| format!("{host}: the name has no address"))?;
        Ok(current.addresses[next.load(Ordering::Relaxed) % current.addresses.len()])
    }

    pub(super) fn rotate(&self) {
        if let Self::Named { next, .. } = self {
            next.fetch_add(1, Ordering::Relaxed);
        }
    }
}
