//! A source that owns its server.

use std::fmt::Debug;

use async_trait::async_trait;
use mkt_connect::Result;
use mkt_social::{Capabilities, Plan, PostPages};
use mkt_social::{Request, SocialSource};

/// A source and its server.
#[derive(Debug)]
pub(crate) struct WithServer<S, T>(pub(crate) S, pub(crate) T);

#[async_trait]
impl<S: SocialSource, T: Debug + Send + Sync + 'static> SocialSource for WithServer<S, T> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn check(&self) -> Result<()> {
        self.0.check().await
    }

    fn plan(&self, request: &Request) -> Plan {
        self.0.plan(request)
    }

    async fn open(&self, request: &Request) -> Result<Box<dyn PostPages>> {
        self.0.open(request).await
    }
}
