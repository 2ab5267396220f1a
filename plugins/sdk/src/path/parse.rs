//! From text to queries: `jsonpath-rust`'s parser, then the rules of RFC 9535 that its grammar leaves open.

use jsonpath_rust::parser::{
    Rule,
    errors::JsonPathError,
    model::{self, Comparable, Comparison, FilterAtom, FnArg, JpQuery, SingularQuery, SingularQuerySegment, Test},
    parse_json_path,
};
use pest::error::{ErrorVariant, InputLocation};

use super::{
    Extent, Label, Literal, Logical, Operand, Operator, Origin, PathError, Pattern, Query, Segment, Selector, Step,
};

/// Parses a query, and returns the table of its names with it.
pub(super) fn query(text: &str) -> Result<(Query, Vec<String>), PathError> {
    let JpQuery { segments } = parse_json_path(text).map_err(|error| syntax(error, text, 0))?;
    check_words(text)?;
    let mut reader = Reader::default();
    let query = reader.query(&segments).map_err(untyped)?;
    Ok((query, reader.names))
}

/// Parses what stands behind the `?` of a filter, by putting it there.
pub(super) fn condition(text: &str) -> Result<(Logical, Vec<String>), PathError> {
    const BEFORE: &str = "$[?";
    let parsed = parse_json_path(&format!("{BEFORE}{text}]")).map_err(|error| syntax(error, text, BEFORE.len()))?;
    let [model::Segment::Selector(model::Selector::Filter(filter))] = parsed.segments.as_slice() else {
        let message = "found more than a condition, expected one, such as `@.state == 'open'`".into();
        return Err(PathError { offset: 0, message });
    };
    check_words(text)?;
    let mut reader = Reader::default();
    let logical = reader.logical(filter).map_err(untyped)?;
    Ok((logical, reader.names))
}

/// The parser takes white space within a name for a part of it (`$.a b` becomes the name `a b`), and overlooks it
/// behind the dot of a filter's path. In RFC 9535 no two words stand side by side and no dot is followed by white
/// space, so both are looked for here.
fn check_words(text: &str) -> Result<(), PathError> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_' || !character.is_ascii();
    let mut quote = None;
    let mut before = ' ';
    let mut spaced = false;
    let mut characters = text.char_indices();
    while let Some((offset, character)) = characters.next() {
        match (quote, character) {
            (Some(_), '\\') => drop(characters.next()),
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, ' ' | '\t' | '\n' | '\r') => {
                spaced = true;
                continue;
            }
            (None, '"' | '\'') => quote = Some(character),
            (None, _) if spaced && is_word(before) && is_word(character) => {
                let message = format!("found `{character}` behind white space, expected quotes: `['a name']`");
                return Err(PathError { offset, message });
            }
            (None, _) if spaced && before == '.' => {
                return Err(PathError { offset, message: "found white space behind `.`, expected a name".into() });
            }
            (None, _) => {}
        }
        (before, spaced) = (character, false);
    }
    Ok(())
}

/// The words for what the grammar does not allow; `before` bytes were put before the text.
fn syntax(error: JsonPathError, text: &str, before: usize) -> PathError {
    let JsonPathError::PestError(error) = error else {
        return PathError { offset: 0, message: format!("found `{text}`, expected a JSONPath: {error}") };
    };
    let (InputLocation::Pos(offset) | InputLocation::Span((offset, _))) = error.location;
    let offset = offset.saturating_sub(before).min(text.len());
    let found = match text.get(offset..).and_then(|rest| rest.chars().next()) {
        Some(character) => format!("`{character}`"),
        None => "the end".into(),
    };
    let expected = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => {
            let mut words: Vec<&str> = positives.iter().filter_map(word).collect();
            words.sort_unstable();
            words.dedup();
            words.join(", ")
        }
        ErrorVariant::CustomError { message } => message.clone(),
    };
    let expected = if expected.is_empty() { "JSONPath".into() } else { expected };
    PathError { offset, message: format!("found {found}, expected {expected}") }
}

