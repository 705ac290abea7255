//! Every parser takes time in proportion to its input, hostile input included.

use mkt_connect::campaign::{CampaignTags, Xtor, slug};
use mkt_connect::{Channel, Currency, Money, Secret, campaign_id};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The least of some runs: what else the machine does only adds.
fn least(run: impl Fn()) -> Duration {
    let once = |_| {
        let begun = Instant::now();
        run();
        begun.elapsed()
    };
    (0..2).map(once).min().unwrap_or_default()
}

/// Fails where eight times the input takes far more than eight times as long. Square growth would take 64 times, and
/// seconds for the larger one; a tenth of a second is what a busy machine may add.
fn grows_linearly(name: &str, pattern: &str, parse: impl Fn(&str)) {
    let text = |bytes: usize| pattern.repeat(bytes / pattern.len() + 1);
    let (small, large) = (text(8_000), text(64_000));
    // Measured again where a busy machine came between; what is square stays so.
    let mut told = String::new();
    for _ in 0..8 {
        let (short, long) = (least(|| parse(&small)), least(|| parse(&large)));
        if long < short * 24 + Duration::from_millis(100) {
            return;
        }
        told = format!("{name} on {pattern:?}: {short:?}, then {long:?}");
    }
    panic!("{told}");
}

const PATTERNS: [&str; 14] = [
    "[",
    "]",
    "[]",
    "-",
    "[-",
    "a",
    "%5B",
    "&utm_source=a",
    "é",
    "1",
    " ",
    "\"\"",
    "&xtor=EPR-1-[",
    "a\",b\"c,\"d\n",
];

#[test]
fn parsers_of_campaigns_channels_and_money_grow_linearly() {
    for pattern in PATTERNS {
        grows_linearly("Xtor::parse", pattern, |text| drop(black_box(Xtor::parse(&format!("EPR-{text}")))));
        grows_linearly("CampaignTags::parse", pattern, |text| {
            black_box(CampaignTags::parse(&format!("https://shop.example/?xtor=EPR-{text}#{text}")));
        });
        grows_linearly("slug", pattern, |text| drop(black_box(slug(text))));
        grows_linearly("campaign_id", pattern, |text| drop(black_box(campaign_id(text, text, text))));
        grows_linearly("Channel", pattern, |text| drop(black_box(text.parse::<Channel>())));
        grows_linearly("Currency", pattern, |text| drop(black_box(text.parse::<Currency>())));
        grows_linearly("Money::parse", pattern, |text| drop(black_box(Money::parse(text, Currency::EUR))));
        let secret = Secret::new(format!("{}x", pattern.repeat(2)));
        grows_linearly("Secret::redact", pattern, |text| drop(black_box(secret.redact(text))));
    }
}

#[test]
fn long_xtor_is_no_xtor() {
    let value = |length: usize| format!("EPR-{}", "[".repeat(length - 4));
    assert!(Xtor::parse(&value(2048)).is_some());
    assert!(Xtor::parse(&value(2049)).is_none());
}

#[cfg(feature = "table")]
#[test]
fn tables_and_cells_grow_linearly() {
    use mkt_connect::table::cell::{self, DateOrder, DecimalMark, TimeFormat};
    use mkt_connect::table::{ReadOptions, fold};
    for pattern in PATTERNS {
        grows_linearly("Table", pattern, |text| {
            let body = format!("a,b\n{text}");
            if let Ok(mut table) = ReadOptions::new().max_record(4096).open(body.as_bytes()) {
                while let Ok(Some(row)) = table.next() {
                    drop(black_box(row));
                }
            }
        });
        grows_linearly("the header", pattern, |text| {
            drop(black_box(ReadOptions::new().open(text.as_bytes())));
        });
        grows_linearly("fold", pattern, |text| drop(black_box(fold(text))));
        grows_linearly("cells", pattern, |text| {
            for mark in [None, Some(DecimalMark::Comma)] {
                drop(black_box((
                    cell::count(text, mark),
                    cell::decimal(text, mark),
                    cell::percentage(text, mark),
                )));
            }
            let format = TimeFormat::new().date_order(DateOrder::DayFirst);
            drop(black_box((format.parse(text), cell::date(text, None), cell::boolean(text))));
            let _ = black_box((cell::float(text, DecimalMark::Point), cell::Missing::usual().is(text)));
            let mut evidence = cell::DecimalEvidence::default();
            evidence.see(text, 1);
            black_box(evidence);
        });
    }
}
