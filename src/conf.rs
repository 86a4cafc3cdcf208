//! The configuration: raw tables as written, resolved once at the edge into what the gateway runs on.

mod auth;
mod leave;
mod raw;
mod secret;
mod units;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tollgate_filters::authenticate::jwt::{IssuerConf, Issuers};
use tollgate_filters::authenticate::{Digest, digest};
use tollgate_filters::authorize::{Grant, Network, Orgs};
use tollgate_filters::budget::BudgetConf;
use tollgate_filters::catalogue::Catalogue;
use tollgate_filters::chat::Quirks;
use tollgate_filters::exchange::{Caller, DEFAULT_ORG, Dialect, Via};
use tollgate_filters::guardrail::Guardrails;
use tollgate_filters::price::Prices;
use tollgate_filters::quota::Quotas;
use tollgate_filters::rate_limit::LimitConf;
use tollgate_filters::route::{Routes, Target, Upstream};

pub use leave::{LeaveRules, OnLeave};
pub(crate) use raw::all_loopback;
pub use raw::{AuthMode, HttpVersion, KeyStyle, StreamUsage};
use raw::{RawConf, RawKey, RawModel, RawProvider};
pub use secret::{Secret, Secrets};

/// The built-in providers and prices are part of the binary, so that no file is needed.
const PROVIDERS: &str = include_str!("../conf/providers.toml");
const PRICES: &str = include_str!("../conf/prices.toml");
const MODELS: &str = include_str!("../conf/models.toml");

/// The name of the provider that needs no key and no network.
pub const DEMO: &str = "demo";

/// The order in which a provider is chosen for what names neither model nor provider.
const BUILT_IN: [&str; 7] = ["openai", "anthropic", "gemini", "groq", "mistral", "openrouter", DEMO];

/// A configuration that cannot be used: which file, and what is wrong in it.
#[derive(Debug, thiserror::Error)]
pub struct ConfError {
    file: Option<PathBuf>,
    message: String,
}

impl fmt::Display for ConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}: {}", file.display(), self.message.trim_end()),
            None => f.write_str(self.message.trim_end()),
        }
    }
}

impl ConfError {
    fn new(message: impl Into<String>) -> Self {
        Self { file: None, message: message.into() }
    }

    fn toml(error: &toml::de::Error) -> Self {
        Self::new(without_values(&error.to_string()))
    }

    fn at(mut self, file: &Path) -> Self {
        self.file = Some(file.to_owned());
        self
    }
}

/// Everything that the gateway runs on, resolved and checked.
#[derive(Debug)]
pub struct Conf {
    pub server: Server,
    pub auth: AuthMode,
    pub keys: Vec<(Digest, Arc<Caller>)>,
    /// Providers that are on, in the order in which they are preferred.
    pub providers: Vec<ProviderConf>,
    /// Known providers that are off, each with the reason.
    pub off: BTreeMap<String, String>,
    pub aliases: HashMap<String, Vec<Target>>,
    /// Aliases whose requests are refused where a translation would lose something.
    pub strict_aliases: HashSet<String>,
    /// What aliases say of clients that leave, where they say it; it wins over what their providers say.
    pub leave_aliases: HashMap<String, OnLeave>,
    /// Secrets that cannot be read now. A configuration with some is valid, but no gateway starts with it.
    pub missing: Vec<String>,
    /// The master keys of the secrets in the store.
    pub secrets: Secrets,
    pub prices: Prices,
    pub catalogue: Catalogue,
    /// Who issues tokens, and the tables that say so.
    pub issuers: Issuers,
    pub jwt: BTreeMap<String, IssuerConf>,
    pub orgs: Orgs,
    pub quotas: Quotas,
    pub guardrails: Guardrails,
    pub stores: Stores,
    pub shield: Shield,
    /// What the operator should know although it is no error.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Server {
    pub listen: Vec<String>,
    pub admin: Option<String>,
    pub tls: Option<Tls>,
    pub data: PathBuf,
    pub threads: usize,
    pub work_stealing: bool,
    pub body_limit: usize,
    pub upload_limit: u64,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub write_timeout: Duration,
    pub grace: Duration,
    pub access_log: bool,
    /// How long stored responses are kept for providers that keep none.
    pub keep_responses: Duration,
    /// How many bytes of reasoning are remembered for clients that cannot send it back, and for how long.
    pub reasoning_memory: u64,
    pub keep_reasoning: Duration,
    /// Who may say on whose behalf it asks (`X-Forwarded-For`).
    pub trusted_proxies: Vec<Network>,
}

