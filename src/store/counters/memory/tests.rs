use std::collections::HashMap as Std;
use std::time::Instant;

use proptest::prelude::*;
use tollgate_filters::budget::BudgetConf;
use tollgate_filters::counters::{LeaseId, RuleId};
use tollgate_filters::quota::{Estimate, Part, Quotas};
use tollgate_filters::rate_limit::LimitConf;
use tollgate_filters::scope::Subject;
use tollgate_filters::usage::Usage;

use super::*;

const NAMES: [&str; 2] = ["a", "b"];

/// What a limiter and a budget are, said as plainly as can be: lists of what happened, added up anew each time, in
/// fractions of whole numbers. It knows no bucket.
#[derive(Default)]
struct Reference {
    /// By counter: when and how many units, refunds as negative ones.
    events: Std<u64, Vec<(u64, i128)>>,
    places: Std<u64, i64>,
    spent: Std<u64, Decimal>,
    reserved: Std<u64, Decimal>,
}

impl Reference {
    /// Units over zero at `now`, times the period: what is taken drains `amount` in each period and never below nothing.
    fn level(&self, rule: u64, rate: &Rate, now: u64) -> i128 {
        let period = i128::try_from(rate.period.as_micros()).unwrap();
        let (mut level, mut last) = (0_i128, 0);
        for (at, units) in self.events.get(&rule).into_iter().flatten().copied().chain([(now, 0)]) {
            level = (level - i128::from(at - last) * i128::from(rate.amount)).max(0);
            level = (level + units * period).max(0);
            last = at;
        }
        level
    }

    fn fits(&self, charge: &Charge, now: u64) -> bool {
        let rule = charge.key.rule.0;
        match &charge.take {
            Take::Units { rate, units } => {
                let period = i128::try_from(rate.period.as_micros()).unwrap();
                self.level(rule, rate, now) + i128::from(*units) * period <= i128::from(rate.burst) * period
            }
            Take::Place { places } => self.places.get(&rule).copied().unwrap_or(0) < i64::from(*places),
            Take::Money { budget, amount, .. } => {
                let of = |map: &Std<u64, Decimal>| map.get(&rule).copied().unwrap_or_default();
                of(&self.spent) + of(&self.reserved) + amount <= *budget
            }
        }
    }

    fn take(&mut self, charge: &Charge, now: u64) {
        let rule = charge.key.rule.0;
        match &charge.take {
            Take::Units { units, .. } => self.events.entry(rule).or_default().push((now, i128::from(*units))),
            Take::Place { .. } => *self.places.entry(rule).or_default() += 1,
            Take::Money { amount, .. } => *self.reserved.entry(rule).or_default() += amount,
        }
    }

