//! Values: one source, its steps and its default, compared with the type of the column they fill.

use silversmith_sdk::extract::{Base, PlanBuilder};
use silversmith_sdk::normalise::{Constant, Step, StepError, coerce, index};
use silversmith_sdk::plugin::{ContractColumn, EntityContract, Field, Property, Reference};
use silversmith_sdk::value::Value as Sample;

use super::contract::key_columns;
use super::{Compiler, Scope};
use crate::paths::tail;
use crate::prepared::{Action, Column, Path, Reach, Reference as PreparedReference, Source, Value};
use crate::syntax::{self, Block, FullValue, Named, PathText, Scalar, StepWith};
use crate::usual::Usual;
use crate::yaml::{At, Mark};

/// The column that a value is for.
struct Target<'c> {
    /// For refusals: `email`, or `customer.external_id`.
    name: String,
    mark: Mark,
    entity: &'c str,
    column: &'c ContractColumn,
}

impl<'c> Compiler<'c> {
    /// The fields of a block, in the order of the file.
    pub(super) fn fields(
        &mut self,
        plan: &mut PlanBuilder,
        scope: &Scope<'_>,
        contract: &'c EntityContract,
        block: &Block,
    ) -> Vec<(Field, Column)> {
        let mut columns = Vec::new();
        for (name, value) in block.fields.iter().flat_map(|fields| &fields.0) {
            let Some(column) = self.column(contract, name) else { continue };
            let target = Target { name: name.value.clone(), mark: name.mark, entity: &contract.name, column };
            columns.push(self.filled(plan, scope, &target, value));
        }
        columns
    }

    /// The references of a block.
    pub(super) fn references(
        &mut self,
        plan: &mut PlanBuilder,
        scope: &Scope<'_>,
        block: &Block,
    ) -> Vec<(Reference, PreparedReference)> {
        let mut references = Vec::new();
        for (name, reference) in block.references.iter().flat_map(|references| &references.0) {
            let (entity, key) = match reference {
                syntax::Reference::Named(named) => (&named.entity, &named.key),
                syntax::Reference::Plain(key) => (name, key),
            };
            let Some(target) = self.entity(entity) else { continue };
            self.demand_key(target, name, key);
            let mut columns = Vec::new();
            // In the contract's order, whatever the file's.
            for column in key_columns(target) {
                let Some((given, value)) = key.0.iter().find(|(given, _)| given.value == column.name) else { continue };
                let name = format!("{}.{}", name.value, column.name);
                let target = Target { name, mark: given.mark, entity: &target.name, column };
                // A reference is no key of its own row: it may be null.
                let (field, filled) = self.filled(plan, scope, &target, value);
                columns.push((field, Column { key: false, ..filled }));
            }
            let (key, prepared) = columns.into_iter().unzip();
            let reference = Reference { name: name.value.clone(), entity: target.name.clone(), key };
            references.push((reference, PreparedReference { key: prepared }));
        }
        references
    }

    /// Reports a reference that does not give exactly the target's key columns.
    fn demand_key(&mut self, target: &EntityContract, name: &At<String>, key: &Named<syntax::Value>) {
        let mut expected: Vec<_> = key_columns(target).map(|column| column.name.as_str()).collect();
        let mut found: Vec<_> = key.0.iter().map(|(name, _)| name.value.as_str()).collect();
        expected.sort_unstable();
        found.sort_unstable();
        if found != expected {
            let found: Vec<_> = found.iter().map(|name| format!("`{name}`")).collect();
            let found = if found.is_empty() { "no key column".to_owned() } else { found.join(", ") };
            let expected: Vec<_> = expected.iter().map(|name| format!("`{name}`")).collect();
            let (name_text, entity) = (&name.value, &target.name);
            let message = format!(
                "found {found} in the reference `{name_text}`, expected exactly the key of `{entity}`: {}",
                expected.join(", ")
            );
            self.findings.error(name.mark, message, None);
        }
    }

