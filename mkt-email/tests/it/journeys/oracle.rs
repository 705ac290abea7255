//! The rules of the two shipped journeys once more, as a plain walk by minutes: it shares no code with the engine.
//!
//! Cart: left for an hour, then a reminder; nothing bought a day later, then a promotion. A purchase of the contact ends
//! it, an emptied cart ends its own, a changed cart starts the wait again, also of an email that is held back. Nothing
//! is sent from 21:00 to 08:00 of the contact's wall clock; at most `CAP` emails of both journeys in seven days. Those
//! held out go through the same and receive nothing of the cart's. Without consent the cart's journey ends at its first
//! email. After an end, the next change begins again. Welcome: once, at once, not between 21:00 and 08:00.

use super::*;
use chrono::Timelike;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

pub(super) const CAP: usize = 3;
const DAY: i64 = 24 * 60;

/// What happens to a contact in a minute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    SignedUp,
    Updated(String),
    Emptied(String),
    Bought,
}

/// A contact and what happens to it, by minute since the start.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) address: EmailAddress,
    pub(super) zone: chrono_tz::Tz,
    pub(super) consents: bool,
    pub(super) events: BTreeMap<i64, Vec<Event>>,
}

/// What must have come of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fate {
    /// Minute, campaign, cart.
    pub(super) emails: Vec<(i64, String, String)>,
    /// Reason and minute of every journey that ended, by cart.
    pub(super) ends: Vec<(String, i64, String)>,
    pub(super) still_running: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    First,
    Second,
}

#[derive(Debug, Clone)]
struct Running {
    stage: Stage,
    base: i64,
}

/// Whether a contact is held out of the cart's journey, a tenth of all.
fn is_held_out(address: &EmailAddress) -> bool {
    let key: String =
        Sha256::digest(address.as_str().to_lowercase()).iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = Sha256::digest(format!("cart_relaunch\0{key}"));
    u64::from_be_bytes(hash[..8].try_into().unwrap()) % 10_000 < 1_000
}

pub(super) fn fate(life: &Life, start: DateTime<Utc>, minutes: i64) -> Fate {
    let mut fate = Fate::default();
    let (mut carts, mut ended_at): (BTreeMap<String, Running>, BTreeMap<String, i64>) = Default::default();
    let (mut welcome_waits, mut welcomed) = (false, false);
    let mut sent: Vec<i64> = Vec::new();
    let held_out = is_held_out(&life.address);
    let mut minute = 0;
    while minute <= minutes {
        let mut here = life.events.get(&minute).cloned().unwrap_or_default();
        // Of one minute, ends come last.
        here.sort_by_key(|event| matches!(event, Event::Emptied(_) | Event::Bought));
        // The first purchase or emptying of a minute names the reason; a purchase goes first.
        here.sort_by_key(|event| match event {
            Event::SignedUp | Event::Updated(_) => 0,
            Event::Bought => 1,
            Event::Emptied(_) => 2,
        });
        for event in here {
            match event {
                Event::SignedUp if !welcomed => (welcome_waits, welcomed) = (true, true),
                Event::SignedUp => {}
                Event::Updated(cart) => match carts.get_mut(&cart) {
                    Some(running) => running.base = minute,
                    None if ended_at.get(&cart).is_none_or(|ended| minute > *ended) => {
                        carts.insert(cart, Running { stage: Stage::First, base: minute });
                    }
                    None => {}
                },
                Event::Emptied(cart) => {
                    if carts.remove(&cart).is_some() {
                        ended_at.insert(cart.clone(), minute);
                        fate.ends.push((cart, minute, "emptied".into()));
                    }
                }
                Event::Bought => {
                    for cart in std::mem::take(&mut carts).into_keys() {
                        ended_at.insert(cart.clone(), minute);
                        fate.ends.push((cart, minute, "bought".into()));
                    }
                }
            }
        }
        let now = start + chrono::Duration::minutes(minute);
        let local = now.with_timezone(&life.zone);
        let night = local.hour() >= 21 || local.hour() < 8;
        for cart in carts.keys().cloned().collect::<Vec<_>>() {
            let running = carts[&cart].clone();
            let wait = if running.stage == Stage::First { 60 } else { DAY };
            let recent = sent.iter().filter(|at| **at > minute - 7 * DAY).count();
            if minute < running.base + wait || night || recent >= CAP {
                continue;
            }
            if !life.consents {
                carts.remove(&cart);
                ended_at.insert(cart.clone(), minute);
                fate.ends.push((cart, minute, "suppressed".into()));
                continue;
            }
            let campaign = if running.stage == Stage::First { "panier-1" } else { "panier-2" };
            if !held_out {
                sent.push(minute);
                fate.emails.push((minute, campaign.into(), cart.clone()));
            }
            if running.stage == Stage::First {
                carts.insert(cart, Running { stage: Stage::Second, base: minute });
            } else {
                carts.remove(&cart);
                ended_at.insert(cart.clone(), minute);
                fate.ends.push((cart, minute, "completed".into()));
            }
        }
        if welcome_waits && !night {
            sent.push(minute);
            fate.emails.push((minute, "bienvenue".into(), String::new()));
            welcome_waits = false;
        }
        // Nothing can happen before the next event if nothing waits.
        minute = match carts.is_empty() && !welcome_waits {
            true => life.events.range(minute + 1..).next().map_or(minutes + 1, |(next, _)| *next),
            false => minute + 1,
        };
    }
    fate.still_running = carts.len();
    fate.emails.sort();
    fate.ends.sort();
    fate
}
