//! Credentials go to the configured host over TLS, and nowhere else.

use crate::server::client;
use mkt_connect::http::address::is_public;
use mkt_connect::http::{Client, Request};
use mkt_connect::testing::{Answer, Server};
use mkt_connect::{Delivery, ErrorKind, Secret};
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn redirect_is_not_followed_and_no_credentials_leave() {
    let elsewhere = Server::start(|_| Answer::status(200)).await.unwrap();
    for status in [301, 302, 303, 307, 308] {
        let target = format!("{}/stolen?canary=1", elsewhere.url());
        let server =
            Server::start(move |_| Answer::status(status).header("location", target.clone())).await.unwrap();
        let request = Request::post("send").secret_header("api-key", &Secret::new("canary-key"));
        let error = client(&server).send(&request).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Protocol, Delivery::Answered));
        assert_eq!(error.status(), Some(status));
        let text = format!("{error} {error:?}");
        assert!(!text.contains("canary") && !text.contains("127.0.0.1"), "{text}");
        assert_eq!(server.hits(), 1);
    }
    assert_eq!(elsewhere.hits(), 0);
}

#[tokio::test]
async fn plain_http_needs_an_allowed_host() {
    let server = Server::start(|_| Answer::status(200)).await.unwrap();
    let build = |allowed: &[&str]| {
        allowed
            .iter()
            .fold(Client::builder("fake", &server.url()), |builder, host| builder.allow_insecure_host(host))
            .build()
    };
    let port = server.port();
    assert_eq!(build(&[]).unwrap_err().kind(), ErrorKind::Config);
    for other in ["matomo.intranet", "127.0.0.2", &format!("127.0.0.1:{}", port ^ 1), "localhost"] {
        assert_eq!(build(&[other]).unwrap_err().kind(), ErrorKind::Config, "{other}");
    }
    for named in ["127.0.0.1", &format!("127.0.0.1:{port}"), "0x7f.1"] {
        assert!(build(&[named]).is_ok(), "{named}");
    }
    for wrong in ["http://127.0.0.1", "127.0.0.1:99999", "a b", "user@host", "host/path"] {
        assert_eq!(build(&[wrong]).unwrap_err().kind(), ErrorKind::Config, "{wrong}");
    }
    assert_eq!(server.hits(), 0);
}

#[test]
fn sixty_spellings_of_private_addresses_are_rejected() {
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "127.255.255.254",
        "0.0.0.0",
        "0",
        "0x0",
        "10.0.0.1",
        "10.255.255.255",
        "0xa.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "192.168.1.1",
        "3232235777",
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "169.254.170.2",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "%31%32%37.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[::ffff:10.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::169.254.169.254]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[2002:a9fe:a9fe::1]",
        "[2001:0:7f00:1::1]",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fec0::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "8.8.8.8",
        "[2606:4700::1111]",
    ];
    assert!(hosts.len() >= 60, "{}", hosts.len());
    for host in hosts {
        let built = Client::builder("fake", &format!("https://{host}/")).build();
        let error = built.expect_err(host);
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Config, Delivery::NotSent), "{host}");
    }
}

#[test]
fn base_url_with_credentials_or_query_is_rejected_unquoted() {
    for url in [
        "https://user:canary@api.example",
        "https://canary@api.example",
        "https://api.example/?key=canary",
        "https://api.example/#canary",
        "ftp://canary.example",
        "file:///etc/canary",
        "canary",
        "",
        "https://",
        "https://canary%00.example",
        "javascript:canary",
    ] {
        let error = Client::builder("fake", url).build().expect_err(url);
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
    assert!(Client::builder("fake", " https://api.brevo.com/v3 ").build().is_ok());
}

#[test]
fn public_addresses_are_public() {
    // Addresses of well-known public resolvers and sites, and the edges of the special ranges.
    for address in [
        "8.8.8.8",
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "169.253.255.255",
        "192.167.255.255",
        "192.169.0.0",
        "223.255.255.255",
        "198.17.255.255",
        "198.20.0.0",
        "2606:4700:4700::1111",
        "2001:4860:4860::8888",
        "2a00:1450:4007:80c::200e",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ] {
        assert!(is_public(address.parse().unwrap()), "{address}");
    }
}

#[tokio::test]
async fn no_secret_is_written_to_a_peer_without_tls() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = vec![0_u8; 16 * 1024];
        let count = stream.read(&mut bytes).await.unwrap();
        bytes.truncate(count);
        bytes
    });
    let client = Client::builder("fake", &format!("https://127.0.0.1:{port}/canary-path"))
        .allow_insecure_host("127.0.0.1")
        .secret_header("api-key", &Secret::new("canary-key"))
        .build()
        .unwrap();
    let error = client.send(&Request::post("send").form([("a", "canary-body")])).await.unwrap_err();
    assert_eq!(error.delivery(), Delivery::NotSent, "{error}");
    let heard = heard.await.unwrap();
    // A TLS handshake record, and nothing of ours in it.
    assert_eq!(heard.first(), Some(&0x16));
    assert!(!String::from_utf8_lossy(&heard).contains("canary"));
}
