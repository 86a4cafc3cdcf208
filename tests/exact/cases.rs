//! What is gone through wherever the counters are: requests, tokens, places and money.

use std::time::{Duration, Instant};

use rust_decimal::Decimal;

use crate::load::{self, Load, Outcome, now};
use crate::stage::{Counters, Replicas, Stage};
use crate::support::eventually;
use crate::support::policy::secret;

/// Client processes.
const CLIENTS: u64 = 8;

/// How long a limit is watched.
fn seconds() -> u64 {
    std::env::var("TOLLGATE_EXACT_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(8)
}

fn load(replicas: &Replicas) -> Load {
    let begin = now() + 700_000;
    Load {
        gateways: replicas.addresses(),
        key: secret("load"),
        connections: 4,
        begin,
        end: begin + seconds() * 1_000_000,
        each: usize::MAX,
        stream: false,
        max_tokens: (1, 1),
        used: (100, 100),
        seed: 1,
    }
}

fn run(load: &Load) -> Outcome {
    let clients: Vec<_> = (1..=CLIENTS).map(|seed| load::start(&Load { seed, ..load.clone() })).collect();
    let mut all = Outcome::default();
    for client in clients {
        all.add(&load::outcome(client));
    }
    assert_eq!(all.failed, 0, "{all:?}");
    all
}

/// Never more than the rate and the burst give in the time from the first question to the last answer, and never less
/// than 99 hundredths of what they give while everybody asks. `slack` is what exchanges under way may have used
/// beyond what they reserved.
fn check(what: &str, used: u64, load: &Load, outcome: &Outcome, (rate, burst): (u64, u64), slack: u64) {
    let (rate, burst) = (u128::from(rate), u128::from(burst));
    let whole = u128::from(outcome.last - outcome.first);
    let busy = u128::from(load.end - load.begin.max(outcome.first));
    let most = burst + (rate * whole).div_ceil(1_000_000) + u128::from(slack);
    let least = (burst + rate * busy / 1_000_000) * 99 / 100;
    eprintln!("{what}: {used} in {} ms; between {least} and {most}; {outcome:?}", whole / 1000);
    assert!(u128::from(used) <= most, "{used} {what} passed, and {most} may");
    assert!(u128::from(used) >= least, "{used} {what} passed, and {least} should");
    assert!(outcome.refused > 0, "the limit was reached");
}

pub fn requests(counters: &Counters) {
    let stage = Stage::open(Duration::ZERO);
    let limit = "[[limits]]\nname = 'r'\nscope = ['org']\nrequests = { rate = '500/5s', burst = 100 }\n";
    let replicas = counters.start(&stage, limit);
    let load = load(&replicas);
    let outcome = run(&load);
    check("requests", outcome.allowed, &load, &outcome, (100, 100), 0);
}

/// Estimates that are too high by half or too low by half: the input is estimated, too, and is none.
pub fn tokens(counters: &Counters) {
    let stage = Stage::open(Duration::from_millis(5));
    let limit = "[[limits]]\nname = 't'\nscope = ['org']\ntokens = { rate = '50000/5s', burst = 20000 }\n";
    let replicas = counters.start(&stage, limit);
    let load = Load { max_tokens: (40, 400), used: (50, 150), ..load(&replicas) };
    let outcome = run(&load);
    let under_way = CLIENTS * load.connections as u64;
    check("tokens", outcome.tokens, &load, &outcome, (10_000, 20_000), under_way * 200);
}

pub fn concurrency(counters: &Counters) {
    const PLACES: usize = 10;
    let stage = Stage::open(Duration::from_millis(60));
    let limit = format!("[[limits]]\nname = 'c'\nscope = ['org']\nconcurrent = {PLACES}\n");
    let mut replicas = counters.start(&stage, &limit);
    let mut load = load(&replicas);
    load.end = load.begin + 3_000_000;
    let outcome = run(&load);
    assert_eq!(stage.most(), PLACES, "as many at once as there are places: {outcome:?}");
    assert!(outcome.refused > 0);
    // Clients that are killed in mid-exchange give their places back.
    let mut load = self::load(&replicas);
    load.end = load.begin + 60_000_000;
    let mut killed: Vec<_> =
        (1..=CLIENTS).map(|seed| load::start(&Load { seed, stream: true, ..load.clone() })).collect();
    eventually("all places to be taken", || (stage.now() >= PLACES).then_some(()));
    for client in &mut killed {
        client.kill().unwrap();
        client.wait().unwrap();
    }
    replicas.idle();
    eventually("the provider to be left alone", || (stage.now() == 0).then_some(()));
    check_places(&stage, &replicas, PLACES);
    if replicas.0.len() == 1 {
        return;
    }
    // What a killed replica held is free when its lease is over.
    let mut load = self::load(&replicas);
    load.end = load.begin + 60_000_000;
    load.gateways.truncate(1);
    let mut asking: Vec<_> = (1..=CLIENTS).map(|seed| load::start(&Load { seed, ..load.clone() })).collect();
    eventually("all places to be taken", || (stage.now() >= PLACES).then_some(()));
    replicas.0.remove(0).kill();
    let dead = Instant::now();
    for client in &mut asking {
        client.kill().unwrap();
        client.wait().unwrap();
    }
    std::thread::sleep((Counters::LEASE + Duration::from_secs(1)).saturating_sub(dead.elapsed()));
    check_places(&stage, &replicas, PLACES);
}

/// Just as many at once as there are places: none was lost, and none was made.
fn check_places(stage: &Stage, replicas: &Replicas, places: usize) {
    stage.forget();
    let mut load = load(replicas);
    load.end = load.begin + 2_000_000;
    let outcome = run(&load);
    assert_eq!(stage.most(), places, "{outcome:?}");
}

/// Every stream uses what it asked for, or less.
pub fn budget(counters: &Counters) {
    const AMOUNT: u64 = 40_000;
    let stage = Stage::open(Duration::from_millis(300));
    let budget = format!("[[budgets]]\nname = 'b'\nscope = ['org']\namount = '{AMOUNT}'\nperiod = 'total'\n");
    let replicas = counters.start(&stage, &budget);
    let load = Load {
        connections: 63,
        each: 8,
        stream: true,
        max_tokens: (20, 200),
        used: (0, 100),
        ..load(&replicas)
    };
    let outcome = run(&load);
    assert!(outcome.refused > 0 && outcome.allowed > 100, "{outcome:?}");
    replicas.idle();
    let spent = eventually("every row", || {
        let (spent, rows) = replicas.spent();
        (rows as u64 >= outcome.allowed).then_some(spent)
    });
    eprintln!("{spent} of {AMOUNT} spent: {outcome:?}");
    assert!(spent <= Decimal::from(AMOUNT), "{spent}");
    assert!(spent > Decimal::from(AMOUNT * 9 / 10), "most of it could be spent: {spent}");
    // The counter and the ledgers agree to the dollar: just the rest can be reserved.
    let left = Decimal::from(AMOUNT) - spent;
    let left = u64::try_from(left).unwrap();
    let ask = |tokens: u64| crate::support::policy::ask_for(&replicas.0[0], "load", tokens).status;
    assert_eq!(ask(left + 1), 429, "{left} are left");
    if left > 0 {
        assert_eq!(ask(left), 200, "{left} are left");
    }
}
