//! Hostile messages: nothing panics, nothing takes long, nothing is kept without a bound.

use super::fixture;
use mkt_email::bounce::{Feedback, References, parse};
use rand::{Rng, SeedableRng};
use std::time::{Duration, Instant};

fn within_a_second(message: &[u8]) {
    let began = Instant::now();
    let parsed = parse(message);
    assert!(began.elapsed() < Duration::from_secs(1), "{} bytes: {:?}", message.len(), began.elapsed());
    let References { message_ids, return_paths, .. } = parsed.references;
    assert!(message_ids.len() <= References::MAX && return_paths.len() <= References::MAX);
    if let Feedback::Bounce(reports) | Feedback::Delayed(reports) = parsed.feedback {
        assert!(reports.len() <= 1_000);
        assert!(reports.iter().all(|report| report.diagnostic.chars().count() <= 500));
    }
}

#[test]
fn nested_messages_and_multiparts_are_not_followed() {
    within_a_second("Content-Type: message/rfc822\n\n".repeat(20_000).as_bytes());
    within_a_second("Content-Type: multipart/mixed; boundary=b\n\n--b\n".repeat(20_000).as_bytes());
    let many: String =
        (0..5_000).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n")).collect();
    within_a_second(format!("From: mailer-daemon@x.example\n{many}").as_bytes());
}

#[test]
fn lists_and_fields_without_end_are_bounded() {
    let head = "From: mailer-daemon@x.example\nContent-Type: multipart/report; boundary=b\n\n--b\n\n";
    let status = "\n--b\nContent-Type: message/delivery-status\n\n";
    let group = "Final-Recipient: rfc822; a@b.example\nAction: failed\nStatus: 5.0.0\n\n";
    within_a_second(format!("{head}a@b.example{status}{}", group.repeat(3_000)).as_bytes());
    within_a_second(format!("{head}{}{status}{group}", "550 5.1.1 ".repeat(20_000)).as_bytes());
    within_a_second(
        format!("{head}{status}Diagnostic-Code: smtp;\n{}", " 5.1.1\n".repeat(40_000)).as_bytes(),
    );
    within_a_second(format!("References: {}\nSubject: x\n\n", "<a@b.example> ".repeat(20_000)).as_bytes());
    within_a_second(format!("To: {}\nSubject: x\n\n", "a@b.example, ".repeat(20_000)).as_bytes());
    within_a_second(&b"\n".repeat(300_000));
    within_a_second(&b"\xff".repeat(300_000));
}

#[test]
fn altered_bounces_never_panic() {
    let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(22);
    let bounces: Vec<_> =
        ["postfix-remote-unknown", "exim-product-spam9", "opensmtpd-remote-full"].map(fixture).into();
    for round in 0..3_000 {
        let mut bounce = bounces[round % bounces.len()].clone();
        for _ in 0..random.random_range(1..20) {
            let at = random.random_range(0..bounce.len());
            match random.random_range(0..4) {
                0 => bounce[at] = random.random(),
                1 => bounce.truncate(at.max(1)),
                2 => drop(bounce.remove(at)),
                _ => bounce.insert(at, b"\r\n :;<>@-"[random.random_range(0..9)]),
            }
            if bounce.is_empty() {
                break;
            }
        }
        within_a_second(&bounce);
    }
}

#[test]
fn bounce_cut_at_any_byte_never_panics() {
    let bounce = fixture("exim-remote-unknown");
    for end in 0..bounce.len() {
        let _ = parse(&bounce[..end]);
    }
}
