//! Each rule of a journey, seen from outside.

use super::*;
use mkt_email::ErrorKind;
use mkt_email::journey::{Over, Scope, Window};
use std::time::Duration;

on_each_engine!(
    cart_is_recalled_after_an_hour_and_promoted_a_day_later,
    purchase_ends_the_journey_at_any_point,
    purchase_cancels_an_email_that_waits_in_the_outbox,
    changed_cart_restarts_and_emptied_cart_ends,
    same_trigger_twice_counts_once,
    contact_without_consent_leaves_without_email,
    held_out_contact_is_sent_nothing_and_compared,
    instance_keeps_its_version,
    cap_counts_emails_of_all_journeys,
    quiet_hours_hold_emails_until_the_morning_of_the_contact,
    unknown_template_stops_everything,
    email_that_cannot_be_made_is_recorded,
    late_email_is_skipped,
    several_workers_do_each_step_once,
    erased_person_is_gone_and_not_written_to_again,
    stopped_and_ended_journeys_do_nothing_more,
    pruned_triggers_are_those_of_nobody_under_way,
    whereabouts_say_who_is_where_and_why,
    emails_show_the_cart_and_escape_it,
);

async fn cart_is_recalled_after_an_hour_and_promoted_a_day_later(engine: Engine) {
    let scene = Scene::cart(engine).await;
    scene.tell(&[cart_of(&jean(), "cart-7", at("09:00"))]).await;
    scene.until(at("09:59")).await;
    assert_eq!(scene.sent(at("09:59")).await, [""; 0]);
    scene.until(at("10:00")).await;
    assert_eq!(scene.sent(at("10:00")).await, ["Jean, your cart is waiting"]);
    scene.until(instant("2026-10-27T09:59:59Z")).await;
    assert_eq!(scene.sent(instant("2026-10-27T09:59:59Z")).await, [""; 0]);
    scene.until(instant("2026-10-27T10:00:00Z")).await;
    assert_eq!(scene.sent(instant("2026-10-27T10:00:00Z")).await, ["10 % off your cart, Jean"]);
    assert_eq!(scene.end_of_cart().await, reasons(&[("completed", 1)]));
    assert_eq!(scene.journeys.next_due().await.unwrap(), None);
}

async fn purchase_ends_the_journey_at_any_point(engine: Engine) {
    for (bought, emails) in
        [("2026-10-26T09:30:00Z", 0), ("2026-10-26T10:00:00Z", 0), ("2026-10-26T18:00:00Z", 1)]
    {
        let scene = Scene::cart(engine).await;
        scene.tell(&[cart_of(&jean(), "cart-7", at("09:00"))]).await;
        scene.tell(&[trigger("purchase", &jean(), "order-1", instant(bought))]).await;
        let done = scene.until(instant("2026-10-30T00:00:00Z")).await;
        assert_eq!((done.sent, done.ended), (emails, 1), "{bought}");
        assert_eq!(scene.end_of_cart().await, reasons(&[("bought", 1)]));
    }
}

async fn purchase_cancels_an_email_that_waits_in_the_outbox(engine: Engine) {
    let scene = Scene::cart(engine).await;
    scene.tell(&[cart_of(&jean(), "cart-7", at("09:00"))]).await;
    scene.until(at("10:00")).await;
    scene.tell(&[trigger("purchase", &jean(), "", at("10:01"))]).await;
    scene.until(at("10:02")).await;
    assert_eq!(scene.sent(at("10:03")).await, [""; 0]);
    assert_eq!(scene.outbox.counts(None).await.unwrap().cancelled, 1);
}

