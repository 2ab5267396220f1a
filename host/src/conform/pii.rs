//! What a tenant does with classified values before they are hashed and stored.
//!
//! A contract gives a column a class; the tenant's configuration maps classes to treatments. A class that neither the
//! configuration nor [`DEFAULTS`] knows is an error: nobody has decided, and guessing would leak.
//!
//! | treatment | text | other types |
//! |---|---|---|
//! | keep | as it is | as it is |
//! | mask | `***` | null |
//! | drop | null | null |
//! | tokenise | `tok_v<key version>_<32 hexadecimal digits>` | null |
//!
//! A token is the first 16 bytes of HMAC-SHA-256 over the framed tenant and the text, so equal values of one tenant have
//! equal tokens in every column and table and can be joined, and two tenants share none.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder, new_null_array};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::canonical::hex_onto;
use super::contract::ContractColumn;
use crate::entity::DataType;

/// What stands in Silver, and in every diagnostic, in place of a masked value.
pub const MASK: &str = "***";

/// The treatments of the usual classes.
pub const DEFAULTS: [(&str, Treatment); 6] = [
    ("public", Treatment::Keep),
    ("internal", Treatment::Keep),
    ("confidential", Treatment::Keep),
    ("personal", Treatment::Tokenise),
    ("restricted", Treatment::Mask),
    ("sensitive", Treatment::Drop),
];

/// What becomes of the values of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// They are stored.
    Keep,
    /// Only that there was one is stored.
    Mask,
    /// Nothing is stored.
    Drop,
    /// A keyed token is stored.
    Tokenise,
}

impl Treatment {
    /// The treatment that a column of `data_type` really gets: where there is no text, nothing can stand for a value.
    fn on(self, data_type: DataType) -> Self {
        match self {
            Self::Mask | Self::Tokenise if data_type != DataType::Text => Self::Drop,
            other => other,
        }
    }
}

/// The key of tokens, with the version that shows in them.
#[derive(Clone)]
pub struct TokenKey {
    version: u32,
    mac: Hmac<Sha256>,
}

impl TokenKey {
    /// A key from its bytes.
    pub fn new(version: u32, bytes: &[u8]) -> Self {
        Self { version, mac: Hmac::new_from_slice(bytes).expect("HMAC takes a key of any length") }
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey(v{}, ..)", self.version)
    }
}

/// A tenant's treatments.
#[derive(Clone, Debug)]
pub struct Pii {
    treatments: BTreeMap<String, Treatment>,
    key: Option<TokenKey>,
}

impl Pii {
    /// [`DEFAULTS`], with the tenant's own treatments over them.
    pub fn new(own: BTreeMap<String, Treatment>, key: Option<TokenKey>) -> Self {
        let mut treatments: BTreeMap<_, _> =
            DEFAULTS.iter().map(|(class, treatment)| ((*class).to_owned(), *treatment)).collect();
        treatments.extend(own);
        Self { treatments, key }
    }

    /// The treatment of every class, as it is in force.
    pub fn treatments(&self) -> &BTreeMap<String, Treatment> {
        &self.treatments
    }

    /// What becomes of the values of `column`; the error says why that is not decided or not possible. `identifies`
    /// says that the column is part of a key or the sequence, which must stay apart from each other.
    pub fn treatment(&self, column: &ContractColumn, identifies: bool) -> Result<Treatment, String> {
        let Some(class) = &column.classification else { return Ok(Treatment::Keep) };
        let Some(treatment) = self.treatments.get(class) else {
            let known: Vec<&str> = self.treatments.keys().map(String::as_str).collect();
            return Err(format!(
                "column `{}` has the classification `{class}`, expected one with a treatment: {}",
                column.name,
                known.join(", ")
            ));
        };
        let treatment = treatment.on(column.data_type);
        match treatment {
            Treatment::Mask | Treatment::Drop if identifies => Err(format!(
                "column `{}` is part of the key or the sequence, and class `{class}` would take its value away (found {treatment:?}); expected keep, or tokenise on text",
                column.name
            )),
            Treatment::Tokenise if self.key.is_none() => Err(format!(
                "column `{}` is to be tokenised and there is no token key; name a key file in the tenant's configuration",
                column.name
            )),
            other => Ok(other),
        }
    }

    /// The values as they are stored. `treatment` comes from [`Self::treatment`] on a column of this type.
    pub fn apply(&self, tenant: &str, treatment: Treatment, values: &ArrayRef) -> ArrayRef {
        match treatment {
            Treatment::Keep => values.clone(),
            Treatment::Drop => new_null_array(values.data_type(), values.len()),
            Treatment::Mask => Arc::new(
                values
                    .as_string::<i32>()
                    .iter()
                    .map(|value| value.map(|_| MASK))
                    .collect::<arrow::array::StringArray>(),
            ),
            Treatment::Tokenise => {
                let key =
                    self.key.as_ref().expect("there is a key where a treatment is tokenise: `treatment` sees to it");
                let mut mac = key.mac.clone();
                mac.update(&(tenant.len() as u32).to_le_bytes());
                mac.update(tenant.as_bytes());
                let texts = values.as_string::<i32>();
                let mut token = format!("tok_v{}_", key.version);
                let prefix = token.len();
                let mut tokens = StringBuilder::with_capacity(texts.len(), texts.len() * (prefix + 32));
                for text in texts {
                    let Some(text) = text else {
                        tokens.append_null();
                        continue;
                    };
                    let mut mac = mac.clone();
                    mac.update(text.as_bytes());
                    token.truncate(prefix);
                    hex_onto(&mac.finalize().into_bytes()[..16], &mut token);
                    tokens.append_value(&token);
                }
                Arc::new(tokens.finish())
            }
        }
    }
}