/// Where things are kept that do not lie in the data folder.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The URL of the shared counters; without one they are in this process. It may hold a password.
    pub counters: Option<Secret>,
    /// How long a decision waits for them.
    pub counters_deadline: Duration,
    /// How long what a dead replica holds stays held.
    pub counters_lease: Duration,
    /// How many replicas there are, where they are not to be counted.
    pub replicas: Option<u32>,
}

/// How much an address may ask before anything of it is looked at closely, each in a second; 0 is no bound.
#[derive(Debug, Clone, Copy)]
pub struct Shield {
    pub requests: u32,
    pub bad_credentials: u32,
}

#[derive(Debug, Clone)]
pub struct Tls {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// One provider, as data.
#[derive(Debug, Clone)]
pub struct ProviderConf {
    pub name: String,
    pub base_url: String,
    pub api_path: String,
    pub auth: KeyStyle,
    pub api_key: Option<Secret>,
    pub dialects: Vec<Dialect>,
    pub models: Vec<String>,
    pub stream_usage: StreamUsage,
    pub when_client_leaves: LeaveRules,
    pub completions: bool,
    pub quirks: Quirks,
    pub http: HttpVersion,
    pub connect_timeout: Duration,
    pub read_timeout: Duration,
}

impl Conf {
    /// The configuration in `file`, or the embedded defaults where there is none.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfError> {
        let Some(file) = file else { return Self::parse("") };
        let text = std::fs::read_to_string(file).map_err(|e| ConfError::new(e.to_string()).at(file))?;
        Self::parse(&text).map_err(|e| e.at(file))
    }

    /// The configuration in `text`. Reads the environment where the text refers to it.
    pub fn parse(text: &str) -> Result<Self, ConfError> {
        let raw: RawConf = toml::from_str(text).map_err(|e| ConfError::toml(&e))?;
        let built_in: RawConf = toml::from_str(PROVIDERS).map_err(|e| ConfError::toml(&e))?;
        let mut prices: Prices = toml::from_str(PRICES).map_err(|e| ConfError::toml(&e))?;
        prices.extend(raw.prices);
        let mut catalogue: Catalogue = toml::from_str(MODELS).map_err(|e| ConfError::toml(&e))?;
        catalogue.extend(raw.model_info);
        let mut notes = Vec::new();
        let (providers, mut off) = providers(built_in.providers, raw.providers)?;
        let strict_aliases =
            raw.models.iter().filter(|(_, m)| m.strict).map(|(name, _)| name.clone()).collect();
        let leave_aliases =
            raw.models.iter().filter_map(|(name, m)| Some((name.clone(), m.when_client_leaves?))).collect();
        let aliases = aliases(raw.models, &providers, &mut off, &mut notes)?;
        let server = raw.server.resolve()?;
        let (keys, mut missing) = keys(raw.keys)?;
        let auth = raw.auth.resolve(&mut missing)?;
        notes.extend(auth.issuers.notes());
        let quotas = quotas(raw.limits, raw.budgets)?;
        let guardrails =
            Guardrails::new(&raw.guardrails).map_err(|e| ConfError::new(format!("guardrails: {e}")))?;
        let secrets = raw.secrets.resolve()?;
        Ok(Self {
            issuers: auth.issuers,
            jwt: auth.tables,
            orgs: raw.orgs,
            quotas,
            guardrails,
            stores: raw.stores.resolve()?,
            shield: raw.shield.resolve(),
            keys,
            missing,
            auth: server.1,
            server: server.0,
            providers,
            off,
            aliases,
            strict_aliases,
            secrets,
            leave_aliases,
            prices,
            catalogue,
            notes,
        })
    }

