//! Moves style sheets into `style` attributes: some email programs drop the former and read the latter.

use css_inline::{CSSInliner, InlineError, InlineOptions, StylesheetResolver};
use std::sync::Arc;

/// Nothing is to be loaded, so it is never called.
struct Nowhere;

impl StylesheetResolver for Nowhere {
    fn retrieve(&self, _: &str) -> Result<String, InlineError> {
        Err(std::io::Error::from(std::io::ErrorKind::Unsupported).into())
    }
}

/// Moves the rules of `<style>` elements into attributes. Rules that no attribute can express (`@media` and other at-rules,
/// `a:hover`) stay in one `<style>` element of the head, which css-inline would drop. No other style sheet is loaded. `None`
/// if css-inline fails.
pub(super) fn inlined(html: &str) -> Option<String> {
    let (html, kept) = without_rules_to_keep(html);
    let inliner: CSSInliner<'_> =
        InlineOptions::default().load_remote_stylesheets(false).resolver(Arc::new(Nowhere)).build();
    let mut inlined = inliner.inline(&html).ok()?;
    if !kept.trim().is_empty() {
        let at = inlined.to_ascii_lowercase().find("</head>").unwrap_or(0);
        inlined.insert_str(at, &format!("<style>{kept}</style>"));
    }
    Some(inlined)
}

/// The HTML with only those rules in its `<style>` elements that attributes can express, and the other rules.
fn without_rules_to_keep(html: &str) -> (String, String) {
    // ASCII lower case keeps every position.
    let lower = html.to_ascii_lowercase();
    let (mut out, mut kept, mut from) = (String::with_capacity(html.len()), String::new(), 0);
    while let Some(open) = lower.get(from..).and_then(|rest| rest.find("<style")).map(|at| from + at) {
        let Some(begin) = lower.get(open..).and_then(|rest| rest.find('>')).map(|at| open + at + 1) else {
            break;
        };
        let Some(end) = lower.get(begin..).and_then(|rest| rest.find("</style")).map(|at| begin + at) else {
            break;
        };
        out.push_str(html.get(from..begin).unwrap_or_default());
        split_rules(html.get(begin..end).unwrap_or_default(), &mut out, &mut kept);
        from = end;
    }
    out.push_str(html.get(from..).unwrap_or_default());
    (out, kept)
}

/// Appends each rule of a style sheet to those that attributes can express, or to those that they cannot.
fn split_rules(css: &str, movable: &mut String, kept: &mut String) {
    let mut rest = css;
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start();
        if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.find("*/").and_then(|end| comment.get(end + 2..)).unwrap_or_default();
            continue;
        }
        let end = end_of_rule(rest);
        let (rule, after) = rest.split_at(end);
        rest = after;
        let Some((selectors, block)) = rule.split_once('{').filter(|_| !rule.starts_with('@')) else {
            // An at-rule, or a statement such as `@charset "utf-8";`.
            kept.push_str(rule);
            continue;
        };
        let (dynamic, plain): (Vec<&str>, Vec<&str>) =
            selectors.split(',').map(str::trim).partition(|selector| selector.contains(':'));
        for (selectors, sheet) in [(plain, &mut *movable), (dynamic, &mut *kept)] {
            if !selectors.is_empty() {
                sheet.push_str(&format!("{} {{{block}", selectors.join(", ")));
            }
        }
    }
}

/// The byte after a rule: its last brace, or the semicolon of a statement.
fn end_of_rule(css: &str) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in css.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return at + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    css.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hover_and_at_rules_stay_in_a_style_element() {
        let html = "<html><head><STYLE type=\"text/css\">/* a */ @charset \"utf-8\"; p, a:hover { color: red }\n\
                    @media (max-width: 400px) { p { color: blue } b { x: y } } b { top: 0 }</STYLE></head>\
                    <body><p>x</p><a href=\"y\">z</a><b>w</b></body></html>";
        let inlined = inlined(html).unwrap();
        assert!(
            inlined.contains("<p style=\"color: red;\">") || inlined.contains("<p style=\"color: red\">"),
            "{inlined}"
        );
        assert!(inlined.contains("a:hover { color: red }"), "{inlined}");
        assert!(inlined.contains("@media (max-width: 400px) { p { color: blue } b { x: y } }"), "{inlined}");
        assert!(!inlined.contains("<a href=\"y\" style"), "{inlined}");
        assert_eq!(inlined.matches("<style").count(), 1, "{inlined}");
    }

    #[test]
    fn unfinished_style_sheets_neither_panic_nor_hang() {
        for css in ["", "p", "p {", "@media {", "}}}", "/* x", "p { } q", ";;;", "é { color: red }"] {
            let html = format!("<style>{css}</style><p>x</p>");
            assert!(inlined(&html).is_some_and(|html| html.contains('x')), "{css}");
        }
    }
}
