//! A server's reply (RFC 5321 §4.2), parsed strictly and within size limits. Its meaning is decided in `error.rs`.

use std::fmt;

/// RFC 5321 §4.5.3.1.5 allows 512 octets to a line. Servers in use write more; none needs this much.
pub(super) const MAX_LINE: usize = 2_048;
/// The most lines of one reply. Long `EHLO` replies have twenty.
const MAX_LINES: usize = 100;

/// The subject and detail of an enhanced status code (RFC 3463): `5.1.1` is `(1, 1)`. The class is left out, since the
/// code before it says the same, and where the two differ the code is what RFC 5321 goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Enhanced(pub(super) u16, pub(super) u16);

/// A complete reply.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// Three digits.
    pub(super) code: u16,
    /// The enhanced code of the first line, if any.
    pub(super) enhanced: Option<Enhanced>,
    /// The lines without their codes, separated by `\n`. Servers echo addresses here.
    pub(super) text: String,
}

impl Reply {
    /// The first digit: 2 success, 3 continue, 4 temporary failure, 5 permanent failure.
    pub(super) fn class(&self) -> u16 {
        self.code / 100
    }

    pub(super) fn is_yes(&self) -> bool {
        self.class() == 2
    }
}

impl fmt::Debug for Reply {
    /// The text is left out: it may name the recipient.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("code", &self.code)
            .field("enhanced", &self.enhanced)
            .finish_non_exhaustive()
    }
}

/// Assembles a reply from its lines.
#[derive(Default)]
pub(super) struct Assembly {
    code: Option<u16>,
    text: String,
    lines: usize,
}

impl Assembly {
    /// Takes one line without its end. `Some` when it was the last one of the reply.
    ///
    /// # Errors
    /// What is wrong with it, in one clause.
    pub(super) fn push(&mut self, line: &[u8]) -> Result<Option<Reply>, &'static str> {
        let (code, rest) = line.split_at_checked(3).ok_or("a line without a code")?;
        let digits = matches!(code, [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']);
        if !digits {
            return Err("a line without a code");
        }
        let code = code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        if self.code.is_some_and(|first| first != code) {
            return Err("lines of one reply with different codes");
        }
        let (last, text) = match rest.split_first() {
            None => (true, &[][..]),
            Some((b' ', text)) => (true, text),
            Some((b'-', text)) => (false, text),
            Some(_) => return Err("a line without a code"),
        };
        self.code = Some(code);
        self.lines += 1;
        if self.lines > MAX_LINES {
            return Err("a reply without end");
        }
        if self.lines > 1 {
            self.text.push('\n');
        }
        self.text.push_str(&String::from_utf8_lossy(text));
        if !last {
            return Ok(None);
        }
        let text = std::mem::take(&mut self.text);
        Ok(Some(Reply { code, enhanced: enhanced(&text), text }))
    }
}

/// The enhanced code that the text begins with.
fn enhanced(text: &str) -> Option<Enhanced> {
    let word = text.split([' ', '\n', '\t']).next()?;
    let mut parts = word.split('.');
    let mut number = |most: usize| {
        let part = parts.next()?;
        let plain = (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (class, subject, detail) = (number(1)?, number(3)?, number(3)?);
    (matches!(class, 2 | 4 | 5) && parts.next().is_none()).then_some(Enhanced(subject, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<Option<Reply>, &'static str> {
        let mut assembly = Assembly::default();
        let mut last = Ok(None);
        for line in lines {
            last = assembly.push(line.as_bytes());
            if !matches!(last, Ok(None)) {
                break;
            }
        }
        last
    }

    #[test]
    fn a_reply_of_several_lines_is_one_reply() {
        let reply =
            read(&["550-5.1.1 The email account does not exist.", "550 5.1.1 Learn more"]).unwrap().unwrap();
        assert_eq!((reply.code, reply.enhanced), (550, Some(Enhanced(1, 1))));
        assert_eq!(reply.text, "5.1.1 The email account does not exist.\n5.1.1 Learn more");
    }

    #[test]
    fn a_code_alone_is_a_reply() {
        // RFC 5321 §4.2: "clients ... SHOULD be prepared to process replies that contain only the code".
        assert_eq!(read(&["250"]).unwrap().unwrap().text, "");
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for line in ["", "25", "hello", "150 x", "650 x", "25a x", "250x", "250\tx", "HTTP/1.1 200 OK"] {
            assert!(read(&[line]).is_err(), "{line}");
        }
        assert!(read(&["250-a", "251 b"]).is_err());
        assert!(read(&vec!["250-more"; 101]).is_err());
        assert!(matches!(read(&vec!["250-more"; 100]), Ok(None)));
    }

    #[test]
    fn an_enhanced_code_has_three_numbers_and_is_the_first_word() {
        assert_eq!(enhanced("5.7.515 Access denied"), Some(Enhanced(7, 515)));
        assert_eq!(enhanced("2.0.0"), Some(Enhanced(0, 0)));
        for text in
            ["", "5.7", "5.7.1.2 x", "see 5.1.1", "3.1.1 x", "5.1.1234 x", "10.0.0.1 greets", "5..1", "5.1.x"]
        {
            assert_eq!(enhanced(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_shown_of_a_reply_names_nobody() {
        let reply = read(&["550 5.1.1 <canary@example.org> unknown"]).unwrap().unwrap();
        assert!(!format!("{reply:?}").contains("canary"));
    }
}
