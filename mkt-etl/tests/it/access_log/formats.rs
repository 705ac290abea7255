//! Every format: one page view of one person, one robot, one line that was cut, each as its server writes it.

use super::{Bench, FIREFOX, log, url};
use mkt_etl::access_log::Format;

const BOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

/// Format, the three lines, and the URL of the page view.
fn samples() -> Vec<(Format, String, &'static str)> {
    let combined = |host: &str, agent: &str, end: &str| {
        format!(
            "{host}192.0.2.7 - - [02/May/2026:10:00:00 +0200] \"GET /tea?x=1 HTTP/1.1\" 200 512 \"https://www.google.com/\" \"{agent}{end}\n"
        )
    };
    let three = |line: &dyn Fn(&str, &str) -> String| {
        [line(FIREFOX, "\""), line(BOT, "\""), line("Mozilla/5.0 (cu", "")].concat()
    };
    let json = |agent: &str, end: &str| {
        format!(
            "{{\"time_iso8601\":\"2026-05-02T10:00:00+02:00\",\"remote_addr\":\"192.0.2.7\",\"host\":\"shop.example\",\"request\":\"GET /tea?x=1 HTTP/2.0\",\"status\":\"200\",\"body_bytes_sent\":\"512\",\"http_referer\":\"https://www.google.com/\",\"http_user_agent\":\"{agent}{end}\n"
        )
    };
    let caddy = |agent: &str, end: &str| {
        format!(
            "{{\"level\":\"info\",\"ts\":1777708800.25,\"logger\":\"http.log.access.log0\",\"msg\":\"handled request\",\"request\":{{\"remote_ip\":\"192.0.2.7\",\"remote_port\":\"50000\",\"client_ip\":\"192.0.2.7\",\"proto\":\"HTTP/2.0\",\"method\":\"GET\",\"host\":\"shop.example\",\"uri\":\"/tea?x=1\",\"headers\":{{\"Referer\":[\"https://www.google.com/\"],\"User-Agent\":[\"{agent}\"]}}}},\"duration\":0.01,\"size\":512,\"status\":200{end}\n"
        )
    };
    let haproxy = |agent: &str, end: &str| {
        format!(
            "May  2 10:00:00 lb haproxy[14389]: 192.0.2.7:33317 [02/May/2026:10:00:00.655] http-in~ static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {{shop.example|https://www.google.com/|{agent}}} \"GET https://shop.example/tea?x=1 HTTP/2.0{end}\n"
        )
    };
    let iis = |agent: &str, end: &str| {
        let agent = agent.replace(' ', "+");
        format!(
            "2026-05-02 08:00:00 10.0.0.1 GET /tea x=1 443 - 192.0.2.7 {agent} https://www.google.com/ 200{end}\n"
        )
    };
    let cloudfront = |agent: &str, end: &str| {
        let agent = agent.replace(' ', "%20");
        format!(
            "2026-05-02\t08:00:00\tCDG50-C1\t512\t192.0.2.7\tGET\td111.cloudfront.net\t/tea\t200\thttps://www.google.com/\t{agent}\tx=1\t-\tHit\tREQ\tshop.example{end}\n"
        )
    };
    let alb = |agent: &str, end: &str| {
        format!(
            "h2 2026-05-02T08:00:00.186641Z app/lb/50dc6c495c0c9188 192.0.2.7:2817 10.0.0.1:80 0.000 0.001 0.000 200 200 34 366 \"GET https://shop.example:443/tea?x=1 HTTP/2.0\" \"{agent}{end}\n"
        )
    };
    let elb = |agent: &str, end: &str| {
        format!(
            "2026-05-02T08:00:00.945958Z lb 192.0.2.7:2817 10.0.0.1:80 0.00 0.00 0.00 200 200 0 29 \"GET https://shop.example:443/tea?x=1 HTTP/1.1\" \"{agent}{end}\n"
        )
    };
    let iis_head = "#Software: Microsoft Internet Information Services 10.0\r\n#Version: 1.0\r\n#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status time-taken\n";
    let front_head = "#Version: 1.0\n#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header\n";
    vec![
        (Format::Combined, three(&|agent, end| combined("", agent, end)), "/tea?x=1"),
        (
            Format::Vhost,
            three(&|agent, end| combined("shop.example:443 ", agent, end)),
            "https://shop.example/tea?x=1",
        ),
        (
            Format::Json,
            [json(FIREFOX, "\"}"), json(BOT, "\"}"), json("Mozilla/5.0 (cu", "")].concat(),
            "https://shop.example/tea?x=1",
        ),
        (
            Format::Caddy,
            [caddy(FIREFOX, "}"), caddy(BOT, "}"), caddy(FIREFOX, "")].concat(),
            "https://shop.example/tea?x=1",
        ),
        (
            Format::Haproxy,
            [haproxy(FIREFOX, "\""), haproxy(BOT, "\""), haproxy(FIREFOX, "")].concat(),
            "https://shop.example/tea?x=1",
        ),
        (
            Format::W3c,
            [iis_head, &iis(FIREFOX, " 15"), &iis(BOT, " 3"), &iis(FIREFOX, "")].concat(),
            "/tea?x=1",
        ),
        (
            Format::W3c,
            [front_head, &cloudfront(FIREFOX, ""), &cloudfront(BOT, ""), "2026-05-02\t08:00:00\tCDG\n"]
                .concat(),
            "https://shop.example/tea?x=1",
        ),
        (Format::Alb, three(&|agent, end| alb(agent, end)), "https://shop.example/tea?x=1"),
        (Format::Elb, three(&|agent, end| elb(agent, end)), "https://shop.example/tea?x=1"),
    ]
}

