//! What an instance tells about itself and its sites.

use super::answer::Answer;
use super::call::Ask;
use super::error::SERVICE;
use super::{Inner, wire};
use crate::source::{SiteFacts, SiteFailure};
use crate::zone::Zone;
use chrono::FixedOffset;
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::model::EventType;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// What an instance tells about itself.
///
/// How it archives, how many rows it keeps and when it locks are settings that the reporting API does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Instance {
    /// Its version: `5.0.2`.
    pub version: String,
    /// The first number of it.
    pub major: Option<u32>,
    /// Whether this crate has been run against answers of that major version. 5 is; 3 and 4 are read by their
    /// documentation.
    pub tested: bool,
    /// Whether the plugins that streams need are on, where the instance says.
    pub plugins: BTreeMap<String, bool>,
}

/// Plugins that streams need.
const PLUGINS: [&str; 7] = ["VisitsSummary", "Goals", "Live", "Referrers", "Actions", "Events", "Ecommerce"];

/// A site, with what streams need to know of it.
#[derive(Debug, Clone)]
pub(super) struct Described {
    pub(super) facts: SiteFacts,
    /// Whether it sells.
    shop: bool,
}

/// A configured site.
#[derive(Debug, Clone)]
pub(super) enum Site {
    Described(Described),
    /// Why it cannot be read.
    Failed(SiteFailure, ErrorKind),
}

impl Site {
    fn described(&self) -> Option<&Described> {
        match self {
            Self::Described(site) => Some(site),
            Self::Failed(..) => None,
        }
    }
}

/// The answer about one site.
fn read_site(operation: &'static str, id: u64, name: &str, answer: Answer) -> Result<Described> {
    // Versions differ: an object, or a list of one.
    let row = match answer {
        Answer::Table(mut rows) if rows.len() == 1 => rows.swap_remove(0),
        Answer::Row(row) => row,
        _ => return Err(Inner::protocol(operation, "the site is not described")),
    };
    let site: wire::Site = Inner::object(operation, Value::Object(row.0))?;
    if site.idsite != i64::try_from(id).ok() {
        return Err(Inner::protocol(operation, "another site was described than the one asked for"));
    }
    describe(operation, &site, name.to_owned())
}

/// A token that may view none of the sites is refused, as far as a run is concerned.
fn refused_everywhere(error: Error) -> Error {
    if error.detail().is_some_and(super::error::is_hidden_site) {
        return Error::new(ErrorKind::Auth, SERVICE, error.operation())
            .delivered(error.delivery())
            .with_detail(error.detail().unwrap_or_default().to_owned());
    }
    error
}

/// The first number of a version.
pub(super) fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.trim().parse().ok()
}

