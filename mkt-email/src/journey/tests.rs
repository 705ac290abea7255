//! Definitions and decisions, without a database.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use super::decide::{Decision, Facts, Happened, Position, Run, Why, decide, entry, payload};
use super::*;
use chrono::{DateTime, NaiveTime, Utc};
use serde_json::json;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A time of 26 October 2026.
fn at(time: &str) -> DateTime<Utc> {
    instant(&format!("2026-10-26T{time}:00Z"))
}

fn time(text: &str) -> NaiveTime {
    NaiveTime::parse_from_str(text, "%H:%M").unwrap()
}

fn happened(kind: &str, entity: &str, at: DateTime<Utc>, payload: serde_json::Value) -> Happened {
    let serde_json::Value::Object(payload) = payload else { panic!("an object") };
    Happened { kind: kind.into(), entity: entity.into(), at, payload }
}

fn position(step: usize, since: DateTime<Utc>) -> Position {
    Position { entity: "cart-7".into(), entered_at: at("09:00"), step, since, waited: None }
}

fn decided(
    definition: &Definition,
    position: &Position,
    past: &[Happened],
    sent: &[DateTime<Utc>],
    now: DateTime<Utc>,
) -> Decision {
    decide(definition, position, &Facts { past, zone: None, sent }, now)
}

fn stay(until: DateTime<Utc>, why: Why) -> Decision {
    Decision::Stay { until, why }
}

fn sending(builder: impl FnOnce(DefinitionBuilder) -> DefinitionBuilder) -> Definition {
    builder(Definition::builder("test", EventMatch::new("cart_updated")))
        .step(Step::send("mail", "cart_relaunch"))
        .build()
        .unwrap()
}

#[test]
fn shipped_definitions_are_valid() {
    let cart = Definition::cart_relaunch().unwrap();
    assert_eq!(cart.templates().collect::<Vec<_>>(), ["cart_relaunch", "cart_promotion"]);
    assert_eq!(Definition::welcome().unwrap().templates().collect::<Vec<_>>(), ["welcome"]);
}

#[test]
fn changed_cart_restarts_the_wait() {
    let cart = Definition::cart_relaunch().unwrap();
    let changed = [happened("cart_updated", "cart-7", at("09:40"), json!({}))];
    assert_eq!(
        decided(&cart, &position(0, at("09:00")), &[], &[], at("09:50")),
        stay(at("10:00"), Why::Wait)
    );
    assert_eq!(
        decided(&cart, &position(0, at("09:00")), &changed, &[], at("10:10")),
        stay(at("10:40"), Why::Wait)
    );
    let other = [happened("cart_updated", "cart-8", at("09:40"), json!({}))];
    assert_eq!(
        decided(&cart, &position(0, at("09:00")), &other, &[], at("10:10")),
        Decision::Move { to: Some(1), at: at("10:00") }
    );
}

#[test]
fn known_purchase_ends_the_journey_before_a_late_email() {
    let cart = Definition::cart_relaunch().unwrap();
    let bought = [happened("purchase", "order-1", at("10:30"), json!({}))];
    let end = Decision::End { reason: "bought".into(), at: at("10:30") };
    assert_eq!(decided(&cart, &position(1, at("10:00")), &bought, &[], at("11:00")), end);
    assert_eq!(decided(&cart, &position(1, at("10:00")), &bought, &[], at("10:20")), Decision::Send);
}

#[test]
fn purchase_in_the_second_of_the_entry_ends_the_journey() {
    let cart = Definition::cart_relaunch().unwrap();
    let bought = [happened("purchase", "", at("09:00"), json!({}))];
    let end = Decision::End { reason: "bought".into(), at: at("09:00") };
    assert_eq!(decided(&cart, &position(0, at("09:00")), &bought, &[], at("09:00")), end);
}

#[test]
fn emptied_cart_ends_only_its_own_journey() {
    let cart = Definition::cart_relaunch().unwrap();
    let other = [happened("cart_emptied", "cart-8", at("09:10"), json!({}))];
    assert!(matches!(
        decided(&cart, &position(0, at("09:00")), &other, &[], at("09:20")),
        Decision::Stay { .. }
    ));
    let own = [happened("cart_emptied", "cart-7", at("09:10"), json!({}))];
    assert!(matches!(
        decided(&cart, &position(0, at("09:00")), &own, &[], at("09:20")),
        Decision::End { .. }
    ));
}

