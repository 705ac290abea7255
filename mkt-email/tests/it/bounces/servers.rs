//! Every recorded bounce of three servers leads to the right email, recipient and class.

use super::fixture;
use mkt_email::bounce::{BounceClass, Feedback, RecipientReport, parse};

fn only_report(name: &str, id: &str) -> RecipientReport {
    let message = fixture(name);
    let parsed = parse(&message);
    assert_eq!(parsed.references.message_ids, [id], "{name}");
    let Feedback::Bounce(reports) = parsed.feedback else { panic!("{name}: {:?}", parsed.feedback) };
    let [report] = <[_; 1]>::try_from(reports).unwrap();
    report
}

/// File, `Message-ID` of the returned email, recipient, class, enhanced code, reply code: written down by hand from what
/// each server was told by the other side.
type Expected = (&'static str, &'static str, &'static str, BounceClass, &'static str, Option<u16>);
const BOUNCES: [Expected; 13] = {
    use BounceClass::{Blocked, Hard, Soft};
    const PRODUCT: &str = "c8cb8a79-6cd0-8462-88a3-04f3fe744c5a@mkt.test";
    [
        (
            "postfix-remote-unknown",
            "fact-1796081539.9346058@mkt.test",
            "unknown1@sink.test",
            Hard,
            "5.1.1",
            None,
        ),
        ("postfix-remote-full", "fact-1796081539.9358537@mkt.test", "full1@sink.test", Soft, "5.2.2", None),
        ("postfix-remote-plain", "fact-1796081539.9366798@mkt.test", "plain1@sink.test", Hard, "", Some(550)),
        ("postfix-product-spam9", PRODUCT, "spam9@sink.test", Blocked, "5.7.1", None),
        (
            "exim-remote-unknown",
            "fact-1796081540.2772455@mkt.test",
            "unknown1@sink.test",
            Hard,
            "5.1.1",
            Some(550),
        ),
        ("exim-remote-full", "fact-1796081540.4899638@mkt.test", "full1@sink.test", Soft, "5.2.2", Some(552)),
        ("exim-remote-plain", "fact-1796081540.7016623@mkt.test", "plain1@sink.test", Hard, "", Some(550)),
        ("exim-unknown-local", "fact-1796081540.0619621@mkt.test", "nosuch@mx.mkt.test", Hard, "5.0.0", None),
        // Our own relay's policy, and not the recipient's fault.
        ("exim-nowhere", "fact-1796081541.1347911@mkt.test", "x@elsewhere.example", Soft, "5.0.0", None),
        ("exim-product-spam9", PRODUCT, "spam9@sink.test", Blocked, "5.7.1", Some(554)),
        (
            "opensmtpd-remote-unknown",
            "fact-1796081542.6465797@mkt.test",
            "unknown1@sink.test",
            Hard,
            "5.1.1",
            Some(550),
        ),
        (
            "opensmtpd-remote-full",
            "fact-1796081542.6513965@mkt.test",
            "full1@sink.test",
            Soft,
            "5.2.2",
            Some(552),
        ),
        (
            "opensmtpd-product-plain9",
            "344ef9e1-9dce-838f-8df6-f6a9229146cb@mkt.test",
            "plain9@sink.test",
            Hard,
            "",
            Some(550),
        ),
    ]
};

#[test]
fn bounce_of_a_server_leads_to_email_recipient_and_class() {
    for (name, id, recipient, class, status, reply) in BOUNCES {
        let report = only_report(name, id);
        assert_eq!(report.address.as_deref(), Some(recipient), "{name}");
        assert_eq!(report.class, class, "{name}: {report:?}");
        let found = report.status.map(|status| status.to_string()).unwrap_or_default();
        assert_eq!((found.as_str(), report.reply), (status, reply), "{name}");
    }
}

#[test]
fn every_recorded_bounce_is_in_the_table() {
    let folder = format!("{}/tests/cases/dsn", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut table: Vec<_> = BOUNCES.iter().map(|(name, ..)| format!("{name}.eml")).collect();
    files.sort();
    table.sort();
    assert_eq!(files, table);
}

#[test]
fn nothing_personal_is_in_the_debug_text_of_a_bounce() {
    for (name, _, recipient, ..) in BOUNCES {
        let shown = format!("{:?}", parse(&fixture(name)));
        assert!(!shown.contains('@') && !shown.contains(recipient), "{shown}");
    }
}