impl Inner {
    /// The version. Refuses versions of which not even the documentation is known.
    pub(super) async fn version(&self) -> Result<String> {
        const OPERATION: &str = "read the version";
        let answer = match self.ask(OPERATION, &Ask::new("API.getMatomoVersion")).await {
            // As it was called until version 3.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                self.ask(OPERATION, &Ask::new("API.getPiwikVersion")).await?
            }
            answer => answer?,
        };
        let Answer::Text(version) = answer else {
            return Err(Self::protocol(OPERATION, "the answer has another form than documented"));
        };
        if major(&version).is_some_and(|major| major < 3) {
            return Err(Error::new(ErrorKind::Unsupported, SERVICE, OPERATION)
                .with_detail("versions before 3 are not supported"));
        }
        Ok(version)
    }

    pub(super) async fn instance(&self) -> Result<Instance> {
        let version = self.version().await?;
        let asks = PLUGINS.map(|plugin| Ask::new("API.isPluginActivated").with("pluginName", plugin));
        let answers = self.ask_all("read which plugins are on", &asks).await?;
        let told = |answer: Result<Answer>| match answer {
            Ok(Answer::Text(text)) => Some(text == "true"),
            Ok(Answer::Number(number)) => Some(!number.is_zero()),
            _ => None,
        };
        let plugins =
            PLUGINS.iter().zip(answers).filter_map(|(name, on)| Some(((*name).to_owned(), told(on)?)));
        let major = major(&version);
        Ok(Instance { tested: major == Some(5), major, plugins: plugins.collect(), version })
    }

    /// The configured sites, each described or with the reason why it cannot be read.
    async fn described(&self) -> Result<&[Site]> {
        let sites = self
            .sites_told
            .get_or_try_init(|| async {
                const OPERATION: &str = "read the site";
                let asks: Vec<Ask> = self
                    .sites
                    .iter()
                    .map(|(id, _)| Ask::new("SitesManager.getSiteFromId").with("idSite", id.to_string()))
                    .collect();
                let answers = self.ask_all(OPERATION, &asks).await?;
                let mut all = Vec::with_capacity(self.sites.len());
                let mut first = None;
                for ((id, name), answer) in self.sites.iter().zip(answers) {
                    let described = answer.and_then(|answer| read_site(OPERATION, *id, name, answer));
                    all.push(match described {
                        Ok(described) => Site::Described(described),
                        // Not of this site alone, and not for ever.
                        Err(error) if error.kind() == ErrorKind::Unavailable => return Err(error),
                        Err(error) => {
                            let failure = SiteFailure::new(name.clone(), &error);
                            let site = Site::Failed(failure, error.kind());
                            first.get_or_insert(error);
                            site
                        }
                    });
                }
                match first {
                    Some(error) if !all.iter().any(|site| matches!(site, Site::Described(_))) => {
                        Err(refused_everywhere(error))
                    }
                    _ => Ok::<_, Error>(all),
                }
            })
            .await?;
        Ok(sites)
    }

    pub(super) async fn facts(&self) -> Result<Vec<SiteFacts>> {
        Ok(self
            .described()
            .await?
            .iter()
            .filter_map(Site::described)
            .map(|site| site.facts.clone())
            .collect())
    }

    /// The configured sites that cannot be read.
    pub(super) async fn failed_sites(&self) -> Result<Vec<SiteFailure>> {
        let failed = self.described().await?.iter().filter_map(|site| match site {
            Site::Failed(failure, _) => Some(failure.clone()),
            Site::Described(_) => None,
        });
        Ok(failed.collect())
    }

    pub(super) async fn site(&self, name: &str) -> Result<&SiteFacts> {
        let sites = self.described().await?;
        if let Some(site) = sites.iter().filter_map(Site::described).find(|site| site.facts.site == name) {
            return Ok(&site.facts);
        }
        let failed = sites.iter().find_map(|site| match site {
            Site::Failed(failure, kind) if failure.site == name => Some((failure, *kind)),
            _ => None,
        });
        Err(match failed {
            Some((failure, kind)) => {
                Error::new(kind, SERVICE, "choose a site").with_detail(failure.message.clone())
            }
            None => unknown_site(name),
        })
    }

    pub(super) async fn is_shop(&self, site: &SiteFacts) -> Result<bool> {
        let mut sites = self.described().await?.iter().filter_map(Site::described);
        Ok(sites.any(|held| held.facts.site == site.site && held.shop))
    }

    /// Every site that the token may view, under its configured name, else its number.
    pub(super) async fn all_sites(&self) -> Result<Vec<SiteFacts>> {
        const OPERATION: &str = "list the sites";
        let answer = match self.call(OPERATION, &Ask::new("SitesManager.getSitesWithAtLeastViewAccess")).await
        {
            // Older and trimmed instances know only the list of all sites.
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                self.call(OPERATION, &Ask::new("SitesManager.getAllSites")).await?
            }
            answer => answer?,
        };
        let sites: Vec<wire::Site> = Self::object(OPERATION, answer)?;
        sites
            .iter()
            .filter_map(|site| Some((u64::try_from(site.idsite?).ok()?, site)))
            .map(|(id, site)| {
                let named = self.sites.iter().find(|(held, _)| *held == id).map(|(_, name)| name.clone());
                describe(OPERATION, site, named.unwrap_or_else(|| id.to_string()))
            })
            // One whose zone is not known cannot be read; that is reported when it is chosen.
            .filter_map(|site| site.ok().map(|site| Ok(site.facts)))
            .collect()
    }
}

fn describe(operation: &'static str, site: &wire::Site, name: String) -> Result<Described> {
    let zone = site.timezone.as_deref().and_then(parse_zone).ok_or_else(|| {
        let name: String = site.timezone.as_deref().unwrap_or("none").chars().take(40).collect();
        Inner::protocol(
            operation,
            format!("unsupported time zone {name:?}: expected a name of the tz database, or an offset such as UTC+3.5"),
        )
    })?;
    let facts = match zone {
        Zone::Named(zone) => SiteFacts::new(name, zone),
        Zone::Fixed(offset) => SiteFacts::new(name, chrono_tz::UTC).offset(offset),
    };
    let facts = facts
        .native_id(site.idsite.unwrap_or_default().to_string())
        .currency(site.currency.as_ref().and_then(|code| code.parse().ok()))
        .conversion_set(vec![EventType::PURCHASE, EventType::GOAL]);
    Ok(Described { facts, shop: site.ecommerce == Some(1) })
}

