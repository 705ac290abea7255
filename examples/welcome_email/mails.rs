//! From the file of sign-ups to mails: read, render, set aside.

use crate::Step;
use crate::arguments::Arguments;
use crate::named::Named;
use mkt_connect::campaign::{CampaignTags, TagFamily};
use mkt_email::message::DisplayName;
use mkt_email::subscribers::{Row, RowCounts};
use mkt_email::template::Language;
use mkt_email::{DedupKey, Mailbox, Message, NewEmail, Subscriber, Subscribers, Template};
use serde::Serialize;
use std::fs::File;
use std::path::Path;

/// What makes the welcome one mail: whoever was welcomed under this name is not welcomed again, in whatever language.
const CAMPAIGN: &str = "bienvenue";
/// Set-aside rows that are told apart.
const SHOWN: usize = 10;

/// What a template may use. What a row lacks is missing, not empty: "Bienvenue  !" cannot go out.
#[derive(Serialize)]
struct Context<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    prenom: Option<&'a str>,
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    date_inscription: Option<String>,
    site: &'a str,
    link: &'a str,
}

/// Makes mails of rows.
pub(crate) struct Mails {
    rows: Subscribers<File>,
    template: Template,
    sender: Mailbox,
    site: String,
    link: String,
    path: String,
    unrendered: u64,
    /// The first of what was set aside: lines and reasons, no values.
    pub(crate) set_aside: Vec<String>,
}

impl Mails {
    /// Opens the file and the template. Both are looked at before anything is written anywhere.
    pub(crate) fn open(arguments: &Arguments) -> Step<Self> {
        let tags = CampaignTags::new("newsletter", "email", CAMPAIGN);
        let template = template(arguments.template.as_deref(), arguments.lang)?;
        let path = arguments.subscribers.display().to_string();
        let unreadable = || format!("cannot read {path}");
        let sender = arguments.sender();
        let domain = sender.address.domain().to_owned();
        let file = File::open(&arguments.subscribers).named(unreadable)?;
        if !file.metadata().named(unreadable)?.is_file() {
            Err("it is read twice, so it must be a file: no folder and no pipe").named(unreadable)?;
        }
        Ok(Self {
            rows: Subscribers::read(file).named(unreadable)?,
            template: template.tagging(tags, TagFamily::Utm),
            site: sender.name.as_ref().map_or_else(|| domain.clone(), |name| name.as_str().to_owned()),
            link: format!("https://{domain}/"),
            sender,
            path,
            unrendered: 0,
            set_aside: Vec::new(),
        })
    }

    /// Rows of the file so far, and how many of its people could not be written to for lack of a mail.
    pub(crate) fn counts(&self) -> (RowCounts, u64) {
        (self.rows.counts(), self.unrendered)
    }

    /// The mails of the next people, at most `most`; none at the end of the file.
    pub(crate) fn next(&mut self, most: usize) -> Step<Vec<NewEmail>> {
        let mut mails = Vec::with_capacity(most);
        while mails.len() < most
            && let Some(row) = self.rows.next()
        {
            match row.named(|| format!("cannot read {}", self.path))? {
                Row::Subscriber(person) => match self.mail(&person) {
                    Ok(mail) => mails.push(mail),
                    Err(why) => {
                        self.unrendered += 1;
                        self.tell(format!("line {}: {}", person.line, mkt_connect::sentence(why.as_ref())));
                    }
                },
                Row::Quarantined(error) => self.tell(error.to_string()),
                Row::Duplicate { .. } => {}
            }
        }
        Ok(mails)
    }

    fn tell(&mut self, line: String) {
        if self.set_aside.len() < SHOWN {
            self.set_aside.push(line);
        }
    }

    fn mail(&self, person: &Subscriber) -> Step<NewEmail> {
        let rendered = self.template.render(&Context {
            prenom: person.first_name.as_ref().map(DisplayName::as_str),
            email: person.email.as_str(),
            date_inscription: person.signed_up_on.map(|day| day.to_string()),
            site: &self.site,
            link: &self.link,
        })?;
        let to = Mailbox { address: person.email.clone(), name: person.first_name.clone() };
        let message = Message::builder(self.sender.clone(), to, rendered.subject)
            .html(rendered.html)
            .text(rendered.text)
            .build()?;
        // The answer to a sign-up: transactional.
        Ok(NewEmail::transactional(DedupKey::for_address(CAMPAIGN, &person.email), message))
    }
}

/// The built-in mail, or the one of a file, whose title is its subject.
fn template(path: Option<&Path>, language: Language) -> Step<Template> {
    let Some(path) = path else { return Ok(Template::welcome(language)?) };
    let unusable = || format!("cannot use the template {}", path.display());
    let source = std::fs::read_to_string(path).named(unusable)?;
    let mjml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mjml"));
    let (begin, end) = if mjml { ("<mj-title>", "</mj-title>") } else { ("<title>", "</title>") };
    let subject =
        source.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map(|(title, _)| title.trim());
    let subject = subject
        .filter(|subject| !subject.is_empty())
        .ok_or_else(|| format!("it has no {begin}, which is to be the subject"))
        .named(unusable)?;
    if mjml {
        of_mjml(subject, &source).named(unusable)
    } else {
        Template::new(subject, &source, None).named(unusable)
    }
    .map_err(Into::into)
}

#[cfg(feature = "mjml")]
fn of_mjml(subject: &str, source: &str) -> Step<Template> {
    Ok(Template::mjml(subject, source, None)?)
}

#[cfg(not(feature = "mjml"))]
fn of_mjml(_: &str, _: &str) -> Step<Template> {
    Err("this program was built without MJML; build it with --features mjml".into())
}
