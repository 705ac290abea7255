//! What follows what, as bands from step to step (a diagram after Sankey).

use std::collections::BTreeMap;

use super::axis::drawable;
use super::canvas::{Anchor, Ink, WIDTH, compose, empty, width_of};
use super::palette::{FAINT, INK, MUTED, Role, SERIES};
use super::text::shortened;
use super::{Caption, Format, caption_methods};

const HEIGHT: f64 = 420.0;
/// More names in a step than this become one.
const DRAWN_NAMES: usize = 9;
/// Steps at most.
const DRAWN_STEPS: usize = 8;
const BAR: f64 = 12.0;

/// So much that goes through these names, one for each step.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    names: Vec<String>,
    amount: f64,
}

impl Stream {
    /// A stream through one name a step. Fewer names than steps end it early; an amount that is not above 0 is left out.
    #[must_use]
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>, amount: f64) -> Self {
        let amount = drawable(amount).unwrap_or(0.0);
        Self { names: names.into_iter().map(Into::into).collect(), amount }
    }
}

/// What follows what: steps from left to right, in each the names by how much goes through them, and bands between. The
/// first eight steps are drawn; of each the eight largest names, the others as one.
///
/// ```
/// use mkt_connect::chart::{Flow, Format, Stream};
///
/// let svg = Flow::new("Paths", ["first touch", "second", "outcome"])
///     .format(Format::Integer)
///     .streams([
///         Stream::new(["search", "email", "sale"], 40.0),
///         Stream::new(["search", "email", "none"], 160.0),
///         Stream::new(["email", "email", "sale"], 20.0),
///     ])
///     .svg();
/// assert!(svg.contains("search"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    pub(super) caption: Caption,
    steps: Vec<String>,
    streams: Vec<Stream>,
    colored: Vec<String>,
    lowest: Vec<String>,
}

/// A name in a step: its amount and where it begins from the top.
#[derive(Debug, Clone, Default)]
struct Node {
    amount: f64,
    top: f64,
    /// Where the next band leaves and comes in, from the node's top.
    out: f64,
    into: f64,
}

impl Flow {
    /// A diagram of steps with these titles, without streams.
    #[must_use]
    pub fn new<S: Into<String>>(title: impl Into<String>, steps: impl IntoIterator<Item = S>) -> Self {
        let steps = steps.into_iter().map(Into::into).take(DRAWN_STEPS).collect();
        Self {
            caption: Caption::new(title),
            steps,
            streams: Vec::new(),
            colored: Vec::new(),
            lowest: Vec::new(),
        }
    }

    caption_methods!();

    /// Adds streams; those through the same names are added up.
    #[must_use]
    pub fn streams(mut self, streams: impl IntoIterator<Item = Stream>) -> Self {
        self.streams.extend(streams.into_iter().filter(|stream| stream.amount > 0.0));
        self
    }