async fn changed_cart_restarts_and_emptied_cart_ends(engine: Engine) {
    let scene = Scene::cart(engine).await;
    scene.tell(&[cart_of(&jean(), "cart-7", at("09:00")), cart_of(&jean(), "cart-7", at("09:50"))]).await;
    scene.until(at("10:49")).await;
    assert_eq!(scene.sent(at("10:49")).await.len(), 0);
    scene.until(at("10:50")).await;
    assert_eq!(scene.sent(at("10:50")).await.len(), 1);
    // Changed again before the promotion: a whole day from then on.
    scene.tell(&[cart_of(&jean(), "cart-7", at("20:00"))]).await;
    scene.until(instant("2026-10-27T19:59:00Z")).await;
    assert_eq!(scene.sent(instant("2026-10-27T19:59:00Z")).await.len(), 0);
    scene.tell(&[trigger("cart_emptied", &jean(), "cart-7", instant("2026-10-27T19:59:30Z"))]).await;
    scene.until(instant("2026-10-30T00:00:00Z")).await;
    assert_eq!(scene.sent(instant("2026-10-30T00:00:00Z")).await.len(), 0);
    assert_eq!(scene.end_of_cart().await, reasons(&[("emptied", 1)]));
}

async fn same_trigger_twice_counts_once(engine: Engine) {
    let scene = Scene::cart(engine).await;
    let cart = cart_of(&jean(), "cart-7", at("09:00"));
    assert_eq!(scene.tell(&[cart.clone(), cart.clone()]).await, [Triggered::New, Triggered::Known]);
    assert_eq!(scene.tell(std::slice::from_ref(&cart)).await, [Triggered::Known]);
    scene.until(at("12:00")).await;
    assert_eq!(scene.tell(&[cart]).await, [Triggered::Known]);
    let done = scene.until(instant("2026-10-30T00:00:00Z")).await;
    assert_eq!(done.sent, 1);
    assert_eq!(scene.outbox.counts(None).await.unwrap().recipients, 2);
}

async fn contact_without_consent_leaves_without_email(engine: Engine) {
    let scene = Scene::cart(engine).await;
    scene.tell(&[cart_of(&address("stranger@example.org"), "cart-7", at("09:00"))]).await;
    let done = scene.until(instant("2026-10-30T00:00:00Z")).await;
    assert_eq!((done.sent, done.suppressed), (0, 1));
    assert_eq!(scene.outbox.counts(None).await.unwrap().recipients, 0);
    assert_eq!(scene.end_of_cart().await, reasons(&[("suppressed", 1)]));
    let report = scene.journeys.report("cart_relaunch", at("12:00")).await.unwrap();
    assert_eq!(report.reasons["reminder"]["no consent"], 1);
}

async fn held_out_contact_is_sent_nothing_and_compared(engine: Engine) {
    let toml = Definition::cart_relaunch().unwrap().to_toml();
    let definition = Definition::from_toml(&format!("hold_out_percent = 30.0\n{toml}")).unwrap();
    let scene = Scene::with(engine, &definition).await;
    let people: Vec<EmailAddress> = (0..50).map(reader).collect();
    let held: Vec<&EmailAddress> = people.iter().filter(|person| definition.holds_out(person)).collect();
    let written: Vec<&EmailAddress> = people.iter().filter(|person| !definition.holds_out(person)).collect();
    let carts: Vec<Trigger> = people.iter().map(|person| cart_of(person, "cart", at("09:00"))).collect();
    scene.tell(&carts).await;
    // One of each group buys before any email, two of the written to and one of the held out after the first.
    scene
        .tell(&[
            trigger("purchase", held[0], "", at("09:10")),
            trigger("purchase", written[0], "", at("09:10")),
            trigger("purchase", held[1], "", at("11:00")),
            trigger("purchase", written[1], "", at("11:00")),
            trigger("purchase", written[2], "", at("11:00")),
            // Too late to count.
            trigger("purchase", written[3], "", instant("2026-11-02T09:00:01Z")),
        ])
        .await;
    let later = instant("2026-11-03T00:00:00Z");
    scene.until(later).await;
    let mut reached: Vec<EmailAddress> = Vec::new();
    let provider = Memory::new();
    scene.outbox.run(&provider, &ManualClock::skipping(later), &RunOptions::default()).await.unwrap();
    reached.extend(provider.delivered().iter().map(|email| email.message.to().address.clone()));
    assert!(held.iter().all(|person| !reached.contains(person)) && !reached.is_empty());

    let report = scene.journeys.report("cart_relaunch", later).await.unwrap();
    let (of, without) = (&report.written_to, &report.held_out);
    assert_eq!((of.instances, without.instances), (written.len() as u64, held.len() as u64));
    assert_eq!((of.reached, of.reached_before_any, of.reached_after["reminder"]), (3, 1, 2));
    assert_eq!((without.reached, without.reached_before_any, without.reached_after["reminder"]), (2, 1, 1));
    assert_eq!(report.emails["reminder"]["withheld"], held.len() as u64 - 1);
    let uplift = report.uplift.unwrap();
    let expected = 3.0 / written.len() as f64 - 2.0 / held.len() as f64;
    assert!((uplift.difference - expected).abs() < 1e-12 && uplift.low < expected && expected < uplift.high);
    // Before the time for the goal is over, there is no rate.
    let early = scene.journeys.report("cart_relaunch", at("12:00")).await.unwrap();
    assert_eq!((early.written_to.over, early.written_to.rate, early.uplift), (0, None, None));
    let named = scene.journeys.reached("cart_relaunch", &WhereaboutsOptions::default()).await.unwrap();
    assert!(named.len() == 5 && named.iter().all(|it| it.contact.is_none()));
    let options = WhereaboutsOptions::default().with_addresses();
    let named = scene.journeys.reached("cart_relaunch", &options).await.unwrap();
    let after: Vec<_> = named.iter().filter(|it| it.contact.as_deref() == Some(held[1].as_str())).collect();
    assert_eq!((after[0].held_out, after[0].after.as_deref()), (true, Some("reminder")));
}

