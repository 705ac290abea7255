//! Answers as sections of a page to hand over: titles, explanations and columns in words, in French or English.

use super::Report;
use crate::table::{Column as Cells, Table as Answer, Value};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use mkt_connect::chart::{Column, Format, Lang, Page, Table};

/// Rows of a table on a page.
const SHOWN: usize = 10;

impl Report {
    /// Its title: `Conversion rate by channel`.
    #[must_use]
    pub fn title(self, lang: Lang) -> &'static str {
        words(self, lang).0
    }

    /// What it shows, in one or two sentences for a reader who does not know SQL. [`Report::describe`] is the exact
    /// definition.
    #[must_use]
    pub fn explain(self, lang: Lang) -> &'static str {
        words(self, lang).1
    }

    /// Adds the answer to a page: its title, what it shows, what it assumes, its charts and a table.
    ///
    /// The table holds the first ten rows and says how many more there are; columns of technical names and of JSON are left
    /// out. Numbers, days and times are written as the language writes them, times in `zone`. `assumptions` are the
    /// settings that decide the numbers, as `(name, value)`.
    #[must_use]
    pub fn section(
        self,
        page: Page,
        answer: &Answer,
        assumptions: &[(String, String)],
        zone: Tz,
        lang: Lang,
    ) -> Page {
        let mut page = page.section(self.title(lang)).text(self.explain(lang));
        if !assumptions.is_empty() {
            let colon = lang.pick(": ", " : ");
            let list: Vec<String> =
                assumptions.iter().map(|(name, value)| format!("{name}{colon}{value}")).collect();
            page = page.text(list.join(lang.pick("; ", " ; ")));
        }
        if answer.is_empty() {
            return page.text(lang.pick("No data in this period.", "Aucune donnée sur cette période."));
        }
        page = match self {
            // Sessions one by one are for a model, not for a reader.
            Self::TrainingSet => page.charts(self.charts(answer, lang)).text(match lang {
                Lang::Fr => format!("{} sessions.", lang.number(answer.rows() as f64, Format::Integer)),
                _ => format!("{} sessions.", lang.number(answer.rows() as f64, Format::Integer)),
            }),
            _ => page.charts(self.charts(answer, lang)).table(table(answer, zone, lang)),
        };
        page
    }
}

fn table(answer: &Answer, zone: Tz, lang: Lang) -> Table {
    let kept: Vec<(usize, &str)> = answer
        .names()
        .iter()
        .enumerate()
        .filter(|(_, name)| !HIDDEN.contains(&name.as_str()))
        // A column without any value says nothing.
        .filter(|(_, name)| (0..answer.rows()).any(|row| answer.value(row, name) != Value::Null))
        .map(|(at, name)| (at, name.as_str()))
        .collect();
    let mut table = Table::new(kept.iter().map(|(at, name)| {
        let label = column_title(name, lang);
        if is_number(&answer.columns()[*at], name) { Column::number(label) } else { Column::text(label) }
    }));
    for row in 0..answer.rows().min(SHOWN) {
        let values = answer.row(row);
        table.push(kept.iter().map(|(at, name)| cell(name, &values[*at], zone, lang)));
    }
    match answer.rows().saturating_sub(SHOWN) {
        0 => table,
        more => {
            let more = lang.number(more as f64, Format::Integer);
            table.note(match lang {
                Lang::Fr => format!("… et {more} autres lignes"),
                _ => format!("… and {more} more rows"),
            })
        }
    }
}

/// Columns that only a program reads.
const HIDDEN: [&str; 5] = ["items", "cart_id", "properties", "session_id", "user_id"];

fn is_number(column: &Cells, name: &str) -> bool {
    use crate::table::ColumnType::{Decimal, Float, Int};
    name != "hour" && matches!(column.column_type(), Int | Float | Decimal { .. })
}

