//! The examples as programs: what cargo built beside this test.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The program of an example. It is no older than its sources: `cargo nextest` builds examples, a test binary that is run
/// by hand does not.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let program = profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    let modified =
        |path: &Path| fs::metadata(path).and_then(|it| it.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let sources = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let newest = sources.map(|entry| modified(&entry.unwrap().path())).max().unwrap();
    assert!(
        modified(&program) >= newest,
        "{} is missing or older than its source: cargo build -p mkt-examples --examples",
        program.display()
    );
    program
}
