use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use redis::{Connection, ConnectionLike as _};
use rust_decimal::Decimal;
use tollgate_filters::counters::{Charge, Key, LeaseId, RuleId, State, Take, Used, Window};
use tollgate_filters::rate_limit::Rate;

use super::calls::Reply;
use super::names::Names;
use super::org::Org;
use super::script::{Call, Numbers, Source};
use super::*;
use crate::store::MemoryCounters;

#[path = "../../../../tests/it/support/redis.rs"]
mod support;

use support::RedisServer;

mod cluster;
mod cost;
mod outage;
mod played;
mod shared;

/// The scripts, with the time as their last two arguments.
fn told_the_time(parts: &str) -> Source {
    let asked = "local TIME = redis.call('TIME')";
    assert!(parts.contains(asked));
    Source::new(
        &parts.replace(
            asked,
            "local TIME = {ARGV[#ARGV - 1], ARGV[#ARGV]}\nARGV[#ARGV] = nil\nARGV[#ARGV] = nil",
        ),
    )
}

static RESERVE: LazyLock<Source> =
    LazyLock::new(|| told_the_time(concat!(include_str!("common.lua"), include_str!("reserve.lua"))));
static APPLY: LazyLock<Source> =
    LazyLock::new(|| told_the_time(concat!(include_str!("common.lua"), include_str!("apply.lua"))));

/// A replica whose time the test tells, and its connection.
struct Played {
    me: Me,
    org: Org,
    connection: Connection,
    number: u64,
}

impl Played {
    fn new(server: &RedisServer, name: &str) -> Self {
        let me = Me {
            replica: "r1".to_owned(),
            incarnation: name.to_owned(),
            prefix: "test".to_owned(),
            lease_ttl: Duration::from_secs(86_400 * 365),
        };
        let names = Names::new(&me.prefix, name);
        let sequence = names.sequence(&me.replica, &me.incarnation);
        let client = redis::Client::open(server.url()).unwrap();
        Self { org: Org::new(names, sequence), me, connection: client.get_connection().unwrap(), number: 0 }
    }

    fn run(&mut self, call: &Call, script: &'static Source, now: u64) -> Numbers {
        let mut args = call.args.clone();
        args.extend([now / 1_000_000, now % 1_000_000].map(|part| part.to_string()));
        let call = Call { script, keys: call.keys.clone(), args };
        Numbers::of(self.connection.req_command(&call.long()).unwrap().extract_error().unwrap()).unwrap()
    }

    fn reserve(&mut self, lease: &Lease, now: u64) -> Outcome {
        let leases = &[lease];
        let call = self.org.reserve_call(&self.me, leases, 0);
        let mut answer = self.run(&call, &RESERVE, now);
        let answered = self.org.answered(leases, &mut answer).unwrap();
        assert_eq!(answered.now, now);
        match answered.reply {
            Reply::Taken(outcome) => {
                self.org.hold(lease, false);
                outcome
            }
            Reply::Denied(outcome) => outcome,
            Reply::TooLate => panic!("there is no limit in time"),
        }
    }

    fn settle(&mut self, settlement: &Settlement, now: u64) {
        self.org.settle(settlement);
        self.number += 1;
        let number = self.number;
        // What is sent twice counts once.
        if let Some(batch) = self.org.batch(&self.me, || number, now) {
            assert_eq!(self.run(&batch, &APPLY, now).number(), Some(1));
            assert_eq!(self.run(&batch, &APPLY, now).number(), Some(0));
            self.org.applied(false, now);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Reserve(Vec<Option<u64>>),
    Settle(usize, u64),
}

const RULES: usize = 5;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0_u64..40_000_000).prop_map(Step::Wait),
        5 => proptest::collection::vec(proptest::option::of(0_u64..60), RULES).prop_map(Step::Reserve),
        3 => (any::<usize>(), 0_u64..90).prop_map(|(which, used)| Step::Settle(which, used)),
    ];
    proptest::collection::vec(step, 1..60)
}

/// An amount with all twelve decimals.
fn dollars(amount: u64) -> Decimal {
    Decimal::new(i64::try_from(amount * 1_000_000_000_001).unwrap(), 14)
}

fn take(rule: usize, amount: u64, rates: &[Rate; 3]) -> Take {
    match rule {
        0..3 => Take::Units { rate: rates[rule], units: amount },
        3 => Take::Place { places: 3 },
        _ => {
            let window = Window { start: 0, end: u64::MAX };
            Take::Money { budget: Decimal::new(1_234_567, 6), window, amount: dollars(amount).round_dp(12) }
        }
    }
}

fn key(rule: usize) -> Key {
    Key { rule: RuleId(rule as u64), values: ["a", "b"].map(Arc::from).into_iter().collect() }
}

