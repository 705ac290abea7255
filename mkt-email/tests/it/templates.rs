//! Templates: the built-in ones, escaping, strictness, bounds.

use mkt_connect::campaign::{CampaignTags, TagFamily};
use mkt_connect::{Currency, Money};
use mkt_email::Template;
use mkt_email::template::{CartItem, CartRelaunch, Language, TemplateError, Welcome, format_money};
use serde_json::json;

fn welcome(prenom: Option<&str>) -> Welcome {
    Welcome {
        first_name: prenom.map(str::to_owned),
        site: "La Boutique".to_owned(),
        link: "https://shop.example/?a=1&b=2".to_owned(),
    }
}

#[test]
fn the_welcome_greets_by_name_in_both_languages() {
    let email = Template::welcome(Language::French).unwrap().render(&welcome(Some("Jean"))).unwrap();
    assert_eq!(email.subject.as_str(), "Bienvenue Jean !");
    assert!(email.html.contains("<h1 style=\"font-size: 1.4em\">Bienvenue Jean !</h1>"), "{}", email.html);
    assert!(email.text.starts_with("Bienvenue Jean !\n"), "{}", email.text);
    assert!(email.text.contains("https://shop.example/?a=1&b=2"), "{}", email.text);
    let email = Template::welcome(Language::English).unwrap().render(&welcome(Some("Jean"))).unwrap();
    assert_eq!(email.subject.as_str(), "Welcome, Jean!");
    assert!(email.text.starts_with("Welcome, Jean!\n"), "{}", email.text);
}

#[test]
fn nobody_is_welcomed_without_a_name() {
    let error = Template::welcome(Language::French).unwrap().render(&welcome(None)).unwrap_err();
    assert_eq!(error.to_string(), "the template's subject needs prenom, which is missing (line 1)");
}

fn items(count: usize) -> Vec<CartItem> {
    let price =
        |number: i64| format_money(Money::from_hundredths(1990 + number, Currency::EUR), Language::French);
    (0..count)
        .map(|number| CartItem {
            name: format!("Article {number}"),
            quantity: 1 + u32::try_from(number).unwrap(),
            price: price(i64::try_from(number).unwrap()),
        })
        .collect()
}

#[test]
fn a_relaunch_shows_six_products_with_quantity_and_price_and_says_how_many_more() {
    let cart = CartRelaunch::new(Some("Jean"), "La Boutique", "https://shop.example/cart/7", items(8));
    let email = Template::cart_relaunch(Language::French).unwrap().render(&cart).unwrap();
    assert_eq!(email.subject.as_str(), "Jean, votre panier vous attend");
    assert_eq!(email.html.matches("<tr>").count(), 6);
    assert!(email.text.contains("3 × Article 2 19,92\u{a0}€"), "{}", email.text);
    assert!(email.text.contains("et 2 autres articles."), "{}", email.text);
    assert!(email.text.contains("Reprendre mon panier (https://shop.example/cart/7)"), "{}", email.text);
}

#[test]
fn a_relaunch_needs_no_name_and_counts_one_more_in_the_singular() {
    let cart = |count| CartRelaunch::new(Some("  "), "The Shop", "https://shop.example/cart/7", items(count));
    let template = Template::cart_relaunch(Language::English).unwrap();
    let email = template.render(&cart(7)).unwrap();
    assert_eq!(email.subject.as_str(), "Your cart is waiting");
    assert!(email.text.starts_with("Hello,"), "{}", email.text);
    assert!(email.text.contains("and 1 more item."), "{}", email.text);
    assert!(!template.render(&cart(6)).unwrap().text.contains("more"));
    let french = Template::cart_relaunch(Language::French).unwrap().render(&cart(7)).unwrap();
    assert!(french.text.contains("et 1 autre article."), "{}", french.text);
}

#[test]
fn markup_in_a_name_is_text() {
    let email =
        Template::welcome(Language::French).unwrap().render(&welcome(Some("<img src=x> & \"co\""))).unwrap();
    assert!(email.html.contains("Bienvenue &lt;img src=x&gt; &amp; &quot;co&quot; !"), "{}", email.html);
    assert!(!email.html.contains("<img"));
    assert!(email.text.contains("Bienvenue <img src=x> & \"co\" !"), "{}", email.text);
}

#[test]
fn a_name_that_looks_like_a_template_is_not_one() {
    let email = Template::welcome(Language::French).unwrap().render(&welcome(Some("{{ site }}"))).unwrap();
    assert_eq!(email.subject.as_str(), "Bienvenue {{ site }} !");
}

#[test]
fn a_line_break_in_a_rendered_subject_is_refused() {
    let error =
        Template::welcome(Language::French).unwrap().render(&welcome(Some("Eve\r\nBcc: x@y.z"))).unwrap_err();
    assert!(matches!(error, TemplateError::Subject(_)), "{error}");
    assert!(!error.to_string().contains("Eve"));
}

