//! A provider is data: where it is, how it is asked, and how it wants its credential.

mod address;
mod credential;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, Uri};
use http::{HeaderName, HeaderValue};
use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;
use tollgate_filters::authenticate::Credential;
use tollgate_filters::chat::Quirks;
use tollgate_filters::error::{Error, Kind};
use tollgate_filters::exchange::{Dialect, Dialects, Operation};

use crate::conf::{HttpVersion, LeaveRules, OnLeave, ProviderConf, StreamUsage};
use crate::store::SecretsDirectory;
use address::Address;
pub use credential::{KeyHeader, X_API_KEY, X_GOOG_API_KEY};

#[derive(Debug)]
pub struct Provider {
    pub name: Arc<str>,
    name_header: HeaderValue,
    /// `scheme://authority` and the path in front of the API, for links that it hands out.
    origin: String,
    host: HeaderValue,
    address: Address,
    /// What every connection to it has in common; the address is filled in per attempt.
    tls: bool,
    sni: String,
    alpn: ALPN,
    h2_streams: usize,
    connect_timeout: Duration,
    read_timeout: Duration,
    /// The path in front of `api_path`, usually empty.
    root: String,
    api_path: String,
    key: KeyHeader,
    stream_usage: StreamUsage,
    when_client_leaves: LeaveRules,
    pub dialects: Dialects,
    /// Whether it has OpenAI's older completions.
    completions: bool,
    pub quirks: Quirks,
}

/// Connections to HTTP/2 providers carry up to this many exchanges at a time, the usual server limit.
const H2_STREAMS: usize = 100;

/// How long an idle connection to a provider is kept. Providers close theirs after 60 s and more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(55);

impl Provider {
    /// `secrets` is where a key given as `store:NAME` comes from.
    pub fn new(conf: &ProviderConf, secrets: &Arc<SecretsDirectory>) -> Result<Self, String> {
        let wrong = |what: &str| format!("providers.{}: base_url {:?} {what}", conf.name, conf.base_url);
        let uri: Uri = conf.base_url.parse().map_err(|_| wrong("is not a URL"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("must begin with https:// or http://")),
        };
        let authority: &Authority = uri.authority().ok_or_else(|| wrong("names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("must not hold a credential; use api_key"));
        }
        let root = without_version(uri.path().trim_end_matches('/'), &conf.api_path).to_owned();
        let host = authority.host().trim_matches(['[', ']']);
        let alpn = match (conf.http, tls) {
            (HttpVersion::One, _) | (HttpVersion::Auto, false) => ALPN::H1,
            (HttpVersion::Two, _) => ALPN::H2,
            (HttpVersion::Auto, true) => ALPN::H2H1,
        };
        Ok(Self {
            name: Arc::from(conf.name.as_str()),
            name_header: HeaderValue::from_str(&conf.name).map_err(|e| e.to_string())?,
            origin: format!("{}://{authority}{root}", if tls { "https" } else { "http" }),
            host: HeaderValue::from_str(authority.as_str()).map_err(|e| e.to_string())?,
            address: Address::new(host, authority.port_u16().unwrap_or(if tls { 443 } else { 80 })),
            tls,
            sni: host.to_owned(),
            alpn,
            h2_streams: H2_STREAMS,
            connect_timeout: conf.connect_timeout,
            read_timeout: conf.read_timeout,
            root,
            api_path: conf.api_path.clone(),
            key: KeyHeader::new(conf.auth, conf.api_key.clone(), secrets)
                .map_err(|why| format!("providers.{}: {why}", conf.name))?,
            stream_usage: conf.stream_usage,
            when_client_leaves: conf.when_client_leaves.clone(),
            dialects: conf.dialects.iter().copied().collect(),
            completions: conf.completions,
            quirks: conf.quirks,
        })
    }

    /// Where to connect for one attempt.
    pub async fn peer(&self) -> Result<Box<HttpPeer>, Error> {
        let address = self.address.current().await.map_err(|why| {
            Error::new(Kind::BadGateway, format!("The provider `{}` cannot be found: {why}.", self.name))
        })?;
        let mut peer = HttpPeer::new(address, self.tls, self.sni.clone());
        peer.options.alpn = self.alpn.clone();
        peer.options.max_h2_streams = self.h2_streams;
        peer.options.connection_timeout = Some(self.connect_timeout);
        peer.options.total_connection_timeout = Some(self.connect_timeout * 2);
        peer.options.read_timeout = Some(self.read_timeout);
        peer.options.idle_timeout = Some(IDLE_TIMEOUT);
        Ok(Box::new(peer))
    }

    /// The address just tried does not take connections: the next attempt takes another, if there is one.
    pub fn address_failed(&self) {
        self.address.rotate();
    }

    /// The path to ask it for. `native` says whether `path` stood behind the provider's own prefix and
    /// so is already its own.
    pub fn path<'a>(&'a self, path: &'a str, dialect: Dialect, native: bool) -> Cow<'a, str> {
        let api_path = if dialect == Dialect::Gemini || native && path.starts_with(&self.api_path) {
            // Gemini's clients choose the version themselves.
            None
        } else {
            // Behind a prefix, too, `/v1/…` means the provider's API: that is what OpenAI's SDK sends.
            path.strip_prefix("/v1")
                .filter(|rest| rest.starts_with('/'))
                .map(|rest| (self.api_path.as_str(), rest))
        };
        match api_path {
            Some((api_path, rest)) => Cow::Owned(format!("{}{api_path}{rest}", self.root)),
            None if self.root.is_empty() => Cow::Borrowed(path),
            None => Cow::Owned(format!("{}{path}", self.root)),
        }
    }

    /// A link of the provider's to itself, turned into one through the gateway.
    pub fn own_link<'a>(&self, link: &'a str) -> Option<&'a str> {
        link.strip_prefix(&self.origin).filter(|path| path.starts_with('/'))
    }

    pub fn host(&self) -> &HeaderValue {
        &self.host
    }

    pub fn name_header(&self) -> &HeaderValue {
        &self.name_header
    }

    /// The credential header for an attempt; `client` is the client's own provider key.
    pub fn key_header(
        &self,
        dialect: Dialect,
        client: Option<&Credential>,
    ) -> Result<Option<(HeaderName, HeaderValue)>, Error> {
        self.key.get(&self.name, dialect, client)
    }

    /// Whether it does `operation` when asked in `dialect`.
    pub fn speaks(&self, dialect: Dialect, operation: Operation) -> bool {
        let there = match operation {
            Operation::Completions => self.completions,
            Operation::CountTokens => self.counts(dialect),
            _ => true,
        };
        there && self.dialects.speak(dialect, operation)
    }

    /// Whether it has OpenAI's Responses and keeps them itself.
    pub fn keeps_responses(&self) -> bool {
        self.dialects.contains(Dialect::OpenaiResponses) && !self.quirks.stateless_responses
    }

    /// Whether it is asked with the client's own provider key.
    pub fn takes_the_clients_key(&self) -> bool {
        self.key.is_the_clients()
    }

    /// Whether it counts tokens when asked in `dialect`. Chat Completions has no such operation, and who keeps no
    /// responses does not count for them either.
    pub fn counts(&self, dialect: Dialect) -> bool {
        let has = match dialect {
            Dialect::OpenaiChat => false,
            Dialect::OpenaiResponses => !self.quirks.stateless_responses,
            Dialect::Anthropic | Dialect::Gemini => true,
        };
        has && self.dialects.contains(dialect)
    }

    /// What becomes of a call for `model` whose client has left.
    pub fn when_client_leaves(&self, model: Option<&str>, stream: bool) -> OnLeave {
        self.when_client_leaves.of(model, stream)
    }

    /// Whether its chat streams carry usage only when asked.
    pub fn must_be_asked_for_usage(&self) -> bool {
        self.stream_usage == StreamUsage::Ask
    }
}