    fn settle(&mut self, charge: &Charge, used: Used, now: u64) {
        let rule = charge.key.rule.0;
        match (&charge.take, used) {
            (Take::Units { units, .. }, Used::Units(used)) => {
                self.events.entry(rule).or_default().push((now, i128::from(used) - i128::from(*units)));
            }
            (Take::Place { .. }, _) => *self.places.entry(rule).or_default() -= 1,
            (Take::Money { amount, .. }, Used::Money(used)) => {
                *self.reserved.entry(rule).or_default() -= amount;
                *self.spent.entry(rule).or_default() += used;
            }
            _ => {}
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    /// For each rule whether it is charged, and by how many units or thousandths of a dollar.
    Reserve(Vec<Option<u32>>),
    /// Settles one of the leases under way, with so many units and thousandths.
    Settle(usize, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0_u64..40_000_000).prop_map(Step::Wait),
        5 => proptest::collection::vec(proptest::option::of(0_u32..60), RULES).prop_map(Step::Reserve),
        3 => (any::<usize>(), 0_u32..90).prop_map(|(which, used)| Step::Settle(which, used)),
    ];
    proptest::collection::vec(step, 1..80)
}

const RULES: usize = 5;

fn take(rule: usize, amount: u32, rates: &[Rate; 3]) -> Take {
    match rule {
        0..3 => Take::Units { rate: rates[rule], units: u64::from(amount) },
        3 => Take::Place { places: 3 },
        _ => Take::Money {
            budget: Decimal::new(300, 3),
            window: Window { start: 0, end: u64::MAX },
            amount: Decimal::new(i64::from(amount), 3),
        },
    }
}

fn key(rule: usize) -> Key {
    Key { rule: RuleId(rule as u64), values: NAMES.iter().map(|name| Arc::from(*name)).collect() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn decisions_are_those_of_the_plain_reference(
        steps in steps(),
        amounts in proptest::array::uniform3((1_u64..500, 1_u64..4, 1_u64..120)),
    ) {
        let rates = amounts.map(|(amount, seconds, burst)| Rate::new(amount, Duration::from_secs(seconds * 7), burst).unwrap());
        let counters = MemoryCounters::default();
        let mut reference = Reference::default();
        let mut under_way: Vec<Lease> = Vec::new();
        let mut now = 1_800_000_000_000_000;
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Wait(micros) => now += micros,
                Step::Reserve(amounts) => {
                    let charges: Vec<Charge> = amounts.iter().enumerate()
                        .filter_map(|(rule, amount)| Some(Charge { key: key(rule), take: take(rule, (*amount)?, &rates) }))
                        .collect();
                    let lease = Lease { id: LeaseId { exchange: number as u128, part: 0 }, org: Arc::from("acme"), charges };
                    let outcome = counters.reserve_at(&[&lease], now);
                    let allowed = lease.charges.iter().all(|charge| reference.fits(charge, now));
                    prop_assert_eq!(outcome.denied.is_none(), allowed, "{:?}", outcome);
                    for (charge, state) in lease.charges.iter().zip(&outcome.states) {
                        let wait = state.stands();
                        prop_assert_eq!(state.is_denied(), !reference.fits(charge, now), "{:?} {:?}", charge, state);
                        if let Take::Units { units, rate } = &charge.take && state.is_denied() && wait < Duration::MAX {
                            let then = now + u64::try_from(wait.as_micros()).unwrap();
                            prop_assert!(reference.fits(charge, then), "it passes after the wait that was told");
                            prop_assert!(!reference.fits(charge, then - 1) || *units > rate.burst, "and no sooner");
                        }
                    }
                    if allowed {
                        for charge in &lease.charges {
                            reference.take(charge, now);
                        }
                        under_way.push(lease);
                    }
                }
                Step::Settle(which, used) => {
                    if under_way.is_empty() { continue }
                    let lease = under_way.swap_remove(which % under_way.len());
                    let used: Vec<Used> = lease.charges.iter().map(|charge| match charge.take {
                        Take::Units { .. } => Used::Units(u64::from(used)),
                        Take::Place { .. } => Used::AsReserved,
                        Take::Money { .. } => Used::Money(Decimal::new(i64::from(used), 3)),
                    }).collect();
                    for (charge, used) in lease.charges.iter().zip(&used) {
                        reference.settle(charge, *used, now);
                    }
                    counters.settle_at(&Settlement { lease, used }, now);
                }
            }
        }
        let window = Window { start: 0, end: u64::MAX };
        let (spent, reserved) = counters.account(&Arc::from("acme"), &key(4), window);
        prop_assert_eq!(spent, reference.spent.get(&4).copied().unwrap_or_default());
        prop_assert_eq!(reserved, reference.reserved.get(&4).copied().unwrap_or_default());
    }
}

fn lease(number: u128, charges: Vec<Charge>) -> Lease {
    Lease { id: LeaseId { exchange: number, part: 0 }, org: Arc::from("acme"), charges }
}

