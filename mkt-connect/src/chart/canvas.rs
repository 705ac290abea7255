//! The sheet on which every chart is drawn: header, scale, and the finished `<svg>` element.
//!
//! plotters places things on whole pixels, so the sheet is drawn eight times as large and shown through a view box.

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontTransform, IntoFont, IntoTextStyle, ShapeStyle, TextStyle};

use super::palette::{self, Role};
use super::text::{escaped, push_element, shortened};
use super::{Caption, Lang};

/// Width of a chart by itself, in CSS pixels.
pub(super) const WIDTH: f64 = 760.0;
const FINE: f64 = 8.0;
/// Opacity of a shaded range.
pub(super) const RANGE_OPACITY: f64 = 0.35;
/// plotters divides font sizes by this; the sheet speaks CSS pixels.
const FONT: f64 = 1.24;

pub(super) type Failed = DrawingAreaErrorKind<std::io::Error>;
pub(super) type Drawn = Result<(), Failed>;

/// Where a text's reference point is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A text's looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ink {
    role: Role,
    size: f64,
    bold: bool,
    anchor: Anchor,
    turned: bool,
}

impl Ink {
    pub(super) fn new(role: Role, size: f64, anchor: Anchor) -> Self {
        Self { role, size, bold: false, anchor, turned: false }
    }

    pub(super) fn bold(mut self) -> Self {
        self.bold = true;
        self
    }

    pub(super) fn turned(mut self) -> Self {
        self.turned = true;
        self
    }
}

/// What stands before a word of the legend.
#[derive(Debug, Clone, Copy)]
pub(super) enum Swatch {
    Stroke(Role),
    Dot(Role),
    Range(Role),
}

/// The drawing area in CSS pixels.
pub(super) struct Canvas<'a> {
    pub(super) width: f64,
    area: DrawingArea<SVGBackend<'a>, Shift>,
}

fn fine(value: f64) -> i32 {
    (value * FINE).round().clamp(-1e6, 1e6) as i32
}

fn point((x, y): (f64, f64)) -> (i32, i32) {
    (fine(x), fine(y))
}

impl Canvas<'_> {
    pub(super) fn rect(&self, (x0, y0): (f64, f64), (x1, y1): (f64, f64), role: Role) -> Drawn {
        let corners = [point((x0.min(x1), y0.min(y1))), point((x0.max(x1), y0.max(y1)))];
        self.area.draw(&Rectangle::new(corners, role.color().filled()))
    }

    pub(super) fn line(&self, points: &[(f64, f64)], role: Role, width: f64) -> Drawn {
        let style = ShapeStyle::from(role.color()).stroke_width(fine(width).max(1) as u32);
        self.area.draw(&PathElement::new(points.iter().copied().map(point).collect::<Vec<_>>(), style))
    }

    /// A straight dashed line.
    pub(super) fn dashes(&self, from: (f64, f64), to: (f64, f64), role: Role, width: f64) -> Drawn {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let count = ((length / 8.0).ceil() as usize).min(400);
        let at = |share: f64| (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share);
        for index in 0..count {
            let start = index as f64 / count as f64;
            self.line(&[at(start), at(start + 0.55 / count as f64)], role, width)?;
        }
        Ok(())
    }

    pub(super) fn polygon(&self, points: &[(f64, f64)], role: Role, opacity: f64) -> Drawn {
        let corners: Vec<(i32, i32)> = points.iter().copied().map(point).collect();
        self.area.draw(&Polygon::new(corners, role.color().mix(opacity)))
    }

    pub(super) fn dot(&self, center: (f64, f64), radius: f64, role: Role) -> Drawn {
        self.area.draw(&Circle::new(point(center), fine(radius), role.color().filled()))
    }

    pub(super) fn text(&self, text: &str, at: (f64, f64), ink: Ink) -> Drawn {
        let anchor = match ink.anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let mut font = ("sans-serif", ink.size * FINE * FONT).into_font();
        if ink.bold {
            font = font.style(plotters::style::FontStyle::Bold);
        }
        if ink.turned {
            font = font.transform(FontTransform::Rotate270);
        }
        let style: TextStyle<'_> =
            font.color(&ink.role.color()).pos(Pos::new(anchor, VPos::Center)).into_text_style(&self.area);
        self.area.draw_text(&shortened(text, 200), &style, point(at))
    }
}

/// About how wide a text is, in CSS pixels. No font is at hand; sans-serif faces average a little over half an em.
pub(super) fn width_of(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.56
}

