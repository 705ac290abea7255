//! One email to everybody in a file of sign-ups: rendered before the first one leaves, counted to the last row.

use crate::failure::{Context, Step};
use mkt_connect::campaign::{CampaignTags, TagFamily};
use mkt_connect::sentence;
use mkt_email::message::DisplayName;
use mkt_email::subscribers::Row;
use mkt_email::{DedupKey, Enqueued, Mailbox, Message, NewEmail, State, Subscriber, Subscribers, Template};
use serde::Serialize;
use std::fs::File;
use std::path::Path;

/// Quarantined rows that are listed.
const SHOWN: usize = 10;

/// The emails of a campaign to the people of a file.
#[derive(Debug)]
pub struct Mailing {
    rows: Subscribers<File>,
    template: Template,
    sender: Mailbox,
    campaign: &'static str,
    path: String,
    unrendered: u64,
    quarantined: Vec<String>,
}

/// What a template may use. What a row lacks is missing, not empty: "Bienvenue  !" cannot go out.
#[derive(Serialize)]
struct Values<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    prenom: Option<&'a str>,
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_inscription: Option<String>,
    site: String,
    link: String,
}

impl Mailing {
    /// Opens the file; the links of the template get the campaign's tags.
    ///
    /// # Errors
    /// A file that cannot be read, or is no regular file, as it is read twice.
    pub fn open(path: &Path, template: Template, sender: Mailbox, campaign: &'static str) -> Step<Self> {
        let shown = path.display().to_string();
        let unreadable = || format!("cannot read {shown}");
        let file = File::open(path).context(unreadable)?;
        if !file.metadata().context(unreadable)?.is_file() {
            Err("it is read twice, so it must be a file: no folder and no pipe").context(unreadable)?;
        }
        let tags = CampaignTags::new("newsletter", "email", campaign);
        Ok(Self {
            rows: Subscribers::read(file).context(unreadable)?,
            template: template.tagging(tags, TagFamily::Utm),
            sender,
            campaign,
            path: shown,
            unrendered: 0,
            quarantined: Vec::new(),
        })
    }

    /// The emails of the next people, at most `most`; none at the end of the file.
    ///
    /// # Errors
    /// A file that cannot be read on.
    pub fn next(&mut self, most: usize) -> Step<Vec<NewEmail>> {
        let mut emails = Vec::new();
        while emails.len() < most
            && let Some(row) = self.rows.next()
        {
            match row.context(|| format!("cannot read {}", self.path))? {
                Row::Subscriber(person) => match self.email(&person) {
                    Ok(email) => emails.push(email),
                    Err(why) => {
                        self.unrendered += 1;
                        self.list(format!("line {}: {}", person.line, sentence(why.as_ref())));
                    }
                },
                Row::Quarantined(row) => self.list(row.to_string()),
                Row::Duplicate { .. } => {}
            }
        }
        Ok(emails)
    }

    fn email(&self, person: &Subscriber) -> Step<NewEmail> {
        let domain = self.sender.address.domain();
        let rendered = self.template.render(&Values {
            prenom: person.first_name.as_ref().map(DisplayName::as_str),
            email: person.email.as_str(),
            date_inscription: person.signed_up_on.map(|day| day.to_string()),
            site: site_of(&self.sender),
            link: format!("https://{domain}/"),
        })?;
        let to = Mailbox { address: person.email.clone(), name: person.first_name.clone() };
        let message = Message::builder(self.sender.clone(), to, rendered.subject)
            .html(rendered.html)
            .text(rendered.text)
            .build()?;
        // The answer to a sign-up: transactional.
        Ok(NewEmail::transactional(DedupKey::for_address(self.campaign, &person.email), message))
    }

    fn list(&mut self, line: String) {
        if self.quarantined.len() < SHOWN {
            self.quarantined.push(line);
        }
    }

    /// The first quarantined rows, with line and reason and without any value, and how many more there are.
    #[must_use]
    pub fn quarantined(&self) -> (&[String], u64) {
        let all = self.rows.counts().quarantined + self.unrendered;
        (&self.quarantined, all.saturating_sub(self.quarantined.len() as u64))
    }

    /// Where the people of the file stand, once the file is read to its end.
    #[must_use]
    pub fn standing(&self, emails: Standing) -> Standing {
        let rows = self.rows.counts();
        let quarantined = rows.quarantined + self.unrendered;
        Standing { rows: rows.rows, duplicates: rows.duplicates, quarantined, ..emails }
    }
}

