//! What a report takes beside its scope, in one value for command lines and servers.

use super::{
    CampaignOptions, CartOptions, ChannelSetOptions, EtlOptions, FunnelOptions, HourOptions, PathOptions,
    Report, RfmOptions, Scope, campaigns, carts, cohort, etl, funnel, hours, readable, rfm, series,
};
use crate::dialect::Dialect;
use crate::table::{Table, Value};
use crate::warehouse::Warehouse;
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use std::time::Duration;

/// The options of all reports. [`Report::run_with`] uses those of its report.
///
/// ```
/// use mkt_warehouse::report::Settings;
/// use std::time::Duration;
///
/// let mut settings = Settings::default().look_back(Duration::from_secs(7 * 86_400));
/// settings.hours.minimum = 30;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Settings {
    /// For [`super::top_hours`].
    pub hours: HourOptions,
    /// For [`super::funnel()`].
    pub funnel: FunnelOptions,
    /// For [`super::campaign_performance`].
    pub campaigns: CampaignOptions,
    /// For [`super::paths()`].
    pub paths: PathOptions,
    /// For [`super::channel_sets`].
    pub channel_sets: ChannelSetOptions,
    /// For [`super::abandoned_carts`].
    pub carts: CartOptions,
    /// For [`super::rfm`].
    pub rfm: RfmOptions,
    /// For [`super::etl_status`].
    pub status: EtlOptions,
    asked_at: Option<DateTime<Utc>>,
}

impl Settings {
    /// The same look-back for campaigns, paths and sets of channels.
    #[must_use]
    pub fn look_back(mut self, most: Duration) -> Self {
        (self.campaigns.look_back, self.paths.look_back, self.channel_sets.look_back) = (most, most, most);
        self
    }

    /// The instant of the question. It counts where the period is not over: nobody has left a cart yet that was filled a
    /// minute ago. Default: the period's end.
    #[must_use]
    pub fn asked_at(mut self, now: DateTime<Utc>) -> Self {
        self.status.now = Some(now);
        self.asked_at = Some(now);
        self
    }

    fn carts(&self, scope: &Scope) -> CartOptions {
        let within = self.asked_at.filter(|now| (scope.from()..scope.until()).contains(now));
        CartOptions { now: self.carts.now.or(within), ..self.carts }
    }
}

impl Report {
    /// Answers with these settings, as the function of the same name does.
    ///
    /// # Errors
    /// As that function.
    pub async fn run_with<W: Warehouse + ?Sized>(
        self,
        warehouse: &W,
        scope: &Scope,
        settings: &Settings,
    ) -> Result<Table> {
        Ok(match self {
            Self::TopHours => super::top_hours(warehouse, scope, settings.hours).await?.table,
            Self::Funnel => super::funnel(warehouse, scope, &settings.funnel).await?.table,
            Self::CampaignPerformance => {
                super::campaign_performance(warehouse, scope, settings.campaigns).await?.table
            }
            Self::Paths => super::paths(warehouse, scope, settings.paths).await?.table,
            Self::ChannelSets => super::channel_sets(warehouse, scope, settings.channel_sets).await?.table,
            Self::AbandonedCarts => {
                super::abandoned_carts(warehouse, scope, settings.carts(scope)).await?.table
            }
            Self::Rfm => super::rfm(warehouse, scope, settings.rfm).await?.table,
            Self::EtlStatus => super::etl_status(warehouse, scope, settings.status).await?.table,
            _ => self.run(warehouse, scope).await?,
        })
    }

    /// Its SQL for people, as [`Report::sql`], with the values of this question set: period, zone, filters and settings.
    ///
    /// # Errors
    /// `Input` for settings that the report refuses, and for a name that holds a quotation mark, a backslash or a line
    /// break: the engines' tools cannot set it.
    pub fn sql_for(self, dialect: Dialect, scope: &Scope, settings: &Settings) -> Result<String> {
        let mut values = scope.values();
        values.extend(match self {
            Self::TopHours => hours::values(settings.hours),
            Self::Funnel => funnel::values(scope, &settings.funnel)?,
            Self::CampaignPerformance => campaigns::values(scope, settings.campaigns)?,
            Self::Paths => super::journey::looking_back(scope, settings.paths.look_back)?,
            Self::ChannelSets => super::journey::looking_back(scope, settings.channel_sets.look_back)?,
            Self::AbandonedCarts => carts::values(scope, settings.carts(scope)),
            Self::Rfm => rfm::values(scope, settings.rfm)?,
            Self::EtlStatus => etl::values(scope, settings.status),
            Self::CohortRetention => cohort::values(scope),
            Self::DailySeries => series::values(scope),
            _ => Vec::new(),
        });
        readable::asked(self.definition(), dialect, &values)
    }

    /// The settings that decide the answer's numbers, as name and value, in a language: `("look-back", "30 days")`. The
    /// definition names the same things.
    #[must_use]
    #[cfg(feature = "chart")]
    pub fn assumptions(
        self,
        scope: &Scope,
        settings: &Settings,
        lang: mkt_connect::chart::Lang,
    ) -> Vec<(String, String)> {
        let pair =
            |english: &str, french: &str, value: String| (lang.pick(english, french).to_owned(), value);
        let time = |duration: Duration| super::page::duration(duration.as_secs_f64(), lang);
        let look_back = |duration| vec![pair("look-back", "recherche en arrière", time(duration))];
        match self {
            Self::TopHours => vec![
                pair(
                    "sessions that an hour needs",
                    "sessions requises par heure",
                    settings.hours.minimum.to_string(),
                ),
                pair("hours listed", "heures affichées", settings.hours.hours.to_string()),
            ],
            Self::Funnel => {
                let steps =
                    settings.funnel.steps.iter().map(|step| super::page::event_title(step.as_str(), lang));
                vec![
                    pair("steps", "étapes", steps.collect::<Vec<_>>().join(" → ")),
                    pair("window", "fenêtre", time(settings.funnel.window)),
                ]
            }
            Self::CampaignPerformance => look_back(settings.campaigns.look_back),
            Self::Paths => look_back(settings.paths.look_back),
            Self::ChannelSets => look_back(settings.channel_sets.look_back),
            Self::AbandonedCarts => {
                let options = settings.carts(scope);
                let now = options.now.unwrap_or(scope.until());
                vec![
                    pair("idle for at least", "sans activité depuis au moins", time(options.idle)),
                    pair("as of", "à la date du", super::page::instant(now, scope.tz(), lang)),
                ]
            }
            Self::Rfm => vec![pair("scores", "scores", format!("1–{}", settings.rfm.quantiles))],
            _ => Vec::new(),
        }
    }
}

/// The values beside the scope's that a report's text binds.
pub(super) type Values = Vec<(&'static str, Value)>;
