//! Writes posts and their metrics as CSV.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use chrono::SecondsFormat;

use crate::metric::Metric;
use crate::source::ReadPosts;

/// Writes posts with their newest observations as CSV, in the columns that [`Csv`](super::Csv) reads: `post_id`,
/// `platform`, `published_at`, `type`, `text`, the metrics, `paid`, `url`. A missing metric is an empty cell. The file is
/// complete or not written: it is written under another name and then renamed.
///
/// Cells that a spreadsheet would run are guarded with a leading apostrophe, which `Csv` removes again: texts that begin with
/// `=`, `+`, `-`, `@`, their full-width forms or a control character (OWASP, "CSV Injection"), and URLs that are not `http`
/// or `https`, such as `javascript:`.
///
/// # Errors
///
/// The I/O error, with the path in its text.
pub fn write(path: impl AsRef<Path>, read: &ReadPosts) -> io::Result<()> {
    let path = path.as_ref();
    let partial = path.with_extension("part");
    let written = write_to(&partial, read).and_then(|()| fs::rename(&partial, path));
    written.map_err(|cause| {
        // Only what was written here is removed; without it there is nothing to report beyond the cause.
        let _ = fs::remove_file(&partial);
        io::Error::new(cause.kind(), format!("{}: {cause}", path.display()))
    })
}

fn write_to(path: &Path, read: &ReadPosts) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let columns = ["post_id", "platform", "published_at", "type", "text"].into_iter();
    let columns = columns.chain(Metric::ALL.iter().map(|metric| metric.as_str())).chain(["paid", "url"]);
    write_record(&mut file, columns.map(str::to_owned))?;
    for (post, observation) in read.newest() {
        let text = |text: &Option<String>| text.as_deref().map(guarded).unwrap_or_default();
        let cells = [
            guarded(&post.id),
            guarded(&post.network),
            post.published_at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            text(&post.kind),
            text(&post.text),
        ];
        let number = |metric: &Metric| observation.value(*metric).known().map(|count| count.to_string());
        let numbers = Metric::ALL.iter().map(|metric| number(metric).unwrap_or_default());
        let paid = post.paid.map(|paid| paid.to_string()).unwrap_or_default();
        let url = post.url.as_deref().map(guarded_url).unwrap_or_default();
        write_record(&mut file, cells.into_iter().chain(numbers).chain([paid, url]))?;
    }
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn write_record(file: &mut impl Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
    for (index, cell) in cells.enumerate() {
        let comma = if index > 0 { "," } else { "" };
        if cell.contains([',', '"', '\n', '\r']) {
            write!(file, "{comma}\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            write!(file, "{comma}{cell}")?;
        }
    }
    file.write_all(b"\n")
}

/// Whether a spreadsheet would take a text for a formula.
fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) || text.starts_with(char::is_control)
}

fn guarded(text: &str) -> String {
    // A text that begins with an apostrophe is guarded too, so that reading gives it back unchanged.
    if is_formula(text) || text.starts_with('\'') { format!("'{text}") } else { text.to_owned() }
}

fn guarded_url(url: &str) -> String {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    let is_web =
        scheme.is_some_and(|scheme| ["http", "https"].iter().any(|web| scheme.eq_ignore_ascii_case(web)));
    if is_web { url.to_owned() } else { format!("'{url}") }
}

/// Removes the guard of [`write`]. Other leading apostrophes stay: `'Tis the season`.
pub(super) fn unguarded(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| is_formula(rest) || rest.starts_with('\'')).unwrap_or(text)
}
