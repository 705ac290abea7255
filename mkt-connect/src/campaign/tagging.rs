//! Adds tags to a link without changing anything else of it.

use super::{CampaignTags, TagError, TagFamily};
use url::Url;
use url::form_urlencoded;

/// Tags a link: tags of the same family that are already there are replaced, all other parameters and the fragment stay
/// as they are, byte for byte. Tagging twice is the same as tagging once.
///
/// # Errors
/// [`TagError::NotAUrl`], [`TagError::Scheme`] (so `mailto:` and `javascript:` are not touched),
/// [`TagError::Credentials`], and what [`CampaignTags::render`] refuses.
pub fn tag_url(url: &str, tags: &CampaignTags, family: TagFamily) -> Result<Url, TagError> {
    let mut url = Url::parse(url).map_err(|_| TagError::NotAUrl)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(TagError::Scheme(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TagError::Credentials);
    }
    let mut tagged = url.query().map(|query| without_tags(query, family)).unwrap_or_default();
    let mut ours = form_urlencoded::Serializer::new(String::new());
    ours.extend_pairs(tags.render(family)?);
    let ours = ours.finish();
    if !tagged.is_empty() && !ours.is_empty() {
        tagged.push('&');
    }
    tagged.push_str(&ours);
    url.set_query((!tagged.is_empty()).then_some(tagged.as_str()));
    if let Some(fragment) = url.fragment()
        && fragment.split('&').any(|pair| is_tag(pair, family))
    {
        let kept = without_tags(fragment, family);
        url.set_fragment((!kept.is_empty()).then_some(kept.as_str()));
    }
    Ok(url)
}

fn without_tags(pairs: &str, family: TagFamily) -> String {
    let kept: Vec<&str> = pairs.split('&').filter(|pair| !is_tag(pair, family)).collect();
    kept.join("&")
}

fn is_tag(pair: &str, family: TagFamily) -> bool {
    // A fragment without `=` is an anchor, whatever its name.
    pair.contains('=')
        && form_urlencoded::parse(pair.as_bytes()).next().is_some_and(|(name, _)| family.owns(&name))
}
