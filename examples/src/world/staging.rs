//! Files that appear together or not at all: everything is written under hidden temporary names and renamed
//! at the end, `truth.json` last, so that a directory with a `truth.json` is complete. A run that fails
//! or is interrupted removes its temporary files; one that is killed leaves them to be overwritten by the next.

use std::{
    fmt,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// Why a world could not be written: the file or directory, and the system's reason.
#[derive(Debug)]
pub struct Failure {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Failure {
    fn new(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self { doing, path: path.to_owned(), source }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}", self.doing, self.path.display())
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// The name that marks a complete directory.
pub(crate) const MARK: &str = "truth.json";

/// The output directory of one run.
pub(crate) struct Staging {
    dir: PathBuf,
    names: Vec<&'static str>,
}

impl Staging {
    /// Creates the directory where it is missing.
    pub(crate) fn new(dir: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(dir).map_err(|e| Failure::new("create the directory", dir, e))?;
        Ok(Self { dir: dir.to_owned(), names: Vec::new() })
    }

    /// A file of raw lines.
    pub(crate) fn file(&mut self, name: &'static str) -> Result<Lines, Failure> {
        let staged = self.staged(name);
        let file = File::create(&staged).map_err(|e| Failure::new("create", &staged, e))?;
        self.names.push(name);
        crate::file::begun(staged);
        Ok(Lines { out: BufWriter::with_capacity(1 << 16, file), path: self.dir.join(name) })
    }

    /// A CSV file with its header.
    pub(crate) fn sheet(&mut self, name: &'static str, header: &[&str]) -> Result<Sheet, Failure> {
        let Lines { out, path } = self.file(name)?;
        let mut sheet = Sheet { out: csv::Writer::from_writer(out), path };
        sheet.row(header)?;
        Ok(sheet)
    }

    /// Gives every file its name, in the order in which they were created: the mark comes last. The files have
    /// been finished.
    pub(crate) fn publish(&mut self) -> Result<(), Failure> {
        let mark = self.dir.join(MARK);
        match fs::remove_file(&mark) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(Failure::new("replace", &mark, e)),
            _ => {}
        }
        for name in &self.names {
            let path = self.dir.join(name);
            fs::rename(self.staged(name), &path).map_err(|e| Failure::new("replace", &path, e))?;
            crate::file::ended(&self.staged(name));
        }
        self.names.clear();
        Ok(())
    }

    fn staged(&self, name: &str) -> PathBuf {
        self.dir.join(format!(".{name}.partial"))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        for name in &self.names {
            // The failure that brought us here is the one to report.
            let _ = fs::remove_file(self.staged(name));
            crate::file::ended(&self.staged(name));
        }
    }
}

/// A text file under construction.
pub(crate) struct Lines {
    out: BufWriter<File>,
    path: PathBuf,
}

impl Lines {
    pub(crate) fn line(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.out.write_all(bytes).and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|e| Failure::new("write", &self.path, e))
    }

    /// Flushes and returns the size in bytes.
    pub(crate) fn finish(self) -> Result<u64, Failure> {
        let Self { out, path } = self;
        let file = out.into_inner().map_err(|e| Failure::new("write", &path, e.into_error()))?;
        size_on_disk(&file).map_err(|e| Failure::new("write", &path, e))
    }
}

/// A CSV file under construction.
pub(crate) struct Sheet {
    out: csv::Writer<BufWriter<File>>,
    path: PathBuf,
}

impl Sheet {
    pub(crate) fn row<F: AsRef<[u8]>>(&mut self, fields: impl IntoIterator<Item = F>) -> Result<(), Failure> {
        self.out.write_record(fields).map_err(|e| Failure::new("write", &self.path, e.into()))
    }

    /// Flushes and returns the size in bytes.
    pub(crate) fn finish(self) -> Result<u64, Failure> {
        let Self { out, path } = self;
        match out.into_inner() {
            Ok(out) => Lines { out, path }.finish(),
            Err(e) => Err(Failure::new("write", &path, e.into_error())),
        }
    }
}

/// `sync_all`, because some file systems report a full disk only then.
fn size_on_disk(file: &File) -> io::Result<u64> {
    file.sync_all()?;
    Ok(file.metadata()?.len())
}
