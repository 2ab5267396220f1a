//! A plugin's descriptor checked against the contracts: the plan by which its answers are conformed.
//!
//! A [`Plan`] exists only where every output names a known entity, known columns of the right type, and the columns that
//! identify and order its rows. So nothing after it looks a name up, and no batch fails for a reason known at activation.

use std::sync::Arc;

use super::contract::{Contract, Contracts, History, Link};
use super::pii::{Pii, Treatment};
use crate::entity::{Descriptor, Diagnostic, Field, OnError, Output};
use crate::excerpt::did_you_mean;

/// How the answers of one plugin are conformed.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) tenant: String,
    pub(super) pii: Pii,
    pub(super) entities: Vec<EntityPlan>,
    pub(super) outputs: Vec<OutputPlan>,
    /// Findings that do not prevent activation.
    pub warnings: Vec<Diagnostic>,
}

/// One entity that the plugin fills.
#[derive(Clone, Debug)]
pub struct EntityPlan {
    /// Its contract.
    pub contract: Arc<Contract>,
    /// All references of its table, in the order of the table.
    pub links: Vec<Link>,
    /// What becomes of the values of each column of the contract.
    pub(super) treatments: Vec<Treatment>,
}

#[derive(Clone, Debug)]
pub(super) struct OutputPlan {
    /// The index of its entity in the plan.
    pub(super) entity: usize,
    pub(super) on_error: OnError,
    /// For each column of the contract, the field that fills it.
    pub(super) fields: Vec<Option<usize>>,
    /// The JSONPath of each field.
    pub(super) sources: Vec<Option<String>>,
    /// For each link of the entity, what fills it.
    pub(super) references: Vec<Option<ReferencePlan>>,
}

#[derive(Clone, Debug)]
pub(super) struct ReferencePlan {
    pub(super) target: Arc<Contract>,
    /// For each key column of the target, in its order: the column of the answer's rows, and what becomes of its values.
    pub(super) key: Vec<(usize, Treatment)>,
}

impl Plan {
    /// Checks `descriptor`. `peers` are the descriptors of the tenant's other sources: all fill the same tables, so the
    /// references of an entity are those of the contract and then of every descriptor, by name.
    pub fn new(
        tenant: &str,
        contracts: &Contracts,
        pii: Pii,
        descriptor: &Descriptor,
        peers: &[&Descriptor],
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut plan = Self { tenant: tenant.to_owned(), pii, entities: vec![], outputs: vec![], warnings: vec![] };
        let mut findings = Vec::new();
        for output in &descriptor.outputs {
            let Some(contract) = contracts.get(&output.entity) else {
                let hint = contracts.did_you_mean(&output.entity);
                findings.push(finding(
                    format!("found output for entity `{}`, expected one with a contract", output.entity),
                    hint,
                ));
                continue;
            };
            let entity = match plan.entities.iter().position(|entity| entity.contract.entity == output.entity) {
                Some(entity) => entity,
                None => {
                    let links = links(contract, descriptor, peers, &mut findings);
                    let treatments = plan.treatments(contract, &mut findings);
                    plan.entities.push(EntityPlan { contract: contract.clone(), links, treatments });
                    plan.entities.len() - 1
                }
            };
            let checked = plan.output(entity, output, contracts, &mut findings);
            plan.outputs.push(checked);
        }
        if findings.is_empty() { Ok(plan) } else { Err(findings) }
    }

    /// The entities that the plugin fills, in the order in which the descriptor first names them.
    pub fn entities(&self) -> &[EntityPlan] {
        &self.entities
    }

    /// The treatment of every class, as it is in force.
    pub fn treatments_in_force(&self) -> &std::collections::BTreeMap<String, Treatment> {
        self.pii.treatments()
    }

    fn treatments(&self, contract: &Contract, findings: &mut Vec<Diagnostic>) -> Vec<Treatment> {
        let identifies = |index| {
            contract.key.contains(&index) || contract.sequence() == Some(index) || contract.event_time() == Some(index)
        };
        let treatments = contract.columns.iter().enumerate().map(|(index, column)| {
            self.pii.treatment(column, identifies(index)).unwrap_or_else(|message| {
                findings.push(finding(format!("entity `{}`: {message}", contract.entity), None));
                Treatment::Drop
            })
        });
        treatments.collect()
    }

