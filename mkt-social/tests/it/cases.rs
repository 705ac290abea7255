//! Exports and spreadsheets as people have them: each is read with these numbers, or refused with the option that helps.
//!
//! The expected numbers were computed from the files by a script outside of this repository's code: interactions of all
//! posts, and the sum of the denominator over posts with interactions and denominator.

use mkt_connect::table::cell::{DateOrder, Epoch};
use mkt_social::csv::Csv;
use mkt_social::engagement::{ByImpressions, ByReach, EngagementRate, engagement_rate};
use mkt_social::{ReadSheet, Request, SocialSourceExt, interactions};

use super::posts::at;

/// The expectation for a file.
struct Case {
    file: &'static str,
    posts: usize,
    network: &'static str,
    /// Interactions of all posts for which they are known.
    interactions: u64,
    /// Engagement rate by reach: posts used, mean of ratios.
    by_reach: (usize, Option<f64>),
}

const fn case(
    file: &'static str,
    posts: usize,
    network: &'static str,
    interactions: u64,
    by_reach: (usize, Option<f64>),
) -> Case {
    Case { file, posts, network, interactions, by_reach }
}

/// 60 posts with the same likes, comments, shares and reach in most files.
const USUAL: (usize, Option<f64>) = (60, Some(0.061_264_045_383_002_376));

const READ: [Case; 20] = [
    case("ampm.csv", 60, "unknown", 46_302, USUAL),
    case("blank_saves.csv", 60, "unknown", 19_379, (30, Some(0.064_468_872_131_047_72))),
    case("datetime_apart.csv", 60, "unknown", 46_302, USUAL),
    case("eu_comma.csv", 60, "facebook", 46_302, USUAL),
    case("eu_round_comma.csv", 60, "facebook", 46_302, (60, Some(0.057_925_337_263_093_87))),
    case("excel_ids.csv", 60, "instagram", 46_302, USUAL),
    case("fr.csv", 60, "facebook", 46_302, USUAL),
    case("fr_straight.csv", 40, "instagram", 2_240, (40, Some(0.056))),
    case("kilo.csv", 60, "unknown", 46_302, (60, Some(0.061_255_226_792_443_25))),
    case("meta_fb.csv", 60, "facebook", 46_302, USUAL),
    case("meta_fb_nodate.csv", 60, "facebook", 46_302, USUAL),
    case("meta_ig.csv", 60, "instagram", 48_783, (60, Some(0.064_420_275_008_440_9))),
    case("sep.csv", 60, "facebook", 46_302, USUAL),
    case("tiktok.csv", 60, "tiktok", 46_276, (0, None)),
    case("twitter_time.csv", 60, "x", 46_302, (0, None)),
    case("unix_ms_iso.csv", 60, "unknown", 37_570, (60, Some(0.049_892_388_214_403_234))),
    case("us_dates.csv", 60, "unknown", 46_302, USUAL),
    case("us_semicolon.csv", 60, "facebook", 46_302, USUAL),
    case("utf16.csv", 60, "unknown", 37_570, (60, Some(0.049_892_388_214_403_234))),
    case("x_content.csv", 60, "x", 48_783, (0, None)),
];

fn source(file: &str) -> Csv {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/").to_owned() + file;
    Csv::open(path, at("2026-11-26T00:00:00Z")).zone(chrono_tz::Europe::Paris)
}

async fn read(source: &Csv) -> ReadSheet {
    source.read_sheet(&Request::all()).await.unwrap()
}

fn close(value: Option<f64>, expected: Option<f64>) -> bool {
    match (value, expected) {
        (Some(value), Some(expected)) => (value - expected).abs() < 1e-12,
        (value, expected) => value == expected,
    }
}

#[tokio::test]
async fn every_case_is_read_with_the_expected_numbers() {
    for Case { file, posts, network, interactions: sum, by_reach: (n, mean) } in READ {
        let read = read(&source(file)).await;
        assert_eq!((read.sheet.len(), read.quarantined.as_slice()), (posts, &[][..]), "{file}");
        let measured = read.sheet.measured();
        assert_eq!(measured[0].network(), network, "{file}");
        assert_eq!(measured.iter().filter_map(interactions).sum::<u64>(), sum, "{file}");
        let rate: EngagementRate<ByReach> = engagement_rate(&measured);
        assert!(rate.n == n && close(rate.mean_of_ratios, mean), "{file}: {rate:?}");
    }
}

#[tokio::test]
async fn x_exports_have_rates_by_impressions() {
    for (file, mean) in
        [("twitter_time.csv", 0.043_763_289_296_135_38), ("x_content.csv", 0.046_017_885_591_223_17)]
    {
        let read = read(&source(file)).await;
        let rate = engagement_rate::<ByImpressions>(&read.sheet.measured());
        assert!(rate.n == 60 && close(rate.mean_of_ratios, Some(mean)), "{file}: {rate:?}");
    }
}

