//! Escapes text for SVG and HTML.

/// Appends `text` escaped for element content and for quoted attributes. Characters that XML 1.0 forbids are
/// dropped, white space controls become spaces.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
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

pub(crate) fn is_forbidden(character: char) -> bool {
    character.is_control() || matches!(character, '\u{fffe}' | '\u{ffff}')
}
