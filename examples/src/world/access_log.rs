//! The web server's view: the same visits in combined log format, with robots, and with lines that no parser
//! should accept. Local time with its offset, so that the night in October has 02:30 twice.

use super::{
    draw::{Draw, Topic},
    period::{Period, local},
    person::{Device, visitor},
    session::{Kind, Session},
    shop::{PAGES, PRODUCTS, SITE},
};

/// One malformed line after so many good ones.
const MALFORMED_EVERY: u64 = 97;

/// A request as it will stand in the log.
pub(crate) struct Request {
    pub(crate) at: i64,
    pub(crate) robot: bool,
    pub(crate) line: String,
}

/// The requests of a visitor's session: a GET for every page, a POST for what goes into the cart.
pub(crate) fn requests(seed: u64, session: &Session) -> Vec<Request> {
    let mut draw = Draw::stream(seed, Topic::Visitor, u64::from(session.user), 1);
    let device = visitor(seed, session.user).device;
    let agent = match device {
        Device::Mobile => draw.pick(&[
            "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 Version/19.1 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 Chrome/141.0.0.0 Mobile Safari/537.36",
        ]),
        Device::Desktop => draw.pick(&[
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0.0.0 Safari/537.36",
            "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
        ]),
        Device::Tablet => "Mozilla/5.0 (iPad; CPU OS 19_1 like Mac OS X) AppleWebKit/605.1.15 Version/19.1 Safari/604.1",
    };
    let address = address(session.user);
    let mut draw = Draw::stream(seed, Topic::Visit, session.start as u64, u64::from(session.user));
    let mut referer = session.events.first().and_then(|e| e.properties.referrer).unwrap_or("-").to_owned();
    session
        .events
        .iter()
        .map(|event| {
            let url = &event.properties.url;
            let path = url.strip_prefix(SITE).unwrap_or(url);
            let (method, path) = match event.kind {
                Kind::AddToCart => ("POST", "/panier/ajout"),
                Kind::Signup => ("POST", path),
                Kind::PageView | Kind::ProductView | Kind::Purchase => ("GET", path),
            };
            let status = if method == "POST" { 303 } else { 200 };
            let bytes = if method == "POST" { 0 } else { draw.between(4_000, 60_000) };
            let line = line(&address, event.at, method, path, status, bytes, &referer, agent);
            referer.clone_from(url);
            Request { at: event.at, robot: false, line }
        })
        .collect()
}

/// A crawl: a robot that says so, or a scanner that does not and asks for what is not there.
pub(crate) fn crawl(seed: u64, period: &Period, start: i64, robot: u32) -> Vec<Request> {
    let mut draw = Draw::stream(seed, Topic::Crawl, u64::from(robot), 1);
    let (address, agent) = draw.pick(&[
        ("192.0.2.66", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
        ("192.0.2.67", "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"),
        ("198.51.100.9", "Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)"),
        ("203.0.113.5", "python-requests/2.32.3"),
        ("203.0.113.77", "-"),
    ]);
    let polite = agent.starts_with("Mozilla");
    let mut at = start;
    let mut requests = Vec::new();
    for step in 0..draw.between(2, 5) {
        let (path, status) = match (polite, step) {
            (true, 0) => ("/robots.txt".to_owned(), 200),
            (true, _) if draw.chance(0.5) => (draw.pick(&PAGES).to_owned(), 200),
            (true, _) => (PRODUCTS[draw.between(0, PRODUCTS.len() as i64 - 1) as usize].path(), 200),
            (false, _) => (draw.pick(&["/wp-login.php", "/.env", "/admin/", "/xmlrpc.php"]).to_owned(), 404),
        };
        let bytes = draw.between(150, 9_000);
        requests.push(Request {
            at,
            robot: true,
            line: line(address, at, "GET", &path, status, bytes, "-", agent),
        });
        at = (at + draw.between(1, 40)).min(period.close() - 1);
    }
    requests
}

/// What follows the good line number `count`, where something malformed does.
pub(crate) fn malformed_after(count: u64, request: &Request) -> Option<Vec<u8>> {
    if !count.is_multiple_of(MALFORMED_EVERY) {
        return None;
    }
    let stamp = stamp(request.at);
    Some(match (count / MALFORMED_EVERY) % 4 {
        // Cut off by a full disk; ASCII, so that any byte is a character.
        1 => request.line.as_bytes()[..request.line.len().min(60)].to_vec(),
        // TLS spoken to the plain port.
        2 => format!(r#"192.0.2.200 - - [{stamp}] "\x16\x03\x01\x02" 400 150 "-" "-""#).into_bytes(),
        // Bytes that are no UTF-8.
        3 => [b"192.0.2.201 - - \"GET /\xff\xfe\xc3".as_slice(), b" HTTP/1.1\" 400"].concat(),
        // A day that no month has.
        _ => br#"192.0.2.202 - - [32/Foo/2026:25:61:00 +0200] "GET / HTTP/1.1" 200 1 "-" "-""#.to_vec(),
    })
}

/// Addresses of the documentation ranges only (RFC 5737, RFC 3849), one per visitor.
fn address(user: u32) -> String {
    if user < 40 {
        format!("198.51.100.{}", 10 + user)
    } else {
        format!("2001:db8:{:x}:{:x}::1", user >> 16, user & 0xffff)
    }
}

fn stamp(at: i64) -> impl std::fmt::Display {
    local(at).format("%d/%b/%Y:%H:%M:%S %z")
}

#[expect(clippy::too_many_arguments, reason = "the fields of the format, in its order")]
fn line(
    address: &str,
    at: i64,
    method: &str,
    path: &str,
    status: u16,
    bytes: i64,
    referer: &str,
    agent: &str,
) -> String {
    format!(
        r#"{address} - - [{}] "{method} {path} HTTP/1.1" {status} {bytes} "{referer}" "{agent}""#,
        stamp(at)
    )
}
