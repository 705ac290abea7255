//! The client against a second, independent fake: what we send is what others understand.

use mkt_connect::Secret;
use mkt_connect::http::{Client, Request};
use wiremock::matchers::{basic_auth, body_json, body_string, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn client(server: &MockServer) -> mkt_connect::http::ClientBuilder {
    Client::builder("fake", &server.uri()).allow_insecure_host(&server.address().to_string())
}

#[tokio::test]
async fn credentials_json_and_queries_arrive_as_documented() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v3/smtp/email"))
        .and(header("api-key", "xkeysib-1"))
        .and(header("content-type", "application/json"))
        .and(query_param("dry", "a b&c"))
        .and(body_json(serde_json::json!({"subject": "Déjà vu"})))
        .respond_with(ResponseTemplate::new(201).set_body_json(serde_json::json!({"messageId": "<1@x>"})))
        .expect(1)
        .mount(&server)
        .await;
    let client = client(&server).secret_header("api-key", &Secret::new("xkeysib-1")).build().unwrap();
    let request =
        Request::post("v3/smtp/email").query("dry", "a b&c").json(&serde_json::json!({"subject": "Déjà vu"}));
    let response = client.send(&request).await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.json::<serde_json::Value>().unwrap()["messageId"], "<1@x>");
}

#[tokio::test]
async fn basic_and_bearer_credentials_are_understood() {
    let server = MockServer::start().await;
    Mock::given(basic_auth("api", "key-1"))
        .and(body_string("to=a%40b.example&o%3Atag=x+y"))
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("GET"))
        .and(header("authorization", "Bearer ya29.token"))
        .respond_with(ResponseTemplate::new(204))
        .expect(1)
        .mount(&server)
        .await;
    let mailgun = client(&server).basic_auth("api", &Secret::new("key-1")).build().unwrap();
    let request = Request::post("messages").form([("to", "a@b.example"), ("o:tag", "x y")]);
    assert_eq!(mailgun.send(&request).await.unwrap().status(), 200);
    let google = client(&server).bearer(&Secret::new("ya29.token")).build().unwrap();
    assert_eq!(google.send(&Request::get("report")).await.unwrap().status(), 204);
}
