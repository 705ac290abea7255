//! Style sheets into `style` attributes: some email programs drop the former and read the latter.

use css_inline::{CSSInliner, InlineError, InlineOptions, StylesheetResolver};
use std::sync::Arc;

/// Never asked, since nothing is to be loaded; if asked, it has nothing.
struct Nowhere;

impl StylesheetResolver for Nowhere {
    fn retrieve(&self, _: &str) -> Result<String, InlineError> {
        Err(std::io::Error::from(std::io::ErrorKind::Unsupported).into())
    }
}

/// Moves the rules of `<style>` elements into attributes. Rules that cannot be moved (`@media`) stay; style sheets
/// elsewhere are not loaded. `None` for a style sheet that cannot be read.
pub(super) fn inlined(html: &str) -> Option<String> {
    let inliner: CSSInliner<'_> = InlineOptions::default()
        .load_remote_stylesheets(false)
        .keep_at_rules(true)
        .resolver(Arc::new(Nowhere))
        .build();
    inliner.inline(html).ok()
}
