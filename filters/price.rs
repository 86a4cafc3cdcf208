//! What an exchange cost: tokens by kind times the price list, in exact decimals.

use std::collections::HashMap;
use std::fmt;

use rust_decimal::Decimal;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::counters::MONEY_DECIMALS;
use crate::names;
use crate::usage::{Reported, Usage};

/// The price list: provider -> model as that provider calls it -> prices.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Prices(HashMap<String, HashMap<String, ModelPrice>>);

/// The prices of one model in US dollars per million tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelPrice {
    rates: Rates,
    /// Prices of other service tiers, by the tier's name (`batch`, `flex`, `priority`).
    tiers: HashMap<&'static str, ModelPrice>,
    /// Prices of requests whose input is longer than so many tokens, longest first.
    above: Vec<(u64, ModelPrice)>,
}

/// Dollars per million tokens by kind; a kind without a price of its own is billed as its whole.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    pub input: Option<Decimal>,
    pub cached_input: Option<Decimal>,
    pub cache_write_5m: Option<Decimal>,
    pub cache_write_1h: Option<Decimal>,
    pub audio_input: Option<Decimal>,
    /// In the list for completeness; usage does not say how much of the audio was cached.
    pub cached_audio_input: Option<Decimal>,
    pub image_input: Option<Decimal>,
    pub output: Option<Decimal>,
    pub reasoning: Option<Decimal>,
    pub audio_output: Option<Decimal>,
    pub image_output: Option<Decimal>,
}

const TIERS: [&str; 3] = ["batch", "flex", "priority"];

impl Prices {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the models that `provider` has prices for.
    pub fn models(&self, provider: &str) -> impl Iterator<Item = &str> {
        self.0.get(provider).into_iter().flat_map(|models| models.keys().map(String::as_str))
    }

    /// What `provider` charges for a model in its standard tier, by its name or by its name without the date of
    /// its snapshot.
    pub fn standard(&self, provider: &str, model: &str) -> Option<Rates> {
        names::find(self.0.get(provider)?, model).map(|price| price.rates)
    }

    /// Takes over the entries of `other`, model by model.
    pub fn extend(&mut self, other: Self) {
        for (provider, models) in other.0 {
            self.0.entry(provider).or_default().extend(models);
        }
    }

    /// What `reported` cost with `provider` in US dollars. The first of `models` that is on the list
    /// counts (the one that answered, then the one asked for). `None` where no price is known.
    ///
    /// A provider's own figure wins over the list.
    pub fn cost<'a>(
        &self,
        provider: &str,
        models: impl IntoIterator<Item = &'a str>,
        reported: &Reported,
    ) -> Option<Decimal> {
        if let Some(cost) = reported.cost {
            return Some(exact(cost));
        }
        let known = self.0.get(provider)?;
        let price = models.into_iter().find_map(|model| names::find(known, model))?;
        price.cost(&reported.usage, reported.service_tier.as_deref()).map(exact)
    }
}

/// In the steps that money is counted in, so that the ledger's sum and a budget's are the same to the last decimal.
fn exact(cost: Decimal) -> Decimal {
    cost.round_dp(MONEY_DECIMALS).normalize()
}

impl ModelPrice {
    fn cost(&self, usage: &Usage, tier: Option<&str>) -> Option<Decimal> {
        let by_length = self.by_length(usage.input_tokens);
        let rates = match tier {
            None | Some("default" | "standard" | "auto" | "on_demand") => by_length.rates,
            // A tier that the list does not know has no known price.
            Some(tier) => {
                let special = by_length.tiers.get(tier).or_else(|| self.tiers.get(tier))?;
                special.by_length(usage.input_tokens).rates.at_most(&by_length.rates)
            }
        };
        rates.cost(usage)
    }

    fn by_length(&self, input_tokens: u64) -> &Self {
        self.above.iter().find(|(limit, _)| input_tokens > *limit).map_or(self, |(_, price)| price)
    }
}

impl Rates {
    fn cost(&self, usage: &Usage) -> Option<Decimal> {
        let parts_in = [
            (usage.cached_input_tokens, self.cached_input),
            (usage.cache_write_5m_tokens, self.cache_write_5m),
            (usage.cache_write_1h_tokens, self.cache_write_1h),
            (usage.audio_input_tokens, self.audio_input),
            (usage.image_input_tokens, self.image_input),
        ];
        let parts_out = [
            (usage.reasoning_tokens, self.reasoning),
            (usage.audio_output_tokens, self.audio_output),
            (usage.image_output_tokens, self.image_output),
        ];
        let input = side(usage.input_tokens, self.input, &parts_in)?;
        let sum = input.checked_add(side(usage.output_tokens, self.output, &parts_out)?)?;
        Some((sum / Decimal::from(1_000_000)).normalize())
    }

