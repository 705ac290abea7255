//! Bounces, complaints and unsubscriptions that arrive by email.

mod forms;
mod hostile;
#[cfg(feature = "imap")]
mod imap;
mod reading;
mod servers;
mod sources;

/// The bounces that Postfix 3.7, Exim 4.96 and OpenSMTPD 6.8 wrote.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/cases/dsn/{name}.eml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(path).unwrap()
}
