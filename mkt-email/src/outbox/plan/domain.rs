//! Groups of recipients' domains that one mailbox provider receives.

/// Domains that count together, because one provider receives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainGroup {
    name: String,
    /// In lower case. One that ends with a dot stands for every country: `yahoo.` is yahoo.com, yahoo.fr, yahoo.co.uk.
    domains: Vec<String>,
}

impl DomainGroup {
    /// A group of one's own. A domain that ends with a dot stands for all that begin with it: `yahoo.`.
    #[must_use]
    pub fn new<D: Into<String>>(name: impl Into<String>, domains: impl IntoIterator<Item = D>) -> Self {
        let domains = domains.into_iter().map(|domain| domain.into().to_ascii_lowercase()).collect();
        Self { name: name.into(), domains }
    }

    /// Gmail's consumer addresses. Domains of Google Workspace are not known by their names.
    #[must_use]
    pub fn gmail() -> Self {
        Self::new("gmail", ["gmail.com", "googlemail.com"])
    }

    /// Outlook.com: Outlook, Hotmail, Live, MSN.
    #[must_use]
    pub fn outlook() -> Self {
        Self::new("outlook", ["outlook.", "hotmail.", "live.", "msn.com"])
    }

    /// Yahoo and AOL, which share their servers.
    #[must_use]
    pub fn yahoo() -> Self {
        Self::new("yahoo", ["yahoo.", "ymail.com", "rocketmail.com", "aol.", "myyahoo.com"])
    }

    /// Apple's iCloud.
    #[must_use]
    pub fn icloud() -> Self {
        Self::new("icloud", ["icloud.com", "me.com", "mac.com"])
    }

    /// Orange and Wanadoo.
    #[must_use]
    pub fn orange() -> Self {
        Self::new("orange", ["orange.fr", "wanadoo.fr"])
    }

    /// SFR, with the providers it took over.
    #[must_use]
    pub fn sfr() -> Self {
        Self::new(
            "sfr",
            ["sfr.fr", "neuf.fr", "cegetel.net", "club-internet.fr", "numericable.fr", "noos.fr"],
        )
    }

    /// Free.
    #[must_use]
    pub fn free() -> Self {
        Self::new("free", ["free.fr", "aliceadsl.fr"])
    }

    /// La Poste.
    #[must_use]
    pub fn la_poste() -> Self {
        Self::new("laposte", ["laposte.net"])
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a domain belongs to the group, in any case.
    #[must_use]
    pub fn contains(&self, domain: &str) -> bool {
        let domain = domain.to_ascii_lowercase();
        self.domains.iter().any(|known| {
            // `yahoo.` and a country: at most two labels, so that yahoo.shop.example is somebody else.
            known.ends_with('.')
                && domain.strip_prefix(known.as_str()).is_some_and(|rest| {
                    let labels: Vec<_> = rest.split('.').collect();
                    match labels.as_slice() {
                        [one] => (2..=3).contains(&one.len()),
                        [second, country] => (2..=3).contains(&second.len()) && country.len() == 2,
                        _ => false,
                    }
                })
                || (!known.ends_with('.') && *known == domain)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_is_known_by_its_domains_in_every_country() {
        for domain in ["yahoo.com", "Yahoo.FR", "yahoo.co.uk", "aol.com"] {
            assert!(DomainGroup::yahoo().contains(domain), "{domain}");
        }
        for domain in
            ["yahoo.shop.example", "myyahoo.example", "yahoo.", "notyahoo.com", "yahoo.com.evil.example"]
        {
            assert!(!DomainGroup::yahoo().contains(domain), "{domain}");
        }
        assert!(
            DomainGroup::gmail().contains("googlemail.com")
                && !DomainGroup::gmail().contains("mail.gmail.com")
        );
    }
}
