//! `social_posts.csv`: what was posted and how it was received. Reach is heavy-tailed and says nothing about
//! the hour; the engagement rate (likes + comments + shares + saves over reach) carries the planted effects.

use chrono::SecondsFormat;
use serde::Serialize;

use super::{
    draw::{Draw, Topic},
    period::{Period, utc},
    staging::{Failure, Staging},
    truth::Named,
};

/// The columns.
pub(crate) const COLUMNS: [&str; 13] = [
    "post_id",
    "platform",
    "published_at",
    "type",
    "text",
    "likes",
    "comments",
    "shares",
    "saves",
    "reach",
    "impressions",
    "followers",
    "paid",
];

/// Planted: the local hour at which posts engage best, and by how much.
pub(crate) const BEST_HOUR: i64 = 18;
pub(crate) const BEST_HOUR_LIFT: f64 = 1.35;

/// Planted: median engagement rate of a photo at any other hour.
pub(crate) const BASE_RATE: f64 = 0.045;

/// Planted: what the type of a post multiplies the rate by; the second number is the share of the type.
const TYPES: [(&str, f64, f64); 5] = [
    ("photo", 1.0, 0.36),
    ("reel", 1.5, 0.22),
    ("carousel", 1.2, 0.18),
    ("video", 1.1, 0.14),
    ("link", 0.6, 0.10),
];

/// Weights of the hours 8 to 22.
const HOURS: [f64; 15] = [5.0, 6.0, 6.0, 6.0, 9.0, 7.0, 5.0, 5.0, 6.0, 8.0, 12.0, 8.0, 7.0, 6.0, 4.0];

/// What was written, and what was planted.
#[derive(Debug, Serialize)]
pub(crate) struct Posts {
    pub(crate) posts: u64,
    pub(crate) best_hour: i64,
    pub(crate) best_hour_lift: f64,
    pub(crate) base_rate: f64,
    pub(crate) type_factors: Named<5>,
    pub(crate) without_reach: u64,
    pub(crate) without_impressions: u64,
    pub(crate) without_saves: u64,
    pub(crate) paid: u64,
    #[serde(skip)]
    pub(crate) bytes: u64,
}

/// Some 2.35 posts a day whatever the number of users: the shop has one page on each platform.
pub(crate) fn write(seed: u64, period: &Period, staging: &mut Staging) -> Result<Posts, Failure> {
    let mut sheet = staging.sheet("social_posts.csv", &COLUMNS)?;
    let mut sum = Posts {
        posts: 0,
        best_hour: BEST_HOUR,
        best_hour_lift: BEST_HOUR_LIFT,
        base_rate: BASE_RATE,
        type_factors: Named(TYPES.map(|(name, factor, _)| (name, factor))),
        without_reach: 0,
        without_impressions: 0,
        without_saves: 0,
        paid: 0,
        bytes: 0,
    };
    for (index, day) in period.days().enumerate() {
        let mut draw = Draw::stream(seed, Topic::Post, index as u64, 0);
        let mut times: Vec<(i64, i64)> = (0..2 + i64::from(draw.chance(0.35)))
            .map(|_| {
                let hour = 8 + draw.weighted(&HOURS) as i64;
                (hour, period.instant(day, hour * 3600 + draw.between(0, 59) * 60, false))
            })
            .collect();
        times.sort_by_key(|(_, at)| *at);
        for (hour, at) in times {
            sum.posts += 1;
            post(&mut draw, hour, at, index as f64, &mut sum, &mut sheet)?;
        }
    }
    sum.bytes = sheet.finish()?;
    Ok(sum)
}

fn post(
    draw: &mut Draw,
    hour: i64,
    at: i64,
    age: f64,
    sum: &mut Posts,
    sheet: &mut super::staging::Sheet,
) -> Result<(), Failure> {
    let instagram = draw.chance(0.55);
    let (platform, short, start, growth) =
        if instagram { ("instagram", "ig", 8200.0, 14.0) } else { ("facebook", "fb", 12400.0, 4.0) };
    let followers = start + growth * age;
    let (kind, factor, _) = TYPES[draw.weighted(&TYPES.map(|(_, _, share)| share))];
    let paid = draw.chance(0.08);
    let reach = draw.log_normal(followers * if paid { 0.60 } else { 0.16 }, 0.95).max(40.0);
    let impressions = reach * (1.08 + 0.5 * draw.unit());
    let lift = if hour == BEST_HOUR { BEST_HOUR_LIFT } else { 1.0 };
    let rate = draw.log_normal(BASE_RATE * factor * lift, 0.22).min(0.6);
    let engaged = reach * rate;
    let mut part = |share: f64| (engaged * share * (0.85 + 0.3 * draw.unit()) + 0.5) as i64;
    let (likes, comments, shares, saves) = (part(0.78), part(0.08), part(0.06), part(0.08));
    let text = draw.pick(&TEXTS);
    let mut missing = |share: f64, count: &mut u64, value: i64| {
        let gone = draw.chance(share);
        *count += u64::from(gone);
        if gone { String::new() } else { value.to_string() }
    };
    let reach = missing(0.03, &mut sum.without_reach, reach as i64);
    let impressions = missing(0.015, &mut sum.without_impressions, impressions as i64);
    let saves = missing(0.015, &mut sum.without_saves, saves);
    sum.paid += u64::from(paid);
    sheet.row([
        format!("{short}_{:05}", sum.posts).as_str(),
        platform,
        &utc(at).and_utc().to_rfc3339_opts(SecondsFormat::Secs, true),
        kind,
        text,
        &likes.to_string(),
        &comments.to_string(),
        &shares.to_string(),
        &saves,
        &reach,
        &impressions,
        &(followers as i64).to_string(),
        if paid { "true" } else { "false" },
    ])
}

const TEXTS: [&str; 16] = [
    "Nouvelle récolte : le sencha est arrivé 🍵",
    "Votre rituel du soir ? Dites-le-nous, on vous lit !",
    "Les coulisses de la torréfaction, en images",
    "\"Le meilleur Earl Grey de Lyon\", selon vous ❤",
    "Trois idées de cadeaux à moins de 50 €",
    "Recette : thé glacé, pêche et verveine",
    "On a goûté pour vous : Éthiopie, Kenya, Rwanda",
    "Jeu-concours : gagnez un coffret découverte",
    "Pourquoi l'eau ne doit pas bouillir",
    "Le vendredi, c'est tisane",
    "Rencontre avec Aïcha, notre maître de thé",
    "Nos théières en fonte, de retour en stock",
    "À emporter : l'infuseur de voyage",
    "Livraison offerte ce week-end; profitez-en",
    "Comment lire une étiquette de café ?",
    "Merci pour vos 1 000 avis ✨",
];
