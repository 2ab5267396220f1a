//! Syntax to prepared form, checked against the contracts on the way.
//!
//! Owns what a mapping means before any record is seen: names resolved, types compared, paths joined into a plan.
//! Checking and compiling are one walk, because both need the same names in scope. It goes on after an error; what
//! it makes then is thrown away.

mod action;
mod contract;
mod value;

use silversmith_sdk::extract::{Base, ConditionId, Plan, PlanBuilder, ScopeId};
use silversmith_sdk::path::Path as JsonPath;
use silversmith_sdk::plugin::{EntityContract, OnError, Output, Property};

use crate::findings::Findings;
use crate::paths::{parse_condition, parse_path, tail};
use crate::prepared::{Block, Mapping, Refuses, Skip, Toggle};
use crate::syntax;
use crate::yaml::{At, Mark};

/// What all mappings of a configuration share.
pub(crate) struct Compiler<'c> {
    pub(crate) contracts: &'c [EntityContract],
    pub(crate) findings: Findings,
    pub(crate) outputs: Vec<Output>,
    pub(crate) paths: Vec<String>,
    pub(crate) properties: Vec<Property>,
}

impl<'c> Compiler<'c> {
    /// For a tenant that may fill the entities of `contracts`.
    pub(crate) fn new(contracts: &'c [EntityContract]) -> Self {
        Self {
            contracts,
            findings: Findings::default(),
            outputs: Vec::new(),
            paths: Vec::new(),
            properties: Vec::new(),
        }
    }

    /// Compiles one file. `detection` is the path of the schema version, wanted beside everything else.
    pub(crate) fn mapping(&mut self, mapping: &syntax::Mapping, detection: Option<&JsonPath>) -> Mapping {
        let mut plan = Plan::builder();
        let record = plan.record();
        let detection = detection.map(|path| plan.select(record, Base::Record, path.clone()));
        let root = Scope { id: record, texts: vec!["$".to_owned()], parent: None, tombstone: false };
        let skip = |rule: &syntax::Skip| {
            let when = self.condition(&mut plan, &root, &rule.when)?;
            Some(Skip { when, reason: rule.reason.value.clone() })
        };
        let skips = mapping.skip.iter().flatten().filter_map(skip).collect();
        let grave = Scope { tombstone: true, ..root.clone() };
        let tombstones =
            mapping.tombstone.iter().flatten().filter_map(|block| self.tombstone(&mut plan, &grave, block)).collect();
        let blocks = mapping.entities.iter().filter_map(|block| self.block(&mut plan, &root, block)).collect();
        Mapping { plan: plan.build(), detection, skips, tombstones, blocks }
    }

    /// A block that has only the record's properties to go by, and always deletes.
    fn tombstone(&mut self, plan: &mut PlanBuilder, scope: &Scope<'_>, block: &syntax::Block) -> Option<Block> {
        let syntax::Block { each, when, partial, stub, delete, entities, .. } = block;
        if each.is_some()
            || entities.is_some()
            || [when.is_some(), partial.is_some(), stub.is_some(), delete.is_some()].contains(&true)
        {
            let message = "found more than `entity` and `fields` in a block for tombstones, which deletes one key";
            self.findings.error(block.entity.mark, message, None);
        }
        let compiled = self.block(plan, scope, block)?;
        Some(Block { delete: Toggle::Always, ..compiled })
    }

    fn block(&mut self, plan: &mut PlanBuilder, parent: &Scope<'_>, block: &syntax::Block) -> Option<Block> {
        let (scope, each) = self.scope(plan, parent, block);
        let inner = |compiler: &mut Self, plan: &mut PlanBuilder| {
            block.entities.iter().flatten().filter_map(|block| compiler.block(plan, &scope, block)).collect::<Vec<_>>()
        };
        let Some(contract) = self.entity(&block.entity) else {
            // The blocks inside may have errors of their own.
            inner(self, plan);
            return None;
        };
        let when = block.when.as_ref().and_then(|when| self.condition(plan, &scope, when));
        let toggle = |compiler: &mut Self, plan: &mut PlanBuilder, toggle: &Option<At<syntax::Toggle>>| match toggle {
            None => Toggle::Never,
            Some(At { value: syntax::Toggle::Always(always), .. }) => {
                if *always {
                    Toggle::Always
                } else {
                    Toggle::Never
                }
            }
            Some(At { value: syntax::Toggle::When(condition), mark }) => {
                let condition = At { value: condition.clone(), mark: *mark };
                compiler.condition(plan, &scope, &condition).map_or(Toggle::Never, Toggle::When)
            }
        };
        let delete = toggle(self, plan, &block.delete);
        let stub = toggle(self, plan, &block.stub);
        let partial = toggle(self, plan, &block.partial);
        let keys_suffice = scope.tombstone || [delete, stub, partial].contains(&Toggle::Always);
        self.demand_columns(contract, block, keys_suffice);
        let fields = self.fields(plan, &scope, contract, block);
        let references = self.references(plan, &scope, block);
        let output = self.outputs.len() as u32;
        let refuses = match block.on_error.unwrap_or_default() {
            syntax::Reach::Record => Refuses::Record,
            syntax::Reach::Row => Refuses::Row,
        };
        self.outputs.push(Output {
            entity: contract.name.clone(),
            on_error: match refuses {
                Refuses::Record => OnError::Record,
                Refuses::Row => OnError::Row,
            },
            fields: fields.iter().map(|(field, _)| field.clone()).collect(),
            references: references.iter().map(|(reference, _)| reference.clone()).collect(),
        });
        let entity = contract.name.clone();
        let blocks = inner(self, plan);
        Some(Block {
            output,
            entity,
            scope: scope.id,
            each,
            when,
            delete,
            stub,
            partial,
            refuses,
            fields: fields.into_iter().map(|(_, column)| column).collect(),
            references: references.into_iter().map(|(_, reference)| reference).collect(),
            blocks,
        })
    }

