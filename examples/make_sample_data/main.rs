//! Writes sample data of any size for the other examples, the tests and the benches, with known truths
//! planted in it:
//!
//! ```text
//! cargo run --release --example make_sample_data -- --users 400 --seed 42 --out target/sample
//! ```
//!
//! `--help` says what each file is. Nothing here uses the workspace's crates: what they are checked against
//! must not come from them.

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

mod command;
mod world;

fn main() -> ExitCode {
    let arguments = command::Arguments::parse();
    match command::run(&arguments, &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; there is nowhere else to say so.
            let _ = writeln!(io::stderr(), "make_sample_data: {}", sentence(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes, as one sentence.
fn sentence(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
