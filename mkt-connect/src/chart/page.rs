//! One HTML page that needs nothing beside itself: style and pictures are inline, a content security policy in the
//! page forbids every request, all text is escaped. Light or dark as the reader's system asks, light on paper.

use std::fmt::Write;

use super::table::table_block;
use super::text::{escaped, push_element};
use super::{Chart, Lang, Table};

const STYLE: &str = include_str!("page.css");

/// A key figure: one card of the row at the top of a section.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    label: String,
    value: String,
    definition: Option<String>,
    note: Option<String>,
    change: Option<f64>,
}

impl Figure {
    /// A card with its value already written (see [`Lang::number`]).
    #[must_use]
    pub fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into(), definition: None, note: None, change: None }
    }

    /// What the figure means exactly: shown on hover, and in the definitions at the foot of the page.
    #[must_use]
    pub fn definition(mut self, definition: impl Into<String>) -> Self {
        self.definition = Some(definition.into());
        self
    }

    /// A small line under the value: n, the period, a caveat.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// The change against the previous period as a ratio: 0.12 is +12 %.
    #[must_use]
    pub fn change(mut self, ratio: f64) -> Self {
        self.change = ratio.is_finite().then_some(ratio);
        self
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Block {
    Section(String),
    Text(String),
    Figures(Vec<Figure>),
    Table(Table),
    Charts(Vec<Chart>),
}

/// The page under construction; blocks appear in the order in which they are added.
///
/// ```
/// use mkt_connect::chart::{Column, Lang, Page, Table};
///
/// let page = Page::new("Bilan", Lang::Fr)
///     .subtitle("mars 2026")
///     .section("Canaux")
///     .table(Table::new([Column::text("Canal"), Column::number("Visites")]).row(["<e-mail>", "410"]))
///     .render();
/// assert!(page.contains("<html lang=\"fr\">") && page.contains("&lt;e-mail&gt;"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    title: String,
    lang: Lang,
    subtitle: Option<String>,
    blocks: Vec<Block>,
    definitions: Vec<(String, String)>,
    footer: Vec<String>,
}

impl Page {
    /// An empty page.
    #[must_use]
    pub fn new(title: impl Into<String>, lang: Lang) -> Self {
        Self {
            title: title.into(),
            lang,
            subtitle: None,
            blocks: Vec::new(),
            definitions: Vec::new(),
            footer: Vec::new(),
        }
    }

    /// The line under the title: period, sites, freshness of the data.
    #[must_use]
    pub fn subtitle(mut self, subtitle: impl Into<String>) -> Self {
        self.subtitle = Some(subtitle.into());
        self
    }

    /// Opens a section; it is listed in the navigation at the top.
    #[must_use]
    pub fn section(mut self, title: impl Into<String>) -> Self {
        self.blocks.push(Block::Section(title.into()));
        self
    }

