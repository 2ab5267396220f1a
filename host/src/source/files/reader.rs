//! One file, read from where Bronze ends: decompression, lines, and the digest of what was consumed.
//!
//! Says what is wrong with a file and never what is to be done about it; `files` does. What is peeked is not
//! consumed until [`Reader::advance`], so that a record which does not fit into a batch waits for the next one.
//! Lines lie in one large buffer and are lent from it; the digest is computed from that buffer piecewise, because
//! BLAKE3 is several times slower on single lines.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use memchr::memchr;

use super::ledger::{BLOCK_BYTES, Consumed, Facts, Prefix, Reached};
use super::{Reading, Shape};

/// Fits the second-level cache, where the buffer is searched, copied from and hashed.
const BUFFER_BYTES: usize = 256 << 10;

/// A decoder loses what it decoded in the call that meets damage, so it is asked for little at a time.
const DECODED_BYTES: usize = 32 << 10;

/// Why a file cannot be read on.
#[derive(Debug)]
pub(super) enum ReadError {
    /// Not now.
    Io(io::Error),
    /// It is not whole: the archive ends early or is corrupt after `good` bytes, decompressed.
    Damaged { good: u64, reason: io::Error },
    /// It ends before the end of what was consumed.
    Shrank { bytes: u64 },
    /// What was consumed is not there any more.
    Changed,
    /// What was consumed as a whole has more behind it.
    Continued,
    /// A record is larger than the maximum.
    TooLarge { line: u64 },
}

/// A record that is next.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Without its line end; a document as it is.
    pub(super) payload: &'a [u8],
    /// The line, from 1; none for a document.
    pub(super) number: Option<i64>,
}

/// What kind of reading this is; the same for all files of a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) shape: Shape,
    pub(super) reading: Reading,
    pub(super) record_bytes_max: usize,
}

/// A file being read.
#[derive(Debug)]
pub(super) struct Reader {
    manner: Manner,
    input: Input,
    /// What the file system said at the opening.
    facts: Facts,
    /// All that was consumed was compared with its digest under `facts`.
    verified: bool,
    buffer: Vec<u8>,
    /// `buffer[start..filled]` is not consumed, and `buffer[start..searched]` holds no line end.
    start: usize,
    searched: usize,
    filled: usize,
    /// `prefix` does not yet cover `buffer[hashed..start]`, which is consumed.
    hashed: usize,
    prefix: Prefix,
    lines: u64,
    reached: Reached,
    ended: bool,
    peeked: Option<Peeked>,
}

/// The record at `buffer[start..end]`; what follows it begins at `next`.
#[derive(Clone, Copy, Debug)]
struct Peeked {
    end: usize,
    next: usize,
    reached: Reached,
}

impl Reader {
    /// Opens `path` behind what `consumed` says; `seen` are the facts at which this process left the file.
    ///
    /// What was consumed is read again and compared, unless the facts say that nothing happened to it. A plain
    /// file that this process saw grow is compared in its last block only: whoever appends does not rewrite, and
    /// the next process compares all of it, because such facts are not kept.
    pub(super) fn open(
        path: &Path,
        consumed: Option<&Consumed>,
        seen: Option<Facts>,
        manner: Manner,
    ) -> Result<Self, ReadError> {
        let file = File::open(path).map_err(ReadError::Io)?;
        let facts = Facts::of(&file.metadata().map_err(ReadError::Io)?);
        let mut reader = Self {
            manner,
            input: Input::of(file).map_err(ReadError::Io)?,
            facts,
            verified: true,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            searched: 0,
            filled: 0,
            hashed: 0,
            prefix: Prefix::empty(),
            lines: 0,
            reached: Reached::Middle,
            ended: false,
            peeked: None,
        };
        if let Some(consumed) = consumed {
            let unchanged = consumed.facts == Some(facts);
            let grown = seen.is_some_and(|seen| seen.inode == facts.inode) && facts.size > consumed.bytes;
            if let Input::Plain(file) = &mut reader.input
                && (unchanged || grown)
            {
                let begin = consumed.bytes - consumed.bytes % BLOCK_BYTES;
                file.seek(SeekFrom::Start(begin)).map_err(ReadError::Io)?;
                reader.prefix = Prefix::at_block(begin, consumed.chain);
                reader.verified = unchanged || begin == 0;
            }
            reader.consume_again(consumed)?;
        }
        Ok(reader)
    }

