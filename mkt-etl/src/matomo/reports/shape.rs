//! Reads the rows of a report into metrics that know how they add up. Pure.
//!
//! A report has a list of the fields that it is known to have. A field that is not in it is named ([`Drift`]) and kept
//! beside the numbers ([`Extra`]), never among them: nobody knows yet whether it may be added up.

use super::super::answer::Row;
use super::super::error::SERVICE;
use super::super::wire::{number, present};
use crate::clean;
use crate::source::{Change, Coverage, Drift, Extra, Page, Rejected, SiteFacts};
use chrono::NaiveDate;
use mkt_warehouse::model::{DimensionMetric, Json, Measure, MetricKind, SliceState};
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// How a field adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::matomo) enum Sums {
    /// Over everything.
    Count,
    /// Over everything, in the site's currency.
    Amount,
    /// Over nothing: people or visits that a second row may count again.
    Distinct,
}

/// A field of a report: the vendor's name, ours, and how it adds up.
#[derive(Debug, Clone, Copy)]
pub(in crate::matomo) struct Field {
    vendor: &'static str,
    ours: &'static str,
    sums: Sums,
    needed: bool,
}

impl Field {
    const fn new(vendor: &'static str, ours: &'static str, sums: Sums) -> Self {
        Self { vendor, ours, sums, needed: false }
    }

    /// A number that may be added up.
    pub(super) const fn count(vendor: &'static str, ours: &'static str) -> Self {
        Self::new(vendor, ours, Sums::Count)
    }

    /// An amount of money.
    pub(super) const fn amount(vendor: &'static str, ours: &'static str) -> Self {
        Self::new(vendor, ours, Sums::Amount)
    }

    /// A number that may not be added up.
    pub(super) const fn distinct(vendor: &'static str, ours: &'static str) -> Self {
        Self::new(vendor, ours, Sums::Distinct)
    }

    /// A field that every row has: a row without it has a metric without a value, and the lack is named.
    pub(super) const fn needed(mut self) -> Self {
        self.needed = true;
        self
    }
}

/// A ratio, by our names: never the vendor's own, which is rounded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ratio(pub(super) &'static str, pub(super) &'static str, pub(super) &'static str);

/// What is known of a report.
#[derive(Debug)]
pub(in crate::matomo) struct Shape {
    /// The method that answers it.
    pub(in crate::matomo) place: &'static str,
    /// Its name in `dimension_metrics`.
    pub(super) report: &'static str,
    /// The first one tells how much of the table the rest is.
    pub(super) fields: &'static [Field],
    pub(super) ratios: &'static [Ratio],
    /// Fields that are known and left out.
    pub(super) known: &'static [&'static str],
    /// Further ones, by their form.
    pub(super) is_known: fn(&str) -> bool,
    /// Fields by which the rows of another report are known: the elements of a bulk request carry no name.
    pub(super) foreign: &'static [&'static str],
}

/// Fields of rows of every table that are no numbers of it, or are computed from others: percentages, averages.
const EVERYWHERE: &[&str] = &[
    "label",
    "segment",
    "url",
    "idsubdatatable",
    "subtable",
    "is_summary",
    "is_aggregate",
    "logo",
    "logoWidth",
    "logoHeight",
    "icon",
    "shortLabel",
    "code",
    "goals",
    "max_actions",
    "bounce_rate",
    "conversion_rate",
    "exit_rate",
    "nb_actions_per_visit",
    "avg_time_on_site",
    "revenue_per_visit",
    "nb_visits_percentage",
];

pub(super) fn no_others(_: &str) -> bool {
    false
}

/// More than the column holds, or more digits after the point than it keeps.
const TOO_LARGE: Decimal = Decimal::from_parts(0xd4a5_1000, 0xe8, 0, false, 0);

/// To the six digits that the column holds; `None` for what it does not.
pub(in crate::matomo) fn measure(value: Decimal) -> Option<Decimal> {
    let value = value.round_dp(6);
    (value.abs() < TOO_LARGE).then_some(value)
}

/// A numerator over its denominator; `None` for an empty one.
pub(in crate::matomo) fn ratio(numerator: Option<Decimal>, denominator: Option<Decimal>) -> Option<Decimal> {
    numerator?.checked_div(denominator?).and_then(measure)
}

/// What the row is about.
#[derive(Debug, Clone, Default)]
pub(super) struct Dimensions {
    fields: Map<String, Value>,
    /// Whether an address was taken out: then other rows may have become the same.
    cleaned: bool,
}

impl Dimensions {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a dimension; an absent one is null.
    pub(super) fn text(mut self, name: &str, value: Option<&str>) -> Self {
        let value = value.map(|raw| {
            let text = clean::storable(&clean::url(raw));
            self.cleaned |= text != raw;
            text
        });
        self.fields.insert(name.to_owned(), value.map_or(Value::Null, Value::String));
        self
    }
}

/// A number of a row: absent, there without being one, or a number.
type Number = Option<Option<Decimal>>;

