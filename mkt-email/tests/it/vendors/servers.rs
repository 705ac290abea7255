//! django-anymail from PyPI against the fakes of Brevo and Mailgun, where `MKT_TEST_SERVERS=1` is set: the fakes take what a
//! public client sends, and what we write of metadata is what it writes. Needs python3 with venv and the network; what is
//! missing is named in "skipped".

use super::{email, group};
use crate::help::noon;
use mkt_email::message::VendorTemplate;
use mkt_email::testing::{FakeBrevo, FakeMailgun};
use mkt_email::{EmailProvider as _, ManualClock, Message};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const PACKAGE: &str = "django-anymail==15.2";

/// Two emails in one call, with values and metadata of each recipient.
const SCRIPT: &str = r#"
import os
import django
from django.conf import settings
vendor = os.environ["VENDOR"]
settings.configure(EMAIL_BACKEND=f"anymail.backends.{vendor}.EmailBackend", ANYMAIL={
    "BREVO_API_KEY": os.environ["KEY"], "BREVO_API_URL": os.environ["URL"] + "/",
    "BREVO_PREVENT_HEADER_ENCODING_BUGS": False,
    "MAILGUN_API_KEY": os.environ["KEY"], "MAILGUN_API_URL": os.environ["URL"] + "/v3/",
    "MAILGUN_SENDER_DOMAIN": os.environ.get("DOMAIN"),
})
django.setup()
from anymail.message import AnymailMessage
message = AnymailMessage(subject="Hello", body="Hello", from_email="Shop <news@shop.example>",
    to=["Reader 1 <reader1@example.org>", "Reader 2 <reader2@example.org>"])
message.attach_alternative("<p>Hello</p>", "text/html")
message.merge_data = {f"reader{n}@example.org": {"name": f"Reader {n}"} for n in (1, 2)}
message.metadata = {"shop": os.environ["SHOP"]}
message.merge_metadata = {f"reader{n}@example.org": {"person": f"p{n}"} for n in (1, 2)}
if vendor == "brevo":
    message.template_id = 42
    message.body = ""
    message.alternatives = []
message.send()
assert message.anymail_status.status == {"queued"}, message.anymail_status.status
print(len(message.anymail_status.recipients))
"#;

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A Python with the client, in this folder.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn install(folder: &Path) -> Option<PathBuf> {
    let installed = match std::env::var("MKT_TEST_SERVERS").is_ok_and(|value| value == "1") {
        false => Err("MKT_TEST_SERVERS=1 is not set".to_owned()),
        true => run(Command::new("python3").args(["-m", "venv"]).arg(folder)).and_then(|_| {
            let pip = ["-m", "pip", "install", "--quiet", PACKAGE];
            run(Command::new(folder.join("bin/python")).args(pip))
        }),
    };
    installed.inspect_err(|reason| println!("skipped: {PACKAGE}: {reason}")).ok()?;
    Some(folder.join("bin/python"))
}

async fn anymail(python: &Path, vendor: &str, url: String, key: &str, domain: &str, shop: &str) {
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).env("VENDOR", vendor).env("URL", url).env("KEY", key);
    command.env("DOMAIN", domain).env("SHOP", shop);
    let told = tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
    assert_eq!(told.as_deref().map(str::trim), Ok("2"));
}

fn ours(number: usize, shop: &str) -> Message {
    let template = VendorTemplate::new("42").unwrap().with("name", &format!("Reader {number}")).unwrap();
    email(number, |builder| {
        builder.template(template.clone()).metadata("shop", shop).metadata("person", format!("p{number}"))
    })
}

/// The recipients of a call with their values and metadata, the metadata read as JSON.
fn versions(body: &[u8]) -> Vec<(Value, Value, Value)> {
    let body: Value = serde_json::from_slice(body).unwrap();
    let version = |version: &Value| {
        let metadata = version["headers"]["X-Mailin-custom"].as_str().unwrap();
        let metadata = serde_json::from_str(metadata).unwrap();
        (version["to"].clone(), version["params"].clone(), metadata)
    };
    body["messageVersions"].as_array().unwrap().iter().map(version).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn django_anymail_and_we_write_the_same_metadata_to_brevo() {
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = install(folder.path()) else { return };
    for shop in ["north", "Épicerie à Liège"] {
        let fake = FakeBrevo::start(Arc::new(ManualClock::new(noon()))).await.unwrap();
        anymail(&python, "brevo", fake.url(), fake.api_key().expose(), "", shop).await;
        let provider = fake.provider().build().unwrap();
        provider.send(&group(vec![ours(1, shop), ours(2, shop)])).await.unwrap();
        let [theirs, ours] = <[_; 2]>::try_from(fake.requests()).unwrap();
        assert_eq!(versions(&theirs.body), versions(&ours.body), "{shop}");
        // Ours is raw UTF-8; the client escapes it (`\u00c9`), which it refuses by itself unless it is told not to.
        assert!(ours.text().contains(shop));
        assert_eq!(theirs.text().contains(shop), shop.is_ascii());
        let delivered = fake.delivered();
        assert_eq!(delivered.len(), 4);
        for email in &delivered {
            assert_eq!(email.metadata["shop"], shop);
            let person = email.to.as_str().replace("reader", "p").replace("@example.org", "");
            assert_eq!(json!(email.metadata["person"]), json!(person));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn django_anymail_sends_a_batch_through_mailgun() {
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = install(folder.path()) else { return };
    let fake = FakeMailgun::start(Arc::new(ManualClock::new(noon()))).await.unwrap();
    anymail(&python, "mailgun", fake.url(), fake.api_key().expose(), fake.domain(), "Liège").await;
    let delivered = fake.delivered();
    assert_eq!((fake.calls(), delivered.len()), (1, 2));
    for email in &delivered {
        assert_eq!((email.others_shown, email.metadata["shop"].as_str()), (0, "Liège"), "{email:?}");
        assert_eq!(email.subject, "Hello");
    }
}
