//! Steps 5 and 6: a model into a file, emails into a folder.

use crate::arguments::Arguments;
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::Secret;
use mkt_connect::chart::Lang;
use mkt_email::template::Language;
use mkt_email::{Enqueued, Maildir, ManualClock, Outbox, RunOptions, State, Template};
use mkt_examples::mailing::{Mailing, Standing};
use mkt_examples::overview::{Emails, Prediction};
use mkt_examples::relaunch::Relaunch;
use mkt_examples::{Context, Step, file};
use mkt_ml::{ColumnKind, CsvOptions, Forest, Labelled, Logistic, TrainedModel, chart};
use mkt_warehouse::report::AbandonedCart;
use std::path::Path;

/// Signs the links to unsubscribe. A real shop's key is kept where its passwords are.
const UNSUBSCRIBE_KEY: &str = "a key for the quickstart only";
/// An older cart is history, not a reason to write.
const RELAUNCH_WITHIN: TimeDelta = TimeDelta::days(30);

/// Trains on four fifths of the rows, judges on the rest, keeps the forest in a file and reads it back.
pub(crate) fn model(data: &Path, file: &Path, seed: u64) -> Step<Prediction> {
    let cannot = || format!("cannot learn from {}", data.display());
    // Kinds are declared: a stray word among numbers is an error with its line, not a category.
    let options = CsvOptions::default()
        .kind("time_on_site", ColumnKind::Numeric)
        .kind("pages_viewed", ColumnKind::Numeric)
        .kind("source", ColumnKind::Categorical)
        .kind("device", ColumnKind::Categorical);
    let visits = Labelled::new(options.read_path(data).context(cannot)?, "converted").context(cannot)?;
    let (train, test) = visits.split(0.2, seed).context(cannot)?;
    let logistic = TrainedModel::fit(&train, Logistic::params())?;
    let forest = TrainedModel::fit(&train, Forest::params().trees(100).min_leaf(5).seed(seed))?;
    let changed = file::replace(file, &forest.to_bytes()?)?;
    let reloaded = TrainedModel::load(file)?;

    let (lines, trees) = (logistic.probabilities(test.frame())?, reloaded.probabilities(test.frame())?);
    let curves = [("random forest", trees.as_slice()), ("logistic regression", lines.as_slice())];
    let importances = reloaded.permutation_importances(&test, 5, seed)?;
    let evaluation = reloaded.evaluate(&test)?;
    let shuffled = chart::permutation_importance(&importances, Lang::En).into();
    Ok(Prediction {
        rows: visits.rows(),
        logistic: logistic.evaluate(&test)?,
        report: reloaded.report(&evaluation).to_string(),
        forest: evaluation,
        charts: vec![chart::roc(test.labels(), &curves, Lang::En)?.into(), shuffled],
        importances,
        reloaded_equal: forest.probabilities(test.frame())? == trees,
        changed,
    })
}

/// Sends the welcome emails, and the first emails about carts, that are due at `now`, into a folder of `.eml` files. Everything
/// is rendered before the first one leaves; the outbox remembers who was sent what, so that running again sends nothing twice.
pub(crate) async fn emails(
    a: &Arguments,
    data: &Path,
    carts: &[AbandonedCart],
    now: DateTime<Utc>,
) -> Step<Emails> {
    let mut emails = Emails::default();
    let Some(sender) = a.sender() else { return Ok(emails) };
    // The outbox is in the warehouse's file: one file to back up, one to remove.
    let outbox = Outbox::open(a.out.join("mkt.sqlite")).await?;
    let maildir = Maildir::open(a.out.join("mails"))?;
    let log = a.out.join("send_log.ndjson");
    let unkept = || format!("cannot keep {}", log.display());
    // A log that cannot be kept is found out before the first email leaves.
    outbox.write_send_log(&log).await.context(unkept)?;

    let welcome = Template::welcome(Language::French)?;
    let mut mailing = Mailing::open(&data.join("inscrits.csv"), welcome, sender.clone(), "bienvenue")?;
    let mut queue = mailing.next(usize::MAX)?;
    emails.quarantined = mailing.standing(Standing::default()).quarantined;
    let relaunch = Relaunch::open(&data.join("customers.csv"), sender, &Secret::new(UNSUBSCRIBE_KEY))?;
    for cart in carts.iter().filter(|cart| now - cart.last_added_at <= RELAUNCH_WITHIN) {
        match relaunch.email(cart) {
            Ok(None) => emails.unreachable += 1,
            Err(_) => emails.quarantined += 1,
            Ok(Some((consent, email))) => {
                outbox.record_consents(consent.as_slice()).await?;
                queue.push(email);
            }
        }
    }
    for answer in outbox.enqueue(&queue, now).await? {
        match answer {
            Enqueued::AlreadyThere(_, State::Accepted) => emails.already_sent += 1,
            Enqueued::Suppressed(..) => emails.suppressed += 1,
            _ => {}
        }
    }
    let clock = ManualClock::skipping(now);
    emails.accepted = outbox.run(&maildir, &clock, &RunOptions::default()).await?.accepted;
    let counts = outbox.counts(None).await?;
    (emails.pending, emails.unknown, emails.sent) = (counts.pending, counts.unknown, counts.sent);
    outbox.write_send_log(&log).await.context(unkept)?;
    outbox.close().await;
    Ok(emails)
}
