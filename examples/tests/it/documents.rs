//! The tables of the README that are written from the crates' own `Capabilities`. `BLESS=1` writes them anew.

use chrono_tz::Europe::Paris;
use mkt_connect::Secret;
use mkt_email::message::Feature;
use mkt_email::provider::Capabilities;
use mkt_email::{Brevo, EmailProvider, Maildir, Mailgun, Smtp};
use mkt_etl::AnalyticsSource;
use mkt_etl::at_internet::AtInternet;
use mkt_etl::csv::CsvSource;
use mkt_etl::matomo::Matomo;
use mkt_social::bluesky::Bluesky;
use mkt_social::graph::Graph;
use mkt_social::mastodon::Mastodon;
use mkt_social::{Metric, SocialSource};
use std::fmt::Write;
use std::fs;
use std::path::Path;

const BEGIN: &str = "<!-- capabilities -->\n";
const END: &str = "<!-- /capabilities -->";

#[test]
fn readme_tables_equal_the_capabilities() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (held, after) = rest.split_once(END).unwrap();
    let tables = format!("{}\n{}\n{}", providers(), sources(), networks());
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{tables}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(held, tables, "BLESS=1 writes the tables anew");
}

fn secret() -> Secret {
    Secret::new("no key at all")
}

fn table(text: &mut String, head: &str, columns: &[&str], rows: Vec<(String, Vec<String>)>) {
    let _ = writeln!(text, "| {head} | {} |", columns.join(" | "));
    let _ = writeln!(text, "|---|{}", "---|".repeat(columns.len()));
    for (name, cells) in rows {
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
}

fn yes(yes: bool) -> String {
    (if yes { "yes" } else { "–" }).to_owned()
}

fn providers() -> String {
    let folder = tempfile::tempdir().unwrap();
    let brevo = Brevo::builder(secret()).build().unwrap();
    let mailgun = Mailgun::builder(secret(), "mg.example.org").build().unwrap();
    let smtp = Smtp::from_url(&Secret::new("smtps://user:word@smtp.example.org")).unwrap().build().unwrap();
    let maildir = Maildir::open(folder.path()).unwrap();
    let all: [(&str, &Capabilities); 4] = [
        ("Brevo", brevo.capabilities()),
        ("Mailgun", mailgun.capabilities()),
        ("SMTP", smtp.capabilities()),
        ("mail directory", maildir.capabilities()),
    ];
    let row = |cell: &dyn Fn(&Capabilities) -> String| all.iter().map(|(_, it)| cell(it)).collect::<Vec<_>>();
    let mut rows: Vec<(String, Vec<String>)> =
        Feature::ALL.iter().map(|feature| (feature.to_string(), row(&|it| yes(it.has(*feature))))).collect();
    rows.push(("recipients in one call".to_owned(), row(&|it| it.max_recipients.to_string())));
    rows.push(("an id for each recipient".to_owned(), row(&|it| yes(it.id_per_recipient))));
    let size = |it: &Capabilities| {
        it.max_message_bytes.map_or("–".to_owned(), |bytes| format!("{} MB", bytes / 1_000_000))
    };
    rows.push(("largest message".to_owned(), row(&size)));
    let mut text = String::new();
    table(&mut text, "email provider", &all.map(|(name, _)| name), rows);
    text
}

fn sources() -> String {
    let matomo =
        Matomo::builder("https://stats.example.org").token(secret()).site(1).all_streams().build().unwrap();
    let daily = mkt_etl::at_internet::Report::new("daily", ["device_type", "m_visits"]);
    let piano =
        AtInternet::builder("https://api.atinternet.io").key(secret()).space(1, Paris).report(daily.unwrap());
    let piano = piano.build().unwrap();
    let files = ["sessions", "events", "customers", "costs"];
    let csv =
        CsvSource::builder("shop", Paris).sessions("s.csv").events("e.csv").customers("c.csv").costs("k.csv");
    let csv = csv.build().unwrap();
    let of = |source: &dyn AnalyticsSource| {
        let it = source.capabilities();
        let mut streams: Vec<String> = it.streams.iter().map(|stream| format!("`{}`", stream.name)).collect();
        streams.dedup();
        vec![streams.join(", "), yes(it.control_totals)]
    };
    let mut csv_cells = of(&csv);
    csv_cells[0] = files.map(|name| format!("`{name}`")).join(", ");
    let rows = vec![
        ("Matomo".to_owned(), of(&matomo)),
        ("AT Internet / Piano Analytics".to_owned(), of(&piano)),
        ("CSV files".to_owned(), csv_cells),
    ];
    let mut text = String::new();
    table(&mut text, "analytics source", &["streams", "compared with totals counted another way"], rows);
    text
}

fn networks() -> String {
    let page = Graph::facebook_page("1", secret()).build().unwrap();
    let instagram = Graph::instagram("1", secret()).build().unwrap();
    let bluesky = Bluesky::app_view("shop.example").build().unwrap();
    let mastodon = Mastodon::builder("https://mastodon.example", "shop").build().unwrap();
    let all: [(&str, &dyn SocialSource); 4] =
        [("Facebook page", &page), ("Instagram", &instagram), ("Bluesky", &bluesky), ("Mastodon", &mastodon)];
    let rows = Metric::ALL.iter().map(|metric| {
        let cells = all.iter().map(|(_, source)| yes(source.capabilities().metrics.contains(metric)));
        (metric.as_str().to_owned(), cells.collect())
    });
    let mut text = String::new();
    table(&mut text, "metric of a post", &all.map(|(name, _)| name), rows.collect());
    text
}
