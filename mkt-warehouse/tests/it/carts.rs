//! Abandoned carts, with histories written by hand.

use super::engines;
use super::rows::{World, at, day, event, same_person, session};
use mkt_connect::{Channel, Currency};
use mkt_warehouse::model::{Amount, Event, EventType, Json, Session};
use mkt_warehouse::report::{self, AbandonedCart, CartOptions, Scope};
use serde_json::{Value, json};

fn with(user: &str, event_type: EventType, time: &str, properties: Value) -> Event {
    Event { properties: Json(properties), ..event(user, event_type, &format!("2026-10-26T{time}:00Z")) }
}

fn item(sku: &str, price: &str) -> Value {
    json!({"items": [{"sku": sku, "name": format!("Product {sku}"), "price": price, "quantity": 1}]})
}

/// The carts of the 26th, as asked at 14:00 UTC.
async fn carts(events: Vec<Event>) -> Vec<AbandonedCart> {
    let world = World {
        events,
        identities: vec![same_person("u6", "p"), same_person("u7", "p")],
        ..World::default()
    };
    let scope = Scope::days("Europe/Paris", day("2026-10-26"), day("2026-10-27")).unwrap();
    let options = CartOptions { now: Some(at("2026-10-26T14:00:00Z")), ..CartOptions::default() };
    let mut answers = Vec::new();
    for engine in engines::all().await {
        world.load_into(&engine).await;
        answers.push(report::abandoned_carts(&engine, &scope, options).await.unwrap().rows);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "engines differ: {answers:?}");
    answers.swap_remove(0)
}

#[tokio::test]
async fn a_cart_is_what_was_added_since_the_last_purchase() {
    let found = carts(vec![
        with("u1", EventType::PRODUCT_VIEW, "09:00", item("P9", "1")),
        with("u1", EventType::ADD_TO_CART, "10:00", item("A", "10.00")),
        with("u1", EventType::PURCHASE, "11:00", json!({})),
        with("u1", EventType::PRODUCT_VIEW, "12:00", item("V1", "7")),
        with("u1", EventType::ADD_TO_CART, "12:30", item("B", "5.50")),
        with("u1", EventType::ADD_TO_CART, "12:40", item("C", "3")),
        with("u1", EventType::PRODUCT_VIEW, "12:50", item("V2", "8")),
        with("u1", EventType::PRODUCT_VIEW, "12:55", item("C", "3")),
    ])
    .await;
    assert_eq!(found.len(), 1);
    let cart = &found[0];
    assert_eq!(
        (cart.first_added_at, cart.last_added_at),
        (at("2026-10-26T12:30:00Z"), at("2026-10-26T12:40:00Z"))
    );
    assert_eq!(cart.value.unwrap().0.to_string(), "8.50");
    assert_eq!(cart.currency, Some(Currency::EUR), "the site's");
    let products: Vec<_> = cart.products().into_iter().map(|p| (p.sku.unwrap(), p.in_cart)).collect();
    let expected = [("C", true), ("B", true), ("V2", false), ("V1", false)];
    assert_eq!(products, expected.map(|(sku, in_cart)| (sku.to_owned(), in_cart)));
    assert_eq!(cart.cart_id, mkt_warehouse::id::cart_id("u1", at("2026-10-26T12:30:00Z")));
}

#[tokio::test]
async fn event_at_the_timestamp_of_a_purchase_is_not_in_the_cart() {
    let found = carts(vec![
        with("u1", EventType::ADD_TO_CART, "10:00", item("A", "1")),
        with("u1", EventType::PURCHASE, "10:00", json!({})),
        with("u2", EventType::PRODUCT_VIEW, "10:00", item("V", "1")),
        with("u2", EventType::ADD_TO_CART, "10:00", item("A", "1")),
        with("u2", EventType::PURCHASE, "10:00", json!({})),
        with("u2", EventType::ADD_TO_CART, "11:00", item("B", "2")),
    ])
    .await;
    assert_eq!(found.iter().map(|cart| cart.person.as_str()).collect::<Vec<_>>(), ["u2"]);
    let products: Vec<_> = found[0].products().into_iter().map(|product| product.sku.unwrap()).collect();
    assert_eq!(products, ["B"]);
}

