//! One value of one row: source, steps, default.

use silversmith_sdk::extract::{NodeId, Place};
use silversmith_sdk::normalise::{self, StepError, scale_by_currency};
use silversmith_sdk::value::Value;

use super::Scope;
use crate::prepared::{self, Action, Path, Source};

/// Why a value could not be had.
pub(super) struct Failure {
    pub(super) code: &'static str,
    pub(super) message: String,
    /// The number of the path at fault.
    pub(super) path: Option<u32>,
    pub(super) value: Option<String>,
    pub(super) step: Option<&'static str>,
}

impl Failure {
    fn new(code: &'static str, message: String, path: Option<Path>) -> Box<Self> {
        Box::new(Self { code, message, path: path.map(|path| path.number), value: None, step: None })
    }

    pub(super) fn of_step(error: StepError, path: Option<Path>) -> Box<Self> {
        Box::new(Self {
            code: error.code,
            message: error.message,
            path: path.map(|path| path.number),
            value: Some(error.value),
            step: Some(error.step),
        })
    }
}

/// Whether a default replaces an absent value too, or null alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Absence {
    Defaults,
    Stays,
}

impl Scope<'_, '_> {
    /// A value, or none where its source is absent.
    pub(super) fn value<'v>(
        &'v self,
        value: &'v prepared::Value,
        place: Place,
        absence: Absence,
    ) -> Result<Option<Value<'v>>, Box<Failure>> {
        let mut found = self.source(value, place, absence)?;
        for action in &value.steps {
            let Some(input) = found else { break };
            found = Some(self.act(action, input, value.path(), place)?);
        }
        Ok(match (found, &value.default) {
            (Some(Value::Null), Some(default)) => Some(default.value()),
            (None, Some(default)) if absence == Absence::Defaults => Some(default.value()),
            (found, _) => found,
        })
    }

    #[inline]
    fn source<'v>(
        &'v self,
        value: &'v prepared::Value,
        place: Place,
        absence: Absence,
    ) -> Result<Option<Value<'v>>, Box<Failure>> {
        match &value.source {
            Source::Path(path) => Ok(self.one(*path, place)?.map(|node| self.tree.value(node))),
            Source::First(paths) => {
                // All paths are looked at, because each is counted.
                let mut first = None;
                for node in paths.iter().flat_map(|path| self.nodes(*path, place)) {
                    if matches!(first, None | Some(Value::Null)) {
                        first = Some(self.tree.value(node));
                    }
                }
                Ok(first)
            }
            Source::Join { paths, separator } => {
                let mut values =
                    paths.iter().flat_map(|path| self.nodes(*path, place)).map(|node| self.tree.value(node)).peekable();
                if values.peek().is_none() {
                    return Ok(None);
                }
                let joined = normalise::join(values, separator);
                Ok(Some(joined.map_err(|error| Failure::of_step(error, value.path()))?))
            }
            Source::Case(branches) => match branches.iter().find(|(when, _)| self.tree.test(*when, place)) {
                Some((_, then)) => self.value(then, place, absence),
                None => Ok(None),
            },
            Source::Const(constant) => Ok(Some(constant.value())),
            Source::Index { path, start } => {
                let position = self.one(*path, place)?.and_then(|node| self.tree.index(node));
                Ok(position.map(|position| normalise::index(position, *start)))
            }
            Source::Key(path) => Ok(self.one(*path, place)?.and_then(|node| self.tree.key(node)).map(Value::Text)),
            Source::Count(path) => Ok(Some(normalise::index(self.nodes(*path, place).count(), 0))),
            Source::Record(column) => match self.record.property(*column).map(std::str::from_utf8) {
                None => Ok(None),
                Some(Ok(text)) => Ok(Some(Value::Text(text.into()))),
                Some(Err(_)) => {
                    let message = "found bytes that are not UTF-8 in a property of the record, expected text";
                    Err(Failure::new("invalid_utf8", message.to_owned(), None))
                }
            },
        }
    }

    fn act<'v>(
        &'v self,
        action: &'v Action,
        input: Value<'v>,
        path: Option<Path>,
        place: Place,
    ) -> Result<Value<'v>, Box<Failure>> {
        match action {
            Action::Step(step) => step.apply(input).map_err(|error| Failure::of_step(error, path)),
            Action::ScaleBy(_) if input == Value::Null => Ok(input),
            Action::ScaleBy(currency) => {
                let currency_path = currency.path();
                let currency = self.value(currency, place, Absence::Defaults)?.unwrap_or(Value::Null);
                if currency == Value::Null {
                    let message = "found no currency, expected one to scale by".to_owned();
                    let failure = Failure::new("bad_currency", message, currency_path);
                    return Err(Box::new(Failure { step: Some("scale"), ..*failure }));
                }
                scale_by_currency(input, &currency).map_err(|error| Failure::of_step(error, path))
            }
        }
    }

    /// The node of a path that selects at most one.
    #[inline]
    fn one(&self, path: Path, place: Place) -> Result<Option<NodeId>, Box<Failure>> {
        let mut nodes = self.tree.select(path.select, place);
        let Some(first) = nodes.next() else { return Ok(None) };
        let more = nodes.count();
        self.hit(path, 1 + more as u64);
        match more {
            0 => Ok(Some(first)),
            more => {
                let message = format!("found {} nodes, expected one; `first` takes the first and `join` all", more + 1);
                Err(Failure::new("several_matches", message, Some(path)))
            }
        }
    }
}
