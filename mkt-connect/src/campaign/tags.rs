//! The campaign tags of a link.

use super::xtor::{Xtor, is_xtor};
use super::{TagError, campaign_id};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use url::Url;
use url::form_urlencoded;

/// A vendor's spelling of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TagFamily {
    /// `utm_*`, supported by every tool.
    Utm,
    /// Matomo's `mtm_*`; of `pk_*`, `piwik_*` and `matomo_*` the names that Matomo knows are read as well, and no
    /// others: `pk_id` is often a primary key.
    Matomo,
    /// AT Internet's (Piano Analytics') `at_*`.
    AtInternet,
    /// AT Internet's older `xtor`.
    Xtor,
}

impl TagFamily {
    /// The families in the order in which [`CampaignTags::parse`] tries them: what is most specific to a tool first.
    pub const ALL: [Self; 4] = [Self::Matomo, Self::AtInternet, Self::Xtor, Self::Utm];

    /// The prefixes of the parameters; the first is the one that is written, and all names that begin with it are the
    /// family's. Of the others only the known fields are. `xtor` is a whole name.
    fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Utm => &["utm_"],
            Self::Matomo => &["mtm_", "matomo_", "pk_", "piwik_"],
            Self::AtInternet => &["at_"],
            Self::Xtor => &[],
        }
    }

    /// The known fields: their names after the prefix. The first name of each is the one that is written.
    fn names(self) -> [(Field, &'static [&'static str]); 6] {
        use Field::{Campaign, Content, Id, Medium, Source, Term};
        match self {
            Self::Matomo => [
                (Campaign, &["campaign", "cpn"]),
                (Term, &["kwd", "keyword"]),
                (Source, &["source"]),
                (Medium, &["medium"]),
                (Content, &["content"]),
                (Id, &["cid"]),
            ],
            // The documents name at_medium and at_campaign; the others are custom `at_*` names of ours.
            Self::AtInternet => [
                (Medium, &["medium"]),
                (Campaign, &["campaign"]),
                (Source, &["source"]),
                (Term, &["term"]),
                (Content, &["content"]),
                (Id, &["id"]),
            ],
            Self::Utm | Self::Xtor => [
                (Source, &["source"]),
                (Medium, &["medium"]),
                (Campaign, &["campaign"]),
                (Term, &["term"]),
                (Content, &["content"]),
                (Id, &["id"]),
            ],
        }
    }

    /// Whether a parameter of this (decoded) name is a tag of the family.
    pub(super) fn owns(self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        if self == Self::Xtor { is_xtor(&name) } else { self.rest_of(&name).is_some() }
    }

    fn rest_of(self, lower: &str) -> Option<&str> {
        let (first, older) = self.prefixes().split_first()?;
        if let Some(rest) = lower.strip_prefix(first) {
            return Some(rest).filter(|rest| !rest.is_empty());
        }
        let rest = older.iter().find_map(|prefix| lower.strip_prefix(prefix))?;
        self.names().iter().any(|(_, names)| names.contains(&rest)).then_some(rest)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Source,
    Medium,
    Campaign,
    Term,
    Content,
    Id,
}

/// The tags of a link. An absent field and an empty one are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CampaignTags {
    /// The source of the visit: `google`, `newsletter`. In an `xtor`, the prefix: `SEC`, `EPR`.
    pub source: Option<String>,
    /// The medium: `cpc`, `email`.
    pub medium: Option<String>,
    /// The campaign's name.
    pub campaign: Option<String>,
    /// The keyword.
    pub term: Option<String>,
    /// Which of several links or banners.
    pub content: Option<String>,
    /// The campaign's id in the vendor's tool.
    pub id: Option<String>,
    /// Further tags of the family, by their name without the prefix: `group` for `mtm_group`, `format` for `at_format`.
    pub extra: BTreeMap<String, String>,
}

impl CampaignTags {
    /// The three fields that a campaign's identity is made of. Empty texts are absent.
    #[must_use]
    pub fn new(source: impl Into<String>, medium: impl Into<String>, campaign: impl Into<String>) -> Self {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        Self {
            source: some(source.into()),
            medium: some(medium.into()),
            campaign: some(campaign.into()),
            ..Self::default()
        }
    }

    /// Sets the keyword.
    #[must_use]
    pub fn term(mut self, term: impl Into<String>) -> Self {
        self.term = Some(term.into());
        self
    }

    /// Sets which of several links this is.
    #[must_use]
    pub fn content(mut self, content: impl Into<String>) -> Self {
        self.content = Some(content.into());
        self
    }

    /// Sets the campaign's id in the vendor's tool.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Whether there is no tag at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The campaign's identity: [`campaign_id`] of source, medium and name. A campaign without a name goes by its id
    /// in the vendor's tool; without either there is none.
    #[must_use]
    pub fn campaign_id(&self) -> Option<String> {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let name = self.campaign.as_ref().or(self.id.as_ref()).filter(|name| !name.is_empty())?;
        Some(campaign_id(&text(&self.source), &text(&self.medium), name))
    }

