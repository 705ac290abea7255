//! Templates that would compute more than a machine holds: each ends early, with an error, in little memory and time.

use mkt_email::Template;
use mkt_email::template::TemplateError;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The most memory that this process has had, in MiB; 0 where the system does not tell.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn context() -> BTreeMap<&'static str, serde_json::Value> {
    let items: Vec<_> =
        (0..100).map(|number| serde_json::json!({"name": format!("n{number}"), "price": 3.5})).collect();
    [("a", "a".repeat(1_000).into()), ("items", items.into()), ("n", 40_000_000.into())].into()
}

/// Whether it is refused, when it is made or when it is rendered.
fn refused(html: &str) -> Option<TemplateError> {
    match Template::new("x", html, None) {
        Err(error) => Some(error),
        Ok(template) => template.render(&context()).err(),
    }
}

#[test]
fn values_that_double_end_before_they_are_large() {
    let forty = |piece: &str| piece.repeat(40);
    let loops = |inner: &str| {
        format!(
            "{{% set x = namespace(v='x') %}}{{% for i in range(200) %}}{inner}{{% endfor %}}{{{{ x.v|length }}}}"
        )
    };
    let nested = |open: &str, close: &str| {
        let body = (0..40).map(|level| {
            open.replace("NEW", &format!("x{}", level + 1)).replace("OLD", &format!("x{level}"))
        });
        format!("{{% set x0 = 'x' %}}{}{{{{ x40|length }}}}{}", body.collect::<String>(), close.repeat(40))
    };
    for (what, html) in [
        ("concatenation", format!("{{% set x = 'x' %}}{}{{{{ x|length }}}}", forty("{% set x = x ~ x %}"))),
        ("addition", format!("{{% set x = 'x' %}}{}{{{{ x|length }}}}", forty("{% set x = x + x %}"))),
        (
            "multiplication",
            format!("{{% set x = 'x' %}}{}{{{{ x|length }}}}", forty("{% set x = x * 9999 %}")),
        ),
        ("lists", format!("{{% set x = [1] %}}{}{{{{ x|length }}}}", forty("{% set x = (x + x)|list %}"))),
        ("lists in lists", format!("{{% set x = [1] %}}{}{{{{ x }}}}", forty("{% set x = [x, x] %}"))),
        ("maps in maps", format!("{{% set x = 1 %}}{}{{{{ x }}}}", forty("{% set x = {'a': x, 'b': x} %}"))),
        (
            "chained lists",
            format!("{{% set x = [1] %}}{}{{{{ x|length }}}}", forty("{% set x = x|chain(x) %}")),
        ),
        ("tuples", format!("{{% set x = (1, 2) %}}{}{{{{ x|length }}}}", forty("{% set x = x * 9999 %}"))),
        (
            "replacement",
            format!("{{% set x = 'xx' %}}{}{{{{ x|length }}}}", forty("{% set x = x|replace('x', x) %}")),
        ),
        (
            "replacements in a row",
            "{{ a|replace('a', a)|replace('a', a)|replace('a', a)|length }}".to_owned(),
        ),
        ("joins", format!("{{% set x = 'xx' %}}{}{{{{ x|length }}}}", forty("{% set x = x|list|join(x) %}"))),
        ("joins in a row", "{{ a|join(a)|join(a)|join(a)|length }}".to_owned()),
        ("indentations", format!("{{{{ ('x\\n' * 9999){}|length }}}}", "|indent(100)".repeat(60))),
        ("attributes", loops("{% set x.v = x.v ~ x.v %}")),
        ("blocks", loops("{% set y %}{{ x.v }}{{ x.v }}{% endset %}{% set x.v = y %}")),
        ("filtered blocks", loops("{% set y|upper %}{{ x.v }}{{ x.v }}{% endset %}{% set x.v = y %}")),
        ("names of `with`", nested("{% with NEW = OLD ~ OLD %}", "{% endwith %}")),
        ("names of loops", nested("{% for NEW in [OLD ~ OLD] %}", "{% endfor %}")),
        (
            "pairs of names",
            format!(
                "{{% set x, y = 'x', 'x' %}}{}{{{{ x|length }}}}",
                forty("{% set x, y = y ~ y, x ~ x %}")
            ),
        ),
        ("recursive loops", "{% for x in ['x'] recursive %}{{ loop([x ~ x]) }}{% endfor %}".to_owned()),
        (
            "a comment that hides",
            format!("{{# {{{{ ' #}}{{% set x = 'x' %}}{}{{{{ x|length }}}}", forty("{% set x = x ~ x %}")),
        ),
        ("long literals", {
            let literal = "l".repeat(1_900);
            let sets: String = (0..200).map(|_| format!("{{% set x = x ~ '{literal}' %}}")).collect();
            format!("{{% set x = '' %}}{sets}{{{{ x|length }}}}")
        }),
        ("text of loops in a block", {
            let text = "t".repeat(100_000);
            format!(
                "{{% set x %}}{{% for i in range(90000) %}}{text}{{% endfor %}}{{% endset %}}{{{{ x|length }}}}"
            )
        }),
        ("text of loops in a filter", {
            let text = "t".repeat(100_000);
            format!(
                "{{% filter length %}}{{% for i in range(90000) -%}} {text}{{% endfor %}}{{% endfilter %}}"
            )
        }),
        ("a wide format", "{{ '%999999999d'|format(1)|length }}".to_owned()),
        ("a format as wide as a value", "{{ '%*d'|format(n, 1)|length }}".to_owned()),
        ("a wide batch", "{{ ([1]|batch(n, 'x')|list)|length }}".to_owned()),
        ("many slices", "{{ ([1]|slice(n)|list)|length }}".to_owned()),
        ("a long list of a factor", "{{ ([1] * n)|list|length }}".to_owned()),
        ("a long join of a factor", "{{ ([1] * n)|join(',')|length }}".to_owned()),
    ] {
        let begun = Instant::now();
        let error = refused(&html);
        let took = begun.elapsed();
        assert!(error.is_some(), "{what} is not refused");
        // Of a busy machine; without a bound they would take hours.
        assert!(took < Duration::from_secs(60), "{what} takes {took:?}");
        assert!(peak() < 400, "{what}: {} MiB", peak());
    }
}