    /// Kinds that a tier's list leaves out cost what their whole costs there, but never more than
    /// they cost without the tier.
    fn at_most(&self, standard: &Self) -> Self {
        let kind = |own: Option<Decimal>, whole: Option<Decimal>, standard: Option<Decimal>| {
            own.or_else(|| standard.map(|s| whole.map_or(s, |w| w.min(s))))
        };
        Self {
            cached_input: kind(self.cached_input, self.input, standard.cached_input),
            cache_write_5m: kind(self.cache_write_5m, None, standard.cache_write_5m),
            cache_write_1h: kind(self.cache_write_1h, None, standard.cache_write_1h),
            audio_input: kind(self.audio_input, None, standard.audio_input),
            image_input: kind(self.image_input, None, standard.image_input),
            reasoning: kind(self.reasoning, self.output, standard.reasoning),
            audio_output: kind(self.audio_output, None, standard.audio_output),
            image_output: kind(self.image_output, None, standard.image_output),
            ..*self
        }
    }
}

/// The price of one side: each part that has its own price at that price, the rest at the whole's.
/// Nothing used costs nothing, whether or not a price is known; what no decimal can hold is no cost either.
fn side(total: u64, whole: Option<Decimal>, parts: &[(u64, Option<Decimal>)]) -> Option<Decimal> {
    let mut rest = total;
    let mut sum = Decimal::ZERO;
    for (tokens, price) in parts {
        if let Some(price) = price {
            // Parts may overlap (cached audio); no token is billed twice.
            let billed = rest.min(*tokens);
            rest -= billed;
            sum = sum.checked_add(price.checked_mul(Decimal::from(billed))?)?;
        }
    }
    if rest > 0 {
        sum = sum.checked_add(whole?.checked_mul(Decimal::from(rest))?)?;
    }
    Some(sum)
}

// === impl Deserialize ===

impl<'de> Deserialize<'de> for ModelPrice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ModelPriceVisitor)
    }
}

struct ModelPriceVisitor;

impl<'de> Visitor<'de> for ModelPriceVisitor {
    type Value = ModelPrice;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of prices in US dollars per million tokens, as decimal strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ModelPrice, A::Error> {
        let mut price = ModelPrice::default();
        while let Some(key) = map.next_key::<String>()? {
            if let Some(tier) = TIERS.into_iter().find(|tier| *tier == key) {
                price.tiers.insert(tier, map.next_value()?);
            } else if let Some(limit) = threshold(&key) {
                price.above.push((limit, map.next_value()?));
            } else if key == "source" {
                map.next_value::<String>()?;
            } else {
                let Some(rate) = price.rates.by_name(&key) else {
                    return Err(A::Error::custom(format!("unknown kind of price `{key}`")));
                };
                *rate = Some(
                    dollars(&map.next_value::<String>()?)
                        .map_err(|e| A::Error::custom(format!("`{key}`: {e}")))?,
                );
            }
        }
        price.above.sort_by_key(|(limit, _)| std::cmp::Reverse(*limit));
        Ok(price)
    }
}

fn dollars(text: &str) -> Result<Decimal, String> {
    match Decimal::from_str_exact(text) {
        Ok(price) if !price.is_sign_negative() => Ok(price),
        _ => Err(format!(
            "`{text}` is not a price; write US dollars per million tokens as a string, such as \"2.50\""
        )),
    }
}

/// `above_272k` -> 272,000 tokens.
fn threshold(key: &str) -> Option<u64> {
    let thousands: u64 = key.strip_prefix("above_")?.strip_suffix('k')?.parse().ok()?;
    thousands.checked_mul(1000)
}

