//! Which service a referring host or app is: a search engine, a social network, an AI assistant, mail or video. Pure.
//!
//! Search engines, social networks and AI assistants are those of `data/referrers.tsv` (Matomo's list, CC0), mail, video
//! and apps of Android those of the tables here. The most exact host decides: `gemini.google.com` before `google.com`.
//! A search engine is only its listed hosts (`docs.google.com` is none); a social network or an AI assistant is also what
//! is below its host (`lm.facebook.com`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A kind of service that brings visitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ServiceKind {
    /// A search engine.
    Search,
    /// A social network or messenger.
    Social,
    /// An AI assistant.
    Ai,
    /// Mail in the browser, or an app of it.
    Mail,
    /// A site or app of videos.
    Video,
    /// A site or app of shops and prices.
    Shopping,
    /// Text messages.
    Sms,
}

impl ServiceKind {
    /// Its name in a sentence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search engine",
            Self::Social => "social network",
            Self::Ai => "AI assistant",
            Self::Mail => "mail",
            Self::Video => "video",
            Self::Shopping => "shopping",
            Self::Sms => "text messages",
        }
    }
}

/// A service that brings visitors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its kind.
    pub kind: ServiceKind,
    /// Its name: `Google`, `ChatGPT`.
    pub name: Cow<'static, str>,
}

/// What Matomo's list does not have, or has as something else (it takes YouTube for a social network).
const OWN: &[(ServiceKind, &str, &str)] = &[
    (ServiceKind::Mail, "Gmail", "mail.google.com"),
    (ServiceKind::Mail, "Outlook", "outlook.live.com"),
    (ServiceKind::Mail, "Outlook", "outlook.office.com"),
    (ServiceKind::Mail, "Outlook", "outlook.office365.com"),
    (ServiceKind::Mail, "Yahoo Mail", "mail.yahoo.com"),
    (ServiceKind::Mail, "Orange Mail", "messagerie.orange.fr"),
    (ServiceKind::Mail, "Orange Mail", "webmail.orange.fr"),
    (ServiceKind::Mail, "GMX", "gmx.net"),
    (ServiceKind::Mail, "Proton Mail", "mail.proton.me"),
    (ServiceKind::Mail, "Zimbra Free", "zimbra.free.fr"),
    (ServiceKind::Video, "YouTube", "youtube.com"),
    (ServiceKind::Video, "YouTube", "youtu.be"),
    (ServiceKind::Video, "Vimeo", "vimeo.com"),
    (ServiceKind::Video, "Dailymotion", "dailymotion.com"),
    (ServiceKind::Video, "Twitch", "twitch.tv"),
    (ServiceKind::Shopping, "Google Shopping", "shopping.google.com"),
    (ServiceKind::Shopping, "Amazon", "amazon.{}"),
    (ServiceKind::Shopping, "eBay", "ebay.{}"),
    (ServiceKind::Shopping, "Etsy", "etsy.com"),
    (ServiceKind::Shopping, "Idealo", "idealo.{}"),
    (ServiceKind::Social, "Threads", "threads.net"),
    (ServiceKind::Social, "Threads", "threads.com"),
    (ServiceKind::Social, "Bluesky", "bsky.app"),
    (ServiceKind::Social, "Bluesky", "go.bsky.app"),
    (ServiceKind::Social, "X", "x.com"),
    (ServiceKind::Social, "X", "t.co"),
    (ServiceKind::Social, "WhatsApp", "whatsapp.com"),
    (ServiceKind::Social, "Telegram", "t.me"),
    (ServiceKind::Ai, "ChatGPT", "openai.com"),
    (ServiceKind::Ai, "Copilot", "copilot.com"),
    (ServiceKind::Ai, "Le Chat", "mistral.ai"),
    (ServiceKind::Ai, "DeepSeek", "deepseek.com"),
    (ServiceKind::Search, "Brave", "search.brave.com"),
];

