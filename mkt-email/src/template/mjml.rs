//! MJML, a markup for emails, compiled to HTML before any value is known.
//!
//! mrml 6 reads MJML with an XML tokenizer (htmlparser 0.2.1) that panics at some characters beyond ASCII: the panic is caught
//! and reported as a syntax error. Its recursion over nested elements is bounded by [`limits::MAX_DEPTH`]. With both, no input
//! of this crate's property tests ends the process; a program built with `panic = "abort"` is not protected from the first.

use super::engine::MJML;
use super::{TemplateError, limits};
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
    if let Some((line, reason)) = limits::exceeded(source) {
        return Err(TemplateError::Syntax { part: MJML, line, reason });
    }
    if limits::depth(source) > limits::MAX_DEPTH {
        return Err(refused(None, format!("more than {} elements inside of each other", limits::MAX_DEPTH)));
    }
    limits::caught(|| compiled(source, &refused))
        .unwrap_or_else(|| Err(refused(None, "the MJML parser failed".to_owned())))
}

fn compiled(
    source: &str,
    refused: &dyn Fn(Option<Span>, String) -> TemplateError,
) -> Result<String, TemplateError> {
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
        Error::UnexpectedElement { .. } => "unexpected element",
        Error::UnexpectedToken { .. } => "unexpected token",
        Error::MissingAttribute { .. } => "missing attribute",
        Error::InvalidAttribute { .. } => "invalid attribute",
        Error::IncludeLoaderError { .. } => "mj-include is not supported: a template is one text",
        Error::EndOfStream { .. } => "unclosed element",
        Error::NoRootNode => "missing mjml element",
        _ => "not MJML",
    }
}