#[tokio::test]
async fn equal_timestamps_and_seq_are_ordered_by_event_id() {
    let view = |event_id, sku: &str| Event {
        event_id,
        ..with("u1", EventType::PRODUCT_VIEW, "12:10", item(sku, "1"))
    };
    let mut events = vec![with("u1", EventType::ADD_TO_CART, "12:00", item("A", "1"))];
    // Twenty-five, since short lists are often put in order by accident; loaded in another order than that of their ids.
    events.extend((0..25).map(|n| view(n * 7 % 25, &format!("V{:02}", n * 7 % 25))));
    let products: Vec<_> =
        carts(events).await[0].products().into_iter().map(|product| product.sku.unwrap()).collect();
    assert_eq!(products, ["A", "V24", "V23", "V22", "V21", "V20"], "the latest first");
}

#[tokio::test]
async fn a_cart_touched_within_the_hour_is_not_abandoned_yet() {
    let found = carts(vec![
        with("late", EventType::ADD_TO_CART, "13:01", item("A", "1")),
        with("just", EventType::ADD_TO_CART, "13:00", item("A", "1")),
    ])
    .await;
    assert_eq!(found.iter().map(|cart| cart.person.as_str()).collect::<Vec<_>>(), ["just"]);
}

#[tokio::test]
async fn a_cart_touched_after_the_period_and_within_the_hour_is_not_abandoned() {
    // The period ends at 23:00 UTC; asked half past midnight, the cart was touched ten minutes ago.
    let late = |user: &str, at: &str| Event {
        properties: Json(item("A", "1")),
        ..event(user, EventType::ADD_TO_CART, at)
    };
    let world = World {
        events: vec![
            late("alive", "2026-10-26T22:00:00Z"),
            late("alive", "2026-10-27T00:20:00Z"),
            late("left", "2026-10-26T22:00:00Z"),
            late("next", "2026-10-26T23:10:00Z"),
        ],
        ..World::default()
    };
    let scope = Scope::days("Europe/Paris", day("2026-10-26"), day("2026-10-27")).unwrap();
    let options = CartOptions { now: Some(at("2026-10-27T00:30:00Z")), ..CartOptions::default() };
    for engine in engines::all().await {
        world.load_into(&engine).await;
        let found = report::abandoned_carts(&engine, &scope, options).await.unwrap().rows;
        assert_eq!(found.iter().map(|cart| cart.person.as_str()).collect::<Vec<_>>(), ["left"]);
    }
}

