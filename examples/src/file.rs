//! Files that are written whole or not at all, and folders for their owner only.

use crate::failure::{Context, Step};
use mkt_warehouse::{Table, Value};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Files that are being written: a program that ends early removes them.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn unfinished<T>(change: impl FnOnce(&mut Vec<PathBuf>) -> T) -> T {
    change(&mut UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Removes the files that were begun and not finished.
pub(crate) fn remove_unfinished() {
    for path in unfinished(std::mem::take) {
        let _ = fs::remove_file(path);
    }
}

/// A file of this name is being written.
pub(crate) fn begun(path: PathBuf) {
    unfinished(|list| list.push(path));
}

/// The file is whole or gone; says whether it was being written.
pub(crate) fn ended(path: &Path) -> bool {
    unfinished(|list| {
        let before = list.len();
        list.retain(|one| one != path);
        before > list.len()
    })
}

/// A file that takes its name when it is whole. Dropped before [`Whole::finish`], or at Ctrl-C, nothing of it is left and
/// an older file of the name stays as it was.
#[derive(Debug)]
pub struct Whole {
    path: PathBuf,
    partial: PathBuf,
    writer: Option<BufWriter<File>>,
}

impl Whole {
    /// Begins the file beside its place, under its name and `.part`. What a killed run left there is replaced.
    ///
    /// # Errors
    /// A folder that is missing or cannot be written to.
    pub fn create(path: impl Into<PathBuf>) -> Step<Self> {
        let path = path.into();
        let mut partial = path.clone().into_os_string();
        partial.push(".part");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).context(|| cannot_write(&path))?;
        begun(partial.clone());
        Ok(Self { path, partial, writer: Some(BufWriter::new(file)) })
    }

    /// Puts the file into its place, on disk.
    ///
    /// # Errors
    /// A full disk; the file is then removed.
    pub fn finish(mut self) -> Step<()> {
        let written = self.writer.take().map_or(Ok(()), |mut writer| {
            writer.flush()?;
            writer.get_ref().sync_all()
        });
        written.and_then(|()| fs::rename(&self.partial, &self.path)).context(|| cannot_write(&self.path))?;
        ended(&self.partial);
        Ok(())
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.as_mut().map_or(Ok(bytes.len()), |writer| writer.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if ended(&self.partial) {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Writes a file whole or not at all; says whether its content is new.
///
/// # Errors
/// As [`Whole::create`] and [`Whole::finish`].
pub fn replace(path: &Path, content: &[u8]) -> Step<bool> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(false);
    }
    let mut file = Whole::create(path)?;
    file.write_all(content).context(|| cannot_write(path))?;
    file.finish()?;
    Ok(true)
}

/// A table as CSV for spreadsheets: a text that one of them would run as a formula begins with an apostrophe.
///
/// # Errors
/// None that memory does not give.
pub fn csv(table: &Table) -> Step<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(table.names())?;
    for row in 0..table.rows() {
        writer.write_record(table.row(row).into_iter().map(|value| match value {
            Value::Null => String::new(),
            Value::Text(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
            value => value.to_string(),
        }))?;
    }
    Ok(writer.into_inner().map_err(csv::IntoInnerError::into_error)?)
}

/// Names the first file of a folder that is missing, empty or no text: before a run writes anything. The rest of the
/// content is the readers' matter.
///
/// # Errors
/// That file, or the folder, and what is wrong with it.
pub fn require_texts(folder: &Path, names: &[&str]) -> Step<()> {
    if !folder.is_dir() {
        let message =
            format!("there is no folder {}; make_sample_data --out DIR writes one", folder.display());
        return Err(message.into());
    }
    for path in names.iter().map(|name| folder.join(name)) {
        let mut header = Vec::new();
        let cannot = || format!("cannot read {}", path.display());
        let file = File::open(&path).context(cannot)?;
        BufReader::new(file).take(1 << 20).read_until(b'\n', &mut header).context(cannot)?;
        if header.iter().all(u8::is_ascii_whitespace) {
            return Err(format!("{} is empty or begins with an empty line", path.display()).into());
        }
        if header.contains(&0) || header.starts_with(b"\xff\xfe") || header.starts_with(b"\xfe\xff") {
            return Err(format!("{} is UTF-16 or no text: save it as UTF-8", path.display()).into());
        }
    }
    Ok(())
}

/// Makes a folder.
///
/// # Errors
/// A name that a file has, or a parent that cannot be written to.
pub fn make_folder(path: &Path) -> Step<()> {
    Ok(fs::create_dir_all(path).context(|| format!("cannot make the folder {}", path.display()))?)
}

/// Makes a folder for its owner only: what comes into it names people. One that is there stays as it is.
///
/// # Errors
/// As [`make_folder`].
pub fn make_private_folder(path: &Path) -> Step<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = builder.recursive(true).create(path);
    Ok(made.context(|| format!("cannot make the folder {}", path.display()))?)
}
