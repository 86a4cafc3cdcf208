//! What the ledger says was used before: counters in this process begin with it, so that a restart is no way around a
//! limit or a budget.

use std::collections::HashMap;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::{Estimate, Part, Quotas};
use crate::counters::{Key, LeaseId, Past, Restored, Take, Window};
use crate::rate_limit::{Bucket, Rate};
use crate::scope::Subject;

/// One row of the ledger, as far as counters go. Threads and addresses are not in it.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// Milliseconds since 1970.
    pub time: u64,
    pub subject: Subject,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cost: Option<Decimal>,
}

/// Adds entries up, oldest first.
#[derive(Debug)]
pub struct Books<'a> {
    quotas: &'a Quotas,
    now: u64,
    buckets: HashMap<(Arc<str>, Key), (Rate, Bucket)>,
    spent: HashMap<(Arc<str>, Key), (Window, Decimal)>,
}

impl<'a> Books<'a> {
    /// `now` in milliseconds since 1970: only what still counts then is kept.
    pub fn new(quotas: &'a Quotas, now: u64) -> Self {
        Self { quotas, now, buckets: HashMap::new(), spent: HashMap::new() }
    }

    /// The earliest time that matters; `None` where nothing before now does.
    pub fn since(&self) -> Option<u64> {
        let budgets = self.quotas.budgets().map(|budget| budget.period.window(self.now).start);
        let periods = self.quotas.rates().map(|rate| {
            // A bucket that was full to the brim is empty after this long.
            let drains = rate.period.as_millis() * u128::from(rate.burst) / u128::from(rate.amount);
            self.now.saturating_sub(u64::try_from(drains).unwrap_or(u64::MAX))
        });
        budgets.chain(periods).min()
    }

    pub fn add(&mut self, entry: &Entry) {
        let estimate = Estimate {
            input_tokens: entry.input_tokens,
            output_tokens: entry.output_tokens,
            cost: Some(entry.cost.unwrap_or_default()),
            uses: true,
        };
        let id = LeaseId { exchange: 0, part: 0 };
        for part in [Part::Caller, Part::Target] {
            let held = self.quotas.hold(part, id, &entry.subject, &estimate, entry.time);
            let charges = held.ok().flatten().map(|held| held.lease.charges);
            for charge in charges.into_iter().flatten() {
                self.charge((entry.subject.org.clone(), charge.key), &charge.take, entry.time);
            }
        }
    }

    fn charge(&mut self, of: (Arc<str>, Key), take: &Take, time: u64) {
        match take {
            Take::Units { rate, units } => {
                let (_, bucket) = self.buckets.entry(of).or_insert((*rate, Bucket::default()));
                bucket.drain(rate, time.saturating_mul(1000));
                bucket.add(rate, *units);
            }
            Take::Money { window, amount, .. } => {
                // Entries come in order of time: a later window takes the place of an earlier one.
                let (known, spent) = self.spent.entry(of).or_insert((*window, Decimal::ZERO));
                if known != window {
                    (*known, *spent) = (*window, Decimal::ZERO);
                }
                *spent += amount;
            }
            Take::Place { .. } => {}
        }
    }

    /// What the counters are to begin with.
    pub fn close(self) -> Vec<Restored> {
        let now = self.now;
        let buckets = self.buckets.into_iter().filter_map(|((org, key), (rate, mut bucket))| {
            bucket.drain(&rate, now.saturating_mul(1000));
            (bucket.points > 0).then_some(Restored { org, key, what: Past::Bucket { rate, bucket } })
        });
        let spent = self.spent.into_iter().filter_map(|((org, key), (window, amount))| {
            let counts = (window.start..window.end).contains(&now);
            counts.then_some(Restored { org, key, what: Past::Spent { window, amount } })
        });
        buckets.chain(spent).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::BudgetConf;
    use crate::rate_limit::LimitConf;

    #[test]
    fn what_the_ledger_says_still_counts_and_what_is_over_does_not() {
        let limit: LimitConf =
            serde_json::from_value(serde_json::json!({"scope": ["key"], "tokens": "1000/hour"})).unwrap();
        let budget: BudgetConf =
            serde_json::from_value(serde_json::json!({"scope": ["org"], "amount": "1", "period": "day"}))
                .unwrap();
        let quotas = Quotas::new(limit.resolve().unwrap(), vec![budget.resolve().unwrap()]).unwrap();
        let day = 24 * 3600 * 1000;
        let now = 20_000 * day + day / 2;
        let mut books = Books::new(&quotas, now);
        assert_eq!(books.since(), Some(20_000 * day));
        let entry = |time: u64, cost: i64| Entry {
            time,
            subject: Subject { org: Arc::from("acme"), key: Some(Arc::from("k")), ..Subject::default() },
            input_tokens: 100,
            output_tokens: 200,
            cost: Some(Decimal::new(cost, 2)),
        };
        books.add(&entry(now - day, 50));
        books.add(&entry(now - 3600 * 1000, 7));
        books.add(&entry(now - 1800 * 1000, 8));
        let restored = books.close();
        let spent: Vec<_> = restored
            .iter()
            .filter_map(|r| match &r.what {
                Past::Spent { amount, .. } => Some(*amount),
                Past::Bucket { .. } => None,
            })
            .collect();
        assert_eq!(spent, [Decimal::new(15, 2)]);
        let remaining: Vec<_> = restored
            .iter()
            .filter_map(|r| match &r.what {
                Past::Bucket { rate, bucket } => Some(bucket.room(rate, now * 1000).remaining),
                Past::Spent { .. } => None,
            })
            .collect();
        // Of the 300 half an hour ago, the bucket of 1000 an hour has drained all; a moment ago they would still count.
        assert!(remaining.is_empty(), "{remaining:?}");
        let mut books = Books::new(&quotas, now);
        books.add(&entry(now - 360 * 1000, 1));
        let left = books.close().into_iter().find_map(|r| match r.what {
            Past::Bucket { rate, bucket } => Some(bucket.room(&rate, now * 1000).remaining),
            Past::Spent { .. } => None,
        });
        assert_eq!(left, Some(800), "300 were taken, and 100 have drained in six minutes");
    }
}
