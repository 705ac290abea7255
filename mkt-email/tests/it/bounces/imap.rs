//! IMAP, against a server that says what it is told to say.

use mkt_email::bounce::{FeedbackSource, ImapSource, Mark};
use mkt_email::{ErrorKind, Result, Secret};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// A server that answers a command by its first words; `*` in an answer is the command's tag. Returns its URL and what it
/// was told.
async fn server(answers: Vec<(&'static str, String)>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("imap://shop%40example.org@{}?tls=none", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&heard);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(b"* OK ready\r\n").await.unwrap();
        let mut line = String::new();
        while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
            log.lock().unwrap().push(line.trim_end().to_owned());
            let (tag, command) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
            let known = answers.iter().find(|(begin, _)| command.starts_with(begin));
            let answer = known.map_or("TAG OK done\r\n".to_owned(), |(_, answer)| answer.clone());
            if stream.write_all(answer.replace("TAG", tag).as_bytes()).await.is_err() {
                return;
            }
            line.clear();
        }
    });
    (url, heard)
}

fn search(found: &str) -> (&'static str, String) {
    ("UID SEARCH", format!("* SEARCH {found}\r\nTAG OK done\r\n"))
}

async fn connect(url: &str) -> Result<ImapSource> {
    let password = Secret::new("can\"ary\\");
    ImapSource::from_url(url, password).unwrap().timeout(Duration::from_secs(5)).connect().await
}

#[tokio::test]
async fn unread_messages_are_fetched_and_marked() {
    let message = "Subject: x\r\n\r\n((( {7}\r\n";
    let fetch = format!(
        "* 1 FETCH (UID 7 RFC822.SIZE 900 BODY[]<0> {{{}}}\r\n{message})\r\n* 9 FETCH (FLAGS (\\Seen))\r\n\
         * 2 FETCH (BODY[]<0> {{3}}\r\nabc RFC822.SIZE 3 UID 3)\r\n\
         * 3 FETCH (UID 99 RFC822.SIZE 3 BODY[]<0> {{3}}\r\nxyz)\r\n* XUNKNOWN (a)\r\nTAG OK done\r\n",
        message.len()
    );
    let (url, heard) = server(vec![search("7 3 3"), ("UID FETCH", fetch)]).await;
    let mut source = connect(&url).await.unwrap();
    let messages = source.read(100).await.unwrap();
    // In the order of their numbers; what nobody asked for is left out.
    let found: Vec<_> = messages
        .iter()
        .map(|message| (message.id.as_str(), message.bytes.as_slice(), message.is_cut))
        .collect();
    assert_eq!(found, [("3", &b"abc"[..], false), ("7", message.as_bytes(), true)]);
    source.mark(&[("3".to_owned(), Mark::Flagged), ("7".to_owned(), Mark::Read)]).await.unwrap();
    assert!(source.read(100).await.unwrap().is_empty());
    source.close().await;
    let heard = heard.lock().unwrap();
    assert_eq!(
        heard[1..],
        [
            "a2 LOGIN \"shop@example.org\" \"can\\\"ary\\\\\"",
            "a3 SELECT \"INBOX\"",
            "a4 UID SEARCH UNSEEN UNDELETED",
            "a5 UID FETCH 3,7 (UID RFC822.SIZE BODY.PEEK[]<0.262144>)",
            "a6 UID STORE 7 +FLAGS.SILENT (\\Seen)",
            "a7 UID STORE 3 +FLAGS.SILENT (\\Seen \\Flagged)",
            "a8 LOGOUT",
        ]
    );
}

#[tokio::test]
async fn refusals_and_nonsense_are_errors_without_secrets() {
    let login = |answer: &str| ("LOGIN", answer.to_owned());
    let endless = "* 1 FETCH (UID 1 BODY[]<0> {999999999}\r\n".to_owned();
    for (answers, kind) in [
        (vec![login("TAG NO [AUTHENTICATIONFAILED] shop@example.org can\"ary\r\n")], ErrorKind::Auth),
        (vec![("SELECT", "TAG NO no such folder\r\n".to_owned())], ErrorKind::NotFound),
        (vec![login("* BYE going down\r\n")], ErrorKind::Unavailable),
        (vec![login("HTTP/1.1 200 OK\r\n")], ErrorKind::Protocol),
        (vec![("UID SEARCH", "TAG BAD what\r\n".to_owned())], ErrorKind::Other),
        (vec![search("1"), ("UID FETCH", endless)], ErrorKind::Protocol),
        (vec![search("1"), ("UID FETCH", "x".repeat(400_000))], ErrorKind::Protocol),
    ] {
        let (url, _) = server(answers).await;
        let error = match connect(&url).await {
            Err(error) => error,
            Ok(mut source) => source.read(10).await.unwrap_err(),
        };
        assert_eq!(error.kind(), kind, "{error:?}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("ary") && !shown.contains("shop@"), "{shown}");
    }
}

#[tokio::test]
async fn vanished_messages_are_not_the_end() {
    let fetch = "* 1 FETCH (UID 40 RFC822.SIZE 1 BODY[]<0> {1}\r\nx)\r\nTAG OK done\r\n".to_owned();
    let numbers = (1..=40).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
    let (url, _) = server(vec![search(&numbers), ("UID FETCH", fetch)]).await;
    let mut source = connect(&url).await.unwrap();
    let messages = source.read(100).await.unwrap();
    assert_eq!((messages.len(), messages[0].id.as_str()), (1, "40"));
    assert!(source.read(100).await.unwrap().is_empty());
}