async fn instance_keeps_its_version(engine: Engine) {
    let scene = Scene::cart(engine).await;
    scene.tell(&[cart_of(&jean(), "cart-7", at("09:00"))]).await;
    scene.until(at("09:10")).await;
    let slower = Definition::cart_relaunch().unwrap().to_toml().replace("wait = \"1h\"", "wait = \"5h\"");
    let slower = Definition::from_toml(&slower).unwrap();
    let since = at("09:00");
    assert_eq!(scene.journeys.define(&slower, since).await.unwrap(), 2);
    assert_eq!(scene.journeys.define(&slower, since).await.unwrap(), 2);
    scene.tell(&[cart_of(&reader(1), "cart-8", at("09:10"))]).await;
    scene.until(at("10:10")).await;
    assert_eq!(scene.sent(at("10:10")).await.len(), 1);
    scene.until(at("14:10")).await;
    assert_eq!(scene.sent(at("14:10")).await.len(), 1);
    assert_eq!(scene.journeys.definition("cart_relaunch").await.unwrap(), (2, slower));
    // The first content again is the first version again.
    assert_eq!(scene.journeys.define(&Definition::cart_relaunch().unwrap(), since).await.unwrap(), 1);
}

async fn cap_counts_emails_of_all_journeys(engine: Engine) {
    let hour = Duration::from_secs(3_600);
    let made = |name: &str, over| {
        Definition::builder(name, EventMatch::new("signed_up"))
            .cap(1, 24 * hour, over)
            .step(Step::send("mail", "cart_relaunch").campaign(name))
            .build()
            .unwrap()
    };
    let scene = Scene::with(engine, &made("a", Over::Wait)).await;
    for definition in [made("b", Over::Wait), made("c", Over::Skip)] {
        scene.journeys.define(&definition, instant("2026-01-01T00:00:00Z")).await.unwrap();
    }
    scene.tell(&[Trigger::new("signed_up", jean(), "", at("09:00"), json!({})).unwrap()]).await;
    scene.until(instant("2026-10-27T08:59:00Z")).await;
    assert_eq!(scene.outbox.counts(Some("a")).await.unwrap().recipients, 1);
    assert_eq!(scene.outbox.counts(None).await.unwrap().recipients, 1);
    assert_eq!(scene.ended("c").await, reasons(&[("completed", 1)]));
    let waits = scene.journeys.whereabouts("b", &WhereaboutsOptions::default()).await.unwrap();
    assert_eq!(
        (waits.instances[0].why.as_deref(), waits.instances[0].next_at),
        (Some("cap"), Some(instant("2026-10-27T09:00:00Z")))
    );
    scene.until(instant("2026-10-27T09:00:00Z")).await;
    assert_eq!(scene.outbox.counts(Some("b")).await.unwrap().recipients, 1);
}

