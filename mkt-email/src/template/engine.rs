//! Compiling and rendering templates with minijinja.

use super::guard;
use super::limits::{self, MAX_INDENT};
use super::links;
#[cfg(feature = "mjml")]
use super::mjml;
#[cfg(feature = "css-inline")]
use super::style;
use crate::message::{MessageError, Subject, text_of_html};
use minijinja::value::{Kwargs, Serde};
use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, Value, escape_formatter};
use mkt_connect::campaign::{CampaignTags, TagFamily};
use serde::Serialize;
use std::fmt;
use std::io;

/// Enough for an email of some thousand loops; an endless template ends after milliseconds.
const FUEL: u64 = 500_000;
const RECURSION: usize = 50;
/// Larger emails are clipped by readers (Gmail clips HTML at 102 kB) and rejected by providers.
const MAX_RENDERED: usize = 2_000_000;

const SUBJECT: &str = "subject";
const HTML: &str = "html";
const TEXT: &str = "text";
#[cfg(feature = "mjml")]
pub(super) const MJML: &str = "mjml";

/// The error of a template, or of one email rendered with it. Values never appear: they may be personal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The template is invalid.
    #[error("the template's {part} does not compile (line {line}): {reason}")]
    Syntax {
        /// `subject`, `html`, `text` or `mjml`.
        part: &'static str,
        /// The line in that part.
        line: usize,
        /// The compiler's reason, or the limit that the source exceeds.
        reason: String,
    },
    /// The template uses a value that the context does not have.
    #[error("the template's {part} needs {name}, which is missing (line {line})")]
    Missing {
        /// `subject`, `html` or `text`.
        part: &'static str,
        /// The name of the value, if known.
        name: String,
        /// The line in that part.
        line: usize,
    },
    /// Rendering failed for another reason.
    #[error("the template's {part} cannot be rendered (line {line}): {reason}")]
    Render {
        /// `subject`, `html` or `text`.
        part: &'static str,
        /// The line in that part.
        line: usize,
        /// The kind of failure.
        reason: String,
    },
    /// The rendered subject is not a valid header.
    #[error("invalid rendered subject")]
    Subject(#[source] MessageError),
    /// The rendered part exceeds the limit; rendering ended there.
    #[error("the rendered {part} is too large: {got} bytes or more, at most {max}")]
    TooLarge {
        /// `subject`, `html` or `text`.
        part: &'static str,
        /// The size at which rendering ended.
        got: usize,
        /// The limit.
        max: usize,
    },
}

impl From<TemplateError> for mkt_connect::Error {
    /// [`ErrorKind::Input`](mkt_connect::ErrorKind::Input), with the text of the error.
    fn from(error: TemplateError) -> Self {
        Self::new(mkt_connect::ErrorKind::Input, "template", "render")
            .with_detail(error.to_string())
            .with_source(error)
    }
}

/// An email rendered for one recipient.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The subject line.
    pub subject: Subject,
    /// The HTML body.
    pub html: String,
    /// The plain text: that of the template, or derived from the HTML.
    pub text: String,
}

impl fmt::Debug for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rendered({} bytes of HTML, {} of text)", self.html.len(), self.text.len())
    }
}

/// A compiled template. Cheap to clone, usable from many threads.
///
/// Beside minijinja's own, two filters are there. `{{ link | tag }}` refuses what is not a plain web link and adds the
/// campaign tags if [`tagging`](Self::tagging) was called. `{{ link | safe_url }}` only refuses.
///
/// ```
/// use mkt_email::Template;
/// use mkt_email::template::TemplateError;
/// let template = Template::new("Bonjour {{ prenom }}", "<p>Bienvenue {{ prenom }} !</p>", None)?;
/// let email = template.render(&std::collections::BTreeMap::from([("prenom", "<Jean>")]))?;
/// assert_eq!(email.html, "<p>Bienvenue &lt;Jean&gt; !</p>");
/// assert_eq!(email.text, "Bienvenue <Jean> !");
///
/// let nobody = std::collections::BTreeMap::<&str, &str>::new();
/// assert!(matches!(template.render(&nobody), Err(TemplateError::Missing { name, .. }) if name == "prenom"));
/// # Ok::<(), TemplateError>(())
/// ```
#[derive(Clone)]
pub struct Template {
    environment: Environment<'static>,
    has_text: bool,
    #[cfg(feature = "css-inline")]
    inlines_css: bool,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("has_text", &self.has_text).finish_non_exhaustive()
    }
}

