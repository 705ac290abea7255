//! Templates: the built-in ones, escaping, strictness, bounds.

use mkt_connect::campaign::{CampaignTags, TagFamily};
use mkt_connect::{Currency, Money};
use mkt_email::{CartItem, CartRelaunch, Language, Template, TemplateError, Welcome, format_money};
use serde_json::json;

fn welcome(prenom: Option<&str>) -> Welcome {
    Welcome {
        prenom: prenom.map(str::to_owned),
        site: "La Boutique".to_owned(),
        link: "https://shop.example/?a=1&b=2".to_owned(),
    }
}

#[test]
fn the_welcome_greets_by_name_in_both_languages() {
    let mail = Template::welcome(Language::French).unwrap().render(&welcome(Some("Jean"))).unwrap();
    assert_eq!(mail.subject.as_str(), "Bienvenue Jean !");
    assert!(mail.html.contains("<h1 style=\"font-size: 1.4em\">Bienvenue Jean !</h1>"), "{}", mail.html);
    assert!(mail.text.starts_with("Bienvenue Jean !\n"), "{}", mail.text);
    assert!(mail.text.contains("https://shop.example/?a=1&b=2"), "{}", mail.text);
    let mail = Template::welcome(Language::English).unwrap().render(&welcome(Some("Jean"))).unwrap();
    assert_eq!(mail.subject.as_str(), "Welcome, Jean!");
    assert!(mail.text.starts_with("Welcome, Jean!\n"), "{}", mail.text);
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
    let mail = Template::cart_relaunch(Language::French).unwrap().render(&cart).unwrap();
    assert_eq!(mail.subject.as_str(), "Jean, votre panier vous attend");
    assert_eq!(mail.html.matches("<tr>").count(), 6);
    assert!(mail.text.contains("3 × Article 2 19,92\u{a0}€"), "{}", mail.text);
    assert!(mail.text.contains("et 2 autres articles."), "{}", mail.text);
    assert!(mail.text.contains("Reprendre mon panier (https://shop.example/cart/7)"), "{}", mail.text);
}

#[test]
fn a_relaunch_needs_no_name_and_counts_one_more_in_the_singular() {
    let cart = |count| CartRelaunch::new(Some("  "), "The Shop", "https://shop.example/cart/7", items(count));
    let template = Template::cart_relaunch(Language::English).unwrap();
    let mail = template.render(&cart(7)).unwrap();
    assert_eq!(mail.subject.as_str(), "Your cart is waiting");
    assert!(mail.text.starts_with("Hello,"), "{}", mail.text);
    assert!(mail.text.contains("and 1 more item."), "{}", mail.text);
    assert!(!template.render(&cart(6)).unwrap().text.contains("more"));
    let french = Template::cart_relaunch(Language::French).unwrap().render(&cart(7)).unwrap();
    assert!(french.text.contains("et 1 autre article."), "{}", french.text);
}

#[test]
fn markup_in_a_name_is_text() {
    let mail =
        Template::welcome(Language::French).unwrap().render(&welcome(Some("<img src=x> & \"co\""))).unwrap();
    assert!(mail.html.contains("Bienvenue &lt;img src=x&gt; &amp; &quot;co&quot; !"), "{}", mail.html);
    assert!(!mail.html.contains("<img"));
    assert!(mail.text.contains("Bienvenue <img src=x> & \"co\" !"), "{}", mail.text);
}

#[test]
fn a_name_that_looks_like_a_template_is_not_one() {
    let mail = Template::welcome(Language::French).unwrap().render(&welcome(Some("{{ site }}"))).unwrap();
    assert_eq!(mail.subject.as_str(), "Bienvenue {{ site }} !");
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
    let mail = template.render(&welcome(Some("Jean"))).unwrap();
    let tagged = "https://shop.example/?a=1&b=2&utm_source=newsletter&utm_medium=email&utm_campaign=welcome";
    assert!(mail.text.contains(tagged), "{}", mail.text);
    // minijinja escapes the slash too; readers decode both.
    let escaped = tagged.replace('&', "&amp;").replace('/', "&#x2f;");
    assert!(mail.html.contains(&format!("href=\"{escaped}\"")), "{}", mail.html);
}
