//! Watches for what no single exchange shows: budgets that come to a threshold, keys that turn up in a new network,
//! organisations that ask far more than usual.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rust_decimal::Decimal;
use tollgate_filters::counters::{Key, Window};
use tollgate_filters::quota::{Quotas, Spent};

use super::Metrics;
use super::recorder::Record;
use super::security::{Event, Security};

/// Tells once of each threshold that a budget comes to, whichever exchange brings it there.
#[derive(Debug)]
pub struct BudgetWatch {
    metrics: Arc<Metrics>,
    /// The highest threshold told of, by organisation, budget and window.
    told: Mutex<HashMap<Account, u32>>,
}

/// An organisation's budget in one window.
type Account = (Arc<str>, Key, Window);

/// Windows that are remembered; when there are more, those that have ended go.
const MANY: usize = 10_000;

impl BudgetWatch {
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, told: Mutex::default() }
    }

    /// What is spent now, as an exchange of `org` has found it.
    pub fn saw(&self, quotas: &Quotas, spent: Vec<Spent>, org: &Arc<str>) {
        for Spent { budget, key, window, spent } in spent {
            let Some(budget) = quotas.budget(budget) else { continue };
            let reached =
                |percent: &&u32| spent * Decimal::ONE_HUNDRED >= budget.amount * Decimal::from(**percent);
            let Some(percent) = budget.thresholds.iter().rev().find(reached) else { continue };
            if !self.is_news((org.clone(), key, window), *percent) {
                continue;
            }
            let detail = format!("{percent} % of {} USD: {spent} USD are spent", budget.amount.normalize());
            let event = Event { org, rule: &budget.name, detail: &detail, ..Event::default() };
            self.metrics.security(Security::BudgetThreshold, &event);
        }
    }

    fn is_news(&self, of: Account, percent: u32) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= MANY {
            let latest = told.keys().map(|(.., window)| window.start).max().unwrap_or_default();
            told.retain(|(.., window), _| window.end > latest);
        }
        let known = told.entry(of).or_default();
        let news = *known < percent;
        *known = percent.max(*known);
        news
    }
}

/// Learns from finished exchanges, on the recorder's thread.
#[derive(Debug, Default)]
pub(super) struct Habits {
    /// The networks that each key came from.
    networks: HashMap<(Arc<str>, Arc<str>), VecDeque<IpAddr>>,
    rates: HashMap<Arc<str>, Minutes>,
}

/// How many networks of a key are remembered, and how many keys and organisations.
const NETWORKS: usize = 64;
const KEYS: usize = 100_000;

/// An organisation's exchanges by the minute.
#[derive(Debug, Default)]
struct Minutes {
    minute: u64,
    count: u64,
    /// Moving average of the minutes before.
    usual: f64,
    known: u32,
    told: bool,
}

/// So many minutes have to be known before one is called unusual, and it must have so many exchanges, and so many times
/// the usual number.
const TO_KNOW: u32 = 10;
const AT_LEAST: u64 = 100;
const TIMES: f64 = 5.0;

impl Habits {
    pub(super) fn learn(&mut self, record: &Record, metrics: &Metrics) {
        let Some(caller) = record.caller.as_deref() else { return };
        let event = |detail| {
            Event { request_id: &record.request_id, client: record.client, detail, ..Event::default() }
                .of(Some(caller))
        };
        if let (Some(key), Some(client)) = (caller.key(), record.client)
            && self.is_new_network((caller.org.clone(), key.clone()), client)
        {
            metrics.security(Security::NewNetwork, &event("the key had not come from this network before"));
        }
        if self.is_unusual(&caller.org, record.time) {
            metrics.security(Security::UnusualRate, &event("far more requests in a minute than usual"));
        }
    }

    fn is_new_network(&mut self, key: (Arc<str>, Arc<str>), client: IpAddr) -> bool {
        if self.networks.len() >= KEYS {
            self.networks.clear();
        }
        let network = wide(client);
        let known = self.networks.entry(key).or_default();
        if known.contains(&network) {
            return false;
        }
        known.push_back(network);
        if known.len() > NETWORKS {
            known.pop_front();
        }
        known.len() > 1
    }

    fn is_unusual(&mut self, org: &Arc<str>, time: u64) -> bool {
        if self.rates.len() >= KEYS {
            self.rates.clear();
        }
        let minutes = self.rates.entry(org.clone()).or_default();
        let minute = time / 60_000;
        if minute > minutes.minute {
            minutes.pass(minute);
        }
        minutes.count += 1;
        #[allow(clippy::cast_precision_loss)] // a rough measure
        let unusual = minutes.known >= TO_KNOW
            && minutes.count >= AT_LEAST
            && minutes.count as f64 > TIMES * minutes.usual.max(1.0);
        unusual && !std::mem::replace(&mut minutes.told, true)
    }
}

impl Minutes {
    fn pass(&mut self, minute: u64) {
        #[allow(clippy::cast_precision_loss)] // a rough measure
        let count = self.count as f64;
        let quiet = if self.minute == 0 { 0 } else { (minute - self.minute - 1).min(60) };
        self.usual = if self.known == 0 { count } else { self.usual * 0.9 + count * 0.1 };
        for _ in 0..quiet {
            self.usual *= 0.9;
        }
        self.known = self.known.saturating_add(if self.minute == 0 {
            0
        } else {
            1 + u32::try_from(quiet).unwrap_or(0)
        });
        (self.minute, self.count, self.told) = (minute, 0, false);
    }
}

/// The network that an address is likely to share with its neighbours: a /24, or a /48 in version 6.
fn wide(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            IpAddr::from([a, b, c, 0, 0, 0, 0, 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_new_network_is_told_of_once() {
        let mut habits = Habits::default();
        let key = || (Arc::from("acme"), Arc::from("k"));
        let mut comes = |from: &str| habits.is_new_network(key(), from.parse().unwrap());
        assert!(!comes("10.0.0.1"), "the first is where it lives");
        assert!(!comes("10.0.0.200"));
        assert!(comes("10.0.1.1"));
        assert!(!comes("10.0.1.9"));
        assert!(comes("2001:db8::1"));
    }

    #[test]
    fn a_sudden_rise_is_told_of_once_in_a_minute() {
        let mut habits = Habits::default();
        let org = Arc::from("acme");
        let mut told = Vec::new();
        for minute in 1..40_u64 {
            let count = if minute == 30 { 500 } else { 20 };
            for _ in 0..count {
                if habits.is_unusual(&org, minute * 60_000) {
                    told.push(minute);
                }
            }
        }
        assert_eq!(told, [30]);
    }
}
