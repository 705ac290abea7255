//! OpenSMTPD: no PIPELINING, and 100 emails per session.

use super::*;

async fn start() -> Option<Server> {
    let package = package("opensmtpd")?;
    let port = free_port();
    package.folder("var/lib/opensmtpd/empty", 0, 0, 0o755);
    package.file(
        "etc/smtpd.conf",
        &format!(
            "table users {{ \"@example.org\" = \"mailbox\" }}
listen on 127.0.0.1 port {port}
action \"deliver\" maildir \"{MAILDIR}\" virtual <users>
match from any for domain \"example.org\" action \"deliver\"
"
        ),
    );
    Some(package.start("/usr/sbin/smtpd", &["-d", "-f", "/etc/smtpd.conf"], port).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_limited_to_100_emails_are_renewed() {
    let Some(server) = start().await else { return };
    // Without a limit of ours, the sessions meet the server's.
    let smtp = smtp(&server).mails_per_connection(10_000);
    everybody_gets_one_email(&server, smtp, &["var/spool/smtpd/incoming", "var/spool/smtpd/queue"]).await;
    let log = server.log();
    assert!(log.contains("Too many messages sent"), "the limit was not met:\n{log}");
    let sessions = log.matches(" smtp connected ").count();
    // One of them is the connection that found the server listening.
    assert!((11..=15).contains(&sessions), "{sessions} sessions");
}