fn cell(column: &str, value: &Value, zone: Tz, lang: Lang) -> String {
    let percent = column.ends_with("_rate") || column.starts_with("rate_from_");
    match value {
        Value::Null => match column {
            "campaign_id" => lang.pick("no campaign", "sans campagne").to_owned(),
            _ => "–".to_owned(),
        },
        Value::Text(text) => named(column, text, lang).unwrap_or_else(|| text.clone()),
        Value::Int(hour) if column == "hour" => format!("{hour:02} h"),
        Value::Int(number) => lang.number(*number as f64, Format::Integer),
        Value::Float(ratio) if percent => lang.number(ratio / 100.0, Format::Percent(1)),
        Value::Float(seconds) if column == "seconds_from_first" => duration(*seconds, lang),
        Value::Float(number) => lang.number(*number, Format::Decimal(2)),
        Value::Bool(yes) => (if *yes { lang.pick("yes", "oui") } else { lang.pick("no", "non") }).to_owned(),
        Value::Timestamp(at) => instant(*at, zone, lang),
        Value::Date(day) if matches!(column, "month" | "cohort") => month(*day, lang),
        Value::Date(day) => lang.day(*day),
        Value::Decimal(amount) => {
            use rust_decimal::prelude::ToPrimitive;
            lang.number(amount.to_f64().unwrap_or(f64::NAN), Format::Decimal(2))
        }
    }
}

/// An instant as the clock of the zone shows it.
pub(super) fn instant(at: DateTime<Utc>, zone: Tz, lang: Lang) -> String {
    let local = at.with_timezone(&zone);
    format!("{} {}", lang.day(local.date_naive()), local.format("%H:%M"))
}

/// The words of an event type, or its name where it has none.
pub(super) fn event_title(word: &str, lang: Lang) -> &str {
    event(word, lang).unwrap_or(word)
}

/// A duration as a reader says it: `3 min`, `2.5 h`, `30 days`.
pub(super) fn duration(seconds: f64, lang: Lang) -> String {
    let one = |value: f64| {
        let decimals = u8::from((value * 10.0).round() % 10.0 != 0.0);
        lang.number(value, Format::Decimal(decimals))
    };
    match seconds {
        s if s < 60.0 => format!("{} s", lang.number(s, Format::Integer)),
        s if s < 3600.0 => format!("{} min", one(s / 60.0)),
        s if s < 86_400.0 => format!("{} h", one(s / 3600.0)),
        s if (86_400.0..90_000.0).contains(&s) => lang.pick("1 day", "1 jour").to_owned(),
        s => format!("{} {}", one(s / 86_400.0), lang.pick("days", "jours")),
    }
}

fn month(day: chrono::NaiveDate, lang: Lang) -> String {
    use chrono::Datelike;
    const FRENCH: [&str; 12] = [
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ];
    match lang {
        Lang::Fr => format!("{} {}", FRENCH[day.month0() as usize % 12], day.year()),
        _ => day.format("%B %Y").to_string(),
    }
}

/// Words of a closed list: channels, event types, segments, streams.
pub(super) fn named(column: &str, text: &str, lang: Lang) -> Option<String> {
    Some(match column {
        "channel" | "source" => channel(text, lang)?.to_owned(),
        "path" | "channels" => {
            let mark = if column == "path" { " > " } else { " + " };
            let steps: Vec<&str> = text.split(mark).map(|step| channel(step, lang).unwrap_or(step)).collect();
            steps.join(if column == "path" { " → " } else { " + " })
        }
        "event_type" => event(text, lang)?.to_owned(),
        "segment" => segment(text, lang)?.to_owned(),
        _ => return None,
    })
}

fn channel(word: &str, lang: Lang) -> Option<&'static str> {
    let (english, french) = match word {
        "organic" => ("organic search", "recherche naturelle"),
        "paid" => ("paid", "payant"),
        "email" => ("email", "e-mail"),
        "social" => ("social", "réseaux sociaux"),
        "direct" => ("direct", "accès direct"),
        "referral" => ("referral", "sites référents"),
        "affiliate" => ("affiliate", "affiliation"),
        "display" => ("display", "display"),
        "push" => ("push", "notifications"),
        "sms" => ("SMS", "SMS"),
        "video" => ("video", "vidéo"),
        "ai" => ("AI assistants", "assistants IA"),
        "other" => ("other", "autre"),
        _ => return None,
    };
    Some(lang.pick(english, french))
}

