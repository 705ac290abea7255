//! Amounts in whole cents: sums are exact, and a column always has two decimals.

use std::fmt;

use serde::{Serialize, Serializer};

/// The only currency of the shop.
pub(crate) const CURRENCY: &str = "EUR";

/// An amount in whole cents of the shop's currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cents(pub(crate) u64);

impl fmt::Display for Cents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl std::ops::AddAssign for Cents {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

/// In JSON a number of euros: cents over 100 is the nearest double, printed in its shortest form.
impl Serialize for Cents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 100.0)
    }
}
