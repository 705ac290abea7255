//! What a user agent is: a robot, by which rule, or a person's browser, on which kind of device. Pure.
//!
//! The rules come in this order, and the first that fires is named:
//!
//! | rule | fires for |
//! |---|---|
//! | `no agent` | an absent agent: `-` in one server's log, empty in another's |
//! | `headless: …` | browsers that programs drive: HeadlessChrome, PhantomJS |
//! | `library: …` | HTTP clients of programs: python-requests, curl, Go-http-client, … |
//! | `preview: …` | programs that fetch a link which a person has sent: WhatsApp, Slack |
//! | `list: …` | a text of `data/crawlers.txt` (crawler-user-agents, MIT) |
//! | `names itself` | `…bot/1.0`, `…spider;`, `…crawler)` |
//! | `gives its address` | `+http…`, as robots do |
//!
//! Texts of the list begin where a word begins, so that a phone (CUBOT) or an app (LinkedInApp) is a person's.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use std::collections::HashMap;

const HEADLESS: &[&str] = &[
    "HeadlessChrome",
    "Headless Chrome",
    "HeadlessEdg",
    "PhantomJS",
    "SlimerJS",
    "Puppeteer",
    "Playwright",
    "Selenium",
    "Cypress/",
    "jsdom/",
    "Splash/",
];
const LIBRARIES: &[&str] = &[
    "python-requests",
    "Python-urllib",
    "python-httpx",
    "Python/",
    "aiohttp/",
    "curl/",
    "libcurl",
    "Wget/",
    "libwww-perl",
    "LWP::",
    "Java/",
    "okhttp/",
    "Apache-HttpClient",
    "Apache-HttpAsyncClient",
    "Go-http-client",
    "node-fetch",
    "undici",
    "axios/",
    "got (",
    "superagent",
    "PostmanRuntime",
    "insomnia/",
    "HTTPie/",
    "Ruby",
    "Faraday",
    "GuzzleHttp",
    "PHP/",
    "Scrapy/",
    "reqwest/",
    "ureq/",
    "hyper/",
    "http.rb/",
    "RestSharp/",
    "Symfony",
    "PycURL",
    "Deno/",
    "Bun/",
    "node.js",
    "Jakarta Commons",
    "WinHttp",
    "WordPress/",
    "colly",
];
const PREVIEWS: &[&str] = &[
    "WhatsApp/",
    "facebookexternalhit",
    "facebookcatalog",
    "meta-externalagent",
    "meta-externalfetcher",
    "Twitterbot",
    "Slackbot",
    "Slack-ImgProxy",
    "TelegramBot",
    "Discordbot",
    "LinkedInBot",
    "SkypeUriPreview",
    "Iframely",
    "Embedly",
    "vkShare",
    "redditbot",
    "Google-PageRenderer",
];
/// Agents that are nothing but a library's name.
const WHOLE: &[&str] =
    &["node", "undici", "axios", "python", "ruby", "php", "java", "okhttp", "test", "curl", "wget"];

const LIST: &str = include_str!("../../data/crawlers.txt");

/// A kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Device {
    Unknown,
    Desktop,
    Mobile,
    Tablet,
    Television,
}

impl Device {
    pub(super) const ALL: [Self; 5] =
        [Self::Unknown, Self::Desktop, Self::Mobile, Self::Tablet, Self::Television];

    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Desktop => Some("desktop"),
            Self::Mobile => Some("mobile"),
            Self::Tablet => Some("tablet"),
            Self::Television => Some("tv"),
        }
    }

    fn of(agent: &[u8]) -> Self {
        let has = |text: &str| memchr::memmem::find(agent, text.as_bytes()).is_some();
        match () {
            () if has("SMART-TV")
                || has("SmartTV")
                || has("GoogleTV")
                || has("AppleTV")
                || has("HbbTV")
                || has("Web0S") =>
            {
                Self::Television
            }
            () if has("iPad") || has("Tablet") || has("Kindle") || has("Silk/") => Self::Tablet,
            () if has("Mobi") || has("iPhone") || has("iPod") => Self::Mobile,
            () if has("Android") => Self::Tablet,
            () if has("Windows") || has("Macintosh") || has("X11") || has("CrOS") => Self::Desktop,
            () => Self::Unknown,
        }
    }
}

