//! What charts of lines share: the grid of a scale, runs between gaps, thinning of many points.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, Drawn, Ink};
use super::palette::{GRID, MUTED, Role};

/// More points than this cannot be distinguished on 760 pixels.
const DRAWN_POINTS: usize = 3_000;

/// The horizontal lines of a scale and their labels.
pub(super) fn grid(canvas: &Canvas<'_>, y: &Axis, left: f64, right: f64) -> Drawn {
    for (value, label) in &y.ticks {
        let at = y.place(*value);
        canvas.line(&[(left, at), (right, at)], GRID, 1.0)?;
        canvas.text(label, (left - 8.0, at), Ink::new(MUTED, 12.0, Anchor::End))?;
    }
    Ok(())
}

/// A run of a line; a point alone between two gaps is a dot.
pub(super) fn draw_run(canvas: &Canvas<'_>, run: &[(f64, f64)], role: Role) -> Drawn {
    match run {
        [only] => canvas.dot(*only, 2.6, role),
        _ => canvas.line(run, role, 2.2),
    }
}

/// Cuts a line at its gaps. Of more than [`DRAWN_POINTS`] points, stretches are thinned first; a gap inside a
/// stretch, narrower than a pixel, is not seen any more.
pub(super) fn runs(points: impl Iterator<Item = Option<(f64, f64)>>) -> Vec<Vec<(f64, f64)>> {
    let points: Vec<Option<(f64, f64)>> = points.collect();
    let stretch = stretch_of(points.len());
    let mut runs = vec![Vec::new()];
    for part in points.chunks(stretch) {
        let known: Vec<(f64, f64)> = part.iter().flatten().copied().collect();
        match runs.last_mut() {
            Some(run) if !known.is_empty() => run.extend(ends(&known, stretch)),
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// At most [`DRAWN_POINTS`]: of each stretch the lowest and the highest stay, in their order, so that no peak is
/// lost and the picture stays small whatever the input.
pub(super) fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let stretch = stretch_of(points.len());
    points.chunks(stretch).flat_map(|part| ends(part, stretch)).collect()
}

fn stretch_of(points: usize) -> usize {
    if points <= DRAWN_POINTS { 1 } else { points.div_ceil(DRAWN_POINTS / 2) }
}

/// The lowest and the highest of a stretch; all of it where nothing is thinned.
fn ends(part: &[(f64, f64)], stretch: usize) -> Vec<(f64, f64)> {
    if stretch == 1 {
        return part.to_vec();
    }
    let by_height = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
    let (low, high) = (part.iter().min_by(by_height), part.iter().max_by(by_height));
    let mut ends: Vec<(f64, f64)> = low.into_iter().chain(high).copied().collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    ends.dedup();
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_peaks() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|i| (f64::from(i), 0.0)).collect();
        points[54_321].1 = 7.0;
        points[77_777].1 = -7.0;
        let thin = thinned(&points);
        assert!(thin.len() <= DRAWN_POINTS);
        assert!(thin.contains(&(54_321.0, 7.0)) && thin.contains(&(77_777.0, -7.0)));
        assert!(thin.is_sorted_by(|a, b| a.0 <= b.0));
    }

    #[test]
    fn a_gap_cuts_the_line() {
        let line = [Some((0.0, 1.0)), Some((1.0, 1.0)), None, None, Some((4.0, 1.0))];
        assert_eq!(runs(line.into_iter()), [vec![(0.0, 1.0), (1.0, 1.0)], vec![(4.0, 1.0)]]);
    }
}
