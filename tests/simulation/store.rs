//! One host's view of the object store that all hosts share: slow, and at times not what it says.
//!
//! What is in the store is real: Parquet and log entries as production writes them, in object_store's own store in memory.
//! Only the answers, and the moment at which a put lands, are the seed's.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::clock::Clock;
use super::dice::Dice;
use super::life::{After, Life};
use super::options::{Focus, Options};
use super::trace::Trace;

/// Of a thousand requests in a storm, how many fail: a host mostly gives up.
const IN_STORMS: u64 = 900;

/// The store, and what troubles all that use it.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) objects: Arc<InMemory>,
    pub(super) clock: Clock,
    pub(super) dice: Dice,
    pub(super) trace: Trace,
    /// Whether requests fail.
    pub(super) troubled: Arc<AtomicBool>,
    /// Puts that are still to land.
    pub(super) late: Arc<AtomicU64>,
    pub(super) options: Arc<Options>,
}

/// How one put fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nothing happens.
    Refused,
    /// It happens, and the answer is lost.
    Lost,
    /// It happens, the answer is lost, and the client's own second try finds the object there.
    Taken,
    /// The answer is lost, and it happens later, whoever is alive by then.
    Late,
}

/// What a host sees of the store.
#[derive(Debug)]
pub(super) struct View {
    shared: Shared,
    life: Arc<Life>,
    storm: Mutex<Storm>,
}

/// A time in which most requests fail, and all that write in the same way.
#[derive(Debug, Default)]
struct Storm {
    until: Duration,
    fault: Option<Fault>,
}

fn lost() -> Error {
    Error::Generic { store: "simulated", source: "the answer was lost".into() }
}

impl View {
    pub(super) fn new(shared: &Shared, life: &Arc<Life>) -> Self {
        Self { shared: shared.clone(), life: Arc::clone(life), storm: Mutex::default() }
    }

    /// Whether a request fails that fails `permille` times in a thousand; a failure may be the first of many.
    fn fails(&self, permille: u64) -> bool {
        let Shared { clock, dice, troubled, options, .. } = &self.shared;
        if permille == 0 || !troubled.load(Ordering::Relaxed) {
            return false;
        }
        let mut storm = self.storm.lock().expect("rolling does not panic");
        let in_storm = storm.until > clock.now();
        let fails = dice.happens(if in_storm { IN_STORMS } else { permille });
        if fails && !in_storm && dice.happens(options.storms) {
            *storm = Storm { until: clock.now() + dice.time(50..3_000), fault: None };
        }
        fails
    }

    fn fault(&self, location: &Path, mode: &PutMode) -> Option<Fault> {
        let options = &self.shared.options;
        if options.focus == Focus::Commits && !is_entry(location) {
            return None;
        }
        if !self.fails(options.put_faults) {
            return None;
        }
        // A refusal is an answer that is what it says.
        let kinds = if options.focus == Focus::Commits { 0..3 } else { 0..4 };
        let rolled = match self.shared.dice.between(kinds) {
            0 => Fault::Lost,
            1 => Fault::Taken,
            2 => Fault::Late,
            _ => Fault::Refused,
        };
        let mut storm = self.storm.lock().expect("rolling does not panic");
        let fault = match storm.until > self.shared.clock.now() {
            true => *storm.fault.get_or_insert(rolled),
            false => rolled,
        };
        Some(if fault == Fault::Taken && *mode != PutMode::Create { Fault::Lost } else { fault })
    }

    /// Waits for its turn, has `get` done, and fails at times.
    async fn read<T>(&self, what: &str, location: &Path, get: impl Future<Output = Result<T>>) -> Result<T> {
        let after = self.life.turn().await;
        let got = match self.fails(self.shared.options.get_faults) {
            true => Err(lost()),
            false => get.await,
        };
        let outcome = match &got {
            Ok(_) => "is read",
            Err(Error::NotFound { .. }) => "is not there",
            Err(_) => {
                self.shared.trace.count("reads failed");
                "is not read"
            }
        };
        self.shared.trace.note(&self.life.name, format_args!("{what} {location} {outcome}"));
        if after == After::Dies {
            self.life.die().await;
        }
        got
    }

