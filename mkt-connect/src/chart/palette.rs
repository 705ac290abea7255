//! The colours: each role has one for light pages (written into the SVG, so that a viewer without CSS shows it)
//! and one for dark screens (put in its place by a style rule).

use std::fmt::Write;

use plotters::style::RGBColor;

/// A role's two colours. Light ones are unique: the dark rule finds them by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Role {
    light: u32,
    dark: u32,
}

const fn role(light: u32, dark: u32) -> Role {
    Role { light, dark }
}

impl Role {
    pub(super) fn color(self) -> RGBColor {
        let (red, green, blue) = self.rgb(false);
        RGBColor(red, green, blue)
    }

    pub(super) fn rgb(self, dark: bool) -> (u8, u8, u8) {
        let color = if dark { self.dark } else { self.light };
        ((color >> 16) as u8, (color >> 8) as u8, color as u8)
    }
}

pub(super) const SURFACE: Role = role(0xFFFFFF, 0x171E29);
pub(super) const INK: Role = role(0x1B2430, 0xE7EBF1);
pub(super) const MUTED: Role = role(0x5A6676, 0x9DA9B9);
pub(super) const GRID: Role = role(0xE4E8ED, 0x2C3745);
pub(super) const FAINT: Role = role(0x8293A6, 0x6B7F96);
/// Text on the lower and on the upper half of the ramp.
pub(super) const ON_LOW: Role = role(0x1B2431, 0xE7EBF2);
pub(super) const ON_HIGH: Role = role(0xFFFFFE, 0x0D1521);

/// After Okabe and Ito, darkened where a mark on white would have less contrast than 3:1 (WCAG 2.2, 1.4.11), and lightened
/// for dark screens.
pub(super) const SERIES: [Role; 6] = [
    role(0x0072B2, 0x58B0E8),
    role(0xD55E00, 0xF28C50),
    role(0x009E73, 0x34C79C),
    role(0xB85F92, 0xE49CC5),
    role(0xB87F00, 0xF3BE50),
    role(0x2F8FC4, 0xA3D8F6),
];

/// One hue from faint to strong, in both schemes.
pub(super) const RAMP: [Role; 7] = [
    role(0xEAF2F9, 0x1D2E42),
    role(0xCFE1F1, 0x1F4060),
    role(0xA6CBE6, 0x235580),
    role(0x74AFD8, 0x2A6596),
    role(0x2F78B3, 0x4C93C9),
    role(0x1A5FA0, 0x85BCE6),
    role(0x0A3F7E, 0xCCE5F9),
];

fn roles() -> impl Iterator<Item = Role> {
    let fixed = [SURFACE, INK, MUTED, GRID, FAINT, ON_LOW, ON_HIGH];
    fixed.into_iter().chain(SERIES).chain(RAMP)
}

/// A drawing with the dark colours in the place of the light ones, for what reads no style rules.
#[cfg(feature = "png")]
pub(super) fn darkened(svg: &str) -> String {
    // One pass: a dark colour of one role may be the light one of another.
    let mut dark = String::with_capacity(svg.len());
    let mut rest = svg;
    while let Some(at) = rest.find("=\"#") {
        let (before, color) = rest.split_at(at + 3);
        dark.push_str(before);
        let of_role = roles().find(|role| color.starts_with(&format!("{:06X}\"", role.light)));
        rest = match of_role {
            Some(role) => {
                let _ = write!(dark, "{:06X}", role.dark);
                color.get(6..).unwrap_or_default()
            }
            None => color,
        };
    }
    dark.push_str(rest);
    dark
}

/// The rules that put the dark colours in place of the light ones, for those that `svg` uses. Only on screens:
/// paper is light.
pub(super) fn dark_rules(svg: &str) -> String {
    let mut rules = String::from("@media screen and (prefers-color-scheme:dark){");
    for role in roles() {
        for property in ["fill", "stroke"] {
            let attribute = format!("{property}=\"#{:06X}\"", role.light);
            if svg.contains(&attribute) {
                let _ = write!(rules, ".mkt-chart [{attribute}]{{{property}:#{:06X}}}", role.dark);
            }
        }
    }
    rules.push('}');
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance and contrast as WCAG 2.2 defines them.
    fn contrast(a: u32, b: u32) -> f64 {
        let luminance = |color: u32| {
            let channel = |shift: u32| {
                let c = f64::from((color >> shift) & 0xFF) / 255.0;
                if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(16) + 0.7152 * channel(8) + 0.0722 * channel(0)
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn light_colours_are_unique() {
        let mut lights: Vec<u32> = roles().map(|role| role.light).collect();
        lights.sort_unstable();
        let all = lights.len();
        lights.dedup();
        assert_eq!(lights.len(), all);
    }

    #[test]
    fn text_has_the_contrast_that_wcag_asks_for() {
        for text in [INK, MUTED] {
            assert!(contrast(text.light, SURFACE.light) >= 4.5);
            assert!(contrast(text.dark, SURFACE.dark) >= 4.5);
        }
        for (step, cell) in RAMP.iter().enumerate() {
            let text = if step < super::super::heat_map::FIRST_HIGH_STEP { ON_LOW } else { ON_HIGH };
            assert!(contrast(text.light, cell.light) >= 4.5, "light step {step}");
            assert!(contrast(text.dark, cell.dark) >= 4.5, "dark step {step}");
        }
    }

    #[test]
    fn marks_of_every_series_stand_out_from_the_surface() {
        for role in SERIES.iter().chain([&FAINT]) {
            assert!(contrast(role.light, SURFACE.light) >= 3.0, "{role:?}");
            assert!(contrast(role.dark, SURFACE.dark) >= 3.0, "{role:?}");
        }
    }
}
