//! The gateway: what all exchanges share, and how it becomes services of a Pingora server.

use std::collections::{HashMap, HashSet};
use std::net::ToSocketAddrs as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rust_decimal::Decimal;
use tollgate_filters::Chain;
use tollgate_filters::authenticate::Keys;
use tollgate_filters::catalogue::Catalogue;
use tollgate_filters::exchange::Caller;
use tollgate_filters::ports::Counters;
use tollgate_filters::price::Prices;
use tollgate_filters::quota::{Books, Quotas};
use tollgate_filters::usage::Reported;

use crate::conf::{AuthMode, Conf, DEMO, OnLeave, Secret, Server, Stores, all_loopback};
use crate::demo;
use crate::jwks::{self, Jwks};
use crate::links::Links;
use crate::provider::Provider;
use crate::proxy::Shield;
use crate::store::{
    KeyDirectory, KeyStore, LedgerStats, MasterKeys, MemoryCounters, MemoryLimits, ReasoningMemory,
    RedisConf, RedisCounters, RedisStats, Replica, ResponsesStats, SecretStore, SecretsDirectory,
    SqliteLedger, SqliteResponses, StoreError, for_each_entry,
};
use crate::telemetry::{BudgetWatch, Metrics, Record, Recorder};

/// What keeps a gateway from starting, in words for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{0}")]
    Conf(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{what}: {source}")]
    Io { what: &'static str, source: std::io::Error },
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// What all exchanges share. Made once; it starts the threads that book what exchanges used.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) server: Server,
    pub(crate) chain: Chain,
    pub(crate) providers: Vec<Provider>,
    pub(crate) prices: Prices,
    pub(crate) catalogue: Catalogue,
    pub(crate) reasonings: ReasoningMemory,
    pub(crate) responses: SqliteResponses,
    /// Aliases whose requests are refused where a translation would lose something.
    pub(crate) strict_aliases: HashSet<String>,
    /// Issuers of tokens, where there are any.
    pub(crate) jwks: Option<Jwks>,
    pub(crate) counters: Arc<dyn Counters>,
    pub(crate) budgets: BudgetWatch,
    pub(crate) shield: Shield,
    /// What aliases say of clients that leave.
    pub(crate) leave_aliases: HashMap<String, OnLeave>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) links: Links,
    /// The counters, where they are shared.
    redis: Option<Arc<RedisCounters>>,
    recorder: Recorder,
    ledger: Arc<SqliteLedger>,
    _replica: Replica,
    draining: AtomicBool,
    /// Held while the stores are being closed: who comes second waits for the first.
    closing: Mutex<()>,
    open: bool,
}

impl Gateway {
    /// Opens the stores, reads the keys and gets everything ready to serve what `conf` describes.
    pub fn new(mut conf: Conf) -> Result<Arc<Self>, StartError> {
        if let Some(missing) = conf.missing.first() {
            return Err(StartError::Conf(missing.clone()));
        }
        if let Some(provider) = conf.providers.iter().find(|p| points_at(&p.base_url, &conf.server.listen)) {
            return Err(StartError::Conf(format!(
                "providers.{}: base_url {:?} is this gateway itself, which would ask itself for ever",
                provider.name, provider.base_url
            )));
        }
        if let Some(demo) = conf.providers.iter_mut().find(|p| p.name == DEMO && p.base_url.is_empty()) {
            demo.base_url = start_demo()?;
        }
        let secrets = follow_secrets(&conf)?;
        let providers = conf
            .providers
            .iter()
            .map(|provider| Provider::new(provider, &secrets))
            .collect::<Result<Vec<_>, _>>()
            .map_err(StartError::Conf)?;
        let routes = conf.routes();
        let directory = follow_keys(&conf)?;
        let anyone = Arc::new(Caller::anonymous());
        let keys = match conf.auth {
            AuthMode::None => Keys::Open(anyone),
            AuthMode::Keys => Keys::Required(directory),
            // Who wrote down an issuer means that tokens are asked for.
            AuthMode::Auto if !conf.issuers.is_empty() => Keys::Required(directory),
            AuthMode::Auto if all_loopback(&conf.server.listen) => Keys::WhenPresent(anyone, directory),
            AuthMode::Auto if tollgate_filters::ports::Directory::has_keys(&*directory) => {
                Keys::Required(directory)
            }
            AuthMode::Auto => {
                return Err(StartError::Conf(format!(
                    "{} can be reached from other machines, and there is no gateway key: anybody could spend your money. Make one with `tollgate keys create --name NAME`, add a [[keys]] table, or write down `auth = \"none\"` under [server].",
                    conf.server.listen.join(", ")
                )));
            }
        };
        let open = match &keys {
            Keys::Open(_) => true,
            Keys::WhenPresent(_, directory) => !directory.has_keys(),
            Keys::Required(_) => false,
        };
        let known = conf.providers.iter().flat_map(|p| conf.prices.models(&p.name));
        let aliased = conf.aliases.values().flatten().filter_map(|t| t.model.as_deref());
        let metrics = Arc::new(Metrics::new(
            known.chain(aliased).chain([DEMO]).map(str::to_owned).collect(),
            &providers,
        )?);
        let ledger = Arc::new(SqliteLedger::open(&conf.server.data)?);
        let issuers = (!conf.issuers.is_empty()).then(|| Arc::new(conf.issuers));
        let jwks = issuers.map(Jwks::start).transpose().map_err(StartError::Conf)?;
        let replica = Replica::open(&conf.server.data)?;
        let redis = connect_counters(&conf.stores, &replica)?;
        let counters: Arc<dyn Counters> = match &redis {
            Some(redis) => redis.clone(),
            None => counters_here()?,
        };
        restore(&conf.quotas, &conf.server.data, &replica, &*counters)?;
        let responses = SqliteResponses::open(&conf.server.data, conf.server.keep_responses)?;
        let reasonings = ReasoningMemory::new(MemoryLimits {
            bytes: usize::try_from(conf.server.reasoning_memory).unwrap_or(usize::MAX),
            life: conf.server.keep_reasoning,
        });
        let recorder = Recorder::start(metrics.clone(), ledger.clone(), conf.server.access_log)
            .map_err(|source| StartError::Io { what: "the recorder's thread", source })?;
        Ok(Arc::new(Self {
            chain: Chain { keys, orgs: conf.orgs, routes, quotas: conf.quotas, guardrails: conf.guardrails },
            jwks,
            redis,
            counters,
            _replica: replica,
            budgets: BudgetWatch::new(metrics.clone()),
            shield: Shield::new(conf.shield),
            providers,
            prices: conf.prices,
            catalogue: conf.catalogue,
            reasonings,
            responses,
            strict_aliases: conf.strict_aliases,
            leave_aliases: conf.leave_aliases,
            server: conf.server,
            metrics,
            links: Links::default(),
            recorder,
            ledger,
            draining: AtomicBool::new(false),
            closing: Mutex::new(()),
            open,
        }))
    }