    fn filled(
        &mut self,
        plan: &mut PlanBuilder,
        scope: &Scope<'_>,
        target: &Target<'_>,
        value: &syntax::Value,
    ) -> (Field, Column) {
        let mut sources = Vec::new();
        let listed = listed(value);
        let value = self.value(plan, scope, value, &mut sources);
        let samples = samples(&value);
        self.check_type(target, samples.into_iter().chain(listed.iter().map(|constant| Ok(constant.value()))));
        let data_type = target.column.data_type;
        let source = (!sources.is_empty()).then(|| sources.join(", "));
        let field = Field { name: target.column.name.clone(), data_type, source };
        let usual = Usual::of(&value, data_type);
        (field, Column { name: target.name.clone(), data_type, key: target.column.key, value, usual })
    }

    /// Compiles a value; the texts of its paths are added to `sources`.
    pub(super) fn value(
        &mut self,
        plan: &mut PlanBuilder,
        scope: &Scope<'_>,
        value: &syntax::Value,
        sources: &mut Vec<String>,
    ) -> Value {
        let full = match value {
            syntax::Value::Path(text) => {
                return Value {
                    source: self.source_path(plan, scope, text, sources, Source::Path),
                    steps: Vec::new(),
                    default: None,
                };
            }
            syntax::Value::Full(full) => full,
        };
        let FullValue { source, normalize, default } = &**full;
        let source = match source {
            syntax::Source::Path(text) => self.source_path(plan, scope, text, sources, Source::Path),
            syntax::Source::First(texts) => Source::First(self.paths(plan, scope, texts, sources)),
            syntax::Source::Join(join) => Source::Join {
                paths: self.paths(plan, scope, &join.join, sources),
                separator: join.separator.clone().unwrap_or_else(|| " ".to_owned()),
            },
            syntax::Source::Case(branches) => {
                let mut compiled = Vec::new();
                for branch in branches {
                    let when = self.condition(plan, scope, &branch.when);
                    let then = self.value(plan, scope, &branch.then, sources);
                    compiled.extend(when.map(|when| (when, then)));
                }
                Source::Case(compiled)
            }
            syntax::Source::Const(constant) => Source::Const(self::constant(&constant.value)),
            syntax::Source::Index(index) => {
                let start = index.start.unwrap_or(0);
                self.source_path(plan, scope, &index.index, sources, |path| Source::Index { path, start })
            }
            syntax::Source::Key(text) => self.source_path(plan, scope, text, sources, Source::Key),
            syntax::Source::Count(text) => self.source_path(plan, scope, text, sources, Source::Count),
            syntax::Source::Record(property) => Source::Record(self.property(self::property(property))),
        };
        let default = default.as_ref().map(|default| self::constant(&default.value));
        let steps = normalize.iter().flatten();
        let steps = steps.filter_map(|step| self.action(plan, scope, step, default.is_some(), sources)).collect();
        Value { source, steps, default }
    }

    fn source_path(
        &mut self,
        plan: &mut PlanBuilder,
        scope: &Scope<'_>,
        text: &At<PathText>,
        sources: &mut Vec<String>,
        make: impl FnOnce(Path) -> Source,
    ) -> Source {
        // Thrown away with everything else if the path is none: an error was reported.
        self.path(plan, scope, text, sources).map_or(Source::Const(Constant::Null), make)
    }

    fn paths(
        &mut self,
        plan: &mut PlanBuilder,
        scope: &Scope<'_>,
        texts: &[At<PathText>],
        sources: &mut Vec<String>,
    ) -> Vec<Path> {
        texts.iter().filter_map(|text| self.path(plan, scope, text, sources)).collect()
    }

    fn path(
        &mut self,
        plan: &mut PlanBuilder,
        scope: &Scope<'_>,
        text: &At<PathText>,
        sources: &mut Vec<String>,
    ) -> Option<Path> {
        let (base, path) = self.parse(scope, text)?;
        let absolute = scope.absolute(base, &text.value);
        let number = self.number(&absolute);
        if !sources.contains(&absolute) {
            sources.push(absolute);
        }
        let counted = !tail(&text.value).is_empty();
        let reach = match base {
            _ if !path.is_singular() => Reach::Many,
            Base::Node => Reach::Inside,
            Base::Record | Base::Enclosing => Reach::Outside,
        };
        Some(Path { select: plan.select(scope.id, base, path), number, counted, reach })
    }

