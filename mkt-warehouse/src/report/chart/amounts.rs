//! Charts of amounts: one per currency, never on one scale.

use super::{Picture, RANKED};
use crate::table::Value;
use chrono::{Months, NaiveDate};
use mkt_connect::chart::{Bar, Bars, Chart, Format};
use std::collections::BTreeMap;

impl Picture<'_> {
    /// One chart per currency.
    pub(super) fn arpu(&self, title: [&str; 2], label: &str) -> Vec<Chart> {
        let chart = |currency: String| {
            let bars = self.of_currency(&currency).into_iter().map(|row| {
                Bar::new(self.label(row, label), self.number(row, "arpu")).count(self.count(row, "users"))
            });
            let words = self.say([
                "purchases less refunds ÷ users; n: users",
                "achats moins remboursements ÷ utilisateurs ; n : utilisateurs",
            ]);
            let chart = Bars::new(format!("{} ({currency})", self.say(title)))
                .lang(self.lang)
                .subtitle(words)
                .format(Format::Decimal(2))
                .bars(bars);
            // A single bar looks lost when it stands.
            if label == "currency" { chart.horizontal().into() } else { chart.into() }
        };
        self.currencies().into_iter().map(chart).collect()
    }

    /// One chart per currency. A month between two others that has no row was not loaded: its place stays empty.
    pub(super) fn arpu_by_month(&self) -> Vec<Chart> {
        let held: BTreeMap<NaiveDate, Vec<usize>> = self.rows().fold(BTreeMap::new(), |mut held, row| {
            if let Value::Date(month) = self.table.value(row, "month") {
                held.entry(month).or_default().push(row);
            }
            held
        });
        let (Some(first), Some(last)) = (held.keys().next(), held.keys().next_back()) else {
            return Vec::new();
        };
        let months: Vec<NaiveDate> =
            std::iter::successors(Some(*first), |month| month.checked_add_months(Months::new(1)))
                .take_while(|month| month <= last)
                .collect();
        let gaps = match months.iter().any(|month| !held.contains_key(month)) {
            true => {
                self.say(["; months without n were not loaded", " ; les mois sans n ne sont pas chargés"])
            }
            false => "",
        };
        let chart = |currency: String| {
            let bars = months.iter().map(|month| {
                let Some(rows) = held.get(month) else { return Bar::new(super::month(*month), None) };
                let row = rows.iter().find(|row| self.currency(**row).as_ref() == Some(&currency));
                let users = rows.first().map_or(0, |row| self.count(*row, "users"));
                let value = match row {
                    Some(row) => self.number(*row, "arpu"),
                    // Users, and no revenue in this currency.
                    None => (users > 0).then_some(0.0),
                };
                Bar::new(super::month(*month), value).count(users)
            });
            let words = self.say([
                "purchases less refunds ÷ users; n: users",
                "achats moins remboursements ÷ utilisateurs ; n : utilisateurs",
            ]);
            let title = self.say(["Revenue per user by month", "Revenu par utilisateur et mois"]);
            Bars::new(format!("{title} ({currency})"))
                .lang(self.lang)
                .subtitle(format!("{words}{gaps}"))
                .format(Format::Decimal(2))
                .bars(bars)
                .into()
        };
        self.currencies().into_iter().map(chart).collect()
    }

    pub(super) fn campaigns(&self) -> Vec<Chart> {
        let chart = |currency: String| {
            let mut rows = self.of_currency(&currency);
            let paid = rows.iter().any(|row| self.number(*row, "roas").is_some());
            let column = if paid { "roas" } else { "revenue" };
            rows.retain(|row| self.number(*row, column).is_some());
            rows.sort_by(|a, b| {
                let value = |row: usize| self.number(row, column).unwrap_or(0.0);
                value(*b).total_cmp(&value(*a))
            });
            let title = match paid {
                true => self.say(["ROAS by campaign", "ROAS par campagne"]),
                false => self.say(["Revenue by campaign", "Revenu par campagne"]),
            };
            let words = match paid {
                true => self.say(["revenue ÷ cost; n: sessions", "revenu ÷ coût ; n : sessions"]),
                false => self.say([
                    "no cost in this currency; n: sessions",
                    "aucun coût dans cette devise ; n : sessions",
                ]),
            };
            let bars = rows.iter().take(RANKED).map(|row| {
                let name = if self.table.value(*row, "name") == Value::Null { "campaign_id" } else { "name" };
                Bar::new(self.label(*row, name), self.number(*row, column))
                    .count(self.count(*row, "sessions"))
            });
            let bars = Bars::new(format!("{title} ({currency})"))
                .lang(self.lang)
                .horizontal()
                .subtitle(format!("{words}{}", self.first_of(RANKED, rows.len())))
                .format(Format::Decimal(2))
                .bars(bars);
            // Where a campaign pays for itself.
            if paid {
                bars.reference(self.say(["break-even", "équilibre"]), 1.0).into()
            } else {
                bars.into()
            }
        };
        self.currencies().into_iter().map(chart).collect()
    }

    pub(super) fn carts(&self) -> Vec<Chart> {
        let chart = |currency: String| {
            let mut rows = self.of_currency(&currency);
            rows.retain(|row| self.number(*row, "value").is_some());
            rows.sort_by(|a, b| {
                let value = |row: usize| self.number(row, "value").unwrap_or(0.0);
                value(*b).total_cmp(&value(*a))
            });
            let bars = rows
                .iter()
                .take(RANKED)
                .map(|row| Bar::new(self.label(*row, "person"), self.number(*row, "value")));
            Bars::new(format!("{} ({currency})", self.say(["Abandoned carts", "Paniers abandonnés"])))
                .lang(self.lang)
                .horizontal()
                .subtitle(format!(
                    "{}{}",
                    self.say(["value by person", "valeur par personne"]),
                    self.first_of(RANKED, rows.len())
                ))
                .format(Format::Decimal(2))
                .bars(bars)
                .into()
        };
        self.currencies().into_iter().map(chart).collect()
    }
}
