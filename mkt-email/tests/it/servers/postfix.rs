//! Postfix: PIPELINING, answers that are slowed after 10 errors in a session, and an end of it at 20.

use super::*;
use crate::help::{address, reader};

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
smtpd_peername_lookup = no
maillog_file = /var/log/postfix.log
maillog_file_prefixes = /var
"
        ),
    );
    package.file("etc/postfix/mailboxes", &format!("/^reader[0-9]+@example\\.org$/ {MAILDIR}/\n"));
    Some(package.start("/usr/lib/postfix/sbin/master", &["-i"], port).await)
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
    let to: Vec<_> = (0..60)
        .map(
            |number| {
                if number % 2 == 0 { reader(number) } else { address(&format!("gone{number}@example.org")) }
            },
        )
        .collect();
    let (report, took) = send(smtp(&server), 1, &to).await;
    let outcomes = (report.accepted, report.rejected, report.deferred, report.unknown);
    assert_eq!(outcomes, (30, 30, 0, 0), "{report:?}\n{}", server.log());
    println!("60 emails, of which 30 were refused, in {took:.1?}");
    // Each answer after the tenth error of a session takes a second: 85 s in all on one connection.
    assert!(took < Duration::from_secs(10), "{took:?}\n{}", server.log());
}