#[test]
fn a_link_that_is_not_a_web_link_is_refused_without_being_repeated() {
    for link in
        ["javascript:alert(1)", "data:text/html,x", "/relative", "https://user:pass@evil.example/", ""]
    {
        let mut context = welcome(Some("Jean"));
        context.link = link.to_owned();
        let error = Template::welcome(Language::French).unwrap().render(&context).unwrap_err();
        assert!(error.to_string().ends_with("a link is not a plain http, https or mailto link"), "{error}");
    }
}

#[test]
fn a_value_missing_deep_inside_is_named() {
    let template = Template::new("Hello", "<p>{{ person.city.name }}</p>", None).unwrap();
    let error = template.render(&json!({"person": {"city": {}}})).unwrap_err();
    assert!(
        matches!(&error, TemplateError::Missing { part: "html", name, .. } if name == "person.city.name"),
        "{error}"
    );
}

#[test]
fn a_template_that_does_not_compile_is_refused_with_its_line() {
    let error = Template::new("Hello", "<p>\n{% if %}</p>", None).unwrap_err();
    assert!(matches!(error, TemplateError::Syntax { part: "html", line: 2, .. }), "{error}");
}

#[test]
fn a_runaway_template_ends() {
    let endless = "{% for a in range(10000) %}{% for b in range(10000) %}{% endfor %}{% endfor %}";
    let template = Template::new("Hello", endless, None).unwrap();
    assert!(matches!(template.render(&json!({})), Err(TemplateError::Render { part: "html", .. })));
}

#[test]
fn amounts_are_written_as_readers_of_the_language_write_them() {
    let (euro, franc) =
        (Money::from_hundredths(1990, Currency::EUR), Money::from_hundredths(-500, "CHF".parse().unwrap()));
    let dollar = Money::from_hundredths(-1990, Currency::USD);
    assert_eq!(format_money(euro, Language::French), "19,90\u{a0}€");
    for (amount, written) in [("10.938", "€10.94"), ("0.005", "€0.00"), ("0.015", "€0.02")] {
        let money = Money::parse(amount, Currency::EUR).unwrap();
        assert_eq!(format_money(money, Language::English), written);
    }
    assert_eq!(format_money(euro, Language::English), "€19.90");
    assert_eq!(format_money(dollar, Language::English), "-$19.90");
    assert_eq!(format_money(franc, Language::French), "-5,00\u{a0}CHF");
    assert_eq!(format_money(franc, Language::English), "-5.00\u{a0}CHF");
}

#[test]
fn links_carry_the_campaigns_tags_in_both_bodies() {
    let tags = CampaignTags::new("newsletter", "email", "welcome");
    let template = Template::welcome(Language::French).unwrap().tagging(tags, TagFamily::Utm);
    let email = template.render(&welcome(Some("Jean"))).unwrap();
    let tagged = "https://shop.example/?a=1&b=2&utm_source=newsletter&utm_medium=email&utm_campaign=welcome";
    assert!(email.text.contains(tagged), "{}", email.text);
    let escaped = tagged.replace('&', "&amp;");
    assert!(email.html.contains(&format!("href=\"{escaped}\"")), "{}", email.html);
}

#[cfg(feature = "mjml")]
const MJML: &str = r##"<mjml>
  <mj-head>
    <mj-title>{{ site }}</mj-title>
    <mj-preview>Bienvenue {{ prenom }}</mj-preview>
    <mj-style>.big { font-size: 20px } #outlook a { padding: 0 }</mj-style>
  </mj-head>
  <mj-body>
    <mj-section><mj-column>
      <mj-text css-class="big">Bienvenue {{ prenom }} !</mj-text>
      <mj-button href="{{ link | tag }}">Découvrir {{ site }}</mj-button>
    </mj-column></mj-section>
    <mj-raw>{% for item in items %}</mj-raw>
    <mj-section><mj-column><mj-text>- {{ item }}</mj-text></mj-column></mj-section>
    <mj-raw>{% endfor %}</mj-raw>
  </mj-body>
</mjml>"##;

/// The elements of an email, without what stands between them.
#[cfg(feature = "mjml")]
fn elements(html: &str) -> Vec<String> {
    html.split('<').skip(1).map(|tag| tag.split(['>', ' ']).next().unwrap_or_default().to_owned()).collect()
}

/// What hostile first names are made of, for each of the three languages that a template passes through.
#[cfg(any(feature = "mjml", feature = "css-inline"))]
const HOSTILE: [&str; 9] = [
    "</mj-text><mj-raw><script>alert(1)</script></mj-raw><mj-text>",
    "<mj-include path=\"/etc/passwd\" />",
    "{{ site }}{% raw %}",
    "<!--[if mso]><script><![endif]-->",
    "--><img src=x onerror=alert(1)>",
    "</title></style><script>alert(1)</script>",
    "\"><a href='javascript:alert(1)'>x</a>",
    "<style>*{display:none}</style>",
    "&lt;script&gt;",
];