    fn output(
        &mut self,
        entity: usize,
        output: &Output,
        contracts: &Contracts,
        findings: &mut Vec<Diagnostic>,
    ) -> OutputPlan {
        let EntityPlan { contract, links, .. } = &self.entities[entity];
        let mut fields = vec![None; contract.columns.len()];
        for (index, field) in output.fields.iter().enumerate() {
            match contract.column(&field.name) {
                None => {
                    let known = contract.columns.iter().map(|column| column.name.as_str());
                    let message = format!("entity `{}` has no column `{}`", contract.entity, field.name);
                    findings.push(finding(message, did_you_mean(&field.name, known)));
                }
                Some(column) if fields[column].is_some() => {
                    findings.push(finding(
                        format!("entity `{}`: column `{}` is filled twice", contract.entity, field.name),
                        None,
                    ));
                }
                Some(column) => {
                    check_type(&contract.entity, field, &contract.columns[column].data_type, findings);
                    fields[column] = Some(index);
                }
            }
        }
        let is_sequence = |column| contract.sequence() == Some(column) || contract.event_time() == Some(column);
        for (column, _) in fields.iter().enumerate().filter(|(_, field)| field.is_none()) {
            let name = &contract.columns[column].name;
            let hint = Some(format!("fill `{name}`"));
            if contract.key.contains(&column) {
                findings.push(finding(
                    format!("an output for entity `{}` lacks the key column `{name}`", contract.entity),
                    hint,
                ));
            } else if is_sequence(column) {
                findings.push(finding(
                    format!("an output for entity `{}` lacks `{name}`, which orders its rows", contract.entity),
                    hint,
                ));
            } else if contract.columns[column].required {
                // Patches, stubs and deletes may go without; upserts are refused one by one.
                let message = format!(
                    "an output for entity `{}` lacks the required column `{name}`: its upserts will be refused",
                    contract.entity
                );
                self.warnings.push(finding(message, hint));
            }
        }
        let mut references = vec![None; links.len()];
        let mut column = output.fields.len();
        for reference in &output.references {
            let first = column;
            column += reference.key.len();
            let Some(target) = contracts.get(&reference.entity) else {
                let hint = contracts.did_you_mean(&reference.entity);
                let message = format!(
                    "entity `{}`: reference `{}` has the unknown target `{}`",
                    contract.entity, reference.name, reference.entity
                );
                findings.push(finding(message, hint));
                continue;
            };
            let link = links
                .iter()
                .position(|link| link.name == reference.name)
                .expect("links hold every reference of the descriptor: `links` took them");
            if references[link].is_some() {
                findings.push(finding(
                    format!("entity `{}`: reference `{}` is filled twice", contract.entity, reference.name),
                    None,
                ));
            }
            references[link] = self.reference(&contract.entity, target, reference, first, findings);
        }
        OutputPlan {
            entity,
            on_error: output.on_error,
            fields,
            sources: output.fields.iter().map(|field| field.source.clone()).collect(),
            references,
        }
    }

    fn reference(
        &self,
        entity: &str,
        target: &Arc<Contract>,
        reference: &crate::entity::Reference,
        first: usize,
        findings: &mut Vec<Diagnostic>,
    ) -> Option<ReferencePlan> {
        let expected: Vec<&str> = target.key.iter().map(|column| target.columns[*column].name.as_str()).collect();
        let mut found: Vec<&str> = reference.key.iter().map(|field| field.name.as_str()).collect();
        let mut sorted = expected.clone();
        sorted.sort_unstable();
        found.sort_unstable();
        if sorted != found {
            let message = format!(
                "entity `{entity}`: reference `{}` gives {}, expected the key of `{}`: {}",
                reference.name,
                found.join(", "),
                target.entity,
                expected.join(", ")
            );
            findings.push(finding(message, None));
            return None;
        }
        let key = target.key.iter().map(|column| {
            let column = &target.columns[*column];
            let place = reference
                .key
                .iter()
                .position(|field| field.name == column.name)
                .expect("the names are the same: compared above");
            check_type(entity, &reference.key[place], &column.data_type, findings);
            let treatment = self.pii.treatment(column, true).unwrap_or_else(|message| {
                findings.push(finding(format!("entity `{}`: {message}", target.entity), None));
                Treatment::Drop
            });
            (first + place, treatment)
        });
        Some(ReferencePlan { target: target.clone(), key: key.collect() })
    }
}

impl EntityPlan {
    /// The name of column `index` of the table: a column of the contract or, after them, of a link.
    pub fn column_name(&self, index: usize) -> String {
        match self.contract.columns.get(index) {
            Some(column) => column.name.clone(),
            None => format!("{}_key", self.links[index - self.contract.columns.len()].name),
        }
    }

    /// Whether rows are ordered by arrival alone.
    pub fn is_ordered_by_arrival(&self) -> bool {
        matches!(self.contract.history, History::Versions { sequence: None, .. })
    }
}

impl OutputPlan {
    /// Whether no reference is made from values that Silver does not show.
    pub(super) fn keeps_references(&self) -> bool {
        let keys = self.references.iter().flatten().flat_map(|reference| &reference.key);
        keys.into_iter().all(|(_, treatment)| *treatment == Treatment::Keep)
    }
}

fn links(
    contract: &Contract,
    descriptor: &Descriptor,
    peers: &[&Descriptor],
    findings: &mut Vec<Diagnostic>,
) -> Vec<Link> {
    let mut more: Vec<Link> = Vec::new();
    let outputs = std::iter::once(descriptor).chain(peers.iter().copied()).flat_map(|descriptor| &descriptor.outputs);
    for reference in outputs.filter(|output| output.entity == contract.entity).flat_map(|output| &output.references) {
        let link = Link { name: reference.name.clone(), entity: reference.entity.clone() };
        match contract.links.iter().chain(&more).find(|known| known.name == link.name) {
            None => more.push(link),
            Some(known) if *known == link => {}
            Some(known) => {
                let message = format!(
                    "entity `{}`: reference `{}` leads to `{}`, expected `{}` as elsewhere",
                    contract.entity, link.name, link.entity, known.entity
                );
                findings.push(finding(message, None));
            }
        }
        if contract.column(&format!("{}_key", reference.name)).is_some() {
            let message = format!(
                "entity `{0}`: reference `{1}` makes `{1}_key`, which is a column of the contract",
                contract.entity, reference.name
            );
            findings.push(finding(message, Some("name the reference otherwise".to_owned())));
        }
    }
    // By name: the order of the table must not hang on which source comes first.
    more.sort_by(|a, b| a.name.cmp(&b.name));
    contract.links.iter().cloned().chain(more).collect()
}

fn check_type(entity: &str, field: &Field, expected: &crate::entity::DataType, findings: &mut Vec<Diagnostic>) {
    if field.data_type != *expected {
        let message =
            format!("entity `{entity}`: column `{}` is given as {}, expected {expected}", field.name, field.data_type);
        findings.push(finding(message, None));
    }
}

fn finding(message: String, hint: Option<String>) -> Diagnostic {
    Diagnostic { file: String::new(), line: 0, column: 0, message, hint }
}
