//! As much of Kafka's protocol as it takes to have a broker refuse what it granted: an error's number in an answer.
//!
//! Source: Kafka's protocol guide, <https://kafka.apache.org/protocol>. A frame is its length in four bytes and then: of
//! a request its kind, that kind's version and a number; of an answer the number of its request, in flexible versions a
//! byte of tagged fields (none), and the answer itself.

/// Requests of a consumer, by their numbers in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub(super) enum Request {
    Fetch = 1,
    ListOffsets = 2,
    OffsetCommit = 8,
    FindCoordinator = 10,
    JoinGroup = 11,
    Heartbeat = 12,
    SyncGroup = 14,
}

/// That a request of this kind is answered with this error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) Request, pub(super) i16);

/// What a request is answered by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) number: i32,
    kind: i16,
    version: i16,
}

/// Takes the next frame out of what has come, with its length, if it has come whole.
pub(super) fn next(come: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = i32::from_be_bytes(*come.first_chunk()?);
    let whole = 4 + usize::try_from(length).expect("a frame has a length");
    (come.len() >= whole).then(|| come.drain(..whole).collect())
}

/// What a request asks.
pub(super) fn asked(frame: &[u8]) -> Asked {
    Asked { kind: short(frame, 4), version: short(frame, 6), number: number(frame, 8) }
}

/// The number of the request that is answered.
pub(super) fn answers(frame: &[u8]) -> i32 {
    number(frame, 4)
}

/// Puts the refusal into an answer to what it refuses. Whether it was one, and named what can be refused.
pub(super) fn refuse(frame: &mut [u8], asked: Asked, Refusal(request, error): Refusal) -> bool {
    if asked.kind != request as i16 {
        return false;
    }
    let Some(place) = place(frame, request, asked.version) else { return false };
    frame[place..place + 2].copy_from_slice(&error.to_be_bytes());
    true
}

/// Where an answer has its error: its own, or that of the first partition it names.
fn place(frame: &[u8], request: Request, version: i16) -> Option<usize> {
    // Length, number and time to wait stand before it.
    let body = |flexible: bool| 4 + 4 + usize::from(flexible) + 4;
    match (request, version) {
        (Request::Fetch, 7..) => Some(body(version >= 12)),
        (Request::JoinGroup, 2..6) | (Request::SyncGroup, 1..4) | (Request::Heartbeat, 1..4) => Some(body(false)),
        (Request::FindCoordinator, 1..3) => Some(body(false)),
        (Request::ListOffsets, 6..) | (Request::OffsetCommit, 8..) => {
            // An array of topics, of each the name and an array of partitions: lengths are one more than they say.
            let topics = body(true);
            let name = topics + 1;
            let partitions = name + usize::from(*frame.get(name)?);
            let some = frame[topics] > 1 && *frame.get(partitions)? > 1;
            some.then_some(partitions + 1 + 4)
        }
        _ => panic!("{request:?} in version {version} has its error at a place that nobody has looked up"),
    }
}

fn short(frame: &[u8], at: usize) -> i16 {
    i16::from_be_bytes(*frame[at..].first_chunk().expect("a frame has a header"))
}

fn number(frame: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(*frame[at..].first_chunk().expect("a frame has a header"))
}