#[test]
fn cart_changed_in_quiet_hours_restarts_the_wait_before_the_email() {
    let quiet = Definition::builder("test", EventMatch::new("cart_updated"))
        .quiet_hours(Window::new(time("21:00"), time("08:00")))
        .step(Step::wait("left", HOUR).restart_on(EventMatch::new("cart_updated")))
        .step(Step::send("mail", "cart_relaunch"))
        .build()
        .unwrap();
    let held = Position { waited: Some(0), ..position(1, at("21:30")) };
    let morning = instant("2026-10-27T08:00:00Z");
    assert_eq!(decided(&quiet, &held, &[], &[], at("22:00")), stay(morning, Why::QuietHours));
    let changed = [happened("cart_updated", "cart-7", instant("2026-10-27T07:58:00Z"), json!({}))];
    assert_eq!(
        decided(&quiet, &held, &changed, &[], morning),
        Decision::Move { to: Some(0), at: instant("2026-10-27T07:58:00Z") }
    );
    // One that was already waited for does not.
    let earlier = [happened("cart_updated", "cart-7", at("20:30"), json!({}))];
    assert_eq!(decided(&quiet, &held, &earlier, &[], morning), Decision::Send);
}

#[test]
fn email_waits_for_room_under_the_cap() {
    let capped = sending(|it| it.cap(2, 24 * HOUR, Over::Wait));
    let sent = [at("01:00"), at("03:00")];
    let full = decided(&capped, &position(0, at("10:00")), &[], &sent, at("10:00"));
    assert_eq!(full, stay(instant("2026-10-27T01:00:00Z"), Why::Cap));
    let later = instant("2026-10-27T01:00:00Z");
    assert_eq!(decided(&capped, &position(0, at("10:00")), &[], &sent, later), Decision::Send);
    let skipping = sending(|it| it.cap(2, 24 * HOUR, Over::Skip));
    assert!(matches!(
        decided(&skipping, &position(0, at("10:00")), &[], &sent, at("10:00")),
        Decision::Skip { .. }
    ));
}

#[test]
fn email_is_late_by_what_nothing_held_back() {
    let definition =
        sending(|it| it.late_after(Some(2 * HOUR)).quiet_hours(Window::new(time("21:00"), time("08:00"))));
    // Planned at 22:00, allowed from 08:00 on.
    let planned = position(0, at("22:00"));
    let next_day = |time: &str| instant(&format!("2026-10-27T{time}:00Z"));
    assert_eq!(decided(&definition, &planned, &[], &[], next_day("10:00")), Decision::Send);
    assert!(matches!(decided(&definition, &planned, &[], &[], next_day("10:01")), Decision::Skip { .. }));
}

#[test]
fn quiet_hours_are_those_of_the_contacts_zone() {
    let definition = sending(|it| it.quiet_hours(Window::new(time("21:00"), time("08:00"))));
    let facts = Facts { past: &[], zone: Some(chrono_tz::Asia::Tokyo), sent: &[] };
    // 13:00 in UTC is 22:00 in Tokyo; 08:00 there is 23:00 here.
    assert_eq!(
        decide(&definition, &position(0, at("13:00")), &facts, at("13:00")),
        stay(at("23:00"), Why::QuietHours)
    );
}

#[test]
fn wait_for_ends_with_the_trigger_or_the_timeout() {
    let definition = Definition::builder("test", EventMatch::new("cart_updated"))
        .step(
            Step::wait_for("opened", EventMatch::new("opened").of_contact(), HOUR)
                .then("yes")
                .otherwise("no"),
        )
        .step(Step::exit("no", "silent"))
        .step(Step::exit("yes", "interested"))
        .build()
        .unwrap();
    let start = position(0, at("09:00"));
    let opened = |time| [happened("opened", "", at(time), json!({}))];
    assert_eq!(decided(&definition, &start, &[], &[], at("09:30")), stay(at("10:00"), Why::WaitFor));
    let yes = Decision::Move { to: Some(2), at: at("09:20") };
    assert_eq!(decided(&definition, &start, &opened("09:20"), &[], at("09:30")), yes);
    assert_eq!(decided(&definition, &start, &opened("09:20"), &[], at("11:00")), yes);
    let no = Decision::Move { to: Some(1), at: at("10:00") };
    assert_eq!(decided(&definition, &start, &opened("10:01"), &[], at("11:00")), no);
    // One of before does not count.
    assert_eq!(decided(&definition, &start, &opened("08:59"), &[], at("11:00")), no);
}

