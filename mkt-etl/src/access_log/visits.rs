//! Puts page views and downloads into the order of time and into visits, hour by hour.

use super::agents::Device;
use super::becomes::Becomes;
use super::spill::{Decoder, Spill, put_text};
use crate::channel::{Origin, host_and_path};
use crate::sessions::{Hit, Rules, Visit};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read};

/// A page view or download, as it waits for its hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) at: i64,
    /// File and line: what comes first of two requests of one instant.
    pub(super) place: i64,
    pub(super) line: u128,
    pub(super) visitor: u128,
    pub(super) becomes: Becomes,
    pub(super) device: Device,
    pub(super) url: String,
    pub(super) referrer: Option<String>,
}

fn index_of<T: PartialEq + Copy>(all: &[T], one: T) -> u8 {
    all.iter().position(|held| *held == one).and_then(|at| u8::try_from(at).ok()).unwrap_or_default()
}

fn of_index<T: Copy>(all: &[T], index: u8) -> io::Result<T> {
    all.get(usize::from(index)).copied().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

impl Waiting {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.at.to_le_bytes());
        out.extend_from_slice(&self.place.to_le_bytes());
        out.extend_from_slice(&self.line.to_le_bytes());
        out.extend_from_slice(&self.visitor.to_le_bytes());
        out.push(index_of(&Becomes::ALL, self.becomes));
        out.push(index_of(&Device::ALL, self.device));
        put_text(out, self.url.as_bytes());
        put_text(out, self.referrer.as_deref().unwrap_or_default().as_bytes());
    }

    fn take<R: Read>(from: &mut Decoder<R>) -> io::Result<Option<Self>> {
        let Some(at) = from.first()? else { return Ok(None) };
        Ok(Some(Self {
            at,
            place: from.int()?,
            line: from.long()?,
            visitor: from.long()?,
            becomes: of_index(&Becomes::ALL, from.byte()?)?,
            device: of_index(&Device::ALL, from.byte()?)?,
            url: from.text()?,
            referrer: from.optional()?,
        }))
    }
}

/// An event of a day, with what its visit tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Viewed {
    pub(super) at: i64,
    pub(super) line: u128,
    /// When and on which day its visit began, and the visitor.
    pub(super) begun: i64,
    pub(super) begun_day: i64,
    pub(super) visitor: u128,
    pub(super) becomes: Becomes,
    pub(super) url: String,
    pub(super) referrer: Option<String>,
    pub(super) channel: u8,
    pub(super) detail: String,
    pub(super) campaign: Option<String>,
}

impl Viewed {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.at.to_le_bytes());
        out.extend_from_slice(&self.line.to_le_bytes());
        out.extend_from_slice(&self.begun.to_le_bytes());
        out.extend_from_slice(&self.begun_day.to_le_bytes());
        out.extend_from_slice(&self.visitor.to_le_bytes());
        out.push(index_of(&Becomes::ALL, self.becomes));
        put_text(out, self.url.as_bytes());
        put_text(out, self.referrer.as_deref().unwrap_or_default().as_bytes());
        out.push(self.channel);
        put_text(out, self.detail.as_bytes());
        put_text(out, self.campaign.as_deref().unwrap_or_default().as_bytes());
    }

    pub(super) fn take<R: Read>(from: &mut Decoder<R>) -> io::Result<Option<Self>> {
        let Some(at) = from.first()? else { return Ok(None) };
        Ok(Some(Self {
            at,
            line: from.long()?,
            begun: from.int()?,
            begun_day: from.int()?,
            visitor: from.long()?,
            becomes: of_index(&Becomes::ALL, from.byte()?)?,
            url: from.text()?,
            referrer: from.optional()?,
            channel: from.byte()?,
            detail: from.text()?,
            campaign: from.optional()?,
        }))
    }
}

/// A visit that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) begun: i64,
    pub(super) begun_day: i64,
    pub(super) last: i64,
    pub(super) visitor: u128,
    pub(super) pages: i64,
    pub(super) device: Device,
    pub(super) landing: String,
    pub(super) referrer: Option<String>,
    pub(super) channel: u8,
    pub(super) detail: String,
    pub(super) campaign: Option<String>,
}

impl Ended {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.begun.to_le_bytes());
        out.extend_from_slice(&self.begun_day.to_le_bytes());
        out.extend_from_slice(&self.last.to_le_bytes());
        out.extend_from_slice(&self.visitor.to_le_bytes());
        out.extend_from_slice(&self.pages.to_le_bytes());
        out.push(index_of(&Device::ALL, self.device));
        put_text(out, self.landing.as_bytes());
        put_text(out, self.referrer.as_deref().unwrap_or_default().as_bytes());
        out.push(self.channel);
        put_text(out, self.detail.as_bytes());
        put_text(out, self.campaign.as_deref().unwrap_or_default().as_bytes());
    }

    pub(super) fn take<R: Read>(from: &mut Decoder<R>) -> io::Result<Option<Self>> {
        let Some(begun) = from.first()? else { return Ok(None) };
        Ok(Some(Self {
            begun,
            begun_day: from.int()?,
            last: from.int()?,
            visitor: from.long()?,
            pages: from.int()?,
            device: of_index(&Device::ALL, from.byte()?)?,
            landing: from.text()?,
            referrer: from.optional()?,
            channel: from.byte()?,
            detail: from.text()?,
            campaign: from.optional()?,
        }))
    }
}

