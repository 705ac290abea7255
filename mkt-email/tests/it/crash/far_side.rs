//! The provider of the crash tests: a process of its own, which outlives the senders and writes down, on disk, every
//! delivery before it answers. It is spoken to over a socket, one call to a connection, and knows modes of misbehaviour.
//!
//! A call is a line `group key address [key address ...]`, or `ask key ...`; the answer is a line of words, one per
//! email.

use async_trait::async_trait;
use mkt_connect::{Delivery, Error, ErrorKind, Result};
use mkt_email::message::Feature;
use mkt_email::provider::{Capabilities, Group, Idempotency, Settlement};
use mkt_email::{EmailProvider, Outcome};
use rand::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How the far side behaves, and what it says it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Recognises keys; groups of ten.
    Idempotent,
    /// Delivers again whatever it is given; one email to the call, as SMTP.
    Forgetful,
    /// As forgetful, but can be asked; one answer in ten is lost.
    AnswersLost,
    /// Recognises keys; one call in ten is told to come back in a second.
    Throttled,
}

impl Mode {
    pub(super) const ALL: [Self; 4] = [Self::Idempotent, Self::Forgetful, Self::AnswersLost, Self::Throttled];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Idempotent => "idempotent",
            Self::Forgetful => "forgetful",
            Self::AnswersLost => "answers_lost",
            Self::Throttled => "throttled",
        }
    }

    pub(super) fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|mode| mode.name() == text).unwrap()
    }

    /// Emails to a call.
    pub(super) fn group(self) -> usize {
        if matches!(self, Self::Idempotent | Self::Throttled) { 10 } else { 1 }
    }

    fn idempotency(self) -> Idempotency {
        match self {
            Self::Idempotent | Self::Throttled => Idempotency::Key { within: None },
            Self::Forgetful => Idempotency::None,
            // A call that the dead began may still arrive: only what is older is asked about.
            Self::AnswersLost => Idempotency::LookUp { after: Duration::from_millis(300) },
        }
    }
}

/// The provider as the sender sees it.
#[derive(Debug)]
pub(super) struct FarSide {
    port: u16,
    capabilities: Capabilities,
}

impl FarSide {
    pub(super) fn new(port: u16, mode: Mode) -> Self {
        let mut capabilities = Capabilities::minimal();
        capabilities.features.extend(Feature::ALL);
        capabilities.max_recipients = mode.group();
        capabilities.idempotency = mode.idempotency();
        Self { port, capabilities }
    }

    async fn ask(&self, line: String) -> Result<String> {
        let refused = |cause| Error::new(ErrorKind::Unavailable, "far side", "connect").with_source(cause);
        let mut socket = TcpStream::connect(("127.0.0.1", self.port)).await.map_err(refused)?;
        let lost = |cause| {
            Error::new(ErrorKind::Unavailable, "far side", "send")
                .delivered(Delivery::Unknown)
                .with_source(cause)
        };
        socket.write_all(line.as_bytes()).await.map_err(lost)?;
        let mut answer = String::new();
        BufReader::new(socket).read_line(&mut answer).await.map_err(lost)?;
        Ok(answer)
    }
}

#[async_trait]
impl EmailProvider for FarSide {
    fn name(&self) -> &'static str {
        "far side"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        let mut line = "send".to_owned();
        for email in group.emails() {
            line += &format!(" {} {}", email.key, email.message.to().address.as_str());
        }
        let answer = self.ask(line + "\n").await?;
        match answer.trim() {
            "" => Ok(vec![
                Outcome::Unknown { stage: mkt_email::provider::Stage::AwaitingAnswer };
                group.emails().len()
            ]),
            "later" => Err(Error::new(ErrorKind::RateLimited, "far side", "send")
                .delivered(Delivery::Answered)
                .with_retry_after(Duration::from_secs(1))),
            _ => Ok(group
                .emails()
                .iter()
                .map(|email| Outcome::Accepted { id: email.key.to_string() })
                .collect()),
        }
    }

    async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
        if self.capabilities.idempotency == Idempotency::None {
            return Ok(vec![Settlement::StillUnknown; group.emails().len()]);
        }
        let keys: Vec<String> = group.emails().iter().map(|email| email.key.to_string()).collect();
        let answer = self.ask(format!("ask {}\n", keys.join(" "))).await?;
        let known = |word: &str| match word {
            "yes" => Settlement::Known(Outcome::Accepted { id: "asked".to_owned() }),
            _ => Settlement::NotArrived,
        };
        Ok(answer.split_whitespace().map(known).collect())
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

struct Ledger {
    file: std::fs::File,
    seen: HashSet<String>,
    random: SplitMix64,
}

/// Serves until the process is killed. The port is written to `port` in the directory, deliveries to `ledger`, calls
/// whose answer was withheld to `withheld`.
pub(super) async fn serve(directory: &Path, mode: Mode, seed: u64) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = |name: &str| {
        std::fs::OpenOptions::new().create(true).append(true).open(directory.join(name)).unwrap()
    };
    let random = SplitMix64::seed_from_u64(seed);
    let ledger = Arc::new(Mutex::new(Ledger { file: open("ledger"), seen: HashSet::new(), random }));
    let withheld = Arc::new(Mutex::new(open("withheld")));
    let port = listener.local_addr().unwrap().port().to_string();
    std::fs::write(directory.join("port.new"), port).unwrap();
    std::fs::rename(directory.join("port.new"), directory.join("port")).unwrap();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let (ledger, withheld) = (Arc::clone(&ledger), Arc::clone(&withheld));
        tokio::spawn(async move {
            let mut socket = BufReader::new(socket);
            let mut line = String::new();
            // A call that the killed sender did not finish is none.
            if socket.read_line(&mut line).await.is_err() || !line.ends_with('\n') {
                return;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            if words[0] == "ask" {
                let answer: Vec<_> = {
                    let ledger = ledger.lock().unwrap();
                    words[1..]
                        .iter()
                        .map(|key| if ledger.seen.contains(*key) { "yes" } else { "no" })
                        .collect()
                };
                let _ = socket.write_all((answer.join(" ") + "\n").as_bytes()).await;
                return;
            }
            let (dice, delay) = {
                let mut ledger = ledger.lock().unwrap();
                (ledger.random.random_range(0..10), ledger.random.random_range(0..3000))
            };
            if mode == Mode::Throttled && dice == 0 {
                let _ = socket.write_all(b"later\n").await;
                return;
            }
            // The kill may come before the delivery, and between it and the answer.
            tokio::time::sleep(Duration::from_micros(delay)).await;
            {
                let mut ledger = ledger.lock().unwrap();
                for email in words[1..].chunks(2) {
                    let again = !ledger.seen.insert(email[0].to_owned());
                    if !(again && matches!(mode, Mode::Idempotent | Mode::Throttled)) {
                        ledger.file.write_all(format!("{}\n", email[1]).as_bytes()).unwrap();
                    }
                }
                ledger.file.sync_data().unwrap();
            }
            tokio::time::sleep(Duration::from_micros(delay)).await;
            if mode == Mode::AnswersLost && dice == 0 {
                withheld.lock().unwrap().write_all(line.as_bytes()).unwrap();
                return;
            }
            let _ = socket.write_all(b"taken\n").await;
        });
    }
}
