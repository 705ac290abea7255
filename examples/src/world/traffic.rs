//! The four files that are written as time goes by: sessions in the order of their start, events and
//! requests in the order of their time. What waits in memory is the rest of the sessions still running,
//! some ninety minutes of them.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BinaryHeap},
};

use super::{
    World,
    access_log::{Request, crawl, malformed_after, requests},
    channel::Channel,
    costs::Tagged,
    ledger::Ledger,
    period::{local_day, utc},
    person::{person, user_id},
    plan::Visit,
    session::{Event, Kind, session},
    staging::{Failure, Lines, Sheet, Staging},
    truth::Logged,
};

/// The columns of the course.
const SESSIONS: [&str; 7] =
    ["session_id", "user_id", "start_time", "end_time", "pages_viewed", "converted", "channel"];
const EVENTS: [&str; 7] =
    ["event_id", "user_id", "event_type", "timestamp", "channel", "revenue", "properties"];
const SIGNUPS: [&str; 3] = ["email", "prenom", "date_inscription"];

pub(super) struct Traffic<'a> {
    world: &'a World,
    pub(super) ledger: Ledger,
    pub(super) tagged: Tagged,
    pub(super) events: Sheet,
    pub(super) sessions: Sheet,
    pub(super) signups: Sheet,
    pub(super) log: Lines,
    pub(super) logged: Logged,
    due_events: BinaryHeap<Reverse<Due<(u32, Channel, Event)>>>,
    due_requests: BinaryHeap<Reverse<Due<Request>>>,
    queued: u64,
    event_id: u64,
}

impl<'a> Traffic<'a> {
    pub(super) fn new(world: &'a World, staging: &mut Staging) -> Result<Self, Failure> {
        Ok(Self {
            world,
            ledger: Ledger::new(world.seed, world.users, world.period),
            tagged: BTreeMap::new(),
            signups: staging.sheet("inscrits.csv", &SIGNUPS)?,
            sessions: staging.sheet("sessions.csv", &SESSIONS)?,
            events: staging.sheet("events.csv", &EVENTS)?,
            log: staging.file("access.log")?,
            logged: Logged { one_visitor_in: world.log_one_in, ..Logged::default() },
            due_events: BinaryHeap::new(),
            due_requests: BinaryHeap::new(),
            queued: 0,
            event_id: 0,
        })
    }

    /// Lets a visit happen: its session is written now, its events and requests when their time comes.
    pub(super) fn visit(&mut self, visit: Visit) -> Result<(), Failure> {
        let World { seed, users, period, log_one_in } = *self.world;
        if let Some(robot) = visit.who().checked_sub(users) {
            self.queue_requests(crawl(seed, &period, visit.at(&period), robot));
            return Ok(());
        }
        let new = self.ledger.is_new(visit.who());
        let session = session(seed, &period, visit, self.ledger.tally.sessions + 1, new);
        self.ledger.record(&session);
        if let Some(campaign) = session.campaign.clone() {
            *self.tagged.entry((local_day(session.start), campaign)).or_default() += 1;
        }
        // The seventh, because it is one of those who are awake when the clock changes.
        if session.user % log_one_in == 7 % log_one_in {
            self.logged.sessions += 1;
            self.queue_requests(requests(seed, &session));
        }
        self.sessions.row([
            session.id.as_str(),
            &user_id(session.user),
            &utc(session.start).to_string(),
            &utc(session.end).to_string(),
            &session.pages().to_string(),
            if session.converted() { "true" } else { "false" },
            session.channel.name(),
        ])?;
        for event in session.events {
            self.queued += 1;
            let due = Due { at: event.at, order: self.queued, what: (session.user, session.channel, event) };
            self.due_events.push(Reverse(due));
        }
        Ok(())
    }

    /// Writes everything that happened before `now`.
    pub(super) fn until(&mut self, now: i64) -> Result<(), Failure> {
        while self.due_events.peek().is_some_and(|Reverse(due)| due.at < now) {
            if let Some(Reverse(due)) = self.due_events.pop() {
                let (user, channel, event) = due.what;
                self.write_event(user, channel, &event)?;
            }
        }
        while self.due_requests.peek().is_some_and(|Reverse(due)| due.at < now) {
            if let Some(Reverse(due)) = self.due_requests.pop() {
                self.write_request(&due.what)?;
            }
        }
        Ok(())
    }

    fn write_event(&mut self, user: u32, channel: Channel, event: &Event) -> Result<(), Failure> {
        self.event_id += 1;
        self.events.row([
            self.event_id.to_string().as_str(),
            &user_id(user),
            event.kind.name(),
            &utc(event.at).to_string(),
            channel.name(),
            &event.revenue.to_string(),
            // A struct of strings and numbers: serialisation has nothing to refuse.
            &serde_json::to_string(&event.properties).unwrap_or_default(),
        ])?;
        if event.kind == Kind::Signup {
            let person = person(self.world.seed, user);
            // The date on the shop's calendar, as a French shop writes it down.
            self.signups.row([&person.email, person.first_name, &local_day(event.at).to_string()])?;
        }
        Ok(())
    }

    fn write_request(&mut self, request: &Request) -> Result<(), Failure> {
        self.log.line(request.line.as_bytes())?;
        *if request.robot { &mut self.logged.robots } else { &mut self.logged.visitors } += 1;
        if let Some(line) = malformed_after(self.logged.robots + self.logged.visitors, request) {
            self.log.line(&line)?;
            self.logged.malformed += 1;
        }
        self.logged.lines = self.logged.robots + self.logged.visitors + self.logged.malformed;
        Ok(())
    }

    fn queue_requests(&mut self, requests: Vec<Request>) {
        for request in requests {
            self.queued += 1;
            self.due_requests.push(Reverse(Due { at: request.at, order: self.queued, what: request }));
        }
    }
}

/// Something to be written at its time; things of the same second in the order in which they were queued.
struct Due<T> {
    at: i64,
    order: u64,
    what: T,
}

impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Due<T> {}