#[tokio::test]
async fn every_format_is_found_and_gives_the_same_visit() {
    for (format, content, expected) in samples() {
        let bench = Bench::new().await;
        let loaded = bench.log(&content).await;
        assert_eq!(loaded.files[0].format, Some(format), "{content}");
        let counts = (loaded.read, loaded.loaded, loaded.bots, loaded.quarantined, loaded.sessions);
        assert_eq!(counts, (3, 1, 1, 1, 1), "{format}: {:?}", loaded.files);
        let event = bench.events().await.remove(0);
        assert_eq!(url(&event), expected, "{format}");
        let seconds = event.timestamp.format("%Y-%m-%dT%H:%M:%S").to_string();
        assert_eq!(seconds, "2026-05-02T08:00:00", "{format}");
        let session = bench.sessions().await.remove(0);
        assert_eq!(session.device.as_deref(), Some("desktop"), "{format}");
        if !matches!(format, Format::Alb | Format::Elb) {
            let detail = session.channel_detail.unwrap();
            assert_eq!(detail, "Organic Search: referrer Google (search engine)", "{format}");
        }
        assert_eq!(
            bench.numbers("bots").await,
            [("list: Googlebot/".to_owned(), "1".to_owned())].into(),
            "{format}"
        );
        // Found or declared, it is the same.
        let declared = Bench::new().await;
        let again = declared.load(log().format(format).file(declared.file("a.log", &content))).await;
        assert_eq!((again.read, again.events), (3, 1));
    }
}

#[tokio::test]
async fn common_format_without_agents_takes_nobody_for_a_robot_and_says_so() {
    let bench = Bench::new().await;
    let loaded =
        bench.log("192.0.2.7 - - [02/May/2026:10:00:00 +0200] \"GET /tea HTTP/1.1\" 200 512\n").await;
    assert_eq!((loaded.loaded, loaded.bots, loaded.sessions), (1, 0, 1));
    assert_eq!(loaded.files[0].format, Some(Format::Common));
    assert!(loaded.files[0].notes[0].contains("no field for the agent"), "{:?}", loaded.files[0].notes);
}

