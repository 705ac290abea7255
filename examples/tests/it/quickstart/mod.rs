//! `quickstart`, run as its users run it: as a program, on files, with signals.

mod again;
mod input;
mod numbers;
mod output;
mod program;