#[test]
fn branch_takes_the_first_arm_that_holds() {
    let definition = Definition::builder("test", EventMatch::new("cart_updated"))
        .step(
            Step::branch("value")
                .when(Condition::field("total", Test::AtLeast(100.0)), "large")
                .when(
                    Condition::Happened { kind: "purchase".into(), of: Of::Contact, within: Some(24 * HOUR) },
                    "buyer",
                )
                .then("small"),
        )
        .step(Step::exit("large", "large"))
        .step(Step::exit("buyer", "buyer"))
        .step(Step::exit("small", "small"))
        .build()
        .unwrap();
    let with = |total: serde_json::Value, bought: &str| {
        let past = [
            happened("purchase", "order-1", instant(bought), json!({})),
            happened("cart_updated", "cart-7", at("09:00"), json!({ "total": total })),
        ];
        match decided(&definition, &position(0, at("09:00")), &past, &[], at("09:00")) {
            Decision::Move { to: Some(to), .. } => definition.steps()[to].name().to_owned(),
            other => panic!("{other:?}"),
        }
    };
    let (long_ago, yesterday) = ("2026-10-01T00:00:00Z", "2026-10-25T10:00:00Z");
    assert_eq!(with(json!(100), long_ago), "large");
    assert_eq!(with(json!("100"), long_ago), "small");
    assert_eq!(with(json!(99.99), yesterday), "buyer");
    assert_eq!(with(json!(null), long_ago), "small");
}

#[test]
fn later_payload_is_laid_over_the_earlier_one() {
    let cart = Definition::cart_relaunch().unwrap();
    let past = [
        happened("cart_updated", "cart-7", at("08:00"), json!({"items": [0]})),
        happened("cart_updated", "cart-7", at("09:00"), json!({"first_name": "Jean", "items": [1]})),
        happened("cart_updated", "cart-8", at("09:10"), json!({"items": [2]})),
        happened("cart_updated", "cart-7", at("09:20"), json!({"items": [3]})),
    ];
    let merged = payload(&cart, &position(0, at("09:00")), &past, at("09:30"));
    assert_eq!(serde_json::Value::Object(merged), json!({"first_name": "Jean", "items": [3]}));
}

#[test]
fn re_entry_follows_its_policy() {
    let past = [
        happened("cart_updated", "cart-7", at("09:00"), json!({})),
        happened("cart_updated", "cart-7", at("12:00"), json!({})),
    ];
    let ended = [Run { entity: "cart-7".into(), number: 1, ended_at: Some(at("10:00")) }];
    let running = [Run { entity: "cart-7".into(), number: 1, ended_at: None }];
    let with = |policy, runs: &[Run]| {
        let definition = sending(|it| it.re_entry(policy));
        entry(&definition, at("08:00"), runs, &past, at("13:00")).map(|(_, at, number)| (at, number))
    };
    assert_eq!(with(ReEntry::Never, &[]), Some((at("09:00"), 1)));
    assert_eq!(with(ReEntry::Never, &ended), None);
    assert_eq!(with(ReEntry::AfterExit, &running), None);
    assert_eq!(with(ReEntry::AfterExit, &ended), Some((at("12:00"), 2)));
    assert_eq!(with(ReEntry::Cooldown(2 * HOUR), &ended), Some((at("12:00"), 2)));
    assert_eq!(with(ReEntry::Cooldown(3 * HOUR), &ended), None);
}

#[test]
fn trigger_before_the_definition_begins_nothing() {
    let past = [happened("cart_updated", "cart-7", at("09:00"), json!({}))];
    let definition = sending(|it| it);
    assert_eq!(entry(&definition, at("09:01"), &[], &past, at("10:00")), None);
    assert!(entry(&definition, at("09:00"), &[], &past, at("10:00")).is_some());
}

