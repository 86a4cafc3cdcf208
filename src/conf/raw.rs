//! The configuration as written: every key, none required, unknown ones refused with their line.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tollgate_filters::authorize::{Network, Orgs};
use tollgate_filters::budget::BudgetConf;
use tollgate_filters::catalogue::Catalogue;
use tollgate_filters::chat::Quirks;
use tollgate_filters::exchange::{Dialect, Operation, Role};
use tollgate_filters::guardrail::GuardrailConf;
use tollgate_filters::price::Prices;
use tollgate_filters::rate_limit::LimitConf;

use super::auth::RawAuth;
use super::leave::{LeaveRules, OnLeave};
use super::secret::{Secret, Secrets};
use super::units::{Size, Time};
use super::{ConfError, DEMO, ProviderConf, Server, Shield, Stores, Tls};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawConf {
    pub(super) server: RawServer,
    pub(super) providers: BTreeMap<String, RawProvider>,
    pub(super) models: BTreeMap<String, RawModel>,
    pub(super) keys: Vec<RawKey>,
    pub(super) auth: RawAuth,
    pub(super) orgs: Orgs,
    pub(super) limits: Vec<LimitConf>,
    pub(super) budgets: Vec<BudgetConf>,
    pub(super) guardrails: Vec<GuardrailConf>,
    pub(super) stores: RawStores,
    pub(super) shield: RawShield,
    pub(super) secrets: RawSecrets,
    pub(super) prices: Prices,
    pub(super) model_info: Catalogue,
}

/// Where things are kept, by URL.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawStores {
    counters: Option<String>,
    counters_deadline: Option<Time>,
    counters_lease: Option<Time>,
    replicas: Option<u32>,
}

impl RawStores {
    pub(super) fn resolve(self) -> Result<Stores, ConfError> {
        let counters = self.counters.filter(|url| url != "memory").map(|url| Secret::parse(&url));
        let time = |time: Option<Time>, default| time.map_or(Duration::from_millis(default), |t| t.0);
        if self.replicas == Some(0) {
            return Err(ConfError::new("stores.replicas must be at least 1"));
        }
        Ok(Stores {
            counters,
            counters_deadline: time(self.counters_deadline, 250),
            counters_lease: time(self.counters_lease, 30_000),
            replicas: self.replicas,
        })
    }
}

/// What an address may do before anybody looks at it closely.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawShield {
    requests: Option<u32>,
    bad_credentials: Option<u32>,
}

impl RawShield {
    pub(super) fn resolve(&self) -> Shield {
        Shield { requests: self.requests.unwrap_or(0), bad_credentials: self.bad_credentials.unwrap_or(20) }
    }
}

/// Where the master keys of the store's secrets are.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSecrets {
    master_key: Option<String>,
    previous_master_keys: Vec<String>,
}

impl RawSecrets {
    pub(super) fn resolve(self) -> Result<Secrets, ConfError> {
        Secrets::new(self.master_key.as_deref(), &self.previous_master_keys).map_err(ConfError::new)
    }
}

/// Who is asked for a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMode {
    /// Everybody, as soon as there is a key; on loopback addresses nobody until then.
    #[default]
    Auto,
    Keys,
    None,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawServer {
    listen: Option<Vec<String>>,
    admin: Option<String>,
    tls: Option<RawTls>,
    data: Option<PathBuf>,
    threads: Option<usize>,
    work_stealing: Option<bool>,
    auth: AuthMode,
    body_limit: Option<Size>,
    upload_limit: Option<Size>,
    header_timeout: Option<Time>,
    body_timeout: Option<Time>,
    write_timeout: Option<Time>,
    grace: Option<Time>,
    access_log: Option<bool>,
    keep_responses: Option<Time>,
    reasoning_memory: Option<Size>,
    keep_reasoning: Option<Time>,
    trusted_proxies: Vec<Network>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    cert: PathBuf,
    key: PathBuf,
}

