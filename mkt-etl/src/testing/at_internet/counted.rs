//! What is counted for a row.

use super::world::Visit;
use serde_json::{Value, json};
use std::collections::HashSet;

/// The page loads of a row.
#[derive(Debug, Default)]
pub(super) struct Counted {
    loads: u64,
    visits: HashSet<u64>,
    visitors: HashSet<u64>,
    bounces: u64,
    seconds: i64,
}

impl Counted {
    pub(super) fn add(&mut self, visit: &Visit) {
        self.loads += 1;
        self.visitors.insert(visit.visitor());
        if self.visits.insert(visit.key()) {
            self.bounces += u64::from(visit.bounced());
            self.seconds += visit.seconds();
        }
    }

    /// So much for each visit, with two decimals.
    fn per_visit(&self, sum: u64) -> Value {
        let hundredths = sum * 100 / (self.visits.len() as u64).max(1);
        json!(u32::try_from(hundredths).map_or(0.0, f64::from) / 100.0)
    }

    pub(super) fn metric(&self, name: &str) -> Value {
        match name {
            "m_visits" => json!(self.visits.len()),
            "m_page_loads" | "m_events" => json!(self.loads),
            "m_bounces" => json!(self.bounces),
            "m_unique_visitors" => json!(self.visitors.len()),
            "m_time_spent" => json!(self.seconds),
            "m_time_spent_per_visits" if !self.visits.is_empty() => {
                self.per_visit(self.seconds.unsigned_abs())
            }
            "m_page_loads_per_visits" if !self.visits.is_empty() => self.per_visit(self.loads),
            // A percentage with two decimals.
            "m_bounce_rate" if !self.visits.is_empty() => {
                let share = self.bounces * 10_000 / self.visits.len() as u64;
                json!(u32::try_from(share).map_or(0.0, f64::from) / 100.0)
            }
            _ => Value::Null,
        }
    }
}