    /// Parses the tags of a URL (or of a path with a query), in the first family (see [`TagFamily::ALL`]) of which a
    /// known field is there, or, where there is none, of which anything is. `None` when there is no tag.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let read = |family| Self::parse_family(url, family);
        let known = TagFamily::ALL.into_iter().filter_map(read).find(Self::has_known_field);
        known.or_else(|| TagFamily::ALL.into_iter().find_map(read))
    }

    fn has_known_field(&self) -> bool {
        [&self.source, &self.medium, &self.campaign, &self.term, &self.content, &self.id]
            .into_iter()
            .any(Option::is_some)
    }

    /// Parses the tags of one family. The query is read before the fragment (Matomo and AT Internet read both), and of
    /// several values the first that is not empty counts. Names may be in upper case.
    #[must_use]
    pub fn parse_family(url: &str, family: TagFamily) -> Option<Self> {
        let (rest, fragment) = url.split_once('#').unwrap_or((url, ""));
        let query = rest.split_once('?').map_or("", |(_, query)| query);
        // A fragment that is a route of a page application has a query of its own: `#/offers?utm_source=x`.
        let fragment = fragment.split_once('?').map_or(fragment, |(_, query)| query);
        let mut tags = Self::default();
        for part in [query, fragment] {
            for (name, value) in form_urlencoded::parse(part.as_bytes()) {
                tags.read(family, &name, &value);
            }
        }
        (!tags.is_empty()).then_some(tags)
    }

    fn read(&mut self, family: TagFamily, name: &str, value: &str) {
        if value.is_empty() || !family.owns(name) {
            return;
        }
        let name = name.to_ascii_lowercase();
        if family == TagFamily::Xtor {
            if self.is_empty()
                && let Some(xtor) = Xtor::parse(value)
            {
                *self = xtor.to_tags();
            }
            return;
        }
        let Some(rest) = family.rest_of(&name) else { return };
        let known = family.names().into_iter().find(|(_, names)| names.contains(&rest));
        let value = value.to_owned();
        match known {
            Some((field, _)) => {
                self.field_mut(field).get_or_insert(value);
            }
            None => {
                self.extra.entry(rest.to_owned()).or_insert(value);
            }
        }
    }

    fn field_mut(&mut self, field: Field) -> &mut Option<String> {
        match field {
            Field::Source => &mut self.source,
            Field::Medium => &mut self.medium,
            Field::Campaign => &mut self.campaign,
            Field::Term => &mut self.term,
            Field::Content => &mut self.content,
            Field::Id => &mut self.id,
        }
    }

    fn field(&self, field: Field) -> Option<&str> {
        let field = match field {
            Field::Source => &self.source,
            Field::Medium => &self.medium,
            Field::Campaign => &self.campaign,
            Field::Term => &self.term,
            Field::Content => &self.content,
            Field::Id => &self.id,
        };
        field.as_deref().filter(|text| !text.is_empty())
    }

    /// The tags as parameters of a family, not yet percent-encoded, in a fixed order.
    ///
    /// # Errors
    /// [`TagError::Missing`]: `utm` requires a source, Matomo a campaign, AT Internet a medium and a campaign, `xtor` a
    /// source. [`TagError::Unsupported`] and [`TagError::Character`]: see [`Xtor::from_tags`].
    /// [`TagError::ExtraName`].
    pub fn render(&self, family: TagFamily) -> Result<Vec<(String, String)>, TagError> {
        let wanted: &[(Field, &'static str)] = match family {
            TagFamily::Utm => &[(Field::Source, "utm_source")],
            TagFamily::Matomo => &[(Field::Campaign, "mtm_campaign")],
            TagFamily::AtInternet => &[(Field::Medium, "at_medium"), (Field::Campaign, "at_campaign")],
            TagFamily::Xtor => {
                return Ok(vec![("xtor".to_owned(), Xtor::from_tags(self)?.to_string())]);
            }
        };
        if let Some((_, name)) = wanted.iter().find(|(field, _)| self.field(*field).is_none()) {
            return Err(TagError::Missing(name));
        }
        let prefix = family.prefixes()[0];
        let names = family.names();
        let mut parameters: Vec<(String, String)> = names
            .iter()
            .filter_map(|&(field, names)| {
                Some((format!("{prefix}{}", names[0]), self.field(field)?.to_owned()))
            })
            .collect();
        for (name, value) in &self.extra {
            let is_name = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            if !is_name || names.iter().any(|(_, known)| known.contains(&name.as_str())) {
                return Err(TagError::ExtraName(name.clone()));
            }
            if !value.is_empty() {
                parameters.push((format!("{prefix}{name}"), value.clone()));
            }
        }
        Ok(parameters)
    }
}

impl From<&Url> for CampaignTags {
    /// The tags of a URL; empty when it has none.
    fn from(url: &Url) -> Self {
        Self::parse(url.as_str()).unwrap_or_default()
    }
}
