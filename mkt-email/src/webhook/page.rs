//! The pages of links, in French and English: plain HTML, no script, nothing loaded from anywhere.

use crate::template::Language;
use crate::unsubscribe::UnsubscribeScope;

/// What a page says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Page<'a> {
    /// A button that unsubscribes.
    Unsubscribe(&'a UnsubscribeScope),
    Unsubscribed(&'a UnsubscribeScope),
    /// A button that confirms.
    Confirm(&'a UnsubscribeScope),
    Confirmed(&'a UnsubscribeScope),
    /// The link is none of ours, or not whole.
    Invalid,
    /// The link has ended.
    Expired,
    /// It could not be recorded.
    Later,
}

impl Page<'_> {
    /// The whole page.
    pub(super) fn html(self, language: Language) -> String {
        let (title, text, button) = self.words(language);
        let button = button.map_or_else(String::new, |button| {
            // The form goes back to the page's own address, which holds the token.
            format!("<form method=\"post\"><button type=\"submit\">{button}</button></form>")
        });
        format!(
            "<!DOCTYPE html>\n<html lang=\"{language}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"robots\" content=\"noindex\">\n<title>{title}</title>\n<style>\n\
             body {{ font: 1.1rem/1.5 system-ui, sans-serif; color: #222; background: #fff; margin: 0; }}\n\
             main {{ max-width: 32rem; margin: 12vh auto 0; padding: 0 1.25rem; }}\n\
             h1 {{ font-size: 1.5rem; line-height: 1.25; }}\n\
             button {{ font: inherit; color: #fff; background: #1f5f4a; border: 0; border-radius: .4rem; \
             padding: .8rem 1.4rem; min-height: 3rem; width: 100%; cursor: pointer; }}\n\
             button:focus-visible {{ outline: 3px solid #222; outline-offset: 2px; }}\n</style>\n</head>\n<body>\n\
             <main>\n<h1>{title}</h1>\n<p>{text}</p>\n{button}\n</main>\n</body>\n</html>\n"
        )
    }

    /// Title, text and button.
    fn words(self, language: Language) -> (&'static str, String, Option<&'static str>) {
        use Language::{English, French};
        let list = |scope: &UnsubscribeScope, all: &str, one: &str| match scope {
            UnsubscribeScope::Marketing => all.to_owned(),
            UnsubscribeScope::List(list) => one.replace("{}", &escaped(list)),
        };
        match (self, language) {
            (Self::Unsubscribe(scope), French) => (
                "Se désabonner",
                list(
                    scope,
                    "Vous ne recevrez plus nos nouvelles ni nos offres.",
                    "Vous ne recevrez plus les messages de la liste « {} ».",
                ),
                Some("Me désabonner"),
            ),
            (Self::Unsubscribe(scope), English) => (
                "Unsubscribe",
                list(
                    scope,
                    "You will no longer receive our news and offers.",
                    "You will no longer receive the emails of the list “{}”.",
                ),
                Some("Unsubscribe me"),
            ),
            (Self::Unsubscribed(scope), French) => (
                "Vous êtes désabonné(e)",
                list(
                    scope,
                    "C’est enregistré : nous ne vous enverrons plus ni nouvelles ni offres. Les messages liés à vos commandes \
                     continuent.",
                    "C’est enregistré : vous ne recevrez plus les messages de la liste « {} ».",
                ),
                None,
            ),
            (Self::Unsubscribed(scope), English) => (
                "You are unsubscribed",
                list(
                    scope,
                    "It is recorded: we will send you no more news and offers. Emails about your orders continue.",
                    "It is recorded: you will no longer receive the emails of the list “{}”.",
                ),
                None,
            ),
            (Self::Confirm(scope), French) => (
                "Confirmer l’inscription",
                list(
                    scope,
                    "Confirmez que vous voulez recevoir nos nouvelles et nos offres.",
                    "Confirmez que vous voulez recevoir les messages de la liste « {} ».",
                ),
                Some("Confirmer"),
            ),
            (Self::Confirm(scope), English) => (
                "Confirm your subscription",
                list(
                    scope,
                    "Please confirm that you want to receive our news and offers.",
                    "Please confirm that you want to receive the emails of the list “{}”.",
                ),
                Some("Confirm"),
            ),
            (Self::Confirmed(scope), French) => (
                "Inscription confirmée",
                list(
                    scope,
                    "Merci. Vous recevrez nos nouvelles ; chaque message a un lien pour vous désabonner.",
                    "Merci. Vous recevrez les messages de la liste « {} » ; chacun a un lien pour vous désabonner.",
                ),
                None,
            ),
            (Self::Confirmed(scope), English) => (
                "Subscription confirmed",
                list(
                    scope,
                    "Thank you. You will receive our news; every email has a link to unsubscribe.",
                    "Thank you. You will receive the emails of the list “{}”; each has a link to unsubscribe.",
                ),
                None,
            ),
            (Self::Invalid, French) => (
                "Lien incomplet",
                "Ce lien n’est pas valide : il a peut-être été coupé. Copiez-le en entier depuis le message, ou répondez au \
                 message."
                    .to_owned(),
                None,
            ),
            (Self::Invalid, English) => (
                "Incomplete link",
                "This link is not valid: it may have been cut. Copy all of it from the email, or reply to the email."
                    .to_owned(),
                None,
            ),
            (Self::Expired, French) => (
                "Lien expiré",
                "Ce lien n’est plus valable. Utilisez celui d’un message plus récent, ou répondez au message.".to_owned(),
                None,
            ),
            (Self::Expired, English) => (
                "Expired link",
                "This link is no longer valid. Use that of a more recent email, or reply to the email.".to_owned(),
                None,
            ),
            (Self::Later, French) => (
                "Un instant",
                "Votre demande n’a pas pu être enregistrée. Réessayez dans quelques minutes.".to_owned(),
                None,
            ),
            (Self::Later, English) => (
                "One moment",
                "Your request could not be recorded. Please try again in a few minutes.".to_owned(),
                None,
            ),
        }
    }
}

/// The language that a reader prefers, by `Accept-Language` (RFC 9110 §12.5.4): the one with the larger weight, of equal
/// ones the first.
pub(super) fn language(accept: &str, default: Language) -> Language {
    let mut best: Option<(Language, f32)> = None;
    for part in accept.split(',').take(50) {
        let mut parts = part.split(';');
        let range = parts.next().unwrap_or_default().trim();
        let primary = range.split('-').next().unwrap_or_default().to_ascii_lowercase();
        let Ok(language) = primary.parse::<Language>() else { continue };
        let weight = parts.find_map(|part| part.trim().strip_prefix("q=")).map_or(Ok(1.0), str::parse);
        let weight = weight.unwrap_or(0.0_f32).clamp(0.0, 1.0);
        if weight > 0.0 && best.is_none_or(|(_, known)| weight > known) {
            best = Some((language, weight));
        }
    }
    best.map_or(default, |(language, _)| language)
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_with_the_larger_weight_is_shown() {
        use Language::{English, French};
        for (accept, expected) in [
            ("fr-FR,fr;q=0.9,en;q=0.8", French),
            ("en-GB, fr;q=0.5", English),
            ("de, fr;q=0.3, en;q=0.7", English),
            ("fr;q=0, en;q=0.1", English),
            ("de-DE", English),
            ("", English),
            ("fr;q=x", English),
            ("fr", French),
        ] {
            assert_eq!(language(accept, English), expected, "{accept}");
        }
        assert_eq!(language("de", French), French);
    }

    #[test]
    fn name_of_a_list_is_escaped() {
        let scope = UnsubscribeScope::List("<b>a & 'b\"".to_owned());
        for language in [Language::French, Language::English] {
            let page = Page::Unsubscribe(&scope).html(language);
            assert!(page.contains("&lt;b&gt;a &amp; &#39;b&quot;") && !page.contains("<b>"));
            assert!(!page.contains("<script") && page.contains("method=\"post\""));
        }
    }
}
