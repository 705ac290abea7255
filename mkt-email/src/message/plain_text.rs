//! Derives a plain text from an HTML body, for messages without one.
//!
//! Written by hand because the kept libraries do not serve as well: html2text wraps lines to a width, moves links into
//! footnotes and adds html5ever with some twenty crates to every build, and the conversion runs once per recipient.

/// Elements that begin and end a line of their own.
const BLOCKS: [&str; 19] = [
    "address",
    "article",
    "blockquote",
    "div",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "main",
    "ol",
    "p",
    "section",
    "table",
    "tr",
    "ul",
];
/// Elements whose content is skipped.
const UNREAD: [&str; 5] = ["head", "script", "style", "template", "title"];

/// Derives a readable text: blocks become lines, list items get a dash, links are followed by their address, the usual
/// entities are decoded. It reads the markup that emails are made of and is not a browser: styles, comments inside
/// scripts and the like are not understood, and nothing it returns is meant to be used as HTML.
#[must_use]
pub fn text_of_html(html: &str) -> String {
    let mut out = Lines::default();
    let mut rest = html;
    let mut link: Option<(String, usize)> = None;
    while let Some(at) = rest.find('<') {
        out.text(&decode(&rest[..at]));
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end + 3..]);
            continue;
        }
        let Some(end) = tag_end(rest) else {
            out.text(&decode(rest));
            rest = "";
            break;
        };
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        let closing = tag.starts_with('/');
        let name: String =
            tag.trim_start_matches('/').chars().take_while(char::is_ascii_alphanumeric).collect();
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            unread if UNREAD.contains(&unread) && !closing => {
                rest = closing_tag(rest, unread).map_or("", |at| &rest[at..]);
            }
            "br" => out.break_line(),
            "hr" => out.block(),
            "li" if !closing => {
                out.break_line_if_needed();
                out.text("- ");
            }
            "li" => out.break_line_if_needed(),
            "td" | "th" if closing => out.text(" "),
            "a" if closing => {
                if let Some((address, start)) = link.take()
                    && out.since(start).trim() != address
                {
                    out.text(&format!(" ({address})"));
                }
            }
            "a" => link = attribute(tag, "href").map(|address| (decode(&address), out.position())),
            block if BLOCKS.contains(&block) => out.block(),
            _ => {}
        }
    }
    out.text(&decode(rest));
    out.finish()
}

/// Where the closing tag of an element begins. Looks at what lies before it and no further: with many elements the
/// whole takes linear time.
fn closing_tag(html: &str, name: &str) -> Option<usize> {
    html.match_indices("</").map(|(at, _)| at).find(|at| {
        let tag = html.as_bytes().get(at + 2..at + 2 + name.len());
        tag.is_some_and(|tag| tag.eq_ignore_ascii_case(name.as_bytes()))
    })
}

/// The end of a tag: the first `>` outside quotes.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in tag.char_indices() {
        match (quote, c) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let at = lower.find(&format!("{name}="))? + name.len() + 1;
    let value = &tag[at..];
    let text = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split_whitespace().next()?,
    };
    Some(text.to_owned())
}

fn decode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        // The longest entity read here has ten characters.
        let entity = rest.char_indices().take(12).find(|(_, c)| *c == ';').map(|(end, _)| &rest[1..end]);
        match entity.and_then(|entity| Some((entity.len(), character(entity)?))) {
            Some((length, c)) => {
                out.push(c);
                rest = &rest[length + 2..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(entity: &str) -> Option<char> {
    let named = match entity {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "euro" => '€',
        "eacute" => 'é',
        "egrave" => 'è',
        "agrave" => 'à',
        "ccedil" => 'ç',
        _ => {
            let digits = entity.strip_prefix('#')?;
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => digits.parse().ok()?,
            };
            char::from_u32(code)?
        }
    };
    Some(named)
}

/// Text with white space folded as HTML folds it; no-break spaces stay.
#[derive(Default)]
struct Lines {
    out: String,
}

impl Lines {
    fn text(&mut self, text: &str) {
        for c in text.chars() {
            if c.is_ascii_whitespace() {
                if !self.out.is_empty() && !self.out.ends_with([' ', '\n']) {
                    self.out.push(' ');
                }
            } else {
                self.out.push(c);
            }
        }
    }

    fn break_line(&mut self) {
        self.trim_line();
        self.out.push('\n');
    }

    fn break_line_if_needed(&mut self) {
        self.trim_line();
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }

    fn block(&mut self) {
        self.break_line_if_needed();
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    fn trim_line(&mut self) {
        self.out.truncate(self.out.trim_end_matches(' ').len());
    }

    fn position(&self) -> usize {
        self.out.len()
    }

    fn since(&self, start: usize) -> &str {
        self.out.get(start..).unwrap_or_default()
    }

    fn finish(self) -> String {
        self.out.trim_matches([' ', '\n']).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_become_lines_and_links_keep_their_url() {
        let html = "<html><head><title>no</title><style>p{}</style></head><body><h1>Bienvenue&nbsp;Jean&#x20;!</h1>\
                    <p>Voir <a href=\"https://example.org/?a=1&amp;b=2\">la  boutique</a>.</p>\
                    <ul><li>un</li><li>deux</li></ul><!-- <p>no</p> --></body></html>";
        assert_eq!(
            text_of_html(html),
            "Bienvenue\u{a0}Jean !\n\nVoir la boutique (https://example.org/?a=1&b=2).\n\n- un\n- deux"
        );
    }

    #[test]
    fn link_shown_as_itself_is_written_once() {
        assert_eq!(
            text_of_html("<a href='https://example.org'>https://example.org</a>"),
            "https://example.org"
        );
    }

    #[test]
    fn broken_markup_does_not_panic() {
        for html in [
            "<",
            "<a href=",
            "a < b",
            "&#xffffffff;",
            "&amp",
            "<script>x",
            "é<é",
            "<p title='>",
            "</",
            "<é>x",
        ] {
            let _ = text_of_html(html);
        }
        assert_eq!(text_of_html("1 &lt; 2 & 3"), "1 < 2 & 3");
    }
}