/// What a rule of the grammar stands for, in a user's words.
fn word(rule: &Rule) -> Option<&'static str> {
    Some(match rule {
        Rule::jp_query | Rule::main => "a path that starts with `$`",
        Rule::segment | Rule::child_segment | Rule::name_segment => "`.name` or `[…]`",
        Rule::descendant_segment => "`..`",
        Rule::member_name_shorthand | Rule::name_first | Rule::name_char | Rule::ALPHA => "a name",
        Rule::wildcard_selector => "`*`",
        Rule::selector | Rule::bracketed_selection => "a selector, such as `'name'`, `0`, `*` or `?@.name`",
        Rule::comp_op => "a comparison, such as `==`",
        Rule::comparable | Rule::literal | Rule::number | Rule::string => "a value",
        Rule::test | Rule::rel_query | Rule::atom_expr | Rule::logical_expr | Rule::comp_expr => {
            "a condition, such as `@.name`"
        }
        Rule::EOI => "the end",
        _ => return None,
    })
}

/// The words for a query that the grammar allows and the type system of RFC 9535 does not.
fn untyped(message: String) -> PathError {
    PathError { offset: 0, message }
}

type Typed<T> = Result<T, String>;

/// Reads the parser's model, checks its types, and collects the names.
#[derive(Default)]
struct Reader {
    names: Vec<String>,
}

impl Reader {
    fn label(&mut self, name: &str) -> Label {
        let place = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        place as Label
    }

    fn query(&mut self, segments: &[model::Segment]) -> Typed<Query> {
        let segments = segments.iter().map(|segment| match segment {
            model::Segment::Descendant(segment) => Ok(Segment::Descendant(self.selectors(segment)?)),
            segment => Ok(Segment::Child(self.selectors(segment)?)),
        });
        Ok(Query::new(segments.collect::<Typed<_>>()?))
    }

    fn selectors(&mut self, segment: &model::Segment) -> Typed<Vec<Selector>> {
        match segment {
            model::Segment::Selector(selector) => Ok(vec![self.selector(selector)?]),
            model::Segment::Selectors(selectors) => selectors.iter().map(|selector| self.selector(selector)).collect(),
            model::Segment::Descendant(_) => Err("found `..` within `..`, expected a selector".into()),
        }
    }

    fn selector(&mut self, selector: &model::Selector) -> Typed<Selector> {
        Ok(match selector {
            model::Selector::Name(name) => Selector::Step(Step::Name(self.label(name))),
            model::Selector::Wildcard => Selector::Wildcard,
            model::Selector::Index(index) => Selector::Step(Step::Index(*index)),
            model::Selector::Slice(start, end, step) => {
                Selector::Slice { start: *start, end: *end, step: step.unwrap_or(1) }
            }
            model::Selector::Filter(filter) => Selector::Filter(self.logical(filter)?),
        })
    }

    fn logical(&mut self, filter: &model::Filter) -> Typed<Logical> {
        let (not, logical) = match filter {
            model::Filter::Or(terms) => {
                return Ok(Logical::Any(terms.iter().map(|term| self.logical(term)).collect::<Typed<_>>()?));
            }
            model::Filter::And(terms) => {
                return Ok(Logical::All(terms.iter().map(|term| self.logical(term)).collect::<Typed<_>>()?));
            }
            model::Filter::Atom(FilterAtom::Comparison(comparison)) => return self.comparison(comparison),
            model::Filter::Atom(FilterAtom::Filter { expr, not }) => (*not, self.logical(expr)?),
            model::Filter::Atom(FilterAtom::Test { expr, not }) => (*not, self.test(expr)?),
        };
        Ok(if not { Logical::Not(Box::new(logical)) } else { logical })
    }

    fn test(&mut self, test: &Test) -> Typed<Logical> {
        Ok(match test {
            Test::RelQuery(segments) => Logical::Exists(Origin::Node, self.query(segments)?),
            Test::AbsQuery(JpQuery { segments }) => Logical::Exists(Origin::Record, self.query(segments)?),
            Test::Function(function) => match &**function {
                model::TestFunction::Match(text, pattern) => self.matches(text, pattern, Extent::Whole)?,
                model::TestFunction::Search(text, pattern) => self.matches(text, pattern, Extent::Part)?,
                function => {
                    let name = name(function)?;
                    return Err(format!("found `{name}(…)` as a condition, expected it in a comparison"));
                }
            },
        })
    }

    fn matches(&mut self, text: &FnArg, pattern: &FnArg, extent: Extent) -> Typed<Logical> {
        let name = if extent == Extent::Whole { "match" } else { "search" };
        let text = self.value_argument(text, name)?;
        Ok(Logical::Matches { text, pattern: Pattern::new(self.value_argument(pattern, name)?), extent })
    }

