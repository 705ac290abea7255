//! A metric's cell.

use mkt_connect::table::cell::{CellError, DecimalMark, count};

/// A count and whether it was abbreviated.
///
/// # Errors
/// As [`count`].
#[inline]
pub(super) fn read(text: &str, mark: Option<DecimalMark>) -> Result<(u64, bool), CellError> {
    match count(text, mark) {
        Ok(number) => Ok((number, false)),
        Err(error) => abbreviated(text).map(|number| (number, true)).ok_or(error),
    }
}

/// `1.8K`, `17,4 k`, `2M`: a number with at most two decimals, of either mark, and the word for thousand or million. A
/// fraction before such a word can be nothing else, so no mark has to be declared.
fn abbreviated(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let unit: u64 = match text.get(digits.len()..)? {
        "k" | "K" => 1_000,
        "m" | "M" => 1_000_000,
        "B" | "Md" => 1_000_000_000,
        _ => return None,
    };
    let digits = digits.trim_end_matches([' ', '\u{a0}', '\u{202f}']);
    let (whole, fraction) = digits.split_once(['.', ',']).unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 6 || fraction.len() > 2 || !is_number(whole) || !is_number(fraction)
    {
        return None;
    }
    if digits.len() > whole.len() && fraction.is_empty() {
        return None;
    }
    let hundredths: u64 = format!("{whole}{fraction:0<2}").parse().ok()?;
    Some(hundredths * (unit / 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abbreviated_numbers_are_multiplied() {
        let cases = [
            ("1.8K", Some(1_800)),
            ("17,4 k", Some(17_400)),
            ("2M", Some(2_000_000)),
            ("1.25M", Some(1_250_000)),
            ("552", None),
            ("1.234K", None),
            ("1.K", None),
            ("K", None),
            ("-1K", None),
            ("5 kg", None),
        ];
        for (text, expected) in cases {
            assert_eq!(abbreviated(text), expected, "{text}");
        }
        assert_eq!(read("2.000", None), Ok((2_000, false)));
        assert!(read("0.500", None).is_err() && read("12.5", None).is_err());
    }
}
