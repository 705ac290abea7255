//! Charts as bitmaps, for emails, slides and spreadsheets without SVG.
//!
//! resvg draws it, in DejaVu Sans Condensed from the crate `dejavu`: no font, library or file of the system is asked for,
//! so every machine draws the same bytes. The face holds Latin, Greek, Cyrillic, Armenian and Georgian letters; where it
//! has no sign for a character (Chinese, most emoji), a box stands.

use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::{Chart, palette};

/// Sizes to which a chart can be magnified.
const SCALES: (f32, f32) = (0.25, 8.0);
/// Pixels of the largest picture: 256 MB while it is drawn.
const MOST_PIXELS: u64 = 64_000_000;

/// The background a picture is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// White.
    Light,
    /// Dark blue.
    Dark,
}

/// Why a chart cannot be drawn as a bitmap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PngError {
    /// More pixels than are drawn.
    #[error("the picture would have {width} × {height} pixels; at most {MOST_PIXELS} are drawn")]
    TooLarge {
        /// Pixels of a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The chart could not be drawn.
    #[error("the chart cannot be drawn as a bitmap: {0}")]
    Drawing(String),
}

impl Chart {
    /// The chart as a PNG of 760 × `scale` pixels in width (a scale of 2 suits most screens; ¼ to 8).
    ///
    /// ```
    /// use mkt_connect::chart::{Bars, Bar, Chart, Scheme};
    ///
    /// let chart = Chart::from(Bars::new("Visits").bar(Bar::new("e-mail", Some(410.0))));
    /// let png = chart.png(Scheme::Dark, 2.0)?;
    /// assert_eq!(&png[..4], b"\x89PNG");
    /// # Ok::<(), mkt_connect::chart::PngError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PngError::TooLarge`] for more than 64 million pixels.
    pub fn png(&self, scheme: Scheme, scale: f32) -> Result<Vec<u8>, PngError> {
        let svg = self.svg();
        let svg = match scheme {
            Scheme::Light => svg,
            Scheme::Dark => palette::darkened(&svg),
        };
        let options = Options { fontdb: fonts(), ..Options::default() };
        let drawing = |error: &dyn std::fmt::Display| PngError::Drawing(error.to_string());
        let tree = Tree::from_str(&svg, &options).map_err(|error| drawing(&error))?;
        let scale = scale.clamp(SCALES.0, SCALES.1);
        let size = tree.size().to_int_size();
        let pixels = |length: u32| (length as f32 * scale).ceil() as u32;
        let (width, height) = (pixels(size.width()), pixels(size.height()));
        if u64::from(width) * u64::from(height) > MOST_PIXELS {
            return Err(PngError::TooLarge { width, height });
        }
        let mut pixmap = Pixmap::new(width, height).ok_or_else(|| drawing(&"it is empty"))?;
        // Of a height that is no whole number, the last row is covered in part.
        let (red, green, blue) = palette::SURFACE.rgb(scheme == Scheme::Dark);
        pixmap.fill(Color::from_rgba8(red, green, blue, u8::MAX));
        resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
        pixmap.encode_png().map_err(|error| drawing(&error))
    }
}

/// What the files call their family; that they are condensed they say elsewhere.
const FAMILY: &str = "DejaVu Sans";

fn fonts() -> Arc<fontdb::Database> {
    static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let load = || {
        let mut fonts = fontdb::Database::new();
        for face in [dejavu::sans_condensed::regular(), dejavu::sans_condensed::bold()] {
            fonts.load_font_data(face.to_vec());
        }
        fonts.set_sans_serif_family(FAMILY);
        Arc::new(fonts)
    };
    Arc::clone(FONTS.get_or_init(load))
}

#[cfg(test)]
mod tests {
    use super::super::{Bar, Bars};
    use super::*;

    fn chart(title: &str, bars: usize) -> Chart {
        let bar = |index: usize| Bar::new(format!("bar {index}"), Some(index as f64 + 1.0));
        Bars::new(title).bars((0..bars).map(bar)).horizontal().into()
    }

    fn decoded(png: &[u8]) -> Pixmap {
        Pixmap::decode_png(png).unwrap()
    }

    fn color_at(pixmap: &Pixmap, x: u32, y: u32) -> u32 {
        let color = pixmap.pixel(x, y).unwrap();
        u32::from(color.red()) << 16 | u32::from(color.green()) << 8 | u32::from(color.blue())
    }

    #[test]
    fn light_and_dark_bitmaps_have_their_backgrounds_and_bars() {
        for (scheme, surface, series) in
            [(Scheme::Light, 0xFFFFFF, 0x0072B2), (Scheme::Dark, 0x171E29, 0x58B0E8)]
        {
            let pixmap = decoded(&chart("Visits", 3).png(scheme, 1.0).unwrap());
            assert_eq!(pixmap.width(), 760);
            let corners = [(1, 1), (759, pixmap.height() - 1)];
            assert!(corners.iter().all(|(x, y)| color_at(&pixmap, *x, *y) == surface), "{scheme:?}");
            let found = (0..pixmap.height())
                .flat_map(|y| (0..pixmap.width()).map(move |x| (x, y)))
                .filter(|(x, y)| color_at(&pixmap, *x, *y) == series)
                .count();
            assert!(found > 1_000, "{found} pixels of the bars, {scheme:?}");
        }
    }

    #[test]
    fn the_title_is_written_with_its_accents() {
        let ink = |title: &str| {
            let pixmap = decoded(&chart(title, 1).png(Scheme::Light, 2.0).unwrap());
            // Around the title's line, in pixels of a scale of 2.
            (20..80)
                .flat_map(|y| (30..1_000).map(move |x| (x, y)))
                .filter(|(x, y)| color_at(&pixmap, *x, *y) < 0x808080)
                .count()
        };
        let (none, plain, accented) = (ink(""), ink("Portee"), ink("Portée"));
        assert!(none < plain, "{none} dark pixels without a title, {plain} with one");
        assert!(plain < accented, "{plain} without the accent, {accented} with it");
    }

    #[test]
    fn the_same_chart_gives_the_same_bytes_and_a_scale_its_size() {
        let chart = chart("Visits", 2);
        let png = chart.png(Scheme::Light, 2.0).unwrap();
        assert_eq!(png, chart.png(Scheme::Light, 2.0).unwrap());
        assert_eq!(decoded(&png).width(), 1_520);
        assert_eq!(decoded(&chart.png(Scheme::Light, f32::NAN.max(0.0)).unwrap()).width(), 190);
    }

    #[test]
    fn bitmap_larger_than_the_limit_is_refused() {
        let error = chart("Visits", 2_000).png(Scheme::Light, 8.0).unwrap_err();
        assert!(matches!(error, PngError::TooLarge { width: 6_080, .. }), "{error}");
    }
}
