//! Boxes from top to bottom and the arrows between them: a process, step by step.

use super::canvas::{Anchor, Canvas, Drawn, Ink, WIDTH, compose, empty, width_of};
use super::palette::{FAINT, GRID, INK, MUTED, Role, SERIES, SURFACE};
use super::text::shortened;
use super::{Caption, caption_methods};

/// More boxes than this are not drawn, and said to be left out.
const DRAWN_BOXES: usize = 120;
const LEFT: f64 = 24.0;
const BOX_WIDTH: f64 = 400.0;
const GAP: f64 = 34.0;
const LINE: f64 = 16.0;
/// Between two arrows that pass boxes by.
const LANE: f64 = 26.0;
const LANES: usize = 10;

/// What a box is in its process: its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BoxKind {
    /// A step.
    #[default]
    Step,
    /// Where it begins.
    Start,
    /// A step that does something outside.
    Action,
    /// Where it ends.
    End,
}

/// A box: a title, lines below it, and a word at its right such as a count.
#[derive(Debug, Clone, PartialEq)]
pub struct DiagramBox {
    title: String,
    kind: BoxKind,
    lines: Vec<String>,
    note: Option<String>,
}

impl DiagramBox {
    /// A box with a title.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), kind: BoxKind::Step, lines: Vec::new(), note: None }
    }

    /// What it is.
    #[must_use]
    pub fn kind(mut self, kind: BoxKind) -> Self {
        self.kind = kind;
        self
    }

    /// Adds a line of text; five are drawn.
    #[must_use]
    pub fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    /// A word at the right of the title.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    fn height(&self) -> f64 {
        30.0 + LINE * self.lines.len().min(5) as f64
    }
}

/// Boxes from top to bottom and the arrows between them.
///
/// ```
/// use mkt_connect::chart::{BoxKind, Diagram, DiagramBox};
///
/// let svg = Diagram::new("Welcome")
///     .boxes([
///         DiagramBox::new("signed up").kind(BoxKind::Start),
///         DiagramBox::new("welcome").kind(BoxKind::Action).line("sends welcome").note("12 here"),
///     ])
///     .arrow(0, 1, "at once")
///     .svg();
/// assert!(svg.contains("sends welcome"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Diagram {
    pub(super) caption: Caption,
    boxes: Vec<DiagramBox>,
    arrows: Vec<(usize, usize, String)>,
}

impl Diagram {
    /// A diagram without boxes.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self { caption: Caption::new(title), boxes: Vec::new(), arrows: Vec::new() }
    }

    caption_methods!();

    /// Adds boxes below those that are there.
    #[must_use]
    pub fn boxes(mut self, boxes: impl IntoIterator<Item = DiagramBox>) -> Self {
        self.boxes.extend(boxes);
        self
    }

    /// Adds an arrow from a box to a later one, by their places from 0, with a label that may be empty. Others are not
    /// drawn.
    #[must_use]
    pub fn arrow(mut self, from: usize, to: usize, label: impl Into<String>) -> Self {
        self.arrows.push((from, to, label.into()));
        self
    }

    /// The chart as one `<svg>` element, 760 pixels wide.
    #[must_use]
    pub fn svg(&self) -> String {
        self.draw(WIDTH)
    }

    pub(super) fn draw(&self, width: f64) -> String {
        if self.boxes.is_empty() {
            return empty(&self.caption, width);
        }
        let boxes = self.boxes.get(..DRAWN_BOXES).unwrap_or(&self.boxes);
        let left_out = self.boxes.len() - boxes.len();
        let begin = if self.caption.subtitle.is_some() { 72.0 } else { 54.0 };
        let mut tops = Vec::with_capacity(boxes.len());
        let mut y = begin;
        for it in boxes {
            tops.push(y);
            y += it.height() + GAP;
        }
        let right = LEFT + BOX_WIDTH.min(width - 2.0 * LEFT - 120.0);
        let arrows: Vec<&(usize, usize, String)> =
            self.arrows.iter().filter(|(from, to, _)| from < to && *to < boxes.len()).collect();
        let lanes = lanes(&arrows);
        let height = y + if left_out > 0 { 10.0 } else { -GAP + 24.0 };
        compose(&self.caption, &self.words(left_out), (width, height), &[], |canvas, _| {
            for ((from, to, label), lane) in arrows.iter().zip(&lanes) {
                let (Some(above), Some(a), Some(b)) = (boxes.get(*from), tops.get(*from), tops.get(*to))
                else {
                    continue;
                };
                let ink = Ink::new(MUTED, 11.5, Anchor::Start);
                match lane {
                    None => {
                        let (x, from, to) = (LEFT + 40.0, a + above.height(), *b);
                        canvas.line(&[(x, from), (x, to - 6.0)], FAINT, 1.5)?;
                        head(canvas, [(x - 4.0, to - 8.0), (x + 4.0, to - 8.0), (x, to)])?;
                        canvas.text(&shortened(label, 50), (x + 12.0, f64::midpoint(from, to)), ink)?;
                    }
                    Some(lane) => {
                        let x = right + 22.0 + LANE * *lane as f64;
                        let (from, to) = (a + above.height() - 9.0, b + 14.0);
                        canvas.line(&[(right, from), (x, from), (x, to), (right + 6.0, to)], FAINT, 1.5)?;
                        head(canvas, [(right + 8.0, to - 4.0), (right + 8.0, to + 4.0), (right, to)])?;
                        let room = ((width - x - 12.0) / 6.4).max(4.0) as usize;
                        canvas.text(&shortened(label, room), (x + 6.0, from + 10.0), ink)?;
                    }
                }
            }
            for (it, top) in boxes.iter().zip(&tops) {
                draw_box(canvas, it, *top, right)?;
            }
            if left_out > 0 {
                let words = self.left_out(left_out);
                canvas.text(&words, (LEFT, height - 16.0), Ink::new(MUTED, 12.0, Anchor::Start))?;
            }
            Ok(())
        })
    }

    fn left_out(&self, count: usize) -> String {
        self.caption
            .lang
            .pick(format!("{count} more are not drawn"), format!("{count} autres ne sont pas dessinées"))
    }

    fn words(&self, left_out: usize) -> String {
        let mut words: Vec<String> = Vec::new();
        for (place, it) in self.boxes.iter().take(DRAWN_BOXES).enumerate() {
            let mut parts = vec![it.title.clone()];
            parts.extend(it.lines.iter().take(5).cloned());
            parts.extend(it.note.clone());
            for (_, to, label) in self.arrows.iter().filter(|(from, ..)| *from == place) {
                if let Some(next) = self.boxes.get(*to) {
                    let comma = if label.is_empty() { "" } else { ": " };
                    parts.push(format!("→ {}{comma}{label}", next.title));
                }
            }
            words.push(parts.join(", "));
        }
        if left_out > 0 {
            words.push(self.left_out(left_out));
        }
        words.join(". ")
    }
}

