//! What became of everybody: a few bytes per visitor, from which the totals that depend on a whole life
//! (abandoned carts, cohorts, distinct visitors) are counted at the end, and the customers are written.

use serde::Serialize;

use super::{
    channel::Channel,
    draw::{Draw, Topic},
    money::Cents,
    period::{Period, local_day, local_hour, utc},
    person::{Known, person, user_id, visitor},
    session::{Kind, Session},
    staging::{Failure, Staging},
};

/// The columns of `customers.csv`.
pub(crate) const COLUMNS: [&str; 8] = [
    "user_id",
    "email",
    "first_name",
    "lang",
    "consent_marketing",
    "consent_since",
    "signed_up_at",
    "segment",
];

/// Instants are seconds since the period's origin plus one; 0 stands for never.
#[derive(Clone, Copy, Default)]
struct Life {
    last_cart: u32,
    last_purchase: u32,
    known_since: u32,
    orders: u8,
    seen_by: u8,
    converted_by: u8,
    came: bool,
    /// One bit per calendar month of the period.
    months: u64,
}

pub(crate) struct Ledger {
    seed: u64,
    period: Period,
    lives: Vec<Life>,
    pub(crate) tally: Tally,
}

/// What is counted while the sessions go by.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) sessions: u64,
    pub(crate) events: [u64; 5],
    pub(crate) pages: u64,
    pub(crate) revenue: Cents,
    pub(crate) by_channel: [Sessions; 6],
    pub(crate) by_hour: [Sessions; 24],
    pub(crate) across_local_midnight: u64,
    pub(crate) last_event: i64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Sessions {
    pub(crate) sessions: u64,
    pub(crate) converted: u64,
}

/// Distinct visitors of a channel.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Distinct {
    pub(crate) users: u64,
    pub(crate) converted: u64,
}

/// Everybody who signed up in one month, and how many of them came in each month from then on.
#[derive(Debug, Serialize)]
pub(crate) struct Cohort {
    pub(crate) month: String,
    pub(crate) users: u64,
    pub(crate) active: Vec<u64>,
}

/// Visitors whose last add_to_cart has no later purchase.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Carts {
    pub(crate) abandoned: u64,
    /// The visitor is in customers.csv and consents to marketing.
    pub(crate) reachable: u64,
    /// The visitor is in customers.csv and does not consent.
    pub(crate) without_consent: u64,
    /// The visitor is not in customers.csv.
    pub(crate) unknown: u64,
}

/// What `customers.csv` holds.
#[derive(Debug, Default)]
pub(crate) struct Customers {
    pub(crate) rows: u64,
    pub(crate) consenting: u64,
    pub(crate) bytes: u64,
}

impl Ledger {
    pub(crate) fn new(seed: u64, users: u32, period: Period) -> Self {
        Self { seed, period, lives: vec![Life::default(); users as usize], tally: Tally::default() }
    }

    /// Whether the visitor comes for the first time.
    pub(crate) fn is_new(&self, user: u32) -> bool {
        !self.lives[user as usize].came
    }

    pub(crate) fn record(&mut self, session: &Session) {
        let origin = self.period.origin();
        let mark = |at: i64| (at - origin + 1) as u32;
        let life = &mut self.lives[session.user as usize];
        let tally = &mut self.tally;
        if !life.came && visitor(self.seed, session.user).known == Known::Card {
            let mut draw = Draw::stream(self.seed, Topic::Person, u64::from(session.user), 1);
            life.known_since = mark((session.start - draw.between(60, 3000)).max(origin));
        }
        life.came = true;
        life.months |= 1 << self.period.month_of(local_day(session.start));
        for event in &session.events {
            match event.kind {
                Kind::AddToCart => life.last_cart = mark(event.at),
                Kind::Purchase => {
                    life.last_purchase = mark(event.at);
                    life.orders = life.orders.saturating_add(1);
                }
                Kind::Signup => life.known_since = mark(event.at),
                Kind::PageView | Kind::ProductView => {}
            }
            tally.events[event.kind as usize] += 1;
            tally.revenue += event.revenue;
            tally.last_event = tally.last_event.max(event.at);
        }
        life.seen_by |= session.channel.bit();
        let converted = session.converted();
        if converted {
            life.converted_by |= session.channel.bit();
        }
        tally.sessions += 1;
        tally.pages += session.pages() as u64;
        tally.across_local_midnight += u64::from(local_day(session.start) != local_day(session.end));
        let (channel, hour) = (session.channel as usize, local_hour(session.start));
        for cell in [&mut tally.by_channel[channel], &mut tally.by_hour[hour]] {
            cell.sessions += 1;
            cell.converted += u64::from(converted);
        }
    }

    pub(crate) fn distinct(&self, channel: Channel) -> Distinct {
        let count =
            |has: fn(&Life) -> u8| self.lives.iter().filter(|l| has(l) & channel.bit() != 0).count() as u64;
        Distinct { users: count(|l| l.seen_by), converted: count(|l| l.converted_by) }
    }

    /// Visitors with at least one purchase.
    pub(crate) fn buyers(&self) -> u64 {
        self.lives.iter().filter(|life| life.orders > 0).count() as u64
    }

    pub(crate) fn carts(&self) -> Carts {
        let mut carts = Carts::default();
        for (life, number) in self.lives.iter().zip(0..) {
            if life.last_cart <= life.last_purchase {
                continue;
            }
            carts.abandoned += 1;
            let known = visitor(self.seed, number).known != Known::No;
            *match (known, known && person(self.seed, number).consent) {
                (false, _) => &mut carts.unknown,
                (true, false) => &mut carts.without_consent,
                (true, true) => &mut carts.reachable,
            } += 1;
        }
        carts
    }

    pub(crate) fn cohorts(&self) -> Vec<Cohort> {
        let months = self.period.month_of(self.period.end) + 1;
        let mut cohorts: Vec<Cohort> = (0..months)
            .map(|month| Cohort {
                month: self.period.month(month).0.format("%Y-%m").to_string(),
                users: 0,
                active: vec![0; (months - month) as usize],
            })
            .collect();
        for (life, number) in self.lives.iter().zip(0..) {
            if visitor(self.seed, number).known != Known::SignedUp || !life.came {
                continue;
            }
            let joined = self.period.month_of(local_day(self.instant(life.known_since)));
            let cohort = &mut cohorts[joined as usize];
            cohort.users += 1;
            for (active, month) in cohort.active.iter_mut().zip(joined..) {
                *active += (life.months >> month) & 1;
            }
        }
        cohorts
    }

    /// Writes `customers.csv`, in the order of the visitors.
    pub(crate) fn write_customers(&self, staging: &mut Staging) -> Result<Customers, Failure> {
        let mut sheet = staging.sheet("customers.csv", &COLUMNS)?;
        let mut sum = Customers::default();
        for (life, number) in self.lives.iter().zip(0..) {
            if life.known_since == 0 {
                continue;
            }
            let person = person(self.seed, number);
            let since = utc(self.instant(life.known_since)).to_string();
            let segment = match life.orders {
                0 => "prospect",
                1 => "client",
                _ => "vip",
            };
            sum.rows += 1;
            sum.consenting += u64::from(person.consent);
            sheet.row([
                user_id(number).as_str(),
                &person.email,
                person.first_name,
                person.lang,
                if person.consent { "true" } else { "false" },
                if person.consent { &since } else { "" },
                &since,
                segment,
            ])?;
        }
        sum.bytes = sheet.finish()?;
        Ok(sum)
    }

    fn instant(&self, mark: u32) -> i64 {
        self.period.origin() + i64::from(mark) - 1
    }
}
