//! `--charts`, `--lang` and `--json`, the same in every example that computes a model.

use crate::failure::Step;
use crate::{Answer, file, option};
use clap::Args;
use mkt_connect::chart::{Chart, Lang};
use serde::Serialize;
use std::path::PathBuf;

/// What is written beside the answer, and how the answer is printed.
#[derive(Debug, Clone, Args)]
pub struct Output {
    /// Draws the charts as SVG into this folder
    #[arg(long, value_name = "DIR")]
    pub charts: Option<PathBuf>,
    /// The language of the charts
    #[arg(long, value_name = "fr|en", default_value = "en", value_parser = option::language)]
    pub lang: Lang,
    /// Prints one line of JSON
    #[arg(long)]
    pub json: bool,
}

impl Output {
    /// Writes a chart as `NAME.svg` where `--charts` names a folder; without, it is not drawn.
    ///
    /// # Errors
    /// Of the chart, and a folder that cannot be made or written to.
    pub fn draw<C: Into<Chart>>(&self, name: &str, chart: impl FnOnce(Lang) -> Step<C>) -> Step<()> {
        let Some(folder) = &self.charts else { return Ok(()) };
        file::make_folder(folder)?;
        let svg = chart(self.lang)?.into().svg();
        file::replace(&folder.join(name).with_extension("svg"), svg.as_bytes())?;
        Ok(())
    }

    /// The answer as `--json` asks for it.
    ///
    /// # Errors
    /// As [`Answer::of`].
    pub fn answer<T: Serialize>(&self, value: &T, text: impl FnOnce(&T) -> String) -> Step<Answer> {
        Answer::of(self.json, value, text)
    }
}
