//! Currencies by their codes.

use crate::MoneyError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Codes in use, in order: ISO 4217, list one, as the Debian project's iso-codes has it in February 2026 (read from
/// pycountry 26.2.16), without `XTS` and `XXX`.
const CURRENT: &str = "\
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD \
    CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL \
    GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW \
    KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD \
    NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP \
    SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS \
    VED VES VND VUV WST XAD XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU XUA YER ZAR ZMW \
    ZWG";

/// Codes of ISO 4217, list three, that were withdrawn in 1999 or later: by the euro, by new units, by new countries. Checked
/// against the currencies of Unicode's CLDR in December 2026.
const HISTORICAL: &str = "\
    AFA ANG ATS AZM BEF BGL BGN BYR CSD CUC CYP DEM EEK ESP FIM FRF GHC GRD HRK IEP ITL LTL LUF LVL MGF \
    MRO MTL MZM NLG PTE ROL SDD SIT SKK SLL SRG STD TMM TRL VEB VEF ZMK ZWL";

/// Whether a list holds a code.
fn holds(list: &str, code: [u8; 3]) -> bool {
    list.as_bytes().chunks(4).any(|entry| entry.starts_with(&code))
}

/// A currency by its code of ISO 4217.
///
/// Read from text in either case: the codes in use, and those that were in use after 1998 and stand in older exports
/// ([`is_historical`](Self::is_historical)). Other words of three letters are refused, `XXX` (no currency) and `XTS` (testing)
/// too: an amount in them would be a sum of its own that nobody can place.
///
/// ```
/// use mkt_connect::Currency;
/// assert_eq!("eur".parse(), Ok(Currency::EUR));
/// assert!("HRK".parse::<Currency>().is_ok_and(Currency::is_historical));
/// assert_eq!("ZZZ".parse::<Currency>().unwrap_err().to_string(), "\"ZZZ\" is not an ISO 4217 currency code");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");
    /// The dollar of the United States.
    pub const USD: Self = Self(*b"USD");
    /// The pound sterling.
    pub const GBP: Self = Self(*b"GBP");

    /// The three letters, in upper case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Whether the code was withdrawn: `HRK` since the euro, `DEM`, `ZWL`. Its amounts are kept as they are, and never
    /// converted.
    #[must_use]
    pub fn is_historical(self) -> bool {
        holds(HISTORICAL, self.0)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let code = match text.trim().as_bytes() {
            &[a, b, c] => {
                let code = [a, b, c].map(|letter| letter.to_ascii_uppercase());
                (holds(CURRENT, code) || holds(HISTORICAL, code)).then_some(Self(code))
            }
            _ => None,
        };
        code.ok_or_else(|| MoneyError::Currency(text.chars().take(12).collect()))
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;

    fn try_from(text: String) -> Result<Self, MoneyError> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_the_list_are_read_in_either_case() {
        assert_eq!("eur".parse::<Currency>(), Ok(Currency::EUR));
        // The newest: Sierra Leone 2022, the Caribbean guilder 2025, Zimbabwe 2024.
        for code in ["USD", "JPY", "KWD", "XOF", "SLE", "XCG", "ZWG", "AED"] {
            assert!(code.parse::<Currency>().is_ok_and(|currency| !currency.is_historical()), "{code}");
        }
        for code in ["HRK", "DEM", "FRF", "BGN", "ANG", "AFA", "ZWL"] {
            assert!(code.parse::<Currency>().is_ok_and(Currency::is_historical), "{code}");
        }
    }

    #[test]
    fn words_that_are_no_code_are_refused() {
        for bad in ["", "EU", "EURO", "€", "E1R", "ZZZ", "XXX", "XTS", "BTC", "UR ", "R G", "   ", "\u{e9}a"]
        {
            assert!(bad.parse::<Currency>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn lists_are_in_order_and_have_no_code_in_common() {
        for list in [CURRENT, HISTORICAL] {
            let codes: Vec<&str> = list.split(' ').collect();
            assert!(codes.is_sorted() && codes.iter().all(|code| code.len() == 3));
            assert!(codes.iter().all(|code| code.parse::<Currency>().is_ok()));
        }
        assert_eq!((CURRENT.split(' ').count(), HISTORICAL.split(' ').count()), (176, 43));
        assert!(HISTORICAL.split(' ').all(|code| !CURRENT.contains(code)));
    }
}
