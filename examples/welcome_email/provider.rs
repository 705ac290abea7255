//! The provider that was asked for: one line each.

use crate::Step;
use crate::arguments::{Arguments, Provider};
use crate::named::Named;
use mkt_connect::Secret;
use mkt_email::{Brevo, BrevoBuilder, EmailProvider, Maildir, Mailgun, MailgunBuilder, Region, Smtp};

/// Makes the provider. Nothing is sent.
pub(crate) fn open(arguments: &Arguments) -> Step<Box<dyn EmailProvider>> {
    let base_url = arguments.base_url.as_deref();
    let key = |name: &str| {
        let provider = format!("{:?}", arguments.provider).to_lowercase();
        Secret::from_env(name)
            .ok_or_else(|| format!("set {name} in the environment: --provider {provider} needs it"))
    };
    Ok(match arguments.provider {
        Provider::Brevo => {
            let builder = Brevo::builder(key("BREVO_API_KEY")?);
            Box::new(base_url.into_iter().fold(builder, BrevoBuilder::base_url).build()?)
        }
        Provider::Mailgun => {
            let domain = key("MAILGUN_DOMAIN")?;
            let region = std::env::var("MAILGUN_REGION").unwrap_or_default().trim().to_ascii_lowercase();
            let region = match region.as_str() {
                "" | "us" => Region::Us,
                "eu" => Region::Eu,
                _ => Err("MAILGUN_REGION is neither us nor eu")?,
            };
            let builder = Mailgun::builder(key("MAILGUN_API_KEY")?, domain.expose());
            let builder = builder.region(region);
            Box::new(base_url.into_iter().fold(builder, MailgunBuilder::base_url).build()?)
        }
        Provider::Smtp if base_url.is_some() => {
            Err("--base-url is for brevo and mailgun; SMTP_URL names the server")?
        }
        Provider::Smtp => Box::new(Smtp::from_url(&key("SMTP_URL")?)?.build()?),
        Provider::Maildir if base_url.is_some() => Err("--base-url is for brevo and mailgun")?,
        Provider::Maildir => {
            crate::make_folder(arguments.folder())
                .named(|| format!("cannot make the folder {}", arguments.folder().display()))?;
            Box::new(Maildir::open(arguments.folder().join("mails"))?)
        }
    })
}