/// Apps of Android, by the package that `android-app://` names.
const APPS: &[(ServiceKind, &str, &str)] = &[
    (ServiceKind::Search, "Google", "com.google.android.googlequicksearchbox"),
    (ServiceKind::Search, "DuckDuckGo", "com.duckduckgo.mobile.android"),
    (ServiceKind::Search, "Bing", "com.microsoft.bing"),
    (ServiceKind::Mail, "Gmail", "com.google.android.gm"),
    (ServiceKind::Mail, "Outlook", "com.microsoft.office.outlook"),
    (ServiceKind::Mail, "Yahoo Mail", "com.yahoo.mobile.client.android.mail"),
    (ServiceKind::Mail, "Samsung Email", "com.samsung.android.email.provider"),
    (ServiceKind::Mail, "K-9 Mail", "com.fsck.k9"),
    (ServiceKind::Mail, "Thunderbird", "net.thunderbird.android"),
    (ServiceKind::Mail, "Proton Mail", "ch.protonmail.android"),
    (ServiceKind::Sms, "Messages", "com.google.android.apps.messaging"),
    (ServiceKind::Sms, "Samsung Messages", "com.samsung.android.messaging"),
    (ServiceKind::Social, "Facebook", "com.facebook.katana"),
    (ServiceKind::Social, "Facebook", "com.facebook.lite"),
    (ServiceKind::Social, "Messenger", "com.facebook.orca"),
    (ServiceKind::Social, "Instagram", "com.instagram.android"),
    (ServiceKind::Social, "Threads", "com.instagram.barcelona"),
    (ServiceKind::Social, "X", "com.twitter.android"),
    (ServiceKind::Social, "LinkedIn", "com.linkedin.android"),
    (ServiceKind::Social, "Pinterest", "com.pinterest"),
    (ServiceKind::Social, "Reddit", "com.reddit.frontpage"),
    (ServiceKind::Social, "Snapchat", "com.snapchat.android"),
    (ServiceKind::Social, "TikTok", "com.zhiliaoapp.musically"),
    (ServiceKind::Social, "TikTok", "com.ss.android.ugc.trill"),
    (ServiceKind::Social, "WhatsApp", "com.whatsapp"),
    (ServiceKind::Social, "Telegram", "org.telegram.messenger"),
    (ServiceKind::Social, "Bluesky", "xyz.blueskyweb.app"),
    (ServiceKind::Social, "Mastodon", "org.joinmastodon.android"),
    (ServiceKind::Social, "Discord", "com.discord"),
    (ServiceKind::Video, "YouTube", "com.google.android.youtube"),
    (ServiceKind::Ai, "ChatGPT", "com.openai.chatgpt"),
    (ServiceKind::Ai, "Claude", "com.anthropic.claude"),
    (ServiceKind::Ai, "Gemini", "com.google.android.apps.bard"),
    (ServiceKind::Ai, "Copilot", "com.microsoft.copilot"),
    (ServiceKind::Ai, "Perplexity", "ai.perplexity.app.android"),
    (ServiceKind::Ai, "DeepSeek", "com.deepseek.chat"),
];

const LIST: &str = include_str!("../../data/referrers.tsv");

/// Hosts of services.
#[derive(Debug, Clone)]
pub struct Services {
    /// By host; of one host, the longest beginning of a path first.
    hosts: HashMap<String, Vec<(String, Service)>>,
}

/// A list of hosts that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line} of the list of referrers: expected ai, social or search, a name and a host, separated by tabs"
)]
pub struct InvalidList {
    line: usize,
}

static PUBLISHED: LazyLock<Services> = LazyLock::new(|| {
    // A test reads the list that is compiled in.
    Services::parse(LIST).unwrap_or_else(|_| Services::of_own())
});

impl Services {
    /// The list that is compiled in, with its own additions.
    #[must_use]
    pub fn published() -> &'static Self {
        &PUBLISHED
    }

    /// A list of another date: kind (`ai`, `social`, `search`), name and host in each line, separated by tabs; `#` begins a
    /// comment, `{}` stands for any top-level domain, and a host may be followed by the beginning of a path.
    ///
    /// # Errors
    /// [`InvalidList`] with the first line that is none.
    pub fn parse(list: &str) -> Result<Self, InvalidList> {
        let mut services = Self::of_own();
        for (at, line) in list.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let mut cells = line.split('\t');
            let kind = match cells.next() {
                Some("ai") => ServiceKind::Ai,
                Some("social") => ServiceKind::Social,
                Some("search") => ServiceKind::Search,
                _ => return Err(InvalidList { line: at + 1 }),
            };
            match (cells.next(), cells.next()) {
                (Some(name), Some(host)) if !name.is_empty() && !host.is_empty() => {
                    services.put(kind, name.replace("%2B", "+").into(), host);
                }
                _ => return Err(InvalidList { line: at + 1 }),
            }
        }
        for paths in services.hosts.values_mut() {
            paths.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        }
        Ok(services)
    }

    fn of_own() -> Self {
        let mut services = Self { hosts: HashMap::new() };
        for (kind, name, host) in OWN {
            services.put(*kind, Cow::Borrowed(name), host);
        }
        services
    }

    /// The first entry of a host and path stays.
    fn put(&mut self, kind: ServiceKind, name: Cow<'static, str>, place: &str) {
        let place = place.strip_prefix("www.").unwrap_or(place);
        let (host, path) = place.split_once('/').unwrap_or((place, ""));
        let held = self.hosts.entry(host.to_lowercase()).or_default();
        if held.iter().all(|(known, _)| known != path) {
            held.push((path.to_owned(), Service { kind, name }));
        }
    }

    /// The service of a host, without its port, and of the path behind it.
    #[must_use]
    pub fn of_host(&self, host: &str, path: &str) -> Option<&Service> {
        let host = host.trim().trim_end_matches('.').to_lowercase();
        let host = host.strip_prefix("www.").unwrap_or(&host);
        let path = path.trim_start_matches('/');
        let at = |host: &str| {
            let held = self.hosts.get(host)?;
            held.iter().find(|(start, _)| path.starts_with(start.as_str())).map(|(_, service)| service)
        };
        if let Some(service) = at(host).or_else(|| wild(host).iter().find_map(|form| at(form))) {
            return Some(service);
        }
        // A mobile site of a search engine, and everything below the others' hosts.
        let mut below = host;
        while let Some((label, parent)) = below.split_once('.').filter(|(_, parent)| parent.contains('.')) {
            let found = at(parent).or_else(|| wild(parent).iter().find_map(|form| at(form)));
            let is_mobile = below.len() == host.len() && matches!(label, "m" | "mobile" | "amp");
            match found {
                Some(service) if service.kind != ServiceKind::Search || is_mobile => return Some(service),
                Some(_) => return None,
                None => below = parent,
            }
        }
        None
    }

    /// The service of an app of Android, by its package.
    #[must_use]
    pub fn of_app(package: &str) -> Option<Service> {
        let (kind, name, _) = APPS.iter().find(|(_, _, held)| held.eq_ignore_ascii_case(package.trim()))?;
        Some(Service { kind: *kind, name: Cow::Borrowed(name) })
    }
}

