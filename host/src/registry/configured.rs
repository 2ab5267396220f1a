//! What a configuration means to those who use it: contracts, treatments, and what the plugin is told.

use super::plugin::{self, Component, Configured, FindError};
use super::tenant::{SourceSettings, Tenant};
use crate::conform::contract::Contracts;
use crate::conform::pii::{Pii, TokenKey};
use crate::entity::Diagnostic;
use crate::excerpt;
use crate::sandbox::Configuration;

/// A configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfiguredError {
    /// It is wrong; each finding is rendered with its place.
    #[error("{0}")]
    Wrong(String),
    /// What lies in the registry is not a configuration.
    #[error("found something else than a configuration in the registry")]
    Foreign(#[source] serde_json::Error),
}

impl Tenant {
    /// What the plugin of `source` works under.
    pub fn configured(&self, source: &SourceSettings) -> Configured {
        Configured {
            source: source.name.clone(),
            plugin: source.plugin.clone(),
            settings: source.settings.clone(),
            mappings: source.mappings.clone(),
            contracts: self.contracts.clone(),
            entities: self.entities.as_ref().map(|all| all.iter().map(|entity| entity.value.clone()).collect()),
            limits: self.limits,
            treatments: self.pii.treatments.clone(),
            key_version: self.pii.key.as_ref().map(|(_, version)| *version),
            allowed_lateness: source.input.allowed_lateness(),
        }
    }

    /// The component of the plugin of `source`.
    pub fn component(&self, source: &SourceSettings) -> Result<Component, FindError> {
        plugin::find(&source.plugin, &plugin::places(self.folder.parent().unwrap_or(&self.folder)))
    }
}

impl Configured {
    /// The contracts that may be filled.
    pub fn contracts(&self) -> Result<Contracts, ConfiguredError> {
        let mut contracts = Contracts::new();
        for file in &self.contracts {
            contracts.add(&file.path, &file.text).map_err(|findings| self.wrong(&findings))?;
        }
        if let Some(entities) = &self.entities {
            if let Some(unknown) = entities.iter().find(|entity| contracts.get(entity).is_none()) {
                let near = contracts.did_you_mean(unknown).map(|hint| format!("; {hint}")).unwrap_or_default();
                let message = format!("found entity `{unknown}` under `entities`, expected one with a contract{near}");
                return Err(ConfiguredError::Wrong(message));
            }
            contracts.keep_only(entities);
        }
        Ok(contracts)
    }

    /// The treatments, with `key` for tokens.
    pub fn pii(&self, key: &[u8]) -> Pii {
        Pii::new(self.treatments.clone(), Some(TokenKey::new(self.key_version.unwrap_or(1), key)))
    }

    /// What the plugin is told.
    pub fn configuration(&self) -> Result<Configuration, ConfiguredError> {
        Ok(Configuration {
            source: self.source.clone(),
            settings: self.settings.to_string(),
            files: self.mappings.iter().map(|file| (file.path.clone(), file.text.clone())).collect(),
            entities: self.contracts()?.iter().map(|contract| contract.for_plugin()).collect(),
        })
    }

    /// Findings in this configuration's files, each with its place and line.
    pub fn render(&self, findings: &[Diagnostic]) -> String {
        let text = |finding: &Diagnostic| {
            let mut files = self.mappings.iter().chain(&self.contracts);
            files.find(|file| file.path == finding.file).map(|file| file.text.as_str())
        };
        let shown = findings.iter().map(|finding| excerpt::render(finding, text(finding)));
        shown.collect::<Vec<_>>().join("\n\n")
    }

    /// The error that shows `findings`.
    pub fn wrong(&self, findings: &[Diagnostic]) -> ConfiguredError {
        ConfiguredError::Wrong(self.render(findings))
    }
}