/// What an agent is: a robot by the rule of this number, or a person's device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Robot(u16),
    Person(Device),
}

/// The rules, and what they said about the agents that were seen.
pub(super) struct Agents {
    texts: AhoCorasick,
    /// Of each text: whether it must stand at the beginning, at the end, and the number of its rule.
    entries: Vec<(bool, bool, u16)>,
    rules: Vec<String>,
    seen: HashMap<Box<[u8]>, Verdict, foldhash::fast::RandomState>,
}

const NO_AGENT: u16 = 0;
const NAMES_ITSELF: u16 = 1;
const GIVES_ADDRESS: u16 = 2;
const NOTHING_BUT_A_NAME: u16 = 3;
/// Agents that are remembered: a log has some thousand.
const REMEMBERED: usize = 1 << 16;

impl Agents {
    /// Fails only for lists beyond what a number of 32 bits counts.
    pub(super) fn new() -> Result<Self, aho_corasick::BuildError> {
        let mut rules = ["no agent", "names itself", "gives its address", "library: nothing but its name"]
            .map(str::to_owned)
            .to_vec();
        let (mut texts, mut entries) = (Vec::new(), Vec::new());
        let listed = LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let own = [("headless", HEADLESS), ("library", LIBRARIES), ("preview", PREVIEWS)];
        let own = own.into_iter().flat_map(|(rule, texts)| texts.iter().map(move |text| (rule, *text)));
        for (rule, written) in own.chain(listed.map(|text| ("list", text))) {
            let text = written.strip_prefix('^').unwrap_or(written);
            let text = text.strip_suffix('$').unwrap_or(text);
            let number = u16::try_from(rules.len()).unwrap_or(u16::MAX);
            rules.push(format!("{rule}: {text}"));
            entries.push((written.starts_with('^'), written.ends_with('$'), number));
            texts.push(text);
        }
        let texts = AhoCorasickBuilder::new().match_kind(MatchKind::Standard).build(&texts)?;
        Ok(Self { texts, entries, rules, seen: HashMap::default() })
    }

    /// The name of a rule.
    #[cfg(test)]
    fn rule(&self, number: u16) -> &str {
        self.rules.get(usize::from(number)).map_or("", String::as_str)
    }

    /// The names of all rules, by number.
    pub(super) fn into_rules(self) -> Vec<String> {
        self.rules
    }

    /// The rule for an absent agent.
    pub(super) fn absent() -> Verdict {
        Verdict::Robot(NO_AGENT)
    }

    /// What an agent is.
    pub(super) fn judge(&mut self, agent: &[u8]) -> Verdict {
        if let Some(verdict) = self.seen.get(agent) {
            return *verdict;
        }
        let verdict = self.find(agent);
        if self.seen.len() >= REMEMBERED {
            self.seen.clear();
        }
        self.seen.insert(agent.into(), verdict);
        verdict
    }

    fn find(&self, agent: &[u8]) -> Verdict {
        let whole = agent.trim_ascii();
        if WHOLE.iter().any(|name| whole.eq_ignore_ascii_case(name.as_bytes())) {
            return Verdict::Robot(NOTHING_BUT_A_NAME);
        }
        let first = self
            .texts
            .find_overlapping_iter(agent)
            .filter(|found| {
                let (at_start, at_end, _) = self.entries[found.pattern().as_usize()];
                let begins_a_word = || {
                    found.start() == 0
                        || !agent[found.start()].is_ascii_alphanumeric()
                        || !agent[found.start() - 1].is_ascii_alphanumeric()
                };
                (!at_start || found.start() == 0)
                    && (!at_end || found.end() == agent.len())
                    && begins_a_word()
            })
            // The order of the lists is the order of the rules.
            .map(|found| self.entries[found.pattern().as_usize()].2)
            .min();
        match first {
            Some(rule) => Verdict::Robot(rule),
            None if names_itself(agent) => Verdict::Robot(NAMES_ITSELF),
            None if memchr::memmem::find(agent, b"+http").is_some() => Verdict::Robot(GIVES_ADDRESS),
            None => Verdict::Person(Device::of(agent)),
        }
    }
}