#[cfg(feature = "mjml")]
#[test]
fn a_template_in_mjml_becomes_a_mail_and_no_value_becomes_markup() {
    let template = Template::mjml("Bienvenue {{ prenom }} !", MJML, None).unwrap();
    let tags = CampaignTags::new("newsletter", "email", "welcome");
    let template = template.tagging(tags, TagFamily::Utm);
    let context = |prenom: &str| json!({"prenom": prenom, "site": "La Boutique", "link": "https://shop.example/", "items": ["thé", prenom]});
    let email = template.render(&context("Jean")).unwrap();
    assert!(email.html.contains("<table") && email.html.contains("Bienvenue Jean !"), "{}", email.html);
    assert!(email.html.contains("utm_campaign=welcome"), "{}", email.html);
    assert!(!email.html.contains("fonts.googleapis") && !email.html.contains("{%"), "{}", email.html);
    assert!(email.text.contains("Bienvenue Jean !"), "{}", email.text);
    assert!(
        email.text.contains("Découvrir La Boutique (https://shop.example/?utm_source=newsletter"),
        "{}",
        email.text
    );
    assert!(email.text.contains("- thé"), "{}", email.text);
    assert!(!email.text.contains("font-size") && !email.text.contains("mso"), "{}", email.text);
    for name in HOSTILE {
        let hostile = template.render(&context(name)).unwrap();
        assert_eq!(elements(&hostile.html), elements(&email.html), "{name}");
        assert!(hostile.text.contains(name), "{name} is text: {}", hostile.text);
        assert_eq!(hostile.subject.as_str(), format!("Bienvenue {name} !"));
    }
}

#[cfg(feature = "mjml")]
#[test]
fn what_is_wrong_with_mjml_is_told_with_its_line_and_includes_are_refused() {
    let wrong = |mjml: &str| Template::mjml("Hello", mjml, None).unwrap_err().to_string();
    assert_eq!(
        wrong("<mjml><mj-body>\n<mj-include path=\"/etc/passwd\" /></mj-body></mjml>"),
        "the template's mjml does not compile (line 2): mj-include is not supported: a template is one text"
    );
    for mjml in ["", "Hello", "<p>Hello</p>", "<mjml><mj-body><mj-section>", "<mjml><mj-body></mjml>"] {
        assert!(wrong(mjml).starts_with("the template's mjml does not compile"), "{mjml}");
    }
    let missing = Template::mjml("Hello", MJML, None).unwrap().render(&json!({"site": "x"})).unwrap_err();
    assert!(matches!(&missing, TemplateError::Missing { .. }), "{missing}");
}

#[cfg(feature = "css-inline")]
#[test]
fn style_sheets_become_attributes_and_values_stay_text() {
    let html = "<html><head><link rel=\"stylesheet\" href=\"file:///etc/passwd\"><style>p { color: #123456 }\
                @media (max-width: 400px) { p { color: red } }</style></head>\
                <body><p title=\"{{ prenom }}\">{{ prenom }}</p></body></html>";
    let template = Template::new("Hello", html, None).unwrap().inlining_css();
    let email = template.render(&json!({"prenom": "Jean"})).unwrap();
    assert!(email.html.contains("<p title=\"Jean\" style=\"color: #123456;\">Jean</p>"), "{}", email.html);
    assert!(
        email.html.contains("@media (max-width: 400px)") && !email.html.contains("passwd"),
        "{}",
        email.html
    );
    assert_eq!(email.text, "Jean");
    for name in HOSTILE {
        let hostile = template.render(&json!({"prenom": name})).unwrap();
        // Between the quotes of an attribute markup is text; quotes are escaped there.
        let outside = |html: &str| {
            let (before, rest) = html.split_once("title=\"").unwrap();
            let (value, after) = rest.split_once('"').unwrap();
            assert!(after.starts_with(" style=\"color: #123456;\">"), "{value} ends where it should: {html}");
            format!("{before}{after}")
        };
        let elements = |html: &str| outside(html).matches('<').count();
        assert_eq!(elements(&hostile.html), elements(&email.html), "{}", hostile.html);
        let shown = outside(&hostile.html);
        assert!(!shown.contains("<script") && !shown.contains("<img"), "{shown}");
        assert_eq!(hostile.text, name);
    }
}