    /// Reports a value that can be seen, before any record is, not to become the column's type.
    fn check_type<'v>(&mut self, target: &Target<'_>, samples: impl Iterator<Item = Result<Sample<'v>, StepError>>) {
        let data_type = target.column.data_type;
        for sample in samples {
            if let Err(error) = sample.and_then(|sample| coerce(sample, data_type).map(drop)) {
                let (name, entity) = (&target.column.name, target.entity);
                let message = format!(
                    "found a value that never becomes {data_type}, the type of `{name}` of `{entity}`: {error}"
                );
                self.findings.error(target.mark, message, None);
            }
        }
    }
}

/// The values that a lookup in the last step lists.
fn listed(value: &syntax::Value) -> Vec<Constant> {
    let syntax::Value::Full(full) = value else { return Vec::new() };
    match (&full.source, full.normalize.iter().flatten().last().map(|step| &step.value)) {
        (_, Some(syntax::Step::With(StepWith::Lookup(values)))) => {
            values.0.iter().map(|(_, value)| constant(&value.value)).collect()
        }
        (syntax::Source::Case(branches), None) => branches.iter().flat_map(|branch| listed(&branch.then)).collect(),
        _ => Vec::new(),
    }
}

/// What is known of the results of a value: constants as they are, and an example for each step that makes one type.
fn samples(value: &Value) -> Vec<Result<Sample<'_>, StepError>> {
    let mut samples: Vec<_> = match (&value.source, value.steps.last()) {
        (_, Some(Action::ScaleBy(_) | Action::Step(Step::Scale(_) | Step::Decimal(_)))) => {
            vec![Ok(Sample::Number("0".into()))]
        }
        (_, Some(Action::Step(Step::Timestamp(_)))) => vec![Ok(Sample::Timestamp(0))],
        (_, Some(Action::Step(Step::Date(_)))) => vec![Ok(Sample::Date(0))],
        (_, Some(Action::Step(Step::Boolean(_)))) => vec![Ok(Sample::Boolean(true))],
        (_, Some(Action::Step(Step::Country))) => vec![Ok(Sample::Text("CH".into()))],
        (_, Some(Action::Step(Step::Currency))) => vec![Ok(Sample::Text("CHF".into()))],
        (Source::Case(branches), None) => branches.iter().flat_map(|(_, then)| self::samples(then)).collect(),
        (Source::Index { .. } | Source::Count(_), None) => vec![Ok(index(0, 0))],
        _ => Vec::new(),
    };
    if let Source::Const(constant) = &value.source {
        // The steps are run as they would be for any record.
        samples.push(value.steps.iter().try_fold(constant.value(), |value, action| match action {
            Action::Step(step) => step.apply(value),
            Action::ScaleBy(_) => Ok(value),
        }));
    }
    samples.extend(value.default.iter().map(|default| Ok(default.value())));
    samples
}

pub(super) fn constant(scalar: &Scalar) -> Constant {
    match scalar {
        Scalar::Null => Constant::Null,
        Scalar::Boolean(value) => Constant::Boolean(*value),
        Scalar::Number(digits) => Constant::Number(digits.clone()),
        Scalar::Text(text) => Constant::Text(text.clone()),
    }
}

fn property(property: &syntax::Property) -> Property {
    match property {
        syntax::Property::Checksum => Property::Checksum,
        syntax::Property::Position => Property::Position,
        syntax::Property::Key => Property::Key,
        syntax::Property::Topic => Property::Topic,
        syntax::Property::File => Property::File,
        syntax::Property::EventTime => Property::EventTime,
        syntax::Property::SchemaVersion => Property::SchemaVersion,
        syntax::Property::Header(name) => Property::Header(name.clone()),
    }
}