    fn comparison(&mut self, comparison: &Comparison) -> Typed<Logical> {
        let operator = match comparison {
            Comparison::Eq(..) => Operator::Equal,
            Comparison::Ne(..) => Operator::Unequal,
            Comparison::Lt(..) => Operator::Less,
            Comparison::Lte(..) => Operator::AtMost,
            Comparison::Gt(..) => Operator::Greater,
            Comparison::Gte(..) => Operator::AtLeast,
        };
        let (left, right) = comparison.vals();
        Ok(Logical::Compare(self.comparable(left)?, operator, self.comparable(right)?))
    }

    fn comparable(&mut self, comparable: &Comparable) -> Typed<Operand> {
        match comparable {
            Comparable::Literal(literal) => Ok(Operand::Literal(read(literal))),
            Comparable::Function(function) => self.function(function),
            Comparable::SingularQuery(query) => {
                let (origin, segments) = match query {
                    SingularQuery::Current(segments) => (Origin::Node, segments),
                    SingularQuery::Root(segments) => (Origin::Record, segments),
                };
                let segments = segments.iter().map(|segment| {
                    Segment::Child(vec![match segment {
                        SingularQuerySegment::Name(name) => Selector::Step(Step::Name(self.label(name))),
                        SingularQuerySegment::Index(index) => Selector::Step(Step::Index(*index)),
                    }])
                });
                Ok(Operand::Only(origin, Query::new(segments.collect())))
            }
        }
    }

    /// A function that yields a value.
    fn function(&mut self, function: &model::TestFunction) -> Typed<Operand> {
        match function {
            model::TestFunction::Length(argument) => {
                Ok(Operand::Length(Box::new(self.value_argument(argument, "length")?)))
            }
            model::TestFunction::Count(argument) => {
                self.nodes_argument(argument, "count").map(|(origin, query)| Operand::Count(origin, query))
            }
            model::TestFunction::Value(argument) => {
                self.nodes_argument(argument, "value").map(|(origin, query)| Operand::Only(origin, query))
            }
            function => {
                let name = name(function)?;
                Err(format!("found `{name}(…)` in a comparison, expected it as a condition"))
            }
        }
    }

    /// An argument that must be one value.
    fn value_argument(&mut self, argument: &FnArg, function: &str) -> Typed<Operand> {
        if let FnArg::Literal(literal) = argument {
            return Ok(Operand::Literal(read(literal)));
        }
        if let FnArg::Test(test) = argument {
            if let Test::Function(function) = &**test {
                return self.function(function);
            }
            let (origin, query) = self.nodes_argument(argument, function)?;
            if query.is_singular() {
                return Ok(Operand::Only(origin, query));
            }
        }
        Err(format!("found an argument of `{function}` that may be several values, expected one value"))
    }

    /// An argument that must be a query.
    fn nodes_argument(&mut self, argument: &FnArg, function: &str) -> Typed<(Origin, Query)> {
        if let FnArg::Test(test) = argument {
            match &**test {
                Test::RelQuery(segments) => return Ok((Origin::Node, self.query(segments)?)),
                Test::AbsQuery(JpQuery { segments }) => return Ok((Origin::Record, self.query(segments)?)),
                Test::Function(_) => {}
            }
        }
        Err(format!("found an argument of `{function}` that is no path, expected a path"))
    }
}

/// The name of a function of RFC 9535.
fn name(function: &model::TestFunction) -> Typed<&'static str> {
    match function {
        model::TestFunction::Length(_) => Ok("length"),
        model::TestFunction::Count(_) => Ok("count"),
        model::TestFunction::Value(_) => Ok("value"),
        model::TestFunction::Match(..) => Ok("match"),
        model::TestFunction::Search(..) => Ok("search"),
        model::TestFunction::Custom(name, _) => {
            Err(format!("found the function `{name}`, expected one of length, count, value, match, search"))
        }
    }
}

fn read(literal: &model::Literal) -> Literal {
    match literal {
        model::Literal::Null => Literal::Null,
        model::Literal::Bool(value) => Literal::Boolean(*value),
        model::Literal::Int(value) => Literal::Number(value.to_string()),
        // The shortest digits that give this float again: those that were written, up to 15 of them.
        model::Literal::Float(value) if value.is_finite() => Literal::Number(value.to_string()),
        model::Literal::Float(value) => Literal::Number(if *value < 0.0 { "-1e309" } else { "1e309" }.into()),
        model::Literal::String(value) => Literal::Text(value.clone()),
    }
}
