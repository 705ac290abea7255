//! The Rust side of `compare/email/smtp.py`: sends mails to a server on this machine, by our provider or by lettre's
//! pooled transport, and prints one line of JSON with the time that it took.
//!
//! Ours builds every mail from its parts, as an application does; lettre is handed bytes that were built before.

use lettre::transport::smtp::PoolConfig;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use mkt_email::provider::{Group, Outgoing};
use mkt_email::{EmailProvider, IdempotencyKey, Message, Outcome, Smtp};
use std::error::Error;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::task::JoinSet;

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[derive(clap::Parser)]
#[command(about = "Sends mails to 127.0.0.1 and says how long it took")]
struct Arguments {
    /// Who sends.
    engine: Engine,
    /// The port.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Connections at a time.
    #[arg(long, default_value_t = 1)]
    connections: u32,
    /// Mails in all.
    #[arg(long, default_value_t = 0)]
    count: usize,
    /// Size of one mail's text.
    #[arg(long, default_value_t = 500)]
    text_bytes: usize,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Engine {
    /// The provider of mkt-email.
    Ours,
    /// lettre's pooled transport.
    Lettre,
    /// Nobody: prints the mail, for the other peers.
    Print,
}

#[tokio::main]
async fn main() -> Fallible<()> {
    let arguments = <Arguments as clap::Parser>::parse();
    let message = message(arguments.text_bytes)?;
    let bytes = message.to_mime(IdempotencyKey::from_text("bench"), chrono::DateTime::UNIX_EPOCH)?;
    let seconds = match arguments.engine {
        Engine::Ours => ours(&arguments, message).await?,
        Engine::Lettre => lettre(&arguments, bytes).await?,
        Engine::Print => return Ok(std::io::stdout().write_all(&bytes)?),
    };
    Ok(writeln!(std::io::stdout(), r#"{{"seconds":{seconds},"count":{}}}"#, arguments.count)?)
}

fn message(text_bytes: usize) -> Fallible<Message> {
    let line = "The quick brown fox jumps over the lazy dog, and the dog does not mind.\n";
    let text: String = line.chars().cycle().take(text_bytes).collect();
    Ok(Message::builder("news@example.com".parse()?, "reader@example.org".parse()?, "Hello".parse()?)
        .text(text)
        .build()?)
}

/// Runs as many workers as there are connections until all mails are sent.
async fn shared_out<F: Future<Output = Fallible<()>> + Send + 'static>(
    arguments: &Arguments,
    send: impl Fn(usize) -> F + Clone + Send + 'static,
) -> Fallible<f64> {
    let (next, count) = (Arc::new(AtomicUsize::new(0)), arguments.count);
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..arguments.connections {
        let (next, send) = (Arc::clone(&next), send.clone());
        workers.spawn(async move {
            loop {
                match next.fetch_add(1, Ordering::Relaxed) {
                    number if number < count => send(number).await?,
                    _ => return Fallible::Ok(()),
                }
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        done??;
    }
    Ok(begun.elapsed().as_secs_f64())
}

async fn ours(arguments: &Arguments, message: Message) -> Fallible<f64> {
    let smtp = Smtp::builder("127.0.0.1")
        .port(arguments.port)
        .unencrypted()
        .connections(arguments.connections as usize)
        .build()?;
    let message = Arc::new(message);
    shared_out(arguments, move |number| {
        let (smtp, message) = (smtp.clone(), Arc::clone(&message));
        async move {
            let key = IdempotencyKey::from_text(&format!("bench {number}"));
            let group = Group::new(chrono::DateTime::UNIX_EPOCH, vec![Outgoing { key, message }]);
            match smtp.send(&group).await?.as_slice() {
                [Outcome::Accepted { .. }] => Ok(()),
                other => Err(format!("{other:?}").into()),
            }
        }
    })
    .await
}

async fn lettre(arguments: &Arguments, bytes: Vec<u8>) -> Fallible<f64> {
    let transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous("127.0.0.1")
        .port(arguments.port)
        .pool_config(PoolConfig::new().max_size(arguments.connections))
        .build();
    let envelope = lettre::address::Envelope::new(
        Some("news@example.com".parse()?),
        vec!["reader@example.org".parse()?],
    )?;
    let mail = Arc::new((envelope, bytes));
    shared_out(arguments, move |_| {
        let (transport, mail) = (transport.clone(), Arc::clone(&mail));
        async move { Ok(transport.send_raw(&mail.0, &mail.1).await.map(drop)?) }
    })
    .await
}
