//! The header that carries a provider's credential.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use tollgate_filters::authenticate::Credential;
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::exchange::Dialect;
use tracing::{info, warn};

use crate::conf::{KeyStyle, Secret};
use crate::store::SecretsDirectory;

pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
pub const X_GOOG_API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// How often a mounted file is looked at again.
const REREAD: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub enum KeyHeader {
    None,
    Passthrough,
    Fixed(HeaderName, HeaderValue),
    /// From a mounted file, read again when it may have changed.
    File {
        style: KeyStyle,
        secret: Secret,
        current: ArcSwap<Mounted>,
    },
    /// From the store, as it is there now.
    Stored {
        style: KeyStyle,
        name: String,
        secrets: Arc<SecretsDirectory>,
    },
}

/// What a mounted file held.
#[derive(Debug)]
pub struct Mounted {
    value: HeaderValue,
    read: Instant,
    /// It could not be read the last time: this is what it held before.
    failing: bool,
}

impl KeyHeader {
    pub(super) fn new(
        style: KeyStyle,
        secret: Option<Secret>,
        secrets: &Arc<SecretsDirectory>,
    ) -> Result<Self, String> {
        match (style, secret) {
            (KeyStyle::None, _) => Ok(Self::None),
            (KeyStyle::Passthrough, _) => Ok(Self::Passthrough),
            (_, None) => Err("api_key is missing".to_owned()),
            (style, Some(Secret::Store(name))) => Ok(Self::Stored { style, name, secrets: secrets.clone() }),
            (style, Some(secret)) => {
                let value = value(style, &secret.resolve()?)?;
                Ok(match secret {
                    Secret::File(_) => {
                        let held = Mounted { value, read: Instant::now(), failing: false };
                        Self::File { style, secret, current: ArcSwap::from_pointee(held) }
                    }
                    _ => Self::Fixed(name(style), value),
                })
            }
        }
    }

    pub(super) fn is_the_clients(&self) -> bool {
        matches!(self, Self::Passthrough)
    }

    pub(super) fn get(
        &self,
        provider: &str,
        dialect: Dialect,
        client: Option<&Credential>,
    ) -> Result<Option<(HeaderName, HeaderValue)>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Fixed(name, value) => Ok(Some((name.clone(), value.clone()))),
            Self::File { style, secret, current } => {
                Ok(Some((name(*style), mounted(provider, *style, secret, current))))
            }
            Self::Stored { style, name: stored, secrets } => {
                // The log says why when it begins, not for every request.
                let key = secrets.get(stored).map_err(|why| why.to_string());
                let value = key.and_then(|key| value(*style, key.expose())).map_err(|_| {
                    let message = format!("The gateway's key for `{provider}` cannot be had. Its operator finds the reason in the log.");
                    Error::new(Kind::Unavailable, message).code("provider_key_unavailable")
                })?;
                Ok(Some((name(*style), value)))
            }
            Self::Passthrough => {
                let key = client.ok_or_else(|| {
                    Error::new(
                        Kind::Unauthenticated,
                        format!("`{provider}` is asked with your own key, and none was sent. Send it where your SDK puts its API key, and the gateway's key, if it wants one, as `x-tollgate-key`."),
                    )
                    .code("missing_provider_key")
                })?;
                let style = match dialect {
                    Dialect::OpenaiChat | Dialect::OpenaiResponses => KeyStyle::Bearer,
                    Dialect::Anthropic => KeyStyle::XApiKey,
                    Dialect::Gemini => KeyStyle::XGoogApiKey,
                };
                let value = value(style, key.expose())
                    .map_err(|_| Error::invalid("The provider key is no header value."))?;
                Ok(Some((name(style), value)))
            }
        }
    }
}

/// The key in a mounted file, as it was within the last second. A file that is being replaced may be missing for a
/// moment: the old key still counts.
fn mounted(provider: &str, style: KeyStyle, secret: &Secret, current: &ArcSwap<Mounted>) -> HeaderValue {
    let held = current.load();
    if held.read.elapsed() < REREAD {
        return held.value.clone();
    }
    // The time first: what changes while the file is read is a second old at most, not more.
    let read = Instant::now();
    let (fresh, failing) = match secret.resolve().and_then(|key| value(style, &key)) {
        Ok(fresh) => (fresh, false),
        Err(why) => {
            if !held.failing {
                warn!(provider, %why, "a provider's key cannot be read again; the one read before stays");
            }
            (held.value.clone(), true)
        }
    };
    if held.failing && !failing {
        info!(provider, "a provider's key can be read again");
    }
    // Only in the place of what was there before: who has read the file longer ago must not undo what another found.
    current.compare_and_swap(&held, Arc::new(Mounted { value: fresh.clone(), read, failing }));
    fresh
}

/// What carries the credential in each style.
fn name(style: KeyStyle) -> HeaderName {
    match style {
        KeyStyle::XApiKey => X_API_KEY,
        KeyStyle::XGoogApiKey => X_GOOG_API_KEY,
        KeyStyle::Bearer | KeyStyle::None | KeyStyle::Passthrough => AUTHORIZATION,
    }
}

fn value(style: KeyStyle, key: &str) -> Result<HeaderValue, String> {
    let text = if style == KeyStyle::Bearer { format!("Bearer {key}") } else { key.to_owned() };
    let mut value =
        HeaderValue::from_str(&text).map_err(|_| "the key has characters that no header can carry")?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests;