    fn consume_again(&mut self, consumed: &Consumed) -> Result<(), ReadError> {
        loop {
            let missing = consumed.bytes - self.position();
            self.start += missing.min((self.filled - self.start) as u64) as usize;
            self.searched = self.start;
            if self.position() == consumed.bytes {
                break;
            }
            if self.ended {
                return Err(ReadError::Shrank { bytes: self.position() });
            }
            self.fill()?;
        }
        self.hash();
        if (self.prefix.digest(), self.prefix.chain()) != (consumed.digest, consumed.chain) {
            return Err(ReadError::Changed);
        }
        self.lines = consumed.lines;
        self.reached = match consumed.reached {
            Reached::End if matches!(self.manner.shape, Shape::Documents) => Reached::End,
            Reached::Unterminated => Reached::Unterminated,
            // What has come since is for `peek` to find.
            Reached::Middle | Reached::End | Reached::Partial => Reached::Middle,
        };
        Ok(())
    }

    /// The next record, or none when the file has no more for now.
    pub(super) fn peek(&mut self) -> Result<Option<Line<'_>>, ReadError> {
        if self.peeked.is_none() {
            let found = match self.manner.shape {
                Shape::Lines => self.find_line(),
                Shape::Documents => self.find_document(),
            };
            // After a failure the file must be looked at again, even if it stays as it is.
            self.verified &= found.is_ok();
            self.peeked = found?;
        }
        let number = matches!(self.manner.shape, Shape::Lines).then_some(self.lines as i64 + 1);
        Ok(self.peeked.map(|peeked| Line { payload: &self.buffer[self.start..peeked.end], number }))
    }

    /// Consumes the record that was peeked.
    pub(super) fn advance(&mut self) {
        let peeked = self.peeked.take().expect("a record is peeked before it is consumed");
        self.consume(peeked.next, peeked.reached);
    }

    fn consume(&mut self, to: usize, reached: Reached) {
        self.start = to;
        self.searched = self.searched.max(to);
        self.lines += 1;
        self.reached = reached;
    }

    fn find_line(&mut self) -> Result<Option<Peeked>, ReadError> {
        if self.reached == Reached::Unterminated {
            return self.find_line_end();
        }
        loop {
            // A file that grows faster than it is read is read up to where it ended at the opening.
            if matches!(self.input, Input::Plain(_)) && self.position() >= self.facts.size {
                self.reached = Reached::End;
                return Ok(None);
            }
            let newline = memchr(b'\n', &self.buffer[self.searched..self.filled]).map(|at| self.searched + at);
            self.searched = newline.unwrap_or(self.filled);
            self.within_maximum(self.searched)?;
            match newline {
                Some(newline) => {
                    self.searched = newline + 1;
                    let end = without_return(&self.buffer, self.start, newline);
                    if end > self.start {
                        return Ok(Some(Peeked { end, next: newline + 1, reached: Reached::Middle }));
                    }
                    self.consume(newline + 1, Reached::Middle);
                }
                None if !self.ended => self.fill()?,
                None => {
                    let end = without_return(&self.buffer, self.start, self.filled);
                    if end > self.start && self.manner.reading == Reading::Once {
                        return Ok(Some(Peeked { end, next: end, reached: Reached::Unterminated }));
                    }
                    self.reached = if end > self.start { Reached::Partial } else { Reached::End };
                    return Ok(None);
                }
            }
        }
    }

    /// Behind a last line that was consumed without its end, only that line end may follow.
    fn find_line_end(&mut self) -> Result<Option<Peeked>, ReadError> {
        while self.filled - self.start < 2 && !self.ended {
            self.fill()?;
        }
        let line_end = match &self.buffer[self.start..self.filled] {
            [] | [b'\r'] => return Ok(None),
            [b'\n', ..] => 1,
            [b'\r', b'\n', ..] => 2,
            _ => return Err(ReadError::Continued),
        };
        self.start += line_end;
        self.searched = self.searched.max(self.start);
        self.reached = Reached::Middle;
        self.find_line()
    }

    fn find_document(&mut self) -> Result<Option<Peeked>, ReadError> {
        if self.reached != Reached::Middle {
            while self.filled == self.start && !self.ended {
                self.fill()?;
            }
            return if self.filled > self.start { Err(ReadError::Continued) } else { Ok(None) };
        }
        while !self.ended {
            self.fill()?;
            self.within_maximum(self.filled)?;
        }
        if self.facts_now().map_err(ReadError::Io)? != self.facts {
            return Err(ReadError::Io(io::Error::other("the file was written to while it was read")));
        }
        Ok(Some(Peeked { end: self.filled, next: self.filled, reached: Reached::End }))
    }

    fn within_maximum(&self, end: usize) -> Result<(), ReadError> {
        match end - self.start > self.manner.record_bytes_max {
            true => Err(ReadError::TooLarge { line: self.lines + 1 }),
            false => Ok(()),
        }
    }

    /// Reads more behind `filled`; sets `ended` where there is none.
    fn fill(&mut self) -> Result<(), ReadError> {
        self.hash();
        self.buffer.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.searched -= self.start;
        (self.start, self.hashed) = (0, 0);
        if self.filled == self.buffer.len() {
            self.buffer.resize(2 * self.buffer.len(), 0);
        } else if self.buffer.len() > BUFFER_BYTES && self.filled < BUFFER_BYTES / 2 {
            // One huge record is behind us: its room is given back.
            self.buffer.truncate(BUFFER_BYTES);
            self.buffer.shrink_to_fit();
        }
        let read = self.input.read(&mut self.buffer[self.filled..]);
        let good = self.prefix.bytes() + self.filled as u64;
        match read {
            Ok(0) => self.ended = true,
            Ok(bytes) => self.filled += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Decoders make errors of their own; those of the system bear its number.
            Err(error) if error.raw_os_error().is_none() => return Err(ReadError::Damaged { good, reason: error }),
            Err(error) => return Err(ReadError::Io(error)),
        }
        Ok(())
    }

    fn hash(&mut self) {
        self.prefix.update(&self.buffer[self.hashed..self.start]);
        self.hashed = self.start;
    }

    /// The first byte not consumed, decompressed.
    fn position(&self) -> u64 {
        self.prefix.bytes() + (self.start - self.hashed) as u64
    }

    /// The account of the file now, and the facts under which this reader opened it.
    pub(super) fn account(&mut self) -> (Consumed, Facts) {
        self.hash();
        let reliable = self.verified && self.facts.settled() && self.facts_now().is_ok_and(|now| now == self.facts);
        let consumed = Consumed {
            bytes: self.prefix.bytes(),
            lines: self.lines,
            reached: self.reached,
            chain: self.prefix.chain(),
            digest: self.prefix.digest(),
            facts: reliable.then_some(self.facts),
        };
        (consumed, self.facts)
    }

    fn facts_now(&self) -> io::Result<Facts> {
        self.input.file().metadata().map(|metadata| Facts::of(&metadata))
    }

    /// How many bytes on disk were read.
    pub(super) fn bytes_on_disk(&self) -> u64 {
        let mut file = self.input.file();
        file.stream_position().unwrap_or(0).min(self.facts.size)
    }
}

