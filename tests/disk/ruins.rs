//! What a machine finds on its disk after it lost power.
//!
//! Only what was synced is certain: the bytes of a file since it was synced, a name since its folder was. Everything else
//! is there or not, each thing for itself and in no order; of bytes, also a half, or zeros in their place. No file system
//! promises less.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::trace::Step;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Node {
    Folder,
    /// By its place among all files.
    File(usize),
}

/// The bytes of a file, whatever its names.
#[derive(Clone, Debug, Default)]
struct Contents {
    written: Vec<u8>,
    synced: Vec<u8>,
}

impl Contents {
    fn is_synced(&self) -> bool {
        self.written == self.synced
    }
}

/// What became of bytes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fate {
    Written,
    Lost,
    Zeros,
    Half,
}

const FATES: [Fate; 4] = [Fate::Written, Fate::Lost, Fate::Zeros, Fate::Half];

/// A disk, and which of its state is certain.
#[derive(Clone, Debug, Default)]
pub(super) struct Ruins {
    live: BTreeMap<PathBuf, Node>,
    certain: BTreeMap<PathBuf, Node>,
    /// Names that were given or taken since their folder was synced, in order.
    pending: Vec<(PathBuf, Option<Node>)>,
    files: Vec<Contents>,
}

/// One of the states that a disk may be found in.
#[derive(Debug)]
pub(super) struct Found<'r> {
    of: &'r Ruins,
    names: BTreeMap<PathBuf, Node>,
    fates: BTreeMap<usize, Fate>,
}

impl Ruins {
    /// What lies below `home`, all of it certain.
    pub(super) fn of(home: &Path) -> Self {
        let (mut ruins, mut open) = (Self::default(), vec![home.to_owned()]);
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).expect("a listed folder can be read") {
                let path = entry.expect("a listed folder can be read").path();
                let name = path.strip_prefix(home).expect("it was listed below").to_owned();
                if path.is_dir() {
                    ruins.live.insert(name, Node::Folder);
                    open.push(path);
                } else {
                    let bytes = fs::read(&path).expect("a listed file can be read");
                    ruins.live.insert(name, Node::File(ruins.files.len()));
                    ruins.files.push(Contents { written: bytes.clone(), synced: bytes });
                }
            }
        }
        ruins.certain.clone_from(&ruins.live);
        ruins
    }

    /// Follows a step.
    pub(super) fn take(&mut self, step: &Step) {
        match step {
            Step::CreateFolder(path) if self.live.contains_key(path) => {}
            Step::CreateFolder(path) => self.name(path, Some(Node::Folder)),
            Step::Create(path) => {
                self.name(path, Some(Node::File(self.files.len())));
                self.files.push(Contents::default());
            }
            Step::Write { path, offset, bytes } => {
                let (written, offset) = (&mut self.file(path).written, *offset as usize);
                written.resize(written.len().max(offset + bytes.len()), 0);
                written[offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Step::Sync(path) => {
                let file = self.file(path);
                file.synced.clone_from(&file.written);
            }
            Step::Link { staged, to } => self.name(to, self.live.get(staged).copied()),
            Step::Rename { staged, to } => {
                self.name(to, self.live.get(staged).copied());
                self.name(staged, None);
            }
            Step::Remove(path) => self.name(path, None),
            Step::SyncFolder(folder) => {
                let (synced, pending) =
                    self.pending.drain(..).partition(|(path, _)| path.parent() == Some(folder.as_path()));
                self.pending = pending;
                apply(&mut self.certain, synced);
            }
            Step::Settled(_) => {}
        }
    }

    fn name(&mut self, path: &Path, node: Option<Node>) {
        self.pending.push((path.to_owned(), node));
        apply(&mut self.live, vec![(path.to_owned(), node)]);
    }

    fn file(&mut self, path: &Path) -> &mut Contents {
        match self.live.get(path) {
            Some(Node::File(file)) => &mut self.files[*file],
            other => panic!("{} is {other:?}, expected a file", path.display()),
        }
    }

    /// The files whose bytes are not certain, of those that may have a name.
    fn torn(&self) -> BTreeSet<usize> {
        let nodes = self.certain.values().copied().chain(self.pending.iter().filter_map(|(_, node)| *node));
        let files = nodes.filter_map(|node| if let Node::File(file) = node { Some(file) } else { None });
        files.filter(|file| !self.files[*file].is_synced()).collect()
    }

    /// How many states there are; none if more than anybody wants to see.
    pub(super) fn states(&self) -> Option<u64> {
        let bits = self.pending.len() + 2 * self.torn().len();
        (bits < 40).then(|| 1 << bits)
    }

    /// The state that `choose` leads to: it is asked for a number below a bound, once for each thing that is not certain.
    pub(super) fn found(&self, mut choose: impl FnMut(u64) -> u64) -> Found<'_> {
        let mut names = self.certain.clone();
        apply(&mut names, self.pending.iter().filter(|_| choose(2) == 1).cloned().collect());
        let fates = self.torn().into_iter().map(|file| (file, FATES[choose(4) as usize])).collect();
        Found::new(self, names, fates)
    }

    /// What the next host on a machine that still has power finds.
    pub(super) fn alive(&self) -> Found<'_> {
        let written = self.torn().into_iter().map(|file| (file, Fate::Written));
        Found::new(self, self.live.clone(), written.collect())
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Node>, changes: Vec<(PathBuf, Option<Node>)>) {
    for (path, node) in changes {
        match node {
            Some(node) => names.insert(path, node),
            None => names.remove(&path),
        };
    }
}

impl<'r> Found<'r> {
    /// Without what lies in a folder that is not there.
    fn new(of: &'r Ruins, names: BTreeMap<PathBuf, Node>, fates: BTreeMap<usize, Fate>) -> Self {
        let mut there: BTreeMap<PathBuf, Node> = BTreeMap::new();
        for (path, node) in names {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            if parent.is_none_or(|parent| there.get(parent) == Some(&Node::Folder)) {
                there.insert(path, node);
            }
        }
        Self { of, names: there, fates }
    }

    fn bytes(&self, file: usize) -> Vec<u8> {
        let Contents { written, synced } = &self.of.files[file];
        match self.fates.get(&file) {
            None | Some(Fate::Written) => written.clone(),
            Some(Fate::Lost) => synced.clone(),
            Some(Fate::Zeros) => vec![0; written.len()],
            Some(Fate::Half) => written[..written.len() / 2].to_owned(),
        }
    }

    /// Writes it below `home`.
    pub(super) fn write(&self, home: &Path) {
        for (path, node) in &self.names {
            let path = home.join(path);
            match node {
                Node::Folder => fs::create_dir(path),
                Node::File(file) => fs::write(path, self.bytes(*file)),
            }
            .expect("the workshop is ours, and folders come before what is in them");
        }
    }

    /// The same for all states that a host cannot tell apart: they differ in leftovers of writes, which no host looks at.
    pub(super) fn id(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (path, node) in self.names.iter().filter(|(path, _)| !is_leftover(path)) {
            (path, node).hash(&mut hasher);
            if let Node::File(file) = node {
                (self.fates.get(file).filter(|fate| **fate != Fate::Written)).hash(&mut hasher);
                self.of.files[*file].written.len().hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

/// Whether a file has the name of one that is being written: `…#123` in the lake, `….new` among the keys.
fn is_leftover(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let staged = name.rsplit_once('#').is_some_and(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()));
    staged || name.ends_with(".new")
}