async fn quiet_hours_hold_emails_until_the_morning_of_the_contact(engine: Engine) {
    let time = |text: &str| chrono::NaiveTime::parse_from_str(text, "%H:%M").unwrap();
    let definition = Definition::builder("night", EventMatch::new("signed_up"))
        .quiet_hours(Window::new(time("21:00"), time("08:00")))
        .zone(chrono_tz::Europe::Paris)
        .step(Step::send("mail", "cart_relaunch"))
        .build()
        .unwrap();
    let scene = Scene::with(engine, &definition).await;
    let told = |number, zone: Value| {
        Trigger::new("signed_up", reader(number), "", instant("2026-10-24T23:30:00Z"), zone).unwrap()
    };
    scene
        .tell(&[
            told(0, json!({})),
            told(1, json!({"zone": "America/New_York"})),
            told(2, json!({"zone": "Asia/Tokyo"})),
        ])
        .await;
    scene.until(instant("2026-11-01T00:00:00Z")).await;
    let mut sent = texts(
        &scene.place,
        "SELECT recipient || ' ' || CAST(enqueued_at / 60000 AS TEXT) FROM mail_outbox ORDER BY recipient",
    )
    .await;
    sent.sort();
    let minute = |text: &str| instant(text).timestamp() / 60;
    // In Paris the night of 25 October has an hour more; in New York it is 19:30, in Tokyo 08:30.
    let expected = [
        format!("reader0@example.org {}", minute("2026-10-25T07:00:00Z")),
        format!("reader1@example.org {}", minute("2026-10-24T23:30:00Z")),
        format!("reader2@example.org {}", minute("2026-10-24T23:30:00Z")),
    ];
    assert_eq!(sent, expected);
}

async fn unknown_template_stops_everything(engine: Engine) {
    let definition = Definition::builder("typo", EventMatch::new("signed_up"))
        .step(Step::send("mail", "wellcome"))
        .build()
        .unwrap();
    let scene = Scene::with(engine, &definition).await;
    scene.tell(&[trigger("signed_up", &jean(), "", at("09:00"))]).await;
    let error = scene.journeys.advance(&templates(), at("09:00")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("wellcome"), "{error}");
    assert_eq!(scene.journeys.next_due().await.unwrap(), Some(at("09:00")));
}

async fn email_that_cannot_be_made_is_recorded(engine: Engine) {
    let scene = Scene::with(engine, &Definition::welcome().unwrap()).await;
    // Without a first name, "Bienvenue  !" is never sent.
    scene.tell(&[trigger("signed_up", &jean(), "", at("09:00"))]).await;
    let done = scene.until(at("12:00")).await;
    assert_eq!((done.sent, done.failed, done.ended), (0, 1, 1));
    let report = scene.journeys.report("welcome", at("12:00")).await.unwrap();
    let (reason, count) = report.reasons["welcome"].first_key_value().unwrap();
    assert!(reason.contains("prenom, which is missing") && !reason.contains("jean"), "{reason}");
    assert_eq!(*count, 1);
}

async fn late_email_is_skipped(engine: Engine) {
    let scene = Scene::cart(engine).await;
    scene.tell(&[cart_of(&jean(), "cart-7", at("09:00"))]).await;
    // Nobody looked for two days: the reminder is a day late by then, and the promotion not.
    let late = instant("2026-10-27T10:00:01Z");
    let done = scene.journeys.advance(&templates(), late).await.unwrap();
    assert_eq!((done.sent, done.skipped), (1, 1));
    assert_eq!(scene.sent(late).await, ["10 % off your cart, Jean"]);
}

