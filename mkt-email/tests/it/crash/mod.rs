//! The process dies at any instruction: nobody is lost, nobody is mailed twice, the counts add up.
//!
//! The test runs its own binary again, as the provider ([`the_far_side`]) and as the senders
//! ([`the_process_to_be_killed`]), and kills senders with SIGKILL at random instants. What was delivered is read from
//! the provider's own file, which was made durable before it answered. `MKT_TEST_KILLS` (6, in each mode and engine),
//! `MKT_TEST_MAILS` (300) and `MKT_TEST_SEED` (1) choose how often, among how many and when: the long proof is 200 kills
//! among 10 000 emails.
//!
//! That the test bites is a test: [`sender_that_sends_before_committing_is_caught`] runs a sender that is broken so.

mod far_side;

use crate::engines::{Engine, Place, on_each_engine};
use crate::help::{reader, transactional};
use far_side::{FarSide, Mode};
use mkt_email::{Clock, EmailProvider, IdempotencyKey, Maildir, Outbox, RunOptions, SystemClock};
use rand::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Calls that a sender makes side by side.
const IN_FLIGHT: usize = 3;

on_each_engine!(
    killed_senders_with_keys_lose_and_repeat_nobody,
    killed_senders_without_idempotency_repeat_nobody,
    killed_senders_with_lost_answers_repeat_nobody,
    killed_senders_with_rate_limits_lose_and_repeat_nobody,
    two_senders_killed_in_turn_lose_and_repeat_nobody,
    four_senders_repeat_nobody,
);

fn count() -> usize {
    number("MKT_TEST_MAILS", 300) as usize
}

