//! Tests of the public surface.

mod campaign;
mod server;