async fn several_workers_do_each_step_once(engine: Engine) {
    let scene = Scene::cart(engine).await;
    let carts: Vec<Trigger> = (0..50).map(|number| cart_of(&reader(number), "cart", at("09:00"))).collect();
    scene.tell(&carts).await;
    let workers = (0..4).map(|_| {
        let place = scene.place.clone();
        tokio::spawn(async move {
            let journeys = Journeys::open(&place.open().await).await.unwrap();
            let mut done = Advanced::default();
            for now in [at("09:30"), at("10:00"), instant("2026-10-27T10:00:00Z")] {
                done.add(&journeys.advance(&templates(), now).await.unwrap());
            }
            done.sent
        })
    });
    let mut sent = 0;
    for worker in workers {
        sent += worker.await.unwrap();
    }
    // A worker may find a contact held by another and leave it: whatever is left is done now.
    sent += scene.until(instant("2026-10-27T12:00:00Z")).await.sent;
    assert_eq!((sent, scene.outbox.counts(None).await.unwrap().recipients), (100, 100));
    assert_eq!(scene.end_of_cart().await, reasons(&[("completed", 50)]));
}

async fn erased_person_is_gone_and_not_written_to_again(engine: Engine) {
    let scene = Scene::cart(engine).await;
    let canary = address("canary.person@example.org");
    scene.outbox.record_consents(&[Consent::granted(canary.clone(), at("00:00"), "test")]).await.unwrap();
    scene
        .tell(&[cart_of(&canary, "cart-of-canary", at("09:00")), cart_of(&jean(), "cart-7", at("09:00"))])
        .await;
    scene.until(at("10:00")).await;
    scene.outbox.erase(&canary, at("10:01")).await.unwrap();
    for statement in [
        "SELECT coalesce(address, '') || contact_key FROM mail_journey_contacts",
        "SELECT payload || entity FROM mail_journey_triggers",
        "SELECT entity FROM mail_journey_instances",
        "SELECT recipient || contact || entity FROM mail_outbox",
    ] {
        let rows = texts(&scene.place, statement).await;
        let named = rows.iter().filter(|row| row.contains("canary")).count();
        assert_eq!(named, usize::from(statement.contains("mail_outbox")), "{statement}");
    }
    assert_eq!(scene.end_of_cart().await, reasons(&[("erased", 1)]));
    // The others go on.
    let done = scene.until(instant("2026-10-28T00:00:00Z")).await;
    assert_eq!((done.sent, done.ended), (1, 1));
    // Heard of again: the reminder about this cart was sent already.
    scene.tell(&[cart_of(&canary, "cart-of-canary", at("09:00"))]).await;
    scene.until(instant("2026-10-28T00:00:00Z")).await;
    assert_eq!(scene.outbox.counts(Some("panier-1")).await.unwrap().recipients, 2);
    assert_eq!(scene.end_of_cart().await, reasons(&[("completed", 1), ("erased", 1)]));
}

