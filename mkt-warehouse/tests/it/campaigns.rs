//! Campaigns of a small world, with numbers computed by hand.

use super::engines;
use super::rows::{World, at, day, sale, session};
use mkt_connect::{Channel, Currency};
use mkt_warehouse::model::{Amount, Campaign, Cost, Event, Session};
use mkt_warehouse::report::{self, CampaignOptions, Scope};
use mkt_warehouse::{Batch, SliceKey, Warehouse};
use std::sync::Arc;
use std::time::Duration;

const EUR: Option<Currency> = Some(Currency::EUR);

fn through(campaign: &str, session: Session) -> Session {
    Session { campaign_id: Some(campaign.to_owned()), ..session }
}

fn named(session: &str, sale: Event) -> Event {
    Event { session_id: Some(session.to_owned()), ..sale }
}

fn october() -> Scope {
    Scope::days("UTC", day("2026-10-01"), day("2026-11-01")).unwrap().site("shop")
}

fn world() -> World {
    use Channel::{Direct, Email, Organic, Paid};
    World {
        sessions: vec![
            // Anna: the newsletter, then a direct purchase a day later, then 20 back.
            through("news", session("a1", "anna", "2026-10-01T10:00:00Z", Email, false)),
            session("a2", "anna", "2026-10-02T10:00:00Z", Direct, true),
            // She clicks an advertisement, and only then the money goes back.
            through("ads", session("a3", "anna", "2026-10-03T10:00:00Z", Paid, false)),
            // Ben: September's advertisement, 30 days before to the second.
            through("ads", session("b1", "ben", "2026-09-08T10:00:00Z", Paid, false)),
            session("b2", "ben", "2026-10-08T10:00:00Z", Direct, true),
            // Cleo: a click without a campaign takes the credit from the newsletter.
            through("news", session("c1", "cleo", "2026-10-05T10:00:00Z", Email, false)),
            session("c2", "cleo", "2026-10-06T10:00:00Z", Organic, false),
            session("c3", "cleo", "2026-10-07T10:00:00Z", Direct, true),
            // Dan: a direct session with a campaign is a click.
            through("news", session("d1", "dan", "2026-10-09T10:00:00Z", Direct, true)),
        ],
        events: vec![
            named("a2", sale("anna", "2026-10-02T10:05:00Z", "80", EUR)),
            named("a3", sale("anna", "2026-10-03T10:05:00Z", "-20", EUR)),
            named("b2", sale("ben", "2026-10-08T10:05:00Z", "33.33", EUR)),
            named("c3", sale("cleo", "2026-10-07T10:05:00Z", "10", Some(Currency::USD))),
            // No session: like a direct visit at that time, so the newsletter's.
            sale("dan", "2026-10-10T10:00:00Z", "5", EUR),
            // Nobody knows Eve.
            sale("eve", "2026-10-10T10:00:00Z", "1.11", EUR),
        ],
        ..World::default()
    }
}

fn cost(campaign: &str, when: &str, amount: &str, currency: Currency) -> Cost {
    Cost {
        campaign_id: campaign.to_owned(),
        channel: Channel::Paid,
        impressions: None,
        clicks: None,
        post_view_conversions: None,
        cost: Amount(amount.parse().unwrap()),
        currency,
        source: "ads".to_owned(),
        site: "shop".to_owned(),
        day: day(when),
    }
}

async fn filled() -> Vec<Arc<dyn Warehouse>> {
    let told = |impressions, clicks, views, cost| Cost {
        impressions: Some(impressions),
        clicks: Some(clicks),
        post_view_conversions: Some(views),
        ..cost
    };
    let costs = vec![
        told(1_000, 30, 2, cost("ads", "2026-10-01", "10.00", Currency::EUR)),
        told(2_000, 40, 3, cost("ads", "2026-10-31", "12.22", Currency::EUR)),
        cost("ads", "2026-09-30", "1000", Currency::EUR),
        cost("ads", "2026-11-01", "1000", Currency::EUR),
        cost("news", "2026-10-15", "3", Currency::USD),
        cost("banner", "2026-10-15", "7", Currency::EUR),
        cost("free", "2026-10-15", "0", Currency::EUR),
    ];
    let declared = Campaign {
        campaign_id: "news".to_owned(),
        tag_source: "newsletter".to_owned(),
        tag_medium: "email".to_owned(),
        name: "Autumn news".to_owned(),
        channel: Channel::Email,
        declared_by: "hand".to_owned(),
        first_seen: at("2026-10-01T00:00:00Z"),
        vendor_ref: None,
        source: "csv".to_owned(),
        site: "shop".to_owned(),
        day: day("2026-10-01"),
    };
    let batch = Batch::new(SliceKey::whole("ads", "costs", "shop")).replace(costs).replace([declared]);
    let engines = engines::all().await;
    for engine in &engines {
        world().load_into(engine).await;
        engine.load(&batch, at("2026-11-02T00:00:00Z")).await.unwrap();
    }
    engines
}

