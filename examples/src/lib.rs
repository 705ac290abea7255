//! The examples live beside this file, one per workflow; this library is empty on purpose: an example that
//! needs shared code shows that a crate lacks it.
