//! Who may be written to: `customers.csv` is the only place where a visitor has an address.

use crate::failure::{Context, Step};
use chrono::{DateTime, NaiveDateTime, Utc};
use encoding_rs::WINDOWS_1252;
use mkt_email::EmailAddress;
use mkt_email::message::DisplayName;
use mkt_email::template::Language;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

/// A customer with an address.
#[derive(Debug)]
pub(crate) struct Customer {
    pub(crate) address: EmailAddress,
    /// `None` where the name cannot stand in a mail.
    pub(crate) first_name: Option<DisplayName>,
    pub(crate) language: Language,
    /// Since when marketing mail is agreed to. Only a clear yes with its date is one.
    pub(crate) consent: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
struct Line {
    user_id: String,
    email: String,
    first_name: String,
    lang: String,
    consent_marketing: String,
    consent_since: String,
}

/// Reads the customers by visitor. A line that does not read is passed over: the extraction, which reads the same file,
/// counts it. Of two lines of one visitor the first counts, as in the warehouse.
pub(crate) fn read(path: &Path) -> Step<HashMap<String, Customer>> {
    let cannot = || format!("cannot read {}", path.display());
    let bytes = std::fs::read(path).context(cannot)?;
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let count = |wanted: u8| bytes[..end].iter().filter(|byte| **byte == wanted).count();
    let delimiter = [b'\t', b';', b','].into_iter().max_by_key(|byte| count(*byte)).unwrap_or(b',');
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(bytes.as_slice());
    let header = text(reader.byte_headers().context(cannot)?);
    let mut customers = HashMap::new();
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).context(cannot)? {
        let Ok(line) = text(&record).deserialize::<Line>(Some(&header)) else { continue };
        let Ok(address) = EmailAddress::parse(line.email.trim()) else { continue };
        let agreed =
            matches!(line.consent_marketing.trim().to_lowercase().as_str(), "true" | "1" | "yes" | "oui");
        let since = NaiveDateTime::parse_from_str(line.consent_since.trim(), "%Y-%m-%d %H:%M:%S");
        customers.entry(line.user_id.trim().to_owned()).or_insert(Customer {
            address,
            first_name: DisplayName::parse(line.first_name.trim()).ok(),
            language: line.lang.trim().parse().unwrap_or(Language::French),
            consent: since.ok().filter(|_| agreed).map(|since| since.and_utc()),
        });
    }
    Ok(customers)
}

/// UTF-8 where it is, else Windows-1252, which holds Latin-1: as the extraction reads it.
fn text(record: &csv::ByteRecord) -> csv::StringRecord {
    let utf8 = record.iter().all(|field| std::str::from_utf8(field).is_ok());
    record
        .iter()
        .map(|field| match utf8 {
            true => String::from_utf8_lossy(field),
            false => WINDOWS_1252.decode_without_bom_handling(field).0,
        })
        .collect()
}
