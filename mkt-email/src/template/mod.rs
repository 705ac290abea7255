//! From a template and a person to a subject, an HTML body and a text: minijinja, made strict.
//!
//! A missing value is an error and never an empty greeting; HTML is escaped whatever the template is called; work is
//! bounded by fuel, sizes while they are computed; a link that passes the filter `tag` or `safe_url` can only be `http`, `https` or `mailto`. Templates are the sender's own text: a recipient's
//! data is never compiled as one.
//!
//! With the feature `mjml` the HTML may be written in MJML. It is compiled to HTML once, when the template is made;
//! then comes minijinja, for each person. So a value is escaped as in any HTML, and the MJML compiler never sees one.
//! With `css-inline` the rules of style sheets are moved into attributes, after rendering.

mod builtin;
pub(crate) mod engine;
mod guard;
mod limits;
mod links;
#[cfg(feature = "mjml")]
mod mjml;
#[cfg(feature = "css-inline")]
mod style;
mod tags;

pub use builtin::{
    CartItem, CartPromotion, CartRelaunch, Confirmation, Language, MAX_ITEMS, Welcome, format_money,
};
pub(crate) use engine::Template;
pub use engine::{Rendered, TemplateError};
