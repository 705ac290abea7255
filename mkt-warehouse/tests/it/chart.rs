//! Every report as a picture.

use super::oracle::{Random, world};
use super::rows::{at, day};
use super::{engines, rows::World};
use chrono::{Days, TimeDelta};
use mkt_connect::chart::{Chart, Lang};
use mkt_connect::{Channel, Currency};
use mkt_warehouse::model::{Amount, Campaign, Cost, EmailEvent, EmailEventType, EventType, Json, SliceState};
use mkt_warehouse::report::{self, Report, Scope};
use mkt_warehouse::{Batch, SliceKey, Warehouse};
use std::sync::Arc;

/// A world with campaigns, costs, mails and loads as well.
async fn filled() -> Arc<dyn Warehouse> {
    let engine = engines::memory().await;
    engine.migrate(&mkt_warehouse::model::SCHEMA).await.unwrap();
    let mut world: World = world(7);
    let random = &mut Random(7);
    let campaigns = ["spring", "autumn", "brand"];
    for session in &mut world.sessions {
        session.campaign_id = (!random.one_in(3)).then(|| campaigns[random.below(3) as usize].to_owned());
    }
    for (n, event) in world.events.iter_mut().enumerate() {
        if event.event_type == EventType::ADD_TO_CART {
            event.properties =
                Json(serde_json::json!({"items": [{"sku": "A", "price": format!("{}.50", n % 90 + 1)}]}));
        }
    }
    world.load_into(&engine).await;
    let costs = campaigns.iter().flat_map(|campaign| {
        (0..40).map(|n| Cost {
            campaign_id: (*campaign).to_owned(),
            channel: Channel::Paid,
            impressions: Some(1000),
            clicks: Some(30),
            post_view_conversions: None,
            cost: Amount("12.50".parse().unwrap()),
            currency: Currency::EUR,
            source: "ads".to_owned(),
            site: "shop".to_owned(),
            day: day("2026-09-15") + Days::new(n),
        })
    });
    let declared = campaigns.map(|campaign| Campaign {
        campaign_id: campaign.to_owned(),
        tag_source: "google".to_owned(),
        tag_medium: "cpc".to_owned(),
        name: format!("The {campaign} campaign"),
        channel: Channel::Paid,
        declared_by: "manual".to_owned(),
        first_seen: at("2026-08-01T00:00:00Z"),
        vendor_ref: None,
        source: "csv".to_owned(),
        site: "shop".to_owned(),
        day: day("2026-08-01"),
    });
    // Of ten messages nine arrive, three are opened, one is clicked.
    let mails = (0..300).flat_map(|n| {
        use EmailEventType::{Accepted, Bounced, Clicked, Delivered, Opened};
        let told: &[EmailEventType] = match n % 10 {
            0 => &[Accepted, Bounced],
            1 => &[Accepted, Delivered, Opened, Clicked],
            2 | 3 => &[Accepted, Delivered, Opened],
            _ => &[Accepted, Delivered],
        };
        told.iter().enumerate().map(move |(step, event_type)| EmailEvent {
            event_id: n * 10 + step as i64,
            message_id: format!("m{n}"),
            user_id: None,
            event_type: *event_type,
            timestamp: at("2026-10-01T08:00:00Z") + TimeDelta::minutes(n),
            campaign_id: Some(campaigns[n as usize % 3].to_owned()),
            url: None,
            detail: None,
            source: "brevo".to_owned(),
            site: "shop".to_owned(),
            day: day("2026-10-01"),
        })
    });
    let batch = Batch::new(SliceKey::whole("ads", "costs", "shop"))
        .replace(costs.collect::<Vec<_>>())
        .replace(declared)
        .replace(mails.collect::<Vec<_>>());
    engine.load(&batch, at("2026-11-01T00:00:00Z")).await.unwrap();
    for (n, stream) in ["visits", "goals", "costs"].into_iter().enumerate() {
        let key = SliceKey::day("matomo", stream, "shop", day("2026-10-31"));
        let at = at("2026-11-09T00:00:00Z") + TimeDelta::minutes(457 * n as i64);
        engine.load(&Batch::new(key).state(SliceState::Provisional), at).await.unwrap();
    }
    engine
}

