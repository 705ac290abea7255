//! The seven files that a run needs, looked at before anything is written: a wrong folder is told at once.

use crate::failure::{Context, Step};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

const FILES: [&str; 7] = [
    "sessions.csv",
    "events.csv",
    "customers.csv",
    "costs.csv",
    "inscrits.csv",
    "social_posts.csv",
    "user_behavior.csv",
];

/// A header longer than this is none.
const MAX_HEADER: u64 = 1 << 20;

/// Says which file is missing, empty or no text. What is in it is for those who read it.
pub(crate) fn check(data: &Path) -> Step<()> {
    if !data.is_dir() {
        return Err(format!(
            "the data directory {} does not exist; make_sample_data --out DIR writes one",
            data.display()
        )
        .into());
    }
    for path in FILES.map(|name| data.join(name)) {
        let mut header = Vec::new();
        let cannot = || format!("cannot read {}", path.display());
        let file = File::open(&path).context(cannot)?;
        BufReader::new(file).take(MAX_HEADER).read_until(b'\n', &mut header).context(cannot)?;
        if header.iter().all(u8::is_ascii_whitespace) {
            return Err(format!("{} is empty or begins with an empty line", path.display()).into());
        }
        if header.contains(&0) || header.starts_with(b"\xff\xfe") || header.starts_with(b"\xfe\xff") {
            return Err(format!("{} is UTF-16 or no text: save it as UTF-8", path.display()).into());
        }
    }
    Ok(())
}
