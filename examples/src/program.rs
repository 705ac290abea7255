//! Runs an example: runtime, signals, exit code, and the sentence of an error.

use crate::answer::{Answer, Closed, print, say};
use crate::failure::Step;
use crate::file;
use mkt_connect::{Stop, sentence};
use std::error::Error;
use std::future::Future;
use std::io::IsTerminal;
use std::process::ExitCode;

/// The exit code after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

type Code = fn(&(dyn Error + 'static)) -> u8;

/// Runs an example to its exit code.
///
/// An error becomes one sentence on standard error, `NAME: …`, and exit code 1; an [`Answer`] goes to standard output with
/// its own code. A closed pipe ends the program quietly, a full disk is exit code 1. Ctrl-C removes files that are not
/// whole and ends at once with exit code 130; [`Program::stop`] lets a program finish what is under way instead.
/// With [`Program::logs`], `RUST_LOG` shows what the crates log.
#[must_use]
pub struct Program {
    name: &'static str,
    interrupted: &'static str,
    code: Code,
    stop: Option<Stop>,
    logs: bool,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Program {
    /// A program of this name.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            interrupted: "interrupted; nothing is half-written, run it again to go on",
            code: |_| 1,
            stop: None,
            logs: false,
        }
    }

    /// What standard error says after Ctrl-C.
    pub fn interrupted(self, sentence: &'static str) -> Self {
        Self { interrupted: sentence, ..self }
    }

    /// Exit codes of errors [default: 1 for all].
    pub fn exit_codes(self, code: Code) -> Self {
        Self { code, ..self }
    }

    /// Lets Ctrl-C and SIGTERM request this stop instead of ending the program: the first asks the work to finish what is
    /// under way, the second to drop it; a third ends the program as without a stop.
    pub fn stop(self, stop: &Stop) -> Self {
        Self { stop: Some(stop.clone()), ..self }
    }

    /// Shows on standard error what the crates log, as far as `RUST_LOG` asks for it.
    pub fn logs(self) -> Self {
        Self { logs: true, ..self }
    }

    /// Runs asynchronous work on a runtime of its own.
    pub fn run(self, work: impl Future<Output = Step<Answer>>) -> ExitCode {
        if self.logs {
            show_logs();
        }
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return self.failed(&error),
        };
        let Self { name, interrupted, code, stop, logs } = self;
        runtime.spawn(listen(name, interrupted, stop));
        let outcome = runtime.block_on(work);
        runtime.shutdown_background();
        Self { name, interrupted, code, stop: None, logs }.ended(outcome)
    }

    /// Runs work that computes and does not wait.
    pub fn run_blocking(self, work: impl FnOnce() -> Step<Answer>) -> ExitCode {
        self.run(async { work() })
    }

    fn ended(self, outcome: Step<Answer>) -> ExitCode {
        let printed = outcome.and_then(|answer| print(&answer.text).map(|()| answer.code));
        match printed {
            Ok(code) => ExitCode::from(code),
            Err(error) if error.is::<Closed>() => ExitCode::SUCCESS,
            Err(error) => self.failed(error.as_ref()),
        }
    }

    fn failed(&self, error: &(dyn Error + 'static)) -> ExitCode {
        file::remove_unfinished();
        say(format_args!("{}: {}", self.name, in_options(&sentence(error))));
        ExitCode::from((self.code)(error))
    }
}

/// An error of the crates names a method of a builder; a reader of the command line knows the option.
fn in_options(sentence: &str) -> String {
    sentence
        .replace("allow_insecure_host", "--allow-http")
        .replace("map the columns of the file to ours: theirs=ours, perhaps ", "perhaps --map ")
        .replace("\" \"", "\" --map \"")
        .replace("map the columns of the file to ours: theirs=ours", "--map THEIRS=OURS maps them")
        .replace("declare the event type", "--event-type TYPE says which")
        .replace("map other columns (theirs=ours)", "--map THEIRS=OURS maps other columns")
        .replace("declare the time format", "--time-format says how they are written, such as %m/%d/%y")
        .replace(
            "declare the date order (day first or month first)",
            "--time-format day-first or month-first decides",
        )
        .replace("declare the decimal mark", "--decimal-mark decides")
        .replace("declare a default channel", "--default-channel CHANNEL gives one")
        .replace("`.token()`", "the environment variable of the token")
}

/// Waits for signals. Ending the process is safe at any time: every store holds the old state or the new one.
async fn listen(name: &'static str, interrupted: &'static str, stop: Option<Stop>) {
    while signal().await {
        match &stop {
            Some(stop) if !stop.is_urgent() => {
                if !stop.is_requested() {
                    interrupt_says(name, "stopping when the work under way is done; once more to drop it");
                }
                stop.request();
            }
            _ => {
                file::remove_unfinished();
                interrupt_says(name, interrupted);
                #[allow(
                    clippy::exit,
                    reason = "the work computes on another thread and does not look at signals"
                )]
                std::process::exit(INTERRUPTED.into());
            }
        }
    }
}

/// A terminal shows `^C` where the cursor stands.
fn interrupt_says(name: &str, sentence: &str) {
    let begin = if std::io::stderr().is_terminal() { "\n" } else { "" };
    say(format_args!("{begin}{name}: {sentence}"));
}

/// The next Ctrl-C or SIGTERM; `false` where signals cannot be had.
async fn signal() -> bool {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return false };
        tokio::select! {
            signal = tokio::signal::ctrl_c() => signal.is_ok(),
            signal = terminate.recv() => signal.is_some(),
        }
    }
    #[cfg(not(unix))]
    {
        tokio::signal::ctrl_c().await.is_ok()
    }
}

fn show_logs() {
    if std::env::var_os("RUST_LOG").is_some() {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .try_init();
    }
}
