//! Who is told the password, and what is told of it afterwards.

use super::*;
use mkt_connect::{Delivery, ErrorKind};

fn locked() -> SmtpServer {
    SmtpServer::builder().user("canary@shop.example", "canary-password").start().unwrap()
}

fn login(server: &SmtpServer, password: &str) -> SmtpBuilder {
    to(server).login("canary@shop.example", Secret::new(password)).credentials_in_the_clear()
}

#[tokio::test]
async fn plain_is_written_as_rfc_4616_says() {
    let server = SmtpServer::builder().user("tim", "tanstaaftanstaaf").start().unwrap();
    let smtp =
        to(&server).login("tim", Secret::new("tanstaaftanstaaf")).credentials_in_the_clear().build().unwrap();
    assert!(is_accepted(&send_one(&smtp, 1).await.unwrap()));
    // The example of RFC 4616 §4, in base64 as in RFC 4954.
    assert_eq!(server.lines()[1], "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm");
}

#[tokio::test]
async fn login_is_used_where_there_is_nothing_else() {
    let server = SmtpServer::builder()
        .user("canary@shop.example", "canary-password")
        .behave(|seen| (seen.step == Step::Hello).then(|| Act::reply("250-fake\r\n250 AUTH LOGIN")))
        .start()
        .unwrap();
    assert!(is_accepted(&send_one(&login(&server, "canary-password").build().unwrap(), 1).await.unwrap()));
    assert_eq!(server.lines()[1], "AUTH LOGIN");
}

#[tokio::test]
async fn xoauth2_is_written_as_google_says() {
    // curl's test 922.
    let server = SmtpServer::builder().user("user", "mF_9.B5f-4.1JqM").start().unwrap();
    let smtp = to(&server)
        .xoauth2("user", Secret::new("mF_9.B5f-4.1JqM"))
        .credentials_in_the_clear()
        .build()
        .unwrap();
    assert!(is_accepted(&send_one(&smtp, 1).await.unwrap()));
    assert_eq!(server.lines()[1], "AUTH XOAUTH2 dXNlcj11c2VyAWF1dGg9QmVhcmVyIG1GXzkuQjVmLTQuMUpxTQEB");
}

#[tokio::test]
async fn a_token_that_is_refused_gives_the_reason_of_the_challenge() {
    let server = locked();
    let smtp =
        to(&server).xoauth2("canary@shop.example", Secret::new("canary-token")).credentials_in_the_clear();
    let error = send_one(&smtp.build().unwrap(), 1).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "smtp rejected the credentials (authenticate): the server answered 535 5.7.8 (OAuth status 400)"
    );
    assert_eq!(
        (error.kind(), error.delivery(), error.status()),
        (ErrorKind::Auth, Delivery::Answered, Some(535))
    );
    assert_eq!(server.lines()[2], "", "the challenge is answered by an empty line");
}

/// Hands out another token each time.
#[derive(Debug, Default)]
struct Counting(std::sync::atomic::AtomicUsize);

#[async_trait::async_trait]
impl mkt_email::TokenSource for Counting {
    async fn token(&self) -> Result<Secret, Error> {
        let count = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        match count {
            0 => Ok(Secret::new("token-0")),
            _ => Err(Error::new(ErrorKind::Auth, "oauth", "refresh")),
        }
    }
}

#[tokio::test]
async fn a_token_is_asked_for_once_per_connection_and_a_source_that_fails_is_heard() {
    let server = SmtpServer::builder().user("user", "token-0").start().unwrap();
    let smtp =
        to(&server).xoauth2("user", Counting::default()).credentials_in_the_clear().mails_per_connection(2);
    let smtp = smtp.build().unwrap();
    assert!(is_accepted(&send_one(&smtp, 1).await.unwrap()));
    assert!(is_accepted(&send_one(&smtp, 2).await.unwrap()));
    let error = send_one(&smtp, 3).await.unwrap_err();
    assert_eq!((error.service(), error.kind()), ("oauth", ErrorKind::Auth));
}