#[test]
fn counters_that_say_nothing_are_forgotten() {
    let counters = MemoryCounters::default();
    let rate = Rate::new(10, Duration::from_secs(1), 10).unwrap();
    let mut now = 1_000_000_000;
    for thread in 0..100_000_u64 {
        let key = Key { rule: RuleId(1), values: [Arc::from(thread.to_string())].into_iter().collect() };
        counters.reserve_at(&[&lease(1, vec![Charge { key, take: Take::Units { rate, units: 1 } }])], now);
        now += 10_000;
    }
    // Each is full again after a tenth of a second, so ten at a time say something.
    assert!(counters.len() <= FEW, "{}", counters.len());
    counters.sweep();
    assert!(counters.is_empty());
}

#[test]
fn concurrent_threads_take_no_more_than_there_is() {
    let counters = Arc::new(MemoryCounters::default());
    let rate = Rate::new(1, Duration::from_secs(3600), 1000).unwrap();
    let now = 1_000_000_000;
    let take = |number: u128| {
        lease(
            number,
            vec![
                Charge { key: key(0), take: Take::Units { rate, units: 1 } },
                Charge { key: key(3), take: Take::Place { places: 700 } },
            ],
        )
    };
    let passed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u128)
            .map(|thread| {
                let (counters, take) = (&counters, &take);
                scope.spawn(move || {
                    (0..500)
                        .filter(|n| counters.reserve_at(&[&take(thread * 1000 + n)], now).denied.is_none())
                        .count()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 700);
    let rest = counters
        .reserve_at(&[&lease(9, vec![Charge { key: key(0), take: Take::Units { rate, units: 300 } }])], now);
    assert_eq!(rest.denied, None, "what was denied for want of a place took no unit");
}

/// Five scopes in one decision, from what is known of the exchange to the settlement. To be run by itself:
/// `cargo test --lib what_a_decision_costs -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stderr)]
fn what_a_decision_costs() {
    let limits: Vec<_> = [
        serde_json::json!({"scope": ["org"], "requests": "1000000000/min"}),
        serde_json::json!({"scope": ["user"], "tokens": "100000000000/min"}),
        serde_json::json!({"scope": ["key"], "concurrent": 1000}),
        serde_json::json!({"scope": ["key", "thread"], "requests": "1000000000/min"}),
    ]
    .into_iter()
    .flat_map(|conf| serde_json::from_value::<LimitConf>(conf).unwrap().resolve().unwrap())
    .collect();
    let budget = serde_json::json!({"scope": ["org"], "amount": "1000000000", "period": "month"});
    let budget = serde_json::from_value::<BudgetConf>(budget).unwrap().resolve().unwrap();
    let quotas = Quotas::new(limits, vec![budget]).unwrap();
    let counters = MemoryCounters::default();
    let subject = Subject {
        org: Arc::from("acme"),
        user: Some(Arc::from("ann")),
        key: Some(Arc::from("app")),
        thread: Some(Arc::from("t-1")),
        ..Subject::default()
    };
    let estimate =
        Estimate { input_tokens: 900, output_tokens: 100, cost: Some(Decimal::new(123_456, 9)), uses: true };
    let usage = Usage { input_tokens: 880, output_tokens: 60, ..Usage::default() };
    let rounds = 200_000_u32;
    let (mut decided, mut settled) = (Duration::ZERO, Duration::ZERO);
    for round in 0..rounds {
        let start = Instant::now();
        let id = LeaseId { exchange: u128::from(round), part: 1 };
        let held = quotas.hold(Part::Caller, id, &subject, &estimate, now() / 1000).unwrap().unwrap();
        let outcome = counters.reserve_at(&[&held.lease], now());
        let between = Instant::now();
        assert_eq!((outcome.denied, outcome.states.len()), (None, 5));
        counters.settle_at(&held.settle(&usage, Decimal::new(100_000, 9)), now());
        decided += between - start;
        settled += between.elapsed();
    }
    eprintln!("five scopes: decision {:?}, settlement {:?}", decided / rounds, settled / rounds);
}
