//! `truth.json`: what was planted, and what came out of it, for whoever checks a report or a model.

use serde::{Serialize, Serializer};

use super::{
    behaviour::{Behaviours, MODEL, Model},
    channel::{BEST_HOUR, Channel, HOUR_FACTORS},
    costs::Costs,
    ledger::{Carts, Cohort, Customers, Ledger, Sessions},
    money::{CURRENCY, Cents},
    period::{Period, ZONE, utc},
    plan::RETENTION,
    posts::Posts,
    session::{CART_LEFT, Kind},
};

/// What was planted, and what came out: the content of `truth.json`.
#[derive(Debug, Serialize)]
pub struct Truth {
    pub(crate) seed: u64,
    pub(crate) start: String,
    pub(crate) end: String,
    pub(crate) zone: &'static str,
    pub(crate) currency: &'static str,
    /// UTC, the form of the files.
    pub(crate) last_event: String,
    /// UTC instant and seconds by which the local clock moves.
    pub(crate) clock_changes: Vec<(String, i32)>,
    pub(crate) totals: Totals,
    pub(crate) conversion: Conversion,
    pub(crate) retention: Retention,
    pub(crate) carts: Carts,
    pub(crate) social: Posts,
    pub(crate) behavior: BehaviorTruth,
    pub(crate) access_log: Logged,
}

#[derive(Debug, Serialize)]
pub(crate) struct Totals {
    pub(crate) users: u64,
    pub(crate) sessions: u64,
    pub(crate) sessions_across_local_midnight: u64,
    pub(crate) pages: u64,
    pub(crate) events: u64,
    pub(crate) page_view: u64,
    pub(crate) product_view: u64,
    pub(crate) add_to_cart: u64,
    pub(crate) purchase: u64,
    pub(crate) signup: u64,
    pub(crate) buyers: u64,
    pub(crate) revenue: Cents,
    /// Revenue over visitors.
    pub(crate) arpu: f64,
    pub(crate) customers: u64,
    pub(crate) consenting: u64,
    pub(crate) cost_rows: u64,
    pub(crate) clicks: u64,
    pub(crate) cost: Cents,
}

#[derive(Debug, Serialize)]
pub(crate) struct Conversion {
    pub(crate) formula: &'static str,
    pub(crate) best_hour: usize,
    pub(crate) hour_factors: [f64; 24],
    pub(crate) cart_left_probability: f64,
    pub(crate) channels: Vec<ChannelTruth>,
    /// By local hour of the session's start.
    pub(crate) hours: [Sessions; 24],
}

#[derive(Debug, Serialize)]
pub(crate) struct ChannelTruth {
    pub(crate) channel: Channel,
    /// Planted, for an hour whose factor is 1.
    pub(crate) session_probability: f64,
    pub(crate) sessions: u64,
    pub(crate) converted_sessions: u64,
    pub(crate) users: u64,
    pub(crate) converted_users: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Retention {
    /// Planted: by calendar months since the month of arrival; the last value holds for later months.
    pub(crate) probability: [f64; RETENTION.len()],
    /// By month of sign-up, local calendar months; active = at least one session starts in the month.
    pub(crate) cohorts: Vec<Cohort>,
}

#[derive(Debug, Serialize)]
pub(crate) struct BehaviorTruth {
    pub(crate) rows: u64,
    pub(crate) converted: u64,
    /// Expected AUC of the true probabilities: no model does better but by luck.
    pub(crate) bayes_auc: f64,
    pub(crate) model: Model,
}

/// What `access.log` holds; lines = visitors + robots + malformed.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Logged {
    pub(crate) one_visitor_in: u32,
    pub(crate) lines: u64,
    pub(crate) visitors: u64,
    pub(crate) robots: u64,
    pub(crate) malformed: u64,
    /// Distinct sessions behind the visitors' lines.
    pub(crate) sessions: u64,
}

/// The parts that the other files left behind.
pub(crate) struct Written {
    pub(crate) customers: Customers,
    pub(crate) costs: Costs,
    pub(crate) posts: Posts,
    pub(crate) behaviours: Behaviours,
    pub(crate) logged: Logged,
}

impl Truth {
    pub(crate) fn new(seed: u64, period: &Period, users: u32, ledger: &Ledger, written: Written) -> Self {
        let tally = &ledger.tally;
        let Written { customers, costs, posts, behaviours, logged } = written;
        let of = |kind: Kind| tally.events[kind as usize];
        let channels = Channel::ALL
            .iter()
            .map(|channel| {
                let sessions = tally.by_channel[*channel as usize];
                let distinct = ledger.distinct(*channel);
                ChannelTruth {
                    channel: *channel,
                    session_probability: channel.conversion_probability(),
                    sessions: sessions.sessions,
                    converted_sessions: sessions.converted,
                    users: distinct.users,
                    converted_users: distinct.converted,
                }
            })
            .collect();
        Self {
            seed,
            start: period.start.to_string(),
            end: period.end.to_string(),
            zone: ZONE.name(),
            currency: CURRENCY,
            last_event: utc(tally.last_event).to_string(),
            clock_changes: period
                .clock_changes()
                .iter()
                .map(|(at, step)| (utc(*at).to_string(), *step))
                .collect(),
            totals: Totals {
                users: u64::from(users),
                sessions: tally.sessions,
                sessions_across_local_midnight: tally.across_local_midnight,
                pages: tally.pages,
                events: tally.events.iter().sum(),
                page_view: of(Kind::PageView),
                product_view: of(Kind::ProductView),
                add_to_cart: of(Kind::AddToCart),
                purchase: of(Kind::Purchase),
                signup: of(Kind::Signup),
                buyers: ledger.buyers(),
                revenue: tally.revenue,
                arpu: rounded(tally.revenue.0 as f64 / 100.0 / f64::from(users)),
                customers: customers.rows,
                consenting: customers.consenting,
                cost_rows: costs.rows,
                clicks: costs.clicks,
                cost: costs.cost,
            },
            conversion: Conversion {
                formula: "P(session converts) = session_probability[channel] * hour_factors[local hour of start]",
                best_hour: BEST_HOUR,
                hour_factors: HOUR_FACTORS,
                cart_left_probability: CART_LEFT,
                channels,
                hours: tally.by_hour,
            },
            retention: Retention { probability: RETENTION, cohorts: ledger.cohorts() },
            carts: ledger.carts(),
            social: posts,
            behavior: BehaviorTruth {
                rows: behaviours.rows,
                converted: behaviours.converted,
                bayes_auc: rounded(behaviours.bayes_auc),
                model: MODEL,
            },
            access_log: logged,
        }
    }
}

/// Numbers with their names: an object in JSON, in this order.
#[derive(Debug)]
pub(crate) struct Named<const N: usize>(pub(crate) [(&'static str, f64); N]);

impl<const N: usize> Serialize for Named<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0)
    }
}

fn rounded(value: f64) -> f64 {
    libm::round(value * 10_000.0) / 10_000.0
}
