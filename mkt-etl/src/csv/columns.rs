//! Which column of a file is read as what: by name, by synonyms, by declaration, or by the shape of a known export.

use super::help;
use super::preset::{PRESETS, Preset};
use super::{FileKind, Settings, failed_input};
use mkt_connect::Result;
use mkt_connect::table::{Header, fold};
use std::collections::BTreeMap;
use std::path::Path;

macro_rules! columns {
    ($($column:ident = $name:literal $synonyms:expr),+ $(,)?) => {
        /// A column that something is made of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(super) enum Column { $($column),+ }

        impl Column {
            pub(super) const ALL: &'static [Self] = &[$(Self::$column),+];

            /// Our name.
            pub(super) const fn name(self) -> &'static str {
                match self { $(Self::$column => $name),+ }
            }

            /// Other names that mean the same, in English and French.
            const fn synonyms(self) -> &'static [&'static str] {
                match self { $(Self::$column => &$synonyms),+ }
            }
        }
    };
}

columns! {
    SessionId = "session_id" ["visit_id", "user_session", "id_session"],
    UserId = "user_id" ["visitor_id", "customer_id", "client_id", "user_pseudo_id", "utilisateur", "id_client"],
    StartTime = "start_time" ["started_at", "debut"],
    EndTime = "end_time" ["ended_at", "fin"],
    PagesViewed = "pages_viewed" ["pages", "page_views", "pageviews"],
    Converted = "converted" ["converti"],
    Channel = "channel" ["canal", "channel_group", "default_channel_group"],
    Device = "device" ["device_type", "device_category", "appareil"],
    LandingUrl = "landing_url" ["landing_page"],
    Referrer = "referrer" ["referer"],
    EventId = "event_id" [],
    EventType = "event_type" ["event", "event_name", "evenement"],
    Timestamp = "timestamp" ["event_time", "event_timestamp", "datetime", "date_time", "occurred_at", "horodatage"],
    Revenue = "revenue" ["montant", "chiffre_affaires"],
    Properties = "properties" [],
    Currency = "currency" ["devise"],
    Email = "email" ["e-mail", "mail", "courriel"],
    FirstName = "first_name" ["prenom"],
    Lang = "lang" ["language", "langue"],
    ConsentMarketing = "consent_marketing" [],
    ConsentSince = "consent_since" [],
    SignedUpAt = "signed_up_at" [],
    Segment = "segment" [],
    Sex = "sex" [],
    AgeBand = "age_band" [],
    Occupation = "occupation" [],
    Day = "day" ["date", "jour"],
    Source = "source" ["utm_source"],
    Medium = "medium" ["utm_medium"],
    Campaign = "campaign" ["utm_campaign", "campagne"],
    Impressions = "impressions" [],
    Clicks = "clicks" ["clics"],
    Cost = "cost" ["spend", "cout", "depenses"],
    Quantity = "quantity" ["quantite"],
    UnitPrice = "unit_price" ["prix_unitaire"],
    Status = "status" ["statut"],
}

use Column as C;

impl FileKind {
    /// The columns that must be there.
    pub(super) fn needs(self) -> &'static [Column] {
        match self {
            Self::Sessions => {
                &[C::SessionId, C::UserId, C::StartTime, C::EndTime, C::PagesViewed, C::Converted, C::Channel]
            }
            Self::Events => &[C::UserId, C::EventType, C::Timestamp, C::Channel],
            Self::Customers => &[C::UserId],
            Self::Costs => &[
                C::Day,
                C::Channel,
                C::Source,
                C::Medium,
                C::Campaign,
                C::Impressions,
                C::Clicks,
                C::Cost,
                C::Currency,
            ],
        }
    }

    /// The columns that may be there. The address and the name of customers are known columns, so that nobody is told
    /// that they were not used; they are not.
    fn may(self) -> &'static [Column] {
        match self {
            Self::Sessions => &[C::Device, C::LandingUrl, C::Referrer],
            Self::Events => &[C::EventId, C::Revenue, C::Properties, C::SessionId, C::Currency],
            Self::Customers => &[
                C::Email,
                C::FirstName,
                C::Lang,
                C::ConsentMarketing,
                C::ConsentSince,
                C::SignedUpAt,
                C::Segment,
                C::Sex,
                C::AgeBand,
                C::Occupation,
            ],
            Self::Costs => &[],
        }
    }
}

/// The columns of one file.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    at: [Option<usize>; Column::ALL.len()],
    /// Columns that nothing is made of, with their names.
    others: Vec<(usize, String)>,
    /// Columns that decide which rows count, and the values that do.
    only: Vec<(usize, Vec<String>)>,
    /// Columns whose names say that their times are UTC.
    utc: Vec<usize>,
    /// The known export that the file is.
    pub(super) preset: Option<&'static Preset>,
}