impl Template {
    /// Compiles a template of a subject, an HTML body and, optionally, a plain text.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`], also beyond the limits of a source: 500 000 bytes per part, 2 000 bytes and 200 operators per
    /// expression, 100 `elif` branches, factors up to 10 000, no recursive loop; and if the compiler panics.
    pub fn new(subject: &str, html: &str, text: Option<&str>) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION);
        // minijinja would decide by file extension; here there is no file.
        environment
            .set_auto_escape_callback(|name| if name == HTML { AutoEscape::Html } else { AutoEscape::None });
        environment.set_formatter(write_value);
        guard::install(&mut environment);
        environment.add_filter("indent", indent);
        environment.add_filter("safe_url", |link: &str| links::safe(link).map(String::from));
        environment.add_filter("tag", |link: &str| links::safe(link).map(String::from));
        for (part, source) in [(SUBJECT, Some(subject)), (HTML, Some(html)), (TEXT, text)] {
            let Some(source) = source else { continue };
            if let Some((line, reason)) = limits::exceeded(source) {
                return Err(TemplateError::Syntax { part, line, reason });
            }
            let guarded = guard::guarded(source).map_err(|(byte, what)| TemplateError::Syntax {
                part,
                line: limits::line_of(source, byte),
                reason: format!("{what}, which templates of emails do not have"),
            })?;
            let compiled = limits::caught(|| environment.add_template_owned(part, guarded));
            let compiled = compiled.ok_or_else(|| TemplateError::Syntax {
                part,
                line: 0,
                reason: "the compiler failed".to_owned(),
            })?;
            compiled.map_err(|error| TemplateError::Syntax {
                part,
                line: error.line().unwrap_or(0),
                reason: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
            })?;
        }
        Ok(Self {
            environment,
            has_text: text.is_some(),
            #[cfg(feature = "css-inline")]
            inlines_css: false,
        })
    }

    /// Compiles a template whose HTML body is written in MJML (feature `mjml`).
    ///
    /// `{{ }}` may stand in texts and attributes; `{% %}` between elements goes into an `<mj-raw>`. `<` and `&` in a
    /// minijinja expression are markup to the MJML compiler: use `lt` and the like. `mj-include` is refused. The web
    /// fonts that MJML would load by itself are not; name one in an `<mj-font>` to have it.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`], with part `mjml` for the markup, else for what the markup became.
    ///
    /// ```
    /// use mkt_email::Template;
    /// let mjml = "<mjml><mj-body><mj-section><mj-column><mj-text>Bienvenue {{ prenom }} !</mj-text>\
    ///             </mj-column></mj-section></mj-body></mjml>";
    /// let email = Template::mjml("Bienvenue {{ prenom }} !", mjml, None)?
    ///     .render(&std::collections::BTreeMap::from([("prenom", "<mj-raw>Jean")]))?;
    /// assert!(email.html.contains("Bienvenue &lt;mj-raw&gt;Jean !"));
    /// assert_eq!(email.text, "Bienvenue <mj-raw>Jean !");
    /// # Ok::<(), mkt_email::template::TemplateError>(())
    /// ```
    #[cfg(feature = "mjml")]
    pub fn mjml(subject: &str, mjml: &str, text: Option<&str>) -> Result<Self, TemplateError> {
        Self::new(subject, &mjml::to_html(mjml)?, text)
    }

    /// Moves the rules of `<style>` elements into `style` attributes of every email, for readers that drop style sheets
    /// (feature `css-inline`). At-rules (`@media`) and rules with a pseudo-class (`a:hover`) stay in a `<style>` element;
    /// nothing is loaded from a disk or the network.
    #[cfg(feature = "css-inline")]
    #[must_use]
    pub fn inlining_css(mut self) -> Self {
        self.inlines_css = true;
        self
    }

    /// Adds campaign tags to every web link that passes the filter `tag`. Tags of the same family that a link
    /// has already are replaced.
    #[must_use]
    pub fn tagging(mut self, tags: CampaignTags, family: TagFamily) -> Self {
        self.environment.add_filter("tag", move |link: &str| {
            let url = links::safe(link)?;
            if url.scheme() == "mailto" { Ok(String::from(url)) } else { links::tagged(&url, &tags, family) }
        });
        self
    }

    /// Renders the email of one recipient.
    ///
    /// Sizes are bounded while they are computed: 2 MB a part, and 128 KB or 20 000 items for a value that gets a name in the
    /// template (`set`, `for`, `with`). Not bounded is a single expression, which can make some hundred copies of the largest
    /// value, and a text that is multiplied by a number of the context (at most 100 MB).
    ///
    /// # Errors
    /// [`TemplateError`]; it concerns this recipient only.
    pub fn render<C: Serialize + ?Sized>(&self, context: &C) -> Result<Rendered, TemplateError> {
        let context = Value::from(Serde(context));
        let subject = self.part(SUBJECT, &context)?;
        let subject = Subject::parse(subject.trim()).map_err(TemplateError::Subject)?;
        let html = self.part(HTML, &context)?;
        let text = if self.has_text { self.part(TEXT, &context)? } else { text_of_html(&html) };
        #[cfg(feature = "css-inline")]
        let html = if self.inlines_css { within_limit(HTML, with_css_inlined(&html)?)? } else { html };
        Ok(Rendered { subject, html, text: without_controls(&text) })
    }

    fn part(&self, part: &'static str, context: &Value) -> Result<String, TemplateError> {
        let fail = |error: &minijinja::Error| {
            let line = error.line().unwrap_or(0);
            if error.kind() == minijinja::ErrorKind::UndefinedError {
                return TemplateError::Missing { part, name: self.missing(part, context), line };
            }
            TemplateError::Render { part, line, reason: links::reason(error) }
        };
        // Counted while it is written: a template of a few lines can write gigabytes.
        let mut bounded = Bounded::default();
        let written = self
            .environment
            .get_template(part)
            .and_then(|template| template.render_captured_to(context, &mut bounded).map(|_| ()));
        if bounded.wanted > MAX_RENDERED {
            return Err(TemplateError::TooLarge { part, got: bounded.wanted, max: MAX_RENDERED });
        }
        written.map_err(|error| fail(&error))?;
        // minijinja writes text.
        Ok(String::from_utf8_lossy(&bounded.bytes).into_owned())
    }

    /// The first name, in alphabetical order, that a part uses and the context lacks.
    fn missing(&self, part: &str, context: &Value) -> String {
        let used = self.environment.get_template(part).map(|template| template.undeclared_variables(true));
        let mut lacking: Vec<String> = used
            .unwrap_or_default()
            .into_iter()
            .filter(|path| {
                let value = path.split('.').try_fold(context.clone(), |at, name| at.get_attr(name));
                value.is_ok_and(|value| value.is_undefined())
                    && !self.environment.globals().any(|(n, _)| n == path)
            })
            .collect();
        lacking.sort();
        lacking.into_iter().next().unwrap_or_else(|| "a value".to_owned())
    }
}