fn event(word: &str, lang: Lang) -> Option<&'static str> {
    let (english, french) = match word {
        "page_view" => ("page view", "page vue"),
        "product_view" => ("product view", "fiche produit vue"),
        "add_to_cart" => ("added to cart", "ajout au panier"),
        "remove_from_cart" => ("removed from cart", "retrait du panier"),
        "cart_abandoned" => ("cart abandoned", "panier abandonné"),
        "purchase" => ("purchase", "achat"),
        "refund" => ("refund", "remboursement"),
        "signup" => ("sign-up", "inscription"),
        "goal" => ("goal", "objectif"),
        "search" => ("search", "recherche"),
        "download" => ("download", "téléchargement"),
        "outlink" => ("outbound link", "lien sortant"),
        "call" => ("call", "appel"),
        "store_purchase" => ("store purchase", "achat en magasin"),
        _ => return None,
    };
    Some(lang.pick(english, french))
}

fn segment(word: &str, lang: Lang) -> Option<&'static str> {
    let (english, french) = match word {
        "champions" => ("champions", "champions"),
        "loyal" => ("loyal", "fidèles"),
        "potential_loyalists" => ("potential loyalists", "fidèles en devenir"),
        "new" | "new_customers" => ("new customers", "nouveaux clients"),
        "promising" => ("promising", "prometteurs"),
        "need_attention" => ("need attention", "à surveiller"),
        "about_to_sleep" => ("about to sleep", "en sommeil bientôt"),
        "at_risk" => ("at risk", "à risque"),
        "cannot_lose" | "cant_lose" => ("cannot lose them", "à ne pas perdre"),
        "hibernating" => ("hibernating", "en sommeil"),
        "lost" => ("lost", "perdus"),
        _ => return None,
    };
    Some(lang.pick(english, french))
}

