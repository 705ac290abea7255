//! The campaign id, independent of spelling.

use sha2::{Digest, Sha256};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The longest slug of one part.
const LONGEST: usize = 64;

/// The id of a campaign: the [`slug`]s of source, medium and name, joined by `_`, with `-` for an empty part.
///
/// Every crate uses this one function, for links in emails, landing URLs, costs and declarations. It is stable: a change
/// would break stored data. It is ASCII, never empty, at most 194 characters long. Two different triples have the
/// same id only if their parts differ in nothing but case, accents, punctuation and white space, or if 32 bits of
/// SHA-256 collide (for parts that are too long or in other scripts).
///
/// ```
/// use mkt_connect::campaign::campaign_id;
/// assert_eq!(campaign_id("Newsletter", "email", "Soldes d'été 2026"), "newsletter_email_soldes-d-ete-2026");
/// assert_eq!(campaign_id("google", "cpc", ""), "google_cpc_-");
/// ```
#[must_use]
pub fn campaign_id(source: &str, medium: &str, name: &str) -> String {
    [source, medium, name]
        .map(|part| match slug(part) {
            empty if empty.is_empty() => "-".to_owned(),
            slug => slug,
        })
        .join("_")
}

/// Lower-case ASCII letters and digits, in words joined by `-`: accents are folded (`é` → `e`, `œ` → `oe`, `ß` → `ss`),
/// everything else that is no letter or digit separates words.
///
/// A text with letters that have no such folding (other scripts), and one over 64 characters, keeps what it can and
/// ends with `-` and eight hexadecimal digits of the SHA-256 of the whole folded text, so that two of them stay two.
/// Empty only when there is no letter or digit at all. A slug's slug is itself.
///
/// ```
/// use mkt_connect::campaign::slug;
/// assert_eq!(slug("  Été -- À la CARTE! "), "ete-a-la-carte");
/// assert_eq!(slug("акция"), slug("АКЦИЯ"));
/// assert_ne!(slug("акция"), slug("скидка"));
/// ```
#[must_use]
pub fn slug(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut lost = false;
    // Compatibility decomposition takes accents, ligatures and full-width forms apart; lower case first and last, as
    // some capitals only appear by it.
    for character in text.chars().flat_map(char::to_lowercase).nfkd().flat_map(char::to_lowercase) {
        match character {
            'a'..='z' | '0'..='9' => folded.push(character),
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'þ' => folded.push_str("th"),
            'ı' => folded.push('i'),
            // What decomposition leaves of an accent.
            '\u{300}'..='\u{36f}' => {}
            other if other.is_alphanumeric() || is_combining_mark(other) => {
                lost = true;
                folded.push(other);
            }
            // An apostrophe separates as a blank does: `d'été` is two words.
            _ => folded.push(' '),
        }
    }
    let words: Vec<&str> = folded.split_ascii_whitespace().collect();
    let whole = words.join("-");
    if !lost && whole.len() <= LONGEST {
        return whole;
    }
    let digest = Sha256::digest(whole.as_bytes());
    let hash: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let ascii: String = whole.chars().filter(char::is_ascii).collect();
    let kept: Vec<&str> = ascii.split('-').filter(|word| !word.is_empty()).collect();
    let mut kept = kept.join("-");
    kept.truncate(LONGEST - 1 - hash.len());
    let kept = kept.trim_end_matches('-');
    if kept.is_empty() { hash } else { format!("{kept}-{hash}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn european_accents_are_folded() {
        for (text, expected) in [
            ("Soldes d'été", "soldes-d-ete"),
            ("Œuvre à Ångström", "oeuvre-a-angstrom"),
            ("STRASSE Straße", "strasse-strasse"),
            ("Łódź/Þór", "lodz-thor"),
            ("İstanbul ILIK", "istanbul-ilik"),
            ("ﬁn ５０%", "fin-50"),
            ("___", ""),
            ("a_b.c+d", "a-b-c-d"),
        ] {
            assert_eq!(slug(text), expected, "{text}");
        }
    }

    #[test]
    fn other_scripts_and_long_names_stay_apart() {
        assert_ne!(slug("春のセール"), slug("夏のセール"));
        assert_ne!(slug("ガ"), slug("カ"));
        let long = "very long name ".repeat(20);
        assert_ne!(slug(&format!("{long} a")), slug(&format!("{long} b")));
        assert!(slug(&long).len() <= LONGEST);
        // The first 32 bits of what `sha256sum` says of the five characters in UTF-8.
        assert_eq!(slug("春のセール"), "f768d963");
    }

    #[test]
    fn an_empty_campaign_has_an_id_too() {
        assert_eq!(campaign_id("", " ", "!"), "-_-_-");
    }

    #[test]
    fn ids_of_shifted_parts_differ() {
        assert_ne!(campaign_id("a", "b_c", "d"), campaign_id("a_b", "c", "d"));
        assert_ne!(campaign_id("a", "", "b"), campaign_id("a", "b", ""));
    }

    proptest! {
        #[test]
        fn a_slug_is_bounded_ascii_and_its_own_slug(text in "\\PC{0,120}") {
            let once = slug(&text);
            prop_assert!(once.len() <= LONGEST);
            prop_assert!(once.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'));
            prop_assert!(!once.starts_with('-') && !once.ends_with('-') && !once.contains("--"));
            prop_assert_eq!(slug(&once), once);
        }

        #[test]
        fn case_never_matters(text in "[a-zA-Zéèàçñöü0-9 ]{0,40}") {
            prop_assert_eq!(slug(&text.to_uppercase()), slug(&text.to_lowercase()));
        }

        #[test]
        fn plain_slugs_are_never_confused(parts in prop::array::uniform3("[a-z0-9]{0,8}(-[a-z0-9]{1,8}){0,2}"), others in prop::array::uniform3("[a-z0-9]{0,8}(-[a-z0-9]{1,8}){0,2}")) {
            let id = |[a, b, c]: &[String; 3]| campaign_id(a, b, c);
            let same = parts.clone().map(|part| slug(&part)) == others.clone().map(|part| slug(&part));
            prop_assert_eq!(id(&parts) == id(&others), same);
        }
    }
}
