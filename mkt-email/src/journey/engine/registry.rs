//! Definitions and their versions.

use crate::journey::{Definition, SERVICE};
use crate::outbox::store::{Access, Store, Tx, values};
use crate::outbox::{damaged, millis, timestamp};
use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// A stored version of a definition.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) number: i64,
    pub(crate) since: DateTime<Utc>,
    pub(crate) latest: bool,
    pub(crate) stopped: bool,
    pub(crate) definition: Arc<Definition>,
}

/// All versions, by journey.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry(pub(crate) HashMap<String, Vec<Version>>);

impl Registry {
    pub(crate) fn version(&self, journey: &str, number: i64) -> Option<&Version> {
        self.0.get(journey)?.iter().find(|version| version.number == number)
    }

    pub(crate) fn latest(&self, journey: &str) -> Option<&Version> {
        self.0.get(journey)?.iter().find(|version| version.latest)
    }
}

/// Stores a definition; returns the number of its version.
pub(crate) async fn define(store: &Store, definition: &Definition, since: DateTime<Utc>) -> Result<u32> {
    let name = definition.name();
    let mut tx = store.begin("define a journey", Access::Alone).await?;
    let rows = tx
        .all(
            "SELECT version, hash, since FROM mail_journey_definitions WHERE journey = $1 ORDER BY version",
            values![name],
        )
        .await?;
    let (hash, mut version, mut since) = (definition.hash(), 0, millis(since));
    let mut known = None;
    for row in &rows {
        version = version.max(row.number("version")?);
        // The journey keeps the earliest: who was told of before is not forgotten by a new version.
        since = since.min(row.number("since")?);
        if row.text("hash")? == hash {
            known = Some(row.number("version")?);
        }
    }
    tx.run(
        "UPDATE mail_journey_definitions SET latest = 0, stopped = 0, since = $2 WHERE journey = $1",
        values![name, since],
    )
    .await?;
    let version = match known {
        Some(version) => {
            tx.run(
                "UPDATE mail_journey_definitions SET latest = 1 WHERE journey = $1 AND version = $2",
                values![name, version],
            )
            .await?;
            version
        }
        None => {
            version += 1;
            tx.run(
                "INSERT INTO mail_journey_definitions (journey, version, hash, body, since, latest)
                 VALUES ($1, $2, $3, $4, $5, 1)",
                values![name, version, hash, definition.json(), since],
            )
            .await?;
            version
        }
    };
    tx.commit().await?;
    u32::try_from(version).map_err(|_| damaged("define a journey"))
}

/// Lets no new instance begin until the journey is defined again.
pub(crate) async fn stop(store: &Store, journey: &str) -> Result<()> {
    let mut tx = store.begin("stop a journey", Access::Alone).await?;
    let found = tx
        .run("UPDATE mail_journey_definitions SET stopped = 1 WHERE journey = $1", values![journey])
        .await?;
    tx.commit().await?;
    if found == 0 { Err(unknown(journey)) } else { Ok(()) }
}

/// Ends all instances of a journey.
pub(crate) async fn end(store: &Store, journey: &str, reason: &str, now: DateTime<Utc>) -> Result<u64> {
    let mut tx = store.begin("end a journey", Access::Alone).await?;
    let ended = tx
        .run(
            "UPDATE mail_journey_instances SET ended_at = $2, reason = $3, why = NULL, next_at = NULL
              WHERE journey = $1 AND ended_at IS NULL",
            values![journey, millis(now), reason],
        )
        .await?;
    tx.commit().await?;
    Ok(ended)
}

/// All definitions.
pub(crate) async fn read(tx: &mut Tx) -> Result<Registry> {
    let mut registry = Registry::default();
    let rows = tx
        .all(
            "SELECT journey, version, body, since, latest, stopped FROM mail_journey_definitions
              ORDER BY journey, version",
            values![],
        )
        .await?;
    for row in rows {
        let definition: Definition =
            serde_json::from_str(row.text("body")?).map_err(|_| damaged("read a journey"))?;
        registry.0.entry(row.text("journey")?.to_owned()).or_default().push(Version {
            number: row.number("version")?,
            since: timestamp(row.number("since")?)?,
            latest: row.number("latest")? == 1,
            stopped: row.number("stopped")? == 1,
            definition: Arc::new(definition),
        });
    }
    Ok(registry)
}

/// The error for a journey that was never defined.
pub(crate) fn unknown(journey: &str) -> Error {
    Error::new(ErrorKind::NotFound, SERVICE, "look for a journey")
        .with_detail(format!("there is no journey {journey:.60?}"))
}
