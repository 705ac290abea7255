//! Channel rules: from what a source knows of a visit's origin to one [`Channel`]. Pure.
//!
//! The order and the patterns follow Google's default channel groups (support.google.com/analytics/answer/9756891,
//! read in 2026), folded into our vocabulary: paid search, paid social, paid video and paid shopping are all `paid`,
//! unpaid shopping is `referral`. Lists of hosts are short on purpose: what they do not know is `referral`, never a
//! guess, and the source's own words are kept in `channel_detail`.

mod ga4;
mod hosts;
mod origin;

pub use ga4::Ga4Group;
pub use hosts::{InvalidList, Service, ServiceKind, Services};
pub use origin::Origin;
pub(crate) use origin::host_and_path;

use mkt_connect::Channel;

const SEARCH: &[&str] = &[
    "google",
    "bing",
    "yahoo",
    "duckduckgo",
    "ecosia",
    "qwant",
    "baidu",
    "yandex",
    "startpage",
    "brave",
    "naver",
    "seznam",
];
const SOCIAL: &[&str] = &[
    "facebook",
    "instagram",
    "threads",
    "twitter",
    "t.co",
    "x.com",
    "linkedin",
    "lnkd",
    "pinterest",
    "tiktok",
    "reddit",
    "snapchat",
    "bluesky",
    "bsky",
    "mastodon",
    "whatsapp",
    "telegram",
    "t.me",
    "vk.com",
];
const VIDEO: &[&str] = &["youtube", "youtu.be", "vimeo", "dailymotion", "twitch"];
const AI: &[&str] =
    &["chatgpt", "openai", "perplexity", "claude", "gemini.google", "copilot", "mistral", "deepseek"];
const MAIL: &[&str] = &["mail.google", "outlook.live", "outlook.office", "mail.yahoo", "newsletter"];

/// The channel of a visit whose landing URL carries campaign tags: the values of `utm_source` and `utm_medium` or
/// their equivalents, each empty where it is missing.
///
/// ```
/// use mkt_connect::Channel;
/// use mkt_etl::channel;
/// assert_eq!(channel::of_tags("google", "cpc"), Channel::Paid);
/// assert_eq!(channel::of_tags("newsletter", "email"), Channel::Email);
/// assert_eq!(channel::of_tags("instagram", "social"), Channel::Social);
/// assert_eq!(channel::of_tags("", ""), Channel::Other);
/// ```
#[must_use]
pub fn of_tags(source: &str, medium: &str) -> Channel {
    let source = source.trim().to_lowercase();
    let medium = medium.trim().to_lowercase();
    let medium_is = |names: &[&str]| names.contains(&medium.as_str());
    // `^(.*cp.*|ppc|retargeting|paid.*)$`
    let paid = medium.contains("cp") || medium_is(&["ppc", "retargeting"]) || medium.starts_with("paid");
    let known = named(&source, SEARCH) || named(&source, SOCIAL) || named(&source, VIDEO);
    match () {
        () if paid && known => Channel::Paid,
        // Before the other paid media: `cpm` is how banners are sold.
        () if medium_is(&["display", "banner", "expandable", "interstitial", "cpm"]) => Channel::Display,
        () if paid => Channel::Paid,
        () if medium_is(&[
            "social",
            "social-network",
            "social-media",
            "sm",
            "social network",
            "social media",
        ]) =>
        {
            Channel::Social
        }
        () if medium.contains("video") => Channel::Video,
        () if medium_is(&["organic"]) => Channel::Organic,
        () if is_mail(&medium) || is_mail(&source) => Channel::Email,
        () if medium_is(&["affiliate", "affiliates"]) => Channel::Affiliate,
        () if medium_is(&["sms"]) || source == "sms" => Channel::Sms,
        () if medium.ends_with("push") || medium.contains("mobile") || medium.contains("notification") => {
            Channel::Push
        }
        () if medium_is(&["ai", "ai-assistant"]) => Channel::Ai,
        () if medium_is(&["referral", "app", "link"]) => Channel::Referral,
        () if source.is_empty() || !medium.is_empty() => Channel::Other,
        // Only a source: it says as much as a referring host does.
        () => match of_host(&source) {
            Channel::Referral => Channel::Other,
            channel => channel,
        },
    }
}

fn is_mail(text: &str) -> bool {
    matches!(text, "email" | "e-mail" | "e_mail" | "e mail" | "mail" | "newsletter")
}

