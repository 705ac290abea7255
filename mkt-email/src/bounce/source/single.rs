//! One message from a stream: standard input, behind `|program` in a file of aliases.

use super::{FeedbackSource, MAX_MESSAGE, Mark, RawMessage, blocking, unreadable};
use async_trait::async_trait;
use mkt_connect::Result;
use std::fmt;
use std::io::Read;

/// Reads one message from a stream, to its end. The line `From …` that delivery programs put before it is skipped.
pub struct SingleSource {
    input: Option<Option<Box<dyn Read + Send>>>,
}

impl SingleSource {
    /// The message that `input` holds.
    #[must_use]
    pub fn new(input: impl Read + Send + 'static) -> Self {
        Self { input: Some(Some(Box::new(input))) }
    }
}

impl fmt::Debug for SingleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SingleSource")
    }
}

#[async_trait]
impl FeedbackSource for SingleSource {
    async fn read(&mut self, _: usize) -> Result<Vec<RawMessage>> {
        blocking(&mut self.input, |input| {
            let Some(mut input) = input.take() else { return Ok(Vec::new()) };
            let broken = |cause| unreadable("the message", cause);
            let mut bytes = Vec::new();
            input.by_ref().take(MAX_MESSAGE as u64).read_to_end(&mut bytes).map_err(broken)?;
            // The writer must not find its pipe closed.
            let rest = std::io::copy(&mut input, &mut std::io::sink()).map_err(broken)?;
            if bytes.starts_with(b"From ") {
                let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
                bytes.drain(..end);
            }
            if bytes.is_empty() {
                return Ok(Vec::new());
            }
            Ok(vec![RawMessage { id: "-".to_owned(), bytes, is_cut: rest > 0 }])
        })
        .await
    }

    async fn mark(&mut self, _: &[(String, Mark)]) -> Result<()> {
        Ok(())
    }
}
