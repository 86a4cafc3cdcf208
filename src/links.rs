//! Links that a provider handed out and the gateway passed on: whoever holds one may use it.
//!
//! Gemini answers the start of an upload with a link whose `upload_id` is the permission to send the file;
//! the SDKs send no key with it. The gateway remembers for whom it passed such a link on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tollgate_filters::exchange::Caller;

/// How long a link is good for; Google's own last a week, and an upload takes minutes.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// The most links that are remembered; the oldest go first.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Links {
    known: Mutex<HashMap<String, (Arc<Caller>, Instant)>>,
}

impl Links {
    /// `link` is the path and query as a client will send them.
    pub(crate) fn remember(&self, link: String, caller: Arc<Caller>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, (_, since)| since.elapsed() < LIFE);
        }
        if known.len() >= MOST
            && let Some(oldest) =
                known.iter().min_by_key(|(_, (_, since))| *since).map(|(link, _)| link.clone())
        {
            known.remove(&oldest);
        }
        known.insert(link, (caller, Instant::now()));
    }

    /// For whom `link` was passed on.
    pub(crate) fn caller(&self, link: &str) -> Option<Arc<Caller>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(link).filter(|(_, since)| since.elapsed() < LIFE).map(|(caller, _)| caller.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_known_as_it_was_given_and_the_oldest_go_first() {
        let links = Links::default();
        let caller = Arc::new(Caller::anonymous());
        for n in 0..=MOST {
            links.remember(format!("/upload?id={n}"), caller.clone());
        }
        assert!(links.caller("/upload?id=0").is_none());
        assert!(links.caller("/upload?id=1").is_some());
        assert!(links.caller("/upload?id=1&x").is_none());
        assert_eq!(links.known.lock().unwrap().len(), MOST);
    }
}
