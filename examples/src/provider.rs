//! The email providers by name, with their keys from the environment.

use crate::failure::Step;
use crate::file;
use mkt_connect::Secret;
use mkt_email::{Brevo, BrevoBuilder, EmailProvider, Maildir, Mailgun, MailgunBuilder, Region, Smtp};
use std::path::Path;

/// Opens a provider: `brevo` (`BREVO_API_KEY`), `mailgun` (`MAILGUN_API_KEY`, `MAILGUN_DOMAIN`, `MAILGUN_REGION`), `smtp`
/// (`SMTP_URL`), or `maildir`, which writes `.eml` files into a folder. Nothing is sent.
///
/// # Errors
/// A variable that is missing, a base URL where the provider has none, and what the builders refuse.
pub fn from_env(name: &str, base_url: Option<&str>, folder: &Path) -> Step<Box<dyn EmailProvider>> {
    let key = |variable: &str| {
        Secret::from_env(variable)
            .ok_or_else(|| format!("set {variable} in the environment: --provider {name} needs it"))
    };
    Ok(match name {
        "brevo" => {
            let builder = Brevo::builder(key("BREVO_API_KEY")?);
            Box::new(base_url.into_iter().fold(builder, BrevoBuilder::base_url).build()?)
        }
        "mailgun" => {
            let domain = key("MAILGUN_DOMAIN")?;
            let region = match std::env::var("MAILGUN_REGION").unwrap_or_default().trim() {
                "" | "us" | "US" => Region::Us,
                "eu" | "EU" => Region::Eu,
                _ => Err("invalid MAILGUN_REGION: expected us or eu")?,
            };
            let builder = Mailgun::builder(key("MAILGUN_API_KEY")?, domain.expose()).region(region);
            Box::new(base_url.into_iter().fold(builder, MailgunBuilder::base_url).build()?)
        }
        "smtp" if base_url.is_some() => {
            Err("--base-url is for brevo and mailgun; SMTP_URL names the server")?
        }
        "smtp" => Box::new(Smtp::from_url(&key("SMTP_URL")?)?.build()?),
        _ if base_url.is_some() => Err("--base-url is for brevo and mailgun")?,
        _ => {
            folder.parent().map(file::make_private_folder).transpose()?;
            Box::new(Maildir::open(folder)?)
        }
    })
}