/// A column in words.
fn column_title(name: &str, lang: Lang) -> String {
    let (english, french) = match name {
        "channel" => ("Channel", "Canal"),
        "users" => ("Users", "Utilisateurs"),
        "converted_users" => ("Converted users", "Utilisateurs convertis"),
        "conversion_rate" => ("Conversion rate", "Taux de conversion"),
        "currency" => ("Currency", "Devise"),
        "revenue" => ("Revenue", "Chiffre d'affaires"),
        "arpu" => ("Revenue per user", "Revenu par utilisateur"),
        "month" => ("Month", "Mois"),
        "hour" => ("Hour", "Heure"),
        "sessions" => ("Sessions", "Sessions"),
        "converted_sessions" => ("Converted sessions", "Sessions converties"),
        "cohort" => ("Cohort", "Cohorte"),
        "active" => ("Active", "Actifs"),
        "retention_rate" => ("Retention", "Rétention"),
        "step" => ("Step", "Étape"),
        "event_type" => ("Event", "Événement"),
        "rate_from_first" => ("Of those who entered", "Des entrants"),
        "rate_from_previous" => ("Of the step before", "De l'étape précédente"),
        "seconds_from_first" => ("Mean time from the entry", "Temps moyen depuis l'entrée"),
        "campaign_id" => ("Campaign", "Campagne"),
        "name" => ("Name", "Nom"),
        "conversions" => ("Conversions", "Conversions"),
        "cost" => ("Cost", "Coût"),
        "impressions" => ("Impressions", "Impressions"),
        "clicks" => ("Clicks", "Clics"),
        "post_view_conversions" => ("Post-view conversions", "Conversions post-vue"),
        "roas" => ("ROAS", "ROAS"),
        "cpa" => ("Cost per conversion", "Coût par conversion"),
        "path" => ("Path", "Parcours"),
        "length" => ("Steps", "Étapes"),
        "converted" => ("Converted", "Convertis"),
        "not_converted" => ("Not converted", "Non convertis"),
        "value" => ("Value", "Valeur"),
        "channels" => ("Channels", "Canaux"),
        "size" => ("Channels (count)", "Nombre de canaux"),
        "paths" => ("Paths", "Parcours"),
        "site" => ("Site", "Site"),
        "person" => ("Person", "Personne"),
        "first_added_at" => ("First product added", "Premier produit ajouté"),
        "last_added_at" => ("Last touched", "Dernière activité"),
        "day" => ("Day", "Jour"),
        "visits" => ("Visits", "Visites"),
        "recency_days" => ("Days since last purchase", "Jours depuis le dernier achat"),
        "frequency" => ("Purchases", "Achats"),
        "monetary" => ("Amount", "Montant"),
        "recency_score" => ("Recency score", "Score de récence"),
        "frequency_score" => ("Frequency score", "Score de fréquence"),
        "monetary_score" => ("Amount score", "Score de montant"),
        "segment" => ("Segment", "Segment"),
        "source" => ("Source", "Source"),
        "accepted" => ("Accepted", "Acceptés"),
        "delivered" => ("Delivered", "Délivrés"),
        "bounced" => ("Bounced", "Rejetés en retour"),
        "opened" => ("Opened", "Ouverts"),
        "clicked" => ("Clicked", "Cliqués"),
        "unsubscribed" => ("Unsubscribed", "Désinscrits"),
        "complained" => ("Complaints", "Plaintes"),
        "rejected" => ("Rejected", "Refusés"),
        "delivery_rate" => ("Delivery rate", "Taux de délivrance"),
        "bounce_rate" => ("Bounce rate", "Taux de rebond"),
        "open_rate" => ("Open rate", "Taux d'ouverture"),
        "click_rate" => ("Click rate", "Taux de clic"),
        "click_to_open_rate" => ("Click-to-open rate", "Taux de réactivité"),
        "unsubscribe_rate" => ("Unsubscribe rate", "Taux de désinscription"),
        "complaint_rate" => ("Complaint rate", "Taux de plainte"),
        "stream" => ("Stream", "Flux"),
        "slices" => ("Slices", "Tranches"),
        "first_day" => ("First day", "Premier jour"),
        "last_day" => ("Last day", "Dernier jour"),
        "missing_days" => ("Missing days", "Jours manquants"),
        "last_load" => ("Last load", "Dernier chargement"),
        "hours_since" => ("Hours since", "Heures depuis"),
        "row_count" => ("Rows", "Lignes"),
        "revisions" => ("Revisions", "Révisions"),
        "planned" => ("Planned", "Prévues"),
        "provisional" => ("Provisional", "Provisoires"),
        "settled" => ("Settled", "Définitives"),
        "suspect_empty" => ("Suspect empty", "Vides suspectes"),
        "truncated" => ("Truncated", "Tronquées"),
        "sampled" => ("Sampled", "Échantillonnées"),
        "failed" => ("Failed", "En échec"),
        other => return sentence_case(other),
    };
    lang.pick(english, french).to_owned()
}

