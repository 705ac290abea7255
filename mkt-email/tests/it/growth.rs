//! Every parser takes time in proportion to its input, hostile input included.

use mkt_email::message::{Subject, text_of_html};
use mkt_email::{EmailAddress, Template};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// The time that this thread has had of a processor, where the system tells it (Linux); else the time of a clock.
fn spent(begun: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split_whitespace().next().and_then(|nanos| nanos.parse().ok());
    nanos.map_or_else(|| begun.elapsed(), Duration::from_nanos)
}

/// The least of some runs: what else the machine does only adds.
fn least(run: impl Fn()) -> Duration {
    let once = |_| {
        let begun = Instant::now();
        let before = spent(begun);
        run();
        spent(begun).saturating_sub(before)
    };
    (0..2).map(once).min().unwrap_or_default()
}

/// Fails where eight times the input takes far more than eight times as long: square growth would take 64 times.
fn grows_linearly(name: &str, pattern: &str, parse: impl Fn(&str)) {
    let text = |bytes: usize| pattern.repeat(bytes / pattern.len() + 1);
    let (small, large) = (text(10_000), text(80_000));
    let mut told = String::new();
    for _ in 0..8 {
        let (short, long) = (least(|| parse(&small)), least(|| parse(&large)));
        if long < short * 24 + Duration::from_millis(100) {
            return;
        }
        told = format!("{name} on {pattern:?}: {short:?}, then {long:?}");
    }
    panic!("{told}");
}

#[test]
fn text_of_html_grows_linearly() {
    for pattern in [
        "<style>",
        "<style></a>",
        "<style></style>",
        "<script><",
        "</",
        "<",
        "<a href=",
        "<a href=\"x\">",
        "<a href='x'>y</a>",
        "<a>",
        "</a>",
        "<!--",
        "<!-- -->",
        "<!-",
        "&",
        "&amp;",
        "&#",
        "<li>",
        "<td>",
        "<br>",
        "<div>",
        "<'",
        "<\"><",
        " ",
        "é",
        "<p \"",
        "<title></titl>",
        "\n",
    ] {
        grows_linearly("text_of_html", pattern, |html| drop(black_box(text_of_html(html))));
    }
}

#[test]
fn templates_grow_linearly() {
    for pattern in [
        "{{",
        "{%",
        "{#",
        "}}",
        "{# #}",
        "{{ a }}",
        "{{ 'a",
        "{{ '}}",
        "{% if a %}",
        "{% if a %}{% endif %}",
        "{% raw %}",
        "{% raw %}{% endraw %}",
        "{% for a in b %}",
        "{% for a in b %}{% endfor %}",
        "{% set a %}",
        "{% set a = b %}",
        "{% set a %}{% for a in b %}{% endfor %}{% endset %}",
        "{% with a = b %}",
        "{% filter upper %}",
        "'",
        "\\",
        "<",
        "é",
        "{{ a('",
        "{%-",
        "-%}",
    ] {
        grows_linearly("Template::new", pattern, |html| drop(black_box(Template::new("x", html, None))));
    }
}

#[cfg(feature = "mjml")]
#[test]
fn mjml_grows_linearly() {
    for pattern in ["<mj-text>", "<mj-text/>", "<", "&", "<!--", "{{ a }}", "</mj-text>", "<a b=\"", "é"] {
        grows_linearly("Template::mjml", pattern, |text| {
            let mjml = format!("<mjml><mj-body>{text}</mj-body></mjml>");
            drop(black_box(Template::mjml("x", &mjml, None)));
        });
    }
}

#[test]
fn addresses_and_subjects_grow_linearly() {
    for pattern in ["a", "@", ".", "\"", "<", "é", "xn--", "a.", "=?", "\r\n ", " "] {
        grows_linearly("EmailAddress", pattern, |text| drop(black_box(EmailAddress::parse(text))));
        grows_linearly("EmailAddress", pattern, |text| {
            drop(black_box(EmailAddress::parse(&format!("jo@{text}.example"))));
        });
        grows_linearly("Subject", pattern, |text| drop(black_box(Subject::parse(text))));
    }
}
