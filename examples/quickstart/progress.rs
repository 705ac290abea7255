//! Progress on standard error: bars on a terminal, one line a step elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// The steps of the run, as they happen.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    begun: Instant,
    step: usize,
}

const STEPS: usize = 7;

impl Progress {
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, begun: Instant::now(), step: 0 }
    }

    /// A step begins.
    pub(crate) fn step(&mut self, name: &str) {
        self.step += 1;
        let line = format!("[{}/{STEPS}] {name}", self.step);
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None => eprintln!("{line}"),
        }
    }

    /// A step's result, kept on the screen.
    pub(crate) fn done(&self, result: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("[{}/{STEPS}] {result}", self.step)),
            None => eprintln!("      {result}"),
        }
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// A handle that long work may tell its own progress.
    pub(crate) fn bar(&self) -> Option<ProgressBar> {
        self.bar.clone()
    }
}

impl Drop for Progress {
    /// Takes the bar off the screen, before what there is to say, also of a failure.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
