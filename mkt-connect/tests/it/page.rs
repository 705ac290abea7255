//! Pages as a stream.

use futures_util::{StreamExt, TryStreamExt};
use mkt_connect::http::{Client, Page, Paging, Request};
use mkt_connect::testing::{Answer, Server};
use mkt_connect::{Error, ErrorKind, Result};

/// Pages of one number each: 0 to `last`, or round and round from `back_to`.
async fn pages(last: u32, back_to: Option<u32>) -> Server {
    Server::start(move |request| {
        let page: u32 = request.query_value("after").map_or(0, |after| after.parse().unwrap());
        let next = if page < last { Some(page + 1) } else { back_to };
        Answer::json(
            serde_json::json!({"items": [page], "next": next.map(|next| next.to_string())}).to_string(),
        )
    })
    .await
    .unwrap()
}

#[derive(serde::Deserialize)]
struct Wire {
    items: Vec<u32>,
    next: Option<String>,
}

async fn fetch(client: &Client, after: Option<String>) -> Result<Page<u32>> {
    let mut request = Request::get("items");
    if let Some(after) = after {
        request = request.query("after", after);
    }
    let wire: Wire = client.send(&request).await?.json()?;
    Ok(Page { items: wire.items, next: wire.next })
}

async fn walk(server: &Server, max_pages: u64) -> (Vec<u32>, Option<Error>) {
    let client = crate::server::client(server);
    let stream = Paging::new("fake", "list items").max_pages(max_pages).pages(|after| fetch(&client, after));
    let mut stream = std::pin::pin!(stream);
    let mut items = Vec::new();
    loop {
        match stream.try_next().await {
            Ok(Some(page)) => items.extend(page.items),
            Ok(None) => return (items, None),
            Err(error) => return (items, Some(error)),
        }
    }
}

#[tokio::test]
async fn all_pages_are_read_in_their_order() {
    let server = pages(4, None).await;
    let (items, error) = walk(&server, 10).await;
    assert_eq!((items, error.is_none(), server.hits()), (vec![0, 1, 2, 3, 4], true, 5));
}

#[tokio::test]
async fn a_dropped_stream_asks_for_nothing_more() {
    let server = pages(1000, None).await;
    let client = crate::server::client(&server);
    let stream = Paging::new("fake", "list items").pages(|after| fetch(&client, after));
    let first: Vec<_> = stream.take(3).collect().await;
    assert!(first.iter().all(Result::is_ok));
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(server.hits(), 3);
}

#[tokio::test]
async fn pages_that_go_round_end_with_an_error() {
    for back_to in [0, 2, 3] {
        let server = pages(3, Some(back_to)).await;
        let (items, error) = walk(&server, 1000).await;
        assert_eq!(error.expect("the pages go round").kind(), ErrorKind::Protocol);
        // Going back to the first page is only seen when it gives its cursor again: its own was never named.
        let expected = if back_to == 0 { vec![0, 1, 2, 3, 0] } else { vec![0, 1, 2, 3] };
        assert_eq!(items, expected, "{back_to}");
    }
}

#[tokio::test]
async fn more_pages_than_allowed_end_with_an_error() {
    let server = pages(1000, None).await;
    let (items, error) = walk(&server, 5).await;
    assert_eq!((items.len(), server.hits()), (5, 5));
    assert_eq!(error.unwrap().kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn the_error_of_a_page_ends_the_stream() {
    let server = Server::scripted([
        Answer::json(r#"{"items":[1],"next":"a"}"#),
        Answer::json("oops"),
        Answer::json(r#"{"items":[2]}"#),
    ])
    .await
    .unwrap();
    let client = crate::server::client(&server);
    let stream = Paging::new("fake", "list items").pages(|after| fetch(&client, after));
    let all: Vec<_> = stream.collect().await;
    assert_eq!((all.len(), all[1].is_err(), server.hits()), (2, true, 2));
}