impl Columns {
    /// Plans the reading of a file. The settings map folded names of the file to ours; a name that is none of ours is what
    /// the column is called as a property.
    pub(super) fn plan(header: &Header, kind: FileKind, settings: &Settings, path: &Path) -> Result<Self> {
        let place = path.display();
        let mut plan = Self {
            at: [None; Column::ALL.len()],
            others: Vec::new(),
            only: Vec::new(),
            utc: Vec::new(),
            preset: None,
        };
        let mut used: BTreeMap<usize, String> = BTreeMap::new();
        for (theirs, ours) in &settings.renamed {
            let found: Vec<usize> = header.matching(theirs).collect();
            let index = match found.as_slice() {
                [index] => *index,
                [] => {
                    return Err(failed_input(format!(
                        "{place} has no column {theirs:?}, which is mapped to {ours:?}"
                    )));
                }
                _ => {
                    return Err(failed_input(format!(
                        "{place} has the mapped column {theirs:?} more than once"
                    )));
                }
            };
            used.insert(index, ours.clone());
            if let Some(column) = Column::ALL.iter().find(|column| column.name() == ours) {
                plan.at[*column as usize] = Some(index);
            }
        }
        plan.preset = PRESETS.iter().find(|preset| preset.fits(kind, header));
        let ambiguous =
            |cause: mkt_connect::table::AmbiguousColumn| failed_input(format!("{place}: {cause}"));
        if let Some(preset) = plan.preset {
            for (theirs, column) in preset.columns {
                if plan.at[*column as usize].is_none()
                    && let Some(index) = header.find(&[theirs]).map_err(ambiguous)?
                    && !used.contains_key(&index)
                {
                    plan.at[*column as usize] = Some(index);
                    used.insert(index, column.name().to_owned());
                }
            }
        }
        for column in kind.needs().iter().chain(kind.may()) {
            if plan.at[*column as usize].is_some() || plan.preset.is_some_and(|preset| preset.leaves(*column))
            {
                continue;
            }
            let names = [&[column.name()], column.synonyms()].concat();
            if let Some(index) = header.find(&names).map_err(ambiguous)?
                && !used.contains_key(&index)
            {
                plan.at[*column as usize] = Some(index);
                used.insert(index, column.name().to_owned());
            }
        }
        let missing: Vec<&str> = kind
            .needs()
            .iter()
            .filter(|column| plan.at[**column as usize].is_none())
            .filter(|column| !plan.preset.is_some_and(|preset| preset.replaces(**column)))
            .filter(|column| !(**column == C::EventType && settings.event_type.is_some()))
            .filter(|column| !(**column == C::Channel && settings.default_channel.is_some()))
            .map(|column| column.name())
            .collect();
        if !missing.is_empty() {
            let held = super::shown(&header.names().join(", "));
            let free = (0..header.len()).filter(|index| !used.contains_key(index));
            let labels: Vec<&str> = free.map(|index| header.label(index)).collect();
            return Err(failed_input(format!(
                "{place} has no column {} (it has {held}); {}",
                missing.join(", "),
                help::for_missing(kind, &missing, &labels)
            )));
        }
        if kind == FileKind::Events {
            for (theirs, values) in &settings.only {
                let index = header.find(&[theirs.as_str()]).map_err(ambiguous)?;
                let index = index.ok_or_else(|| {
                    failed_input(format!("{place} has no column {theirs:?}, whose values decide"))
                })?;
                plan.only.push((index, values.clone()));
            }
        }
        plan.utc = (0..header.len()).filter(|index| header.says_utc(*index)).collect();
        for index in 0..header.len() {
            let name = used.get(&index).cloned();
            let is_read = plan.at.contains(&Some(index));
            if !is_read && !header.label(index).trim().is_empty() {
                let name = name.unwrap_or_else(|| header.label(index).trim().to_lowercase());
                plan.others.push((index, name));
            }
        }
        Ok(plan)
    }

    /// Where a column is.
    #[inline]
    pub(super) fn at(&self, column: Column) -> Option<usize> {
        self.at[column as usize]
    }

    /// Columns that nothing is made of.
    pub(super) fn others(&self) -> &[(usize, String)] {
        &self.others
    }

    /// Columns that decide which rows count, and the values that do.
    pub(super) fn only(&self) -> &[(usize, Vec<String>)] {
        &self.only
    }

    /// Whether the name of a column says that its times are UTC.
    pub(super) fn says_utc(&self, column: Column) -> bool {
        !self.utc.is_empty() && self.at(column).is_some_and(|index| self.utc.contains(&index))
    }

    /// Every column that is read, with what it is read as.
    pub(super) fn read(&self) -> impl Iterator<Item = (usize, &'static str)> {
        Column::ALL.iter().filter_map(|column| Some((self.at(*column)?, column.name())))
    }

    /// A text that changes when the meaning of the cells does.
    pub(super) fn signature(&self) -> String {
        format!(
            "{:?} {:?} {:?} {:?} {:?}",
            self.at,
            self.others,
            self.only,
            self.utc,
            self.preset.map(|preset| preset.name)
        )
    }
}

/// A name of the file in the form in which names are compared.
pub(super) fn folded(name: &str) -> String {
    fold(name)
}
