//! Sample data of any size: a tea shop's visitors, sessions, events, sign-ups, customers, costs, posts and web server log,
//! with known truths planted in them.
//!
//! Visits are drawn in the order of time, each when its turn comes: memory grows by some tens of bytes per visitor and
//! never with what is written. The same [`World`] gives the same bytes on every machine. No crate of the workspace is
//! used here: what they are checked against must not come from them.

use std::path::Path;

mod access_log;
mod behaviour;
mod channel;
mod costs;
mod draw;
mod ledger;
mod money;
mod period;
mod person;
mod plan;
mod posts;
mod session;
mod shop;
mod staging;
mod summary;
mod traffic;
mod truth;

use staging::Staging;
use traffic::Traffic;
use truth::Written;

pub use money::Cents;
pub use period::Period;
pub use staging::Failure;
pub use summary::Summary;
pub use truth::Truth;

/// What a world is a function of.
#[derive(Clone, Copy, Debug)]
pub struct World {
    /// Another seed, another world.
    pub seed: u64,
    /// Visitors; each comes about 2.5 times in six months.
    pub users: u32,
    /// First and last day.
    pub period: Period,
    /// One visitor in so many has its requests in `access.log`.
    pub log_one_in: u32,
}

/// A file and its size.
#[derive(Clone, Copy, Debug)]
pub struct FileSize {
    /// Its name in the directory.
    pub name: &'static str,
    /// Its size.
    pub bytes: u64,
}

/// Writes all files into `dir`, or none. `progress` is called with how many visits of how many are done.
///
/// # Errors
/// A directory that cannot be created, a file that cannot be written or replaced.
pub fn write(
    world: &World,
    dir: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Truth, Vec<FileSize>), Failure> {
    let World { seed, users, period, .. } = *world;
    let mut staging = Staging::new(dir)?;
    let mut traffic = Traffic::new(world, &mut staging)?;
    let visits = plan::visits(seed, users, &period);
    let total = visits.len() as u64;
    for (visit, done) in visits.into_iter().zip(0_u64..) {
        if done.is_multiple_of(2048) {
            progress(done, total);
        }
        traffic.until(visit.at(&period))?;
        traffic.visit(visit)?;
    }
    traffic.until(i64::MAX)?;
    progress(total, total);

    let Traffic { ledger, tagged, events, sessions, signups, log, logged, .. } = traffic;
    let mut files = Vec::with_capacity(9);
    let mut done = |name, bytes| files.push(FileSize { name, bytes });
    done("inscrits.csv", signups.finish()?);
    done("sessions.csv", sessions.finish()?);
    done("events.csv", events.finish()?);
    let behaviours = behaviour::write(seed, users, &mut staging)?;
    done("user_behavior.csv", behaviours.bytes);
    let posts = posts::write(seed, &period, &mut staging)?;
    done("social_posts.csv", posts.bytes);
    let customers = ledger.write_customers(&mut staging)?;
    done("customers.csv", customers.bytes);
    let costs = costs::write(seed, &period, &tagged, &mut staging)?;
    done("costs.csv", costs.bytes);
    done("access.log", log.finish()?);
    let written = Written { customers, costs, posts, behaviours, logged };
    let truth = Truth::new(seed, &period, users, &ledger, written);
    let mut file = staging.file(staging::MARK)?;
    // A struct of numbers, strings and lists: serialisation has nothing to refuse.
    file.line(serde_json::to_string_pretty(&truth).unwrap_or_default().as_bytes())?;
    done(staging::MARK, file.finish()?);
    staging.publish()?;
    Ok((truth, files))
}
