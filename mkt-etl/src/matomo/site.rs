//! What an instance tells about itself and its sites.

use super::answer::Answer;
use super::call::Ask;
use super::error::SERVICE;
use super::{Inner, wire};
use crate::source::SiteFacts;
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

    async fn described(&self) -> Result<&[Described]> {
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
                for ((id, name), answer) in self.sites.iter().zip(answers) {
                    // Versions differ: an object, or a list of one.
                    let row = match answer? {
                        Answer::Table(mut rows) if rows.len() == 1 => rows.swap_remove(0),
                        Answer::Row(row) => row,
                        _ => return Err(Self::protocol(OPERATION, "the site is not described")),
                    };
                    let site: wire::Site = Self::object(OPERATION, Value::Object(row.0))?;
                    if site.idsite != i64::try_from(*id).ok() {
                        return Err(Self::protocol(
                            OPERATION,
                            "another site was described than the one asked for",
                        ));
                    }
                    all.push(describe(OPERATION, &site, name.clone())?);
                }
                Ok::<_, Error>(all)
            })
            .await?;
        Ok(sites)
    }

    pub(super) async fn facts(&self) -> Result<Vec<SiteFacts>> {
        Ok(self.described().await?.iter().map(|site| site.facts.clone()).collect())
    }

    pub(super) async fn site(&self, name: &str) -> Result<&SiteFacts> {
        let found = self.described().await?.iter().find(|site| site.facts.site == name);
        found.map(|site| &site.facts).ok_or_else(|| unknown_site(name))
    }

    pub(super) async fn is_shop(&self, site: &SiteFacts) -> Result<bool> {
        Ok(self.described().await?.iter().any(|held| held.facts.site == site.site && held.shop))
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
                Ok(describe(OPERATION, site, named.unwrap_or_else(|| id.to_string()))?.facts)
            })
            .collect()
    }
}

fn describe(operation: &'static str, site: &wire::Site, name: String) -> Result<Described> {
    let zone =
        site.timezone.as_deref().and_then(parse_zone).ok_or_else(|| {
            Inner::protocol(operation, "the site has no time zone that the tz database knows")
        })?;
    let facts = SiteFacts {
        site: name,
        native_id: site.idsite.unwrap_or_default().to_string(),
        zone,
        currency: site.currency.as_ref().and_then(|code| code.parse().ok()),
        conversion_set: vec![EventType::PURCHASE, EventType::GOAL],
    };
    Ok(Described { facts, shop: site.ecommerce == Some(1) })
}

/// Matomo's zones are names of the tz database, or `UTC+5.5` for offsets, of which the whole hours are known there.
pub(super) fn parse_zone(name: &str) -> Option<chrono_tz::Tz> {
    if let Ok(zone) = name.parse() {
        return Some(zone);
    }
    let hours: i32 = name.strip_prefix("UTC")?.parse().ok()?;
    // The tz database counts them westward.
    format!("Etc/GMT{:+}", hours.checked_neg()?).parse().ok()
}

pub(super) fn unknown_site(name: &str) -> Error {
    Error::new(ErrorKind::Input, SERVICE, "choose a site").with_detail(format!("there is no site {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_a_first_number() {
        assert_eq!([major("5.0.2"), major("3.14.1"), major("4.0.0-b1")], [Some(5), Some(3), Some(4)]);
        assert_eq!((major("x"), major("")), (None, None));
    }
}
