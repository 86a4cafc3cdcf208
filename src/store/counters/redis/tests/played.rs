//! What the tests with whole replicas share: leases, a load that counts what it may, and its books.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicU64};

use super::support::RedisServer;
use super::*;

pub const DEADLINE: Duration = Duration::from_millis(250);
/// What a decision may take beyond its deadline on a machine that is busy.
pub const SLACK: Duration = Duration::from_millis(150);

pub fn conf(replica: &str) -> RedisConf {
    RedisConf { deadline: DEADLINE, ..RedisConf::new(replica) }
}

pub fn connect(url: &str, replica: &str) -> Arc<RedisCounters> {
    RedisCounters::connect(url, conf(replica)).unwrap()
}

pub fn key_of(rule: u64, value: &str) -> Key {
    Key { rule: RuleId(rule), values: [Arc::from(value)].into_iter().collect() }
}

pub fn charge(rule: u64, take: Take) -> Charge {
    Charge { key: key_of(rule, "u"), take }
}

pub fn units(rate: Rate, units: u64) -> Charge {
    charge(1, Take::Units { rate, units })
}

pub fn place(places: u32) -> Charge {
    charge(2, Take::Place { places })
}

pub const FOREVER: Window = Window { start: 0, end: u64::MAX };

pub fn money(budget: Decimal, amount: Decimal) -> Charge {
    charge(3, Take::Money { budget, window: FOREVER, amount })
}

pub fn lease(org: &str, charges: Vec<Charge>) -> Lease {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let exchange = u128::from(NEXT.fetch_add(1, Ordering::SeqCst));
    Lease { id: LeaseId { exchange, part: 0 }, org: Arc::from(org), charges }
}

pub async fn reserve(counters: &RedisCounters, lease: &Lease) -> Outcome {
    counters.reserve(&[lease]).await
}

pub fn settle(counters: &RedisCounters, lease: Lease, used: &[Used]) {
    counters.settle(Settlement { lease, used: used.to_vec() });
}

/// A rate that drains nothing during a test.
pub fn still(burst: u64) -> Rate {
    Rate::new(1, Duration::from_secs(86_400 * 10), burst).unwrap()
}

/// What all replicas see, once they agree that `right`.
pub async fn eventually(
    counters: &RedisCounters,
    org: &str,
    charges: &[Charge],
    right: impl Fn(&[State]) -> bool,
) {
    let mut last = None;
    for _ in 0..400 {
        let look = lease(org, charges.to_vec());
        let outcome = reserve(counters, &look).await;
        if outcome.denied.is_none() {
            let nothing: Vec<_> = charges
                .iter()
                .map(|charge| match charge.take {
                    Take::Units { .. } => Used::Units(0),
                    Take::Place { .. } => Used::AsReserved,
                    Take::Money { .. } => Used::Money(Decimal::ZERO),
                })
                .collect();
            settle(counters, look, &nothing);
        }
        if !outcome.degraded && right(&outcome.states) {
            return;
        }
        last = Some(outcome);
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it never came right: {last:?}");
}

/// Exchanges that hold a place and money for a moment and then use some of it.
pub struct Load {
    pub stop: Arc<AtomicBool>,
    pub books: Arc<LoadBooks>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

#[derive(Default)]
pub struct LoadBooks {
    /// Trillionths.
    pub spent: AtomicI64,
    pub now: AtomicI64,
    pub most: AtomicI64,
    pub passed: AtomicU64,
    pub denied: AtomicU64,
    pub degraded: AtomicU64,
    /// Microseconds that the slowest decision took.
    pub slowest: AtomicU64,
}

impl Load {
    pub fn start(replicas: &[Arc<RedisCounters>], tasks: usize, orgs: usize, charges: &[Charge]) -> Self {
        let (stop, books) = (Arc::new(AtomicBool::new(false)), Arc::new(LoadBooks::default()));
        let tasks = (0..tasks)
            .map(|task| {
                let counters = replicas[task % replicas.len()].clone();
                let (stop, books, charges) = (stop.clone(), books.clone(), charges.to_vec());
                tokio::spawn(async move {
                    let org = format!("org {}", task % orgs);
                    let mut random = task as u64 + 1;
                    while !stop.load(Ordering::SeqCst) {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        exchange(&counters, &books, lease(&org, charges.clone()), random >> 33).await;
                    }
                })
            })
            .collect();
        Self { stop, books, tasks }
    }

    pub async fn run_for(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    pub async fn end(self) -> Arc<LoadBooks> {
        self.stop.store(true, Ordering::SeqCst);
        for task in self.tasks {
            task.await.unwrap();
        }
        self.books
    }
}

async fn exchange(counters: &RedisCounters, books: &LoadBooks, lease: Lease, random: u64) {
    let start = std::time::Instant::now();
    let outcome = reserve(counters, &lease).await;
    books.slowest.fetch_max(u64::try_from(start.elapsed().as_micros()).unwrap(), Ordering::SeqCst);
    books.degraded.fetch_add(u64::from(outcome.degraded), Ordering::SeqCst);
    if outcome.denied.is_some() {
        books.denied.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(1)).await;
        return;
    }
    let now = books.now.fetch_add(1, Ordering::SeqCst) + 1;
    books.most.fetch_max(now, Ordering::SeqCst);
    books.passed.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_micros(random % 4_000)).await;
    let used: Vec<_> = lease
        .charges
        .iter()
        .map(|charge| match charge.take {
            Take::Units { units, .. } => Used::Units(units),
            Take::Place { .. } => Used::AsReserved,
            Take::Money { amount, .. } => {
                let reserved = amount * Decimal::from(1_000_000_000_000_u64);
                let used = i64::try_from(reserved.mantissa() / 10_i128.pow(reserved.scale())).unwrap();
                let used = i64::try_from(random).unwrap() * 7_919 % (used + 1);
                books.spent.fetch_add(used, Ordering::SeqCst);
                Used::Money(Decimal::new(used, 12))
            }
        })
        .collect();
    books.now.fetch_sub(1, Ordering::SeqCst);
    settle(counters, lease, &used);
}

/// Spent and reserved as all of them stand in Redis, added up over the organisations.
pub fn accounts(servers: &[&RedisServer]) -> (Decimal, Decimal) {
    let (mut spent, mut reserved) = (Decimal::ZERO, Decimal::ZERO);
    let mut seen = HashSet::new();
    for server in servers {
        let keys: Vec<String> = server.ask(&["KEYS", "*:m:*"]);
        for key in keys {
            let Ok(fields) = support::try_ask::<Vec<Option<String>>>(server.port, &["HMGET", &key, "s", "r"])
            else {
                continue;
            };
            if !seen.insert(key) {
                continue;
            }
            for (sum, field) in [&mut spent, &mut reserved].into_iter().zip(fields) {
                let field = field.unwrap_or_else(|| "0:0".to_owned());
                let (dollars, parts) = field.split_once(':').unwrap();
                *sum += money::amount(dollars.parse().unwrap(), parts.parse().unwrap());
            }
        }
    }
    (spent, reserved)
}
