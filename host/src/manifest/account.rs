//! What each commit of a batch says of it, in its commit information.
//!
//! Every table of a batch is committed by itself. Its commit carries its share of the account, so that the
//! manifest, and after a crash the quarantine, can be written from the log alone.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::digest::Sum;

/// The key in a Delta commit's information under which an account lies.
pub const KEY: &str = "silversmith";

/// What identifies the batch that a commit belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRef {
    /// The source.
    pub source: String,
    /// The Bronze version of the batch.
    pub bronze_version: i64,
    /// The Silver manifest's name.
    pub manifest_id: String,
}

/// Of a Bronze commit: the records received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BronzeAccount {
    /// Digest over (position, checksum) of every record.
    pub records: Sum,
    /// When work began, microseconds since the epoch.
    pub start_time: i64,
    /// When Bronze received the records, as stored in each, microseconds since the epoch.
    pub ingestion_time: i64,
}

/// Of a commit to a table of kept rows: what became of the entity's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityAccount {
    /// The batch.
    pub batch: BatchRef,
    /// The entity.
    pub entity: String,
    /// Digest over (position, row index, entity, key, row hash) of every row that reached the decision.
    pub emitted: Sum,
    /// Of those, the rows kept.
    pub kept: Sum,
    /// The rows that said nothing new.
    pub duplicate: Sum,
    /// The rows refused for a conflict.
    pub refused: Sum,
    /// The refused rows as (record in the batch, row in the record).
    pub conflicts: Vec<(u32, u32)>,
    /// Kept rows that refer to a key which its dimension does not hold, by link.
    pub dangling: BTreeMap<String, u64>,
}

/// Of a quarantine commit: what became of the records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordAccount {
    /// The batch.
    pub batch: BatchRef,
    /// Digest over (position, checksum) of the records transformed.
    pub transformed: Sum,
    /// Of the records filtered.
    pub filtered: Sum,
    /// Of the records quarantined.
    pub quarantined: Sum,
    /// Records filtered, by reason.
    pub filtered_reasons: BTreeMap<String, u64>,
    /// Records quarantined, by code.
    pub quarantined_codes: BTreeMap<String, u64>,
    /// Rows refused alone or withdrawn with their record before any decision, by code.
    pub refused_rows: BTreeMap<String, u64>,
}

/// The commit information that carries `account`.
pub fn to_info(account: &impl Serialize) -> Map<String, Value> {
    let value = serde_json::to_value(account).expect("an account has text keys only");
    Map::from_iter([(KEY.to_owned(), value)])
}

/// The account in a commit's information; none where there is none of this kind.
pub fn from_info<T: DeserializeOwned>(info: &Map<String, Value>) -> Option<T> {
    T::deserialize(info.get(KEY)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_survives_the_log() {
        let account = EntityAccount {
            batch: BatchRef { source: "orders".into(), bronze_version: 4, manifest_id: "m".into() },
            entity: "order".into(),
            emitted: Sum::default(),
            kept: Sum::default(),
            duplicate: Sum::default(),
            refused: Sum::default(),
            conflicts: vec![(3, 0)],
            dangling: BTreeMap::new(),
        };
        assert_eq!(from_info::<EntityAccount>(&to_info(&account)), Some(account.clone()));
        assert_eq!(from_info::<BronzeAccount>(&to_info(&account)), None);
    }
}
