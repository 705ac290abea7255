//! Limits of templates, checked before a parser sees the source. Pure, in linear time.
//!
//! The parsers below (minijinja 3, mrml 6, css-inline 0.23) recurse over long chains of operators, `elif` branches and nested
//! elements, and a stack overflow ends the process: nothing can catch it. What these limits allow stays far below it.

use super::tags::{Tag, Tags};

/// Largest source of one part in bytes; readers clip emails at a fifth of it.
pub(super) const MAX_SOURCE: usize = 500_000;
/// Largest `{{ … }}` or `{% … %}` in bytes.
const MAX_TAG: usize = 2_000;
/// Most operators of one of them: a chain is as deep as it is long. A debug build overflows 2 MB of stack below 1 900.
const MAX_OPERATORS: usize = 200;
/// Most `elif` branches of one part: each is nested in the one before.
const MAX_BRANCHES: usize = 100;
/// Largest product of the numbers of an expression that multiplies: `{{ "x" * 100000 }}` would be repeated before its size is
/// known.
const MAX_FACTOR: f64 = 10_000.0;
/// Widest indentation of the filter `indent`, in spaces.
pub(super) const MAX_INDENT: usize = 100;
/// Deepest nesting of elements.
#[cfg(any(feature = "mjml", feature = "css-inline"))]
pub(super) const MAX_DEPTH: usize = 100;

/// The first limit that a source exceeds: line and reason.
pub(super) fn exceeded(source: &str) -> Option<(usize, String)> {
    let at = |byte: usize| line_of(source, byte);
    if source.len() > MAX_SOURCE {
        return Some((0, format!("{} bytes, at most {MAX_SOURCE}", source.len())));
    }
    let mut branches = 0;
    for Tag { start, text: tag, .. } in Tags::of(source) {
        if tag.len() > MAX_TAG {
            return Some((at(start), format!("an expression of {} bytes, at most {MAX_TAG}", tag.len())));
        }
        if operators(tag) > MAX_OPERATORS {
            return Some((at(start), format!("an expression of more than {MAX_OPERATORS} operators")));
        }
        branches += usize::from(tag.contains("elif"));
        if branches > MAX_BRANCHES {
            return Some((at(start), format!("more than {MAX_BRANCHES} elif branches")));
        }
        if tag.contains('*') && product(tag) > MAX_FACTOR {
            return Some((at(start), "a multiplication by more than 10 000".to_owned()));
        }
    }
    None
}

/// The line of a byte, from 1.
pub(super) fn line_of(source: &str, byte: usize) -> usize {
    1 + source.get(..byte).map_or(0, |before| before.matches('\n').count())
}

/// The operators of an expression, those inside of strings included.
fn operators(tag: &str) -> usize {
    const SIGNS: &str = "+-*/%~|.([<>=!";
    const WORDS: [&str; 7] = ["not", "and", "or", "if", "else", "is", "in"];
    let words = tag.split(|c: char| !c.is_alphanumeric() && c != '_');
    tag.chars().filter(|c| SIGNS.contains(*c)).count() + words.filter(|word| WORDS.contains(word)).count()
}

/// The product of the numbers in an expression that are larger than one, those in strings included.
fn product(tag: &str) -> f64 {
    let numbers = tag.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
    let numbers = numbers.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    // What does not read as a number here may still be one: hexadecimal, with underscores.
    let values = numbers.map(|word| word.trim_end_matches('.').parse::<f64>().unwrap_or(f64::INFINITY));
    values.filter(|value| *value > 1.0).product()
}

/// Elements whose end tag may be left out or that have none: they do not nest in themselves.
#[cfg(any(feature = "mjml", feature = "css-inline"))]
const FLAT: [&str; 27] = [
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr", "p", "li", "td", "th", "tr", "dt", "dd", "option", "thead", "tbody", "tfoot", "colgroup",
    "optgroup",
];

/// The deepest nesting of elements of a markup.
#[cfg(any(feature = "mjml", feature = "css-inline"))]
pub(super) fn depth(markup: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut rest = markup;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let closing = rest.starts_with('/');
        let name_of = rest.trim_start_matches('/');
        let length = name_of.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(name_of.len());
        let name = name_of.get(..length).unwrap_or_default();
        if name.is_empty() || FLAT.iter().any(|flat| name.eq_ignore_ascii_case(flat)) {
            continue;
        }
        let end = rest.find('>').unwrap_or(rest.len());
        if closing {
            depth = depth.saturating_sub(1);
        } else if !rest.get(..end).is_some_and(|tag| tag.ends_with('/')) {
            depth += 1;
            deepest = deepest.max(depth);
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    deepest
}

/// Runs a parser that may panic; `None` if it did. The panic is reported by the process's panic hook.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    // The closures own or only read what they use: nothing is left half-changed.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_found_with_their_line() {
        let long = format!("a\nb {{{{ {} }}}}", "abc".repeat(1_000));
        assert_eq!(exceeded(&long), Some((2, "an expression of 3002 bytes, at most 2000".to_owned())));
        let chain = format!("{{{{ {} }}}}", "a|b".repeat(201));
        assert_eq!(exceeded(&chain), Some((1, "an expression of more than 200 operators".to_owned())));
        // The end of the expression is hidden in a string.
        let hidden = format!("{{{{ \"}}}}\" ~ {} }}}}", "a ~ ".repeat(1_000));
        assert!(exceeded(&hidden).is_some());
        let branches = format!("{{% if a %}}{}{{% endif %}}", "{% elif b %}".repeat(101));
        assert!(exceeded(&branches).is_some_and(|(_, reason)| reason.contains("elif")));
        for large in ["{{ 'x' * 100000 }}", "{{ x * 999 * 999 }}", "{{ x * 1_000_000 }}", "{{ x * 0xfffff }}"]
        {
            assert!(exceeded(large).is_some(), "{large}");
        }
        for small in ["{{ price * 9999 }}", "{{ (price * 1.2 * 100) | round(2) }}", "{{ p1 * p2 * 100 }}"] {
            assert_eq!(exceeded(small), None, "{small}");
        }
        assert!(exceeded(&"x".repeat(MAX_SOURCE + 1)).is_some());
        for fine in ["", "{", "{{", "{{ a", "{{ 'a", "{% if a %}{{ b }}{% endif %}", "été {{ prenom }} €"]
        {
            assert_eq!(exceeded(fine), None, "{fine}");
        }
    }

    #[cfg(any(feature = "mjml", feature = "css-inline"))]
    #[test]
    fn depth_counts_elements_inside_of_each_other() {
        assert_eq!(depth("<div><p>a<p>b<br><img></div><div><span/></div>"), 1);
        assert_eq!(depth(&"<div>".repeat(500)), 500);
        assert_eq!(depth("<mj-body><mj-section><mj-column/></mj-section></mj-body>"), 2);
        assert_eq!(depth("a < b <"), 0);
    }
}
