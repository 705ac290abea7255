//! The order and the repetition of triggers change nothing, as long as each is known before its instant has passed.

use super::*;
use chrono::Duration as Delta;
use proptest::prelude::*;

/// Kinds of triggers, with the entity.
const KINDS: [(&str, &str); 7] = [
    ("cart_updated", "cart-1"),
    ("cart_updated", "cart-2"),
    ("cart_emptied", "cart-1"),
    ("purchase", "order-1"),
    ("product_viewed", ""),
    ("signed_up", ""),
    ("cart_updated", "cart-1"),
];

fn triggers(of: &[(usize, i64)]) -> Vec<Trigger> {
    let made = |(kind, minute): &(usize, i64)| {
        let (kind, entity) = KINDS[*kind];
        let payload = json!({"first_name": "Jean", "minute": minute, "items": [{"name": "x", "quantity": 1, "price": "1 €"}]});
        Trigger::new(kind, jean(), entity, at("00:00") + Delta::minutes(*minute), payload).unwrap()
    };
    of.iter().map(made).collect()
}

/// Everything that can be seen of the journeys at the end.
async fn outcome(parts: &[(i64, Vec<Trigger>)]) -> String {
    let toml = Definition::cart_relaunch().unwrap().to_toml();
    let night = "[quiet_hours]\nfrom = \"21:00\"\nuntil = \"08:00\"\n[cap]\nemails = 2\nper = \"7d\"\n";
    let outbox = Outbox::in_memory().await.unwrap();
    outbox
        .record_consents(&[Consent::granted(jean(), instant("2026-01-01T00:00:00Z"), "test")])
        .await
        .unwrap();
    let journeys = Journeys::open(&outbox).await.unwrap();
    for definition in
        [Definition::from_toml(&format!("{toml}{night}")).unwrap(), Definition::welcome().unwrap()]
    {
        journeys.define(&definition, at("00:00")).await.unwrap();
    }
    let clock = ManualClock::skipping(at("00:00"));
    let templates = templates();
    for (minute, triggers) in parts {
        let end = at("00:00") + Delta::minutes(*minute);
        // What is told here happens later than the clock shows.
        for trigger in triggers {
            journeys.trigger(std::slice::from_ref(trigger), end).await.unwrap();
        }
        journeys.run(&templates, &clock, end, &Stop::new()).await.unwrap();
        let left = (end - mkt_email::Clock::now(&clock)).to_std().unwrap_or_default();
        clock.advance(left);
    }
    let options = WhereaboutsOptions::default().with_addresses().limit(1_000);
    let mut seen = String::new();
    for journey in ["cart_relaunch", "welcome"] {
        seen += &format!("{:?}\n", journeys.whereabouts(journey, &options).await.unwrap());
        seen += &format!("{:?}\n", journeys.reached(journey, &options).await.unwrap());
        seen += &format!("{:?}\n", journeys.report(journey, mkt_email::Clock::now(&clock)).await.unwrap());
    }
    let provider = Memory::new();
    outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    let mut emails: Vec<String> =
        provider.delivered().iter().map(|email| format!("{:?}", email.message.html())).collect();
    emails.sort();
    seen + &emails.join("\n")
}

/// Minutes in one part; triggers of a part are told before it begins, in any order.
const PART: i64 = 400;
const PARTS: i64 = 8;

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_repetition_of_triggers_gives_the_same_state(
        of in prop::collection::vec((0..KINDS.len(), 1..PART * PARTS), 1..24),
        order in prop::collection::vec(any::<u32>(), 48),
        early in prop::collection::vec(0..PARTS, 48),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let all = triggers(&of);
        let part_of = |trigger: &Trigger| ((trigger.at() - at("00:00")).num_minutes() - 1) / PART;
        let mut sorted = all.clone();
        sorted.sort_by_key(Trigger::at);
        let plain: Vec<(i64, Vec<Trigger>)> = (0..PARTS)
            .map(|part| ((part + 1) * PART, sorted.iter().filter(|it| part_of(it) == part).cloned().collect()))
            .collect();
        // Each twice: once in its part or before, once anywhere from then on.
        let mut told: Vec<(i64, u32, Trigger)> = Vec::new();
        for (number, trigger) in all.iter().enumerate() {
            let first = part_of(trigger).min(early[number]);
            told.push((first, order[number], trigger.clone()));
            let again = early[number + 24].max(first);
            told.push((again, order[number + 24], trigger.clone()));
        }
        told.sort_by_key(|(part, order, _)| (*part, *order));
        let mixed: Vec<(i64, Vec<Trigger>)> = (0..PARTS)
            .map(|part| {
                let here = told.iter().filter(|(when, ..)| *when == part).map(|(_, _, it)| it.clone());
                ((part + 1) * PART, here.collect())
            })
            .collect();
        let (one, two) = runtime.block_on(async { (outcome(&plain).await, outcome(&mixed).await) });
        prop_assert_eq!(one, two);
    }
}