/// Output that ends at the limit.
#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    /// Bytes that were to be written.
    wanted: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wanted = self.wanted.saturating_add(bytes.len());
        if self.wanted > MAX_RENDERED {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a value, escaped for HTML in the HTML part. minijinja escapes `/` too, which makes every link unreadable in the
/// source (`https:&#x2f;&#x2f;`) and protects from nothing that the other five do not: `</` cannot be written without `<`.
fn write_value(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    match value.as_str() {
        Some(text) => guard::count_written(state, text.len())?,
        // A list is written as text, which may be many times what it holds in memory.
        None => guard::count_written(state, guard::measured(value)?)?,
    }
    let text = value.as_str().filter(|_| !value.is_safe() && matches!(state.auto_escape(), AutoEscape::Html));
    let Some(text) = text else { return escape_formatter(out, state, value) };
    let mut rest = text;
    let written = loop {
        let Some(at) = rest.find(['<', '>', '&', '"', '\'']) else { break out.write_str(rest) };
        let (plain, special) = rest.split_at(at);
        let escaped = match special.as_bytes().first() {
            Some(b'<') => "&lt;",
            Some(b'>') => "&gt;",
            Some(b'&') => "&amp;",
            Some(b'"') => "&quot;",
            _ => "&#x27;",
        };
        if let Err(error) = out.write_str(plain).and_then(|()| out.write_str(escaped)) {
            break Err(error);
        }
        rest = special.get(1..).unwrap_or_default();
    };
    written.map_err(minijinja::Error::from)
}

/// The filter `indent` as minijinja has it, with a limit of its width.
#[expect(clippy::needless_pass_by_value, reason = "the signature of a filter")]
fn indent(
    text: &str,
    width: Option<usize>,
    first: Option<bool>,
    blank: Option<bool>,
    options: Kwargs,
) -> Result<String, minijinja::Error> {
    let width = width.or(options.get::<Option<usize>>("width")?).unwrap_or(4);
    let first = first.or(options.get::<Option<bool>>("first")?).unwrap_or(false);
    let blank = blank.or(options.get::<Option<bool>>("blank")?).unwrap_or(false);
    options.assert_all_used()?;
    if width > MAX_INDENT {
        return Err(minijinja::Error::new(
            minijinja::ErrorKind::InvalidOperation,
            "an indentation is too wide",
        ));
    }
    guard::within(text.len().saturating_add(text.lines().count().saturating_mul(width)))?;
    let indented = text.lines().enumerate().map(|(number, line)| {
        let wanted = if number == 0 { first } else { blank || !line.is_empty() };
        format!("{}{line}", " ".repeat(if wanted { width } else { 0 }))
    });
    Ok(indented.collect::<Vec<_>>().join("\n"))
}

#[cfg(feature = "css-inline")]
fn within_limit(part: &'static str, rendered: String) -> Result<String, TemplateError> {
    match rendered.len() {
        got if got > MAX_RENDERED => Err(TemplateError::TooLarge { part, got, max: MAX_RENDERED }),
        _ => Ok(rendered),
    }
}

#[cfg(feature = "css-inline")]
fn with_css_inlined(html: &str) -> Result<String, TemplateError> {
    let failed = |reason: &str| TemplateError::Render { part: HTML, line: 0, reason: reason.to_owned() };
    if limits::depth(html) > limits::MAX_DEPTH {
        return Err(failed("its elements are nested too deeply to move the style sheet into attributes"));
    }
    let inlined = limits::caught(|| style::inlined(html)).flatten();
    inlined.ok_or_else(|| failed("its style sheet cannot be moved into attributes"))
}

/// Removes control characters other than line ends and tabs: they could control a terminal or an email program.
fn without_controls(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')).collect()
}