/// What the pass over the hours needs to know.
pub(super) struct Passing<'a> {
    pub(super) rules: Rules,
    pub(super) day_of: &'a dyn Fn(i64) -> NaiveDate,
    pub(super) is_own: &'a dyn Fn(&str) -> bool,
}

struct UnderWay {
    visit: Visit,
    session: Ended,
}

/// Moves what waits by hour into events and visits by day; gives the number of visits by day.
pub(super) fn pass(
    hours: &mut Spill,
    events: &mut Spill,
    sessions: &mut Spill,
    passing: &Passing<'_>,
) -> io::Result<BTreeMap<NaiveDate, u64>> {
    let mut under_way: HashMap<u128, UnderWay, foldhash::fast::RandomState> = HashMap::default();
    let mut counts: BTreeMap<NaiveDate, u64> = BTreeMap::new();
    let seed = foldhash::fast::FixedState::default();
    let number = |text: &str| {
        let mut hasher = seed.build_hasher();
        hasher.write(text.as_bytes());
        hasher.finish()
    };
    let mut end = |session: &Ended, sessions: &mut Spill| {
        let day = NaiveDate::from_num_days_from_ce_opt(i32::try_from(session.begun_day).unwrap_or_default());
        *counts.entry(day.unwrap_or_default()).or_default() += 1;
        sessions.add(session.begun_day, |out| session.put(out))
    };
    for hour in hours.keys() {
        let mut waiting = Vec::new();
        let mut decoder = hours.read(hour)?;
        while let Some(hit) = Waiting::take(&mut decoder)? {
            waiting.push(hit);
        }
        drop(decoder);
        hours.remove(hour)?;
        waiting.sort_unstable_by_key(|hit| (hit.at, hit.place));
        if let Some(first) = waiting.first() {
            // Visits that no later request can belong to.
            let oldest = instant(first.at) - passing.rules.longest_gap();
            let over: Vec<u128> = under_way
                .iter()
                .filter(|(_, held)| held.visit.last() < oldest)
                .map(|(visitor, _)| *visitor)
                .collect();
            for visitor in over {
                if let Some(held) = under_way.remove(&visitor) {
                    end(&held.session, sessions)?;
                }
            }
        }
        for hit in waiting {
            let day = (passing.day_of)(hit.at);
            let origin = Origin::of_visit(&hit.url, hit.referrer.as_deref(), passing.is_own);
            let foreign = hit
                .referrer
                .as_deref()
                .and_then(host_and_path)
                .filter(|(host, _)| !(passing.is_own)(host))
                .map(|(host, _)| number(host));
            let mut seen = Hit::new(instant(hit.at), chrono_tz::UTC)
                .campaign(origin.campaign_id.as_deref().map(number))
                .referrer(foreign);
            seen.day = day;
            let goes_on = under_way
                .get_mut(&hit.visitor)
                .filter(|held| passing.rules.cut(&held.visit, &seen).is_none());
            let held = match goes_on {
                Some(held) => {
                    held.visit.go_on(&seen);
                    held
                }
                None => {
                    let fresh = UnderWay { visit: Visit::begin(&seen), session: begun(&hit, day, origin) };
                    if let Some(before) = under_way.insert(hit.visitor, fresh) {
                        end(&before.session, sessions)?;
                    }
                    let Some(held) = under_way.get_mut(&hit.visitor) else { continue };
                    held
                }
            };
            let session = &mut held.session;
            session.last = session.last.max(hit.at);
            session.pages += i64::from(hit.becomes == Becomes::PageView);
            let viewed = Viewed {
                at: hit.at,
                line: hit.line,
                begun: session.begun,
                begun_day: session.begun_day,
                visitor: hit.visitor,
                becomes: hit.becomes,
                url: hit.url,
                referrer: hit.referrer,
                channel: session.channel,
                detail: session.detail.clone(),
                campaign: session.campaign.clone(),
            };
            events.add(i64::from(day.num_days_from_ce()), |out| viewed.put(out))?;
        }
    }
    for held in under_way.into_values() {
        end(&held.session, sessions)?;
    }
    Ok(counts)
}

fn begun(hit: &Waiting, day: NaiveDate, origin: Origin) -> Ended {
    Ended {
        begun: hit.at,
        begun_day: i64::from(day.num_days_from_ce()),
        last: hit.at,
        visitor: hit.visitor,
        pages: 0,
        device: hit.device,
        landing: hit.url.clone(),
        referrer: hit.referrer.clone(),
        channel: index_of(&mkt_connect::Channel::ALL, origin.channel),
        detail: origin.detail(),
        campaign: origin.campaign_id,
    }
}

pub(super) fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}
