//! A segment: some of the visits, by Matomo's own condition.

use std::fmt;

/// A part of a site's visits: a population of its own, whose numbers never mix with those of the whole.
///
/// Its streams carry its name, `referrers[desktop]`, and so do its slices, its report names and its control totals. It
/// fills `dimension_metrics` only, under those report names: a visit of a segment is also a visit of the whole, so that
/// a second session, event or daily metric would be counted twice by whoever sums over sites or sources.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Segment {
    name: String,
    definition: String,
}

/// A condition may name a user.
impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Segment {
    pub(super) fn new(name: String, definition: String) -> Self {
        Self { name, definition }
    }

    /// Whether its name has 1 to 40 lower-case letters, digits, `-` and `_`, and its definition says anything.
    pub(super) fn is_usable(&self) -> bool {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        (1..=40).contains(&self.name.len())
            && self.name.bytes().all(letter)
            && !self.definition.trim().is_empty()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn definition(&self) -> &str {
        &self.definition
    }

    /// The name of a stream or report in this segment.
    pub(super) fn of(&self, name: &str) -> String {
        format!("{name}[{}]", self.name)
    }
}

/// `referrers[desktop]` as its stream and its segment's name.
pub(super) fn split(stream: &str) -> (&str, Option<&str>) {
    match stream.strip_suffix(']').and_then(|stream| stream.split_once('[')) {
        Some((stream, segment)) => (stream, Some(segment)),
        None => (stream, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_and_a_definition_is_shown_to_nobody() {
        let segment = Segment::new("vip-2".to_owned(), "userId==jo@example.org".to_owned());
        assert!(segment.is_usable());
        assert!(!format!("{segment:?}").contains("jo@"));
        assert_eq!(segment.of("pages"), "pages[vip-2]");
        assert_eq!(split("pages[vip-2]"), ("pages", Some("vip-2")));
        assert_eq!(split("pages"), ("pages", None));
        for name in ["", "a b", "A", "a]", "é", &"a".repeat(41)] {
            assert!(!Segment::new(name.to_owned(), "x==1".to_owned()).is_usable(), "{name:?}");
        }
        assert!(!Segment::new("a".to_owned(), " ".to_owned()).is_usable());
    }
}
