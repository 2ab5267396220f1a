//! What is wrong with a configuration, gathered file by file.
//!
//! Owns the words of diagnostics and the nearest known name. Every check adds what it finds and goes on, so
//! that an author sees all errors at once and not one a run.

use silversmith_sdk::plugin::Diagnostic;

use crate::yaml::Mark;

/// The errors and warnings of a configuration so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    file: String,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl Findings {
    /// Names the file that the next findings lie in; empty for the settings.
    pub(crate) fn enter(&mut self, file: &str) {
        file.clone_into(&mut self.file);
    }

    /// Adds an error: `message` says what was found and what was expected.
    pub(crate) fn error(&mut self, mark: Mark, message: impl Into<String>, hint: Option<String>) {
        let finding = self.diagnostic(mark, message.into(), hint);
        add(&mut self.errors, finding);
    }

    /// Adds a warning.
    pub(crate) fn warn(&mut self, mark: Mark, message: impl Into<String>, hint: Option<String>) {
        let finding = self.diagnostic(mark, message.into(), hint);
        add(&mut self.warnings, finding);
    }

    /// How many errors there are: a caller that compares two counts learns whether a part was sound.
    pub(crate) fn errors(&self) -> usize {
        self.errors.len()
    }

    /// The warnings, or the errors if there is one; by place within a file.
    pub(crate) fn finish(mut self) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let by_place = |a: &Diagnostic, b: &Diagnostic| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column));
        self.errors.sort_by(by_place);
        self.warnings.sort_by(by_place);
        if self.errors.is_empty() { Ok(self.warnings) } else { Err(self.errors) }
    }

    fn diagnostic(&self, mark: Mark, message: String, hint: Option<String>) -> Diagnostic {
        Diagnostic { file: self.file.clone(), line: mark.line, column: mark.column, message, hint }
    }
}

/// A part that an anchor repeats is checked at each use, and is wrong only once.
fn add(list: &mut Vec<Diagnostic>, finding: Diagnostic) {
    let same = |known: &Diagnostic| {
        (known.line, known.column) == (finding.line, finding.column)
            && known.message == finding.message
            && known.file == finding.file
    };
    if !list.iter().any(same) {
        list.push(finding);
    }
}

/// `` `a`, `b` or `c` ``.
pub(crate) fn alternatives<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.pop() {
        None => "nothing".to_owned(),
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} or {last}", names.join(", ")),
    }
}

/// "did you mean …?", where a known name is near.
pub(crate) fn nearest<'n>(found: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
    let near = |name: &&str| {
        let distance = strsim::damerau_levenshtein(&found.to_lowercase(), &name.to_lowercase());
        // A third of the letters may differ: `normalise` for `normalize`, but not `path` for `case`.
        (distance <= name.chars().count().max(3) / 3).then_some(distance)
    };
    let (_, name) =
        known.into_iter().filter_map(|name| Some((near(&name)?, name))).min_by_key(|(distance, _)| *distance)?;
    Some(format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("normalise", ["path", "normalize"]).as_deref(), Some("did you mean `normalize`?"));
        assert_eq!(nearest("uppercsae", ["lowercase", "uppercase"]).as_deref(), Some("did you mean `uppercase`?"));
        assert_eq!(nearest("zzz", ["path", "case"]), None);
    }

    #[test]
    fn alternatives_read_as_prose() {
        assert_eq!(alternatives(["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(alternatives(["a"]), "`a`");
    }
}
