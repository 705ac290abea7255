//! What Live knows of a day, counted: the second way to know a number, which needs no archive. Pure.

use super::reports::shape::measure;
use super::streams::Name;
use super::wire::{Action, Item, Visit};
use crate::source::Totals;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;

/// Numbers of visits.
#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    visits: u64,
    converted: u64,
    seconds: i64,
    actions: i64,
    not_direct: u64,
    of_campaigns: u64,
    page_views: u64,
    entries: u64,
    events: i64,
    conversions: u64,
    revenue: Decimal,
    carts: u64,
    items: Decimal,
    items_value: Decimal,
    cart_items: Decimal,
    cart_items_value: Decimal,
}

/// The visits of a day. One that goes on meanwhile comes again with a later end, and replaces itself.
#[derive(Debug, Default)]
pub(super) struct Counts(HashMap<Option<i64>, Numbers>);

/// An amount that no table holds is set aside where the visits are read.
pub(super) fn fits(amount: &Decimal) -> bool {
    amount.abs() < Decimal::from(100_000_000)
}

impl Counts {
    /// Adds a visit as Live tells it; one that cannot be read is reported where visits are read.
    pub(super) fn add(&mut self, raw: &Value) {
        let Ok(visit) = Visit::deserialize(raw) else { return };
        let kind = visit.referrer_type.as_deref().unwrap_or_default();
        let mut numbers = Numbers {
            visits: 1,
            converted: u64::from(visit.visit_converted == Some(1)),
            seconds: visit.visit_duration.unwrap_or_default(),
            actions: visit.actions.unwrap_or_default(),
            not_direct: u64::from(kind != "direct"),
            of_campaigns: u64::from(kind == "campaign"),
            events: visit.events.unwrap_or_default(),
            ..Numbers::default()
        };
        for action in visit.action_details.iter().filter_map(|action| Action::deserialize(action).ok()) {
            let revenue = action.revenue.filter(fits).unwrap_or_default();
            match action.kind.as_deref() {
                Some("action") => {
                    numbers.page_views += 1;
                    numbers.entries = 1;
                }
                Some("goal") => {
                    numbers.conversions += 1;
                    numbers.revenue = numbers.revenue.saturating_add(revenue);
                }
                Some("ecommerceOrder") => {
                    numbers.conversions += 1;
                    numbers.revenue = numbers.revenue.saturating_add(revenue);
                    let (items, value) = items(&action);
                    numbers.items = numbers.items.saturating_add(items);
                    numbers.items_value = numbers.items_value.saturating_add(value);
                }
                Some("ecommerceAbandonedCart") => {
                    numbers.carts += 1;
                    let (items, value) = items(&action);
                    numbers.cart_items = numbers.cart_items.saturating_add(items);
                    numbers.cart_items_value = numbers.cart_items_value.saturating_add(value);
                }
                _ => {}
            }
        }
        self.0.insert(visit.id_visit, numbers);
    }

    /// Conversions and what they brought.
    pub(super) fn conversions(&self) -> (u64, Decimal) {
        let revenue = self.0.values().map(|visit| visit.revenue);
        (
            self.0.values().map(|visit| visit.conversions).sum(),
            revenue.fold(Decimal::ZERO, Decimal::saturating_add),
        )
    }

    /// Whether there was any visit.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Control totals of a stream; `report` names its reports.
    pub(super) fn totals(&self, stream: Name, report: impl Fn(&str) -> String) -> Totals {
        let count = |of: fn(&Numbers) -> u64| Decimal::from(self.0.values().map(of).sum::<u64>());
        let whole = |of: fn(&Numbers) -> i64| self.0.values().map(|x| Decimal::from(of(x))).sum::<Decimal>();
        let sum = |of: fn(&Numbers) -> Decimal| {
            let sum = self.0.values().map(of).fold(Decimal::ZERO, Decimal::saturating_add);
            measure(sum).unwrap_or_default()
        };
        let named = |of: &str, metric: &str| format!("{}.{metric}", report(of));
        let mut totals = Totals::new();
        let mut set = |of: &str, metric: &str, value: Decimal| totals.set(named(of, metric), value);
        match stream {
            Name::Daily | Name::Visits => {
                // In a segment daily numbers are a report with a name.
                let prefix = match report("daily") {
                    name if name == "daily" => String::new(),
                    name => format!("{name}."),
                };
                totals.set(format!("{prefix}visits"), count(|x| x.visits));
                totals.set(format!("{prefix}converted_visits"), count(|x| x.converted));
            }
            Name::Referrers | Name::Hours => {
                set(stream.as_str(), "visits", count(|x| x.visits));
                set(stream.as_str(), "converted_visits", count(|x| x.converted));
                set(stream.as_str(), "seconds_on_site", whole(|x| x.seconds));
                set(stream.as_str(), "actions", whole(|x| x.actions));
            }
            Name::ReferrerNames => set("referrer_names", "visits", count(|x| x.not_direct)),
            Name::Campaigns => set("campaigns", "visits", count(|x| x.of_campaigns)),
            Name::Pages => {
                set("pages", "page_views", count(|x| x.page_views));
                set("pages", "entries", count(|x| x.entries));
            }
            Name::Events => {
                for table in ["event_categories", "event_actions", "event_names"] {
                    set(table, "events", whole(|x| x.events));
                }
            }
            Name::Items => {
                set("items", "quantity", sum(|x| x.items));
                set("items", "revenue", sum(|x| x.items_value));
                set("abandoned_items", "quantity", sum(|x| x.cart_items));
                set("abandoned_items", "cart_value", sum(|x| x.cart_items_value));
            }
            Name::Goals => {
                set("goals", "conversions", count(|x| x.conversions));
                set("goals", "revenue", sum(|x| x.revenue));
                set("abandoned_carts", "carts", count(|x| x.carts));
            }
        }
        totals
    }
}

/// Pieces and what they cost.
fn items(action: &Action) -> (Decimal, Decimal) {
    action.item_details.iter().filter_map(|item| Item::deserialize(item).ok()).fold(
        (Decimal::ZERO, Decimal::ZERO),
        |(pieces, value), item| {
            let quantity = item.quantity.filter(fits).unwrap_or_default();
            let price = item.price.filter(fits).unwrap_or_default();
            (pieces.saturating_add(quantity), value.saturating_add(quantity.saturating_mul(price)))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_visit_that_goes_on_is_counted_once_and_numbers_of_any_size_do_not_overflow() {
        let mut counts = Counts::default();
        let item = json!({"price": 99_999_999, "quantity": "99999999"});
        let order = json!({"type": "ecommerceOrder", "revenue": 5, "itemDetails": vec![item; 50]});
        counts.add(&json!({"idVisit": 1, "visitDuration": i64::MAX, "actionDetails": []}));
        counts.add(&json!({"idVisit": 1, "visitDuration": i64::MAX, "actionDetails": [order]}));
        counts.add(&json!({"idVisit": 2, "visitDuration": i64::MAX, "actionDetails": [{"type": "action"}]}));
        let totals = counts.totals(Name::Hours, str::to_owned);
        assert_eq!(totals.get("hours.visits"), Some(2.into()));
        assert_eq!(totals.get("hours.seconds_on_site"), Some(Decimal::from(i64::MAX) * Decimal::from(2)));
        let _ = counts.totals(Name::Items, str::to_owned);
        assert_eq!(counts.conversions(), (1, 5.into()));
    }
}