/// The rows of one report of one slice.
#[derive(Debug)]
pub(super) struct Sheet<'a> {
    shape: &'static Shape,
    report: String,
    site: &'a SiteFacts,
    day: NaiveDate,
    page: Page,
    whole: Decimal,
    rest: Decimal,
    rest_rows: u64,
    /// Why the rows cannot be those of the report.
    misread: Option<String>,
    /// Rows from which an address was taken out, by what is left of their dimensions.
    cleaned: BTreeMap<String, (Dimensions, bool, Vec<Number>, u64)>,
}

impl<'a> Sheet<'a> {
    /// An empty sheet; `report` is the shape's name, or that of the shape in a segment.
    pub(super) fn new(shape: &'static Shape, report: String, site: &'a SiteFacts, day: NaiveDate) -> Self {
        let (page, cleaned) = (Page::default(), BTreeMap::new());
        let (whole, rest) = (Decimal::ZERO, Decimal::ZERO);
        Self { shape, report, site, day, page, whole, rest, rest_rows: 0, misread: None, cleaned }
    }

    /// Adds a row.
    pub(super) fn add(&mut self, row: &Row, dimensions: Dimensions) {
        self.add_as(row, dimensions, row.is_rest());
    }

    /// Adds a row that is, or is not, the rest, whatever it says.
    pub(super) fn add_as(&mut self, row: &Row, dimensions: Dimensions, is_rest: bool) {
        let mut numbers = Vec::with_capacity(self.shape.fields.len());
        let mut kept = Map::new();
        if self.shape.foreign.iter().any(|name| row.0.contains_key(*name)) {
            return self.misread("the rows are those of another report");
        }
        for (place, field) in self.shape.fields.iter().enumerate() {
            let value = row.0.get(field.vendor).filter(|value| present(value));
            let read = value.map(number);
            match (value, read) {
                (Some(_), Some(None)) if place == 0 => {
                    return self.misread(&format!("{} is no number", field.vendor));
                }
                (Some(value), Some(None)) => {
                    self.drifted(field.vendor, Change::OtherType);
                    kept.insert(field.vendor.to_owned(), value.clone());
                }
                (_, Some(Some(number))) if measure(number).is_none() => {
                    return self.reject(row, "a number is larger than a table holds");
                }
                (None, _) if field.needed => self.drifted(field.vendor, Change::Missing),
                _ => {}
            }
            // Of the rows that it folded, Matomo adds up what may not be added up.
            let read = read.filter(|_| !(is_rest && field.sums == Sums::Distinct));
            numbers.push(if field.needed { Some(read.flatten()) } else { read });
        }
        for (name, value) in &row.0 {
            if !self.is_known(name) {
                self.drifted(name, Change::New);
                kept.insert(name.clone(), value.clone());
            }
        }
        if let Some(Some(Some(size))) = numbers.first() {
            self.whole = self.whole.saturating_add(*size);
            if is_rest {
                self.rest = self.rest.saturating_add(*size);
            }
        }
        self.rest_rows += u64::from(is_rest);
        if !kept.is_empty() {
            let key = DimensionMetric::key_of(&Json(Value::Object(dimensions.fields.clone())));
            self.page.extras.push(Extra {
                record: format!("{} {key}", self.report),
                fields: Json(clean::json(Value::Object(kept))),
            });
        }
        if !dimensions.cleaned {
            return self.emit(&dimensions, is_rest, &numbers);
        }
        let left = Value::Object(dimensions.fields.clone()).to_string();
        match self.cleaned.get_mut(&left) {
            None => drop(self.cleaned.insert(left, (dimensions, is_rest, numbers, 1))),
            Some((_, _, held, rows)) => {
                *rows += 1;
                for ((held, new), field) in held.iter_mut().zip(numbers).zip(self.shape.fields) {
                    *held = match (*held, new, field.sums) {
                        (_, _, Sums::Distinct) => None,
                        (Some(Some(a)), Some(Some(b)), _) => Some(measure(a.saturating_add(b))),
                        (None, other, _) | (other, None, _) => other,
                        _ => Some(None),
                    };
                }
            }
        }
    }

    /// What a row has and the rows beneath it have not, of the numbers that add up; `None` where the first of them is
    /// fully told.
    pub(super) fn remainder(&self, whole: &Row, parts: &[Row]) -> Option<Row> {
        let mut fields = Map::new();
        for (place, field) in self.shape.fields.iter().enumerate() {
            let Some(number) = whole.number(field.vendor).filter(|_| field.sums != Sums::Distinct) else {
                continue;
            };
            let told = parts.iter().filter_map(|part| part.number(field.vendor));
            let left = number.saturating_sub(told.fold(Decimal::ZERO, Decimal::saturating_add));
            if place == 0 && left <= Decimal::ZERO {
                return None;
            }
            fields.insert(field.vendor.to_owned(), left.normalize().to_string().into());
        }
        fields.contains_key(self.shape.fields.first()?.vendor).then_some(Row(fields))
    }