#[test]
fn window_is_waited_for_in_local_time() {
    let definition = Definition::builder("test", EventMatch::new("cart_updated"))
        .zone(chrono_tz::Europe::Paris)
        .step(Step::wait_until("morning", Window::new(time("09:00"), time("11:00"))))
        .step(Step::send("mail", "welcome"))
        .build()
        .unwrap();
    // Winter time began on the day before: 09:00 in Paris is 08:00 in UTC.
    let evening = position(0, at("20:00"));
    assert_eq!(
        decided(&definition, &evening, &[], &[], at("20:00")),
        stay(instant("2026-10-27T08:00:00Z"), Why::Window)
    );
    let open = position(0, at("08:30"));
    assert_eq!(
        decided(&definition, &open, &[], &[], at("08:30")),
        Decision::Move { to: Some(1), at: at("08:30") }
    );
}

#[test]
fn definition_is_the_same_after_toml_and_json() {
    let everything = Definition::builder(
        "all",
        EventMatch::new("cart_updated").only_if(Condition::field("a.b", Test::Exists)),
    )
    .zone(chrono_tz::Europe::Paris)
    .hold_out_percent(12.5)
    .re_entry(ReEntry::Cooldown(72 * HOUR))
    .late_after(None)
    .exit(EventMatch::new("purchase").of_contact(), "bought")
    .exit(EventMatch::new("emptied"), "emptied")
    .goal(EventMatch::new("purchase").of_contact(), 168 * HOUR)
    .quiet_hours(Window::new(time("21:00"), time("08:00")))
    .cap(3, 168 * HOUR, Over::Skip)
    .step(Step::wait("wait", HOUR).restart_on(EventMatch::new("cart_updated")))
    .step(Step::wait_for("for", EventMatch::new("opened"), HOUR).then("until").otherwise("branch"))
    .step(Step::wait_until("until", Window::new(time("09:00"), time("11:00")).on([chrono::Weekday::Mon])))
    .step(
        Step::branch("branch")
            .when(
                Condition::All(vec![
                    Condition::field("n", Test::OneOf(vec![1.into(), 2.5.into(), "x".into(), true.into()])),
                    Condition::Not(Box::new(Condition::happened("purchase"))),
                    Condition::Any(vec![Condition::field("m", Test::LessThan(3.0))]),
                ]),
                "end",
            )
            .then("mail"),
    )
    .step(
        Step::send("mail", "cart_relaunch").campaign("c").scope(Scope::Marketing { list: Some("l".into()) }),
    )
    .step(Step::send("receipt", "welcome").scope(Scope::Transactional).then("end"))
    .step(Step::exit("end", "done"))
    .build()
    .unwrap();
    for definition in [everything, Definition::welcome().unwrap(), Definition::cart_relaunch().unwrap()] {
        let toml = Definition::from_toml(&definition.to_toml())
            .unwrap_or_else(|error| panic!("{error}\n{}", definition.to_toml()));
        assert_eq!(toml, definition);
        let json: Definition = serde_json::from_str(&definition.json()).unwrap();
        assert_eq!((json.hash(), &json), (definition.hash(), &definition));
    }
}

#[test]
fn changed_definition_has_another_hash() {
    let wait = |hours| {
        Definition::builder("a", EventMatch::new("b"))
            .step(Step::wait("w", hours * HOUR))
            .build()
            .unwrap()
            .hash()
    };
    assert_eq!(wait(1), wait(1));
    assert_ne!(wait(1), wait(2));
}

/// A definition with these lines after a valid beginning of three lines.
fn refused(lines: &str) -> String {
    Definition::from_toml(&format!("name = \"a\"\n[entry]\non = \"b\"\n{lines}")).unwrap_err().to_string()
}