/// The lane of each arrow that passes boxes by; none for one to the next box, where it is the first.
fn lanes(arrows: &[&(usize, usize, String)]) -> Vec<Option<usize>> {
    let mut straight: Vec<usize> = Vec::new();
    let mut taken: Vec<(usize, usize, usize)> = Vec::new();
    let lane = |(from, to, _): &&(usize, usize, String)| {
        if *to == from + 1 && !straight.contains(from) {
            straight.push(*from);
            return None;
        }
        let crosses = |lane: usize, taken: &[(usize, usize, usize)]| {
            taken.iter().any(|(other, a, b)| *other == lane && from <= b && a <= to)
        };
        let free = (0..LANES).find(|lane| !crosses(*lane, &taken)).unwrap_or(LANES - 1);
        taken.push((free, *from, *to));
        Some(free)
    };
    arrows.iter().map(lane).collect()
}

fn head(canvas: &Canvas<'_>, corners: [(f64, f64); 3]) -> Drawn {
    canvas.polygon(&corners, FAINT, 1.0)
}

fn draw_box(canvas: &Canvas<'_>, it: &DiagramBox, top: f64, right: f64) -> Drawn {
    let color: Role = match it.kind {
        BoxKind::Step => SERIES[0],
        BoxKind::Start => SERIES[2],
        BoxKind::Action => SERIES[1],
        BoxKind::End => FAINT,
    };
    let bottom = top + it.height();
    canvas.rect((LEFT, top), (right, bottom), GRID)?;
    canvas.rect((LEFT + 1.0, top + 1.0), (right - 1.0, bottom - 1.0), SURFACE)?;
    canvas.rect((LEFT, top), (LEFT + 5.0, bottom), color)?;
    let room = (right - LEFT - 32.0) / 6.8;
    let note = it.note.as_deref().map(|note| shortened(note, 24));
    let taken = note.as_deref().map_or(0.0, |note| width_of(note, 12.0) / 6.8 + 2.0);
    let title = shortened(&it.title, (room - taken).max(8.0) as usize);
    canvas.text(&title, (LEFT + 16.0, top + 15.0), Ink::new(INK, 13.0, Anchor::Start).bold())?;
    if let Some(note) = note {
        canvas.text(&note, (right - 12.0, top + 15.0), Ink::new(INK, 12.0, Anchor::End))?;
    }
    for (line, y) in it.lines.iter().take(5).zip(1..) {
        let at = (LEFT + 16.0, top + 15.0 + LINE * f64::from(y));
        canvas.text(&shortened(line, room as usize), at, Ink::new(MUTED, 12.0, Anchor::Start))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Diagram {
        Diagram::new("t").boxes(["a", "b", "c"].map(DiagramBox::new))
    }

    #[test]
    fn arrow_that_passes_a_box_by_has_a_lane_of_its_own() {
        let arrows =
            [(0, 1, String::new()), (0, 2, String::new()), (1, 2, String::new()), (0, 2, String::new())];
        let arrows: Vec<_> = arrows.iter().collect();
        assert_eq!(lanes(&arrows), [None, Some(0), None, Some(1)]);
    }

    #[test]
    fn arrow_that_leads_nowhere_is_not_drawn() {
        let drawn = three().description("d").svg();
        assert_eq!(three().description("d").arrow(2, 1, "back").arrow(0, 9, "out").svg(), drawn);
        assert!(three().arrow(0, 2, "jump").svg().contains("jump"));
    }

    #[test]
    fn boxes_beyond_the_limit_are_said_to_be_left_out() {
        let many = Diagram::new("t").boxes((0..130).map(|number| DiagramBox::new(number.to_string())));
        assert!(many.svg().contains("10 more are not drawn"));
    }
}
