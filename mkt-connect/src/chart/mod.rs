//! Charts as SVG text, and the self-contained HTML page that shows them: drawn in one place for every crate.
//!
//! | type | what it shows |
//! |---|---|
//! | [`Trend`] | dated points, a rolling line, a band |
//! | [`Line`] | one or more curves over a number (ROC, calibration, growth) |
//! | [`Bars`] | one value per name, with interval and count |
//! | [`GroupedBars`] | several values per name, side by side |
//! | [`Flow`] | what follows what, as bands from step to step |
//! | [`Diagram`] | boxes from top to bottom and the arrows between them |
//! | [`Distributions`] | median, middle half and middle nine tenths per name |
//! | [`HeatMap`] | rows × columns, empty cells marked as empty |
//! | [`Page`] | figures, tables and charts on one HTML page without any outside request |
//!
//! Every chart is a function of its input alone: the same calls give the same bytes. It carries `<title>` and
//! `<desc>` (written from the data where the caller gives none), uses the colour-blind-safe palette of Okabe and
//! Ito (2008, jfly.uni-koeln.de/color) and one blue ramp, follows the reader's light or dark scheme by CSS and
//! prints light. Labels are escaped and shortened: no text can add markup. A value that is missing or not finite
//! is left out, never drawn as 0.
//!
//! Drawn over plotters 0.3 with its SVG back end only. kuva 0.6 was drawn beside it: good scientific defaults, but
//! its colours cannot follow the page, `$…$` in a label is markup to it, and it takes 36 s to compile in release
//! where plotters takes 2 s (two cores), which every newcomer would pay.
//!
//! With the feature `png`, `Chart::png` gives the same picture as a bitmap, light or dark, without system libraries and
//! with a font of its own.
//!
//! This module does not compute statistics.
//!
//! ```
//! use mkt_connect::chart::{Bar, Bars, Figure, Format, Lang, Page};
//!
//! let bars = Bars::new("Conversion rate by channel")
//!     .format(Format::Percent(1))
//!     .bar(Bar::new("email", Some(0.061)).count(410))
//!     .bar(Bar::new("organic", Some(0.032)).count(2_870));
//! assert!(bars.svg().contains("<title>Conversion rate by channel</title>"));
//!
//! let page = Page::new("Shop report", Lang::En)
//!     .figures([Figure::new("Visits", "3,280").definition("Sessions that began in the period.")])
//!     .section("Channels")
//!     .chart(bars)
//!     .render();
//! assert!(page.starts_with("<!doctype html>"));
//! ```

mod axis;
mod bars;
mod canvas;
mod curve;
mod diagram;
mod distributions;
mod flow;
mod format;
mod grouped_bars;
mod heat_map;
mod line;
mod page;
mod palette;
#[cfg(feature = "png")]
mod png;
mod rows;
mod table;
mod text;
mod trend;

pub use bars::{Bar, Bars};
pub use diagram::{BoxKind, Diagram, DiagramBox};
pub use distributions::{Distribution, Distributions};
pub use flow::{Flow, Stream};
pub use format::{Format, Lang, UnknownLang};
pub use grouped_bars::{Group, GroupedBars};
pub use heat_map::{Cell, CellText, HeatMap};
pub use line::Line;
pub use page::{Figure, Page};
#[cfg(feature = "png")]
pub use png::{PngError, Scheme};
pub use table::{Column, Table};
pub use trend::Trend;

/// Any chart, as a [`Page`] takes it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Chart {
    /// Dated points.
    Trend(Trend),
    /// Curves over a number.
    Line(Line),
    /// One value per name.
    Bars(Bars),
    /// Several values per name.
    GroupedBars(GroupedBars),
    /// What follows what.
    Flow(Flow),
    /// Boxes and arrows.
    Diagram(Diagram),
    /// The spread of values per name.
    Distributions(Distributions),
    /// Rows × columns.
    HeatMap(HeatMap),
}

impl Chart {
    /// The chart as one `<svg>` element, 760 pixels wide.
    #[must_use]
    pub fn svg(&self) -> String {
        self.draw(canvas::WIDTH)
    }

    /// Shows the chart in a notebook of the Rust kernel, see [`notebook`](crate::notebook).
    pub fn evcxr_display(&self) {
        crate::notebook::show(&self.svg());
    }

    fn draw(&self, width: f64) -> String {
        match self {
            Self::Trend(chart) => chart.draw(width),
            Self::Line(chart) => chart.draw(width),
            Self::Bars(chart) => chart.draw(width),
            Self::GroupedBars(chart) => chart.draw(width),
            Self::Flow(chart) => chart.draw(width),
            Self::Diagram(chart) => chart.draw(width),
            Self::Distributions(chart) => chart.draw(width),
            Self::HeatMap(chart) => chart.draw(width),
        }
    }
}

impl From<Trend> for Chart {
    fn from(chart: Trend) -> Self {
        Self::Trend(chart)
    }
}

impl From<Line> for Chart {
    fn from(chart: Line) -> Self {
        Self::Line(chart)
    }
}

impl From<Bars> for Chart {
    fn from(chart: Bars) -> Self {
        Self::Bars(chart)
    }
}

impl From<GroupedBars> for Chart {
    fn from(chart: GroupedBars) -> Self {
        Self::GroupedBars(chart)
    }
}

impl From<Flow> for Chart {
    fn from(chart: Flow) -> Self {
        Self::Flow(chart)
    }
}

impl From<Diagram> for Chart {
    fn from(chart: Diagram) -> Self {
        Self::Diagram(chart)
    }
}

impl From<Distributions> for Chart {
    fn from(chart: Distributions) -> Self {
        Self::Distributions(chart)
    }
}

impl From<HeatMap> for Chart {
    fn from(chart: HeatMap) -> Self {
        Self::HeatMap(chart)
    }
}

/// What every chart has: title, subtitle, description, language, format of the values.
#[derive(Debug, Clone, PartialEq)]
struct Caption {
    title: String,
    subtitle: Option<String>,
    description: Option<String>,
    lang: Lang,
    format: Format,
}

impl Caption {
    fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            subtitle: None,
            description: None,
            lang: Lang::En,
            format: Format::Decimal(2),
        }
    }
}

/// The builder methods that all charts share.
macro_rules! caption_methods {
    () => {
        /// One muted line under the title: the period, the denominator, the number of observations.
        #[must_use]
        pub fn subtitle(mut self, subtitle: impl Into<String>) -> Self {
            self.caption.subtitle = Some(subtitle.into());
            self
        }

        /// What a reader who cannot see the picture should know (`<desc>`). Without it, a sentence is written from
        /// the data.
        #[must_use]
        pub fn description(mut self, description: impl Into<String>) -> Self {
            self.caption.description = Some(description.into());
            self
        }

        /// Language of numbers, dates and generated words; English unless said otherwise.
        #[must_use]
        pub fn lang(mut self, lang: crate::chart::Lang) -> Self {
            self.caption.lang = lang;
            self
        }

        /// How values are written; two decimals unless said otherwise.
        #[must_use]
        pub fn format(mut self, format: crate::chart::Format) -> Self {
            self.caption.format = format;
            self
        }

        /// Shows the chart in a notebook of the Rust kernel, see [`notebook`](crate::notebook).
        pub fn evcxr_display(&self) {
            crate::notebook::show(&self.svg());
        }
    };
}
use caption_methods;

#[cfg(test)]
mod tests;
