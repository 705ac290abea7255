//! Campaign tags in URLs, and the campaign id made of them.
//!
//! [`campaign_id`] joins a link in an email, a landing URL in a log and a row of costs. Tags are rendered and parsed
//! in the spellings of three vendors:
//!
//! | family | spelling | source |
//! |---|---|---|
//! | [`TagFamily::Utm`] | `utm_source`, `utm_medium`, `utm_campaign`, `utm_term`, `utm_content`, `utm_id` | Google Analytics help, "URL builders" |
//! | [`TagFamily::Matomo`] | `mtm_campaign`, `mtm_source`, …; the older `pk_*` and `piwik_*` are parsed too | Matomo, "Track marketing campaigns" |
//! | [`TagFamily::AtInternet`] | `at_medium` and `at_campaign` (both required), `at_*` | AT Internet / Piano Analytics, "Campaigns" |
//! | [`TagFamily::Xtor`] | `xtor=EPR-300-[label]-…`, in the query or the fragment | AT Internet, "Marketing campaigns (xtor)" |
//!
//! Channels are not derived here: the rules depend on the site.
//!
//! ```
//! use mkt_connect::campaign::{CampaignTags, TagFamily, campaign_id, tag_url};
//! let tags = CampaignTags::new("newsletter", "email", "Soldes d'été");
//! let url = tag_url("https://shop.example/sale?color=red#top", &tags, TagFamily::Utm)?;
//! assert_eq!(
//!     url.as_str(),
//!     "https://shop.example/sale?color=red&utm_source=newsletter&utm_medium=email&utm_campaign=Soldes+d%27%C3%A9t%C3%A9#top"
//! );
//! assert_eq!(CampaignTags::parse(url.as_str()), Some(tags.clone()));
//! assert_eq!(tags.campaign_id().as_deref(), Some("newsletter_email_soldes-d-ete"));
//! # Ok::<(), mkt_connect::campaign::TagError>(())
//! ```

mod slug;
mod tagging;
mod tags;
mod xtor;

pub use slug::{campaign_id, slug};
pub use tagging::tag_url;
pub use tags::{CampaignTags, TagFamily};
pub use xtor::{Xtor, XtorElement};

/// Why tags cannot be rendered or added to a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TagError {
    /// Not an absolute URL.
    #[error("the link is not an absolute URL")]
    NotAUrl,
    /// Neither http nor https.
    #[error("a link with the scheme {0:?} is not tagged, only http and https")]
    Scheme(String),
    /// The URL holds a user name or a password.
    #[error("a link with a user name or password is not tagged")]
    Credentials,
    /// The family requires a field that is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// The family has no parameter for a field.
    #[error("{family:?} tags have no parameter for the {field}")]
    Unsupported {
        /// The family.
        family: TagFamily,
        /// The field of [`CampaignTags`].
        field: &'static str,
    },
    /// A field holds a character that the family does not allow.
    #[error("the {field} cannot hold {character:?} in an xtor tag")]
    Character {
        /// The field of [`CampaignTags`].
        field: &'static str,
        /// The first such character.
        character: char,
    },
    /// A name of [`CampaignTags::extra`] that is not lower-case letters, digits and underscores, or is a known field's.
    #[error("{0:?} is not a valid name for an extra tag")]
    ExtraName(String),
}
