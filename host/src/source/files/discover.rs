//! Which files a source has: patterns, and the walk that follows them.
//!
//! Lists names and facts; opens nothing. The name of a file is its path below the source's root, with `/`, and
//! a scan gives names in byte order. Links are followed as long as they stay below the root: a tenant's folder
//! is written by the tenant's people, and must not show them the host's other files.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use walkdir::WalkDir;

use super::ledger::Facts;

/// One `files:` or `documents:` entry: a path or a glob below the source's root.
///
/// A path to a folder means every file below it. `*` stops at `/`, `**` does not, `{a,b}` are alternatives, of
/// which one may be empty. Names that start with a dot are left out unless the pattern is that very path:
/// producers write `.name` first and rename.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    /// The leading folders without wildcards; the whole path where there are none at all.
    base: PathBuf,
    glob: Option<(GlobMatcher, Depth)>,
}

/// How far below its base a glob reaches.
#[derive(Clone, Copy, Debug)]
enum Depth {
    Levels(usize),
    Any,
}

/// A pattern that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// It has no text.
    #[error("found an empty path, expected a file, a folder or a glob such as `samples/*.ndjson`")]
    Empty,
    /// It leaves the folder.
    #[error("path `{0}` leaves the folder that it is relative to, expected a path below it")]
    Escapes(String),
    /// The glob has no meaning.
    #[error("glob `{text}` is not valid: {reason}")]
    Glob {
        /// The pattern.
        text: String,
        /// Why.
        reason: String,
    },
}

impl Pattern {
    /// A pattern from its text.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let path = Path::new(text);
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if !path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(PatternError::Escapes(text.to_owned()));
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        let plain = parts.iter().take_while(|part| !part.contains(['*', '?', '[', '{'])).count();
        let base = parts[..plain].iter().collect();
        if plain == parts.len() {
            return Ok(Self { text: text.to_owned(), base, glob: None });
        }
        let glob = GlobBuilder::new(&parts.join("/"))
            .literal_separator(true)
            .empty_alternates(true)
            .build()
            .map_err(|error| PatternError::Glob { text: text.to_owned(), reason: error.kind().to_string() })?;
        // Alternatives may hold a `/`, so only what is left of the first one can be counted.
        let depth = match text.contains("**") || text.contains('{') {
            true => Depth::Any,
            false => Depth::Levels(parts.len() - plain),
        };
        Ok(Self { text: text.to_owned(), base, glob: Some((glob.compile_matcher(), depth)) })
    }

    /// What a path given by hand selects, and the root it is below: the file or folder itself, or, where there is none
    /// of that name, the files that it matches as a glob.
    pub fn exactly(path: &Path) -> io::Result<(PathBuf, Self)> {
        let wild = |part: Component<'_>| part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']);
        if let (Ok(false), Some(plain)) = (path.try_exists(), path.components().position(wild)) {
            let glob: PathBuf = path.components().skip(plain).collect();
            let pattern = Self::parse(&glob.to_string_lossy());
            let pattern = pattern.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            let root = Path::new(".").join(path.components().take(plain).collect::<PathBuf>());
            return Ok((root.canonicalize()?, pattern));
        }
        let path = path.canonicalize()?;
        match (path.is_dir(), path.parent(), path.file_name()) {
            (false, Some(root), Some(name)) => {
                let pattern = Self { text: name.to_string_lossy().into_owned(), base: name.into(), glob: None };
                Ok((root.to_owned(), pattern))
            }
            _ => Ok((path, Self { text: ".".to_owned(), base: PathBuf::new(), glob: None })),
        }
    }

    /// The files below `root` that it selects now, in byte order; the error says found and expected.
    pub fn list(&self, root: &Path) -> Result<Vec<String>, String> {
        match scan(root, std::slice::from_ref(self)) {
            Ok(found) => Ok(found.into_keys().collect()),
            Err(ScanError::Io { path, source }) => Err(format!("`{}` cannot be read: {source}", path.display())),
            Err(ScanError::Refused(message)) => Err(message),
        }
    }

    /// The file that must be there, where the pattern names one without wildcards.
    pub fn literal(&self) -> Option<&Path> {
        self.glob.is_none().then_some(self.base.as_path())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A scan failed.
#[derive(Debug)]
pub(super) enum ScanError {
    /// A folder could not be read now.
    Io { path: PathBuf, source: io::Error },
    /// What is there cannot be read without breaking a rule; the text says found, expected and next step.
    Refused(String),
}

/// The files below `root` that a pattern selects, with their facts.
pub(super) fn scan(root: &Path, patterns: &[Pattern]) -> Result<BTreeMap<String, Facts>, ScanError> {
    let io_at = |path: &Path| {
        let path = path.to_owned();
        move |source| ScanError::Io { path, source }
    };
    let root = root.canonicalize().map_err(io_at(root))?;
    let mut found = BTreeMap::new();
    for pattern in patterns {
        let base = root.join(&pattern.base);
        match fs::symlink_metadata(&base) {
            Ok(_) => stays_below(&root, &base)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(io_at(&base)(error)),
        }
        let levels = match &pattern.glob {
            Some((_, Depth::Levels(levels))) => *levels,
            _ => usize::MAX,
        };
        let walk = WalkDir::new(&base).follow_links(true).max_depth(levels);
        let hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
        for entry in walk.into_iter().filter_entry(|entry| entry.depth() == 0 || !hidden(entry.file_name())) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if error.loop_ancestor().is_some() => {
                    return Err(ScanError::Refused(format!(
                        "{error}, expected links without a loop; remove one of them"
                    )));
                }
                Err(error) => match error.io_error().map(io::Error::kind) {
                    // Gone since it was listed, or a link to nothing.
                    Some(io::ErrorKind::NotFound) => continue,
                    _ => {
                        let path = error.path().unwrap_or(&base).to_owned();
                        return Err(ScanError::Io { path, source: error.into() });
                    }
                },
            };
            if entry.path_is_symlink() {
                stays_below(&root, entry.path())?;
            }
            if !entry.file_type().is_file() {
                continue;
            }
            let below = entry.path().strip_prefix(&root).expect("the walk began below the root");
            if pattern.glob.as_ref().is_some_and(|(glob, _)| !glob.is_match(below)) {
                continue;
            }
            let Some(name) = below.to_str() else {
                return Err(ScanError::Refused(format!(
                    "file {below:?} has a name that is not UTF-8, expected UTF-8, because the name is stored; rename the file"
                )));
            };
            match entry.metadata() {
                Ok(metadata) => found.insert(name.to_owned(), Facts::of(&metadata)),
                Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => None,
                Err(error) => return Err(ScanError::Io { path: entry.path().to_owned(), source: error.into() }),
            };
        }
    }
    Ok(found)
}