impl RawServer {
    pub(super) fn resolve(self) -> Result<(Server, AuthMode), ConfError> {
        let time = |time: Option<Time>, default: u64| time.map_or(Duration::from_secs(default), |t| t.0);
        let listen = self.listen.unwrap_or_else(|| vec!["127.0.0.1:8080".to_owned()]);
        // "" switches the admin listener off.
        let admin = Some(self.admin.unwrap_or_else(|| "127.0.0.1:9090".to_owned())).filter(|a| !a.is_empty());
        if listen.is_empty() {
            return Err(ConfError::new("server.listen is empty: there is nowhere to listen"));
        }
        for (key, address) in listen.iter().map(|a| ("listen", a)).chain(admin.iter().map(|a| ("admin", a))) {
            if address.to_socket_addrs().is_err() {
                return Err(ConfError::new(format!(
                    "server.{key}: {address:?} is not an address; write it as \"127.0.0.1:8080\""
                )));
            }
        }
        if self.threads == Some(0) {
            return Err(ConfError::new("server.threads must be at least 1"));
        }
        let server = Server {
            listen,
            admin,
            tls: self.tls.map(|tls| Tls { cert: tls.cert, key: tls.key }),
            data: self.data.unwrap_or_else(|| PathBuf::from("data")),
            threads: self
                .threads
                .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into)),
            work_stealing: self.work_stealing.unwrap_or(true),
            body_limit: usize::try_from(self.body_limit.map_or(32 << 20, |s| s.0)).unwrap_or(usize::MAX),
            upload_limit: self.upload_limit.map_or(512 << 20, |s| s.0),
            header_timeout: time(self.header_timeout, 60),
            body_timeout: time(self.body_timeout, 30),
            write_timeout: time(self.write_timeout, 60),
            grace: time(self.grace, 300),
            access_log: self.access_log.unwrap_or(true),
            keep_responses: time(self.keep_responses, 30 * 24 * 3600),
            reasoning_memory: self.reasoning_memory.map_or(64 << 20, |s| s.0),
            keep_reasoning: time(self.keep_reasoning, 24 * 3600),
            trusted_proxies: self.trusted_proxies,
        };
        Ok((server, self.auth))
    }
}

/// How a provider wants its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyStyle {
    /// `Authorization: Bearer …`
    Bearer,
    XApiKey,
    XGoogApiKey,
    /// None at all: a provider of one's own.
    None,
    /// The client's own provider key, in the way that the provider's dialect sends it.
    Passthrough,
}

/// When a provider's chat streams carry usage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamUsage {
    /// When the request asks with `stream_options.include_usage`.
    #[default]
    Ask,
    Sent,
}

/// Which HTTP a provider is spoken to in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum HttpVersion {
    /// What TLS agrees on; HTTP/1.1 without TLS.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    #[serde(rename = "1")]
    One,
    /// HTTP/2, without TLS by prior knowledge (h2c).
    #[serde(rename = "2")]
    Two,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawProvider {
    pub(super) enabled: Option<bool>,
    base_url: Option<String>,
    base_url_env: Option<String>,
    api_key: Option<String>,
    auth: Option<KeyStyle>,
    api_path: Option<String>,
    dialects: Option<Vec<Dialect>>,
    models: Option<Vec<String>>,
    stream_usage: Option<StreamUsage>,
    when_client_leaves: Option<LeaveRules>,
    completions: Option<bool>,
    quirks: Option<Quirks>,
    http: Option<HttpVersion>,
    connect_timeout: Option<Time>,
    read_timeout: Option<Time>,
}

impl RawProvider {
    /// What `own` says counts, the rest stays. A base URL written down wins over the environment's.
    pub(super) fn overridden_by(self, own: Self) -> Self {
        Self {
            enabled: own.enabled.or(self.enabled),
            base_url_env: own.base_url_env.or(self.base_url_env).filter(|_| own.base_url.is_none()),
            base_url: own.base_url.or(self.base_url),
            api_key: own.api_key.or(self.api_key),
            auth: own.auth.or(self.auth),
            api_path: own.api_path.or(self.api_path),
            dialects: own.dialects.or(self.dialects),
            models: own.models.or(self.models),
            stream_usage: own.stream_usage.or(self.stream_usage),
            when_client_leaves: own.when_client_leaves.or(self.when_client_leaves),
            completions: own.completions.or(self.completions),
            quirks: own.quirks.or(self.quirks),
            http: own.http.or(self.http),
            connect_timeout: own.connect_timeout.or(self.connect_timeout),
            read_timeout: own.read_timeout.or(self.read_timeout),
        }
    }

