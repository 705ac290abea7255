//! Compiling and rendering templates with minijinja.

use super::links;
#[cfg(feature = "mjml")]
use super::mjml;
#[cfg(feature = "css-inline")]
use super::style;
use crate::message::{MessageError, Subject, text_of_html};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use mkt_connect::campaign::{CampaignTags, TagFamily};
use serde::Serialize;
use std::fmt;

/// Enough for an email of some thousand loops; a runaway template ends after milliseconds.
const FUEL: u64 = 500_000;
const RECURSION: usize = 50;
/// Larger emails are cut by readers (Gmail clips HTML at 102 kB) and refused by providers.
const MAX_RENDERED: usize = 2_000_000;

const SUBJECT: &str = "subject";
const HTML: &str = "html";
const TEXT: &str = "text";
#[cfg(feature = "mjml")]
pub(super) const MJML: &str = "mjml";

/// Why a template or one email made with it was refused. Values never appear: they may be personal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The template itself is wrong.
    #[error("the template's {part} does not compile (line {line}): {reason}")]
    Syntax {
        /// `subject`, `html`, `text` or `mjml`.
        part: &'static str,
        /// The line in that part.
        line: usize,
        /// What the compiler says.
        reason: String,
    },
    /// The template uses a value that this email does not have.
    #[error("the template's {part} needs {name}, which is missing (line {line})")]
    Missing {
        /// `subject`, `html` or `text`.
        part: &'static str,
        /// The name of the value, as far as it can be told.
        name: String,
        /// The line in that part.
        line: usize,
    },
    /// Rendering failed in another way.
    #[error("the template's {part} cannot be rendered (line {line}): {reason}")]
    Render {
        /// `subject`, `html` or `text`.
        part: &'static str,
        /// The line in that part.
        line: usize,
        /// Which kind of failure.
        reason: String,
    },
    /// The rendered subject cannot stand in a header.
    #[error("the rendered subject cannot be used")]
    Subject(#[source] MessageError),
    /// The rendered body is larger than an email should be.
    #[error("the rendered {part} has {got} bytes, {max} is the most")]
    TooLarge {
        /// `html` or `text`.
        part: &'static str,
        /// The size.
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

/// What a template gives for one person.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The subject line.
    pub subject: Subject,
    /// The HTML body.
    pub html: String,
    /// The plain text: the template's own, or derived from the HTML.
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
    /// Compiles a template of a subject, an HTML body and, if there is one, a plain text.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`].
    pub fn new(subject: &str, html: &str, text: Option<&str>) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION);
        // minijinja would decide by file extension; here there is no file.
        environment
            .set_auto_escape_callback(|name| if name == HTML { AutoEscape::Html } else { AutoEscape::None });
        environment.add_filter("safe_url", |link: &str| links::safe(link).map(String::from));
        environment.add_filter("tag", |link: &str| links::safe(link).map(String::from));
        for (part, source) in [(SUBJECT, Some(subject)), (HTML, Some(html)), (TEXT, text)] {
            let Some(source) = source else { continue };
            environment.add_template_owned(part, source.to_owned()).map_err(|error| {
                TemplateError::Syntax {
                    part,
                    line: error.line().unwrap_or(0),
                    reason: error.detail().map_or_else(|| error.kind().to_string(), str::to_owned),
                }
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
    /// (feature `css-inline`). `@media` rules stay where they are; nothing is loaded from a disk or the network.
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

    /// Renders the email of one person.
    ///
    /// # Errors
    /// [`TemplateError`]; the person is to be set aside with it, others are not concerned.
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
        let rendered = self
            .environment
            .get_template(part)
            .and_then(|template| template.render(context))
            .map_err(|error| fail(&error))?;
        within_limit(part, rendered)
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

fn within_limit(part: &'static str, rendered: String) -> Result<String, TemplateError> {
    match rendered.len() {
        got if got > MAX_RENDERED => Err(TemplateError::TooLarge { part, got, max: MAX_RENDERED }),
        _ => Ok(rendered),
    }
}

#[cfg(feature = "css-inline")]
fn with_css_inlined(html: &str) -> Result<String, TemplateError> {
    let reason = || "its style sheet cannot be moved into attributes".to_owned();
    style::inlined(html).ok_or_else(|| TemplateError::Render { part: HTML, line: 0, reason: reason() })
}

/// Line ends and tabs stay; whatever else could steer a terminal or an email program goes.
fn without_controls(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')).collect()
}