#[tokio::test]
async fn a_purchase_under_another_id_of_the_person_empties_the_cart() {
    let found = carts(vec![
        with("u6", EventType::ADD_TO_CART, "10:00", item("A", "1")),
        with("u7", EventType::PURCHASE, "10:30", json!({})),
        with("u4", EventType::ADD_TO_CART, "10:00", item("A", "1")),
        with("u4", EventType::PURCHASE, "10:00", json!({})),
    ])
    .await;
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn the_sources_own_list_and_id_win() {
    let found = carts(vec![
        with("u3", EventType::ADD_TO_CART, "09:00", item("old", "1")),
        with(
            "u3",
            EventType::CART_ABANDONED,
            "10:00",
            json!({"cart_id": 77, "items": [{"sku": "X", "price": 20.5, "quantity": 2}, {"sku": "Y", "price": 1}]}),
        ),
    ])
    .await;
    assert_eq!(found[0].cart_id, "77");
    assert_eq!(found[0].value.unwrap().0.to_string(), "42.00");
    assert_eq!(found[0].products().len(), 2);
}

#[tokio::test]
async fn product_without_price_makes_the_value_null() {
    let eight: Vec<Value> = (0..8).map(|n| json!({"sku": n.to_string()})).collect();
    let found = carts(vec![
        with("u5", EventType::ADD_TO_CART, "10:00", json!({})),
        with("u8", EventType::ADD_TO_CART, "10:00", json!({"items": eight})),
    ])
    .await;
    assert_eq!((found[0].value, found[0].products().len()), (None, 0));
    assert_eq!((found[1].value, found[1].products().len()), (None, 6));
}

#[tokio::test]
async fn filters_choose_carts_and_hide_no_purchase() {
    let by = |channel: Channel, event: Event| Event { channel, ..event };
    let world = World {
        events: vec![
            by(Channel::Email, with("bought", EventType::ADD_TO_CART, "10:00", item("A", "1"))),
            by(Channel::Direct, with("bought", EventType::PURCHASE, "10:30", json!({}))),
            by(Channel::Direct, with("both", EventType::ADD_TO_CART, "10:00", item("A", "1"))),
            by(Channel::Email, with("both", EventType::ADD_TO_CART, "10:30", item("B", "2"))),
            by(Channel::Email, with("busy", EventType::ADD_TO_CART, "10:00", item("A", "1"))),
            by(Channel::Direct, with("busy", EventType::ADD_TO_CART, "13:30", item("B", "2"))),
            by(Channel::Direct, with("other", EventType::ADD_TO_CART, "10:00", item("A", "1"))),
        ],
        ..World::default()
    };
    let scope = Scope::days("Europe/Paris", day("2026-10-26"), day("2026-10-27")).unwrap();
    let options = CartOptions { now: Some(at("2026-10-26T14:00:00Z")), ..CartOptions::default() };
    for engine in engines::all().await {
        world.load_into(&engine).await;
        let email = scope.clone().channels([Channel::Email]);
        let found = report::abandoned_carts(&engine, &email, options).await.unwrap().rows;
        let people: Vec<&str> = found.iter().map(|cart| cart.person.as_str()).collect();
        // Whoever bought, or is still at it, is not asked to come back; the cart is shown whole, under its own id.
        assert_eq!(people, ["both"]);
        assert_eq!(found[0].value.unwrap().0.to_string(), "3.00");
        assert_eq!(found[0].cart_id, mkt_warehouse::id::cart_id("both", at("2026-10-26T10:00:00Z")));
    }
}

#[tokio::test]
async fn robots_have_no_cart_and_filters_ask_the_session() {
    let visit = |id: &str, channel: Channel, bot: Option<&str>| Session {
        bot: bot.map(str::to_owned),
        ..session(id, id, "2026-10-26T09:00:00Z", channel, false)
    };
    let put = |user: &str, seen: Option<&str>| Event {
        session_id: seen.map(str::to_owned),
        ..with(user, EventType::ADD_TO_CART, "10:00", item("A", "1"))
    };
    let world = World {
        sessions: vec![
            visit("robot", Channel::Email, Some("names itself a crawler")),
            visit("mailed", Channel::Email, None),
            visit("searched", Channel::Organic, None),
        ],
        events: vec![
            put("robot", Some("robot")),
            put("mailed", Some("mailed")),
            put("searched", Some("searched")),
            put("unseen", None),
            put("lost", Some("a session that was never loaded")),
        ],
        ..World::default()
    };
    let scope = Scope::days("Europe/Paris", day("2026-10-26"), day("2026-10-27")).unwrap();
    for engine in engines::all().await {
        world.load_into(&engine).await;
        for (scope, expected) in [
            (scope.clone(), vec!["lost", "mailed", "searched", "unseen"]),
            (scope.clone().channels([Channel::Email]), vec!["mailed"]),
        ] {
            let found = report::abandoned_carts(&engine, &scope, CartOptions::default()).await.unwrap().rows;
            assert_eq!(found.iter().map(|cart| cart.person.as_str()).collect::<Vec<_>>(), expected);
        }
    }
}

#[tokio::test]
async fn events_after_now_are_not_shown() {
    let found = carts(vec![
        with("u1", EventType::ADD_TO_CART, "10:00", item("A", "10")),
        with("u1", EventType::PRODUCT_VIEW, "14:30", item("V", "1")),
        with("u1", EventType::ADD_TO_CART, "15:00", item("B", "5")),
    ])
    .await;
    assert_eq!(found[0].last_added_at, at("2026-10-26T10:00:00Z"));
    assert_eq!((found[0].value.unwrap().0.to_string(), found[0].products().len()), ("10.00".to_owned(), 1));
}

#[tokio::test]
async fn prices_in_several_currencies_are_not_added() {
    let dollars = |event: Event| Event { currency: Some(Currency::USD), ..event };
    let found = carts(vec![
        dollars(with("u1", EventType::ADD_TO_CART, "10:00", item("A", "10"))),
        with("u1", EventType::ADD_TO_CART, "10:30", item("B", "5")),
        dollars(with("u2", EventType::ADD_TO_CART, "10:00", item("A", "10"))),
        with("u2", EventType::ADD_TO_CART, "10:30", json!({})),
    ])
    .await;
    assert_eq!((found[0].value, found[0].currency), (None, None), "the site's euros and dollars");
    assert_eq!(found[0].products().len(), 2);
    let u2 = (found[1].value.unwrap().0.to_string(), found[1].currency);
    assert_eq!(u2, ("10.00".to_owned(), Some(Currency::USD)), "the second event lists nothing");
}

#[tokio::test]
async fn quantities_are_read_as_they_are_written_and_added() {
    let of =
        |sku: &str, quantity: Value| json!({"items": [{"sku": sku, "price": "2.10", "quantity": quantity}]});
    let found = carts(vec![
        with("u1", EventType::ADD_TO_CART, "10:00", of("A", json!("2"))),
        with("u1", EventType::ADD_TO_CART, "10:10", of("B", json!(1))),
        with("u1", EventType::ADD_TO_CART, "10:20", of("A", json!(3.0))),
        with("u2", EventType::ADD_TO_CART, "10:00", of("kilos", json!(2.5))),
        with("u3", EventType::ADD_TO_CART, "10:00", of("A", json!("a few"))),
        with("u4", EventType::ADD_TO_CART, "10:00", of("A", json!(null))),
    ])
    .await;
    let shown: Vec<_> = found
        .iter()
        .map(|cart| {
            let products: Vec<_> =
                cart.products().into_iter().map(|p| (p.sku.unwrap(), p.quantity)).collect();
            (cart.value.map(|value| value.0.to_string()), products)
        })
        .collect();
    let row = |value: Option<&str>, products: &[(&str, i64)]| {
        let products: Vec<_> = products.iter().map(|(sku, n)| ((*sku).to_owned(), *n)).collect();
        (value.map(str::to_owned), products)
    };
    // Five of A and one of B are 6 × 2.10.
    let expected = [
        row(Some("12.60"), &[("A", 5), ("B", 1)]),
        row(Some("5.25"), &[("kilos", 1)]),
        row(None, &[("A", 1)]),
        row(Some("2.10"), &[("A", 1)]),
    ];
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn properties_of_any_shape_do_no_harm() {
    let shapes =
        [json!(null), json!([1]), json!({"items": 3}), json!({"items": [null, {"sku": {}}]}), json!("x")];
    let events = shapes
        .into_iter()
        .enumerate()
        .map(|(n, shape)| with(&format!("u{n}x"), EventType::ADD_TO_CART, "10:00", shape))
        .collect();
    assert_eq!(carts(events).await.len(), 5);
}

/// What `remove_from_cart` takes out is not in the cart, and an emptied cart is nobody's.
#[tokio::test]
async fn cart_is_what_is_in_it_at_the_end() {
    let (add, remove) = (EventType::ADD_TO_CART, EventType::REMOVE_FROM_CART);
    let of = |sku: &str, quantity: u32| json!({"items": [{"sku": sku, "price": "2", "quantity": quantity}]});
    let found = carts(vec![
        // As a file without a column for products has it.
        with("u1", add.clone(), "10:00", json!({})),
        with("u1", remove.clone(), "10:01", json!({})),
        with("u2", add.clone(), "10:00", json!({})),
        // Three of A less one, B wholly.
        with("u3", add.clone(), "10:00", of("A", 3)),
        with("u3", add.clone(), "10:01", of("B", 5)),
        with("u3", remove.clone(), "10:02", of("A", 1)),
        with("u3", remove.clone(), "10:03", json!({"items": [{"sku": "B"}]})),
        // All that was put in was taken out, in two steps.
        with("u4", add.clone(), "10:00", of("A", 1)),
        with("u4", add.clone(), "10:01", of("A", 1)),
        with("u4", remove.clone(), "10:02", of("A", 2)),
        // Touched lately: not abandoned yet.
        with("u5", add, "10:00", of("A", 2)),
        with("u5", remove, "13:30", of("A", 1)),
    ])
    .await;
    let shown: Vec<_> = found.iter().map(|cart| (cart.person.as_str(), cart.value)).collect();
    assert_eq!(shown, [("u2", None), ("u3", Some(Amount("4.00".parse().unwrap())))]);
    let products: Vec<_> = found[1].products().into_iter().map(|p| (p.sku, p.quantity)).collect();
    assert_eq!(products, [(Some("A".to_owned()), 2)]);
    assert_eq!(found[1].last_added_at, at("2026-10-26T10:03:00Z"));
}
