//! Turns what the HTTP library reports into our error: what kind, and above all whether the request may have arrived.

use super::address::Refused;
use crate::{Delivery, Error, ErrorKind};
use std::error::Error as StdError;
use std::io;

/// The error of an exchange that did not end with a complete answer.
///
/// Before a connection stands, nothing was sent; from then on the request may have arrived, also when not all of it
/// was written: the server may have acted on what it received.
pub(super) fn transport(service: &'static str, operation: &'static str, error: reqwest::Error) -> Error {
    // The address may hold a token or a person's name.
    let error = error.without_url();
    let (kind, delivery, detail) = classify(&error);
    Error::new(kind, service, operation).delivered(delivery).with_detail(detail).with_source(error)
}

fn classify(error: &reqwest::Error) -> (ErrorKind, Delivery, &'static str) {
    if let Some(refused) = find::<Refused>(error) {
        let detail = match refused {
            Refused::OtherHost => "another host than the configured one was about to be called",
            Refused::Private => {
                "the host resolves to a private address; it may be named with allow_insecure_host"
            }
        };
        return (ErrorKind::Config, Delivery::NotSent, detail);
    }
    if error.is_builder() {
        return (ErrorKind::Input, Delivery::NotSent, "the request cannot be written as HTTP");
    }
    if error.is_connect() {
        // A certificate that is wrong now is wrong in a second too: not a kind that is retried.
        if find::<rustls::Error>(error).is_some() {
            return (ErrorKind::Protocol, Delivery::NotSent, "no trusted TLS connection could be made");
        }
        let detail = if error.is_timeout() {
            "the connection could not be made in time"
        } else if error.is_dns() {
            "the name of the host could not be resolved"
        } else {
            "the connection could not be made"
        };
        return (ErrorKind::Unavailable, Delivery::NotSent, detail);
    }
    if error.is_timeout() {
        return (ErrorKind::Unavailable, Delivery::Unknown, "no complete answer came in time");
    }
    // The library calls a body that ends too early undecodable too: only malformed chunks and packing are.
    let malformed = find::<io::Error>(error).is_some_and(|cause| {
        matches!(cause.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
    });
    if error.is_decode() && malformed {
        return (ErrorKind::Protocol, Delivery::Unknown, "the answer could not be decoded");
    }
    (ErrorKind::Unavailable, Delivery::Unknown, "the connection broke before the answer was complete")
}

/// The first error of this type in the chain. `io::Error` hides the error inside it from `source()`, so it is asked.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        current = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
