//! Exim: one process per connection and per delivery.

use super::*;

async fn start() -> Option<Server> {
    const EXIM: u32 = 904;
    let package = package("exim4-daemon-light")?;
    let port = free_port();
    package.folder("var/spool/exim4", EXIM, EXIM, 0o750);
    package.folder("var/log/exim4", EXIM, EXIM, 0o750);
    package.file(
        "etc/exim4/exim4.conf",
        &format!(
            "primary_hostname = mx.example.com
exim_user = Debian-exim
exim_group = Debian-exim
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
tls_advertise_hosts =
host_lookup =
smtp_accept_max = 100
smtp_accept_queue_per_connection = 0
acl_smtp_rcpt = check_rcpt
acl_smtp_data = accept

begin acl
check_rcpt:
  accept domains = example.org
  deny message = relay not permitted

begin routers
all:
  driver = accept
  domains = example.org
  transport = maildir

begin transports
maildir:
  driver = appendfile
  directory = {MAILDIR}
  maildir_format
  create_directory
  user = mailbox
  group = mailbox

begin retry
* * F,2h,1s
"
        ),
    );
    Some(package.start("/usr/sbin/exim4", &["-bdf", "-q1m"], port).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recipients_of_exim_get_one_email_each() {
    let Some(server) = start().await else { return };
    everybody_gets_one_email(&server, smtp(&server), &["var/spool/exim4/input"]).await;
}