/// Draws the header and hands the rest of a sheet of `width` × `height` pixels to `body`, with the top of the free
/// space.
pub(super) fn compose(
    caption: &Caption,
    description: &str,
    (width, height): (f64, f64),
    legend: &[(&str, Swatch)],
    body: impl FnOnce(&Canvas<'_>, f64) -> Drawn,
) -> String {
    let mut drawn = String::new();
    let result = {
        let backend = SVGBackend::with_string(&mut drawn, (fine(width) as u32, fine(height) as u32));
        let canvas = Canvas { width, area: backend.into_drawing_area() };
        header(&canvas, caption, height, legend)
            .and_then(|top| body(&canvas, top))
            .and_then(|()| canvas.area.present())
    };
    // Writing into a string does not fail; an inner part without its closing tag must still not leave the page open.
    let inner = match (result, drawn.find('>'), drawn.rfind("</svg>")) {
        (Ok(()), Some(open), Some(close)) if open < close => &drawn[open + 1..close],
        _ => "",
    };
    finish(caption, description, (width, height), inner)
}

fn header(
    canvas: &Canvas<'_>,
    caption: &Caption,
    height: f64,
    legend: &[(&str, Swatch)],
) -> Result<f64, Failed> {
    canvas.rect((0.0, 0.0), (canvas.width, height), palette::SURFACE)?;
    let title = shortened(&caption.title, (canvas.width / 9.6) as usize);
    canvas.text(&title, (20.0, 26.0), Ink::new(palette::INK, 16.0, Anchor::Start).bold())?;
    let mut top = 44.0;
    if let Some(subtitle) = &caption.subtitle {
        let subtitle = shortened(subtitle, (canvas.width / 6.4) as usize);
        canvas.text(&subtitle, (20.0, 47.0), Ink::new(palette::MUTED, 12.5, Anchor::Start))?;
        top = 62.0;
    }
    if !legend.is_empty() {
        let mut x = 20.0;
        for (label, swatch) in legend {
            let label = shortened(label, 40);
            let width = 14.0 + 6.0 + width_of(&label, 12.5) + 18.0;
            if x > 20.0 && x + width > canvas.width - 20.0 {
                x = 20.0;
                top += 20.0;
            }
            let middle = top + 7.0;
            match *swatch {
                Swatch::Stroke(role) => canvas.rect((x, middle - 1.5), (x + 14.0, middle + 1.5), role)?,
                Swatch::Dot(role) => canvas.dot((x + 7.0, middle), 3.2, role)?,
                Swatch::Range(role) => {
                    let (low, high) = (middle - 5.0, middle + 5.0);
                    let corners = [(x, low), (x + 14.0, low), (x + 14.0, high), (x, high)];
                    canvas.polygon(&corners, role, RANGE_OPACITY)?;
                }
            }
            canvas.text(&label, (x + 20.0, middle), Ink::new(palette::MUTED, 12.5, Anchor::Start))?;
            x += width;
        }
        top += 22.0;
    }
    Ok(top)
}

fn finish(caption: &Caption, description: &str, (width, height): (f64, f64), inner: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"mkt-chart\" role=\"img\" lang=\"{}\" width=\"{width}\" \
         height=\"{height}\" viewBox=\"0 0 {} {}\" aria-label=\"{}\">",
        caption.lang,
        fine(width),
        fine(height),
        escaped(&caption.title),
    );
    push_element(&mut svg, "title", &caption.title);
    push_element(&mut svg, "desc", caption.description.as_deref().unwrap_or(description));
    svg.push_str("<style>.mkt-chart{max-width:100%;height:auto}.mkt-chart text{font-family:system-ui,-apple-system,\"Segoe UI\",Roboto,\"Helvetica Neue\",Arial,sans-serif;font-variant-numeric:tabular-nums}");
    svg.push_str(&palette::dark_rules(inner));
    svg.push_str("</style>");
    svg.push_str(inner);
    svg.push_str("</svg>\n");
    svg
}

/// A chart that has nothing to draw says so.
pub(super) fn empty(caption: &Caption, width: f64) -> String {
    let words = no_value(caption.lang);
    compose(caption, words, (width, 160.0), &[], |canvas, top| {
        let ink = Ink::new(palette::MUTED, 13.0, Anchor::Middle);
        canvas.text(words, (width / 2.0, f64::midpoint(top, 160.0)), ink)
    })
}

fn no_value(lang: Lang) -> &'static str {
    lang.pick("There is no value to draw.", "Il n'y a aucune valeur à tracer.")
}
