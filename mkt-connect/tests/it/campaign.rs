//! Campaign tags: what is rendered is parsed back, and links keep everything else.

use mkt_connect::campaign::{CampaignTags, TagError, TagFamily, Xtor, XtorElement, tag_url};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn parsed(url: &str) -> CampaignTags {
    CampaignTags::parse(url).unwrap_or_default()
}

#[test]
fn the_three_vendors_spellings_are_read() {
    let newsletter =
        CampaignTags::new("newsletter", "email", "spring sale").term("shoes").content("top").id("42");
    for url in [
        "https://a.example/?utm_source=newsletter&utm_medium=email&utm_campaign=spring+sale&utm_term=shoes&utm_content=top&utm_id=42",
        "https://a.example/?mtm_source=newsletter&mtm_medium=email&mtm_campaign=spring%20sale&mtm_kwd=shoes&mtm_content=top&mtm_cid=42",
        "https://a.example/?pk_source=newsletter&pk_medium=email&pk_cpn=spring%20sale&pk_keyword=shoes&pk_content=top&pk_cid=42",
        "https://a.example/?at_medium=email&at_campaign=spring+sale&at_source=newsletter&at_term=shoes&at_content=top&at_id=42",
        "/landing?UTM_Source=newsletter&utm_medium=email&utm_campaign=spring+sale&utm_term=shoes&utm_content=top&utm_id=42",
        "https://a.example/#/offers?utm_source=newsletter&utm_medium=email&utm_campaign=spring+sale&utm_term=shoes&utm_content=top&utm_id=42",
        "https://a.example/x#mtm_source=newsletter&mtm_medium=email&mtm_campaign=spring+sale&mtm_kwd=shoes&mtm_content=top&mtm_cid=42",
    ] {
        assert_eq!(parsed(url), newsletter, "{url}");
    }
}

#[test]
fn a_url_without_tags_has_none() {
    for url in [
        "",
        "https://a.example/",
        "https://a.example/?utm=1&source=x&utm_source=",
        "#",
        "?&&=&",
        "?utm_=x",
        "?xtor=",
        "?xtor=-1",
    ] {
        assert_eq!(CampaignTags::parse(url), None, "{url}");
    }
}

#[test]
fn the_first_value_that_is_not_empty_counts() {
    let tags = parsed("/?utm_source=&utm_source=a&utm_source=b#utm_source=c&utm_medium=m");
    assert_eq!(tags, CampaignTags::new("a", "m", ""));
}

#[test]
fn the_documented_xtor_of_a_mail_is_read() {
    // AT Internet's own example, with a label that holds the separator.
    for url in [
        "https://a.example/?xtor=EPR-300-[Presentation-service]-20070304-[link]-3039@20",
        "https://a.example/p?x=1#xtor=EPR-300-[Presentation-service]-20070304-[link]-3039@20",
        "https://a.example/?XTOR=EPR-300-%5BPresentation-service%5D-20070304-%5Blink%5D-3039%4020",
    ] {
        let tags = parsed(url);
        assert_eq!(tags.source.as_deref(), Some("EPR"), "{url}");
        assert_eq!(tags.id.as_deref(), Some("300"));
        assert_eq!(tags.campaign.as_deref(), Some("Presentation-service"));
        assert_eq!(tags.content.as_deref(), Some("link"));
    }
}

#[test]
fn the_platform_of_sponsored_links_is_not_the_campaign() {
    let tags = parsed("/?xtor=SEC-24[brand]-[GOO]-[group-1]");
    assert_eq!((tags.campaign.as_deref(), tags.content.as_deref()), (Some("brand"), Some("group-1")));
    let tags = parsed("/?xtor=SEC-24-[GOO]");
    assert_eq!((tags.campaign, tags.id.as_deref()), (None, Some("24")));
}

