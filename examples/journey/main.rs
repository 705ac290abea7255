//! Journeys: record what happened, do what is due, say who is where and what it led to:
//! `cargo run --release --example journey -- --definition cart --state journey/state.db --triggers examples/data/carts.ndjson --clock virtual`.

mod arguments;

use arguments::Arguments;
use chrono::{DateTime, Utc};
use clap::Parser;
use mkt_email::journey::{Advanced, Composer, Definition, Journeys, Templates, WhereaboutsOptions};
use mkt_email::unsubscribe::UnsubscribeKeys;
use mkt_email::{Clock, EmailProvider, ManualClock, Outbox, RunOptions, Secret, Stop, SystemClock};
use mkt_examples::journeys::{self, Standing};
use mkt_examples::{Answer, Context, Program, Step, file, mailing, provider, say};
use std::process::ExitCode;

fn main() -> ExitCode {
    let (arguments, stop) = (Arguments::parse(), Stop::new());
    Program::new("journey").stop(&stop).run(journey(&arguments, &stop))
}

async fn journey(arguments: &Arguments, stop: &Stop) -> Step<Answer> {
    // Definition, triggers and keys first: what is wrong with them is an error before anything is written.
    let definition = definition(&arguments.definition)?;
    let told = arguments.triggers.as_deref().map(journeys::read).transpose()?.unwrap_or_default();
    let templates = templates(arguments)?;
    if let Some(template) = definition.templates().find(|template| !templates.knows(template)) {
        Err(format!("there is no template {template:?}: expected welcome, cart_relaunch or cart_promotion"))?;
    }
    let folder = arguments.folder();
    let provider = provider::from_env(&arguments.provider, None, &folder.join("mails"))?;
    let state = || format!("cannot use the state {}", arguments.state.display());
    file::make_private_folder(folder).context(state)?;
    let outbox = Outbox::open(&arguments.state).await.context(state)?;
    let journeys = Journeys::open(&outbox).await.context(state)?;

    let now = Utc::now();
    let since = told.first_at().unwrap_or(now);
    let version = journeys.define(&definition, since).await.context(state)?;
    outbox.record_consents(&told.consents).await.context(state)?;
    let mut standing = Standing::new(definition.name(), version, &told);
    for some in told.triggers.chunks(1_000) {
        standing.answered(&journeys.trigger(some, now).await.context(state)?);
    }

    let clock: Box<dyn Clock> = match arguments.clock.as_str() {
        "virtual" => {
            let due = journeys.next_due().await.context(state)?.unwrap_or(since);
            Box::new(ManualClock::skipping(due))
        }
        _ => Box::new(SystemClock::new()),
    };
    let until = arguments.until.unwrap_or(match arguments.clock.as_str() {
        "virtual" => DateTime::<Utc>::MAX_UTC,
        _ => now,
    });
    let run =
        Run { outbox: &outbox, journeys: &journeys, templates: &templates, clock: clock.as_ref(), stop };
    standing.advanced = run.until(until, provider.as_ref()).await?;

    standing.emails(&outbox.counts(None).await.context(state)?);
    standing.next_due = journeys.next_due().await.context(state)?;
    standing.report = Some(journeys.report(definition.name(), clock.now()).await.context(state)?);
    if arguments.explain {
        let mut options = WhereaboutsOptions::default().limit(20);
        options.addresses = arguments.addresses;
        let whereabouts = journeys.whereabouts(definition.name(), &options).await.context(state)?;
        let drawing = folder.join("journey.svg");
        file::replace(&drawing, definition.diagram(Some(&whereabouts)).svg().as_bytes())?;
        (standing.whereabouts, standing.drawing) = (Some(whereabouts), Some(drawing.display().to_string()));
    }
    outbox.close().await;
    for line in told.quarantined.iter().take(10) {
        say(format_args!("journey: quarantined: {line}"));
    }
    let code = if stop.is_requested() { 130 } else { standing.code() };
    Ok(Answer::of(arguments.json, &standing, Standing::text)?.code(code))
}

fn definition(name: &str) -> Step<Definition> {
    Ok(match name {
        "welcome" => Definition::welcome()?,
        "cart" => Definition::cart_relaunch()?,
        path => {
            let cannot = || format!("cannot read {path}");
            Definition::from_toml(&std::fs::read_to_string(path).context(cannot)?).context(cannot)?
        }
    })
}

fn templates(arguments: &Arguments) -> Step<Templates> {
    let (from, site) = (&arguments.from, mailing::site_of(&arguments.from));
    let url = |path: &str| format!("https://{}/{path}", from.address.domain()).parse();
    let key = match (Secret::from_env("JOURNEY_UNSUBSCRIBE_KEY"), arguments.provider.as_str()) {
        (Some(key), _) => key,
        // Files on this disk: nobody follows their links.
        (None, "maildir") => Secret::new("the key of an example, which nobody trusts"),
        (None, _) => {
            Err("set JOURNEY_UNSUBSCRIBE_KEY in the environment: it signs the links to unsubscribe")?
        }
    };
    Ok(Templates::new(from.clone(), site, url("")?)?
        .language(arguments.lang)
        .unsubscribe(UnsubscribeKeys::new(&key)?, url("unsubscribe")?)
        .value("offer", arguments.offer.as_str()))
}

/// What a run needs.
struct Run<'a> {
    outbox: &'a Outbox,
    journeys: &'a Journeys,
    templates: &'a Templates,
    clock: &'a dyn Clock,
    stop: &'a Stop,
}

impl Run<'_> {
    /// Does what is due until an instant, each at its time, and sends the emails.
    async fn until(&self, end: DateTime<Utc>, provider: &dyn EmailProvider) -> Step<Advanced> {
        let mut done = Advanced::default();
        let mut options = RunOptions::default();
        options.stop = self.stop.clone();
        loop {
            // To the next due instant and no further: its emails leave before the next decision.
            let next = self.journeys.next_due().await?.filter(|next| *next <= end);
            if let Some(next) = next.filter(|_| !self.stop.is_requested()) {
                let some = self.journeys.run(
                    self.templates,
                    self.clock,
                    next.max(self.clock.now()).min(end),
                    self.stop,
                );
                done.add(&some.await?);
            }
            self.outbox.run(provider, self.clock, &options).await?;
            if next.is_none() || self.stop.is_requested() {
                return Ok(done);
            }
        }
    }
}