fn rates() -> impl Strategy<Value = [Rate; 3]> {
    let rate = prop_oneof![
        (1_u64..500, 1_u64..30, 1_u64..120),
        // The largest whose points still fit, and the slowest.
        (1_u64..5_000_000_000, Just(86_400), 1_u64..1_000),
        (Just(1), 1_u64..100_000_000, 1_u64..60),
    ];
    proptest::array::uniform3(rate.prop_filter_map("cannot be counted", |(amount, seconds, burst)| {
        Rate::new(amount, Duration::from_secs(seconds), burst)
    }))
}

#[test]
fn decisions_are_those_of_one_process_to_the_last_number() {
    let server = RedisServer::start();
    let case = std::cell::Cell::new(0);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(300)
    });
    let ran = runner.run(&(steps(), rates()), |(steps, rates)| {
        case.set(case.get() + 1);
        let name: Arc<str> = Arc::from(format!("org {}", case.get()));
        let mut shared = Played::new(&server, &name);
        let alone = MemoryCounters::default();
        let mut under_way: Vec<Lease> = Vec::new();
        let mut now = 1_800_000_000_000_000;
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Wait(micros) => now += micros,
                Step::Reserve(amounts) => {
                    let taken = amounts.iter().enumerate();
                    let charges = taken.filter_map(|(rule, amount)| {
                        Some(Charge { key: key(rule), take: take(rule, (*amount)?, &rates) })
                    });
                    let id = LeaseId { exchange: number as u128, part: 0 };
                    let lease = Lease { id, org: name.clone(), charges: charges.collect() };
                    let expected = alone.reserve_at(&[&lease], now);
                    prop_assert_eq!(&shared.reserve(&lease, now), &expected, "{:?}", lease);
                    if expected.denied.is_none() {
                        under_way.push(lease);
                    }
                }
                Step::Settle(which, used) if !under_way.is_empty() => {
                    let lease = under_way.swap_remove(which % under_way.len());
                    let used = lease.charges.iter().map(|charge| match charge.take {
                        Take::Units { .. } => Used::Units(used),
                        Take::Place { .. } => Used::AsReserved,
                        Take::Money { .. } => Used::Money(dollars(used).round_dp(12)),
                    });
                    let settlement = Settlement { used: used.collect(), lease };
                    alone.settle_at(&settlement, now);
                    shared.settle(&settlement, now);
                }
                Step::Settle(..) => {}
            }
        }
        // What is left, seen by a lease that takes nothing.
        let charges = (0..RULES).filter(|rule| *rule != 3);
        let charges = charges.map(|rule| Charge { key: key(rule), take: take(rule, 0, &rates) }).collect();
        let last = Lease { id: LeaseId { exchange: u128::MAX, part: 0 }, org: name, charges };
        prop_assert_eq!(shared.reserve(&last, now).states, alone.reserve_at(&[&last], now).states);
        Ok(())
    });
    ran.unwrap();
}

#[test]
fn what_lapsed_is_free_and_what_was_put_back_counts_even_over_the_limit() {
    let server = RedisServer::start();
    let mut shared = Played::new(&server, "lapse");
    shared.me.lease_ttl = Duration::from_secs(30);
    let rates = [Rate::new(1, Duration::from_secs(1), 1).unwrap(); 3];
    let lease = |number: u128, amount: u64| Lease {
        id: LeaseId { exchange: number, part: 0 },
        org: Arc::from("lapse"),
        charges: vec![
            Charge { key: key(3), take: Take::Place { places: 9 } },
            Charge { key: key(4), take: take(4, amount, &rates) },
        ],
    };
    let mut now = 1_800_000_000_000_000;
    assert_eq!(shared.reserve(&lease(1, 100), now).denied, None);
    assert_eq!(shared.reserve(&lease(2, 100), now).denied, Some(1), "the money is reserved");
    now += 20_000_000;
    assert_eq!(shared.reserve(&lease(3, 20), now).denied, None);
    now += 10_000_000;
    let again = shared.reserve(&lease(4, 100), now);
    assert_eq!(again.denied, None, "the first lease has lapsed");
    assert_eq!(held(&again), (2, dollars(120).round_dp(12)), "the third has not");
    shared.org.renew();
    let batch = shared.org.batch(&shared.me, || 1, now).unwrap();
    shared.run(&batch, &APPLY, now);
    shared.org.applied(false, now);
    let all = shared.reserve(&lease(5, 100), now);
    assert_eq!(all.denied, Some(1));
    assert_eq!(held(&all), (3, dollars(220).round_dp(12)));
}

fn held(outcome: &Outcome) -> (u32, Decimal) {
    match outcome.states[..] {
        [State::Place { taken, .. }, State::Money { reserved, .. }] => (taken, reserved),
        _ => panic!("they are a place and money"),
    }
}
