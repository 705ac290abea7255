//! Charts of answers.
//!
//! | report | chart |
//! |---|---|
//! | `conversion_by_channel`, `channel_sets`, `training_set`, `top_hours` | conversion rates as bars, with n |
//! | `arpu`, `arpu_by_channel`, `arpu_by_month` | revenue per user as bars |
//! | `cohort_retention` | cohorts × months; months that are not complete or not loaded are marked as missing |
//! | `funnel` | the share of users that reaches each step |
//! | `campaign_performance` | ROAS as bars; revenue where nothing was paid |
//! | `paths` | the paths that converted most |
//! | `abandoned_carts` | the carts of most value |
//! | `daily_series` | visits and conversions as lines; revenue with its mean of seven days |
//! | `rfm` | buyers by score of recency × frequency |
//! | `email_performance` | rates by campaign |
//! | `etl_status` | hours since the last load |
//!
//! Amounts are drawn once per currency, never on one scale. Long answers show their first rows, and the subtitle says so.

mod amounts;

use super::{Answer, Report};
use crate::schema::Record;
use crate::table::{Table, Value};
use chrono::{Datelike, NaiveDate};
use mkt_connect::chart::{Bar, Bars, Cell, Chart, Format, HeatMap, Lang, Trend};
use rust_decimal::prelude::ToPrimitive;
use std::collections::BTreeMap;

/// Bars of a ranking at most.
const RANKED: usize = 15;

impl<R: Record> Answer<R> {
    /// The answer as charts, titled in a language: one, and one for every currency where it shows amounts. An answer
    /// without rows that can be drawn gives a chart that says so, or none where currencies decide.
    #[must_use]
    pub fn charts(&self, lang: Lang) -> Vec<Chart> {
        self.name().parse().map_or_else(|_| Vec::new(), |report| drawn(report, self.table(), lang))
    }
}

impl Report {
    /// The table that [`run`](Self::run) gave, as [`Answer::charts`] draws it.
    #[must_use]
    pub fn charts(self, answer: &Table, lang: Lang) -> Vec<Chart> {
        drawn(self, answer, lang)
    }
}

/// A day that is missing between two others was not loaded: it interrupts the line.
fn with_gaps(held: impl Iterator<Item = (NaiveDate, Option<f64>)>) -> Vec<(NaiveDate, Option<f64>)> {
    let mut line: Vec<(NaiveDate, Option<f64>)> = Vec::new();
    for (day, value) in held {
        if let Some(next) = line.last().and_then(|(last, _)| last.succ_opt())
            && next < day
        {
            line.extend(next.iter_days().take_while(|missing| *missing < day).map(|missing| (missing, None)));
        }
        line.push((day, value));
    }
    line
}

fn drawn(report: Report, table: &Table, lang: Lang) -> Vec<Chart> {
    let picture = Picture { table, lang };
    match report {
        Report::ConversionByChannel => vec![picture.rates(
            ["Conversion rate by channel", "Taux de conversion par canal"],
            ["converted users ÷ users; n: users", "utilisateurs convertis ÷ utilisateurs ; n : utilisateurs"],
            ("channel", "conversion_rate", "users"),
        )],
        Report::TopHours => vec![picture.rates(
            ["Conversion rate by hour", "Taux de conversion par heure"],
            ["converted sessions ÷ sessions; n: sessions", "sessions converties ÷ sessions ; n : sessions"],
            ("hour", "conversion_rate", "sessions"),
        )],
        Report::Arpu => picture.arpu(["Revenue per user", "Revenu par utilisateur"], "currency"),
        Report::ArpuByChannel => {
            picture.arpu(["Revenue per user by channel", "Revenu par utilisateur et canal"], "channel")
        }
        Report::ArpuByMonth => picture.arpu_by_month(),
        Report::CohortRetention => vec![picture.cohorts()],
        Report::Funnel => vec![picture.funnel()],
        Report::CampaignPerformance => picture.campaigns(),
        Report::Paths => vec![picture.ranking(
            ["Paths that convert most", "Parcours qui convertissent le plus"],
            ["paths that ended in a conversion", "parcours terminés par une conversion"],
            ("path", "converted", None),
            Format::Integer,
        )],
        Report::ChannelSets => vec![picture.ranking(
            ["Conversion rate by combination of channels", "Taux de conversion par combinaison de canaux"],
            ["converted paths ÷ paths; n: paths", "parcours convertis ÷ parcours ; n : parcours"],
            ("channels", "conversion_rate", Some("paths")),
            Format::Percent(1),
        )],
        Report::AbandonedCarts => picture.carts(),
        Report::DailySeries => picture.series(),
        Report::Rfm => vec![picture.rfm()],
        Report::EmailPerformance => vec![picture.mails()],
        Report::EtlStatus => vec![picture.loads()],
        Report::TrainingSet => vec![picture.training()],
    }
}

