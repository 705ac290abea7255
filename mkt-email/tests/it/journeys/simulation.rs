//! A month of virtual time with killed processes, against the [oracle](super::oracle): every email, its minute, and every
//! end of every contact.
//!
//! The test runs its own binary again as the processes that advance the journeys, and kills them with SIGKILL at random
//! instants. `MKT_TEST_CONTACTS` (120) and `MKT_TEST_KILLS` (6) choose how many; the long proof is 10 000 contacts.
//! `MKT_TEST_SEED` (1) chooses the lives and the instants.

use super::oracle::{CAP, Event, Fate, Life, fate};
use super::*;
use chrono::Duration as Delta;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;
use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

on_each_engine!(month_with_killed_processes_keeps_every_rule_for_every_contact);

const DAY: i64 = 24 * 60;
const MINUTES: i64 = 31 * DAY;

/// The clocks of Europe and America change within the month.
fn start() -> DateTime<Utc> {
    instant("2026-10-10T00:00:00Z")
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn lives() -> Vec<Life> {
    let mut random = SplitMix64::seed_from_u64(number("MKT_TEST_SEED", 1));
    let zones = [
        chrono_tz::Europe::Paris,
        chrono_tz::America::New_York,
        chrono_tz::Asia::Kolkata,
        chrono_tz::Pacific::Auckland,
    ];
    (0..number("MKT_TEST_CONTACTS", 120))
        .map(|number| {
            let mut events: BTreeMap<i64, Vec<Event>> = BTreeMap::new();
            let mut add = |minute: i64, event: Event| {
                if (0..MINUTES - 3 * DAY).contains(&minute) {
                    events.entry(minute).or_default().push(event);
                }
            };
            if random.random_bool(0.5) {
                add(random.random_range(0..MINUTES), Event::SignedUp);
            }
            for cart in 0..random.random_range(0..4) {
                let name = format!("cart-{cart}");
                let mut minute = random.random_range(0..MINUTES);
                for _ in 0..random.random_range(1..6) {
                    add(minute, Event::Updated(name.clone()));
                    // Often right at the edge of a wait.
                    minute +=
                        [1, 30, 59, 60, 61, 600, DAY - 1, DAY, DAY + 60, 3 * DAY][random.random_range(0..10)];
                }
                match random.random_range(0..6) {
                    0 => add(minute, Event::Emptied(name)),
                    1 | 2 => add(minute, Event::Bought),
                    _ => {}
                }
            }
            Life {
                address: address(&format!("life{number}@example.org")),
                zone: zones[random.random_range(0..4)],
                consents: random.random_bool(0.9),
                events,
            }
        })
        .collect()
}

fn told(lives: &[Life]) -> Vec<Trigger> {
    let mut all = Vec::new();
    for life in lives {
        for (minute, events) in &life.events {
            for event in events {
                let (kind, entity) = match event {
                    Event::SignedUp => ("signed_up", ""),
                    Event::Updated(cart) => ("cart_updated", cart.as_str()),
                    Event::Emptied(cart) => ("cart_emptied", cart.as_str()),
                    Event::Bought => ("purchase", "an order"),
                };
                let payload = json!({
                    "first_name": "A", "zone": life.zone.name(), "items": [{"name": "x", "quantity": 1, "price": "1"}],
                });
                let at = start() + Delta::minutes(*minute);
                all.push(Trigger::new(kind, life.address.clone(), entity, at, payload).unwrap());
            }
        }
    }
    all
}

fn definitions() -> [Definition; 2] {
    let cart = Definition::cart_relaunch().unwrap().to_toml();
    let rules = format!(
        "hold_out_percent = 10.0\n{cart}\n[quiet_hours]\nfrom = \"21:00\"\nuntil = \"08:00\"\n[cap]\nemails = {CAP}\nper = \"7d\"\n"
    );
    [Definition::from_toml(&rules).unwrap(), Definition::welcome().unwrap()]
}

#[tokio::test]
#[ignore = "run by the simulation, as a process of its own"]
async fn the_process_to_be_killed() {
    let lives = lives();
    let outbox = Outbox::connect(&std::env::var("MKT_JOURNEY_URL").unwrap()).await.unwrap();
    let journeys = Journeys::open(&outbox).await.unwrap();
    for definition in definitions() {
        journeys.define(&definition, start()).await.unwrap();
    }
    // Told again by every process, in another order each time, each trigger twice.
    let mut triggers = told(&lives);
    triggers.extend(triggers.clone());
    triggers.shuffle(&mut SplitMix64::seed_from_u64(u64::from(std::process::id())));
    let end = start() + Delta::minutes(MINUTES);
    if std::env::var_os("MKT_JOURNEY_TOLD").is_none() {
        for some in triggers.chunks(1_000) {
            journeys.trigger(some, start()).await.unwrap();
        }
    }
    let now = journeys.next_due().await.unwrap().unwrap_or(end).min(end);
    journeys.run(&templates(), &ManualClock::skipping(now), end, &Stop::new()).await.unwrap();
}

fn process(place: &Place, told: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["journeys::simulation::the_process_to_be_killed", "--exact", "--ignored", "--nocapture"])
        .env("MKT_JOURNEY_URL", &place.url)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if told {
        command.env("MKT_JOURNEY_TOLD", "1");
    }
    command.spawn().unwrap()
}

