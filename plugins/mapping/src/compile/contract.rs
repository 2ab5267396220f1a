//! What a block names, looked up in the contracts.

use silversmith_sdk::plugin::{ContractColumn, EntityContract};

use super::Compiler;
use crate::findings::{alternatives, nearest};
use crate::syntax::Block;
use crate::yaml::At;

impl<'c> Compiler<'c> {
    /// The contract of an entity.
    pub(super) fn entity(&mut self, name: &At<String>) -> Option<&'c EntityContract> {
        let contracts = self.contracts;
        let found = contracts.iter().find(|contract| contract.name == name.value);
        if found.is_none() {
            let names = || contracts.iter().map(|contract| contract.name.as_str());
            let message = format!("found unknown entity `{}`, expected {}", name.value, alternatives(names()));
            self.findings.error(name.mark, message, nearest(&name.value, names()));
        }
        found
    }

    /// A column of an entity.
    pub(super) fn column(&mut self, contract: &'c EntityContract, name: &At<String>) -> Option<&'c ContractColumn> {
        let found = contract.columns.iter().find(|column| column.name == name.value);
        if found.is_none() {
            let names = || contract.columns.iter().map(|column| column.name.as_str());
            let (field, entity) = (&name.value, &contract.name);
            let message = format!("found unknown field `{field}` of `{entity}`, expected {}", alternatives(names()));
            self.findings.error(name.mark, message, nearest(field, names()));
        }
        found
    }

    /// Reports the columns that a row cannot do without and that the block does not fill.
    pub(super) fn demand_columns(&mut self, contract: &EntityContract, block: &Block, keys_suffice: bool) {
        let filled =
            |name: &str| block.fields.iter().flat_map(|fields| &fields.0).any(|(field, _)| field.value == name);
        for column in &contract.columns {
            let kind = match (column.key, column.required) {
                (true, _) => "key",
                (false, true) if !keys_suffice => "required",
                _ => continue,
            };
            if !filled(&column.name) {
                let (name, entity) = (&column.name, &contract.name);
                let message = format!("found no field for the {kind} column `{name}` of `{entity}`, expected one");
                let hint = (kind == "required").then(|| "or say `partial: true` if other blocks fill it".to_owned());
                self.findings.error(block.entity.mark, message, hint);
            }
        }
    }
}

/// The columns of a contract's business key.
pub(super) fn key_columns(contract: &EntityContract) -> impl Iterator<Item = &ContractColumn> {
    contract.columns.iter().filter(|column| column.key)
}