struct Picture<'a> {
    table: &'a Table,
    lang: Lang,
}

impl Picture<'_> {
    fn say<'t>(&self, [english, french]: [&'t str; 2]) -> &'t str {
        self.lang.pick(english, french)
    }

    fn rows(&self) -> std::ops::Range<usize> {
        0..self.table.rows()
    }

    fn number(&self, row: usize, column: &str) -> Option<f64> {
        match self.table.value(row, column) {
            Value::Int(value) => value.to_f64(),
            Value::Float(value) => Some(value),
            Value::Decimal(value) => value.to_f64(),
            _ => None,
        }
    }

    /// Percent as the ratio that charts write as percent.
    fn ratio(&self, row: usize, column: &str) -> Option<f64> {
        self.number(row, column).map(|percent| percent / 100.0)
    }

    fn count(&self, row: usize, column: &str) -> u64 {
        self.number(row, column).and_then(|count| count.to_u64()).unwrap_or(0)
    }

    fn label(&self, row: usize, column: &str) -> String {
        match self.table.value(row, column) {
            Value::Null if column == "campaign_id" => self.say(["no campaign", "sans campagne"]).to_owned(),
            Value::Null => self.say(["none", "aucun"]).to_owned(),
            Value::Date(day) if column == "month" || column == "cohort" => month(day),
            Value::Int(hour) if column == "hour" => format!("{hour} h"),
            Value::Text(text) => super::page::named(column, &text, self.lang).unwrap_or(text),
            value => value.to_string(),
        }
    }

    /// The currencies with amounts, in their order.
    fn currencies(&self) -> Vec<String> {
        let mut held: Vec<String> = self.rows().filter_map(|row| self.currency(row)).collect();
        held.sort();
        held.dedup();
        held
    }

    fn currency(&self, row: usize) -> Option<String> {
        match self.table.value(row, "currency") {
            Value::Text(currency) => Some(currency),
            _ => None,
        }
    }

    fn of_currency(&self, currency: &str) -> Vec<usize> {
        self.rows().filter(|row| self.currency(*row).as_deref() == Some(currency)).collect()
    }

    /// The first row of every value of a column: reports with amounts repeat the rest for each currency.
    fn once(&self, column: &str) -> Vec<usize> {
        let mut seen = std::collections::BTreeSet::new();
        self.rows().filter(|row| seen.insert(self.label(*row, column))).collect()
    }

    /// How many of the rows are drawn, in words; nothing where all are.
    fn first_of(&self, drawn: usize, all: usize) -> String {
        if drawn >= all {
            return String::new();
        }
        self.lang.pick(format!("; the first {drawn} of {all}"), format!(" ; les {drawn} premiers sur {all}"))
    }

    fn rates(&self, title: [&str; 2], subtitle: [&str; 2], of: (&str, &str, &str)) -> Chart {
        let (label, rate, count) = of;
        let bars = self
            .rows()
            .map(|row| Bar::new(self.label(row, label), self.ratio(row, rate)).count(self.count(row, count)));
        self.bars(title).subtitle(self.say(subtitle)).format(Format::Percent(1)).bars(bars).into()
    }

    fn bars(&self, title: [&str; 2]) -> Bars {
        Bars::new(self.say(title)).lang(self.lang)
    }

    /// Lying bars of the first rows, each name once.
    fn ranking(
        &self,
        title: [&str; 2],
        subtitle: [&str; 2],
        (label, value, count): (&str, &str, Option<&str>),
        format: Format,
    ) -> Chart {
        let rows = self.once(label);
        let percent = matches!(format, Format::Percent(_));
        let bars = rows.iter().take(RANKED).map(|row| {
            let value = if percent { self.ratio(*row, value) } else { self.number(*row, value) };
            let bar = Bar::new(self.label(*row, label), value);
            count.map_or(bar.clone(), |count| bar.count(self.count(*row, count)))
        });
        let subtitle = format!("{}{}", self.say(subtitle), self.first_of(RANKED, rows.len()));
        self.bars(title).horizontal().subtitle(subtitle).format(format).bars(bars).into()
    }

    fn cohorts(&self) -> Chart {
        let cohorts = self.once("cohort");
        let names = cohorts.iter().map(|row| {
            let users = self.lang.number(self.number(*row, "users").unwrap_or(0.0), Format::Integer);
            format!("{} (n {users})", self.label(*row, "cohort"))
        });
        let last = self.rows().map(|row| self.count(row, "month")).max().unwrap_or(0);
        let months = (0..=last).map(|month| format!("M{month}"));
        let map = HeatMap::new(self.say(["Retention by cohort", "Rétention par cohorte"]), names, months)
            .lang(self.lang)
            .subtitle(self.say([
                "share of the users of a month of sign-up with a session, by months since",
                "part des utilisateurs d’un mois d’inscription avec une session, par mois écoulés",
            ]))
            .format(Format::Percent(0));
        let place = |row: usize| {
            let name = self.label(row, "cohort");
            cohorts.iter().position(|held| self.label(*held, "cohort") == name).unwrap_or(usize::MAX)
        };
        self.rows()
            .fold(map, |map, row| {
                let cell =
                    Cell { value: self.ratio(row, "retention_rate"), count: Some(self.count(row, "active")) };
                map.cell(place(row), self.count(row, "month").to_usize().unwrap_or(usize::MAX), cell)
            })
            .into()
    }

    fn funnel(&self) -> Chart {
        let bars = self.rows().map(|row| {
            let name = format!("{}. {}", self.count(row, "step"), self.label(row, "event_type"));
            Bar::new(name, self.ratio(row, "rate_from_first")).count(self.count(row, "users"))
        });
        self.bars(["Funnel", "Entonnoir"])
            .horizontal()
            .subtitle(self.say([
                "share of the users of the first step that reached each; n: users",
                "part des utilisateurs de la première étape arrivés à chacune ; n : utilisateurs",
            ]))
            .format(Format::Percent(1))
            .bars(bars)
            .into()
    }

    fn day(&self, row: usize) -> Option<NaiveDate> {
        match self.table.value(row, "day") {
            Value::Date(day) => Some(day),
            _ => None,
        }
    }

    fn series(&self) -> Vec<Chart> {
        let days = self.once("day");
        let line = |rows: &[usize], column: &str| -> Vec<(NaiveDate, Option<f64>)> {
            let held = rows.iter().filter_map(|row| Some((self.day(*row)?, self.number(*row, column))));
            with_gaps(held)
        };
        let visits = Trend::new(self.say(["Visits and conversions", "Visites et conversions"]))
            .lang(self.lang)
            .subtitle(self.say(["by day", "par jour"]))
            .format(Format::Integer)
            .from_zero()
            .rolling(self.say(["visits", "visites"]), line(&days, "visits"))
            .rolling("conversions", line(&days, "conversions"));
        let revenue = |currency: String| {
            let days = line(&self.of_currency(&currency), "revenue");
            let mean = days.windows(7).filter_map(|week| {
                // A week with a day that was not loaded has no mean.
                let sum: Option<f64> = week.iter().map(|(_, value)| *value).sum();
                Some((week.last()?.0, sum.map(|sum| sum / 7.0)))
            });
            let mean: Vec<_> = mean.collect();
            Trend::new(format!("{} ({currency})", self.say(["Revenue", "Chiffre d’affaires"])))
                .lang(self.lang)
                .subtitle(
                    self.say(["purchases less refunds, by day", "achats moins remboursements, par jour"]),
                )
                .format(Format::Decimal(2))
                .points(self.say(["days", "jours"]), days)
                .rolling(self.say(["mean of the last 7 days", "moyenne des 7 derniers jours"]), mean)
                .into()
        };
        std::iter::once(visits.into()).chain(self.currencies().into_iter().map(revenue)).collect()
    }

    fn rfm(&self) -> Chart {
        let people = self.once("person");
        let score = |row: usize, column: &str| self.count(row, column).to_usize().unwrap_or(0);
        let highest = people
            .iter()
            .flat_map(|row| [score(*row, "recency_score"), score(*row, "frequency_score")])
            .max()
            .unwrap_or(0);
        let mut buyers: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for row in &people {
            *buyers.entry((score(*row, "recency_score"), score(*row, "frequency_score"))).or_default() += 1;
        }
        let rows = (1..=highest).rev().map(|n| format!("{} {n}", self.say(["recency", "récence"])));
        let columns = (1..=highest).map(|n| format!("{} {n}", self.say(["freq.", "fréq."])));
        let map = HeatMap::new(
            self.say(["Buyers by recency and frequency", "Acheteurs par récence et fréquence"]),
            rows,
            columns,
        )
        .lang(self.lang)
        .subtitle(self.say([
            "number of buyers; the highest scores bought last and most often",
            "nombre d’acheteurs ; les scores les plus hauts : achats les plus récents et les plus fréquents",
        ]))
        .format(Format::Integer);
        (1..=highest)
            .flat_map(|recency| (1..=highest).map(move |frequency| (recency, frequency)))
            .fold(map, |map, (recency, frequency)| {
                let n = buyers.get(&(recency, frequency)).copied().unwrap_or(0);
                map.cell(highest - recency, frequency - 1, Cell { value: n.to_f64(), count: Some(n) })
            })
            .into()
    }

    fn mails(&self) -> Chart {
        const RATES: [(&str, [&str; 2]); 7] = [
            ("delivery_rate", ["delivered", "remis"]),
            ("open_rate", ["opened", "ouverts"]),
            ("click_rate", ["clicked", "cliqués"]),
            ("click_to_open_rate", ["cl./open", "cl./ouv."]),
            ("bounce_rate", ["bounced", "rejets"]),
            ("unsubscribe_rate", ["unsubscr.", "désabonn."]),
            ("complaint_rate", ["spam", "plaintes"]),
        ];
        let rows: Vec<usize> = self.rows().take(RANKED).collect();
        let names = rows
            .iter()
            .map(|row| format!("{} · {}", self.label(*row, "source"), self.label(*row, "campaign_id")));
        let columns = RATES.iter().map(|(_, words)| self.say(*words));
        let title = self.say(["E-mail rates by campaign", "Taux des e-mails par campagne"]);
        let words = self.say([
            "of accepted (delivered, bounced), of opened (cl./open), else of delivered messages",
            "sur acceptés (remis, rejets), sur ouverts (cl./ouv.), sinon sur messages remis",
        ]);
        let map = HeatMap::new(title, names, columns)
            .lang(self.lang)
            .subtitle(format!("{words}{}", self.first_of(RANKED, self.table.rows())))
            .format(Format::Percent(1));
        rows.iter()
            .enumerate()
            .flat_map(|(place, row)| {
                RATES.iter().enumerate().map(move |(at, (rate, _))| (place, *row, at, *rate))
            })
            .fold(map, |map, (place, row, at, rate)| {
                map.cell(place, at, Cell { value: self.ratio(row, rate), count: None })
            })
            .into()
    }

    fn loads(&self) -> Chart {
        let mut rows: Vec<usize> = self.rows().collect();
        rows.sort_by(|a, b| {
            let hours = |row: usize| self.number(row, "hours_since").unwrap_or(0.0);
            hours(*b).total_cmp(&hours(*a))
        });
        let bars = rows.iter().take(RANKED).map(|row| {
            let name = ["source", "stream", "site"].map(|column| self.label(*row, column)).join(" · ");
            Bar::new(name, self.number(*row, "hours_since")).count(self.count(*row, "slices"))
        });
        let words = self.say([
            "hours, the longest first; n: slices",
            "heures, la plus longue attente d’abord ; n : tranches",
        ]);
        self.bars(["Hours since the last load", "Heures depuis le dernier chargement"])
            .horizontal()
            .subtitle(format!("{words}{}", self.first_of(RANKED, rows.len())))
            .format(Format::Decimal(1))
            .bars(bars)
            .into()
    }

    fn training(&self) -> Chart {
        let mut channels: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for row in self.rows() {
            let held = channels.entry(self.label(row, "source")).or_default();
            held.0 += u64::from(self.table.value(row, "converted") == Value::Bool(true));
            held.1 += 1;
        }
        let bars = channels.into_iter().map(|(channel, (converted, sessions))| {
            let rate = converted.to_f64().zip(sessions.to_f64()).map(|(a, b)| a / b);
            Bar::new(channel, rate).count(sessions)
        });
        self.bars(["Training set by channel", "Jeu d’entraînement par canal"])
            .subtitle(self.say([
                "converted sessions ÷ sessions; n: sessions",
                "sessions converties ÷ sessions ; n : sessions",
            ]))
            .format(Format::Percent(1))
            .bars(bars)
            .into()
    }
}

fn month(day: NaiveDate) -> String {
    format!("{:04}-{:02}", day.year(), day.month())
}