#[test]
fn an_xtor_with_wild_brackets_is_read_without_a_panic() {
    for value in [
        "SEC-[",
        "SEC-]",
        "SEC-[[a]]",
        "SEC-[a",
        "SEC-a]b[",
        "SEC-[a]b",
        "SEC",
        "é-1",
        "[a]-1",
        "--",
        "SEC-[a-b",
    ] {
        let _ = CampaignTags::parse(&format!("/?xtor={value}"));
    }
    assert_eq!(Xtor::parse("SEC-[a-b").unwrap().elements.len(), 2);
    assert_eq!(Xtor::parse("é-1"), None);
}

#[test]
fn tagging_keeps_the_other_parameters_byte_for_byte() {
    let tags = CampaignTags::new("n", "email", "c");
    for (url, family, expected) in [
        (
            "https://a.example/p?a=%20x&b=+y&c&utm_source=old&d[]=1#frag",
            TagFamily::Utm,
            "https://a.example/p?a=%20x&b=+y&c&d[]=1&utm_source=n&utm_medium=email&utm_campaign=c#frag",
        ),
        (
            "https://a.example/?utm_source=keep&pk_campaign=old",
            TagFamily::Matomo,
            "https://a.example/?utm_source=keep&mtm_campaign=c&mtm_source=n&mtm_medium=email",
        ),
        (
            "http://a.example",
            TagFamily::AtInternet,
            "http://a.example/?at_medium=email&at_campaign=c&at_source=n",
        ),
        (
            "https://a.example/#mtm_campaign=old&x=1",
            TagFamily::Matomo,
            "https://a.example/?mtm_campaign=c&mtm_source=n&mtm_medium=email#x=1",
        ),
    ] {
        assert_eq!(tag_url(url, &tags, family).unwrap().as_str(), expected);
    }
    let xtor = CampaignTags::new("EPR", "", "spring-sale").id("300");
    assert_eq!(
        tag_url("https://a.example/?q=1#xtor=AD-1", &xtor, TagFamily::Xtor).unwrap().as_str(),
        "https://a.example/?q=1&xtor=EPR-300-%5Bspring-sale%5D"
    );
}

#[test]
fn only_web_links_without_credentials_are_tagged() {
    let tags = CampaignTags::new("n", "email", "c");
    let refused = |url: &str| tag_url(url, &tags, TagFamily::Utm).unwrap_err();
    assert_eq!(refused("mailto:a@b.example"), TagError::Scheme("mailto".into()));
    assert_eq!(refused("javascript:alert(1)"), TagError::Scheme("javascript".into()));
    assert_eq!(refused("/relative"), TagError::NotAUrl);
    let error = refused("https://user:canary-pw@a.example/");
    assert_eq!(error, TagError::Credentials);
    assert!(!format!("{error} {error:?}").contains("canary"));
}

#[test]
fn what_a_family_cannot_carry_is_refused_and_not_dropped() {
    let tags = CampaignTags::new("EPR", "email", "x");
    let unsupported = |field| TagError::Unsupported { family: TagFamily::Xtor, field };
    assert_eq!(tags.render(TagFamily::Xtor), Err(unsupported("medium")));
    let accented = CampaignTags::new("EPR", "", "été");
    assert_eq!(
        accented.render(TagFamily::Xtor),
        Err(TagError::Character { field: "campaign", character: 'é' })
    );
    assert_eq!(
        CampaignTags::new("n", "", "c").render(TagFamily::AtInternet),
        Err(TagError::Missing("at_medium"))
    );
    assert_eq!(CampaignTags::new("", "m", "c").render(TagFamily::Utm), Err(TagError::Missing("utm_source")));
}

fn texts() -> impl Strategy<Value = Option<String>> {
    prop::option::of("[a-zA-Z0-9 &=?#%+éß日/\\[\\]-]{1,12}")
}

fn tags() -> impl Strategy<Value = CampaignTags> {
    // `x_…` is no known field in any family.
    let extra = prop::collection::btree_map("x_[a-z0-9_]{0,6}", "[a-z &=é]{1,8}", 0..3);
    (("[a-zé&#]{1,10}", "[a-z +]{1,8}", "[A-Za-z é%]{1,12}"), texts(), texts(), texts(), extra).prop_map(
        |((source, medium, campaign), term, content, id, extra): (_, _, _, _, BTreeMap<String, String>)| {
            let mut tags = CampaignTags::new(source, medium, campaign);
            (tags.term, tags.content, tags.id, tags.extra) = (term, content, id, extra);
            tags
        },
    )
}