    /// A record that cannot become a row.
    pub(super) fn reject(&mut self, row: &Row, reason: &'static str) {
        let raw = Value::Object(row.0.clone()).to_string();
        self.page.read += 1;
        self.page.rejected.push(Rejected::new(self.shape.place, raw.as_bytes(), reason));
    }

    /// Notes that the slice cannot be told from these rows: [`take`](Self::take) and [`finish`](Self::finish) fail.
    pub(super) fn misread(&mut self, why: &str) {
        self.misread.get_or_insert_with(|| format!("{}: {why}", self.shape.place));
    }

    fn is_known(&self, name: &str) -> bool {
        self.shape.fields.iter().any(|field| field.vendor == name)
            || self.shape.known.contains(&name)
            || EVERYWHERE.contains(&name)
            || (self.shape.is_known)(name)
    }

    fn drifted(&mut self, field: &str, change: Change) {
        note_drift(&mut self.page.drift, self.shape.place, field, change);
    }

    fn emit(&mut self, dimensions: &Dimensions, is_rest: bool, numbers: &[Number]) {
        let dimensions = Json(Value::Object(dimensions.fields.clone()));
        let key = DimensionMetric::key_of(&dimensions);
        let mut put =
            |metric: &str, kind, value: Option<Decimal>, parts: Option<[Option<Decimal>; 2]>, money| {
                let [numerator, denominator] = parts.unwrap_or_default();
                let part = |part: Option<Decimal>| part.and_then(measure).map(Measure);
                self.page.read += 1;
                self.page.dimensions.push(DimensionMetric {
                    report: self.report.clone(),
                    dimension_key: key,
                    dimensions: dimensions.clone(),
                    metric: metric.to_owned(),
                    kind,
                    value: part(value),
                    numerator: part(numerator),
                    denominator: part(denominator),
                    currency: self.site.currency.filter(|_| money),
                    is_rest,
                    state: SliceState::Planned,
                    source: SERVICE.to_owned(),
                    site: self.site.site.clone(),
                    day: self.day,
                });
            };
        let of = |ours: &str| {
            let place = self.shape.fields.iter().position(|field| field.ours == ours)?;
            numbers.get(place).copied().flatten()
        };
        for (field, value) in self.shape.fields.iter().zip(numbers) {
            let Some(value) = value else { continue };
            let kind = if field.sums == Sums::Distinct { MetricKind::Distinct } else { MetricKind::Additive };
            put(field.ours, kind, *value, None, field.sums == Sums::Amount);
        }
        for Ratio(ours, numerator, denominator) in self.shape.ratios {
            let is_money = |name: &str| {
                self.shape.fields.iter().any(|field| field.ours == name && field.sums == Sums::Amount)
            };
            if let (Some(numerator_value), Some(denominator_value)) = (of(numerator), of(denominator)) {
                let parts = [numerator_value, denominator_value];
                let value = ratio(numerator_value, denominator_value);
                put(ours, MetricKind::Ratio, value, Some(parts), is_money(numerator));
            }
        }
    }

    /// What was added since the last time.
    ///
    /// # Errors
    /// Why the rows cannot be those of the report.
    pub(super) fn take(&mut self) -> Result<Page, String> {
        self.misread.take().map_or_else(|| Ok(std::mem::take(&mut self.page)), Err)
    }

    /// The end of the table: rows that were held back, and what the rest is.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub(super) fn finish(mut self) -> Result<Page, String> {
        if let Some(why) = self.misread {
            return Err(why);
        }
        let mut together = 0;
        for (_, (dimensions, is_rest, numbers, rows)) in std::mem::take(&mut self.cleaned) {
            together += if rows > 1 { rows } else { 0 };
            self.emit(&dimensions, is_rest, &numbers);
        }
        if together > 0 {
            self.page.notes.push(format!(
                "{}: {together} rows differ in an address only and were put together",
                self.shape.place
            ));
        }
        if self.rest_rows > 0 {
            self.page.coverage = Coverage::Truncated;
            let measure = self.shape.fields.first().map_or("", |field| field.ours);
            let (rest, whole) = (self.rest.normalize(), self.whole.normalize());
            let share = ratio(Some(rest * Decimal::ONE_HUNDRED), Some(whole)).unwrap_or_default().round_dp(1);
            self.page.notes.push(format!(
                "{}: Matomo kept no rows of their own for {rest} of {whole} {measure} ({share} %)",
                self.shape.place
            ));
        }
        Ok(self.page)
    }
}

/// Names a change of form once; a source that changes everything is named a hundred times.
pub(in crate::matomo) fn note_drift(drift: &mut Vec<Drift>, place: &str, field: &str, change: Change) {
    let field: String = clean::storable(field).chars().take(100).collect();
    let drifted = Drift { place: place.to_owned(), field, change };
    if drift.len() < 100 && !drift.contains(&drifted) {
        drift.push(drifted);
    }
}