    /// Whether nobody is asked for a key.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// What `reported` cost an organisation with a provider: by its own prices, where it has some.
    pub(crate) fn cost<'a>(
        &self,
        org: &str,
        provider: usize,
        models: impl IntoIterator<Item = &'a str> + Clone,
        reported: &Reported,
    ) -> Option<Decimal> {
        let provider = self.providers.get(provider)?;
        let own = self.chain.orgs.get(org).map(|org| &org.prices).filter(|prices| !prices.is_empty());
        let own = own.and_then(|prices| prices.cost(&provider.name, models.clone(), reported));
        own.or_else(|| self.prices.cost(&provider.name, models, reported))
    }

    pub(crate) fn record(&self, record: Record) {
        self.recorder.record(record);
    }

    pub(crate) fn ledger_stats(&self) -> LedgerStats {
        self.ledger.stats()
    }

    pub(crate) fn responses_stats(&self) -> ResponsesStats {
        self.responses.stats()
    }

    /// How the shared counters are doing, where there are any.
    pub(crate) fn redis_stats(&self) -> Option<RedisStats> {
        self.redis.as_ref().map(|redis| redis.stats())
    }

    /// How issuers that publish their keys are doing.
    pub(crate) fn issuers(&self) -> Vec<jwks::Stats> {
        self.jwks.as_ref().map(Jwks::stats).unwrap_or_default()
    }

    /// Exchanges under way.
    pub fn in_flight(&self) -> i64 {
        self.metrics.in_flight.get()
    }

    /// From now on the gateway says that it is not ready.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Books what is left. To be called when no exchange is under way any more. Whoever calls it while it is being done
    /// waits until it is done: a process that ends in between would lose rows.
    pub fn close(&self) {
        let _closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
        self.recorder.close();
        self.ledger.close();
        if let Some(redis) = &self.redis {
            redis.close();
        }
        self.responses.close();
    }
}

/// Brings limits and budgets up to what the ledger says was used.
fn restore(
    quotas: &Quotas,
    data: &Path,
    replica: &Replica,
    counters: &dyn Counters,
) -> Result<(), StartError> {
    let io = |source| StartError::Io { what: "reading the ledger for limits and budgets", source };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut books = Books::new(quotas, u64::try_from(now).unwrap_or(u64::MAX));
    let Some(since) = books.since().filter(|_| replica.keeps_the_books) else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io)?;
    runtime.block_on(for_each_entry(data, since, |entry| books.add(entry)))?;
    counters.restore(books.close());
    Ok(())
}