    /// Checks a file that is not a configuration but part of one: the price list.
    pub fn check_prices(file: &Path) -> Result<(), ConfError> {
        let text = std::fs::read_to_string(file).map_err(|e| ConfError::new(e.to_string()).at(file))?;
        toml::from_str::<Prices>(&text).map(drop).map_err(|e| ConfError::toml(&e).at(file))
    }

    /// Checks a file that is not a configuration but part of one: what is known of models.
    pub fn check_models(file: &Path) -> Result<(), ConfError> {
        let text = std::fs::read_to_string(file).map_err(|e| ConfError::new(e.to_string()).at(file))?;
        toml::from_str::<Catalogue>(&text).map(drop).map_err(|e| ConfError::toml(&e).at(file))
    }

    /// What routing needs to know of all this.
    pub fn routes(&self) -> Routes {
        let upstream = |p: &ProviderConf| Upstream {
            name: Arc::from(p.name.as_str()),
            dialects: p.dialects.iter().copied().collect(),
            models: p.models.clone(),
            catalogue: self.prices.models(&p.name).map(str::to_owned).collect(),
        };
        Routes::new(
            self.providers.iter().map(upstream).collect(),
            self.aliases.clone(),
            self.off.clone().into_iter().collect(),
        )
    }
}

type Providers = (Vec<ProviderConf>, BTreeMap<String, String>);

fn providers(
    mut built_in: BTreeMap<String, RawProvider>,
    configured: BTreeMap<String, RawProvider>,
) -> Result<Providers, ConfError> {
    let demo_asked = configured.get(DEMO).is_some_and(|demo| demo.enabled != Some(false));
    let mut order: Vec<String> = BUILT_IN.iter().map(|name| (*name).to_owned()).collect();
    order.extend(configured.keys().filter(|name| !BUILT_IN.contains(&name.as_str())).cloned());
    for (name, own) in configured {
        let merged = built_in.remove(&name).unwrap_or_default().overridden_by(own);
        built_in.insert(name, merged);
    }
    let (mut on, mut off) = (Vec::new(), BTreeMap::new());
    for name in order {
        let Some(raw) = built_in.remove(&name) else { continue };
        if name == DEMO && !demo_asked && !on.is_empty() {
            off.insert(name, "a real provider is on, and no [providers.demo] asks for it".to_owned());
            continue;
        }
        match raw.resolve(&name)? {
            Ok(provider) => on.push(provider),
            Err(why) => {
                off.insert(name, why);
            }
        }
    }
    // The demo stands before custom providers in the order; it yields to them as to the others.
    if !demo_asked && on.iter().any(|p| p.name != DEMO) && on.iter().any(|p| p.name == DEMO) {
        on.retain(|p| p.name != DEMO);
        off.insert(DEMO.to_owned(), "a real provider is on, and no [providers.demo] asks for it".to_owned());
    }
    Ok((on, off))
}

