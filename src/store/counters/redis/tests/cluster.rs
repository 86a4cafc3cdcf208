//! A cluster of six nodes: exact as one server is, and through the loss of a master.

use super::played::*;
use super::support::{RedisCluster, RedisServer};
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_counts_exactly_and_survives_a_master() {
    let mut cluster = RedisCluster::start();
    let replicas = [connect(&cluster.url(), "r1"), connect(&cluster.url(), "r2")];
    let charges = [place(7), money(Decimal::ONE_THOUSAND, "0.000300000007".parse().unwrap())];
    let load = Load::start(&replicas, 24, 8, &charges);
    load.run_for(Duration::from_secs(2)).await;
    assert_eq!(load.books.degraded.load(Ordering::SeqCst), 0);
    let dies = (0..6).find(|index| cluster.is_master(*index)).unwrap();
    cluster.nodes[dies].kill();
    load.run_for(Duration::from_secs(8)).await;
    for org in 0..8 {
        for counters in &replicas {
            eventually(counters, &format!("org {org}"), &[place(9)], |_| true).await;
        }
    }
    let books = load.end().await;
    for counters in &replicas {
        counters.close();
    }
    let slowest = Duration::from_micros(books.slowest.load(Ordering::SeqCst));
    assert!(slowest < DEADLINE + SLACK, "a decision took {slowest:?}");
    assert!(books.degraded.load(Ordering::SeqCst) > 0);
    let masters: Vec<&RedisServer> = (0..6)
        .filter(|index| *index != dies && cluster.is_master(*index))
        .map(|index| &cluster.nodes[index])
        .collect();
    assert_eq!(masters.len(), 3, "a replica has taken over");
    let spent = Decimal::new(books.spent.load(Ordering::SeqCst), 12);
    assert_eq!(accounts(&masters), (spent, Decimal::ZERO));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_of_a_cluster_is_enough_of_an_address() {
    let cluster = RedisCluster::start();
    let counters = connect(&cluster.nodes[0].url(), "r");
    for org in 0..20 {
        let outcome = reserve(&counters, &lease(&format!("org {org}"), vec![units(still(10), 1)])).await;
        assert_eq!((outcome.denied, outcome.degraded), (None, false));
    }
}
