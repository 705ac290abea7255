//! Debian's mail servers, run from their packages where `MKT_TEST_SERVERS=1` is set: an outbox sends to 1,000 recipients
//! in one run, and every server has delivered one email to each of them.
//!
//! Needs apt, the network and root, on Debian; what is missing is named in "skipped".

mod exim;
mod opensmtpd;
mod package;
mod postfix;

use crate::help::{clock, noon, transactional};
use mkt_email::{EmailAddress, Outbox, RunOptions, RunReport, Smtp, SmtpBuilder, Timeouts};
use package::{MAILBOX, MAILDIR, Package, Server, Skipped, free_port};
use std::time::{Duration, Instant};

const RECIPIENTS: usize = 1_000;
const CONNECTIONS: usize = 4;

/// Unpacks a package, or says why the test is skipped.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn package(name: &'static str) -> Option<Package> {
    let package: Result<_, Skipped> = if std::env::var("MKT_TEST_SERVERS").is_ok_and(|value| value == "1") {
        Package::unpack(name)
    } else {
        Err("MKT_TEST_SERVERS=1 is not set".to_owned())
    };
    package.inspect_err(|reason| println!("skipped: {name}: {reason}")).ok()
}

fn smtp(server: &Server) -> SmtpBuilder {
    let timeouts = Timeouts::all(Duration::from_secs(60));
    Smtp::builder("127.0.0.1").port(server.port).unencrypted().timeouts(timeouts)
}

fn readers() -> Vec<EmailAddress> {
    (0..RECIPIENTS).map(crate::help::reader).collect()
}

/// Sends one email to each recipient in one run over an outbox in a file; how long the run took.
async fn send(smtp: SmtpBuilder, connections: usize, to: &[EmailAddress]) -> (RunReport, Duration) {
    let smtp = smtp.connections(connections).build().unwrap();
    let mut options = RunOptions::default();
    options.calls_in_flight = connections;
    let directory = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(directory.path().join("marketing.db")).await.unwrap();
    let emails: Vec<_> = to.iter().map(|to| transactional("servers", to)).collect();
    outbox.enqueue(&emails, noon()).await.unwrap();
    let began = Instant::now();
    let report = outbox.run(&smtp, &clock(), &options).await.unwrap();
    let took = began.elapsed();
    smtp.close().await;
    let counts = outbox.counts(None).await.unwrap();
    assert!(counts.add_up() && counts.recipients == to.len() as u64, "{counts:?}");
    assert_eq!((counts.sent, counts.failed), (report.accepted, report.rejected), "{counts:?}");
    (report, took)
}

/// Sends to everybody, and compares with what the server has delivered.
#[expect(clippy::print_stdout, reason = "the time is a result")]
async fn everybody_gets_one_email(server: &Server, smtp: SmtpBuilder, queues: &[&str]) {
    let (report, took) = send(smtp, CONNECTIONS, &readers()).await;
    let outcomes = (report.accepted, report.rejected, report.deferred, report.unknown, report.repeated);
    assert_eq!(outcomes, (RECIPIENTS as u64, 0, 0, 0, 0), "{report:?}\n{}", server.log());
    let began = Instant::now();
    let mut expected: Vec<_> = readers().iter().map(|reader| reader.as_str().to_owned()).collect();
    expected.sort();
    assert_eq!(server.delivered(queues).await, expected);
    println!("{RECIPIENTS} emails accepted in {took:.1?}, delivered {:.1?} later", began.elapsed());
}