async fn asked(engine: &dyn Warehouse, scope: &Scope, options: CampaignOptions) -> Vec<String> {
    let answer = report::campaign_performance(engine, scope, options).await.unwrap();
    let row = |r: &report::CampaignPerformance| {
        let text = |value: Option<String>| value.unwrap_or("-".to_owned());
        format!(
            "{} {} {}: {} {} {}, {} for {} ({} {} {}), {} {}",
            text(r.campaign_id.clone()),
            text(r.name.clone().zip(r.channel).map(|(name, channel)| format!("({name}, {channel})"))),
            text(r.currency.map(|c| c.to_string())),
            r.sessions,
            r.converted_sessions,
            r.conversions,
            r.revenue.0,
            text(r.cost.map(|c| c.0.to_string())),
            text(r.impressions.map(|n| n.to_string())),
            text(r.clicks.map(|n| n.to_string())),
            text(r.post_view_conversions.map(|n| n.to_string())),
            text(r.roas.map(|n| n.to_string())),
            text(r.cpa.map(|n| n.0.to_string())),
        )
    };
    answer.rows.iter().map(row).collect()
}

#[tokio::test]
async fn the_last_click_that_is_not_direct_takes_the_credit() {
    for engine in filled().await {
        assert_eq!(
            asked(&engine, &october(), CampaignOptions::default()).await,
            [
                // a2, b2, c2 and c3, of which a2, b2 and c3 converted; Cleo's is credited to no campaign.
                "- - EUR: 4 3 1, 1.11 for - (- - -), - -",
                "- - USD: 4 3 1, 10.00 for - (- - -), - -",
                // Anna's conversion and Dan's own; 80 + 5, and the 20 that came back. 3 dollars for 2 conversions.
                "news (Autumn news, email) EUR: 3 1 2, 65.00 for - (- - -), - -",
                "news (Autumn news, email) USD: 3 1 2, 0.00 for 3.00 (- - -), 0 1.500000",
                // Ben's; 33.33 ÷ 22.22 = 1.5.
                "ads - EUR: 1 0 1, 33.33 for 22.22 (3000 70 5), 1.5 22.220000",
                "banner - EUR: 0 0 0, 0.00 for 7.00 (- - -), 0 -",
                "free - EUR: 0 0 0, 0.00 for 0.00 (- - -), - -",
            ]
        );
    }
}

#[tokio::test]
async fn costs_of_other_campaigns_and_channels_are_left_out() {
    for engine in filled().await {
        let costs = |scope: Scope| {
            let engine = Arc::clone(&engine);
            async move {
                let answer = report::campaign_performance(&engine, &scope, CampaignOptions::default());
                let rows = answer.await.unwrap().rows;
                let paid = rows.into_iter().filter_map(|r| Some((r.campaign_id?, r.cost?.0.to_string())));
                paid.collect::<Vec<_>>()
            }
        };
        let row = |name: &str, cost: &str| (name.to_owned(), cost.to_owned());
        let news = october().campaigns(["news", "free"]).unwrap();
        assert_eq!(costs(news).await, [row("news", "3.00"), row("free", "0.00")]);
        // All costs are those of the paid channel.
        assert!(costs(october().channels([Channel::Email])).await.is_empty());
        assert_eq!(costs(october().channels([Channel::Paid])).await.len(), 4);
    }
}

#[tokio::test]
async fn the_look_back_includes_its_last_instant_and_may_be_nothing() {
    for engine in filled().await {
        let less = CampaignOptions { look_back: Duration::from_secs(30 * 86_400 - 1) };
        let rows = asked(&engine, &october(), less).await;
        assert_eq!(rows[0], "- - EUR: 4 3 2, 34.44 for - (- - -), - -");
        let none = CampaignOptions { look_back: Duration::ZERO };
        let rows = asked(&engine, &october(), none).await;
        // Dan's conversion stays, his purchase of the day after does not.
        assert_eq!(rows[0], "- - EUR: 4 3 3, 99.44 for - (- - -), - -");
        assert_eq!(rows[2], "news (Autumn news, email) USD: 3 1 1, 0.00 for 3.00 (- - -), 0 3.000000");
    }
}

#[tokio::test]
async fn an_empty_period_has_no_campaign_and_an_odd_look_back_is_refused() {
    for engine in filled().await {
        let empty = Scope::days("UTC", day("2026-10-05"), day("2026-10-05")).unwrap();
        assert!(asked(&engine, &empty, CampaignOptions::default()).await.is_empty());
        let odd = CampaignOptions { look_back: Duration::from_nanos(1) };
        let refused = report::campaign_performance(&engine, &october(), odd).await.unwrap_err();
        assert_eq!(refused.kind(), mkt_connect::ErrorKind::Input);
    }
}