/// Where the line `bytes[start..end]` ends when `\r` belongs to its line end.
fn without_return(bytes: &[u8], start: usize, end: usize) -> usize {
    match bytes[start..end].last() {
        Some(b'\r') => end - 1,
        _ => end,
    }
}

/// The bytes of a file, by what it begins with and never by its name.
enum Input {
    Plain(File),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<File>>),
}

impl Input {
    fn of(file: File) -> io::Result<Self> {
        let mut magic = [0; 4];
        let read = file.read_at(&mut magic, 0)?;
        Ok(match magic[..read] {
            [0x1f, 0x8b, ..] => Self::Gzip(Box::new(MultiGzDecoder::new(BufReader::new(file)))),
            [0x28, 0xb5, 0x2f, 0xfd] => Self::Zstd(zstd::stream::read::Decoder::with_buffer(BufReader::new(file))?),
            _ => Self::Plain(file),
        })
    }

    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let decoded = to.len().min(DECODED_BYTES);
        match self {
            Self::Plain(file) => file.read(to),
            Self::Gzip(decoder) => decoder.read(&mut to[..decoded]),
            Self::Zstd(decoder) => decoder.read(&mut to[..decoded]),
        }
    }

    fn file(&self) -> &File {
        match self {
            Self::Plain(file) => file,
            Self::Gzip(decoder) => decoder.get_ref().get_ref(),
            Self::Zstd(decoder) => decoder.get_ref().get_ref(),
        }
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Gzip(_) => "Gzip",
            Self::Zstd(_) => "Zstd",
        })
    }
}