fn xtor_tags() -> impl Strategy<Value = CampaignTags> {
    let label = || prop::option::of("[a-zA-Z0-9_@&%=#-]{1,12}");
    ("SEC|AD|EPR|[A-Z]{2,4}", prop::option::of("[a-z0-9@_]{1,6}"), label(), label()).prop_map(
        |(source, id, campaign, content)| {
            let mut tags = CampaignTags::new(source, "", "");
            (tags.id, tags.campaign, tags.content) = (id, campaign, content);
            tags
        },
    )
}

const BASES: [&str; 4] = [
    "https://a.example",
    "https://a.example/p?x=1&utm_source=old&mtm_campaign=old&at_campaign=old&xtor=AD-1",
    "https://a.example/p?&&a=%F0&=#top",
    "http://a.example:8080/%C3%A9?#a=b&xtor=AD-2&pk_kwd=k",
];

fn tagged_links_are_stable(base: usize, tags: &CampaignTags, family: TagFamily) -> Result<(), TestCaseError> {
    let base = BASES[base];
    let once = tag_url(base, tags, family).unwrap();
    prop_assert_eq!(CampaignTags::parse_family(once.as_str(), family), Some(tags.clone()), "{}", &once);
    let twice = tag_url(once.as_str(), tags, family).unwrap();
    prop_assert_eq!(&twice, &once);
    let plain = url::Url::parse(base).unwrap();
    prop_assert_eq!(
        (once.scheme(), once.host(), once.port(), once.path()),
        (plain.scheme(), plain.host(), plain.port(), plain.path())
    );
    Ok(())
}

proptest! {
    #[test]
    fn what_is_rendered_is_parsed_back_and_tagging_twice_is_tagging_once(
        base in 0..BASES.len(),
        tags in tags(),
        family in prop::sample::select(vec![TagFamily::Utm, TagFamily::Matomo, TagFamily::AtInternet]),
    ) {
        tagged_links_are_stable(base, &tags, family)?;
    }

    #[test]
    fn an_xtor_is_parsed_back(base in 0..BASES.len(), tags in xtor_tags()) {
        tagged_links_are_stable(base, &tags, TagFamily::Xtor)?;
    }

    #[test]
    fn xtor_elements_are_parsed_back(
        prefix in "[A-Z]{2,4}",
        elements in prop::collection::vec((prop::option::of("[a-z0-9@]{1,4}"), prop::option::of("[a-z-]{1,6}")), 1..6),
    ) {
        let elements = elements.into_iter().map(|(id, label)| XtorElement { id, label }).collect();
        let xtor = Xtor { prefix, elements };
        prop_assert_eq!(Xtor::parse(&xtor.to_string()), Some(xtor));
    }

    #[test]
    fn no_text_makes_parsing_panic(url in "\\PC{0,80}", value in "[\\[\\]a-zé-]{0,20}") {
        let _ = CampaignTags::parse(&url);
        let _ = CampaignTags::parse(&format!("?xtor=A{value}"));
    }
}

#[test]
fn parameter_that_resembles_a_tag_is_kept() {
    let google = CampaignTags::new("google", "cpc", "spring");
    for other in ["pk_id=12", "matomo_ignore=1", "piwik_x=1", "at_home=1", "mtm_custom=1"] {
        let url = format!("/item?{other}&utm_source=google&utm_medium=cpc&utm_campaign=spring");
        assert_eq!(CampaignTags::parse(&url), Some(google.clone()), "{url}");
    }
    let url = "https://a.example/item?pk_id=12&pk_campaign=old";
    assert_eq!(
        tag_url(url, &google, TagFamily::Matomo).unwrap().as_str(),
        "https://a.example/item?pk_id=12&mtm_campaign=spring&mtm_source=google&mtm_medium=cpc"
    );
    // A family's own further tags are still read where nothing else is.
    assert_eq!(parsed("/?at_format=banner").extra.get("format").map(String::as_str), Some("banner"));
}
