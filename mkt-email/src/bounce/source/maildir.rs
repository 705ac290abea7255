//! Maildirs: unread messages of `new` and `cur`; what was read gets the flag `S` (seen).

use super::{FeedbackSource, MAX_MESSAGE, Mark, RawMessage, SERVICE, batch, blocking, unreadable};
use async_trait::async_trait;
use mkt_connect::{Error, ErrorKind, Result};
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{File, ReadDir};
use std::io::{ErrorKind as IoKind, Read};
use std::path::{Path, PathBuf};

/// Reads the messages of a Maildir that have no flag `S`. One that was read is moved to `cur` with it, and with `F`
/// (flagged) if a person should look at it; other flags stay. Messages that arrive meanwhile may be read too.
pub struct MaildirSource {
    state: Option<State>,
}

struct State {
    path: PathBuf,
    /// `cur` first: what is marked moves there, and has its flag by then.
    folder: Folder,
    listing: Option<ReadDir>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Folder {
    Cur,
    New,
    End,
}

impl Folder {
    fn name(self) -> &'static str {
        if self == Self::Cur { "cur" } else { "new" }
    }
}

impl MaildirSource {
    /// Opens a Maildir.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when the folder has no `new` and `cur`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        if !path.join("new").is_dir() || !path.join("cur").is_dir() {
            let detail = format!("not a Maildir: expected folders new and cur in {}", path.display());
            return Err(Error::new(ErrorKind::Input, SERVICE, "open").with_detail(detail));
        }
        Ok(Self { state: Some(State { path, folder: Folder::Cur, listing: None }) })
    }
}

impl fmt::Debug for MaildirSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaildirSource")
    }
}

impl State {
    fn next_message(&mut self) -> Result<Option<RawMessage>> {
        loop {
            if self.folder == Folder::End {
                return Ok(None);
            }
            let folder = self.path.join(self.folder.name());
            let broken = |cause| unreadable(&format!("the folder {}", folder.display()), cause);
            let listing = match &mut self.listing {
                Some(listing) => listing,
                None => self.listing.insert(std::fs::read_dir(&folder).map_err(broken)?),
            };
            let Some(entry) = listing.next() else {
                self.listing = None;
                self.folder = if self.folder == Folder::Cur { Folder::New } else { Folder::End };
                continue;
            };
            let name = entry.map_err(broken)?.file_name();
            // A name that is not UTF-8 cannot be one that a delivery program made.
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            if self.folder == Folder::Cur && flags(name).contains(&'S') {
                continue;
            }
            if let Some(message) = read(&folder.join(name), format!("{}/{name}", self.folder.name()))? {
                return Ok(Some(message));
            }
        }
    }
}

/// Reads a message; none if it has vanished, or is a folder.
fn read(path: &Path, id: String) -> Result<Option<RawMessage>> {
    let broken = |cause| unreadable("a message of the Maildir", cause);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == IoKind::NotFound => return Ok(None),
        Err(cause) => return Err(broken(cause)),
    };
    let metadata = file.metadata().map_err(broken)?;
    if !metadata.is_file() {
        return Ok(None);
    }
    let mut bytes =
        Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(MAX_MESSAGE).min(MAX_MESSAGE));
    file.take(MAX_MESSAGE as u64).read_to_end(&mut bytes).map_err(broken)?;
    let is_cut = metadata.len() > bytes.len() as u64;
    Ok(Some(RawMessage { id, bytes, is_cut }))
}

/// The flags of a name in `cur`: the letters after `:2,`.
fn flags(name: &str) -> BTreeSet<char> {
    name.rsplit_once(":2,").map(|(_, flags)| flags.chars().collect()).unwrap_or_default()
}

/// The name in `cur` of a message that was read.
fn marked(name: &str, mark: Mark) -> String {
    let mut flags = flags(name);
    flags.insert('S');
    if mark == Mark::Flagged {
        flags.insert('F');
    }
    let base = name.rsplit_once(":2,").map_or(name, |(base, _)| base);
    // Sorted, as the format wants them.
    format!("{base}:2,{}", flags.into_iter().collect::<String>())
}

#[async_trait]
impl FeedbackSource for MaildirSource {
    async fn read(&mut self, most: usize) -> Result<Vec<RawMessage>> {
        blocking(&mut self.state, move |state| batch(most, || state.next_message())).await
    }

    async fn mark(&mut self, marks: &[(String, Mark)]) -> Result<()> {
        let marks = marks.to_vec();
        blocking(&mut self.state, move |state| {
            for (id, mark) in &marks {
                let name = id.split_once('/').map_or(id.as_str(), |(_, name)| name);
                let to = state.path.join("cur").join(marked(name, *mark));
                match std::fs::rename(state.path.join(id), to) {
                    Ok(()) => {}
                    Err(cause) if cause.kind() == IoKind::NotFound => {}
                    Err(cause) => {
                        return Err(Error::new(ErrorKind::Storage, SERVICE, "mark")
                            .with_detail("a message of the Maildir cannot be marked as read")
                            .with_source(cause));
                    }
                }
            }
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_name_keeps_other_flags_in_order() {
        assert_eq!(marked("1.a.host", Mark::Read), "1.a.host:2,S");
        assert_eq!(marked("1.a.host:2,RT", Mark::Flagged), "1.a.host:2,FRST");
        assert_eq!(marked("1.a.host:2,S", Mark::Read), "1.a.host:2,S");
    }
}