/// Matomo's zones are names of the tz database, or hours from UTC: `UTC-12` to `UTC+14`, with halves and quarters
/// (SitesManager.getTimezonesList). Whole hours are zones of the tz database, and so are the fractions that some zone
/// has had without a change since 2005, before the first version of Matomo: reports can be asked in these by name. Every
/// other fraction is a fixed offset: the zones that have it keep it for a part of the year (`-3.5`, St John's) or since
/// a few years only (`+3.5`, Tehran).
pub(super) fn parse_zone(name: &str) -> Option<Zone> {
    use chrono_tz::{Asia, Australia, Pacific};
    if let Ok(zone) = name.parse() {
        return Some(Zone::Named(zone));
    }
    let named = match name.strip_prefix("UTC")? {
        "+4.5" => Asia::Kabul,
        "+5.5" => Asia::Kolkata,
        "+5.75" => Asia::Kathmandu,
        "+6.5" => Asia::Yangon,
        "+9.5" => Australia::Darwin,
        "-9.5" => Pacific::Marquesas,
        hours => {
            let hours: Decimal = hours.parse().ok().filter(|_| hours.starts_with(['+', '-']))?;
            if !(Decimal::from(-12)..=Decimal::from(14)).contains(&hours) {
                return None;
            }
            if hours.is_integer() {
                // The tz database counts them westward.
                format!("Etc/GMT{:+}", -i32::try_from(hours).ok()?).parse().ok()?
            } else {
                let seconds = (hours * Decimal::from(3600)).normalize();
                let seconds = i32::try_from(seconds).ok().filter(|_| seconds.is_integer())?;
                return FixedOffset::east_opt(seconds).map(Zone::Fixed);
            }
        }
    };
    Some(Zone::Named(named))
}

pub(super) fn unknown_site(name: &str) -> Error {
    Error::new(ErrorKind::Input, SERVICE, "choose a site").with_detail(format!("there is no site {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every offset of SitesManager.getTimezonesList (`getTimezonesListUTCOffsets` of Matomo 5), in hours.
    const OFFERED: [f64; 55] = [
        -12.0, -11.5, -11.0, -10.5, -10.0, -9.5, -9.0, -8.5, -8.0, -7.5, -7.0, -6.5, -6.0, -5.5, -5.0, -4.5,
        -4.0, -3.5, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5,
        5.0, 5.5, 5.75, 6.0, 6.5, 7.0, 7.5, 8.0, 8.5, 8.75, 9.0, 9.5, 10.0, 10.5, 11.0, 11.5, 12.0, 12.75,
        13.0, 13.75, 14.0,
    ];

    #[test]
    fn every_offset_that_matomo_offers_is_kept_all_year_and_since_2005() {
        use chrono::{Offset, TimeZone, Utc};
        for hours in OFFERED {
            // As Matomo writes them: `UTC`, `UTC+3.5`, `UTC-12`.
            let name = if hours == 0.0 { "UTC".to_owned() } else { format!("UTC{hours:+}") };
            let zone = parse_zone(&name).unwrap();
            let seconds = (hours * 3600.0) as i32;
            for month in 0..(30 * 12) {
                let at = Utc.with_ymd_and_hms(2005 + month / 12, month as u32 % 12 + 1, 1, 0, 0, 0).unwrap();
                let offset = at.with_timezone(&zone).offset().fix().local_minus_utc();
                assert_eq!(offset, seconds, "{name} {at}");
            }
        }
        let names = ["UTC+3.5", "UTC-3.5", "UTC+12.75", "UTC-0.5", "UTC+5.5", "UTC+2"];
        assert_eq!(
            names.map(|name| parse_zone(name).unwrap().to_string()),
            ["UTC+03:30", "UTC-03:30", "UTC+12:45", "UTC-00:30", "Asia/Kolkata", "Etc/GMT-2"]
        );
        for name in ["UTC+15", "UTC-12.5", "UTC3.5", "UTC+", "UTC+3.00001", "UTC+x", "", "Mars/Olympus"] {
            assert_eq!(parse_zone(name), None, "{name}");
        }
    }

    #[test]
    fn versions_have_a_first_number() {
        assert_eq!([major("5.0.2"), major("3.14.1"), major("4.0.0-b1")], [Some(5), Some(3), Some(4)]);
        assert_eq!((major("x"), major("")), (None, None));
    }
}
