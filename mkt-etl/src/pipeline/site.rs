//! Which sites and streams a run reads, and the rows about them in the warehouse.

use super::Pipeline;
use crate::ledger;
use crate::source::{Capabilities, Checked, SiteFacts, SiteFailure, Stream, Window};
use crate::zone::Zone;
use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveTime, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::model::{Json, Site, ZoneOffset};
use mkt_warehouse::{Batch, Query, Record, SliceKey, Value, report};

/// The one row of a zone whose offset never changes.
fn always(name: &str, offset: FixedOffset) -> ZoneOffset {
    let new_year = |year| {
        NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or(NaiveDate::MAX).and_time(NaiveTime::MIN).and_utc()
    };
    ZoneOffset {
        zone: name.to_owned(),
        from_utc: new_year(1),
        until_utc: new_year(9999),
        offset_s: i64::from(offset.local_minus_utc()),
    }
}

impl Pipeline {
    pub(super) fn chosen_sites(
        &self,
        capabilities: &Capabilities,
        checked: &Checked,
    ) -> Result<Vec<SiteFacts>> {
        let Some(wanted) = &self.sites else { return Ok(checked.sites.clone()) };
        wanted
            .iter()
            // Those that cannot be read are failures of the run, not of its settings.
            .filter(|name| !checked.failed.iter().any(|failure| failure.site == **name))
            .map(|name| {
                checked.sites.iter().find(|site| site.site == *name).cloned().ok_or_else(|| {
                    Error::new(ErrorKind::Input, capabilities.source, "choose sites")
                        .with_detail(format!("unknown site {name:?}"))
                })
            })
            .collect()
    }

    /// The chosen sites that cannot be read.
    pub(super) fn chosen_failures<'a>(&self, checked: &'a Checked) -> impl Iterator<Item = &'a SiteFailure> {
        let wanted = self.sites.clone();
        checked
            .failed
            .iter()
            .filter(move |failure| wanted.as_ref().is_none_or(|wanted| wanted.contains(&failure.site)))
    }

    pub(super) fn chosen_streams(&self, capabilities: &Capabilities) -> Result<Vec<Stream>> {
        let Some(wanted) = &self.streams else { return Ok(capabilities.streams.clone()) };
        wanted
            .iter()
            .map(|name| {
                capabilities.stream(name).cloned().ok_or_else(|| {
                    Error::new(ErrorKind::Input, capabilities.source, "choose streams")
                        .with_detail(format!("there is no stream {name:?}"))
                })
            })
            .collect()
    }

    /// Writes the site and the offsets of its zone where they are not yet known. A site that another source records
    /// keeps its row: it has one system of record.
    pub(super) async fn record_site(
        &self,
        facts: &SiteFacts,
        source: &str,
        window: Window,
        at: DateTime<Utc>,
    ) -> Result<bool> {
        let mut wanted = Site::new(&facts.site, facts.days_in().to_string(), source);
        wanted.currency = facts.currency;
        wanted.conversion_set =
            Json(facts.conversion_set.iter().map(ToString::to_string).collect::<Vec<_>>().into());
        let held: Vec<Site> = self.rows_where("site", &facts.site).await?;
        let site_changed = match held.first() {
            Some(row) => row.record_source == source && *row != wanted,
            None => true,
        };
        let zone_name = match held.first() {
            Some(row) if !site_changed => row.zone.clone(),
            _ => wanted.zone.clone(),
        };
        // Local days reach into the years beside theirs.
        let first = window.from.pred_opt().unwrap_or(window.from).year();
        let offsets = match zone_name.parse() {
            // One row for all time, as no zone of the tz database has it.
            Ok(Zone::Fixed(offset)) => vec![always(&zone_name, offset)],
            _ => report::zone_offsets(&zone_name, first, window.until.year())?,
        };
        let held_offsets: Vec<ZoneOffset> = self.rows_where("zone", &zone_name).await?;
        let missing: Vec<ZoneOffset> =
            offsets.into_iter().filter(|row| !held_offsets.contains(row)).collect();
        if !site_changed && missing.is_empty() {
            return Ok(false);
        }
        let batch = Batch::new(SliceKey::whole("etl", "sites", &facts.site))
            .upsert(site_changed.then_some(wanted))
            .upsert(missing);
        self.warehouse.load(&batch, at).await?;
        Ok(true)
    }

    async fn rows_where<R: Record>(&self, key: &str, value: &str) -> Result<Vec<R>> {
        let schema = R::SCHEMA;
        let names: Vec<String> = schema.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        let sql = format!("select {} from \"{}\" where \"{key}\" = :1", names.join(", "), schema.name);
        let mut query = Query::new(sql).bind(Value::Text(value.to_owned()));
        for column in schema.columns {
            query = query.column(column.name, column.ty);
        }
        ledger::read_rows(&*self.warehouse, &query).await
    }
}