/// The forms of a host in which `{}` stands for a top-level domain at its end (`google.co.uk` is `google.{}`), or for one
/// at its start (`fr.ask.com` is `{}.ask.com`).
fn wild(host: &str) -> Vec<String> {
    let labels: Vec<&str> = host.split('.').collect();
    let mut forms = Vec::with_capacity(3);
    if labels.len() >= 2 {
        forms.push(format!("{}.{{}}", labels[..labels.len() - 1].join(".")));
    }
    if labels.len() >= 3 {
        let second = labels[labels.len() - 2];
        if second.len() <= 3 && labels[labels.len() - 1].len() == 2 {
            forms.push(format!("{}.{{}}", labels[..labels.len() - 2].join(".")));
        }
        if labels[0].len() == 2 {
            forms.push(format!("{{}}.{}", labels[1..].join(".")));
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_that_is_compiled_in_is_whole_and_says_where_it_comes_from() {
        let services = Services::parse(LIST).unwrap();
        assert!(services.hosts.len() > 800, "{}", services.hosts.len());
        for word in ["# source:", "# date:", "# licence:"] {
            assert!(LIST.contains(word), "{word}");
        }
        assert_eq!(Services::parse("# x\nsearch\tname").unwrap_err(), InvalidList { line: 2 });
    }

    #[test]
    fn the_most_exact_host_decides() {
        let find = |host: &str, path: &str| {
            Services::published().of_host(host, path).map(|service| (service.kind, service.name.to_string()))
        };
        for (host, path, kind, name) in [
            ("www.google.fr", "/", ServiceKind::Search, "Google"),
            ("google.co.uk", "/search", ServiceKind::Search, "Google"),
            ("gemini.google.com", "/app", ServiceKind::Ai, "Gemini"),
            ("mail.google.com", "/mail", ServiceKind::Mail, "Gmail"),
            ("chatgpt.com", "/", ServiceKind::Ai, "ChatGPT"),
            ("www.perplexity.ai", "/", ServiceKind::Ai, "Perplexity"),
            ("copilot.microsoft.com", "/", ServiceKind::Ai, "Copilot"),
            ("claude.ai", "/", ServiceKind::Ai, "Claude"),
            ("www.qwant.com", "/", ServiceKind::Search, "Qwant"),
            ("fr.search.yahoo.com", "/", ServiceKind::Search, "Yahoo!"),
            ("www.bing.com", "/search", ServiceKind::Search, "Bing"),
            ("bsky.app", "/", ServiceKind::Social, "Bluesky"),
            ("lm.facebook.com", "/", ServiceKind::Social, "Facebook"),
            ("x.com", "/i/grok", ServiceKind::Ai, "Grok"),
            ("x.com", "/me", ServiceKind::Social, "X"),
            ("m.youtube.com", "/watch", ServiceKind::Video, "YouTube"),
            ("www.amazon.de", "/", ServiceKind::Shopping, "Amazon"),
        ] {
            assert_eq!(find(host, path), Some((kind, name.to_owned())), "{host}{path}");
        }
        for host in [
            "docs.google.com",
            "sites.google.com",
            "notgoogle.com",
            "google.com.evil.example",
            "partner.example",
        ] {
            assert_eq!(find(host, "/"), None, "{host}");
        }
    }
}
