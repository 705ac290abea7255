//! Text that is safe inside SVG and HTML. Every label passes here; nothing else writes caller's text.

use crate::markup::is_forbidden;
pub(super) use crate::markup::push_escaped;
use std::fmt::Write;

/// `text` escaped.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    push_escaped(&mut out, text);
    out
}

/// Appends `<name>text</name>`.
pub(super) fn push_element(out: &mut String, name: &str, text: &str) {
    let _ = write!(out, "<{name}>");
    push_escaped(out, text);
    let _ = write!(out, "</{name}>");
}

/// At most `limit` characters on one line, without characters that XML forbids; a cut is shown by an ellipsis. The
/// result is not escaped: the SVG back end does that.
pub(super) fn shortened(text: &str, limit: usize) -> String {
    let mut characters = text.chars().filter(|c| c.is_whitespace() || !is_forbidden(*c));
    let mut out: String =
        characters.by_ref().take(limit).map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    if characters.next().is_some() {
        out.pop();
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(
            escaped("<script>alert('x')</script>&\"\u{0}\u{1b}\n"),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot; "
        );
    }

    #[test]
    fn a_long_label_is_cut_on_a_character() {
        assert_eq!(shortened("éèà", 3), "éèà");
        assert_eq!(shortened("éèàù", 3), "éè…");
        assert_eq!(shortened("a\u{0}b\nc", 9), "ab c");
    }
}
