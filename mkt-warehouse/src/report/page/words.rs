//! Titles, explanations and the words of closed lists, in French and English.

use crate::report::Report;
use mkt_connect::chart::Lang;

pub(super) fn channel(word: &str, lang: Lang) -> Option<&'static str> {
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

pub(super) fn event(word: &str, lang: Lang) -> Option<&'static str> {
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
        "media_progress" => ("media played", "média lu"),
        _ => return None,
    };
    Some(lang.pick(english, french))
}

pub(super) fn segment(word: &str, lang: Lang) -> Option<&'static str> {
    let (english, french) = match word {
        "champions" => ("champions", "champions"),
        "loyal" => ("loyal", "fidèles"),
        "potential_loyal" => ("potential loyalists", "fidèles en devenir"),
        "new" => ("new customers", "nouveaux clients"),
        "promising" => ("promising", "prometteurs"),
        "needs_attention" => ("needs attention", "à surveiller"),
        "about_to_sleep" => ("about to sleep", "en sommeil bientôt"),
        "at_risk" => ("at risk", "à risque"),
        "cannot_lose" => ("cannot lose them", "à ne pas perdre"),
        "hibernating" => ("hibernating", "en sommeil"),
        _ => return None,
    };
    Some(lang.pick(english, french))
}

/// A column in words; `None` for a column that no reader sees.
pub(super) fn column_title(report: Report, name: &str, lang: Lang) -> Option<&'static str> {
    let (english, french) = match name {
        "month" if report == Report::CohortRetention => ("Months since", "Mois écoulés"),
        "source" if report == Report::TrainingSet => ("Channel", "Canal"),
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
        "time_on_site" => ("Seconds on site", "Secondes sur le site"),
        "pages_viewed" => ("Pages viewed", "Pages vues"),
        "device" => ("Device", "Appareil"),
        _ => return None,
    };
    Some(lang.pick(english, french))
}

/// A stream of the loaders of this workspace.
pub(super) fn stream(word: &str, lang: Lang) -> Option<&'static str> {
    let (english, french) = match word {
        "visits" => ("visits", "visites"),
        "sessions" => ("sessions", "sessions"),
        "events" => ("events", "événements"),
        "customers" => ("customers", "clients"),
        "costs" => ("costs", "coûts"),
        "daily" => ("daily numbers", "chiffres quotidiens"),
        "derived_daily" => {
            ("daily numbers, counted from sessions", "chiffres quotidiens, comptés sur les sessions")
        }
        "referrers" => ("referrers", "sources de trafic"),
        "referrer_names" => ("names of referrers", "noms des sources de trafic"),
        "campaigns" => ("campaigns", "campagnes"),
        "pages" => ("pages", "pages"),
        "hours" => ("hours", "heures"),
        "items" => ("products", "produits"),
        "goals" => ("goals", "objectifs"),
        "posts" => ("posts", "publications"),
        _ => return None,
    };
    Some(lang.pick(english, french))
}

/// A device as sources name them.
pub(super) fn device(word: &str, lang: Lang) -> Option<&'static str> {
    let (english, french) = match word {
        "desktop" => ("desktop", "ordinateur"),
        "mobile" | "smartphone" => ("smartphone", "smartphone"),
        "tablet" => ("tablet", "tablette"),
        _ => return None,
    };
    Some(lang.pick(english, french))
}

pub(super) fn words(report: Report, lang: Lang) -> (&'static str, &'static str) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EventType;
    use crate::report::page::HIDDEN;
    use crate::report::*;
    use crate::schema::Record;
    use mkt_connect::Channel;

    #[test]
    fn every_column_that_is_shown_has_words() {
        let columns = [
            (Report::ConversionByChannel, ChannelConversion::SCHEMA.columns),
            (Report::Arpu, Arpu::SCHEMA.columns),
            (Report::ArpuByChannel, ChannelArpu::SCHEMA.columns),
            (Report::ArpuByMonth, MonthArpu::SCHEMA.columns),
            (Report::TopHours, HourConversion::SCHEMA.columns),
            (Report::CohortRetention, CohortMonth::SCHEMA.columns),
            (Report::Funnel, FunnelStep::SCHEMA.columns),
            (Report::CampaignPerformance, CampaignPerformance::SCHEMA.columns),
            (Report::Paths, PathCount::SCHEMA.columns),
            (Report::ChannelSets, ChannelSetCount::SCHEMA.columns),
            (Report::AbandonedCarts, AbandonedCart::SCHEMA.columns),
            (Report::DailySeries, Day::SCHEMA.columns),
            (Report::Rfm, Buyer::SCHEMA.columns),
            (Report::EmailPerformance, EmailPerformance::SCHEMA.columns),
            (Report::EtlStatus, StreamStatus::SCHEMA.columns),
            (Report::TrainingSet, TrainingRow::SCHEMA.columns),
        ];
        assert_eq!(columns.map(|(report, _)| report), Report::ALL);
        for (report, columns) in columns {
            for column in columns.iter().filter(|column| !HIDDEN.contains(&column.name)) {
                for lang in [Lang::En, Lang::Fr] {
                    let words = column_title(report, column.name, lang);
                    assert!(words.is_some_and(|words| !words.contains('_')), "{report} {}", column.name);
                }
            }
        }
    }

    #[test]
    fn every_word_of_a_closed_list_is_named() {
        for channel in Channel::ALL {
            assert!(super::channel(channel.as_str(), Lang::Fr).is_some(), "{channel}");
        }
        let events = [
            EventType::PAGE_VIEW,
            EventType::PRODUCT_VIEW,
            EventType::ADD_TO_CART,
            EventType::REMOVE_FROM_CART,
            EventType::CART_ABANDONED,
            EventType::PURCHASE,
            EventType::REFUND,
            EventType::SIGNUP,
            EventType::GOAL,
            EventType::SEARCH,
            EventType::DOWNLOAD,
            EventType::OUTLINK,
            EventType::CALL,
            EventType::STORE_PURCHASE,
            EventType::MEDIA_PROGRESS,
        ];
        for word in events {
            assert!(event(word.as_str(), Lang::Fr).is_some(), "{word}");
        }
        for one in Segment::ALL {
            assert!(segment(one.as_str(), Lang::Fr).is_some(), "{one:?}");
        }
    }
}
