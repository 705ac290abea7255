//! What an instance tells about itself and its sites.

use super::answer::Answer;
use super::call::Ask;
use super::error::SERVICE;
use super::{Inner, wire};
use crate::source::{SiteFacts, SiteFailure};
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::model::EventType;
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
            format!("unsupported time zone {name:?}: expected a name of the tz database"),
        )
    })?;
    let facts = SiteFacts::new(name, zone)
        .native_id(site.idsite.unwrap_or_default().to_string())
        .currency(site.currency.as_ref().and_then(|code| code.parse().ok()))
        .conversion_set(vec![EventType::PURCHASE, EventType::GOAL]);
    Ok(Described { facts, shop: site.ecommerce == Some(1) })
}

/// Matomo's zones are names of the tz database, or offsets: `UTC+2`, `UTC+5.5` (SitesManager.getTimezonesList). Whole
/// hours are zones of the tz database; of the others, those that some zone has had without a change since 2005, before
/// the first version of Matomo.
pub(super) fn parse_zone(name: &str) -> Option<chrono_tz::Tz> {
    use chrono_tz::{Asia, Australia, Pacific};
    if let Ok(zone) = name.parse() {
        return Some(zone);
    }
    match name.strip_prefix("UTC")? {
        "+4.5" => Some(Asia::Kabul),
        "+5.5" => Some(Asia::Kolkata),
        "+5.75" => Some(Asia::Kathmandu),
        "+6.5" => Some(Asia::Yangon),
        "+9.5" => Some(Australia::Darwin),
        "-9.5" => Some(Pacific::Marquesas),
        hours => {
            let hours: i32 = hours.parse().ok()?;
            // The tz database counts them westward.
            format!("Etc/GMT{:+}", hours.checked_neg()?).parse().ok()
        }
    }
}

pub(super) fn unknown_site(name: &str) -> Error {
    Error::new(ErrorKind::Input, SERVICE, "choose a site").with_detail(format!("there is no site {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_that_matomo_offers_are_zones_of_one_offset() {
        use chrono::{Offset, TimeZone, Utc};
        for (name, seconds) in [
            ("UTC+2", 7200),
            ("UTC-12", -43_200),
            ("UTC+4.5", 16_200),
            ("UTC+5.5", 19_800),
            ("UTC+5.75", 20_700),
            ("UTC+6.5", 23_400),
            ("UTC+9.5", 34_200),
            ("UTC-9.5", -34_200),
        ] {
            let zone = parse_zone(name).unwrap();
            for month in 0..(30 * 12) {
                let at = Utc.with_ymd_and_hms(2005 + month / 12, month as u32 % 12 + 1, 1, 0, 0, 0).unwrap();
                let offset = at.with_timezone(&zone).offset().fix().local_minus_utc();
                assert_eq!(offset, seconds, "{name} {at}");
            }
        }
        assert_eq!(parse_zone("UTC+3.5"), None);
    }

    #[test]
    fn versions_have_a_first_number() {
        assert_eq!([major("5.0.2"), major("3.14.1"), major("4.0.0-b1")], [Some(5), Some(3), Some(4)]);
        assert_eq!((major("x"), major("")), (None, None));
    }
}