#[test]
fn bad_definition_is_refused_with_its_place() {
    let step = "[[step]]\nname = \"s\"\nwait = \"1h\"\n";
    let cases = [
        ("", "invalid journey: 0 steps: expected 1 to 100"),
        (
            "[[step]]\nname = \"s\"",
            "invalid journey, step \"s\" (line 4): 0 actions: expected one of wait, wait_for, wait_until, branch, send, exit",
        ),
        (
            "[[step]]\nname = \"s\"\nwait = \"1h\"\nsend = \"x\"",
            "invalid journey, step \"s\" (line 4): 2 actions: expected one of wait, wait_for, wait_until, branch, send, exit",
        ),
        (
            "[[step]]\nname = \"s\"\nwait = \"soon\"",
            "invalid journey, step \"s\" (line 4): invalid duration \"soon\": expected one such as \"90s\", \"1h30m\" or \"7d\"",
        ),
        ("[[step]]\nwait = \"1h\"", "invalid journey, step 1 (line 4): name is missing"),
        (
            "[[step]]\nname = \"S s\"\nwait = \"1h\"",
            "invalid journey, step 1 (line 4): invalid name \"S s\": expected 1 to 60 of a-z, 0-9, `_` and `-`",
        ),
        ("[[step]]\nname = \"s\"\nwaits = \"1h\"", "line 6: unknown field `waits`"),
        ("[[step]]\nname = \"s\"\nwait = 1", "line 6: invalid type"),
        (
            "[[step]]\nname = \"s\"\nwait = \"1h\"\nthen = \"t\"",
            "invalid journey, step \"s\" (line 4): there is no step \"t\"",
        ),
        (
            "[[step]]\nname = \"s\"\nwait = \"1h\"\nthen = \"s\"",
            "step \"s\" is not a later one: a journey cannot go back",
        ),
        (
            "[[step]]\nname = \"s\"\nexit = \"x\"\n[[step]]\nname = \"t\"\nwait = \"1h\"",
            "invalid journey, step \"t\" (line 7): no other step leads here",
        ),
        (
            "[[step]]\nname = \"s\"\nwait = \"1h\"\n[[step]]\nname = \"s\"\nwait = \"1h\"",
            "step \"s\" (line 7): another step has this name",
        ),
        ("[[step]]\nname = \"s\"\nwait_for = { on = \"x\" }", "step \"s\" (line 4): timeout is missing"),
        ("[[step]]\nname = \"s\"\nwait = \"1h\"\ntimeout = \"1h\"", "timeout belongs to wait_for"),
        (
            "[[step]]\nname = \"s\"\nwait_until = { from = \"9:00\", until = \"10:00\" }",
            "invalid time \"9:00\": expected HH:MM",
        ),
        (
            "[[step]]\nname = \"s\"\nwait_until = { from = \"09:00\", until = \"09:00\" }",
            "from and until are both 09:00",
        ),
        (
            "[[step]]\nname = \"s\"\nwait_until = { from = \"09:00\", until = \"10:00\", days = [\"lundi\"] }",
            "invalid day \"lundi\": expected mon, tue",
        ),
        (
            "[[step]]\nname = \"s\"\nsend = \"x\"\npurpose = \"news\"",
            "invalid purpose \"news\": expected marketing or transactional",
        ),
        (
            "[[step]]\nname = \"s\"\nbranch = [{ when = { field = \"x\" }, then = \"s\" }]",
            "field \"x\" with 0 tests: expected one of exists, equals, one_of, at_least, less_than",
        ),
        (
            "[[step]]\nname = \"s\"\nbranch = [{ when = { equals = 1 }, then = \"s\" }]",
            "a test without a field",
        ),
        (&format!("{step}[[exit]]\non = \"b b\""), "invalid journey, exit (line 7): invalid trigger \"b b\""),
        (&format!("{step}[goal]\non = \"b\""), "invalid journey, goal: within is missing"),
        (
            &format!("{step}[cap]\nemails = 0\nper = \"1d\""),
            "invalid journey, cap: emails is 0: expected 1 or more",
        ),
        (&format!("{step}[quiet_hours]\nfrom = \"21:00\""), "invalid journey, quiet_hours: until is missing"),
        ("\n=", "line 5"),
    ];
    for (lines, expected) in cases {
        let error = refused(lines);
        assert!(error.contains(expected), "{lines}\n{error}\nexpected {expected}");
    }
    let whole = |line: &str| {
        Definition::from_toml(&format!("name = \"a\"\n{line}\n[entry]\non = \"b\"\n{step}"))
            .unwrap_err()
            .to_string()
    };
    assert!(
        whole("zone = \"Paris\"").contains("invalid zone \"Paris\": expected a name of the IANA database")
    );
    assert!(
        whole("hold_out_percent = 100.0")
            .contains("hold_out_percent is 100: expected a number from 0 to less than 100")
    );
    assert!(whole("hold_out_percent = 10.0").contains("hold_out_percent without a goal"));
    assert!(
        whole("re_entry = \"sometimes\"")
            .contains("invalid re_entry \"sometimes\": expected never, after_exit or a duration")
    );
    assert!(Definition::from_toml("").unwrap_err().to_string().contains("entry is missing"));
}

