//! What became of everybody.

use mkt_email::subscribers::RowCounts;
use mkt_email::{Enqueued, State};
use serde::Serialize;

/// Where the people of the file stand. `rows = recipients + quarantined + duplicates` and `recipients = sent + failed +
/// suppressed + cancelled + unknown + pending`, always.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Told {
    pub(crate) rows: u64,
    pub(crate) recipients: u64,
    pub(crate) sent: u64,
    pub(crate) failed: u64,
    pub(crate) suppressed: u64,
    pub(crate) cancelled: u64,
    pub(crate) unknown: u64,
    pub(crate) pending: u64,
    pub(crate) already_sent: u64,
    pub(crate) quarantined: u64,
    pub(crate) duplicates: u64,
    pub(crate) seconds: f64,
    /// What a run left unknown that was not before.
    #[serde(skip)]
    pub(crate) newly_unknown: u64,
    #[serde(skip)]
    pub(crate) stopped: bool,
}

impl Told {
    /// Counts what the outbox says of mails.
    pub(crate) fn add(&mut self, answers: &[Enqueued]) {
        for answer in answers {
            self.recipients += 1;
            let count = match answer {
                Enqueued::Suppressed(..) => &mut self.suppressed,
                Enqueued::AlreadyThere(_, State::Accepted) => &mut self.sent,
                Enqueued::AlreadyThere(_, State::Rejected | State::Expired) => &mut self.failed,
                Enqueued::AlreadyThere(_, State::Suppressed) => &mut self.suppressed,
                Enqueued::AlreadyThere(_, State::Cancelled) => &mut self.cancelled,
                Enqueued::AlreadyThere(_, State::Unknown) => &mut self.unknown,
                _ => &mut self.pending,
            };
            *count += 1;
        }
    }

    pub(crate) fn rows(&mut self, (counts, unrendered): (RowCounts, u64)) {
        self.rows = counts.rows;
        self.duplicates = counts.duplicates;
        self.quarantined = counts.quarantined + unrendered;
    }

    pub(crate) fn text(&self, dry: bool) -> String {
        let mut text = format!(
            "{} rows: {} recipients, {} set aside, {} repeated\n",
            self.rows, self.recipients, self.quarantined, self.duplicates
        );
        if dry {
            text += &format!("{} would be sent, {} were sent before", self.pending, self.already_sent);
        } else {
            text += &format!("{} sent now, {} sent before", self.sent - self.already_sent, self.already_sent);
        }
        for (count, what) in [
            (self.failed, "refused"),
            (self.suppressed, "not to be written to"),
            (self.cancelled, "cancelled"),
            (self.unknown, "of which nobody knows"),
            (if dry { 0 } else { self.pending }, "still to be sent"),
        ] {
            if count > 0 {
                text += &format!(", {count} {what}");
            }
        }
        text + &format!(" ({:.1} s)\n", self.seconds)
    }
}
