//! The secret behind the keys of visitors, in a file of its own.

use crate::{Context, Step};
use mkt_connect::Secret;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

/// The shortest secret, in characters.
const SHORTEST: usize = 16;

/// The secret that a file holds; where there is no file, one of 256 random bits is made, for its owner only.
///
/// # Errors
/// A file that cannot be read or made, or that holds less than 16 characters.
pub fn of(path: &Path) -> Step<Secret> {
    let shown = path.display();
    match fs::read_to_string(path) {
        Ok(text) if text.trim().len() >= SHORTEST => return Ok(Secret::new(text.trim())),
        Ok(_) => {
            return Err(format!("{shown} holds no secret: expected at least {SHORTEST} characters").into());
        }
        Err(cause) if cause.kind() == ErrorKind::NotFound => {}
        Err(cause) => Err(cause).context(|| format!("reading {shown}"))?,
    }
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|cause| format!("no random numbers: {cause}"))?;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path).context(|| format!("making {shown}"))?;
    writeln!(file, "{text}").context(|| format!("writing {shown}"))?;
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop.db.visitor-secret");
        let made = of(&path).unwrap();
        assert_eq!(made.expose().len(), 64);
        assert_eq!(of(&path).unwrap().expose(), made.expose());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        fs::write(&path, "short\n").unwrap();
        assert!(of(&path).unwrap_err().to_string().contains("holds no secret"));
    }
}