    /// The provider, or why it is off.
    pub(super) fn resolve(self, name: &str) -> Result<Result<ProviderConf, String>, ConfError> {
        let wrong = |what: &str| ConfError::new(format!("providers.{name}: {what}"));
        if !is_name(name) {
            return Err(wrong("a name consists of a-z, 0-9, `-` and `_`, and is no version such as `v1`"));
        }
        if self.enabled == Some(false) {
            return Ok(Err("enabled = false".to_owned()));
        }
        let dialects = self.dialects.unwrap_or_else(|| vec![Dialect::OpenaiChat]);
        if dialects.is_empty() {
            return Err(wrong("dialects is empty"));
        }
        let from_env =
            self.base_url_env.and_then(|var| std::env::var(var).ok()).filter(|url| !url.is_empty());
        let base_url = match from_env.or(self.base_url) {
            Some(url) => url,
            // Filled in when the built-in listener is bound.
            None if name == DEMO => String::new(),
            None => return Err(wrong("base_url is missing")),
        };
        let api_key = self.api_key.as_deref().map(Secret::parse);
        let auth = self.auth.unwrap_or(match (&api_key, dialects[0]) {
            (None, _) => KeyStyle::None,
            (_, Dialect::Anthropic) => KeyStyle::XApiKey,
            (_, Dialect::Gemini) => KeyStyle::XGoogApiKey,
            _ => KeyStyle::Bearer,
        });
        if !matches!(auth, KeyStyle::None | KeyStyle::Passthrough) {
            let Some(secret) = &api_key else { return Err(wrong("api_key is missing")) };
            // The store is opened later, and may get what is missing while the gateway runs.
            if !matches!(secret, Secret::Store(_))
                && let Err(why) = secret.resolve()
            {
                return Ok(Err(why));
            }
        }
        let time = |time: Option<Time>, default| time.map_or(Duration::from_secs(default), |t| t.0);
        Ok(Ok(ProviderConf {
            name: name.to_owned(),
            base_url,
            api_path: self.api_path.unwrap_or_else(|| "/v1".to_owned()),
            auth,
            api_key,
            dialects,
            models: self.models.unwrap_or_default(),
            stream_usage: self.stream_usage.unwrap_or_default(),
            when_client_leaves: self.when_client_leaves.unwrap_or_default(),
            completions: self.completions.unwrap_or(true),
            quirks: self.quirks.unwrap_or_default(),
            http: self.http.unwrap_or_default(),
            connect_timeout: time(self.connect_timeout, 5),
            read_timeout: time(self.read_timeout, 600),
        }))
    }
}

/// A provider's name stands in paths and in model names.
fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let taken = ["v1", "v1beta", "v1alpha", "v1beta1", "v2", "upload", "download", "api", "admin"];
    !name.is_empty() && name.chars().all(plain) && !taken.contains(&name)
}

/// Whether every address of `listen` is one that only this machine can reach.
pub(crate) fn all_loopback(listen: &[String]) -> bool {
    listen.iter().all(|address| {
        address
            .to_socket_addrs()
            .is_ok_and(|mut addresses| addresses.all(|a: SocketAddr| a.ip().is_loopback()))
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawModel {
    #[serde(default, rename = "strategy")]
    _strategy: Strategy,
    pub(super) targets: Vec<RawTarget>,
    #[serde(default)]
    pub(super) strict: bool,
    #[serde(default)]
    pub(super) when_client_leaves: Option<OnLeave>,
}

/// In which order an alias's targets are tried.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Strategy {
    /// As they are written, each when those before it fail.
    #[default]
    Failover,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTarget {
    pub(super) provider: String,
    pub(super) model: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKey {
    pub(super) name: String,
    pub(super) key: String,
    #[serde(default)]
    pub(super) org: Option<String>,
    #[serde(default)]
    pub(super) user: Option<String>,
    #[serde(default)]
    pub(super) role: Role,
    #[serde(default)]
    pub(super) models: Vec<String>,
    #[serde(default)]
    pub(super) providers: Vec<String>,
    #[serde(default)]
    pub(super) operations: Vec<Operation>,
    #[serde(default)]
    pub(super) networks: Vec<Network>,
    #[serde(default)]
    pub(super) bridges: Vec<String>,
    #[serde(default, with = "tollgate_filters::authorize::time")]
    pub(super) expires: Option<u64>,
    #[serde(default)]
    pub(super) strict: bool,
}