#[tokio::test]
async fn ambiguous_dates_are_quarantined_until_the_order_is_declared() {
    let ambiguous = read(&source("us_dates_le12.csv")).await;
    assert_eq!((ambiguous.sheet.len(), ambiguous.tally.quarantined), (0, 29));
    let reason = ambiguous.quarantined[0].reason.to_string();
    assert!(reason.contains("declare the date order"), "{reason}");
    let declared = read(&source("us_dates_le12.csv").date_order(DateOrder::MonthFirst)).await;
    let rate = engagement_rate::<ByReach>(&declared.sheet.measured());
    assert!(rate.n == 29 && close(rate.mean_of_ratios, Some(0.061_225_946_936_110_984)), "{rate:?}");
    assert_eq!(declared.sheet.measured()[0].published_at(), at("2026-08-02T22:21:00Z"));
}

#[tokio::test]
async fn unix_times_are_quarantined_until_the_unit_is_declared() {
    let undeclared = read(&source("unix.csv")).await;
    assert_eq!((undeclared.sheet.len(), undeclared.tally.quarantined), (0, 60));
    assert_eq!(undeclared.quarantined[0].reason.code(), "epoch");
    let declared = read(&source("unix.csv").epoch(Epoch::Seconds)).await;
    assert_eq!(declared.sheet.measured()[0].published_at(), at("2026-08-03T00:21:00Z"));
    let rate = engagement_rate::<ByReach>(&declared.sheet.measured());
    assert!(rate.n == 60 && close(rate.mean_of_ratios, USUAL.1), "{rate:?}");
}

#[tokio::test]
async fn times_of_the_cases_are_those_of_their_zone() {
    // 00:21 in Paris is 22:21 UTC; with an offset the zone does not matter.
    let local = at("2026-08-02T22:21:00Z");
    let utc = at("2026-08-03T00:21:00Z");
    for (file, expected) in [
        ("ampm.csv", local),
        ("datetime_apart.csv", local),
        ("fr.csv", local),
        ("meta_fb.csv", local),
        ("tiktok.csv", local),
        ("us_dates.csv", local),
        ("twitter_time.csv", utc),
        ("eu_comma.csv", utc),
        ("unix_ms_iso.csv", at("2026-08-02T22:21:00.123Z")),
        // Days: noon.
        ("x_content.csv", at("2026-08-03T10:00:00Z")),
    ] {
        assert_eq!(read(&source(file)).await.sheet.measured()[0].published_at(), expected, "{file}");
    }
}

#[tokio::test]
async fn findings_name_the_export_and_the_columns_of_interactions() {
    let facebook = read(&source("meta_fb.csv")).await.findings;
    assert_eq!(facebook.shape, Some("Meta Business Suite, Facebook"));
    assert_eq!(facebook.interactions, ["Reactions", "Comments", "Shares"]);
    assert_eq!(
        facebook.not_counted,
        ["Is share", "Data comment", "Reactions, Comments and Shares", "Total clicks", "Other Clicks"]
    );
    let x = read(&source("x_content.csv")).await.findings;
    assert_eq!(x.interactions, ["Likes", "Bookmarks", "Replies", "Reposts"]);
    assert!(x.not_counted.contains(&"Shares".to_owned()) && x.without_time_of_day);
    assert_eq!(read(&source("kilo.csv")).await.findings.abbreviated, 53);
    let rounded = read(&source("excel_ids.csv")).await.findings;
    assert_eq!((rounded.rounded_ids, rounded.without_ids), (60, false));
    assert!(read(&source("tiktok.csv")).await.findings.without_ids);
}

#[tokio::test]
async fn typographic_apostrophe_counts_the_same_likes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases/fr_straight.csv");
    let text = std::fs::read_to_string(path).unwrap().replace("J'aime", "J’aime");
    let source = Csv::from_bytes(text, at("2026-11-26T00:00:00Z")).zone(chrono_tz::Europe::Paris);
    let read = read(&source).await;
    assert_eq!(read.findings.interactions, ["J’aime", "Partages", "Commentaires", "Enregistrements"]);
    let rate = engagement_rate::<ByReach>(&read.sheet.measured());
    assert!(close(rate.mean_of_ratios, Some(0.056)), "{rate:?}");
}