#[test]
fn what_emails_are_made_of_is_rendered_as_before() {
    let render = |html: &str| Template::new("x", html, None).unwrap().render(&context()).unwrap().html;
    for (html, expected) in [
        ("{% set total = items|map(attribute='price')|sum %}{{ total }}", "350.0"),
        ("{% set first, second = 'b', 'c' %}{{ first ~ second }}", "bc"),
        ("{% set x %}<b>{{ '<' }}</b>{% endset %}{{ x }}", "<b>&lt;</b>"),
        ("{% set x | upper %}été{% endset %}{{ x }}", "ÉTÉ"),
        ("{% set x %}{% for i in items[:3] -%} {{ i.name }};{% endfor %}{% endset %}{{ x }}", "n0;n1;n2;"),
        ("{% for item in items if item.name == 'n7' %}{{ item.price }}{% else %}-{% endfor %}", "3.5"),
        ("{% for key, value in {'k': 'v'}|items %}{{ key }}={{ value }}{% endfor %}", "k=v"),
        ("{% for row in items[:4]|batch(2) %}{{ row|length }}{{ loop.index }};{% endfor %}", "21;22;"),
        ("{% with x = 1, y = [2, 3] %}{{ x }}{{ y|join('-') }}{% endwith %}", "12-3"),
        (
            "{% set ns = namespace(n=0) %}{% for i in items %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
            "100",
        ),
        ("{{ 'a-b'|replace('-', '&') }}{{ ('<i>'|safe)|replace('i', 'b') }}", "a&amp;b<b>"),
        ("{{ '%.2f'|format(3.5) }} {{ items|map(attribute='name')|join(', ')|length }}", "3.50 488"),
        ("{{ items[:2]|map(attribute='name')|list }}", "[&#x27;n0&#x27;, &#x27;n1&#x27;]"),
        ("{% raw %}{% set x = y %}{% endraw %}{# {{ ' #}{{ 'x' }}", "{% set x = y %}x"),
        ("{{ [3, 1, 2]|sort|join }}{{ ('a', 'b')|join('') }}", "123ab"),
        ("{% filter upper %}a{% for i in range(2) %}b{% endfor %}{% endfilter %}", "ABB"),
    ] {
        assert_eq!(render(html), expected, "{html}");
    }
    // An error is told with its line.
    let error =
        Template::new("x", "{% set x = 'a' %}\n{{ nobody }}", None).unwrap().render(&context()).unwrap_err();
    assert!(matches!(&error, TemplateError::Missing { line: 2, name, .. } if name == "nobody"), "{error}");
    let error = Template::new("x", "a\n\n{% for x in y recursive %}{% endfor %}", None).unwrap_err();
    assert!(matches!(error, TemplateError::Syntax { line: 3, .. }), "{error}");
}
