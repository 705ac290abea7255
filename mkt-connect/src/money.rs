//! Amounts with their currency. Never a float; two currencies are never added.

use crate::Currency;
use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An amount of one currency, exact.
///
/// ```
/// use mkt_connect::{Currency, Money};
/// let a = Money::parse("19.90", Currency::EUR)?;
/// let b = Money::parse("0.10", Currency::EUR)?;
/// assert_eq!(a.checked_add(b)?.to_string(), "20.00 EUR");
/// assert_eq!(a.hundredths()?, 1990);
/// # Ok::<(), mkt_connect::MoneyError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// The amount, in units of the currency.
    pub amount: Decimal,
    /// The currency.
    pub currency: Currency,
}

/// What cannot be money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoneyError {
    /// No code of ISO 4217.
    #[error("{0:?} is not an ISO 4217 currency code")]
    Currency(String),
    /// Not a decimal number.
    #[error("{0:?} is not an amount")]
    Amount(String),
    /// Two different currencies met.
    #[error("{0} and {1} cannot be added")]
    Mixed(Currency, Currency),
    /// Beyond what DECIMAL(10,2) holds.
    #[error("{0} does not fit in DECIMAL(10,2)")]
    Range(Decimal),
}

/// The largest hundredths of a DECIMAL(10,2): eight digits before the point.
const MAX_HUNDREDTHS: i64 = 9_999_999_999;

impl Money {
    /// An amount of a currency.
    #[must_use]
    pub fn new(amount: Decimal, currency: Currency) -> Self {
        Self { amount, currency }
    }

    /// Nothing of a currency.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        Self { amount: Decimal::ZERO, currency }
    }

    /// Parses `"1234.50"`: digits with at most one point, and a sign. Exponents (`1e3`), separators (`1,000`, `1_000`),
    /// a point without digits behind it and more digits than a [`Decimal`] holds are refused.
    ///
    /// # Errors
    /// [`MoneyError::Amount`] with the text.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let wrong = || MoneyError::Amount(text.chars().take(40).collect());
        let trimmed = text.trim();
        let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        // Rust's decimals allow exponents and underscores that no price has.
        if fraction.is_empty() || !is_number(whole) || !is_number(fraction) {
            return Err(wrong());
        }
        let amount = Decimal::from_str_exact(trimmed).map_err(|_| wrong())?;
        Ok(Self { amount, currency })
    }

    /// From hundredths, as SQLite stores them.
    #[must_use]
    pub fn from_hundredths(hundredths: i64, currency: Currency) -> Self {
        Self { amount: Decimal::new(hundredths, 2), currency }
    }

    /// To hundredths: rounded half to even, as SQL's DECIMAL(10,2) column would hold it.
    ///
    /// # Errors
    /// [`MoneyError::Range`] beyond ±99 999 999.99.
    pub fn hundredths(&self) -> Result<i64, MoneyError> {
        let rounded = self.amount.round_dp_with_strategy(2, RoundingStrategy::MidpointNearestEven);
        let scaled = rounded.checked_mul(Decimal::ONE_HUNDRED).ok_or(MoneyError::Range(self.amount))?;
        let hundredths = i64::try_from(scaled.trunc().mantissa()).map_err(|_| MoneyError::Range(self.amount));
        // `trunc` of a whole number leaves scale 0, so the mantissa is the number itself.
        match hundredths {
            // Not `abs`: the least i64 has none.
            Ok(value) if (-MAX_HUNDREDTHS..=MAX_HUNDREDTHS).contains(&value) => Ok(value),
            _ => Err(MoneyError::Range(self.amount)),
        }
    }

    /// Adds two amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError::Mixed`] for two currencies, [`MoneyError::Range`] on overflow.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Mixed(self.currency, other.currency));
        }
        let amount = self.amount.checked_add(other.amount).ok_or(MoneyError::Range(self.amount))?;
        Ok(Self { amount, currency: self.currency })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded first: a precision given to `Decimal`'s own Display cuts digits off.
        let rounded = self.amount.round_dp_with_strategy(2, RoundingStrategy::MidpointNearestEven);
        write!(f, "{rounded:.2} {}", self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eur(text: &str) -> Money {
        Money::parse(text, Currency::EUR).unwrap()
    }

    #[test]
    fn a_tenth_and_two_tenths_are_three_tenths() {
        assert_eq!(eur("0.1").checked_add(eur("0.2")).unwrap(), eur("0.3"));
    }

    #[test]
    fn two_currencies_are_never_added() {
        let dollars = Money::parse("1", Currency::USD).unwrap();
        assert_eq!(eur("1").checked_add(dollars), Err(MoneyError::Mixed(Currency::EUR, Currency::USD)));
    }

    #[test]
    fn hundredths_round_half_to_even() {
        for (text, expected) in
            [("0.005", 0), ("0.015", 2), ("0.025", 2), ("-0.015", -2), ("19.9", 1990), ("12", 1200)]
        {
            assert_eq!(eur(text).hundredths(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_largest_decimal_10_2_fits_and_the_next_does_not() {
        assert_eq!(eur("99999999.99").hundredths(), Ok(9_999_999_999));
        assert!(eur("100000000").hundredths().is_err());
        assert!(eur("79228162514264337593543950335").hundredths().is_err());
    }

    #[test]
    fn exponents_separators_and_the_least_integer_are_refused() {
        for text in [
            "1e3", "1E3", "1_000", "1,000", "1 000", "5.", "", "-", "+", "--1", "0x10", "1.2.3", "NaN", "inf",
        ] {
            assert!(Money::parse(text, Currency::EUR).is_err(), "{text}");
        }
        let many = format!("0.{}", "1".repeat(40));
        assert!(Money::parse(&many, Currency::EUR).is_err(), "not rounded silently");
        for (text, expected) in [(".5", 50), ("+7", 700), (" -0.10 ", -10)] {
            assert_eq!(eur(text).hundredths(), Ok(expected), "{text}");
        }
        let least = Money::from_hundredths(i64::MIN, Currency::EUR);
        assert_eq!(least.hundredths(), Err(MoneyError::Range(least.amount)));
        assert!(eur("-92233720368547758.08").hundredths().is_err());
    }

    #[test]
    fn an_amount_is_printed_rounded_not_cut_off() {
        assert_eq!(eur("10.938969").to_string(), "10.94 EUR");
        assert_eq!(eur("7").to_string(), "7.00 EUR");
    }
}
