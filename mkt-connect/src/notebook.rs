//! Rich display in notebooks of the Rust kernel (evcxr_jupyter).
//!
//! The kernel calls `evcxr_display` of the last value of a cell, where its type has one, and reads what it prints between
//! two marks (evcxr's README, "Custom display", November 2026). Charts, pages and tables of these crates have it.

use std::io::Write;

/// The marks and the HTML between them.
///
/// ```
/// use mkt_connect::notebook::content;
///
/// assert_eq!(content("<b>42</b>"), "EVCXR_BEGIN_CONTENT text/html\n<b>42</b>\nEVCXR_END_CONTENT\n");
/// ```
#[must_use]
pub fn content(html: &str) -> String {
    format!("EVCXR_BEGIN_CONTENT text/html\n{html}\nEVCXR_END_CONTENT\n")
}

/// Prints HTML for the kernel. A closed standard output is ignored.
pub fn show(html: &str) {
    let _ = std::io::stdout().lock().write_all(content(html).as_bytes());
}

/// Escapes text for HTML; control characters become spaces or are dropped.
///
/// ```
/// assert_eq!(mkt_connect::notebook::escaped("a < \"b\" & 'c'"), "a &lt; &quot;b&quot; &amp; &#39;c&#39;");
/// ```
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    crate::markup::push_escaped(&mut html, text);
    html
}
