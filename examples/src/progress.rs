//! Progress on standard error. Bars are drawn only when it is a terminal; they are hidden elsewhere.

use crate::answer::say;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// A bar over a known number of things: `████░░ 120 of 400 emails, 3s to go`.
///
/// Call [`ProgressBar::finish_and_clear`] before anything is printed.
#[must_use]
pub fn bar(total: u64, things: &str) -> ProgressBar {
    let template = format!("{{bar:30}} {{human_pos}} of {{human_len}} {things}, {{eta}} to go {{msg}}");
    styled(ProgressBar::new(total), &template)
}

/// A spinner with a message, for work whose length is not known. It turns by itself while the work computes.
#[must_use]
pub fn spinner(message: &str) -> ProgressBar {
    let spinner = styled(ProgressBar::new_spinner(), "{spinner} {msg} ({elapsed})");
    spinner.set_message(message.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The steps of a run: a spinner on a terminal, one line a step elsewhere.
#[derive(Debug)]
pub struct Steps {
    bar: Option<ProgressBar>,
    begun: Instant,
    step: usize,
    steps: usize,
}

impl Steps {
    /// Of so many steps.
    #[must_use]
    pub fn new(steps: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| spinner(""));
        Self { bar, begun: Instant::now(), step: 0, steps }
    }

    /// A step begins.
    pub fn begin(&mut self, name: &str) {
        self.step += 1;
        let line = format!("[{}/{}] {name}", self.step, self.steps);
        match &self.bar {
            Some(bar) => bar.set_message(line),
            None => say(line),
        }
    }

    /// The result of the step, kept on the screen.
    pub fn done(&self, result: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("[{}/{}] {result}", self.step, self.steps)),
            None => say(format_args!("      {result}")),
        }
    }

    /// Seconds since the first step began.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    /// The bar that long work may write its own progress to; `None` when standard error is no terminal.
    #[must_use]
    pub fn bar(&self) -> Option<ProgressBar> {
        self.bar.clone()
    }
}

impl Drop for Steps {
    /// Takes the bar off the screen, before what there is to say, also of a failure.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
