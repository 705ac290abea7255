//! What is said when emails cannot leave: at once, with the reason.

use super::program::{Place, Run};
use mkt_email::SystemClock;
use mkt_email::testing::FakeMailgun;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(unix)]
#[test]
fn unreachable_server_is_named_at_once() {
    let place = Place::of_people(3);
    // A port that was free a moment ago: connections are refused.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("smtp://127.0.0.1:{port}?tls=none");
    let begun = Instant::now();
    let mut child = place.command(&["--provider", "smtp"], &[("SMTP_URL", &url)]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = lines.by_ref().map(Result::unwrap).find(|line| line.contains("refused"));
    assert!(told.is_some(), "the reason is not said");
    assert!(begun.elapsed() < Duration::from_secs(20), "said after {:?}", begun.elapsed());
    // It would wait for the server; a first signal ends that.
    let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(60), "{rest:?}");
    let run = Run::of(output);
    assert_eq!(run.code, Some(130), "{rest:?}");
    assert!(place.log().is_empty(), "nobody was sent anything: {:?}", place.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_refused_is_exit_code_3() {
    let fake = FakeMailgun::start(Arc::new(SystemClock::new())).await.unwrap();
    let place = Place::of_people(2);
    for n in 0..2 {
        fake.refuse(&format!("reader{n}@example.org").parse().unwrap());
    }
    let (url, key) = (fake.url(), fake.api_key());
    let keys = [("MAILGUN_API_KEY", key.expose()), ("MAILGUN_DOMAIN", fake.domain())];
    let run = place.run(&["--provider", "mailgun", "--base-url", &url], &keys);
    let counts = run.counts(3);
    assert_eq!((counts["recipients"], counts["failed"], counts["sent"]), (2, 2, 0));
}

#[test]
fn dry_run_shows_one_email_whole() {
    let place = Place::of_people(2);
    let mut command = Command::new(crate::built::example("welcome_email"));
    command.current_dir(place.path(".")).args(["--subscribers", "inscrits.csv", "--dry-run"]);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    for part in [
        "From: ",
        "To: reader0@example.org",
        "Subject: Bienvenue Jean0 !",
        "Merci de votre inscription",
        "2 would be sent",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("reader1@example.org"), "the first one is enough: {text}");
}