/// Where the people of a file stand. `rows = recipients + quarantined + duplicates` and `recipients = sent + failed +
/// suppressed + cancelled + unknown + pending`, always. The keys of its JSON are stable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Standing {
    /// Rows of the file, without its header.
    pub rows: u64,
    /// Rows that can be written to.
    pub recipients: u64,
    /// Accepted by the provider, in this run or an earlier one.
    pub sent: u64,
    /// Rejected for good.
    pub failed: u64,
    /// Must not be written to.
    pub suppressed: u64,
    /// Cancelled in the outbox.
    pub cancelled: u64,
    /// The connection broke before the answer came; not sent again.
    pub unknown: u64,
    /// Still to be sent.
    pub pending: u64,
    /// Those of `sent` that an earlier run sent.
    pub already_sent: u64,
    /// Bad rows, and people whose email could not be rendered.
    pub quarantined: u64,
    /// Repetitions of an earlier row's address.
    pub duplicates: u64,
    /// How long the run took.
    pub seconds: f64,
}

impl Standing {
    /// Counts what the outbox answered about emails.
    pub fn add(&mut self, answers: &[Enqueued]) {
        for answer in answers {
            self.recipients += 1;
            let count = match answer {
                Enqueued::Suppressed(..) => &mut self.suppressed,
                Enqueued::AlreadyThere(_, State::Accepted) => &mut self.sent,
                Enqueued::AlreadyThere(_, State::Rejected | State::Expired) => &mut self.failed,
                Enqueued::AlreadyThere(_, State::Suppressed) => &mut self.suppressed,
                Enqueued::AlreadyThere(_, State::Cancelled) => &mut self.cancelled,
                Enqueued::AlreadyThere(_, State::Unknown) => &mut self.unknown,
                _ => &mut self.pending,
            };
            *count += 1;
        }
    }

    /// Two lines for people.
    #[must_use]
    pub fn text(&self, dry_run: bool) -> String {
        let mut text = format!(
            "{} rows: {} recipients, {} quarantined, {} duplicates\n",
            self.rows, self.recipients, self.quarantined, self.duplicates
        );
        text += &match dry_run {
            true => format!("{} would be sent, {} were sent before", self.pending, self.already_sent),
            false => format!("{} sent now, {} sent before", self.sent - self.already_sent, self.already_sent),
        };
        for (count, what) in [
            (self.failed, "rejected"),
            (self.suppressed, "suppressed"),
            (self.cancelled, "cancelled"),
            (self.unknown, "unknown"),
            (if dry_run { 0 } else { self.pending }, "still to be sent"),
        ] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        text + &format!(" ({:.1} s)\n", self.seconds)
    }
}

/// What a sender calls its site: the display name, else the domain.
#[must_use]
pub fn site_of(sender: &Mailbox) -> String {
    sender.name.as_ref().map_or_else(|| sender.address.domain().to_owned(), |name| name.as_str().to_owned())
}

/// The template of a file: HTML whose `<title>` is the subject, or MJML whose `<mj-title>` is.
///
/// # Errors
/// A file that cannot be read, has no title, or does not compile; MJML in a program that was built without it.
pub fn template(path: &Path) -> Step<Template> {
    let unusable = || format!("cannot use the template {}", path.display());
    let source = std::fs::read_to_string(path).context(unusable)?;
    let mjml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mjml"));
    let (begin, end) = if mjml { ("<mj-title>", "</mj-title>") } else { ("<title>", "</title>") };
    let title =
        source.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map(|(title, _)| title.trim());
    let subject = title.filter(|title| !title.is_empty());
    let subject =
        subject.ok_or_else(|| format!("it has no {begin}, which is to be the subject")).context(unusable)?;
    let template = if mjml { of_mjml(subject, &source) } else { Ok(Template::new(subject, &source, None)?) };
    Ok(template.context(unusable)?)
}

#[cfg(feature = "mjml")]
fn of_mjml(subject: &str, source: &str) -> Step<Template> {
    Ok(Template::mjml(subject, source, None)?)
}

#[cfg(not(feature = "mjml"))]
fn of_mjml(_: &str, _: &str) -> Step<Template> {
    Err("this program was built without MJML; build it with -p mkt-examples --features mjml".into())
}