fn emails() -> Vec<mkt_email::NewEmail> {
    (0..count()).map(|number| transactional("crash", &reader(number))).collect()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[tokio::test]
#[ignore = "run by the crash tests, as a process of its own"]
async fn the_far_side() {
    let mode = Mode::parse(&variable("MKT_CRASH_MODE"));
    far_side::serve(Path::new(&variable("MKT_CRASH_DIR")), mode, number("MKT_TEST_SEED", 1)).await;
}

#[tokio::test]
#[ignore = "run by the crash tests, as a process of its own"]
async fn the_process_to_be_killed() {
    let (directory, mode) = (PathBuf::from(variable("MKT_CRASH_DIR")), variable("MKT_CRASH_MODE"));
    let url = variable("MKT_CRASH_URL");
    let provider: Box<dyn EmailProvider> = match mode.as_str() {
        "maildir" => Box::new(Maildir::open(directory.join("mails")).unwrap()),
        mode => {
            let port = std::fs::read_to_string(directory.join("port")).unwrap().parse().unwrap();
            Box::new(FarSide::new(port, Mode::parse(mode)))
        }
    };
    let outbox = Outbox::connect(&url).await.unwrap();
    if outbox.counts(None).await.unwrap().recipients == 0 {
        outbox.enqueue(&emails(), chrono::Utc::now()).await.unwrap();
    }
    if std::env::var_os("MKT_CRASH_BROKEN").is_some() {
        return send_before_commit(&url, provider.as_ref()).await;
    }
    let mut options = RunOptions::default();
    options.batch = 40;
    options.calls_in_flight = IN_FLIGHT;
    options.wait_up_to = Duration::from_secs(120);
    let clock = SystemClock::new();
    outbox.run(&provider, &clock, &options).await.unwrap();
    // Lost answers can be asked about a little later.
    clock.sleep(Duration::from_millis(if mode == "answers_lost" { 350 } else { 0 })).await;
    for _ in 0..10 {
        let counts = outbox.counts(None).await.unwrap();
        if counts.pending == 0 && (counts.unknown == 0 || mode == "forgetful") {
            break;
        }
        outbox.run(&provider, &clock, &options).await.unwrap();
        clock.sleep(Duration::from_millis(350)).await;
    }
}

/// A sender as many are: it sends, and then writes down that it did.
async fn send_before_commit(url: &str, provider: &dyn EmailProvider) {
    let pool = sqlx::SqlitePool::connect(url).await.unwrap();
    loop {
        let due: Option<String> = sqlx::query_scalar(
            "SELECT recipient FROM mail_outbox WHERE state = 'pending' ORDER BY position LIMIT 1",
        )
        .fetch_optional(&pool)
        .await
        .unwrap();
        let Some(to) = due else { return };
        let message = crate::help::message(&to.parse().unwrap()).into();
        let email = mkt_email::provider::Outgoing { key: IdempotencyKey::from_text(&to), message };
        provider.send(&mkt_email::provider::Group::new(chrono::Utc::now(), vec![email])).await.unwrap();
        sqlx::query("UPDATE mail_outbox SET state = 'accepted' WHERE recipient = $1")
            .bind(to)
            .execute(&pool)
            .await
            .unwrap();
    }
}

/// Ends with the test, however the test ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A provider that runs, and the outbox in front of it.
struct Scene {
    directory: tempfile::TempDir,
    place: Place,
    mode: &'static str,
    broken: bool,
    _far_side: Option<Process>,
}

impl Scene {
    async fn new(engine: Engine, mode: &'static str) -> Self {
        let place = engine.place().await;
        if count() > 300 {
            // More than a sender could enqueue between two kills.
            place.open().await.enqueue(&emails(), chrono::Utc::now()).await.unwrap();
        }
        let directory = tempfile::tempdir().unwrap();
        let mut scene = Self { directory, place, mode, broken: false, _far_side: None };
        if mode != "maildir" {
            scene._far_side = Some(Process(scene.start("crash::the_far_side")));
            let port = scene.directory.path().join("port");
            let end = Instant::now() + Duration::from_secs(30);
            while !port.exists() {
                assert!(Instant::now() < end, "the far side does not begin");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        scene
    }

    fn start(&self, name: &str) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([name, "--exact", "--ignored", "--nocapture"])
            .env("MKT_CRASH_DIR", self.directory.path())
            .env("MKT_CRASH_MODE", self.mode)
            .env("MKT_CRASH_URL", &self.place.url)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if self.broken {
            command.env("MKT_CRASH_BROKEN", "1");
        }
        command.spawn().unwrap()
    }

    fn sender(&self) -> Child {
        self.start("crash::the_process_to_be_killed")
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.directory.path().join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How often each was delivered.
    fn delivered(&self) -> BTreeMap<String, usize> {
        let mut delivered = BTreeMap::new();
        for to in self.lines("ledger") {
            *delivered.entry(to).or_default() += 1;
        }
        delivered
    }

    fn repeated(&self) -> usize {
        self.delivered().values().filter(|count| **count > 1).count()
    }

    /// Kills senders, `side_by_side` at a time, again and again, and then lets one end. Returns how many kills found a
    /// sender alive, and how often the counts were looked at.
    async fn torment(&self, kills: u64, side_by_side: usize, patience: u64) -> (u64, u64) {
        let seed = number("MKT_TEST_SEED", 1);
        let mut random = SplitMix64::seed_from_u64(seed);
        let watched = self.place.open().await;
        let (mut interrupted, mut polls) = (0, 0);
        let mut senders: Vec<Process> = (0..side_by_side).map(|_| Process(self.sender())).collect();
        for kill in 0..kills {
            let end = Instant::now() + Duration::from_millis(random.random_range(10..patience));
            while Instant::now() < end {
                require_identity(&watched).await;
                polls += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            // One dies; the others go on beside its successor.
            let victim = &mut senders[kill as usize % side_by_side].0;
            interrupted += u64::from(victim.try_wait().unwrap().is_none());
            victim.kill().unwrap();
            victim.wait().unwrap();
            require_identity(&watched).await;
            senders[kill as usize % side_by_side] = Process(self.sender());
        }
        for sender in &mut senders {
            assert!(sender.0.wait().unwrap().success(), "the last sender failed (seed {seed})");
        }
        // Whatever the last ones left to a lease is taken over now.
        assert!(self.sender().wait().unwrap().success(), "the last sender failed (seed {seed})");
        (interrupted, polls)
    }

    /// Compares what was delivered with what the outbox says.
    #[expect(clippy::print_stdout, reason = "figures for the record")]
    async fn judge(&self, mode: Mode, interrupted: u64) {
        let delivered = self.delivered();
        let outbox = self.place.open().await;
        let log = self.directory.path().join("send.ndjson");
        outbox.write_send_log(&log).await.unwrap();
        let mut last: BTreeMap<String, String> = BTreeMap::new();
        for line in self.lines("send.ndjson") {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            last.insert(text("recipient"), text("outcome"));
        }
        let (mut lost, mut strange) = (0, Vec::new());
        for number in 0..count() {
            let to = reader(number);
            let count = delivered.get(to.as_str()).copied().unwrap_or(0);
            match last.get(to.as_str()).map(String::as_str) {
                Some("accepted") => lost += usize::from(count == 0),
                Some("unknown") => {}
                other => strange.push((number, other.map(str::to_owned), count)),
            }
        }
        let counts = outbox.counts(None).await.unwrap();
        println!(
            "{}: {interrupted} killed alive, lost {lost}, twice {}, unknown {}, {counts:?}",
            mode.name(),
            self.repeated(),
            counts.unknown
        );
        assert_eq!((lost, self.repeated(), strange), (0, 0, Vec::new()));
        assert_eq!(counts.sent + counts.unknown, count() as u64, "{counts:?}");
        let on_the_wire = match mode {
            // A kill leaves the calls that were being made, and no more, unknown.
            Mode::Forgetful => interrupted * (IN_FLIGHT * mode.group()) as u64,
            // Whoever can tell tells in the end.
            _ => 0,
        };
        assert!(counts.unknown <= on_the_wire, "{counts:?} after {interrupted} kills");
    }
}

async fn require_identity(watched: &Outbox) {
    let counts = watched.counts(None).await.unwrap();
    assert!(counts.add_up(), "{counts:?}");
    // Enqueued all at once or not at all.
    assert!([0, count() as u64].contains(&counts.recipients), "{counts:?}");
}

async fn kill_one_by_one(engine: Engine, mode: Mode) {
    let scene = Scene::new(engine, mode.name()).await;
    let patience = if mode == Mode::Forgetful || mode == Mode::AnswersLost { 300 } else { 150 };
    let (interrupted, polls) = scene.torment(number("MKT_TEST_KILLS", 6), 1, patience).await;
    scene.judge(mode, interrupted).await;
    assert!(interrupted > 0 && polls > 0, "no kill found a sender alive");
}

async fn killed_senders_with_keys_lose_and_repeat_nobody(engine: Engine) {
    kill_one_by_one(engine, Mode::Idempotent).await;
}

async fn killed_senders_without_idempotency_repeat_nobody(engine: Engine) {
    kill_one_by_one(engine, Mode::Forgetful).await;
}

async fn killed_senders_with_lost_answers_repeat_nobody(engine: Engine) {
    kill_one_by_one(engine, Mode::AnswersLost).await;
}

async fn killed_senders_with_rate_limits_lose_and_repeat_nobody(engine: Engine) {
    kill_one_by_one(engine, Mode::Throttled).await;
}

async fn two_senders_killed_in_turn_lose_and_repeat_nobody(engine: Engine) {
    let scene = Scene::new(engine, Mode::Forgetful.name()).await;
    let (interrupted, _) = scene.torment(number("MKT_TEST_KILLS", 6), 2, 200).await;
    scene.judge(Mode::Forgetful, interrupted).await;
}

async fn four_senders_repeat_nobody(engine: Engine) {
    let scene = Scene::new(engine, Mode::Forgetful.name()).await;
    let senders: Vec<Process> = (0..4).map(|_| Process(scene.sender())).collect();
    for mut sender in senders {
        assert!(sender.0.wait().unwrap().success());
    }
    scene.judge(Mode::Forgetful, 0).await;
    assert_eq!(scene.delivered().len(), count());
}

/// The harness with a sender that is broken on purpose: it must be found out.
#[tokio::test]
async fn sender_that_sends_before_committing_is_caught() {
    let mut scene = Scene::new(Engine::Sqlite, Mode::Forgetful.name()).await;
    scene.broken = true;
    for _ in 0..20 {
        scene.torment(3, 1, 150).await;
        if scene.repeated() > 0 {
            return;
        }
        scene.place.execute("UPDATE mail_outbox SET state = 'pending'").await;
        std::fs::write(scene.directory.path().join("ledger"), "").unwrap();
    }
    panic!("a sender that sends before it commits was not caught by 60 kills");
}

#[tokio::test]
async fn killed_senders_fill_a_maildir_without_loss_or_repetition() {
    let scene = Scene::new(Engine::Sqlite, "maildir").await;
    let (interrupted, _) = scene.torment(number("MKT_TEST_KILLS", 6), 1, 160).await;
    let mut reached: BTreeMap<String, usize> = BTreeMap::new();
    for entry in std::fs::read_dir(scene.directory.path().join("mails/new")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(bytes.ends_with(b"--\r\n"), "a mail is cut off");
        let email = mail_parser::MessageParser::default().parse(&bytes).unwrap();
        *reached.entry(email.to().unwrap().first().unwrap().address().unwrap().to_owned()).or_default() += 1;
    }
    let (lost, twice) = (count() - reached.len(), reached.values().filter(|count| **count > 1).count());
    assert_eq!((lost, twice), (0, 0));
    let counts = scene.place.open().await.counts(None).await.unwrap();
    // Whoever looks in the directory can settle every lost answer.
    assert_eq!((counts.sent, counts.unknown), (count() as u64, 0));
    assert!(interrupted > 0, "no kill found a sender alive");
}
