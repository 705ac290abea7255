//! Postfix: PIPELINING, answers that are slowed after 10 errors in a session, and an end of it at 20.

use super::*;
use crate::help::{address, reader};

/// Postfix refuses this recipient for the time being.
const FULL: &str = "full@example.org";

/// The services of a Postfix that delivers to a Maildir, none of them in a `chroot` of its own.
fn services(port: u16) -> String {
    format!(
        "127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"
    )
}

async fn start() -> Option<Server> {
    const POSTFIX: u32 = 903;
    const POSTDROP: u32 = 905;
    let package = package("postfix")?;
    let port = free_port();
    package.folder("var/lib/postfix", POSTFIX, 0, 0o700);
    package.folder("var/spool/postfix/pid", 0, 0, 0o755);
    let queues = ["active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private"];
    for queue in queues.into_iter().chain(["saved", "trace"]) {
        package.folder(&format!("var/spool/postfix/{queue}"), POSTFIX, 0, 0o700);
    }
    for queue in ["maildrop", "public"] {
        package.folder(&format!("var/spool/postfix/{queue}"), POSTFIX, POSTDROP, 0o730);
    }
    package.file("etc/postfix/master.cf", &services(port));
    package.file(
        "etc/postfix/main.cf",
        &format!(
            "compatibility_level = 3.6
myhostname = mx.example.com
mydestination =
mynetworks =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
virtual_mailbox_domains = example.org
virtual_mailbox_maps = regexp:/etc/postfix/mailboxes
virtual_mailbox_base = /
virtual_uid_maps = static:{MAILBOX}
virtual_gid_maps = static:{MAILBOX}
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access regexp:/etc/postfix/access
smtpd_peername_lookup = no
maillog_file = /var/log/postfix.log
maillog_file_prefixes = /var
"
        ),
    );
    package.file("etc/postfix/access", &format!("/^{FULL}$/ 452 4.2.2 Mailbox full\n"));
    package.file("etc/postfix/mailboxes", &format!("/^(reader[0-9]+|full)@example\\.org$/ {MAILDIR}/\n"));
    Some(package.start("/usr/lib/postfix/sbin/master", &["-s"], port).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recipients_of_postfix_get_one_email_each() {
    let Some(server) = start().await else { return };
    let queues =
        ["maildrop", "incoming", "active", "deferred"].map(|queue| format!("var/spool/postfix/{queue}"));
    everybody_gets_one_email(&server, smtp(&server), &queues.each_ref().map(String::as_str)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_recipients_do_not_slow_the_others_down() {
    let Some(server) = start().await else { return };
    // One after the other: Postfix counts errors since the last email that it took.
    let gone = (0..30).map(|number| address(&format!("gone{number}@example.org")));
    let to: Vec<_> = (0..15).map(reader).chain(gone).chain((15..30).map(reader)).collect();
    let (report, took) = send(smtp(&server), 1, &to).await;
    let outcomes = (report.accepted, report.rejected, report.deferred, report.unknown);
    assert_eq!(outcomes, (30, 30, 0, 0), "{report:?}\n{}", server.log());
    println!("60 emails, of which 30 were refused, in {took:.1?}");
    // Each answer after the tenth error takes a second, unless there is a new connection before.
    assert!(took < Duration::from_secs(10), "{took:?}\n{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_mailbox_of_postfix_is_retried_in_hours() {
    let Some(server) = start().await else { return };
    let (report, _) = send(smtp(&server), 1, &[reader(6), address(FULL), reader(8)]).await;
    // Postfix writes "Recipient address rejected" before it, as before a refusal for good and before greylisting.
    assert!(server.log().contains("452 4.2.2 <full@example.org>: Recipient address rejected: Mailbox full"));
    assert_eq!((report.accepted, report.deferred, report.rejected), (2, 1, 0), "{report:?}");
    assert!(report.interruption.is_none(), "{report:?}");
    assert_eq!(report.next_due, Some(noon() + chrono::TimeDelta::hours(4)));
}
