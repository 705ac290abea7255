//! Where a visit came from: its landing URL and referrer as a channel, with the rule that fired. Pure.

use super::ga4::Ga4Group;
use super::hosts::{ServiceKind, Services};
use mkt_connect::campaign::TagFamily;
use mkt_connect::{CampaignTags, Channel};

/// Where a visit came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The channel.
    pub channel: Channel,
    /// The default channel group of Google Analytics 4.
    pub group: Ga4Group,
    /// The rule that fired, with what it saw: `referrer Google (search engine)`, `tags google / cpc`.
    pub rule: String,
    /// The campaign of the landing URL's tags.
    pub campaign_id: Option<String>,
}

impl Origin {
    fn of(group: Ga4Group, rule: String) -> Self {
        Self { channel: group.channel(), group, rule, campaign_id: None }
    }

    /// What goes into `channel_detail`: group and rule.
    #[must_use]
    pub fn detail(&self) -> String {
        format!("{}: {}", self.group.as_str(), self.rule)
    }

    /// Decides from the first URL of a visit (a path and query will do) and its referrer. `is_own` says whether a host is
    /// the site's own.
    ///
    /// Campaign tags come first (`utm_*`, Matomo's, AT Internet's), then the click ids of Google and Microsoft Ads, then
    /// the referrer. A visit that begins with a referrer of the site itself is direct.
    ///
    /// ```
    /// use mkt_connect::Channel;
    /// use mkt_etl::channel::Origin;
    /// let origin = Origin::of_visit("/tea?utm_source=google&utm_medium=cpc&utm_campaign=spring", None, |_| false);
    /// assert_eq!((origin.channel, origin.detail().as_str()), (Channel::Paid, "Paid Search: tags google / cpc / spring"));
    /// let origin = Origin::of_visit("/", Some("https://chatgpt.com/"), |_| false);
    /// assert_eq!((origin.channel, origin.detail().as_str()), (Channel::Ai, "AI Assistants: referrer ChatGPT (AI assistant)"));
    /// ```
    #[must_use]
    pub fn of_visit(landing: &str, referrer: Option<&str>, is_own: impl Fn(&str) -> bool) -> Self {
        if let Some(origin) = of_tags(landing) {
            return origin;
        }
        if let Some((name, group)) = click_id(landing) {
            return Self::of(group, format!("click id {name}"));
        }
        let Some(referrer) = referrer.map(str::trim).filter(|text| !matches!(*text, "" | "-")) else {
            return Self::of(Ga4Group::Direct, "no referrer".to_owned());
        };
        of_referrer(referrer, is_own)
    }
}

fn of_tags(landing: &str) -> Option<Origin> {
    let tags = CampaignTags::parse(landing)?;
    let get = |field: &Option<String>| field.clone().unwrap_or_default();
    let (source, medium, campaign) = (get(&tags.source), get(&tags.medium), get(&tags.campaign));
    if source.is_empty() && medium.is_empty() && campaign.is_empty() && tags.id.is_none() {
        return None;
    }
    let shown = [&source, &medium, &campaign].map(|text| if text.is_empty() { "-" } else { text.as_str() });
    let rule = format!("tags {}", crate::clean::raw_text(shown.join(" / ").as_bytes(), 200));
    let group = match xtor_group(landing, &source) {
        Some(group) => group,
        None => Ga4Group::of_tags(&source, &medium, &campaign),
    };
    let mut origin = Origin::of(group, rule);
    if group == Ga4Group::Unassigned {
        // Words that Google does not know: French ones, AT Internet's and Matomo's.
        origin.channel = super::of_name_only(&medium)
            .or_else(|| super::of_name_only(&source))
            .unwrap_or_else(|| super::of_tags(&source, &medium));
    }
    origin.campaign_id = tags.campaign_id();
    Some(origin)
}

/// The prefixes of AT Internet's `xtor`.
fn xtor_group(landing: &str, source: &str) -> Option<Ga4Group> {
    CampaignTags::parse_family(landing, TagFamily::Xtor)?;
    match source.to_ascii_uppercase().as_str() {
        "EREC" | "EPR" | "ES" => Some(Ga4Group::Email),
        "SEC" => Some(Ga4Group::PaidSearch),
        "AD" => Some(Ga4Group::Display),
        "AL" => Some(Ga4Group::Affiliates),
        _ => None,
    }
}

/// The parameters that Google Ads, Display & Video 360 and Microsoft Ads add by themselves. Meta's `fbclid` is no sign of
/// a paid click.
fn click_id(landing: &str) -> Option<(&'static str, Ga4Group)> {
    const IDS: [(&str, Ga4Group); 5] = [
        ("gclid", Ga4Group::PaidSearch),
        ("gbraid", Ga4Group::PaidSearch),
        ("wbraid", Ga4Group::PaidSearch),
        ("dclid", Ga4Group::Display),
        ("msclkid", Ga4Group::PaidSearch),
    ];
    let query = landing.split_once('?')?.1;
    let query = query.split('#').next().unwrap_or_default();
    IDS.into_iter().find(|(name, _)| {
        query
            .split('&')
            .any(|pair| pair.split_once('=').is_some_and(|(key, value)| key == *name && !value.is_empty()))
    })
}