#[test]
fn endless_output_ends_at_the_limit() {
    let nobody = std::collections::BTreeMap::<&str, &str>::new();
    for html in [
        "{% for a in range(1000) %}{{ 'xxxxxxxxxx' * 9999 }}{% endfor %}",
        "{% for a in range(9000) %}{{ 'x'|indent(100, true) }}{{ 'y' * 999 }}{% endfor %}",
    ] {
        let failed = Template::new("x", html, None).unwrap().render(&nobody).unwrap_err();
        assert!(
            matches!(failed, TemplateError::TooLarge { part: "html", got, .. } if got < 3_000_000),
            "{failed}"
        );
    }
    let wide = Template::new("x", "{{ 'x'|indent(2000000000) }}", None).unwrap().render(&nobody).unwrap_err();
    assert!(matches!(wide, TemplateError::Render { .. }), "{wide}");
    let template = Template::new("x", "{{ 'a\\nb\\n\\nc'|indent(2) }}", None).unwrap();
    assert_eq!(template.render(&nobody).unwrap().html, "a\n  b\n\n  c");
}

/// Chains and nestings at the edge of the limits compile on a test's stack of 2 MB; beyond them they are a syntax error.
#[test]
fn long_chains_and_deep_nesting_are_compiled_or_refused() {
    let chains: [fn(usize) -> String; 8] = [
        |n| format!("{{{{ {} }}}}", vec!["a"; n].join("+")),
        |n| format!("{{{{ {}a }}}}", "-".repeat(n)),
        |n| format!("{{{{ {}a }}}}", "not ".repeat(n)),
        |n| format!("{{{{ a{} }}}}", "|upper".repeat(n)),
        |n| format!("{{{{ a{} }}}}", ".b".repeat(n)),
        |n| format!("{{{{ {}a{} }}}}", "(".repeat(n), ")".repeat(n)),
        |n| format!("{{{{ {}a{} }}}}", "[".repeat(n), "]".repeat(n)),
        |n| format!("{}x{}", "{% if a %}".repeat(n), "{% endif %}".repeat(n)),
    ];
    for chain in chains {
        for n in [10, 66, 150, 199, 900, 1_900, 100_000] {
            match Template::new("x", &chain(n), None) {
                Ok(_) | Err(TemplateError::Syntax { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
    let branches = format!("{{% if a %}}{}{{% endif %}}", "{% elif b %}x".repeat(100_000));
    assert!(matches!(Template::new("x", &branches, None), Err(TemplateError::Syntax { .. })));
}

#[cfg(feature = "css-inline")]
#[test]
fn hover_survives_inlining_and_deep_nesting_is_refused() {
    let html = "<html><head><style>a { color: red } a:hover { color: blue }</style></head><body><a href=\"x\">y</a></body></html>";
    let nobody = std::collections::BTreeMap::<&str, &str>::new();
    let email = Template::new("x", html, None).unwrap().inlining_css().render(&nobody).unwrap();
    assert!(
        email.html.contains("a:hover { color: blue }") && email.html.contains("style=\"color: red"),
        "{}",
        email.html
    );
    let deep = format!("<style>a {{ color: red }}</style>{}x", "<div>".repeat(50_000));
    let failed = Template::new("x", &deep, None).unwrap().inlining_css().render(&nobody).unwrap_err();
    assert!(matches!(failed, TemplateError::Render { .. }), "{failed}");
}

#[cfg(feature = "mjml")]
mod mjml_input {
    use super::*;
    use proptest::prelude::*;

    fn compiles_or_is_refused(mjml: &str) {
        match Template::mjml("x", mjml, None) {
            Ok(_) | Err(TemplateError::Syntax { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }

    /// Pieces of French emails, of markup, and of characters of one to four bytes.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-zA-Zéèêàçœ’«» €0-9.,;:!?&<>\"'=/{}%-]{0,12}",
            Just("<mj-text>".to_owned()),
            Just("</mj-text>".to_owned()),
            Just("<mj-button href=\"https://exemple.fr/é\">Découvrir l’été</mj-button>".to_owned()),
            Just("<mj-raw>{% if a %}</mj-raw>".to_owned()),
            Just("<!-- à bientôt -->".to_owned()),
            Just("&eacute;&nbsp;&#233;&".to_owned()),
            "\\PC{0,6}",
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn french_text_and_markup_never_panic(pieces in prop::collection::vec(piece(), 0..20)) {
            let inside = pieces.concat();
            compiles_or_is_refused(&format!(
                "<mjml><mj-body><mj-section><mj-column>{inside}</mj-column></mj-section></mj-body></mjml>"
            ));
            compiles_or_is_refused(&inside);
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn nested_markup_never_overflows(depth in 0_usize..3_000, name in "mj-(section|column|wrapper|text)") {
            let mjml = format!("<mjml><mj-body>{}x{}</mj-body></mjml>", format!("<{name}>").repeat(depth), format!("</{name}>").repeat(depth));
            compiles_or_is_refused(&mjml);
        }
    }
}