#[expect(clippy::print_stdout, reason = "figures for the record")]
async fn month_with_killed_processes_keeps_every_rule_for_every_contact(engine: Engine) {
    let (lives, place) = (lives(), engine.place().await);
    let outbox = place.open().await;
    let consents: Vec<Consent> = lives
        .iter()
        .filter(|life| life.consents)
        .map(|life| Consent::granted(life.address.clone(), instant("2026-01-01T00:00:00Z"), "test"))
        .collect();
    outbox.record_consents(&consents).await.unwrap();
    outbox.close().await;
    let mut random = SplitMix64::seed_from_u64(number("MKT_TEST_SEED", 1));
    let (kills, mut alive, begun) = (number("MKT_TEST_KILLS", 6), 0, Instant::now());
    // Half of the kills may hit the telling, the others hit the month: the first process that is told of everything
    // leaves less to kill.
    for kill in 0..kills {
        let mut child = process(&place, false);
        let patience = 100 + number("MKT_TEST_CONTACTS", 120) * 2 * (kill + 1);
        tokio::time::sleep(Duration::from_millis(random.random_range(50..patience))).await;
        alive += u64::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // All are told of everything at least once before the end; two go on side by side then.
    let mut last = [process(&place, false), process(&place, false)];
    for child in &mut last {
        assert!(child.wait().unwrap().success());
    }
    assert!(process(&place, true).wait().unwrap().success());

    let mut fates: BTreeMap<String, Fate> = BTreeMap::new();
    let of = |fates: &mut BTreeMap<String, Fate>, row: &str, add: &dyn Fn(&mut Fate, &[&str])| {
        let parts: Vec<&str> = row.split('|').collect();
        add(fates.entry(parts[0].to_owned()).or_default(), &parts[1..]);
    };
    let minute = |millis: &str| (millis.parse::<i64>().unwrap() - start().timestamp_millis()) / 60_000;
    for row in texts(
        &place,
        "SELECT recipient || '|' || CAST(enqueued_at AS TEXT) || '|' || campaign || '|' || entity FROM mail_outbox",
    )
    .await
    {
        of(&mut fates, &row, &|fate, parts| {
            // The entity of the email is journey/step/cart#run.
            let cart = parts[2].rsplit_once('/').unwrap().1.rsplit_once('#').unwrap().0;
            fate.emails.push((minute(parts[0]), parts[1].to_owned(), cart.to_owned()));
        });
    }
    for row in texts(
        &place,
        "SELECT c.address || '|' || i.entity || '|' || coalesce(CAST(i.ended_at AS TEXT), '') || '|' || coalesce(i.reason, '')
           FROM mail_journey_instances AS i JOIN mail_journey_contacts AS c ON c.contact_key = i.contact_key
          WHERE i.journey = 'cart_relaunch'",
    )
    .await
    {
        of(&mut fates, &row, &|fate, parts| match parts[1] {
            "" => fate.still_running += 1,
            ended => fate.ends.push((parts[0].to_owned(), minute(ended), parts[2].to_owned())),
        });
    }
    let (mut emails, mut ends) = (0, 0);
    for life in &lives {
        let expected = fate(life, start(), MINUTES);
        let mut got = fates.remove(life.address.as_str()).unwrap_or_default();
        got.emails.sort();
        got.ends.sort();
        emails += got.emails.len();
        ends += got.ends.len();
        assert_eq!(got, expected, "{life:?}");
    }
    assert!(fates.is_empty(), "{fates:?}");
    assert!(alive > 0 && emails > lives.len() / 4, "{alive} killed alive, {emails} emails");
    println!(
        "{engine:?}: {} contacts, {alive} of {kills} killed alive, {emails} emails, {ends} ends, {:.0} s",
        lives.len(),
        begun.elapsed().as_secs_f64()
    );
}
