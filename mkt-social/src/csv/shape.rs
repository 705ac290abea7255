//! The shapes of known exports: recognised by the header, and named in the findings.
//!
//! A shape decides what the usual names of columns cannot: which of two columns is meant, and the network of a file that
//! does not name it. The headers are those of files that people published or gave (November 2026): Meta Business Suite in
//! English and French, X (the content export of 2026 and the tweet export before), TikTok Studio. Exports of LinkedIn,
//! YouTube Studio and Sprout are read by the usual names; their vendors' pages list metrics, not headers.

use mkt_connect::table::Header;

use super::columns::Field;
use crate::metric::Metric;

/// The shape of an export.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// The network of its posts.
    pub(super) network: Option<&'static str>,
    /// Folded names of columns that the header must have.
    header: &'static [&'static str],
    /// Columns whose meaning is not that of the usual names.
    pub(super) columns: &'static [(&'static str, Field)],
}

const SHAPES: &[Shape] = &[
    Shape {
        name: "Meta Business Suite, Facebook",
        network: Some("facebook"),
        header: &["postid", "pageid", "pagename", "publishtime"],
        columns: &[("title", Field::Text)],
    },
    Shape {
        name: "Meta Business Suite, Instagram",
        network: Some("instagram"),
        header: &["postid", "accountid", "accountusername", "publishtime"],
        columns: &[],
    },
    Shape {
        name: "Meta Business Suite in French, Instagram",
        network: Some("instagram"),
        header: &["identifiantdelapublication", "heuredepublication", "jaime", "enregistrements"],
        columns: &[],
    },
    Shape {
        name: "Meta Business Suite in French",
        network: None,
        header: &["identifiantdelapublication", "heuredepublication"],
        columns: &[],
    },
    Shape {
        name: "X, content export",
        network: Some("x"),
        header: &["postid", "posttext", "postlink", "newfollows", "reposts"],
        // `Shares` counts copied links and messages.
        columns: &[("reposts", Field::Count(Metric::Shares)), ("shares", Field::Ignored)],
    },
    Shape {
        name: "X, tweet export",
        network: Some("x"),
        header: &["impressions", "retweets", "replies", "likes"],
        columns: &[],
    },
    Shape {
        name: "TikTok Studio",
        network: Some("tiktok"),
        header: &["videotitle", "videolink", "posttime", "totallikes"],
        columns: &[],
    },
];

/// The shape of a header, if it is a known one.
pub(super) fn of(header: &Header) -> Option<&'static Shape> {
    let has = |name: &&str| (0..header.len()).any(|index| header.folded(index) == *name);
    SHAPES.iter().find(|shape| shape.header.iter().all(has))
}