/// Headers of exports without a recorded sample: LinkedIn with its description before the header, YouTube Studio with its
/// row of totals, Sprout with reactions and likes.
#[tokio::test]
async fn descriptions_totals_and_sums_of_other_exports_are_read_by_rule() {
    let linkedin = "\"Aggregated engagement metrics for your organization's posts, by day\"\n\
        Post title,Post link,Post type,Posted by,Created date,Impressions,Clicks,Likes,Comments,Reposts,Follows,Engagement rate\n\
        Tea,https://l.example/1,Organic,A,11/20/2026,1000,9,10,2,3,0,0.02\n\
        Cake,https://l.example/2,Organic,A,11/21/2026,500,9,5,0,0,0,0.02\n";
    let linkedin = read(&Csv::from_bytes(linkedin, at("2026-11-26T00:00:00Z")).zone(chrono_tz::UTC)).await;
    assert_eq!((linkedin.sheet.len(), linkedin.quarantined.as_slice()), (2, &[][..]));
    assert_eq!(linkedin.findings.interactions, ["Likes", "Comments", "Reposts"]);
    assert_eq!(linkedin.findings.not_counted, ["Clicks", "Follows", "Engagement rate"]);
    assert_eq!(linkedin.findings.table.as_ref().unwrap().header_line, 2);

    let youtube = "Content,Video title,Video publish time,Duration,Views,Watch time (hours),Subscribers,Impressions,Likes\n\
        Total,,,,3000,1,2,9000,30\n\
        dQw4w9WgXcQ,Tea,\"Nov 20, 2026\",60,2000,1,1,6000,20\n\
        dQw4w9WgXcR,Cake,\"Nov 21, 2026\",60,1000,0,1,3000,10\n";
    let youtube = read(&Csv::from_bytes(youtube, at("2026-11-26T00:00:00Z")).zone(chrono_tz::UTC)).await;
    assert_eq!(youtube.sheet.len(), 2);
    assert_eq!((youtube.quarantined[0].line, youtube.quarantined[0].reason.code()), (2, "total_row"));

    let sprout = "Date,Post ID,Network,Post Type,Content Type,Profile,Link,Post,Impressions,Reach,Reactions,Likes,Comments,Shares,Saves\n\
        11/20/2026 9:05 am,1_1,Facebook,Post,Photo,Shop,https://f.example/1,Tea,100,80,12,9,1,2,\n\
        11/21/2026 9:05 pm,1_2,Facebook,Post,Photo,Shop,https://f.example/2,Cake,100,80,4,4,0,0,\n";
    let sprout = read(&Csv::from_bytes(sprout, at("2026-11-26T00:00:00Z")).zone(chrono_tz::UTC)).await;
    assert_eq!((sprout.sheet.len(), sprout.quarantined.as_slice()), (2, &[][..]));
    // An empty column is not supported; likes are a part of the reactions.
    assert_eq!(sprout.findings.empty, ["Saves"]);
    assert_eq!(sprout.findings.not_counted, ["Likes"]);
    assert_eq!(sprout.sheet.measured().iter().filter_map(interactions).collect::<Vec<_>>(), [15, 4]);
    assert_eq!(sprout.sheet.measured()[1].published_at(), at("2026-11-21T21:05:00Z"));
}

/// 2 500 posts of one account without ids, many of them within one second.
#[tokio::test]
async fn posts_without_ids_within_one_second_are_all_read() {
    let mut text = String::from("published_at,text,likes\n");
    for post in 0..2_500 {
        let (second, millisecond) = (post / 50, post % 50);
        text.push_str(&format!(
            "2026-11-01T10:00:{second:02}.{millisecond:03}Z,number {post},{}\n",
            post % 7
        ));
    }
    // The same second and another text; and a repeated row.
    text.push_str("2026-11-02T10:00:00Z,tea,1\n2026-11-02T10:00:00Z,cake,2\n2026-11-02T10:00:00Z,tea,1\n");
    let read = read(&Csv::from_bytes(text, at("2026-11-26T00:00:00Z"))).await;
    assert_eq!((read.tally.loaded, read.tally.duplicates, read.tally.quarantined), (2_502, 1, 0));
}

/// The names of a scheduling tool: every column begins with `Post`, and the time says that it is UTC.
#[tokio::test]
async fn columns_with_a_prefix_and_a_zone_in_brackets_are_known() {
    let tool = "Post Network,Post Date (UTC),Post Message,Post Reach,Post Reactions,Post Comments,Post Shares,Post Clicks\n\
        Facebook,2026-11-20 09:00,Tea,900,40,3,2,11\n";
    let read = read(&Csv::from_bytes(tool, at("2026-11-26T00:00:00Z")).zone(chrono_tz::Europe::Paris)).await;
    assert_eq!((read.sheet.len(), read.quarantined.as_slice()), (1, &[][..]));
    let posts = read.sheet.measured();
    assert_eq!(posts[0].published_at(), at("2026-11-20T09:00:00Z"), "not a local time of Paris");
    assert_eq!((posts[0].network(), interactions(&posts[0])), ("facebook", Some(45)));
    assert!(read.findings.times_in_utc);
}