fn scope() -> Scope {
    Scope::days("Europe/Paris", day("2026-08-01"), day("2026-11-11")).unwrap()
}

/// The pictures of every report, by name. With `MKT_TEST_CHARTS` they are also written there, to look at.
#[tokio::test]
async fn every_report_draws_in_both_languages() {
    let engine = filled().await;
    let folder = std::env::var_os("MKT_TEST_CHARTS").map(std::path::PathBuf::from);
    for report in Report::ALL {
        let table = report.run(&engine, &scope()).await.unwrap();
        assert!(!table.is_empty(), "{}", report.name());
        let [english, french] = [Lang::En, Lang::Fr].map(|lang| report.charts(&table, lang));
        assert!(!english.is_empty() && english.len() == french.len(), "{}", report.name());
        for (n, (english, french)) in english.iter().zip(&french).enumerate() {
            let pictures = [english.svg(), french.svg()];
            let title =
                |svg: &str| svg.split("</title>").next().unwrap().rsplit('>').next().unwrap().to_owned();
            let [in_english, in_french] = [title(&pictures[0]), title(&pictures[1])];
            assert_ne!(in_english, in_french, "{}", report.name());
            // A picture that holds no value says so; these all do.
            for (picture, empty) in pictures.iter().zip(["There is no value to draw", "aucune valeur"]) {
                assert!(!picture.contains(empty), "{} is empty", report.name());
                assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
            }
            if let Some(folder) = &folder {
                for (lang, picture) in ["en", "fr"].iter().zip(&pictures) {
                    std::fs::create_dir_all(folder).unwrap();
                    std::fs::write(folder.join(format!("{}_{n}_{lang}.svg", report.name())), picture)
                        .unwrap();
                }
            }
        }
    }
}

#[tokio::test]
async fn amounts_are_drawn_once_per_currency() {
    let engine = filled().await;
    let answer = report::arpu_by_channel(&engine, &scope()).await.unwrap();
    let titles: Vec<String> = answer
        .charts(Lang::En)
        .iter()
        .map(|chart| chart.svg().split("</title>").next().unwrap().rsplit('>').next().unwrap().to_owned())
        .collect();
    let expected = ["EUR", "GBP", "USD"].map(|currency| format!("Revenue per user by channel ({currency})"));
    assert_eq!(titles, expected);
}

#[tokio::test]
async fn months_that_are_not_complete_are_marked_and_counted_as_missing() {
    let engine = filled().await;
    let answer = report::cohort_retention(&engine, &scope()).await.unwrap();
    let charts = answer.charts(Lang::En);
    let Chart::HeatMap(_) = &charts[0] else { panic!("a heat map") };
    // August to November, four cohorts by four months: 4 + 3 + 2 + 1 of 16 cells are asked for, and in each row the
    // last of these is November, which the period cuts.
    let svg = charts[0].svg();
    assert!(svg.contains("4 rows by 4 columns, 6 of 16 cells with a value"), "{svg}");
}

#[tokio::test]
async fn rates_of_mails_stand_in_the_picture() {
    let engine = filled().await;
    let table = Report::EmailPerformance.run(&engine, &scope()).await.unwrap();
    let svg = Report::EmailPerformance.charts(&table, Lang::Fr)[0].svg();
    // 90 % delivered and 10 % bounced of accepted ones; of thirty opened mails ten were clicked: 10 ÷ 30, and 10 ÷ 90 of
    // delivered ones.
    for text in ["90,0 %", "10,0 %", "33,3 %", "11,1 %", "brevo · spring"] {
        assert!(svg.contains(text), "{text}");
    }
}

#[tokio::test]
async fn nothing_to_draw_is_said_and_never_a_panic() {
    let engine = engines::memory().await;
    World::default()
        .load_into({
            engine.migrate(&mkt_warehouse::model::SCHEMA).await.unwrap();
            &engine
        })
        .await;
    for report in Report::ALL {
        let table = report.run(&engine, &scope()).await.unwrap();
        for chart in report.charts(&table, Lang::Fr) {
            assert!(chart.svg().starts_with("<svg"), "{}", report.name());
        }
    }
}