impl Rates {
    fn by_name(&mut self, name: &str) -> Option<&mut Option<Decimal>> {
        Some(match name {
            "input" => &mut self.input,
            "cached_input" => &mut self.cached_input,
            "cache_write_5m" => &mut self.cache_write_5m,
            "cache_write_1h" => &mut self.cache_write_1h,
            "audio_input" => &mut self.audio_input,
            "cached_audio_input" => &mut self.cached_audio_input,
            "image_input" => &mut self.image_input,
            "output" => &mut self.output,
            "reasoning" => &mut self.reasoning,
            "audio_output" => &mut self.audio_output,
            "image_output" => &mut self.image_output,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices() -> Prices {
        serde_json::from_value(serde_json::json!({
            "openai": {
                "gpt-4o": {
                    "input": "2.5", "cached_input": "1.25", "output": "10", "audio_input": "40", "source": "https://example.com",
                    "flex": { "input": "1.25", "output": "5" },
                    "above_200k": { "input": "5", "output": "15", "flex": { "input": "2.5", "output": "7.5" } },
                },
                "embed": { "input": "0.02" },
            }
        }))
        .unwrap()
    }

    fn cost(model: &str, usage: Usage, tier: Option<&str>) -> Option<String> {
        let reported = Reported { usage, service_tier: tier.map(str::to_owned), ..Reported::default() };
        prices().cost("openai", [model], &reported).map(|c| c.to_string())
    }

    fn tokens(input_tokens: u64, output_tokens: u64) -> Usage {
        Usage { input_tokens, output_tokens, ..Usage::default() }
    }

    #[test]
    fn every_kind_has_its_price_and_the_rest_is_the_whole() {
        let usage =
            Usage { cached_input_tokens: 4, audio_input_tokens: 2, reasoning_tokens: 3, ..tokens(10, 5) };
        // 4 × 1.25 + 2 × 40 + 4 × 2.5 + 5 × 10 = 145 millionths
        assert_eq!(cost("gpt-4o", usage, None).unwrap(), "0.000145");
    }

    #[test]
    fn a_snapshot_costs_what_its_model_costs() {
        assert_eq!(cost("gpt-4o-2024-08-06", tokens(1, 0), None).unwrap(), "0.0000025");
    }

    #[test]
    fn tiers_and_lengths_have_their_own_prices() {
        assert_eq!(cost("gpt-4o", tokens(100, 0), Some("flex")).unwrap(), "0.000125");
        assert_eq!(cost("gpt-4o", tokens(100, 0), Some("default")).unwrap(), "0.00025");
        assert_eq!(cost("gpt-4o", tokens(200_000, 0), None).unwrap(), "0.5");
        assert_eq!(cost("gpt-4o", tokens(200_001, 0), None).unwrap(), "1.000005");
        assert_eq!(cost("gpt-4o", tokens(200_002, 0), Some("flex")).unwrap(), "0.500005");
        // flex lists no cached price: at most the standard one, at most flex input
        let cached = Usage { cached_input_tokens: 100, ..tokens(100, 0) };
        assert_eq!(cost("gpt-4o", cached, Some("flex")).unwrap(), "0.000125");
    }

    #[test]
    fn what_has_no_price_is_unknown_and_never_free() {
        assert_eq!(cost("gpt-4o", tokens(1, 1), Some("priority")), None);
        assert_eq!(cost("gpt-99", tokens(1, 1), None), None);
        assert_eq!(cost("embed", tokens(1, 1), None), None);
        assert_eq!(cost("embed", tokens(50, 0), None).unwrap(), "0.000001");
    }

    #[test]
    fn the_providers_own_figure_wins() {
        let reported = Reported { cost: Some(Decimal::new(42, 5)), ..Reported::default() };
        assert_eq!(prices().cost("openai", ["gpt-4o"], &reported), Some(Decimal::new(42, 5)));
    }

    #[test]
    fn a_count_that_cannot_be_true_has_no_cost() {
        assert!(cost("gpt-4o", tokens(u64::MAX, u64::MAX), None).is_some());
        let dear: Prices =
            serde_json::from_value(serde_json::json!({"p": {"m": {"input": "9999999999999"}}})).unwrap();
        let reported = Reported { usage: tokens(u64::MAX, 0), ..Reported::default() };
        assert_eq!(dear.cost("p", ["m"], &reported), None);
    }

    #[test]
    fn overlapping_parts_are_not_billed_twice() {
        let usage = Usage { cached_input_tokens: 10, audio_input_tokens: 10, ..tokens(10, 0) };
        assert_eq!(cost("gpt-4o", usage, None).unwrap(), "0.0000125");
    }

    #[test]
    fn a_wrong_entry_is_named() {
        let bad = |entry| {
            serde_json::from_value::<Prices>(serde_json::json!({"p": {"m": entry}})).unwrap_err().to_string()
        };
        assert!(bad(serde_json::json!({"inptu": "1"})).contains("unknown kind of price `inptu`"));
        assert!(bad(serde_json::json!({"input": "-1"})).contains("`-1` is not a price"));
    }
}
