//! AT Internet's `xtor`: `prefix-id-element-…`, where an element may be a label in brackets and a label may hold `-`.
//!
//! The form of an email's is `EPR-300-[Presentation_service]-20070304-[link]-3039@20`: prefix, campaign id, label of
//! the mailing, date, link, recipient@list. `SEC` (sponsored links) has the platform in the third place, `AD` is
//! display, `AL` affiliation, `EREC`, `EPR` and `ES` are emails.

use super::{CampaignTags, TagError, TagFamily};
use std::fmt;

/// The longest value that is parsed, in bytes.
const MAX_LENGTH: usize = 2048;

/// Whether a lower-case parameter name is this tag's.
pub(super) fn is_xtor(lower: &str) -> bool {
    lower == "xtor"
}

/// One element: `300`, `[label]` or `300[label]`. Both parts absent is an empty place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct XtorElement {
    /// The text outside brackets.
    pub id: Option<String>,
    /// The text in brackets.
    pub label: Option<String>,
}

impl XtorElement {
    fn read(text: &str) -> Self {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        match text.split_once('[').and_then(|(id, rest)| Some((id, rest.strip_suffix(']')?))) {
            Some((id, label)) => Self { id: some(id), label: some(label) },
            None => Self { id: some(text), label: None },
        }
    }
}

impl fmt::Display for XtorElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id.as_deref().unwrap_or_default())?;
        match &self.label {
            Some(label) => write!(f, "[{label}]"),
            None => Ok(()),
        }
    }
}

/// A whole `xtor` value.
///
/// ```
/// use mkt_connect::campaign::Xtor;
/// let xtor = Xtor::parse("EPR-300-[Presentation-service]-20070304-[link]-3039@20").unwrap();
/// assert_eq!(xtor.prefix, "EPR");
/// assert_eq!(xtor.elements[0].id.as_deref(), Some("300"));
/// assert_eq!(xtor.elements[1].label.as_deref(), Some("Presentation-service"));
/// assert_eq!(xtor.to_string(), "EPR-300-[Presentation-service]-20070304-[link]-3039@20");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Xtor {
    /// The kind of campaign: `SEC`, `AD`, `EPR`.
    pub prefix: String,
    /// What follows it: first the campaign, then what the kind defines.
    pub elements: Vec<XtorElement>,
}

impl Xtor {
    /// Parses a (decoded) value. `None` without a prefix of letters, digits and `_`, and beyond 2048 bytes: no address bar
    /// holds more. A bracket that is never closed is a plain character.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        if value.len() > MAX_LENGTH {
            return None;
        }
        // Looked up once: looking for each bracket anew would take the square of their number.
        let last_close = value.rfind(']');
        let mut parts = Vec::new();
        let mut start = 0;
        let mut open = false;
        for (at, character) in value.char_indices() {
            match character {
                '[' if !open && last_close.is_some_and(|close| close > at) => open = true,
                ']' => open = false,
                '-' if !open => {
                    parts.push(&value[start..at]);
                    start = at + 1;
                }
                _ => {}
            }
        }
        parts.push(&value[start..]);
        let (prefix, elements) = parts.split_first()?;
        let is_prefix = !prefix.is_empty() && prefix.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        is_prefix.then(|| Self {
            prefix: (*prefix).to_owned(),
            elements: elements.iter().map(|element| XtorElement::read(element)).collect(),
        })
    }

    /// What the tags of all families have in common: source is the prefix, id and campaign are those of the first
    /// element; where that has no label, the label of the second (the mailing of an email), except for `SEC`, whose
    /// second element is the platform. Content is the first label after those.
    #[must_use]
    pub fn to_tags(&self) -> CampaignTags {
        let label = |at: usize| self.elements.get(at).and_then(|element| element.label.clone());
        let mut tags = CampaignTags { source: Some(self.prefix.clone()), ..CampaignTags::default() };
        tags.id = self.elements.first().and_then(|element| element.id.clone());
        tags.campaign = label(0).or_else(|| if self.is_search() { None } else { label(1) });
        tags.content = self.elements.iter().skip(2).find_map(|element| element.label.clone());
        tags
    }

    fn is_search(&self) -> bool {
        self.prefix.eq_ignore_ascii_case("SEC")
    }

    /// The `xtor` of tags: `source-id-[campaign]-[content]`, or `source-id[campaign]--[content]` for `SEC` and without
    /// an id. [`to_tags`](Self::to_tags) gives the same tags back.
    ///
    /// # Errors
    /// [`TagError::Missing`] without a source. [`TagError::Unsupported`] for medium, term and further tags: the prefix
    /// says the medium, and the other places mean something else with each prefix. [`TagError::Character`]: labels
    /// hold no accents, blanks or brackets, prefix and id no `-` either (AT Internet's rules).
    pub fn from_tags(tags: &CampaignTags) -> Result<Self, TagError> {
        fn text(field: &Option<String>) -> Option<&str> {
            field.as_deref().filter(|text| !text.is_empty())
        }
        let unsupported = |field| TagError::Unsupported { family: TagFamily::Xtor, field };
        for (field, value) in [("medium", &tags.medium), ("term", &tags.term)] {
            if text(value).is_some() {
                return Err(unsupported(field));
            }
        }
        if !tags.extra.is_empty() {
            return Err(unsupported("further tags"));
        }
        let prefix = text(&tags.source).ok_or(TagError::Missing("the source (xtor's prefix)"))?;
        let (id, campaign, content) = (text(&tags.id), text(&tags.campaign), text(&tags.content));
        refuse("source", Some(prefix), |c| c.is_ascii_alphanumeric() || c == '_')?;
        refuse("id", id, |c| c.is_ascii_graphic() && !matches!(c, '-' | '[' | ']'))?;
        for (field, label) in [("campaign", campaign), ("content", content)] {
            refuse(field, label, |c| c.is_ascii_graphic() && !matches!(c, '[' | ']'))?;
        }
        let element = |id: Option<&str>, label: Option<&str>| XtorElement {
            id: id.map(str::to_owned),
            label: label.map(str::to_owned),
        };
        let mut xtor = Self { prefix: prefix.to_owned(), elements: Vec::new() };
        xtor.elements = if xtor.is_search() || id.is_none() {
            vec![element(id, campaign), element(None, None), element(None, content)]
        } else {
            vec![element(id, None), element(None, campaign), element(None, content)]
        };
        while xtor.elements.last().is_some_and(|last| *last == XtorElement::default()) {
            xtor.elements.pop();
        }
        Ok(xtor)
    }
}

fn refuse(field: &'static str, text: Option<&str>, allowed: impl Fn(char) -> bool) -> Result<(), TagError> {
    match text.and_then(|text| text.chars().find(|&character| !allowed(character))) {
        Some(character) => Err(TagError::Character { field, character }),
        None => Ok(()),
    }
}

impl fmt::Display for Xtor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.prefix)?;
        self.elements.iter().try_for_each(|element| write!(f, "-{element}"))
    }
}
