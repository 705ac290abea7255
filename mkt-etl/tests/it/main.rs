//! The crate from outside.

mod errors;
mod ledger;
mod recorded;
mod replay;
mod support;