/// The channel of a visit that came from another site, by its host, without campaign tags.
///
/// ```
/// use mkt_connect::Channel;
/// use mkt_etl::channel;
/// assert_eq!(channel::of_host("www.google.fr"), Channel::Organic);
/// assert_eq!(channel::of_host("l.facebook.com"), Channel::Social);
/// assert_eq!(channel::of_host("partner.example.net"), Channel::Referral);
/// ```
#[must_use]
pub fn of_host(host: &str) -> Channel {
    let host = host.trim().to_lowercase();
    // Services of search engines that are no search come first: mail.google.com, gemini.google.com.
    for (names, channel) in [
        (MAIL, Channel::Email),
        (AI, Channel::Ai),
        (VIDEO, Channel::Video),
        (SOCIAL, Channel::Social),
        (SEARCH, Channel::Organic),
    ] {
        if named(&host, names) {
            return channel;
        }
    }
    Channel::Referral
}

/// Names of channels as vendors and people write them, folded ([`folded`]), in English and French. Google Analytics 4:
/// support.google.com/analytics/answer/9756891; Matomo: the referrer types of its reports; AT Internet: the sources of
/// Data Query (`src`); read in 2026.
const NAMES: &[(Channel, &[&str])] = &[
    (
        Channel::Organic,
        &[
            "organic",
            "organicsearch",
            "seo",
            "search",
            "searchengine",
            "searchengines",
            "naturalsearch",
            "referencementnaturel",
            "recherchenaturelle",
            "recherche",
            "moteurderecherche",
            "moteursderecherche",
        ],
    ),
    (
        Channel::Paid,
        &[
            "paid",
            "paidsearch",
            "paidsocial",
            "paidvideo",
            "paidshopping",
            "paidother",
            "crossnetwork",
            "cpc",
            "ppc",
            "sea",
            "sem",
            "googleads",
            "adwords",
            "googleadwords",
            "bingads",
            "microsoftads",
            "facebookads",
            "metaads",
            "instagramads",
            "linkedinads",
            "tiktokads",
            "youtubeads",
            "sponsoredlinks",
            "liensponsorise",
            "lienssponsorises",
            "payant",
            "referencementpayant",
            "recherchepayante",
            "socialpayant",
        ],
    ),
    (
        Channel::Email,
        &[
            "email",
            "emails",
            "emailing",
            "emailmarketing",
            "mail",
            "mailing",
            "newsletter",
            "newsletters",
            "courriel",
            "courriels",
            "infolettre",
            "webmail",
            "webmails",
        ],
    ),
    (
        Channel::Social,
        &[
            "social",
            "organicsocial",
            "socialnetwork",
            "socialnetworks",
            "socialmedia",
            "socialmedias",
            "reseausocial",
            "reseauxsociaux",
            "mediasociaux",
        ],
    ),
    (
        Channel::Direct,
        &[
            "direct",
            "directentry",
            "directtraffic",
            "typed",
            "none",
            "accesdirect",
            "entreedirecte",
            "entreesdirectes",
            "traficdirect",
        ],
    ),
    (
        Channel::Referral,
        &[
            "referral",
            "referrals",
            "website",
            "websites",
            "organicshopping",
            "referrersites",
            "referringsites",
            "portalsites",
            "link",
            "links",
            "lien",
            "liens",
            "sitereferent",
            "sitesreferents",
            "sitesweb",
            "siteweb",
        ],
    ),
    (Channel::Affiliate, &["affiliate", "affiliates", "affiliation", "affilie", "affilies"]),
    (
        Channel::Display,
        &[
            "display",
            "banner",
            "banners",
            "banniere",
            "bannieres",
            "advertising",
            "ads",
            "publicite",
            "programmatic",
            "programmatique",
        ],
    ),
    (
        Channel::Push,
        &[
            "push",
            "mobilepush",
            "webpush",
            "pushnotification",
            "pushnotifications",
            "mobilepushnotifications",
            "notificationpush",
            "notificationspush",
        ],
    ),
    (Channel::Sms, &["sms", "textmessage", "textmessages", "texto", "textos"]),
    (Channel::Video, &["video", "videos", "organicvideo"]),
    (Channel::Ai, &["ai", "aiassistant", "aiassistants", "llm", "ia", "assistantia", "assistantsia"]),
    (
        Channel::Other,
        &[
            "other",
            "others",
            "unassigned",
            "audio",
            "campaign",
            "campaigns",
            "campagne",
            "campagnes",
            "selfpromotion",
            "autopromotion",
            "offsitecampaigns",
            "autre",
            "autres",
            "notset",
            "unknown",
            "inconnu",
        ],
    ),
];

/// A channel's name in the form in which names are compared: without case, accents, blanks, hyphens and underscores, and
/// without the brackets of `(direct)`.
#[must_use]
pub fn folded(word: &str) -> String {
    mkt_connect::table::fold(&word.replace(['(', ')', '[', ']'], ""))
}

