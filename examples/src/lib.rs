//! What every example needs once, so that its `main.rs` shows only how the crates are used.
//!
//! | part | what it does |
//! |---|---|
//! | [`Program`] | runs an example: runtime, Ctrl-C, exit code, standard output, the sentence of an error |
//! | [`Answer`] | what an example prints at its end: text or one line of JSON, with its exit code |
//! | [`Context`] | says what was being done when an error came |
//! | [`progress`] | bars on standard error, only when it is a terminal |
//! | [`mod@file`] | files that are written whole or not at all, and folders for their owner only |
//! | [`option`] | values of options: a day, a zone, a language, a delimiter |
//! | [`output`] | `--charts`, `--lang` and `--json` |
//! | [`table`] | the options with which a file is read into a frame |
//! | [`mailing`] | one email to everybody in a file of sign-ups, counted to the last row |
//! | [`relaunch`] | the email about a cart that was left, to the customers of a file |
//! | [`journeys`] | what a journey is told of in a file, and where it stands |
//! | [`loading`] | several runs of the pipeline as one answer |
//! | [`overview`] | what a run of the whole loop found out, as text and as JSON |
//! | [`provider`] | email providers by name, with their keys from the environment |
//! | [`visitor_secret`] | the secret behind the keys of visitors, in a file |
//! | [`warehouse`] | opens the warehouse that `--warehouse` names |
//! | [`world`] | sample data of any size with known truths, for the examples and the benches |
//!
//! ```no_run
//! use mkt_examples::{Answer, Program};
//!
//! fn main() -> std::process::ExitCode {
//!     Program::new("hello").run(async { Ok(Answer::text("hello\n")) })
//! }
//! ```

mod answer;
mod failure;
pub mod file;
pub mod journeys;
pub mod loading;
pub mod mailing;
pub mod option;
pub mod output;
pub mod overview;
mod program;
pub mod progress;
pub mod provider;
pub mod relaunch;
pub mod table;
pub mod visitor_secret;
pub mod warehouse;
pub mod world;

pub use answer::{Answer, is_closed, print, say, wrapped};
pub use failure::{Context, Failure, Step};
pub use program::Program;
