//! Progress on standard error: a bar on a terminal, one JSON line a slice elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use mkt_etl::Progress;
use std::io::IsTerminal;

/// What is told of slices.
#[derive(Debug, Clone)]
pub(crate) enum Teller {
    Bar(ProgressBar),
    Lines,
    Silent,
}

impl Teller {
    pub(crate) fn new(quiet: bool) -> Self {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::Silent,
            (false, false) => Self::Lines,
            (false, true) => {
                let bar = ProgressBar::hidden();
                bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
                if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} slices, {msg}") {
                    bar.set_style(style);
                }
                Self::Bar(bar)
            }
        }
    }

    pub(crate) fn tell(&self, progress: &Progress) {
        match self {
            Self::Bar(bar) => {
                bar.set_length(progress.total as u64);
                bar.set_position(progress.done as u64);
                bar.set_message(progress.slice.to_string());
            }
            Self::Lines => {
                if let Ok(line) = serde_json::to_string(progress) {
                    eprintln!("{line}");
                }
            }
            Self::Silent => {}
        }
    }

    /// Takes the bar off the screen, before what there is to say.
    pub(crate) fn finish(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
            bar.reset();
        }
    }
}