/// The targets of each alias. One that has none left is off, with the reasons.
fn aliases(
    models: BTreeMap<String, RawModel>,
    providers: &[ProviderConf],
    off: &mut BTreeMap<String, String>,
    notes: &mut Vec<String>,
) -> Result<HashMap<String, Vec<Target>>, ConfError> {
    let mut aliases = HashMap::new();
    for (alias, model) in models {
        let (mut targets, mut reasons) = (Vec::new(), Vec::new());
        for target in &model.targets {
            if let Some(provider) = providers.iter().position(|p| p.name == target.provider) {
                targets.push(Target { provider, model: Some(Arc::from(target.model.as_str())) });
            } else if let Some(why) = off.get(&target.provider) {
                notes.push(format!("models.{alias:?}: target {} is left out: {why}", target.provider));
                reasons.push(format!("{}: {why}", target.provider));
            } else {
                return Err(ConfError::new(format!(
                    "models.{alias:?}: there is no provider {:?}; add [providers.{}]",
                    target.provider, target.provider
                )));
            }
        }
        if model.targets.is_empty() {
            return Err(ConfError::new(format!("models.{alias:?}: targets is empty")));
        }
        if targets.is_empty() {
            off.insert(alias, format!("it has no target that is on ({})", reasons.join("; ")));
        } else {
            aliases.insert(alias, targets);
        }
    }
    Ok(aliases)
}

/// An error of the parser shows the line that it is about. The value in it may be a secret.
fn without_values(error: &str) -> String {
    let line = |line: &str| match line.split_once(" | ") {
        Some((number, source)) if number.trim_start().parse::<usize>().is_ok() => {
            match source.split_once('=') {
                Some((key, _)) => format!("{number} | {key}= …\n"),
                None if source.contains(['"', '\'']) && !source.trim_start().starts_with('[') => {
                    format!("{number} | …\n")
                }
                None => format!("{line}\n"),
            }
        }
        _ => format!("{line}\n"),
    };
    error.lines().map(line).collect()
}

type Keys = Vec<(Digest, Arc<Caller>)>;

/// The static keys, and what of them cannot be read.
fn keys(raw: Vec<RawKey>) -> Result<(Keys, Vec<String>), ConfError> {
    let (mut keys, mut missing): (Keys, _) = (Vec::new(), Vec::new());
    for key in raw {
        let name = key.name;
        let secret = match Secret::parse(&key.key).resolve() {
            Ok(secret) => secret,
            Err(why) => {
                missing.push(format!("keys: the key {name:?} cannot be read: {why}"));
                continue;
            }
        };
        if secret.len() < 16 {
            return Err(ConfError::new(format!(
                "keys: the key {name:?} is shorter than 16 characters; that can be guessed"
            )));
        }
        let caller = Caller {
            org: Arc::from(key.org.as_deref().unwrap_or(DEFAULT_ORG)),
            user: key.user.map(Arc::from),
            via: Via::Key(Arc::from(name.as_str())),
            role: key.role,
            grant: Grant {
                models: key.models,
                providers: key.providers,
                operations: key.operations,
                networks: key.networks,
                bridges: key.bridges,
                expires: key.expires,
            },
            strict: key.strict,
        };
        let digest = digest(&secret);
        if let Some((_, other)) =
            keys.iter().find(|(d, c)| *d == digest || c.key().is_some_and(|key| **key == *name))
        {
            let other = other.key().map_or("", |key| &**key);
            return Err(ConfError::new(format!(
                "keys: {name:?} and {other:?} have the same name or the same key"
            )));
        }
        keys.push((digest, Arc::new(caller)));
    }
    Ok((keys, missing))
}

/// Limits and budgets; an error says which table is wrong.
fn quotas(limits: Vec<LimitConf>, budgets: Vec<BudgetConf>) -> Result<Quotas, ConfError> {
    let wrong =
        |kind: &str, index: usize, why: String| ConfError::new(format!("{kind} number {}: {why}", index + 1));
    let (mut all_limits, mut all_budgets) = (Vec::new(), Vec::new());
    for (index, limit) in limits.into_iter().enumerate() {
        all_limits.extend(limit.resolve().map_err(|why| wrong("limits", index, why))?);
    }
    for (index, budget) in budgets.into_iter().enumerate() {
        all_budgets.push(budget.resolve().map_err(|why| wrong("budgets", index, why))?);
    }
    Quotas::new(all_limits, all_budgets).map_err(|why| ConfError::new(format!("limits and budgets: {why}")))
}

#[cfg(test)]
mod tests;
