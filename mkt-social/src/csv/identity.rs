//! Which post a row is about, and whether it was read before.

use std::hash::{BuildHasher, Hash, Hasher};

use chrono::{DateTime, SecondsFormat, Utc};
use foldhash::quality::RandomState;
use hashbrown::hash_table::{Entry, HashTable};
use mkt_connect::table::Reason;
use siphasher::sip::SipHasher13 as Sip64;
use siphasher::sip128::{Hasher128, SipHasher13};

/// The id of a post without one: its full timestamp, and a hash of what distinguishes it from others of that time. Both are
/// the same in every export of the post, whatever its metrics.
///
/// Without text and URL nothing distinguishes two posts of one time but their order; `nth` counts them.
pub(super) fn id_of(at: DateTime<Utc>, content: &[Option<&str>], nth: impl FnOnce() -> u32) -> String {
    let at = at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    if content.iter().all(Option::is_none) {
        return format!("{at}#{}", nth());
    }
    let mut hasher = Sip64::new();
    content.hash(&mut hasher);
    format!("{at}#{:016x}", hasher.finish())
}

/// Whether a spreadsheet has rounded an id: `1.78946E+16`.
pub(super) fn is_rounded(id: &str) -> bool {
    let Some((number, exponent)) = id.split_once(['E', 'e']) else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, "0"));
    exponent.strip_prefix('+').is_some_and(digits) && digits(whole) && digits(fraction)
}

/// The state of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Met {
    New,
    Repeated,
    Outside,
}

/// The posts read so far: 24 bytes each in their order, and a small table that finds them. The table is accessed at random,
/// so it holds only numbers.
pub(super) struct Seen {
    rows: Vec<Row>,
    by_name: HashTable<u32>,
    names: SipHasher13,
    whole: RandomState,
}

/// 96 bits of the hash of network and id, under a random key: among a thousand million posts, two have the same name in one
/// of 10¹¹ files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name([u32; 3]);

impl Name {
    fn hash(self) -> u64 {
        u64::from(self.0[0]) << 32 | u64::from(self.0[1])
    }
}

/// The line (in two halves, which need no alignment to 8 bytes) and 32 bits of the hash of the row.
struct Row {
    name: Name,
    line: [u32; 2],
    fingerprint: u32,
}

impl Seen {
    pub(super) fn new() -> Self {
        let whole = RandomState::default();
        let names = SipHasher13::new_with_keys(whole.hash_one(1), whole.hash_one(2));
        Self { rows: Vec::new(), by_name: HashTable::new(), names, whole }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Records a row: new, repeated, or in contradiction to the row of an earlier line.
    pub(super) fn meet(&mut self, network: &str, id: &str, raw: &[u8], line: u64) -> Result<Met, Reason> {
        let mut hasher = self.names;
        (network, id).hash(&mut hasher);
        let name = hasher.finish128().as_u128();
        let name = Name([name as u32, (name >> 32) as u32, (name >> 64) as u32]);
        let mut hasher = self.whole.build_hasher();
        hasher.write(raw);
        let fingerprint = hasher.finish() as u32;
        let named = |number: &u32| self.rows.get(*number as usize).map(|row| row.name);
        let hash = |number: &u32| named(number).map_or(0, Name::hash);
        match self.by_name.entry(name.hash(), |number| named(number) == Some(name), hash) {
            Entry::Vacant(place) => {
                let number = u32::try_from(self.rows.len()).map_err(|_| {
                    Reason::rule("too_many_posts", "more than 4 294 967 296 posts in one file")
                })?;
                place.insert(number);
                self.rows.push(Row { name, line: [(line >> 32) as u32, line as u32], fingerprint });
                Ok(Met::New)
            }
            Entry::Occupied(known) => match self.rows.get(*known.get() as usize) {
                Some(known) if known.fingerprint != fingerprint => {
                    let [high, low] = known.line;
                    let line = u64::from(high) << 32 | u64::from(low);
                    Err(Reason::rule("contradiction", format!("other values for the post of line {line}")))
                }
                _ => Ok(Met::Repeated),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_without_an_id_column_depends_on_time_and_content_only() {
        let at = |text: &str| text.parse().unwrap();
        let id = |time, text| id_of(at(time), &[text, None], || 7);
        assert_eq!(id("2026-03-01T10:00:00Z", None), "2026-03-01T10:00:00Z#7");
        assert_eq!(id("2026-03-01T10:00:00.25Z", Some("a")), id("2026-03-01T10:00:00.25Z", Some("a")));
        assert_ne!(id("2026-03-01T10:00:00.25Z", Some("a")), id("2026-03-01T10:00:00.5Z", Some("a")));
        assert_ne!(id("2026-03-01T10:00:00Z", Some("a")), id("2026-03-01T10:00:00Z", Some("b")));
    }

    #[test]
    fn ids_in_scientific_notation_are_rounded() {
        for id in ["1.78946E+16", "1,78946E+16", "1E+17", "1.8e+16"] {
            assert!(is_rounded(id), "{id}");
        }
        for id in ["17894600000000000", "1E17", "E+16", "p1E+1x", "1.E+16"] {
            assert!(!is_rounded(id), "{id}");
        }
    }
}
