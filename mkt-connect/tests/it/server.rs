//! The scripted server, and the client against it: what connectors build on.

use mkt_connect::http::{Client, Request};
use mkt_connect::testing::{Answer, Server};
use mkt_connect::{Delivery, ErrorKind, Secret};
use std::time::Duration;

pub(crate) fn client(server: &Server) -> Client {
    Client::builder("fake", &server.url())
        .allow_insecure_host(&server.authority())
        .read_timeout(Duration::from_millis(400))
        .total_timeout(Duration::from_secs(3))
        .build()
        .expect("the settings are right")
}

#[tokio::test]
async fn form_arrives_unchanged() {
    let server = Server::start(|request| {
        assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
        Answer::json(format!(r#"{{"echo":"{}"}}"#, request.form_value("name").unwrap_or_default()))
            .header("x-left", "7")
    })
    .await
    .unwrap();
    let request = Request::post("index.php")
        .query("module", "API & co")
        .form([("name", "Zoë 1+1")])
        .secret_form_field("token_auth", &Secret::new("abcd"))
        .header("x-extra", "yes");
    let response = client(&server).send(&request).await.unwrap();
    assert_eq!((response.status(), response.header("X-Left")), (200, Some("7")));
    assert_eq!(response.json::<serde_json::Value>().unwrap(), serde_json::json!({"echo": "Zoë 1+1"}));

    let received = &server.requests()[0];
    assert_eq!((received.method.as_str(), received.path.as_str()), ("POST", "/index.php"));
    assert_eq!(received.query_value("module").as_deref(), Some("API & co"));
    assert_eq!(received.form_value("token_auth").as_deref(), Some("abcd"));
    assert_eq!(received.header("x-extra"), Some("yes"));
    assert!(received.header("user-agent").unwrap().starts_with("mkt-connect/"));
}

#[tokio::test]
async fn a_path_is_appended_to_the_path_of_the_base_url() {
    let server = Server::start(|_| Answer::status(204)).await.unwrap();
    for (base, path, expected) in [
        ("", "", "/"),
        ("/matomo", "index.php", "/matomo/index.php"),
        ("/matomo/", "/index.php", "/matomo/index.php"),
        ("/matomo/index.php", "", "/matomo/index.php"),
        ("/v3", "contacts/a%40b.example", "/v3/contacts/a%40b.example"),
    ] {
        let client = Client::builder("fake", &format!("{}{base}", server.url()))
            .allow_insecure_host(&server.authority())
            .build()
            .unwrap();
        client.send(&Request::get(path)).await.unwrap();
        assert_eq!(server.requests().last().unwrap().path, expected, "{base} + {path}");
    }
}

#[tokio::test]
async fn a_path_cannot_leave_the_base_url() {
    let server = Server::start(|_| Answer::status(204)).await.unwrap();
    let client = client(&server);
    for path in ["../admin", "a/../../b", "a/%2e%2E/b", "..", "a?b=c", "a#b", "a\\b", "a\r\nb", "."] {
        let error = client.send(&Request::get(path)).await.unwrap_err();
        assert_eq!((error.kind(), error.delivery()), (ErrorKind::Input, Delivery::NotSent), "{path:?}");
    }
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let server = Server::start(|request| Answer::text(request.path.clone())).await.unwrap();
    let client = client(&server);
    for number in 0..50 {
        let response = client.send(&Request::get(format!("{number}"))).await.unwrap();
        assert_eq!(response.text(), format!("/{number}"));
    }
    assert_eq!((server.hits(), server.connections()), (50, 1));
}

#[tokio::test]
async fn many_connections_are_served_at_once() {
    let server = Server::start(|_| Answer::text("late").delay(Duration::from_millis(150))).await.unwrap();
    let client = client(&server);
    let started = std::time::Instant::now();
    let requests = (0..20).map(|_| {
        let client = client.clone();
        async move { client.send(&Request::get("x")).await.map(|response| response.status()) }
    });
    let answers = futures_util::future::join_all(requests).await;
    assert!(answers.iter().all(|answer| matches!(answer, Ok(200))), "{answers:?}");
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn scripted_responses_come_in_order_then_500() {
    let server = Server::scripted([Answer::text("one"), Answer::status(404)]).await.unwrap();
    let client = client(&server);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(client.send(&Request::get("x")).await.unwrap().status());
    }
    assert_eq!(seen, [200, 404, 500]);
}

#[tokio::test]
async fn a_chunked_answer_is_put_together() {
    let body = "0123456789".repeat(1000);
    let server = Server::scripted([Answer::text(body.clone()).chunked()]).await.unwrap();
    assert_eq!(client(&server).send(&Request::get("x")).await.unwrap().text(), body);
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let server = Server::start(|_| Answer::status(200)).await.unwrap();
    let client = client(&server);
    client.send(&Request::get("x")).await.unwrap();
    drop(server);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(client.send(&Request::get("x")).await.is_err());
}