    fn land_late(&self, location: Path, payload: PutPayload, opts: PutOptions) {
        let (shared, life) = (self.shared.clone(), Arc::clone(&self.life));
        // While its host tries again, about when the next one has begun, or long after.
        let time = match shared.dice.between(0..10) {
            0..3 => shared.dice.time(1..500),
            3..8 => shared.dice.time(500..7_000),
            _ => shared.dice.time(7_000..60_000),
        };
        shared.late.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            shared.clock.sleep(time).await;
            let landed = shared.objects.put_opts(&location, payload, opts).await;
            let what = match (landed.is_ok(), life.is_over()) {
                (true, false) => "late commits landed beside their host",
                (true, true) => "late commits landed after their host",
                (false, _) => "late commits came too late",
            };
            shared.trace.note(&life.name, format_args!("late {location} lands: {what}"));
            if is_entry(&location) {
                shared.trace.count(what);
            }
            shared.late.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Whether the object is an entry of a table's log.
fn is_entry(location: &Path) -> bool {
    location.as_ref().contains("/_delta_log/")
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store as {} sees it", self.life.name)
    }
}

#[async_trait]
impl ObjectStore for View {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let after = self.life.turn().await;
        let fault = self.fault(location, &opts.mode);
        let (bytes, mut hasher) = (payload.content_length(), blake3::Hasher::new());
        payload.iter().for_each(|part| _ = hasher.update(part));
        let result = match fault {
            Some(Fault::Refused) => Err(lost()),
            Some(Fault::Late) => {
                self.land_late(location.clone(), payload, opts);
                Err(lost())
            }
            Some(Fault::Lost | Fault::Taken) | None => {
                let put = self.shared.objects.put_opts(location, payload, opts).await;
                match fault {
                    Some(Fault::Taken) if put.is_ok() => {
                        Err(Error::AlreadyExists { path: location.to_string(), source: "by an earlier try".into() })
                    }
                    Some(Fault::Lost) => Err(lost()),
                    _ => put,
                }
            }
        };
        let name = format!("{fault:?}, {}", if result.is_ok() { "well" } else { "an error" });
        let hash = &hasher.finalize().to_hex()[..8];
        self.shared.trace.note(&self.life.name, format_args!("put {location} {bytes} bytes {hash}: {name}"));
        if is_entry(location) {
            self.shared.trace.count(match fault {
                None => "commits answered",
                Some(Fault::Refused) => "commits refused",
                Some(Fault::Lost | Fault::Taken) => "commits whose success was an error",
                Some(Fault::Late) => "commits that were late",
            });
        }
        if after == After::Dies {
            self.life.die().await;
        }
        // Others may act on what is there before its writer hears of it.
        if self.shared.dice.happens(300) {
            self.shared.clock.sleep(self.shared.dice.time(0..50)).await;
        }
        result
    }

    async fn put_multipart_opts(&self, location: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        // Only checkpoints are written in parts, and no simulation is long enough for one.
        Err(Error::NotImplemented { operation: format!("`{location}` in parts"), implementer: self.to_string() })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let what = if options.head { "head" } else { "get" };
        self.read(what, location, self.shared.objects.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.read("get", location, self.shared.objects.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.shared.objects.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let view = Self::new(&self.shared, &self.life);
        let prefix = prefix.cloned().unwrap_or_default();
        let listed = async move {
            // All at once, at a moment of its own.
            let list = async { view.shared.objects.list(Some(&prefix)).try_collect::<Vec<_>>().await };
            let all = view.read("list", &prefix, list).await?;
            Ok::<_, Error>(futures::stream::iter(all.into_iter().map(Ok)))
        };
        futures::stream::once(listed).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let place = prefix.cloned().unwrap_or_default();
        self.read("list", &place, self.shared.objects.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented { operation: format!("copying `{from}`"), implementer: self.to_string() })
    }
}
