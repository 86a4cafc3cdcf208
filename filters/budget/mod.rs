//! How much money a caller may spend in a day, a week, a month, or in all.

mod period;

use rust_decimal::Decimal;
use serde::Deserialize;

pub use period::Period;

use crate::scope::{Dimension, Match, Scope};

/// A `[[budgets]]` table as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetConf {
    #[serde(default)]
    name: Option<String>,
    scope: Vec<Dimension>,
    #[serde(default, rename = "match")]
    patterns: Match,
    amount: String,
    period: period::Name,
    #[serde(default)]
    time_zone: Option<String>,
    /// Percentages at which an event says so.
    #[serde(default)]
    thresholds: Option<Vec<u32>>,
    #[serde(default)]
    unpriced: Unpriced,
}

/// What becomes of an exchange whose price nobody knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unpriced {
    /// It would spend without being counted.
    #[default]
    Refuse,
    Free,
}

/// One budget.
#[derive(Debug, Clone)]
pub struct Budget {
    pub name: String,
    pub scope: Scope,
    /// US dollars.
    pub amount: Decimal,
    pub period: Period,
    /// Percentages, ascending.
    pub thresholds: Vec<u32>,
    pub unpriced: Unpriced,
}

impl BudgetConf {
    /// The budget; an error names what is wrong in the table.
    pub fn resolve(self) -> Result<Budget, String> {
        let scope = Scope::new(&self.scope, &self.patterns)?;
        if let Some(other) =
            self.scope.iter().find(|dimension| matches!(dimension, Dimension::Thread | Dimension::Address))
        {
            // The ledger, which a budget is brought up to after a restart, does not know these.
            return Err(format!("a budget cannot be for each {:?}", other.as_str()));
        }
        let amount = dollars(&self.amount)?;
        let mut thresholds = self.thresholds.unwrap_or_else(|| vec![50, 80, 100]);
        thresholds.sort_unstable();
        let name = self
            .name
            .unwrap_or_else(|| format!("{} USD a {} for each {scope}", amount.normalize(), self.period));
        let period = Period::new(self.period, self.time_zone.as_deref())?;
        Ok(Budget { name, scope, amount, period, thresholds, unpriced: self.unpriced })
    }
}

/// `"25 USD"`, `"0.50"`.
fn dollars(text: &str) -> Result<Decimal, String> {
    let number = text.trim().strip_suffix("USD").unwrap_or(text).trim();
    match Decimal::from_str_exact(number) {
        Ok(amount) if !amount.is_sign_negative() && amount.scale() <= crate::counters::MONEY_DECIMALS => {
            Ok(amount)
        }
        _ => Err(format!("{text:?} is no amount; write it as \"25 USD\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(json: serde_json::Value) -> Result<Budget, String> {
        serde_json::from_value::<BudgetConf>(json).map_err(|e| e.to_string())?.resolve()
    }

    #[test]
    fn a_budget_is_read_as_it_is_written() {
        let one =
            budget(serde_json::json!({"scope": ["org"], "amount": "25 USD", "period": "month"})).unwrap();
        assert_eq!(one.amount, Decimal::from(25));
        assert_eq!(one.name, "25 USD a month for each org");
        assert_eq!(one.thresholds, [50, 80, 100]);
    }

    #[test]
    fn what_is_no_budget_is_refused() {
        for amount in ["25 EUR", "-1", "much", "0.0000000000001"] {
            let bad = serde_json::json!({"scope": ["org"], "amount": amount, "period": "day"});
            assert!(budget(bad).unwrap_err().contains("is no amount"), "{amount}");
        }
        let bad = serde_json::json!({"scope": ["thread"], "amount": "1", "period": "day"});
        assert!(budget(bad).unwrap_err().contains("thread"));
        let bad = serde_json::json!({"scope": ["org"], "amount": "1", "period": "day", "time_zone": "Europe/Atlantis"});
        assert!(budget(bad).unwrap_err().contains("Europe/Atlantis"));
    }
}