/// The host and the path of a URL.
pub(crate) fn host_and_path(url: &str) -> Option<(&str, &str)> {
    let rest = url.split_once("://").map(|(_, rest)| rest).or_else(|| url.strip_prefix("//"))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    (!host.is_empty()).then_some((host, path))
}

fn of_referrer(referrer: &str, is_own: impl Fn(&str) -> bool) -> Origin {
    if let Some(package) = referrer.strip_prefix("android-app://") {
        let package = package.split('/').next().unwrap_or_default();
        return match Services::of_app(package) {
            Some(service) => Origin::of(
                group_of(service.kind),
                format!("app {} ({})", service.name, service.kind.as_str()),
            ),
            None => Origin::of(
                Ga4Group::Referral,
                format!("app {}", crate::clean::raw_text(package.as_bytes(), 100)),
            ),
        };
    }
    let Some((host, path)) = host_and_path(referrer) else {
        return Origin::of(Ga4Group::Direct, "a referrer that is no URL".to_owned());
    };
    if is_own(host) {
        return Origin::of(Ga4Group::Direct, "referrer of the site itself".to_owned());
    }
    match Services::published().of_host(host, path) {
        Some(service) => Origin::of(
            group_of(service.kind),
            format!("referrer {} ({})", service.name, service.kind.as_str()),
        ),
        None => Origin::of(
            Ga4Group::Referral,
            format!("referrer {}", crate::clean::raw_text(host.to_lowercase().as_bytes(), 100)),
        ),
    }
}

fn group_of(kind: ServiceKind) -> Ga4Group {
    match kind {
        ServiceKind::Search => Ga4Group::OrganicSearch,
        ServiceKind::Social => Ga4Group::OrganicSocial,
        ServiceKind::Ai => Ga4Group::AiAssistants,
        ServiceKind::Mail => Ga4Group::Email,
        ServiceKind::Video => Ga4Group::OrganicVideo,
        ServiceKind::Shopping => Ga4Group::OrganicShopping,
        ServiceKind::Sms => Ga4Group::Sms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_names_the_rule_that_fired() {
        for (landing, referrer, channel, detail) in [
            ("/", None, Channel::Direct, "Direct: no referrer"),
            (
                "/",
                Some("https://www.google.com/"),
                Channel::Organic,
                "Organic Search: referrer Google (search engine)",
            ),
            (
                "/",
                Some("https://gemini.google.com/app"),
                Channel::Ai,
                "AI Assistants: referrer Gemini (AI assistant)",
            ),
            (
                "/",
                Some("https://docs.google.com/d/1"),
                Channel::Referral,
                "Referral: referrer docs.google.com",
            ),
            ("/", Some("https://shop.example/a"), Channel::Direct, "Direct: referrer of the site itself"),
            (
                "/",
                Some("https://Partner.example:8443/x"),
                Channel::Referral,
                "Referral: referrer partner.example",
            ),
            ("/", Some("android-app://com.google.android.gm/"), Channel::Email, "Email: app Gmail (mail)"),
            (
                "/",
                Some("android-app://com.google.android.googlequicksearchbox/https/www.google.com"),
                Channel::Organic,
                "Organic Search: app Google (search engine)",
            ),
            (
                "/",
                Some("android-app://org.example.unheard"),
                Channel::Referral,
                "Referral: app org.example.unheard",
            ),
            ("/?gclid=x1", Some("https://www.google.com/"), Channel::Paid, "Paid Search: click id gclid"),
            (
                "/?gclid=",
                Some("https://www.google.com/"),
                Channel::Organic,
                "Organic Search: referrer Google (search engine)",
            ),
            (
                "/?fbclid=x",
                Some("https://l.facebook.com/"),
                Channel::Social,
                "Organic Social: referrer Facebook (social network)",
            ),
            (
                "/?utm_source=lettre&utm_medium=newsletter",
                None,
                Channel::Email,
                "Unassigned: tags lettre / newsletter / -",
            ),
            ("/?xtor=SEC-12-GOO", None, Channel::Paid, "Paid Search: tags"),
            (
                "/?utm_source=flyer&utm_medium=print",
                Some("https://www.google.com/"),
                Channel::Other,
                "Unassigned: tags flyer / print / -",
            ),
        ] {
            let origin = Origin::of_visit(landing, referrer, |host| host == "shop.example");
            assert_eq!(origin.channel, channel, "{landing} {referrer:?}");
            assert!(origin.detail().starts_with(detail), "{landing} {referrer:?}: {}", origin.detail());
        }
    }
}