/// Whether a word that ends with `bot`, `spider`, `crawler` or `scraper` stands where a product's name does: before a
/// version, a semicolon, a closing bracket or the end.
fn names_itself(agent: &[u8]) -> bool {
    let lower = agent.to_ascii_lowercase();
    ["bot", "spider", "crawler", "scraper"].iter().any(|name| {
        memchr::memmem::find_iter(&lower, name.as_bytes()).any(|at| {
            let end = at + name.len();
            let word =
                lower[..at].iter().rposition(|byte| !byte.is_ascii_alphanumeric()).map_or(0, |at| at + 1);
            let is_product = match &lower[end..] {
                [] | [b';' | b')', ..] => true,
                [b'/', next, ..] => next.is_ascii_digit() || *next == b'v',
                _ => false,
            };
            is_product && &lower[word..end] != b"cubot"
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(agent: &str) -> Option<String> {
        let mut agents = Agents::new().unwrap();
        match agents.judge(agent.as_bytes()) {
            Verdict::Robot(rule) => Some(agents.rule(rule).to_owned()),
            Verdict::Person(_) => None,
        }
    }

    #[test]
    fn robots_are_found_with_the_rule_that_fired() {
        for (agent, expected) in [
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "list: Googlebot/"),
            (
                "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
                "list: ClaudeBot",
            ),
            (
                "Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; Bytespider; spider-feedback@bytedance.com)",
                "list: Bytespider",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/130.0.0.0 Safari/537.36",
                "headless: HeadlessChrome",
            ),
            ("python-requests/2.32.3", "library: python-requests"),
            ("curl/8.5.0", "library: curl/"),
            ("node", "library: nothing but its name"),
            ("WhatsApp/2.23.20.0 A", "preview: WhatsApp/"),
            ("Mozilla/5.0 (compatible; UnheardOfBot/0.1)", "names itself"),
            ("Fetches/1 (+https://example.org/why)", "gives its address"),
        ] {
            assert_eq!(rule(agent).as_deref(), Some(expected), "{agent}");
        }
    }

    #[test]
    fn phones_and_apps_are_people() {
        for agent in [
            "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/96.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 11; CUBOT KINGKONG 5 Pro Build/RP1A; wv) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 10; CUBOT) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/96.0 Mobile Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 16_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [LinkedInApp]/9.27.4317",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 [FBAN/FBIOS;FBAV/440.0;FBDV/iPhone14,5]",
            "Mozilla/5.0 (Linux; Android 13; SM-S901B) AppleWebKit/537.36 Chrome/112.0 Mobile Safari/537.36 [Pinterest/Android]",
            "Mozilla/5.0 (Linux; Android 12; KFTRWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/120.4 like Chrome/120.0 Safari/537.36",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0",
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15",
            "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)",
        ] {
            assert_eq!(rule(agent), None, "{agent}");
        }
    }

    #[test]
    fn devices_are_told_by_the_agent() {
        let mut agents = Agents::new().unwrap();
        for (agent, device) in [
            ("Mozilla/5.0 (Windows NT 10.0) Firefox/130.0", Device::Desktop),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148", Device::Mobile),
            ("Mozilla/5.0 (Linux; Android 13; SM-X900) Chrome/112.0 Safari/537.36", Device::Tablet),
            ("Mozilla/5.0 (SMART-TV; Linux; Tizen 5.0) Safari/537.36", Device::Television),
            ("Opera/9.80", Device::Unknown),
        ] {
            assert_eq!(agents.judge(agent.as_bytes()), Verdict::Person(device), "{agent}");
        }
    }

    #[test]
    fn the_list_says_where_it_comes_from() {
        for word in ["# source:", "# date:", "# licence:"] {
            assert!(LIST.contains(word), "{word}");
        }
    }
}