#[tokio::test]
async fn files_of_different_formats_are_one_log() {
    let bench = Bench::new().await;
    let builder = samples().iter().enumerate().fold(log(), |builder, (at, (_, content, _))| {
        builder.file(bench.file(&format!("{at}.log"), content))
    });
    let loaded = bench.load(builder).await;
    assert_eq!((loaded.read, loaded.loaded, loaded.bots, loaded.quarantined), (27, 9, 9, 9));
    // One person, one agent, one second: one visit.
    assert_eq!(loaded.sessions, 1, "{:?}", bench.sessions().await);
}

#[tokio::test]
async fn a_file_of_no_known_format_is_refused_with_the_reason() {
    let bench = Bench::new().await;
    let path = bench.file("letter.txt", "Dear Sir,\nplease find\n");
    let error = bench.try_load(log().file(&path)).await.unwrap_err().to_string();
    assert!(error.contains("letter.txt is of a known format; name its format"), "{error}");
    let error = bench.try_load(log().format(Format::Combined).file(&path)).await.unwrap_err().to_string();
    assert!(error.contains("the first line is not combined: no time in brackets"), "{error}");
    let missing = bench.try_load(log().file("/nowhere/access.log")).await.unwrap_err();
    assert_eq!(missing.kind(), mkt_connect::ErrorKind::NotFound);
    let empty = bench.log("").await;
    assert_eq!((empty.read, empty.files[0].to_string().as_str()), (0, "access.log: no lines\n"));
}

#[tokio::test]
async fn fields_of_a_w3c_log_may_change_within_the_file() {
    let bench = Bench::new().await;
    let loaded = bench
        .log(
            "#Fields: date time c-ip cs-method cs-uri-stem cs-uri-query sc-status cs(User-Agent)\n\
             2026-05-02 08:00:00 192.0.2.7 GET /a - 200 Mozilla/5.0+(X11)\n\
             #Fields: date time cs-method cs-uri-stem cs-uri-query c-ip sc-status cs(User-Agent)\n\
             2026-05-02 08:00:01 GET /b - 192.0.2.7 200 Mozilla/5.0+(X11)\n",
        )
        .await;
    assert_eq!((loaded.read, loaded.sessions), (2, 1));
    assert_eq!(bench.urls().await, ["/a", "/b"]);
}

#[tokio::test]
async fn a_quoted_field_of_every_servers_escapes_reads_as_it_was_sent() {
    // The agent is: say "hi" \ é
    for (format, line) in [
        (
            "nginx",
            r#"192.0.2.7 - - [02/May/2026:10:00:00 +0200] "GET /\xC3\xA9 HTTP/1.1" 200 5 "-" "say \x22hi\x22 \x5C \xC3\xA9""#,
        ),
        (
            "apache",
            r#"192.0.2.7 - - [02/May/2026:10:00:00 +0200] "GET /\xc3\xa9 HTTP/1.1" 200 5 "-" "say \"hi\" \\ \xc3\xa9""#,
        ),
        (
            "morgan",
            "192.0.2.7 - - [02/May/2026:08:00:00 +0000] \"GET /é HTTP/1.1\" 200 5 \"-\" \"say \"hi\" \\ é\"",
        ),
    ] {
        let bench = Bench::new().await;
        let loaded = bench.log(format!("{line}\n")).await;
        assert_eq!((loaded.read, loaded.loaded), (1, 1), "{format}: {:?}", loaded.files);
        assert_eq!(bench.urls().await, ["/é"], "{format}");
        // The same agent in every server's words is one visitor.
        let user = bench.sessions().await.remove(0).user_id;
        let plain = Bench::new().await;
        plain
            .log(r#"192.0.2.7 - - [02/May/2026:10:30:00 +0200] "GET / HTTP/1.1" 200 5 "-" "say \"hi\" \\ é""#)
            .await;
        assert_eq!(user, plain.sessions().await.remove(0).user_id, "{format}");
    }
}