#[test]
fn hold_out_is_stable_and_about_its_share() {
    let of = |percent| {
        Definition::builder("test", EventMatch::new("b"))
            .goal(EventMatch::new("purchase"), HOUR)
            .hold_out_percent(percent)
            .step(Step::send("mail", "welcome"))
            .build()
            .unwrap()
    };
    let (ten, twenty) = (of(10.0), of(20.0));
    let people: Vec<crate::EmailAddress> =
        (0..10_000).map(|number| format!("reader{number}@example.org").parse().unwrap()).collect();
    let held = people.iter().filter(|person| ten.holds_out(person)).count();
    // The standard deviation of a binomial of 10 000 and a tenth is 30.
    assert!((880..=1_120).contains(&held), "{held}");
    assert!(people.iter().filter(|person| ten.holds_out(person)).all(|person| twenty.holds_out(person)));
}

#[test]
fn bad_trigger_is_refused_without_naming_anybody() {
    let jean: crate::EmailAddress = "jean@example.org".parse().unwrap();
    let made =
        |kind: &str, entity: &str, payload| Trigger::new(kind, jean.clone(), entity, at("09:00"), payload);
    for (result, expected) in [
        (made("", "", json!({})), "invalid kind"),
        (made("a b", "", json!({})), "invalid kind"),
        (made("a", "x\ny", json!({})), "invalid entity"),
        (made("a", "", json!([1])), "expected an object"),
        (made("a", "", json!({"zone": "Mars"})), "invalid zone \"Mars\""),
        (made("a", "", json!({"x": "y".repeat(70_000)})), "expected at most 65536"),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("jean"), "{error}");
    }
    let trigger = made("a", "secret-cart", json!({"first_name": "Jean"})).unwrap();
    let shown = format!("{trigger:?}");
    assert!(!shown.contains("jean") && !shown.contains("Jean") && !shown.contains("secret"), "{shown}");
}

#[test]
fn bad_line_of_triggers_is_refused_without_repeating_it() {
    for (line, expected) in [
        ("", "invalid JSON at column 0"),
        ("{\"kind\": \"a\"", "invalid JSON at column"),
        ("[1]", "expected an object"),
        (r#"{"kind":"a","at":"2026-10-26T09:00:00Z"}"#, "contact is missing"),
        (r#"{"kind":"a","contact":"jean at example.org","at":"2026-10-26T09:00:00Z"}"#, "contact: "),
        (r#"{"kind":"a","contact":"jean@example.org","at":"yesterday"}"#, "invalid at"),
        (r#"{"kind":"a","contact":["jean@example.org"],"at":"2026-10-26T09:00:00Z"}"#, "contact is no text"),
        (
            r#"{"kind":"a","contact":"jean@example.org","at":"2026-10-26T09:00:00Z","when":1}"#,
            "unknown key \"when\"",
        ),
    ] {
        let error = Trigger::from_json(line).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("jean"), "{line}: {error}");
    }
}

#[test]
fn trigger_is_the_same_whatever_the_order_of_its_keys() {
    let read = |text: &str| serde_json::from_str::<Trigger>(text).unwrap().id();
    let one = read(
        r#"{"kind":"a","contact":"Jean@example.org","at":"2026-10-26T09:00:00Z","payload":{"x":1,"y":{"a":1,"b":2}}}"#,
    );
    let two = read(
        r#"{"payload":{"y":{"b":2,"a":1},"x":1},"at":"2026-10-26T10:00:00+01:00","contact":"jean@example.org","kind":"a"}"#,
    );
    assert_eq!(one, two);
    let other = read(
        r#"{"kind":"a","contact":"jean@example.org","at":"2026-10-26T09:00:00Z","payload":{"x":2,"y":{"a":1,"b":2}}}"#,
    );
    assert_ne!(one, other);
}

#[cfg(feature = "chart")]
#[test]
fn drawing_names_steps_conditions_and_ends() {
    let svg = Definition::cart_relaunch().unwrap().diagram(None).svg();
    for text in [
        "left_for_an_hour",
        "waits 1h",
        "again with cart_updated",
        "campaign panier-2",
        "ended by purchase of the contact",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    let hostile = Definition::builder("a", EventMatch::new("b"))
        .step(Step::branch("c").when(Condition::field("x", Test::Equals("<script>".into())), "d").then("d"))
        .step(Step::exit("d", "</svg>"))
        .build()
        .unwrap();
    let svg = hostile.diagram(None).svg();
    assert!(!svg.contains("<script") && svg.matches("</svg>").count() == 1, "{svg}");
}