fn stays_below(root: &Path, path: &Path) -> Result<(), ScanError> {
    match path.canonicalize() {
        Ok(target) if target.starts_with(root) => Ok(()),
        Ok(target) => Err(ScanError::Refused(format!(
            "`{}` is a link to `{}`, expected one that stays below `{}`; put the files there, or name another folder with `--input`",
            path.display(),
            target.display(),
            root.display()
        ))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(ScanError::Io { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[track_caller]
    fn check(root: &Path, pattern: &str, expected: &[&str]) {
        let found = scan(root, &[Pattern::parse(pattern).unwrap()]).unwrap();
        assert_eq!(found.keys().map(String::as_str).collect::<Vec<_>>(), expected, "{pattern}");
    }

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    #[test]
    fn patterns_select_what_they_say() {
        let root = folder(&[
            "b.ndjson",
            "a.ndjson",
            "a.ndjson.gz",
            ".a.ndjson",
            "in/c.ndjson",
            "in/deep/d.ndjson",
            "in/.tmp/e.ndjson",
        ]);
        check(root.path(), "*.ndjson", &["a.ndjson", "b.ndjson"]);
        check(root.path(), "./*.ndjson{,.gz}", &["a.ndjson", "a.ndjson.gz", "b.ndjson"]);
        check(root.path(), "in/*.ndjson", &["in/c.ndjson"]);
        check(root.path(), "in", &["in/c.ndjson", "in/deep/d.ndjson"]);
        check(root.path(), "**/[cd].ndjson", &["in/c.ndjson", "in/deep/d.ndjson"]);
        check(root.path(), "a.ndjson", &["a.ndjson"]);
        check(root.path(), ".a.ndjson", &[".a.ndjson"]);
        check(root.path(), "absent/*.ndjson", &[]);
    }

    #[test]
    fn a_path_given_by_hand_selects_just_that() {
        let root = folder(&["in/a[1].ndjson", "in/b.ndjson"]);
        let (below, pattern) = Pattern::exactly(&root.path().join("in/a[1].ndjson")).unwrap();
        assert_eq!(scan(&below, &[pattern]).unwrap().into_keys().collect::<Vec<_>>(), ["a[1].ndjson"]);
        let (below, pattern) = Pattern::exactly(&root.path().join("in")).unwrap();
        assert_eq!(scan(&below, &[pattern]).unwrap().into_keys().collect::<Vec<_>>(), ["a[1].ndjson", "b.ndjson"]);
        let (below, pattern) = Pattern::exactly(&root.path().join("in/b*")).unwrap();
        assert_eq!(scan(&below, &[pattern]).unwrap().into_keys().collect::<Vec<_>>(), ["b.ndjson"]);
        assert!(Pattern::exactly(&root.path().join("absent/*")).is_err());
    }

    #[test]
    fn patterns_that_leave_the_folder_are_refused() {
        for text in ["../a", "a/../../b", "/etc/passwd", "in/../a"] {
            assert!(matches!(Pattern::parse(text), Err(PatternError::Escapes(_))), "{text}");
        }
        assert!(matches!(Pattern::parse(""), Err(PatternError::Empty)));
        assert!(matches!(Pattern::parse("a[.json"), Err(PatternError::Glob { .. })));
    }

    #[test]
    fn links_are_followed_below_the_root_only() {
        let (root, outside) = (folder(&["in/a.ndjson"]), folder(&["b.ndjson"]));
        symlink(root.path().join("in/a.ndjson"), root.path().join("in/link.ndjson")).unwrap();
        symlink("nowhere", root.path().join("in/dangling.ndjson")).unwrap();
        check(root.path(), "in/*.ndjson", &["in/a.ndjson", "in/link.ndjson"]);

        for target in [outside.path().to_owned(), outside.path().join("b.ndjson")] {
            let link = root.path().join("in/out.ndjson");
            symlink(target, &link).unwrap();
            let error = scan(root.path(), &[Pattern::parse("in/*.ndjson").unwrap()]).unwrap_err();
            assert!(matches!(error, ScanError::Refused(message) if message.contains("expected one that stays below")));
            fs::remove_file(link).unwrap();
        }
    }

    #[test]
    fn a_loop_of_links_is_refused() {
        let root = folder(&["in/a.ndjson"]);
        symlink(root.path().join("in"), root.path().join("in/again")).unwrap();
        assert!(matches!(scan(root.path(), &[Pattern::parse("in").unwrap()]), Err(ScanError::Refused(_))));
    }
}
