//! Receives webhooks of Brevo and Mailgun, unsubscribe and confirmation links, and reports by campaign:
//! `cargo run --release --example email_events -- --listen 127.0.0.1:8080 --state marketing.db`.

mod arguments;

use arguments::Arguments;
use clap::Parser;
use mkt_email::confirm::ConfirmKeys;
use mkt_email::outbox::CampaignReport;
use mkt_email::unsubscribe::UnsubscribeKeys;
use mkt_email::webhook::{BrevoWebhook, BrevoWebhookBuilder, MailgunWebhook, WebhookServer};
use mkt_email::{Outbox, Secret, Stop};
use mkt_examples::{Answer, Context, Program, Step, say};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

fn main() -> ExitCode {
    let (arguments, stop) = (Arguments::parse(), Stop::new());
    Program::new("email_events").stop(&stop).logs().run(run(arguments, stop))
}

async fn run(arguments: Arguments, stop: Stop) -> Step<Answer> {
    let state = || format!("cannot use the state {}", arguments.state.display());
    if arguments.report && !arguments.state.exists() {
        return Err(
            format!("cannot read the state {}: there is no such file", arguments.state.display()).into()
        );
    }
    let outbox = Outbox::open(&arguments.state).await.context(state)?;
    match arguments.listen {
        Some(address) => serve(outbox, address, &arguments, &stop).await,
        None => {
            let report = Report::of(outbox.campaign_report().await.context(state)?);
            outbox.close().await;
            Answer::of(arguments.json, &report, Report::text)
        }
    }
}

async fn serve(outbox: Outbox, address: SocketAddr, arguments: &Arguments, stop: &Stop) -> Step<Answer> {
    let mut server = WebhookServer::builder(outbox.clone()).language(arguments.lang);
    let brevo = keys("BREVO_WEBHOOK_TOKEN");
    if !brevo.is_empty() {
        let webhook = brevo.iter().fold(BrevoWebhook::builder(), BrevoWebhookBuilder::bearer);
        server = server.brevo(webhook.build().context(|| "BREVO_WEBHOOK_TOKEN".to_owned())?);
    }
    if let Some((first, others)) = keys("MAILGUN_WEBHOOK_KEY").split_first() {
        let webhook = others.iter().try_fold(MailgunWebhook::new(first)?, MailgunWebhook::accepting)?;
        server = server.mailgun(webhook);
    }
    if let Some((first, others)) = keys("MKT_UNSUBSCRIBE_KEY").split_first() {
        server = server
            .unsubscribe(others.iter().try_fold(UnsubscribeKeys::new(first)?, UnsubscribeKeys::accepting)?)
            .confirm(others.iter().try_fold(ConfirmKeys::new(first)?, ConfirmKeys::accepting)?);
    }
    let server = server.build().map_err(|error| {
        format!("{error}: set MAILGUN_WEBHOOK_KEY, BREVO_WEBHOOK_TOKEN or MKT_UNSUBSCRIBE_KEY")
    })?;
    let listener =
        tokio::net::TcpListener::bind(address).await.context(|| format!("cannot listen on {address}"))?;
    say(format_args!("email_events: listening on http://{}", listener.local_addr()?));
    server.serve(listener, stop).await?;
    outbox.close().await;
    Ok(Answer::nothing())
}

/// The keys of an environment variable, separated by commas.
fn keys(name: &str) -> Vec<Secret> {
    let value = std::env::var(name).unwrap_or_default();
    value.split(',').map(str::trim).filter(|key| !key.is_empty()).map(Secret::new).collect()
}

#[derive(Serialize)]
struct Report {
    events: BTreeMap<String, u64>,
    campaigns: Vec<CampaignReport>,
}

impl Report {
    fn of(campaigns: Vec<CampaignReport>) -> Self {
        let mut events = BTreeMap::new();
        for (kind, count) in campaigns.iter().flat_map(|campaign| &campaign.events) {
            *events.entry(kind.clone()).or_default() += count;
        }
        Self { events, campaigns }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (kind, count) in &self.events {
            let _ = writeln!(text, "{count:>10}  {kind}");
        }
        for campaign in &self.campaigns {
            let percent =
                |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| format!("{:.1} %", rate * 100.0));
            let rates = &campaign.rates;
            let _ = writeln!(
                text,
                "\n{}\n  sent {}, delivered {} ({} of sent), bounced {} ({} of sent)\n  opened {} ({} of delivered; by people \
                 {}, by proxies {}), clicked {} ({} of delivered)\n  unsubscribed {}, complained {} ({} of delivered)",
                campaign.campaign.as_deref().unwrap_or("(no campaign)"),
                campaign.sent,
                campaign.delivered,
                percent(rates.delivered_of_sent),
                campaign.bounced,
                percent(rates.bounced_of_sent),
                campaign.opened,
                percent(rates.opened_of_delivered),
                campaign.opened_human,
                campaign.opened_proxy,
                campaign.clicked,
                percent(rates.clicked_of_delivered),
                campaign.unsubscribed,
                campaign.complained,
                percent(rates.complained_of_delivered),
            );
        }
        if text.is_empty() { "no events\n".to_owned() } else { text }
    }
}