    /// The nodes of a block, and how they are counted.
    fn scope<'p>(
        &mut self,
        plan: &mut PlanBuilder,
        parent: &'p Scope<'p>,
        block: &syntax::Block,
    ) -> (Scope<'p>, Vec<u32>) {
        let child = |id, texts| Scope { id, texts, parent: Some(parent), tombstone: parent.tombstone };
        let Some(each) = &block.each else {
            // A block of the record itself needs no scope of its own, and stays at the top: `^` has no meaning there.
            if parent.parent.is_none() {
                return (parent.clone(), Vec::new());
            }
            let itself = JsonPath::parse("$").expect("`$` is a path: RFC 9535 says so");
            return (child(plan.scope(parent.id, vec![(Base::Node, itself)]), parent.texts.clone()), Vec::new());
        };
        let (mut paths, mut texts) = (Vec::new(), Vec::new());
        for text in each.as_slice() {
            let Some((base, path)) = self.parse(parent, text) else { continue };
            texts.push(parent.absolute(base, &text.value));
            paths.push((base, path));
        }
        let each = texts.iter().map(|text| self.number(text)).collect();
        (child(plan.scope(parent.id, paths), texts), each)
    }

    fn condition(
        &mut self,
        plan: &mut PlanBuilder,
        scope: &Scope<'_>,
        text: &At<syntax::ConditionText>,
    ) -> Option<ConditionId> {
        self.no_payload(scope, text.mark);
        Some(plan.condition(scope.id, parse_condition(text, &mut self.findings)?))
    }

    /// A path in `scope`, if it is one there.
    fn parse(&mut self, scope: &Scope<'_>, text: &At<syntax::PathText>) -> Option<(Base, JsonPath)> {
        self.no_payload(scope, text.mark);
        let (base, path) = parse_path(text, &mut self.findings)?;
        if base == Base::Enclosing && scope.parent.is_none() {
            let message =
                format!("found `{}` where no node encloses, expected a path that starts with `$` or `.`", text.value.0);
            self.findings.error(text.mark, message, Some(format!("write `${}` for the record", tail(&text.value))));
            return None;
        }
        Some((base, path))
    }

    fn no_payload(&mut self, scope: &Scope<'_>, mark: Mark) {
        if scope.tombstone {
            let message = "found a path in a block for tombstones, which have no payload; expected `record` or `const`";
            self.findings.error(mark, message, None);
        }
    }

    /// The number of a path's text in the descriptor.
    fn number(&mut self, text: &str) -> u32 {
        let known = self.paths.iter().position(|known| known == text);
        known.unwrap_or_else(|| {
            self.paths.push(text.to_owned());
            self.paths.len() - 1
        }) as u32
    }

    /// The column of a property in the batch.
    pub(crate) fn property(&mut self, property: Property) -> u32 {
        let known = self.properties.iter().position(|known| *known == property);
        known.unwrap_or_else(|| {
            self.properties.push(property);
            self.properties.len() - 1
        }) as u32
    }
}

/// Where paths are read from: the nodes of one block.
#[derive(Clone)]
struct Scope<'p> {
    id: ScopeId,
    /// The paths of its nodes from `$`, one for each path of `each`.
    texts: Vec<String>,
    parent: Option<&'p Scope<'p>>,
    tombstone: bool,
}

impl Scope<'_> {
    /// A path of this scope as one from `$`; in a union there are several.
    fn absolute(&self, base: Base, text: &syntax::PathText) -> String {
        let record = ["$".to_owned()];
        let bases = match (base, self.parent) {
            (Base::Record, _) | (Base::Enclosing, None) => &record[..],
            (Base::Node, _) => &self.texts,
            (Base::Enclosing, Some(parent)) => &parent.texts,
        };
        let absolute: Vec<_> = bases.iter().map(|base| format!("{base}{}", tail(text))).collect();
        absolute.join(" | ")
    }
}
