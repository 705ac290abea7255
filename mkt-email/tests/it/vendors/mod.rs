//! Brevo and Mailgun against their fakes: what is on the wire, what answers mean, what nobody may see.

mod brevo;
mod mailgun;
mod outbox;
mod secrets;
mod servers;

use crate::help::{noon, reader};
use mkt_email::message::{Attachment, ListUnsubscribe, VendorTemplate};
use mkt_email::provider::{Group, Outgoing};
use mkt_email::{IdempotencyKey, Mailbox, Message, MessageBuilder};
use std::sync::Arc;

pub(crate) fn email(number: usize, with: impl Fn(MessageBuilder) -> MessageBuilder) -> Message {
    let to = Mailbox::named(reader(number), &format!("Reader {number}")).unwrap();
    let subject = "Hello".parse().unwrap();
    with(Message::builder("Shop <news@shop.example>".parse().unwrap(), to, subject)).build().unwrap()
}

/// An email that was rendered for its recipient.
pub(crate) fn rendered(number: usize) -> Message {
    email(number, |builder| builder.html(format!("<p>Hello {number}</p>")).text(format!("Hello {number}")))
}

/// An email that says the same to everybody.
pub(crate) fn common(number: usize) -> Message {
    email(number, |builder| builder.html("<p>Hello</p>").text("Hello"))
}

pub(crate) fn from_template(number: usize) -> Message {
    let template = VendorTemplate::new("42").unwrap().with("name", &format!("Reader {number}")).unwrap();
    email(number, |builder| builder.template(template.clone()))
}

pub(crate) fn unsubscribe(number: usize) -> ListUnsubscribe {
    ListUnsubscribe::one_click(format!("https://shop.example/u/{number}").parse().unwrap()).unwrap()
}

pub(crate) fn file(name: &str) -> Attachment {
    Attachment::new(name.parse().unwrap(), "application/octet-stream", b"\r\n--\x00\xff".as_slice()).unwrap()
}

/// A call at noon; the same emails have the same keys.
pub(crate) fn group(messages: Vec<Message>) -> Group {
    let emails = messages.into_iter().map(|message| Outgoing {
        key: IdempotencyKey::from_text(&format!(
            "{}{:?}{:?}",
            message.to().address.as_str(),
            message.html(),
            message.template()
        )),
        message: Arc::new(message),
    });
    Group::new(noon(), emails.collect())
}
