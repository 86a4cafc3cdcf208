//! Many replicas on one Redis: what they let through together.

use super::played::*;
use super::support::{Pass, Proxy, RedisServer};
use super::*;

fn replicas(server: &RedisServer, count: usize) -> Vec<Arc<RedisCounters>> {
    (0..count).map(|number| connect(&server.url(), &format!("r{number}"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_a_rate_to_the_last_unit() {
    let server = RedisServer::start();
    let replicas = replicas(&server, 3);
    let rate = Rate::new(400, Duration::from_secs(1), 100).unwrap();
    let start = std::time::Instant::now();
    let load = Load::start(&replicas, 24, 1, &[units(rate, 1)]);
    load.run_for(Duration::from_secs(4)).await;
    let least = start.elapsed().as_secs_f64() * 400.0 + 100.0;
    let books = load.end().await;
    let most = start.elapsed().as_secs_f64() * 400.0 + 100.0;
    let passed = books.passed.load(Ordering::SeqCst);
    #[allow(clippy::cast_precision_loss)]
    let counted = passed as f64;
    assert!(counted <= most && counted >= 0.99 * least, "{passed} of {most}");
    assert!(books.denied.load(Ordering::SeqCst) > 0);
    assert_eq!(books.degraded.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_are_never_exceeded_and_money_is_exact() {
    let server = RedisServer::start();
    let replicas = replicas(&server, 3);
    let budget: Decimal = "2.5".parse().unwrap();
    let charges = [place(7), money(budget, "0.003000000007".parse().unwrap())];
    let load = Load::start(&replicas, 24, 1, &charges);
    load.run_for(Duration::from_secs(4)).await;
    let books = load.end().await;
    assert!(books.most.load(Ordering::SeqCst) <= 7, "{:?}", books.most);
    let spent = Decimal::new(books.spent.load(Ordering::SeqCst), 12);
    assert!(spent <= budget, "{spent}");
    assert!(spent > "2.49".parse().unwrap(), "the budget was used up: {spent}");
    for counters in &replicas {
        counters.close();
    }
    assert_eq!(accounts(&[&server]), (spent, Decimal::ZERO));
    let places: Vec<String> = server.ask(&["KEYS", "*:p:*"]);
    assert!(places.is_empty(), "all places are free: {places:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_denied_takes_nothing() {
    let server = RedisServer::start();
    let counters = connect(&server.url(), "r");
    let taken = lease("acme", vec![place(1)]);
    assert_eq!(reserve(&counters, &taken).await.denied, None);
    let charges = vec![units(still(10), 4), money(Decimal::ONE, Decimal::ONE), place(1)];
    let outcome = reserve(&counters, &lease("acme", charges.clone())).await;
    assert_eq!(outcome.denied, Some(2));
    assert!(matches!(outcome.states[0], State::Units { remaining: 10, .. }));
    settle(&counters, taken, &[Used::AsReserved]);
    eventually(&counters, "acme", &charges, |states| {
        matches!(
            states[..],
            [
                State::Units { remaining: 6, .. },
                State::Money { .. },
                State::Place { taken: 1, denied: false }
            ]
        )
    })
    .await;
}

/// Has Redis know the scripts, so that each call is one request.
async fn know_the_scripts(counters: &RedisCounters) {
    let lease = lease("scripts", vec![units(still(10), 3)]);
    assert_eq!(reserve(counters, &lease).await.denied, None);
    settle(counters, lease, &[Used::Units(1)]);
    eventually(counters, "scripts", &[units(still(10), 0)], |states| {
        matches!(states[0], State::Units { remaining: 9, .. })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settlement_whose_answer_was_lost_counts_once() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port);
    let (through, direct) = (connect(&proxy.url(), "r1"), connect(&server.url(), "r2"));
    let charges = vec![units(still(1000), 100), money(Decimal::TEN, Decimal::ONE), place(50)];
    know_the_scripts(&direct).await;
    // Nobody else's call is to be the one whose answer is lost: each says once a second that it lives.
    while server.ask::<u32>(&["ZCARD", "tollgate:{/replicas}:alive"]) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let leases: Vec<_> = (0..8).map(|_| lease("acme", charges.clone())).collect();
    for lease in &leases {
        assert_eq!(reserve(&through, lease).await.denied, None);
    }
    proxy.set(Pass::NoAnswers);
    for lease in leases {
        settle(&through, lease, &[Used::Units(130), Used::Money(Decimal::new(25, 2)), Used::AsReserved]);
    }
    let account = [money(Decimal::TEN, Decimal::ZERO)];
    eventually(
        &direct,
        "acme",
        &account,
        |states| matches!(states[0], State::Money { spent, .. } if !spent.is_zero()),
    )
    .await;
    assert!(proxy.cut.load(Ordering::SeqCst) > 0, "it was applied, and nobody was told");
    proxy.set(Pass::All);
    while !through.stats().connected {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    through.close();
    // 8 times 130, which is more than there is; 8 times a quarter.
    let look = [units(still(1000), 0), money(Decimal::TEN, Decimal::ZERO), place(50)];
    eventually(&direct, "acme", &look[1..], |states| {
        matches!(states[..], [State::Money { spent, reserved, .. }, State::Place { taken: 1, .. }]
            if spent == Decimal::TWO && reserved.is_zero())
    })
    .await;
    let outcome = reserve(&direct, &lease("acme", vec![look[0].clone()])).await;
    let State::Units { full_in, .. } = outcome.states[0] else { panic!("they are units") };
    let over = Duration::from_secs(86_400 * 10) * 1040;
    assert!(full_in <= over && full_in + Duration::from_secs(60) > over, "{full_in:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_replica_frees_its_share_and_a_live_one_keeps_its() {
    let server = RedisServer::start();
    let short = |name: &str| RedisConf { lease_ttl: Duration::from_millis(900), ..conf(name) };
    let open = |name: &str| RedisCounters::connect(&server.url(), short(name)).unwrap();
    let (dies, lives, asks) = (open("dies"), open("lives"), open("asks"));
    let holds = vec![place(2), money(Decimal::TWO, Decimal::ONE)];
    assert_eq!(reserve(&dies, &lease("acme", holds.clone())).await.denied, None);
    assert_eq!(reserve(&lives, &lease("acme", holds.clone())).await.denied, None);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let full = reserve(&asks, &lease("acme", holds.clone())).await;
    assert_eq!(full.denied, Some(1), "both live for longer than their leases: {full:?}");
    drop(dies);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let outcome = reserve(&asks, &lease("acme", holds.clone())).await;
    assert_eq!(outcome.denied, None, "the dead one's share is free");
    assert_eq!(reserve(&asks, &lease("acme", holds)).await.denied, Some(1), "the live one's is not");
    assert_eq!(asks.stats().replicas, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_names_do_not_meet() {
    let server = RedisServer::start();
    let counters = connect(&server.url(), "r");
    let long = "x".repeat(100);
    let names = ["", "a", "a:b", "b", "{a}", "}", "a}{b", "\0", "a\0b", "ä", "%00", "%", "~", &long];
    for org in names {
        for user in names {
            for thread in [None, Some("a"), Some("b"), Some("")] {
                let values = std::iter::once(user).chain(thread).map(Arc::from).collect();
                let key = Key { rule: RuleId(1), values };
                let outcome =
                    reserve(&counters, &lease(org, vec![Charge { key, take: Take::Place { places: 1 } }]))
                        .await;
                assert_eq!((outcome.denied, outcome.degraded), (None, false), "{org:?} {user:?} {thread:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_ledger_says_replaces_what_former_incarnations_said() {
    let server = RedisServer::start();
    let spend = async |replica: &str, amount: Decimal| {
        let counters = connect(&server.url(), replica);
        let lease = lease("acme", vec![money(Decimal::from(100), amount)]);
        assert_eq!(reserve(&counters, &lease).await.denied, None);
        settle(&counters, lease, &[Used::Money(amount)]);
        counters.close();
    };
    spend("gate.1", Decimal::ONE).await;
    spend("gate.2", Decimal::TWO).await;
    spend("gateway.1", Decimal::TEN).await;
    let counters = connect(&server.url(), "gate");
    let what = Past::Spent { window: FOREVER, amount: Decimal::new(31, 1) };
    counters.restore(vec![Restored { org: Arc::from("acme"), key: key_of(3, "u"), what }]);
    let look = [money(Decimal::from(100), Decimal::ZERO)];
    eventually(
        &counters,
        "acme",
        &look,
        |states| matches!(states[0], State::Money { spent, .. } if spent == Decimal::new(131, 1)),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_redis_forgot_is_sent_again() {
    let server = RedisServer::start();
    let counters = connect(&server.url(), "r");
    assert!(!reserve(&counters, &lease("acme", vec![units(still(10), 1)])).await.degraded);
    let _: String = server.ask(&["SCRIPT", "FLUSH"]);
    let outcome = reserve(&counters, &lease("acme", vec![units(still(10), 1)])).await;
    assert!(matches!(outcome.states[0], State::Units { remaining: 8, .. }) && !outcome.degraded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_leaves_nothing_behind() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port);
    let (through, direct) = (connect(&proxy.url(), "r1"), connect(&server.url(), "r2"));
    know_the_scripts(&direct).await;
    proxy.set(Pass::Late(Duration::from_millis(200)));
    let charges = vec![units(still(10), 3), money(Decimal::ONE, Decimal::ONE), place(1)];
    let gone = lease("acme", charges.clone());
    let waited = tokio::time::timeout(Duration::from_millis(50), reserve(&through, &gone)).await;
    assert!(waited.is_err());
    assert_eq!(reserve(&direct, &lease("acme", charges.clone())).await.denied, Some(1), "it was taken");
    eventually(&direct, "acme", &charges, |states| {
        matches!(
            states[..],
            [State::Units { remaining: 7, .. }, State::Money { .. }, State::Place { denied: false, .. }]
        )
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_for_good_but_budgets_without_an_end() {
    let server = RedisServer::start();
    let counters = connect(&server.url(), "r");
    let window = Window { start: 0, end: 4_000_000_000_000 };
    let budget = Take::Money { budget: Decimal::TEN, window, amount: Decimal::ONE };
    let charges = vec![units(still(10), 1), charge(3, budget), place(3)];
    assert_eq!(reserve(&counters, &lease("acme", charges.clone())).await.denied, None);
    let settled = lease("acme", charges);
    assert_eq!(reserve(&counters, &settled).await.denied, None);
    settle(&counters, settled, &[Used::Units(5), Used::Money(Decimal::ONE), Used::AsReserved]);
    counters.close();
    let keys: Vec<String> = server.ask(&["KEYS", "*"]);
    assert!(keys.len() >= 5, "{keys:?}");
    for key in keys {
        assert!(server.ask::<i64>(&["PTTL", &key]) > 0, "{key}");
    }
}