#[tokio::test]
async fn wrong_credentials_stop_the_sender_and_are_not_shown() {
    for offered in ["AUTH PLAIN", "AUTH LOGIN"] {
        let server = SmtpServer::builder()
            .user("canary@shop.example", "canary-password")
            .behave(move |seen| {
                (seen.step == Step::Hello).then(|| Act::Reply(format!("250-fake\r\n250 {offered}")))
            })
            .start()
            .unwrap();
        let error = send_one(&login(&server, "canary-wrong").build().unwrap(), 1).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.leaves_doubt(), error.is_retryable()),
            (ErrorKind::Auth, false, false)
        );
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        assert_eq!(server.connections(), 1, "wrong credentials were tried again");
    }
}

#[tokio::test]
async fn every_answer_to_credentials_is_an_error_that_echoes_nothing() {
    // AGNhbmFyeQ== is what a server would echo of AUTH PLAIN.
    for (act, kind) in [
        (Act::reply("454 4.7.0 canary AGNhbmFyeQ== try later"), ErrorKind::Unavailable),
        (Act::reply("421 4.7.0 too many canary"), ErrorKind::Unavailable),
        (Act::reply("534 5.7.9 canary"), ErrorKind::Auth),
        (Act::reply("504 canary"), ErrorKind::Auth),
        (Act::reply("354 canary"), ErrorKind::Protocol),
        (Act::reply("334 Y2FuYXJ5"), ErrorKind::Protocol),
        (Act::Raw(b"canary\r\n".to_vec()), ErrorKind::Protocol),
        (Act::Close, ErrorKind::Unavailable),
        (Act::Silence, ErrorKind::Unavailable),
        (Act::RawThenClose(b"235 canary".to_vec()), ErrorKind::Unavailable),
    ] {
        let told = act.clone();
        let server = SmtpServer::builder()
            .user("canary@shop.example", "canary-password")
            .behave(move |seen| (seen.step == Step::Auth).then(|| told.clone()))
            .start()
            .unwrap();
        let error = send_one(&login(&server, "canary-password").build().unwrap(), 1).await.unwrap_err();
        assert_eq!((error.kind(), error.leaves_doubt()), (kind, false), "{act:?} {error:?}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("canary") && !shown.contains("AGNhbmFyeQ"), "{shown}");
    }
}

#[tokio::test]
async fn a_server_that_takes_no_credentials_is_not_told_any() {
    let server = good();
    let error = send_one(&login(&server, "canary-password").build().unwrap(), 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(server.lines().len(), 1, "{:?}", server.lines());
}

#[tokio::test]
async fn credentials_do_not_go_in_the_clear_unless_told() {
    let builder = Smtp::builder("127.0.0.1").unencrypted().login("u", Secret::new("canary"));
    assert_eq!(builder.clone().build().unwrap_err().kind(), ErrorKind::Config);
    assert!(builder.credentials_in_the_clear().build().is_ok());
    let builder = Smtp::builder("127.0.0.1").unencrypted().xoauth2("u", Secret::new("canary"));
    assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_mail_to_a_server_that_wants_credentials_is_kept() {
    let server = locked();
    let error = send_one(&to(&server).build().unwrap(), 1).await.unwrap_err();
    assert_eq!((error.kind(), error.leaves_doubt()), (ErrorKind::Auth, false));
    assert!(server.emails().is_empty());
}

/// It would hold a place in the pool for ever.
#[tokio::test]
async fn a_token_that_never_comes_is_not_waited_for() {
    #[derive(Debug)]
    struct Never;
    #[async_trait::async_trait]
    impl mkt_email::TokenSource for Never {
        async fn token(&self) -> mkt_connect::Result<Secret> {
            std::future::pending().await
        }
    }
    let server = locked();
    let smtp = to(&server).xoauth2("canary@shop.example", Never).credentials_in_the_clear().build().unwrap();
    let error = tokio::time::timeout(PATIENCE * 4, send_one(&smtp, 1)).await.expect("it waits").unwrap_err();
    assert_eq!((error.kind(), error.leaves_doubt()), (ErrorKind::Unavailable, false));
}
