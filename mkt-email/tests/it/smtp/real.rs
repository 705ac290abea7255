//! Servers that we did not write, where they are installed: Postfix's `smtp-sink`, and aiosmtpd, a server with TLS and
//! a password. What arrived is compared byte by byte, and read by a parser that is not ours.

use super::tls::signed;
use super::*;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A server process that ends with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

async fn listens(port: u16) -> bool {
    for _ in 0..200 {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

fn root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// Starts `smtp-sink` in a directory, or says that it is not there.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
async fn sink(directory: &Path, options: &[&str]) -> Option<(Process, u16)> {
    let port = free_port();
    let name = ["smtp-sink", "/usr/sbin/smtp-sink"]
        .into_iter()
        .find(|name| Command::new(name).stderr(Stdio::null()).status().is_ok());
    let Some(name) = name else {
        println!("skipped: smtp-sink (Debian: postfix) is not installed");
        return None;
    };
    let mut command = Command::new(name);
    if root() {
        // It will not stay root.
        command.args(["-u", "nobody"]);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(directory, mode).unwrap();
    }
    let child = command
        .args(options)
        .args([&format!("127.0.0.1:{port}"), "100"])
        .current_dir(directory)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let process = Process(child);
    assert!(listens(port).await, "smtp-sink does not listen");
    Some((process, port))
}

fn provider(port: u16) -> SmtpBuilder {
    Smtp::builder("127.0.0.1").port(port).unencrypted().timeouts(Timeouts::all(Duration::from_secs(10)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smtp_sink_has_every_mail_as_it_was_built() {
    let directory = tempfile::tempdir().unwrap();
    let Some((_process, port)) = sink(directory.path(), &["-d", "mail."]).await else { return };
    let smtp = provider(port).connections(4).build().unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..60 {
        let smtp = smtp.clone();
        calls.spawn(async move { send_one(&smtp, number).await.unwrap() });
    }
    for outcome in calls.join_all().await {
        assert!(is_accepted(&outcome), "{outcome:?}");
    }
    let mut arrived: Vec<String> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    arrived.sort();
    assert_eq!(arrived.len(), 60);
    for number in 0..60 {
        let mime =
            message(number).to_mime(IdempotencyKey::from_text(&format!("smtp {number}")), noon()).unwrap();
        // The dump has lines of its own before the email, and the line ends of this machine.
        let mime = String::from_utf8(mime).unwrap().replace("\r\n", "\n");
        let dump = arrived.iter().find(|dump| dump.contains(&mime));
        let dump = dump.unwrap_or_else(|| panic!("mail {number} is not there as it was built"));
        assert!(dump.contains(&format!("X-Rcpt-Args: <reader{number}@example.org>")), "{dump}");
        let email = mail_parser::MessageParser::default().parse(dump.as_bytes()).unwrap();
        assert_eq!((email.subject(), email.body_html(0).as_deref()), (Some("Hello"), Some("<p>Hello</p>")));
    }
}

#[tokio::test]
async fn smtp_sinks_faults_have_the_outcomes_of_the_contract() {
    for (options, fits) in [
        (
            ["-q", "."],
            (|outcome| matches!(outcome, Outcome::Unknown { stage: Stage::AwaitingAnswer }))
                as fn(&Outcome) -> bool,
        ),
        (["-q", "rcpt"], |outcome| matches!(outcome, Outcome::Deferred { .. })),
        (["-q", "data"], |outcome| matches!(outcome, Outcome::Deferred { .. })),
        (["-r", "rcpt"], |outcome| matches!(outcome, Outcome::Deferred { scope: Scope::Recipient, .. })),
        (["-r", "."], |outcome| matches!(outcome, Outcome::Deferred { .. })),
        (["-f", "rcpt"], |outcome| matches!(outcome, Outcome::Rejected { .. })),
        (["-f", "."], |outcome| matches!(outcome, Outcome::Rejected { .. })),
        // No PIPELINING; then no ESMTP at all.
        (["-p", "-p"], is_accepted),
        (["-e", "-e"], is_accepted),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let Some((_process, port)) = sink(directory.path(), &options).await else { return };
        let smtp = provider(port).build().unwrap();
        for number in 0..2 {
            let outcome = send_one(&smtp, number).await.unwrap();
            assert!(fits(&outcome), "{options:?}: {outcome:?}");
        }
    }
}

/// aiosmtpd with our certificate and a user, or nothing where it is not installed. It writes a line of JSON per email.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
async fn python_server(directory: &Path, implicit: bool) -> Option<(Process, ChildStdout, u16, String)> {
    let there = Command::new("python3").args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        println!("skipped: aiosmtpd (pip install aiosmtpd) is not installed");
        return None;
    }
    let signed = signed("127.0.0.1", false);
    let (chain, key) = (directory.join("chain.pem"), directory.join("key.pem"));
    std::fs::write(&chain, super::tls::pem("CERTIFICATE", &signed.chain[0])).unwrap();
    std::fs::write(&key, super::tls::pem("PRIVATE KEY", &signed.key)).unwrap();
    let port = free_port();
    let mut child = Command::new("python3")
        .args(["-c", include_str!("aiosmtpd.py")])
        .args([&chain, &key])
        .args([port.to_string().as_str(), if implicit { "implicit" } else { "starttls" }])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let process = Process(child);
    assert!(listens(port).await, "aiosmtpd does not listen");
    Some((process, stdout, port, signed.authority))
}

#[tokio::test]
async fn a_server_with_tls_and_a_password_takes_mails_as_they_were_built() {
    for implicit in [true, false] {
        let directory = tempfile::tempdir().unwrap();
        let Some((_process, stdout, port, authority)) = python_server(directory.path(), implicit).await
        else {
            return;
        };
        let provider = |password| {
            let builder = Smtp::builder("127.0.0.1").port(port).trust_only(authority.clone());
            let builder = builder.login("shop", Secret::new(password));
            if implicit { builder.implicit_tls() } else { builder }.build().unwrap()
        };
        let error = provider("canary-wrong").check().await.unwrap_err();
        assert_eq!(error.kind(), mkt_connect::ErrorKind::Auth, "{error:?}");
        let smtp = provider("canary-password");
        smtp.check().await.unwrap();
        for number in 0..5 {
            assert!(is_accepted(&send_one(&smtp, number).await.unwrap()));
        }
        let mut lines = BufReader::new(stdout).lines();
        for number in 0..5 {
            let email: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            assert_eq!(
                (email["from"].as_str(), email["tls"].as_bool()),
                (Some("news@example.com"), Some(true))
            );
            assert_eq!(email["to"][0], format!("reader{number}@example.org"));
            let key = IdempotencyKey::from_text(&format!("smtp {number}"));
            let built = String::from_utf8(message(number).to_mime(key, noon()).unwrap()).unwrap();
            assert_eq!(email["bytes"].as_str(), Some(built.as_str()));
        }
        smtp.close().await;
    }
}
