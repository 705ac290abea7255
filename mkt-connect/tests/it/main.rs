//! Tests of the public surface.

mod server;
