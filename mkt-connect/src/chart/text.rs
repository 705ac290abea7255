//! Text that is safe inside SVG and HTML. Every label passes here; nothing else writes caller's text.

use std::fmt::Write;

/// Appends `text` escaped for element content and for quoted attributes. Characters that XML 1.0 forbids are
/// dropped, white space controls become spaces.
pub(super) fn push_escaped(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\r' | '\t' => out.push(' '),
            other if is_forbidden(other) => {}
            other => out.push(other),
        }
    }
}

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

fn is_forbidden(character: char) -> bool {
    character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}')
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
