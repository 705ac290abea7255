//! Writes sample data of any size for the other examples, the tests and the benches, with known truths planted in it:
//! `cargo run --release --example make_sample_data -- --users 400 --seed 42 --out target/sample`.
//!
//! The generator is [`mkt_examples::world`]; `--help` describes the files.

mod arguments;

use arguments::Arguments;
use clap::Parser;
use mkt_examples::world::{self, Period, Summary, World};
use mkt_examples::{Answer, Program, Step, progress};
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    Program::new("make_sample_data")
        .interrupted("interrupted; nothing was written")
        .run_blocking(|| write(&arguments))
}

fn write(arguments: &Arguments) -> Step<Answer> {
    let begun = Instant::now();
    let Arguments { seed, users, log_one_in, .. } = *arguments;
    let world = World { seed, users, period: Period::new(arguments.start, arguments.end)?, log_one_in };
    let bar = progress::bar(0, "visits");
    let written = world::write(&world, &arguments.out, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let (truth, files) = written?;
    let seconds = begun.elapsed().as_millis() as f64 / 1000.0;
    let summary = Summary::new(&arguments.out, &truth, &files, seconds);
    Answer::of(arguments.json, &summary, Summary::text)
}