async fn stopped_and_ended_journeys_do_nothing_more(engine: Engine) {
    let scene = Scene::cart(engine).await;
    scene.tell(&[cart_of(&jean(), "cart-7", at("09:00"))]).await;
    scene.until(at("09:10")).await;
    scene.journeys.stop("cart_relaunch").await.unwrap();
    scene.tell(&[cart_of(&reader(1), "cart-8", at("09:20"))]).await;
    scene.until(at("10:30")).await;
    assert_eq!(scene.sent(at("10:30")).await.len(), 1);
    assert_eq!(scene.journeys.end("cart_relaunch", "withdrawn", at("10:31")).await.unwrap(), 1);
    scene.until(instant("2026-10-30T00:00:00Z")).await;
    assert_eq!(scene.sent(at("12:00")).await.len(), 0);
    assert_eq!(scene.end_of_cart().await, reasons(&[("withdrawn", 1)]));
    assert_eq!(scene.journeys.stop("cart").await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(scene.journeys.names().await.unwrap(), ["cart_relaunch"]);
}

async fn pruned_triggers_are_those_of_nobody_under_way(engine: Engine) {
    let scene = Scene::cart(engine).await;
    scene
        .tell(&[
            cart_of(&jean(), "cart-7", at("09:00")),
            trigger("product_viewed", &reader(1), "", at("09:00")),
        ])
        .await;
    scene.until(at("10:00")).await;
    assert_eq!(scene.journeys.prune(at("12:00")).await.unwrap(), 1);
    scene.until(instant("2026-10-28T00:00:00Z")).await;
    assert_eq!(scene.journeys.prune(at("12:00")).await.unwrap(), 1);
}

async fn whereabouts_say_who_is_where_and_why(engine: Engine) {
    let scene = Scene::cart(engine).await;
    scene.tell(&[cart_of(&jean(), "cart-7", at("09:00")), cart_of(&reader(1), "cart-8", at("09:40"))]).await;
    scene.until(at("10:10")).await;
    let state = scene.journeys.whereabouts("cart_relaunch", &WhereaboutsOptions::default()).await.unwrap();
    let here: Vec<(&str, u64)> = state.steps.iter().map(|step| (step.step.as_str(), step.here)).collect();
    assert_eq!(
        here,
        [("left_for_an_hour", 1), ("reminder", 0), ("not_bought_a_day_later", 1), ("promotion", 0)]
    );
    let first = &state.instances[0];
    assert_eq!(first.contact, None);
    assert_eq!(
        (first.entity.as_str(), first.step.as_str(), first.why.as_deref(), first.next_at),
        ("cart-8", "left_for_an_hour", Some("wait"), Some(at("10:40")))
    );
    let one = WhereaboutsOptions::default().limit(1).with_addresses();
    let state = scene.journeys.whereabouts("cart_relaunch", &one).await.unwrap();
    assert_eq!((state.instances[0].contact.as_deref(), state.more), (Some("reader1@example.org"), 1));
}

async fn emails_show_the_cart_and_escape_it(engine: Engine) {
    let scene = Scene::cart(engine).await;
    let seen = |name: &str, time| {
        Trigger::new("product_viewed", jean(), "", at(time), json!({"name": name, "price": 5})).unwrap()
    };
    scene
        .tell(&[
            cart_of(&jean(), "cart-7", at("09:00")),
            seen("Cup", "09:01"),
            seen("Kettle", "09:02"),
            seen("Cup", "09:03"),
            seen("Teapot <2 l>", "09:04"),
        ])
        .await;
    scene.until(at("10:00")).await;
    let provider = Memory::new();
    scene.outbox.run(&provider, &ManualClock::skipping(at("10:00")), &RunOptions::default()).await.unwrap();
    let delivered = provider.delivered();
    let html = delivered[0].message.html().unwrap();
    assert!(html.contains("1 × Teapot &lt;2 l&gt;") && html.contains("€39.90"), "{html}");
    let also = html.split_once("You also looked at").unwrap().1;
    let (cup, kettle) = (also.find("Cup").unwrap(), also.find("Kettle").unwrap());
    assert!(cup < kettle && !also.contains("Teapot") && also.matches("Cup").count() == 1, "{also}");
    assert!(html.contains("utm_campaign=panier-1"), "{html}");
    assert!(delivered[0].message.list_unsubscribe().is_some());
    let _ = Scope::Transactional;
}

/// A composer that addresses whom it likes.
#[derive(Debug)]
struct Careless;

impl Composer for Careless {
    fn knows(&self, _: &str) -> bool {
        true
    }

    fn compose(&self, email: &JourneyEmail<'_>) -> mkt_email::Result<Message> {
        assert!(!format!("{email:?}").contains("jean"));
        Ok(crate::help::message(&reader(1)))
    }
}

#[tokio::test]
async fn message_to_another_contact_is_not_enqueued() {
    let scene = Scene::cart(Engine::Sqlite).await;
    scene.tell(&[cart_of(&jean(), "cart-7", at("09:00"))]).await;
    let done = scene.journeys.advance(&Careless, at("10:00")).await.unwrap();
    assert_eq!((done.sent, done.failed), (0, 1));
}
