//! The files of a log: which format each has, which are copies of others, and in which order they are read.

use super::format::{Format, Sample, detect};
use super::stream::{self, Lines};
use super::time::Clock;
use super::{SERVICE, failed};
use chrono_tz::Tz;
use mkt_connect::{Error, ErrorKind, Result};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Lines that are looked at to find the format.
const SAMPLE: usize = 200;
/// And their bytes.
const SAMPLE_BYTES: usize = 1 << 20;

/// When a file was what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|cause| failed(path, cause))?;
        Ok(Self { length: metadata.len(), modified: metadata.modified().ok() })
    }
}

/// A file, before it is read.
#[derive(Debug, Clone)]
pub(super) struct Sampled {
    pub(super) path: PathBuf,
    /// `None`: the file holds no line.
    pub(super) format: Option<Format>,
    pub(super) sample: Sample,
    /// Its first lines, to tell copies.
    beginning: Vec<u8>,
    /// The file of which it is a copy, or the beginning.
    pub(super) copy_of: Option<PathBuf>,
}

impl Sampled {
    pub(super) fn name(&self) -> String {
        name_of(&self.path)
    }
}

pub(super) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Looks at the files, and puts them into an order that does not depend on the order in which they were named.
pub(super) fn sample(paths: &[PathBuf], declared: Option<Format>, zone: Tz) -> Result<Vec<Sampled>> {
    let mut files: Vec<Sampled> = Vec::new();
    for path in paths {
        let mut file = look_at(path, declared, zone)?;
        for other in files.iter_mut().filter(|other| other.copy_of.is_none()) {
            if file.format.is_none() || !share_beginning(&file.beginning, &other.beginning) {
                continue;
            }
            match compare(&file.path, &other.path)? {
                Relation::Different => continue,
                Relation::FirstIsBeginning => file.copy_of = Some(other.path.clone()),
                Relation::SecondIsBeginning => other.copy_of = Some(file.path.clone()),
            }
            if file.copy_of.is_some() {
                break;
            }
        }
        files.push(file);
    }
    files.sort_by(|a, b| {
        let key = |file: &Sampled| (file.sample.first, file.beginning.clone());
        key(a).cmp(&key(b)).then_with(|| a.path.cmp(&b.path))
    });
    Ok(files)
}

fn share_beginning(a: &[u8], b: &[u8]) -> bool {
    let length = a.len().min(b.len());
    length > 0 && a[..length] == b[..length]
}

fn look_at(path: &Path, declared: Option<Format>, zone: Tz) -> Result<Sampled> {
    let reader = stream::open(path).map_err(|cause| failed(path, cause))?;
    let mut lines = Lines::new(reader);
    let (mut held, mut bytes) = (Vec::new(), 0);
    while held.len() < SAMPLE && bytes < SAMPLE_BYTES {
        let Some(line) = lines.next().map_err(|cause| failed(path, cause))? else { break };
        if !line.too_long && !line.bytes.trim_ascii().is_empty() {
            bytes += line.bytes.len();
            held.push(line.bytes.to_vec());
        }
    }
    let views: Vec<&[u8]> = held.iter().map(Vec::as_slice).collect();
    let sample = detect(&views, declared, &Clock::new(zone));
    let beginning = views.iter().take(20).copied().collect::<Vec<_>>().join(&b'\n');
    let mut file = Sampled { path: path.to_owned(), format: None, sample, beginning, copy_of: None };
    if held.is_empty() {
        return Ok(file);
    }
    // A file of directives only is an empty log.
    let only_directives = views.iter().all(|line| line.starts_with(b"#"));
    if file.sample.fits == 0 && !only_directives {
        let why = match (&file.sample.fault, declared) {
            (Some(fault), Some(format)) => format!(": the first line is not {format}: {fault}"),
            _ => {
                "; name its format (combined, vhost, common, json, caddy, haproxy, w3c, elb, alb)".to_owned()
            }
        };
        return Err(Error::new(ErrorKind::Input, SERVICE, "read a log").with_detail(format!(
            "none of the first {} lines of {} is of a known format{why}",
            file.sample.lines,
            path.display()
        )));
    }
    file.format = if only_directives { Some(Format::W3c) } else { file.sample.format };
    Ok(file)
}

enum Relation {
    Different,
    /// The same content, or the first is the beginning of the second.
    FirstIsBeginning,
    SecondIsBeginning,
}

/// Compares the uncompressed contents.
fn compare(first: &Path, second: &Path) -> Result<Relation> {
    let open = |path: &Path| stream::open(path).map_err(|cause| failed(path, cause));
    let (mut a, mut b) = (open(first)?, open(second)?);
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let read = fill(&mut a, &mut left).map_err(|cause| failed(first, cause))?;
        let other = fill(&mut b, &mut right).map_err(|cause| failed(second, cause))?;
        let common = read.min(other);
        if left[..common] != right[..common] {
            return Ok(Relation::Different);
        }
        if read < left.len() || other < right.len() {
            return Ok(if read <= other { Relation::FirstIsBeginning } else { Relation::SecondIsBeginning });
        }
    }
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(filled)
}