    /// A paragraph.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.blocks.push(Block::Text(text.into()));
        self
    }

    /// A row of key figures.
    #[must_use]
    pub fn figures(mut self, figures: impl IntoIterator<Item = Figure>) -> Self {
        self.blocks.push(Block::Figures(figures.into_iter().collect()));
        self
    }

    /// A table.
    #[must_use]
    pub fn table(mut self, table: Table) -> Self {
        self.blocks.push(Block::Table(table));
        self
    }

    /// A chart over the whole width.
    #[must_use]
    pub fn chart(self, chart: impl Into<Chart>) -> Self {
        self.charts([chart.into()])
    }

    /// Charts side by side, as far as the width allows.
    #[must_use]
    pub fn charts(mut self, charts: impl IntoIterator<Item = Chart>) -> Self {
        self.blocks.push(Block::Charts(charts.into_iter().collect()));
        self
    }

    /// A definition for the foot of the page. Those of figures and columns are added by themselves.
    #[must_use]
    pub fn define(mut self, term: impl Into<String>, meaning: impl Into<String>) -> Self {
        self.definitions.push((term.into(), meaning.into()));
        self
    }

    /// A line at the very end: sources, versions, how to make the page again.
    #[must_use]
    pub fn footer(mut self, line: impl Into<String>) -> Self {
        self.footer.push(line.into());
        self
    }

    /// The page as HTML.
    #[must_use]
    pub fn render(&self) -> String {
        let mut html = String::with_capacity(16 * 1024);
        let _ = write!(
            html,
            "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n",
            self.lang
        );
        push_element(&mut html, "title", &self.title);
        let _ = write!(html, "\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>\n");
        push_element(&mut html, "h1", &self.title);
        if let Some(subtitle) = &self.subtitle {
            push_element(&mut html, "p", subtitle);
        }
        self.navigation(&mut html);
        html.push_str("</header>\n<main>\n");
        let mut sections = 0_usize;
        let mut section = self.title.as_str();
        for block in &self.blocks {
            match block {
                Block::Section(title) => {
                    sections += 1;
                    section = title;
                    let close = if sections > 1 { "</section>\n" } else { "" };
                    let _ = writeln!(html, "{close}<section id=\"s{sections}\"><h2>{}</h2>", escaped(title));
                }
                Block::Text(text) => push_element(&mut html, "p", text),
                Block::Figures(figures) => self.figure_row(&mut html, figures),
                Block::Table(table) => table_block(&mut html, table, section),
                Block::Charts(charts) => {
                    html.push_str("<div class=\"charts\">");
                    // As wide as it will be shown, so that letters have one size all over the page.
                    let width = if charts.len() == 1 { 1_110.0 } else { 552.0 };
                    // A wide one is moved sideways on a small screen, by the keyboard too.
                    let class = if charts.len() == 1 { " class=\"wide\" tabindex=\"0\"" } else { "" };
                    for chart in charts {
                        let _ = write!(html, "<figure{class}>{}</figure>", chart.draw(width));
                    }
                    html.push_str("</div>\n");
                }
            }
        }
        if sections > 0 {
            html.push_str("</section>\n");
        }
        html.push_str("</main>\n<footer>\n");
        self.definition_list(&mut html);
        for line in &self.footer {
            push_element(&mut html, "p", line);
        }
        html.push_str("</footer>\n</body>\n</html>\n");
        html
    }

    fn navigation(&self, html: &mut String) {
        let titles: Vec<&String> = self
            .blocks
            .iter()
            .filter_map(|block| if let Block::Section(title) = block { Some(title) } else { None })
            .collect();
        if titles.len() < 2 {
            return;
        }
        let _ = write!(html, "<nav aria-label=\"{}\">", self.lang.pick("Sections", "Rubriques"));
        for (index, title) in titles.into_iter().enumerate() {
            let _ = write!(html, "<a href=\"#s{}\">{}</a>", index + 1, escaped(title));
        }
        html.push_str("</nav>\n");
    }

    fn figure_row(&self, html: &mut String, figures: &[Figure]) {
        html.push_str("<dl class=\"figures\">");
        for figure in figures {
            html.push_str("<div");
            if let Some(definition) = &figure.definition {
                let _ = write!(html, " title=\"{}\"", escaped(definition));
            }
            html.push('>');
            push_element(html, "dt", &figure.label);
            push_element(html, "dd", &figure.value);
            if let Some(change) = figure.change {
                let sign = if change > 0.0 { "+" } else { "" };
                let text = self.lang.number(change, super::Format::Percent(1));
                let arrow = if change > 0.0 {
                    "▲"
                } else if change < 0.0 {
                    "▼"
                } else {
                    "="
                };
                let words =
                    self.lang.pick("against the previous period", "par rapport à la période précédente");
                let _ = write!(html, "<dd class=\"change\" title=\"{words}\">{arrow} {sign}{text}</dd>");
            }
            if let Some(note) = &figure.note {
                let _ = write!(html, "<dd class=\"note\">{}</dd>", escaped(note));
            }
            html.push_str("</div>");
        }
        html.push_str("</dl>\n");
    }

    fn definition_list(&self, html: &mut String) {
        let mut all: Vec<(&str, &str)> = Vec::new();
        let of_blocks = self.blocks.iter().flat_map(|block| -> Vec<(&str, Option<&String>)> {
            match block {
                Block::Figures(figures) => {
                    figures.iter().map(|f| (f.label.as_str(), f.definition.as_ref())).collect()
                }
                Block::Table(table) => table.definitions().collect(),
                _ => Vec::new(),
            }
        });
        let given = self.definitions.iter().map(|(term, meaning)| (term.as_str(), Some(meaning)));
        for (term, meaning) in of_blocks.chain(given) {
            if let Some(meaning) = meaning.map(String::as_str)
                && !all.contains(&(term, meaning))
            {
                all.push((term, meaning));
            }
        }
        if all.is_empty() {
            return;
        }
        let _ = write!(
            html,
            "<h2>{}</h2>\n<dl class=\"definitions\">",
            self.lang.pick("Definitions", "Définitions")
        );
        for (term, meaning) in all {
            push_element(html, "dt", term);
            push_element(html, "dd", meaning);
        }
        html.push_str("</dl>\n");
    }
}