/// `base` without the end of it that is a beginning of `api_path`: SDKs take a base URL with the
/// version, without it, or with half of it (`/openai` of `/openai/v1`).
fn without_version<'a>(base: &'a str, api_path: &str) -> &'a str {
    let segment_ends = api_path.match_indices('/').map(|(at, _)| at).skip(1).chain([api_path.len()]);
    let mut ends: Vec<usize> = segment_ends.collect();
    ends.reverse();
    ends.into_iter().find_map(|end| base.strip_suffix(&api_path[..end])).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::Conf;

    fn provider(name: &str, base_url: &str) -> Provider {
        let conf =
            Conf::parse(&format!("[providers.{name}]\nbase_url = '{base_url}'\napi_key = 'sk-x'\n")).unwrap();
        Provider::new(conf.providers.iter().find(|p| p.name == name).unwrap(), &Arc::default()).unwrap()
    }

    #[test]
    fn a_base_url_may_carry_its_version_or_not() {
        for (name, base_url, path) in [
            ("openai", "https://a", "/v1/chat/completions"),
            ("openai", "https://a/v1/", "/v1/chat/completions"),
            ("groq", "https://a", "/openai/v1/chat/completions"),
            ("groq", "https://a/openai", "/openai/v1/chat/completions"),
            ("groq", "https://a/openai/v1", "/openai/v1/chat/completions"),
            ("openrouter", "https://a/api/v1", "/api/v1/chat/completions"),
            ("mine", "http://a:8000/proxy/v1", "/proxy/v1/chat/completions"),
            ("mine", "http://a:8000/proxy", "/proxy/v1/chat/completions"),
        ] {
            let provider = provider(name, base_url);
            assert_eq!(provider.path("/v1/chat/completions", Dialect::OpenaiChat, false), path, "{base_url}");
        }
    }

    #[test]
    fn behind_its_prefix_a_provider_has_its_own_paths() {
        let groq = provider("groq", "https://a");
        for path in ["/openai/v1/models", "/v1/models"] {
            assert_eq!(groq.path(path, Dialect::OpenaiChat, true), "/openai/v1/models");
        }
        assert_eq!(groq.path("/other", Dialect::OpenaiChat, true), "/other");
        let gemini = provider("gemini", "https://a/v1beta");
        assert_eq!(
            gemini.path("/v1/models/x:generateContent", Dialect::Gemini, false),
            "/v1/models/x:generateContent"
        );
    }

    #[test]
    fn its_own_links_are_known() {
        let gemini = provider("gemini", "https://a.example");
        assert_eq!(gemini.own_link("https://a.example/upload/x?y=1"), Some("/upload/x?y=1"));
        assert_eq!(gemini.own_link("https://a.example.evil/upload"), None);
        assert_eq!(gemini.own_link("https://b/upload"), None);
    }

    #[test]
    fn a_base_url_that_is_none_is_refused() {
        for url in ["ftp://a", "a", "https://", "https://user:pass@a"] {
            let conf = Conf::parse(&format!("[providers.x]\nbase_url = '{url}'\n")).unwrap();
            assert!(Provider::new(conf.providers.last().unwrap(), &Arc::default()).is_err(), "{url}");
        }
    }
}
