//! MJML: the markup of which email programs show the same thing, compiled to HTML before any value is known.

use super::TemplateError;
use super::engine::MJML;
use mrml::prelude::parser::noop_loader::NoopIncludeLoader;
use mrml::prelude::parser::{Error, ParserOptions, Span};
use mrml::prelude::render::RenderOptions;
use std::collections::HashMap;

/// The HTML of a template in MJML; what stands in `{{ }}` and `{% %}` passes through. Nothing is read but `source`: an
/// `mj-include` is refused, and no fonts are loaded from anywhere unless the template names them in an `mj-font`.
pub(super) fn to_html(source: &str) -> Result<String, TemplateError> {
    let refused = |at: Option<Span>, reason: String| {
        let line =
            at.and_then(|span| source.get(..span.start)).map_or(0, |before| 1 + before.matches('\n').count());
        TemplateError::Syntax { part: MJML, line, reason }
    };
    let options = ParserOptions { include_loader: Box::new(NoopIncludeLoader) };
    let parsed = mrml::parse_with_options(source, &options)
        .map_err(|error| refused(span(&error), reason(&error).to_owned()))?;
    // Comments are for the author; the conditional ones that Outlook reads are made by the compiler.
    let options = RenderOptions { disable_comments: true, social_icon_origin: None, fonts: HashMap::new() };
    parsed.element.render(&options).map_err(|error| refused(None, error.to_string()))
}

fn span(error: &Error) -> Option<Span> {
    match error {
        Error::UnexpectedElement { position, .. }
        | Error::UnexpectedToken { position, .. }
        | Error::MissingAttribute { position, .. }
        | Error::InvalidAttribute { position, .. }
        | Error::InvalidFormat { position, .. }
        | Error::IncludeLoaderError { position, .. } => Some(*position),
        _ => None,
    }
}

fn reason(error: &Error) -> &'static str {
    match error {
        Error::UnexpectedElement { .. } => "an element stands where it may not",
        Error::UnexpectedToken { .. } => "something stands where it may not",
        Error::MissingAttribute { .. } => "an element lacks an attribute",
        Error::InvalidAttribute { .. } => "an attribute is not valid",
        Error::IncludeLoaderError { .. } => "mj-include is not supported: a template is one text",
        Error::EndOfStream { .. } => "it ends in the middle of an element",
        Error::NoRootNode => "there is no mjml element",
        _ => "it is not MJML",
    }
}
