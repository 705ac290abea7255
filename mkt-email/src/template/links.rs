//! Links that may stand in an email.

use minijinja::{Error, ErrorKind};
use mkt_connect::campaign::{CampaignTags, TagFamily, tag_url};
use url::Url;

const REFUSED: &str = "a link is not a plain http, https or mailto link";

/// Takes `http`, `https` and `mailto` without credentials; `javascript:` and relative links are refused.
pub(super) fn safe(link: &str) -> Result<Url, Error> {
    let refused = || Error::new(ErrorKind::InvalidOperation, REFUSED);
    let url = Url::parse(link.trim()).map_err(|_| refused())?;
    let plain = url.username().is_empty() && url.password().is_none();
    if plain && matches!(url.scheme(), "http" | "https" | "mailto") { Ok(url) } else { Err(refused()) }
}

const UNTAGGED: &str = "a link cannot carry the campaign's tags";

/// The link with the tags of a campaign.
pub(super) fn tagged(link: &Url, tags: &CampaignTags, family: TagFamily) -> Result<String, Error> {
    tag_url(link.as_str(), tags, family)
        .map(String::from)
        .map_err(|_| Error::new(ErrorKind::InvalidOperation, UNTAGGED))
}

/// What may be said about a failure: our own words, or the kind. minijinja's details can quote values.
pub(super) fn reason(error: &Error) -> String {
    match error.detail() {
        Some(own @ (REFUSED | UNTAGGED)) => own.to_owned(),
        _ => error.kind().to_string(),
    }
}
