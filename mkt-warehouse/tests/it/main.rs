//! Tests over the public interface.

mod sqlite;