/// The shared counters, if the configuration names some.
fn connect_counters(stores: &Stores, replica: &Replica) -> Result<Option<Arc<RedisCounters>>, StartError> {
    let Some(url) = &stores.counters else { return Ok(None) };
    let wrong = |why: &dyn std::fmt::Display| StartError::Conf(format!("stores.counters: {why}"));
    let url = url.resolve().map_err(|why| wrong(&why))?;
    let conf = RedisConf {
        deadline: stores.counters_deadline,
        lease_ttl: stores.counters_lease,
        replicas: stores.replicas.map(u64::from),
        ..RedisConf::new(replica.id.clone())
    };
    RedisCounters::connect(&url, conf).map(Some).map_err(|why| wrong(&why))
}

/// Counters in this process. The idle ones are forgotten now and then, on a thread of its own.
fn counters_here() -> Result<Arc<MemoryCounters>, StartError> {
    const PAUSE: Duration = Duration::from_secs(10);
    let counters = Arc::<MemoryCounters>::default();
    let theirs = Arc::downgrade(&counters);
    let sweep = move || {
        while let Some(counters) = theirs.upgrade() {
            counters.sweep();
            drop(counters);
            std::thread::sleep(PAUSE);
        }
    };
    let thread = std::thread::Builder::new().name("counters".to_owned()).spawn(sweep);
    thread.map_err(|source| StartError::Io { what: "the thread that sweeps the counters", source })?;
    Ok(counters)
}

/// Whether `base_url` leads to one of the addresses in `listen`: an SDK's `OPENAI_BASE_URL`, read by the
/// gateway as well, would do that.
fn points_at(base_url: &str, listen: &[String]) -> bool {
    let Ok(uri) = base_url.parse::<http::Uri>() else { return false };
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    listen.iter().filter_map(|address| address.to_socket_addrs().ok()).flatten().any(|own| {
        let same_host =
            own.ip().to_string() == host || local && (own.ip().is_loopback() || own.ip().is_unspecified());
        own.port() == port && same_host
    })
}

/// Reads the stored keys, and keeps up with them on a thread of its own.
fn follow_keys(conf: &Conf) -> Result<Arc<KeyDirectory>, StartError> {
    let io = |source| StartError::Io { what: "the thread that follows the gateway keys", source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(io)?;
    let (directory, store) = runtime.block_on(async {
        let mut store = KeyStore::open(&conf.server.data).await?;
        let directory = KeyDirectory::open(conf.keys.clone(), &mut store).await?;
        Ok::<_, StoreError>((Arc::new(directory), store))
    })?;
    let follower = directory.clone();
    std::thread::Builder::new()
        .name("keys".to_owned())
        .spawn(move || runtime.block_on(follower.follow(store)))
        .map_err(io)?;
    Ok(directory)
}

/// Reads the secrets if a provider's key is one, and keeps up with them on a thread of its own.
fn follow_secrets(conf: &Conf) -> Result<Arc<SecretsDirectory>, StartError> {
    let stored = |secret: &Option<Secret>| match secret {
        Some(Secret::Store(name)) => Some(name.clone()),
        _ => None,
    };
    let named: Vec<_> = conf.providers.iter().filter_map(|p| Some((&p.name, stored(&p.api_key)?))).collect();
    if named.is_empty() {
        return Ok(Arc::default());
    }
    let (current, previous) = conf.secrets.read().map_err(StartError::Conf)?;
    let keys = MasterKeys::parse(current.as_deref(), &previous)?;
    let io = |source| StartError::Io { what: "the thread that follows the secrets", source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(io)?;
    let (directory, store) = runtime.block_on(async {
        let mut store = SecretStore::open(&conf.server.data, keys).await?;
        Ok::<_, StoreError>((Arc::new(SecretsDirectory::open(&mut store).await?), store))
    })?;
    for (provider, name) in named {
        if let Err(why) = directory.get(&name) {
            tracing::warn!(provider, %why, "a provider has no key, and is not asked until there is one");
        }
    }
    let follower = directory.clone();
    std::thread::Builder::new()
        .name("secrets".to_owned())
        .spawn(move || runtime.block_on(follower.follow(store)))
        .map_err(io)?;
    Ok(directory)
}

/// Starts the built-in provider on a loopback port of its own; returns its base URL.
fn start_demo() -> Result<String, StartError> {
    let io = |source| StartError::Io { what: "the demo provider", source };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(io)?;
    listener.set_nonblocking(true).map_err(io)?;
    let address = listener.local_addr().map_err(io)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(io)?;
    let spawn = std::thread::Builder::new().name("demo".to_owned()).spawn(move || {
        runtime.block_on(async {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => demo::serve(listener).await,
                Err(why) => tracing::error!(%why, "the demo provider cannot listen"),
            }
        });
    });
    spawn.map_err(io)?;
    Ok(format!("http://{address}"))
}

/// How often a draining gateway looks whether it is idle.
pub(crate) const DRAIN_POLL: Duration = Duration::from_millis(20);