    /// Names that keep colours of their own, the first six; without, the largest of the first step.
    #[must_use]
    pub fn colored<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.colored = names.into_iter().map(Into::into).collect();
        self
    }

    /// Names that lie below the others in every step, in this order: the ends of streams.
    #[must_use]
    pub fn lowest<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.lowest = names.into_iter().map(Into::into).collect();
        self
    }

    /// The chart as one `<svg>` element, 760 pixels wide.
    #[must_use]
    pub fn svg(&self) -> String {
        self.draw(WIDTH)
    }

    pub(super) fn draw(&self, width: f64) -> String {
        let all: f64 = self.streams.iter().map(|stream| stream.amount).sum();
        if self.steps.is_empty() || all <= 0.0 || !all.is_finite() {
            return empty(&self.caption, width);
        }
        let others = self.caption.lang.pick("others", "autres");
        let kept: Vec<Vec<String>> = (0..self.steps.len()).map(|step| self.largest(step)).collect();
        let name = |stream: &Stream, step: usize| -> Option<String> {
            let name = stream.names.get(step)?;
            let known = kept.get(step).is_some_and(|kept| kept.contains(name));
            Some(if known { name.clone() } else { others.to_owned() })
        };
        // Bands by the pair of names they join, and by the name in the first step, which gives the colour.
        let mut nodes: Vec<BTreeMap<String, Node>> = vec![BTreeMap::new(); self.steps.len()];
        let mut bands: BTreeMap<(usize, String, String, String), f64> = BTreeMap::new();
        for stream in &self.streams {
            let first = name(stream, 0).unwrap_or_default();
            for (step, nodes) in nodes.iter_mut().enumerate() {
                let Some(here) = name(stream, step) else { break };
                nodes.entry(here.clone()).or_default().amount += stream.amount;
                if step + 1 < self.steps.len()
                    && let Some(next) = name(stream, step + 1)
                {
                    *bands.entry((step, here, next, first.clone())).or_default() += stream.amount;
                }
            }
        }
        let colors: Vec<String> =
            if self.colored.is_empty() { self.largest(0) } else { self.colored.clone() };
        let role = |name: &str| -> Role {
            let at = colors.iter().position(|color| color == name).filter(|at| *at < SERIES.len());
            at.map_or(FAINT, |at| SERIES[at])
        };
        compose(&self.caption, &self.words(all), (width, HEIGHT), &[], |canvas, top| {
            let (top, bottom) = (top + 26.0, HEIGHT - 24.0);
            let most = nodes.iter().map(BTreeMap::len).max().unwrap_or(1);
            let gap = if most > 1 { 14.0_f64.min(0.35 * (bottom - top) / most as f64) } else { 0.0 };
            let scale = (bottom - top - gap * most.saturating_sub(1) as f64) / all;
            let (left, right) = (24.0, width - 24.0 - 90.0);
            let apart = (right - left - BAR) / (self.steps.len().saturating_sub(1).max(1)) as f64;
            let x = |step: usize| left + apart * step as f64;
            for (step, nodes) in nodes.iter_mut().enumerate() {
                let mut order: Vec<(String, f64)> =
                    nodes.iter().map(|(name, node)| (name.clone(), node.amount)).collect();
                // Ends below all others, and what is summed up above them.
                let low = |name: &str| match self.lowest.iter().position(|one| one == name) {
                    Some(at) => at + 2,
                    None => usize::from(name == others),
                };
                order.sort_by(|a, b| low(&a.0).cmp(&low(&b.0)).then(b.1.total_cmp(&a.1)).then(a.0.cmp(&b.0)));
                let mut y = top;
                for (name, amount) in order {
                    if let Some(node) = nodes.get_mut(&name) {
                        node.top = y;
                    }
                    y += amount * scale + gap;
                }
                let title = shortened(&self.steps[step], 18);
                canvas.text(&title, (x(step), top - 14.0), Ink::new(MUTED, 12.0, Anchor::Start))?;
            }
            // Bands leave and come in by the height of the other end, so that few cross.
            let mut joined: Vec<((usize, String, String, String), f64)> = bands.into_iter().collect();
            let height = |step: usize, name: &str| nodes[step].get(name).map_or(0.0, |node| node.top);
            joined.sort_by(|(a, _), (b, _)| {
                let by = |band: &(usize, String, String, String)| {
                    (height(band.0, &band.1), height(band.0 + 1, &band.2))
                };
                a.0.cmp(&b.0)
                    .then(by(a).0.total_cmp(&by(b).0))
                    .then(by(a).1.total_cmp(&by(b).1))
                    .then(a.3.cmp(&b.3))
            });
            for ((step, here, next, first), amount) in joined {
                let thick = amount * scale;
                let mut leave = |step: usize, name: &str, out: bool| -> f64 {
                    let Some(node) = nodes[step].get_mut(name) else { return top };
                    let used = if out { &mut node.out } else { &mut node.into };
                    let at = node.top + *used;
                    *used += thick;
                    at
                };
                let (from, to) = (leave(step, &here, true), leave(step + 1, &next, false));
                let (x0, x1) = (x(step) + BAR, x(step + 1));
                let curve = |from: f64, to: f64| -> Vec<(f64, f64)> {
                    (0..=24)
                        .map(|at| {
                            let t = f64::from(at) / 24.0;
                            let ease = t * t * (3.0 - 2.0 * t);
                            (x0 + (x1 - x0) * t, from + (to - from) * ease)
                        })
                        .collect()
                };
                let mut outline = curve(from, to);
                outline.extend(curve(from + thick, to + thick).into_iter().rev());
                canvas.polygon(&outline, role(&first), 0.38)?;
            }
            for (step, nodes) in nodes.iter().enumerate() {
                for (name, node) in nodes {
                    let high = (node.amount * scale).max(0.8);
                    let role = role(name);
                    canvas.rect((x(step), node.top), (x(step) + BAR, node.top + high), role)?;
                    if high < 9.0 {
                        continue;
                    }
                    let share = self.caption.lang.number(node.amount / all, Format::Percent(0));
                    let room = ((apart - BAR - 16.0).max(90.0) / 6.6) as usize;
                    let label = shortened(&format!("{name} {share}"), room.max(6));
                    let at = (x(step) + BAR + 5.0, node.top + high / 2.0);
                    // A pale ground keeps the word readable over the bands.
                    let wide = width_of(&label, 11.5);
                    let box_ = [
                        (at.0 - 2.0, at.1 - 7.0),
                        (at.0 + wide, at.1 - 7.0),
                        (at.0 + wide, at.1 + 7.0),
                        (at.0 - 2.0, at.1 + 7.0),
                    ];
                    canvas.polygon(&box_, super::palette::SURFACE, 0.72)?;
                    canvas.text(&label, at, Ink::new(INK, 11.5, Anchor::Start))?;
                }
            }
            Ok(())
        })
    }

    /// The largest names of a step; all of them where they are few.
    fn largest(&self, step: usize) -> Vec<String> {
        let mut amounts: BTreeMap<&str, f64> = BTreeMap::new();
        for stream in &self.streams {
            if let Some(name) = stream.names.get(step) {
                *amounts.entry(name).or_default() += stream.amount;
            }
        }
        let mut names: Vec<(&str, f64)> = amounts.into_iter().collect();
        names.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        let kept = if names.len() > DRAWN_NAMES { DRAWN_NAMES - 1 } else { names.len() };
        names.into_iter().take(kept).map(|(name, _)| name.to_owned()).collect()
    }

    fn words(&self, all: f64) -> String {
        let (lang, format) = (self.caption.lang, self.caption.format);
        let steps = self.steps.join(", ");
        let amount = lang.number(all, format);
        let mut words = lang.pick(format!("{amount} through {steps}."), format!("{amount} par {steps}."));
        let mut largest: Vec<&Stream> = self.streams.iter().collect();
        largest.sort_by(|a, b| b.amount.total_cmp(&a.amount));
        for stream in largest.into_iter().take(3) {
            words.push_str(&format!(
                " {}: {}.",
                stream.names.join(" > "),
                lang.number(stream.amount, format)
            ));
        }
        words
    }
}
