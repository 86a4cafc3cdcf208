//! The header that carries a provider's credential.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use tollgate_filters::authenticate::Credential;
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::exchange::Dialect;

use crate::conf::{KeyStyle, Secret};

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
        current: ArcSwap<(HeaderValue, Instant)>,
    },
}

impl KeyHeader {
    pub(super) fn new(style: KeyStyle, secret: Option<Secret>) -> Result<Self, String> {
        match (style, secret) {
            (KeyStyle::None, _) => Ok(Self::None),
            (KeyStyle::Passthrough, _) => Ok(Self::Passthrough),
            (_, None) => Err("api_key is missing".to_owned()),
            (style, Some(secret)) => {
                let value = value(style, &secret.resolve()?)?;
                Ok(match secret {
                    Secret::File(_) => {
                        Self::File { style, secret, current: ArcSwap::from_pointee((value, Instant::now())) }
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
                let (held, read) = &**current.load();
                if read.elapsed() < REREAD {
                    return Ok(Some((name(*style), held.clone())));
                }
                // A file that is being replaced may be missing for a moment: the old key still counts.
                let fresh =
                    secret.resolve().and_then(|key| value(*style, &key)).unwrap_or_else(|_| held.clone());
                current.store(Arc::new((fresh.clone(), Instant::now())));
                Ok(Some((name(*style), fresh)))
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
