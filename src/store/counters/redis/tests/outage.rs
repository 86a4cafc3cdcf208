//! Redis goes away under load, in every way that it does, and comes back: nobody waits, and its numbers are right.

use super::played::*;
use super::support::{Pass, Proxy, RedisServer};
use super::*;

const BUDGET: Decimal = Decimal::ONE_THOUSAND;

fn charges() -> Vec<Charge> {
    let rate = Rate::new(1_000_000, Duration::from_secs(1), 1_000_000).unwrap();
    vec![units(rate, 1), place(40), money(BUDGET, "0.000300000007".parse().unwrap())]
}

/// Runs a load through an outage: `begin` it, wait, `end` it. Redis is asked at `url`, the truth is in `server`.
async fn through(
    server: &mut RedisServer,
    url: &str,
    begin: impl FnOnce(&mut RedisServer),
    end: impl FnOnce(&mut RedisServer),
) -> Arc<LoadBooks> {
    let replicas = [connect(url, "r1"), connect(url, "r2")];
    let second = Duration::from_millis(1200);
    let load = Load::start(&replicas, 12, 3, &charges());
    load.run_for(second).await;
    begin(server);
    load.run_for(second * 2).await;
    let during = load.books.passed.load(Ordering::SeqCst);
    end(server);
    load.run_for(second).await;
    for counters in &replicas {
        eventually(counters, "org 0", &[place(40)], |_| true).await;
    }
    let books = load.end().await;
    assert!(books.passed.load(Ordering::SeqCst) > during, "it went on");
    for counters in &replicas {
        assert!(counters.stats().connected, "{:?}", counters.stats());
        counters.close();
    }
    let slowest = Duration::from_micros(books.slowest.load(Ordering::SeqCst));
    assert!(slowest < DEADLINE + SLACK, "a decision took {slowest:?}");
    // 40 in all of each of three organisations, and in the worst case as many again of those that were cut off.
    assert!(books.most.load(Ordering::SeqCst) <= 12, "{:?}", books.most);
    let spent = Decimal::new(books.spent.load(Ordering::SeqCst), 12);
    assert_eq!(accounts(&[server]), (spent, Decimal::ZERO), "spent and reserved are right");
    let places: Vec<String> = server.ask(&["KEYS", "*:p:*"]);
    assert!(places.is_empty(), "all places are free: {places:?}");
    books
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_started_again_empty() {
    let mut server = RedisServer::start();
    let url = server.url();
    let books = through(&mut server, &url, RedisServer::kill, RedisServer::restart).await;
    assert!(books.degraded.load(Ordering::SeqCst) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused() {
    let mut server = RedisServer::start();
    let url = server.url();
    let books = through(&mut server, &url, |server| server.pause(), |server| server.resume()).await;
    assert!(books.degraded.load(Ordering::SeqCst) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow() {
    let mut server = RedisServer::start();
    let proxy = Proxy::to(server.port);
    let late = Pass::Late(Duration::from_millis(400));
    let books = through(&mut server, &proxy.url(), |_| proxy.set(late), |_| proxy.set(Pass::All)).await;
    assert!(books.degraded.load(Ordering::SeqCst) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_after_each_request() {
    let mut server = RedisServer::start();
    let proxy = Proxy::to(server.port);
    let cut = Pass::NoAnswers;
    let books = through(&mut server, &proxy.url(), |_| proxy.set(cut), |_| proxy.set(Pass::All)).await;
    assert!(books.degraded.load(Ordering::SeqCst) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_reachable() {
    let mut server = RedisServer::start();
    let proxy = Proxy::to(server.port);
    let gone = Pass::Nothing;
    let books = through(&mut server, &proxy.url(), |_| proxy.set(gone), |_| proxy.set(Pass::All)).await;
    assert!(books.degraded.load(Ordering::SeqCst) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushed() {
    let mut server = RedisServer::start();
    let url = server.url();
    let flush = |server: &mut RedisServer| assert_eq!(server.ask::<String>(&["FLUSHALL"]), "OK");
    through(&mut server, &url, flush, |_| ()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_only_after_a_failover() {
    let mut server = RedisServer::start();
    let url = server.url();
    let demote = |server: &mut RedisServer| {
        server.ask::<String>(&["REPLICAOF", "127.0.0.1", "1"]);
    };
    let promote = |server: &mut RedisServer| {
        server.ask::<String>(&["REPLICAOF", "NO", "ONE"]);
    };
    let books = through(&mut server, &url, demote, promote).await;
    assert!(books.degraded.load(Ordering::SeqCst) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_each_replica_has_its_share() {
    let mut server = RedisServer::start();
    let replicas: Vec<_> = (0..4).map(|number| connect(&server.url(), &format!("r{number}"))).collect();
    while replicas.iter().any(|counters| counters.stats().replicas < 4) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let charges = vec![units(still(40), 1), place(24), money(Decimal::TWO, Decimal::new(5, 2))];
    let held = lease("acme", charges.clone());
    assert_eq!(reserve(&replicas[0], &held).await.denied, None);
    server.kill();
    for (only, expected) in [(0, 10), (1, 6), (2, 9)] {
        for (number, counters) in replicas.iter().enumerate().skip(1) {
            // The budget that was seen last is what the replica saw itself: nothing, where it never asked.
            let expected = if only == 2 { 10 } else { expected };
            let mut passed = 0;
            for _ in 0..60 {
                let outcome = reserve(counters, &lease("acme", vec![charges[only].clone()])).await;
                assert!(outcome.degraded);
                passed += u32::from(outcome.denied.is_none());
            }
            assert_eq!(passed, expected, "charge {only} of replica {number}");
        }
        let mut passed = 0;
        for _ in 0..60 {
            let outcome = reserve(&replicas[0], &lease("acme", vec![charges[only].clone()])).await;
            passed += u32::from(outcome.denied.is_none());
        }
        // One place is held already; of two dollars 1.95 are left.
        assert_eq!(passed, expected - u32::from(only == 1), "charge {only} of the first replica");
    }
    server.restart();
    // All of it is charged to Redis: 40 units, 24 places, and the money.
    let money_taken = Decimal::new(5, 2) * Decimal::from(1 + 9 + 30);
    eventually(&replicas[0], "acme", &[units(still(41), 0), place(25), money(Decimal::TEN, Decimal::ZERO)], |states| {
        matches!(states[..], [State::Units { remaining, .. }, State::Place { taken: 25, .. }, State::Money { reserved, .. }]
            if remaining <= 1 && reserved == money_taken)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_starts_without_redis_and_finds_it_later() {
    let mut server = RedisServer::start();
    server.kill();
    let counters = connect(&server.url(), "r");
    let stats = counters.stats();
    assert!(!stats.connected && stats.failing_since.is_some());
    let early = lease("acme", vec![units(still(10), 4), place(1)]);
    let outcome = reserve(&counters, &early).await;
    assert!(outcome.degraded && outcome.denied.is_none());
    server.restart();
    eventually(&counters, "acme", &[units(still(10), 0), place(2)], |states| {
        matches!(states[..], [State::Units { remaining: 6, .. }, State::Place { taken: 2, .. }])
    })
    .await;
    assert!(RedisCounters::connect("postgres://localhost", conf("r")).is_err());
}
