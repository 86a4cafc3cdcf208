//! Upload links that a provider handed out and the gateway passed on.
//!
//! Gemini answers the start of an upload with a link whose `upload_id` is the permission to send the file;
//! the SDKs send no key with it. The gateway remembers which key it passed such a link on to, and asks
//! again whether that key is good when the link is used.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tollgate_filters::authenticate::Credential;

/// How long a link is good for; Google's own last a week, and an upload takes minutes.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// The most links that are remembered; the oldest go first.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Links {
    known: Mutex<HashMap<String, (Credential, Instant)>>,
}

impl Links {
    /// `link` is the path and query as a client will send them. Only links with an id that cannot be
    /// guessed are remembered.
    pub(crate) fn remember(&self, link: String, key: Credential) {
        if !link.contains("/upload/") || !link.contains("upload_id=") {
            return;
        }
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
        known.insert(link, (key, Instant::now()));
    }

    /// The key that `link` was passed on to.
    pub(crate) fn key(&self, link: &str) -> Option<Credential> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(link).filter(|(_, since)| since.elapsed() < LIFE).map(|(key, _)| key.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_known_as_it_was_given_and_the_oldest_go_first() {
        let links = Links::default();
        let link = |n| format!("/gemini/upload/v1/files?upload_id={n}");
        for n in 0..=MOST {
            links.remember(link(n), Credential::new("tg-k"));
        }
        assert!(links.key(&link(0)).is_none());
        assert!(links.key(&link(1)).is_some());
        assert!(links.key(&format!("{}&x", link(1))).is_none());
        assert_eq!(links.known.lock().unwrap().len(), MOST);
    }

    #[test]
    fn a_link_that_can_be_guessed_is_no_permission() {
        let links = Links::default();
        for link in ["/own/v1/chat/completions", "/gemini/upload/v1/files", "/own/v1/files?upload_id=7"] {
            links.remember(link.to_owned(), Credential::new("tg-k"));
            assert!(links.key(link).is_none(), "{link}");
        }
    }
}
