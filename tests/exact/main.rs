//! Exactness under concurrency: what passes is what the limits and budgets say, with many clients in processes of their
//! own, wherever the counters are kept. `TOLLGATE_EXACT_SECONDS=60` watches for a whole minute.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::format_push_string
)]

mod cases;
mod load;
#[path = "../it/support/redis.rs"]
mod servers;
mod stage;
#[allow(unused_imports)] // it has what other tests need, too
#[path = "../it/support/mod.rs"]
mod support;

use servers::{RedisCluster, RedisServer};
use stage::Counters;

/// What is gone through, wherever the counters are.
macro_rules! suite {
    ($name:ident, $counters:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn requests_are_as_many_as_the_limit_says() {
                let _alone = support::alone();
                cases::requests(&$counters);
            }

            #[test]
            fn tokens_are_as_many_as_the_limit_says_whatever_was_estimated() {
                let _alone = support::alone();
                cases::tokens(&$counters);
            }

            #[test]
            fn exchanges_at_a_time_are_as_many_as_the_limit_says_whoever_is_killed() {
                let _alone = support::alone();
                cases::concurrency(&$counters);
            }

            #[test]
            fn five_hundred_streams_spend_no_more_than_the_budget() {
                let _alone = support::alone();
                cases::budget(&$counters);
            }
        }
    };
}

suite!(in_process, Counters::InProcess);
suite!(one_redis, Counters::Redis(RedisServer::start()));
suite!(redis_cluster, Counters::Cluster(RedisCluster::start()));

/// Not a test of its own: what the others start as a process, told by its environment what to do.
#[test]
fn client() {
    load::run_if_told();
}
