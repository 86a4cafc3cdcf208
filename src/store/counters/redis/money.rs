//! Money as the scripts count it: `dollars:trillionths`, two whole numbers that a double holds exactly.

use rust_decimal::Decimal;
use tollgate_filters::counters::MONEY_DECIMALS;

const TRILLION: i128 = 1_000_000_000_000;
/// Dollars stay below this (2^52).
const MOST: i128 = 1 << 52;

/// Steps finer than a trillionth are rounded up.
pub fn text(amount: Decimal) -> String {
    let parts = parts(amount).clamp(-MOST * TRILLION, MOST * TRILLION);
    format!("{}:{}", parts.div_euclid(TRILLION), parts.rem_euclid(TRILLION))
}

/// The amount of so many dollars and trillionths.
pub fn amount(dollars: i64, trillionths: i64) -> Decimal {
    let parts = i128::from(dollars) * TRILLION + i128::from(trillionths);
    Decimal::try_from_i128_with_scale(parts, MONEY_DECIMALS)
        .map_or_else(|_| Decimal::from(dollars), |amount| amount.normalize())
}

fn parts(amount: Decimal) -> i128 {
    let (mantissa, scale) = (amount.mantissa(), amount.scale());
    if scale <= MONEY_DECIMALS {
        let all = MOST * TRILLION * amount.mantissa().signum();
        return mantissa.checked_mul(10_i128.pow(MONEY_DECIMALS - scale)).unwrap_or(all);
    }
    let step = 10_i128.pow(scale - MONEY_DECIMALS);
    mantissa.div_euclid(step) + i128::from(mantissa.rem_euclid(step) > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_come_back_to_the_last_decimal() {
        for text_of in ["0", "1", "0.000000000001", "25", "-0.5", "123456789.123456789012", "-7.000000000001"]
        {
            let decimal: Decimal = text_of.parse().unwrap();
            let text = text(decimal);
            let (dollars, parts) = text.split_once(':').unwrap();
            assert_eq!(amount(dollars.parse().unwrap(), parts.parse().unwrap()), decimal, "{text}");
        }
        assert_eq!(text(Decimal::new(-5, 1)), "-1:500000000000");
        assert_eq!(text(Decimal::new(1, 13)), "0:1");
        assert_eq!(text(Decimal::MAX), "4503599627370496:0");
    }
}