/// A name that has no words yet, readable at least: `time_on_site` is `Time on site`.
fn sentence_case(name: &str) -> String {
    let spaced = name.replace('_', " ");
    let mut letters = spaced.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn words(report: Report, lang: Lang) -> (&'static str, &'static str) {
    let (english, french) = match report {
        Report::ConversionByChannel => (
            (
                "Conversion rate by channel",
                "The share of each channel's users who converted in the period. A user of two channels counts in both.",
            ),
            (
                "Taux de conversion par canal",
                "La part des utilisateurs de chaque canal qui ont converti sur la période. Un utilisateur de deux canaux \
                 compte dans les deux.",
            ),
        ),
        Report::Arpu => (
            ("Revenue per user", "Purchases less refunds, divided by the users who visited in the period."),
            (
                "Revenu par utilisateur",
                "Les achats moins les remboursements, divisés par les utilisateurs venus sur la période.",
            ),
        ),
        Report::ArpuByChannel => (
            (
                "Revenue per user by channel",
                "A purchase belongs to the channel of its session. A user of two channels counts in both, so the users do \
                 not add up.",
            ),
            (
                "Revenu par utilisateur et par canal",
                "Un achat appartient au canal de sa session. Un utilisateur de deux canaux compte dans les deux : les \
                 utilisateurs ne s'additionnent pas.",
            ),
        ),
        Report::ArpuByMonth => (
            ("Revenue per user by month", "Months that the period cuts show their part only."),
            ("Revenu par utilisateur et par mois", "Un mois coupé par la période ne montre que sa part."),
        ),
        Report::TopHours => (
            (
                "Best hours",
                "The hours of the day at which sessions convert most often, by the local start of the session.",
            ),
            (
                "Meilleures heures",
                "Les heures de la journée où les sessions convertissent le plus, selon le début local de la session.",
            ),
        ),
        Report::CohortRetention => (
            (
                "Monthly retention",
                "Users by month of sign-up (of the first visit without one), and the share of them who came back in each \
                 later month. Months that are not complete or not loaded are left open.",
            ),
            (
                "Rétention mensuelle",
                "Les utilisateurs par mois d'inscription (de première visite à défaut), et la part d'entre eux revenue \
                 chaque mois suivant. Les mois incomplets ou non chargés restent ouverts.",
            ),
        ),
        Report::Funnel => (
            ("Funnel", "How many people take the steps in order, and where the others stop."),
            (
                "Entonnoir",
                "Combien de personnes franchissent les étapes dans l'ordre, et où les autres s'arrêtent.",
            ),
        ),
        Report::CampaignPerformance => (
            (
                "Campaigns",
                "Sessions, conversions, revenue and cost of each campaign. A conversion is credited to the last click that \
                 was not direct. ROAS is revenue divided by cost.",
            ),
            (
                "Campagnes",
                "Les sessions, conversions, revenus et coûts de chaque campagne. Une conversion est attribuée au dernier \
                 clic qui n'était pas un accès direct. Le ROAS est le revenu divisé par le coût.",
            ),
        ),
        Report::Paths => (
            (
                "Paths to conversion",
                "The channels through which people came, in order, before they converted or not.",
            ),
            (
                "Parcours vers la conversion",
                "Les canaux par lesquels les visiteurs sont venus, dans l'ordre, avant de convertir ou non.",
            ),
        ),
        Report::ChannelSets => (
            ("Combinations of channels", "The same paths by the channels in them, whatever the order."),
            (
                "Combinaisons de canaux",
                "Les mêmes parcours selon les canaux empruntés, quel que soit leur ordre.",
            ),
        ),
        Report::AbandonedCarts => (
            ("Abandoned carts", "Carts that were filled in the period and not bought since."),
            ("Paniers abandonnés", "Les paniers remplis sur la période et non achetés depuis."),
        ),
        Report::DailySeries => (
            (
                "Day by day",
                "Visits, conversions and revenue of every day. Days that were not loaded are a gap.",
            ),
            (
                "Jour par jour",
                "Les visites, conversions et revenus de chaque jour. Les jours non chargés sont une lacune.",
            ),
        ),
        Report::Rfm => (
            (
                "Buyers by recency, frequency and amount",
                "Every buyer, scored by the last purchase, the number of purchases and their amount; the segment follows \
                 from recency and frequency.",
            ),
            (
                "Acheteurs par récence, fréquence et montant",
                "Chaque acheteur, noté selon son dernier achat, le nombre d'achats et leur montant ; le segment découle de la \
                 récence et de la fréquence.",
            ),
        ),
        Report::EmailPerformance => (
            (
                "Email campaigns",
                "What became of the messages first seen in the period. Opens and clicks by machines are in them.",
            ),
            (
                "Campagnes d'e-mail",
                "Ce que sont devenus les messages apparus sur la période. Les ouvertures et clics de machines en font partie.",
            ),
        ),
        Report::EtlStatus => (
            ("Freshness of the data", "How far each source was loaded, and how far that can be trusted."),
            ("Fraîcheur des données", "Jusqu'où chaque source a été chargée, et avec quelle fiabilité."),
        ),
        Report::TrainingSet => (
            (
                "Sessions for a model",
                "Conversion rate of the sessions that a conversion model would learn from.",
            ),
            (
                "Sessions pour un modèle",
                "Le taux de conversion des sessions dont un modèle de conversion apprendrait.",
            ),
        ),
    };
    lang.pick(english, french)
}
