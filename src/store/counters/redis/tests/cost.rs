//! What a decision costs: to be run with `--release -- --ignored --nocapture cost`.

use super::played::*;
use super::support::RedisServer;
use super::*;

fn five() -> Vec<Charge> {
    let rate = |amount| Rate::new(amount, Duration::from_secs(60), amount).unwrap();
    let of = |rule, take| Charge { key: key_of(rule, "somebody@example.com"), take };
    vec![
        of(11, Take::Units { rate: rate(1_000_000_000), units: 1 }),
        of(12, Take::Units { rate: rate(2_000_000_000), units: 1500 }),
        of(13, Take::Units { rate: rate(3_000_000_000), units: 900 }),
        of(14, Take::Place { places: 1_000_000 }),
        of(15, Take::Money { budget: Decimal::ONE_THOUSAND, window: FOREVER, amount: Decimal::new(3, 7) }),
    ]
}

fn used(amount: u64) -> Vec<Used> {
    let money = Used::Money(Decimal::new(2, 7));
    vec![Used::AsReserved, Used::Units(amount), Used::Units(700), Used::AsReserved, money]
}

fn busy(server: &RedisServer) -> f64 {
    let info: String = server.ask(&["INFO", "cpu"]);
    let of = |name: &str| -> f64 {
        info.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
    };
    of("used_cpu_user:") + of("used_cpu_sys:")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
#[allow(clippy::cast_precision_loss)]
async fn cost() {
    let server = RedisServer::start();
    let counters = connect(&server.url(), "r");
    for (what, settles, tasks) in
        [("reserve", false, 1), ("reserve and settle", true, 1), ("the same", true, 64)]
    {
        let (each, before, start) = (20_000 / tasks, busy(&server), std::time::Instant::now());
        let running: Vec<_> = (0..tasks)
            .map(|_| {
                let counters = counters.clone();
                tokio::spawn(async move {
                    let mut times = Vec::with_capacity(each);
                    for _ in 0..each {
                        let lease = lease("acme", five());
                        let start = std::time::Instant::now();
                        assert_eq!(reserve(&counters, &lease).await.denied, None);
                        times.push(start.elapsed());
                        if settles {
                            settle(&counters, lease, &used(1200));
                        }
                    }
                    times
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in running {
            times.extend(task.await.unwrap());
        }
        times.sort();
        let count = times.len();
        println!(
            "{what}, {tasks} at a time: median {:?}, p99 {:?}, {:.0} a second, {:.1} µs of Redis each",
            times[count / 2],
            times[count * 99 / 100],
            count as f64 / start.elapsed().as_secs_f64(),
            (busy(&server) - before) * 1e6 / count as f64,
        );
        println!("  {:?}", counters.stats());
    }
}