/// The channel that a word names: a channel of Google Analytics, Matomo or AT Internet, `source / medium`, a host, or a
/// usual word in English or French. `None` for a word that is not known: it is not guessed.
///
/// ```
/// use mkt_connect::Channel;
/// use mkt_etl::channel;
/// assert_eq!(channel::of_name("Organic Search"), Some(Channel::Organic));
/// assert_eq!(channel::of_name("google / cpc"), Some(Channel::Paid));
/// assert_eq!(channel::of_name("(direct) / (none)"), Some(Channel::Direct));
/// assert_eq!(channel::of_name("Réseaux sociaux"), Some(Channel::Social));
/// assert_eq!(channel::of_name("carrier pigeon"), None);
/// ```
#[must_use]
pub fn of_name(word: &str) -> Option<Channel> {
    let name = folded(word);
    if let Some((channel, _)) = NAMES.iter().find(|(_, names)| names.contains(&name.as_str())) {
        return Some(*channel);
    }
    if let Some((source, medium)) = word.split_once('/') {
        let plain = |text: &str| match folded(text).as_str() {
            "notset" | "none" | "other" => String::new(),
            _ => text.trim().to_owned(),
        };
        let (is_direct, source, medium) = (folded(source) == "direct", plain(source), plain(medium));
        if is_direct && medium.is_empty() {
            return Some(Channel::Direct);
        }
        return match of_tags(&source, &medium) {
            Channel::Other => of_name_only(&medium),
            channel => Some(channel),
        };
    }
    let is_host = word.trim().contains('.') && !word.trim().contains(' ');
    match of_host(word) {
        Channel::Referral => is_host.then_some(Channel::Referral),
        channel => Some(channel),
    }
}

fn of_name_only(word: &str) -> Option<Channel> {
    let name = folded(word);
    NAMES.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(channel, _)| *channel)
}

/// Whether a host or a source's name has one of the names as a whole label: `google` in `www.google.fr`, not in
/// `notgoogle.com`. Names with a dot must end at the host's end or at a dot.
fn named(host: &str, names: &[&str]) -> bool {
    let dotted = format!(".{host}.");
    names.iter().any(|name| dotted.contains(&format!(".{name}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_googles_page_orders_them() {
        for (source, medium, channel) in [
            ("google", "cpc", Channel::Paid),
            ("facebook", "paid_social", Channel::Paid),
            ("facebook", "cpm", Channel::Paid),
            ("news.example", "cpm", Channel::Display),
            ("news.example", "cpa", Channel::Paid),
            ("partner", "retargeting", Channel::Paid),
            ("newsletter", "email", Channel::Email),
            ("lettre", "e-mail", Channel::Email),
            ("instagram", "social", Channel::Social),
            ("youtube", "video", Channel::Video),
            ("awin", "affiliate", Channel::Affiliate),
            ("app", "web_push", Channel::Push),
            ("crm", "sms", Channel::Sms),
            ("google", "organic", Channel::Organic),
            ("google", "", Channel::Organic),
            ("chatgpt.com", "", Channel::Ai),
            ("flyer", "", Channel::Other),
            ("flyer", "print", Channel::Other),
            ("partner.example.net", "referral", Channel::Referral),
        ] {
            assert_eq!(of_tags(source, medium), channel, "{source} / {medium}");
        }
    }

    #[test]
    fn names_of_vendors_and_usual_words_are_channels() {
        for (word, channel) in [
            // GA4's default channel group.
            ("Paid Search", Channel::Paid),
            ("Cross-network", Channel::Paid),
            ("Organic Social", Channel::Social),
            ("Mobile Push Notifications", Channel::Push),
            ("Unassigned", Channel::Other),
            // Matomo's types of referrers.
            ("Direct Entry", Channel::Direct),
            ("Search Engines", Channel::Organic),
            ("Social Networks", Channel::Social),
            ("Websites", Channel::Referral),
            ("AI Assistants", Channel::Ai),
            // AT Internet's sources.
            ("Sponsored links", Channel::Paid),
            ("Email marketing", Channel::Email),
            ("Referrer sites", Channel::Referral),
            ("Accès direct", Channel::Direct),
            ("Facebook Ads", Channel::Paid),
            ("SEO", Channel::Organic),
            ("E-mail", Channel::Email),
            ("newsletter", Channel::Email),
            ("google / organic", Channel::Organic),
            ("facebook.com / referral", Channel::Referral),
            ("(not set) / (not set)", Channel::Other),
        ] {
            let expected = if word.starts_with("(not set)") { None } else { Some(channel) };
            assert_eq!(of_name(word), expected, "{word}");
        }
        assert_eq!(of_name("flyer"), None);
        assert_eq!(of_name("flyer / print"), None);
    }

    #[test]
    fn hosts_are_matched_by_whole_labels() {
        for (host, channel) in [
            ("notgoogle.com", Channel::Referral),
            ("google.example.org", Channel::Organic),
            ("mail.google.com", Channel::Email),
            ("gemini.google.com", Channel::Ai),
            ("t.co", Channel::Social),
            ("t.com", Channel::Referral),
            ("m.youtube.com", Channel::Video),
        ] {
            assert_eq!(of_host(host), channel, "{host}");
        }
    }
}
