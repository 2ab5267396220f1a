//! One tenant's loop: activate, then land and settle batch after batch until the input ends.
//!
//! Of several hosts that read a tenant's topics one settles: [`Source::stake`](crate::source::Source::stake) says whether it
//! is this one. It takes up where the manifests end, by the same code that goes on from there. The others land what they read
//! in Bronze and leave it there. Nothing rests on the hosts agreeing: a host that settles though another has taken over loses
//! every commit.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join;
use tracing::{info, warn};

use super::land::{self, Pending};
use super::line::{self, Line};
use super::silver::Silver;
use super::{Host, Observer, PipelineError, Tally, failed, fold, settle};
use crate::lake::CommitError;
use crate::mutant::{Safeguard, without};
use crate::position::Span;
use crate::record::Batch;
use crate::registry::tenant::Tenant;
use crate::source::{Next, SourceError};

/// Runs `tenant` until its input ends or a stop is requested; what it did, and why it ended early if it did.
pub(super) async fn run(
    host: Arc<Host>,
    tenant: Arc<Tenant>,
    observer: Arc<dyn Observer>,
) -> (Tally, Option<PipelineError>) {
    let lines = match open(&host, &tenant).await {
        Ok(lines) => lines,
        Err(error) => return (Tally::default(), Some(error)),
    };
    let had = vec![Had::Records; lines.len()];
    let name = tenant.name.clone();
    let mut run = Run { host, name, lines, had, asked: 0, silver: None, observer, tally: Tally::default() };
    let ended = run.flow().await;
    if let (Err(error), Some(silver)) = (&ended, &mut run.silver) {
        failed::record(&run.host, &mut run.lines, silver, error).await;
    }
    let Run { host, mut lines, silver, tally, .. } = run;
    let halted = lines.iter_mut().find_map(|line| line.halted.take()).map_or(Ok(()), |error| Err(error.into()));
    let left = leave(&host, silver).await;
    // The end of a source may wait for brokers.
    host.machine.workers.aside(move || drop(lines)).await;
    (tally, ended.and(halted).and(left).err())
}

/// The sources of `tenant`, under what its folder says.
async fn open(host: &Arc<Host>, tenant: &Tenant) -> Result<Vec<Line>, PipelineError> {
    let mut lines = line::open(host, tenant).await?;
    for line in &mut lines {
        line.activate(host).await?;
    }
    Ok(lines)
}

/// Leaves Silver to whoever takes it up. Whatever ended the work, what is in the changes belongs in the dimensions.
async fn leave(host: &Arc<Host>, silver: Option<Silver>) -> Result<(), PipelineError> {
    let Some(mut silver) = silver else { return Ok(()) };
    fold::all(host, &mut silver).await?;
    silver.persist()
}

/// What a source had when its turn came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Had {
    /// A batch, or it was not asked yet.
    Records,
    /// Nothing for now.
    Nothing,
    /// Nothing any more.
    Ended,
}

/// The pause before sources that had nothing are asked again, where a run ends with its input.
const PAUSE: Duration = Duration::from_millis(20);

/// A tenant at work.
struct Run {
    host: Arc<Host>,
    name: String,
    lines: Vec<Line>,
    /// By line.
    had: Vec<Had>,
    /// When sources that had nothing were last asked again, microseconds since the epoch.
    asked: i64,
    /// The tables, while this host settles.
    silver: Option<Silver>,
    observer: Arc<dyn Observer>,
    tally: Tally,
}

impl Run {
    /// Lands and settles until every source has ended: the next batch is landed while the last is settled.
    async fn flow(&mut self) -> Result<(), PipelineError> {
        let mut waiting: Option<(usize, Pending)> = None;
        let mut turn = 0;
        loop {
            let go_on = !self.host.stop.is_requested();
            if go_on {
                self.attend().await?;
            }
            let mut takes_more = go_on;
            if self.settles() != self.silver.is_some() {
                // What waits is settled first: it was landed to be.
                takes_more = go_on && waiting.is_none();
                if takes_more {
                    self.take_turns().await?;
                }
            }
            if go_on && waiting.is_none() && !self.had.contains(&Had::Records) {
                if !self.had.contains(&Had::Nothing) {
                    return Ok(());
                }
                self.wait().await?;
            }
            let Self { host, lines, had, silver, tally, .. } = self;
            let settles = silver.is_some();
            let next = async {
                match lines.get_mut(turn) {
                    Some(line) if takes_more && had[turn] == Had::Records => next(host, line, settles).await,
                    _ => Ok((had[turn], None)),
                }
            };
            // Only who settles has a batch waiting.
            let settled = async {
                match (waiting.take(), silver.as_mut()) {
                    (Some((place, landed)), Some(silver)) => {
                        let spans = landed.batch.spans.clone();
                        settle::settle(host, silver, landed, tally).await.map(|()| Some((place, spans)))
                    }
                    _ => Ok(None),
                }
            };
            let (landed, settled) = join(next, settled).await;
            let settled = settled?;
            if let Some((place, spans)) = &settled {
                self.settled(*place, spans).await?;
            }
            let landed = landed?;
            if let Some((place, _)) = settled {
                self.maintain(place).await?;
            }
            self.had[turn] = landed.0;
            match landed.1 {
                Some(landed) => waiting = Some((turn, landed)),
                None if !go_on => return Ok(()),
                None => {}
            }
            turn = (turn + 1) % self.lines.len();
        }
    }

    /// Whether this host is to settle, as the sources say. Among equals the first counts, so that one source decides.
    fn settles(&self) -> bool {
        let stake = self.lines.iter().filter_map(Line::stake).min_by(|a, b| a.of.cmp(&b.of));
        stake.is_none_or(|stake| stake.held) || without(Safeguard::OneSettles)
    }

    /// Begins to settle, or leaves it to another host.
    async fn take_turns(&mut self) -> Result<(), PipelineError> {
        if let Some(silver) = self.silver.take() {
            info!(tenant = self.name, "leaves settling to another host");
            self.lines.iter_mut().for_each(Line::leave);
            // Not folded: whoever takes over does.
            return silver.persist();
        }
        info!(tenant = self.name, "settles from here on");
        let mut silver = Silver::open(&self.host, &self.name).await?;
        for line in &mut self.lines {
            line.take_up(&self.host, &mut silver).await?;
        }
        self.silver = Some(silver);
        self.had.fill(Had::Records);
        Ok(())
    }

    /// Keeps no source waiting while another is busy, or while much is due: those that wait to be placed come first, for
    /// the rest of their groups waits with them, and those that had nothing are asked again after a while.
    async fn attend(&mut self) -> Result<(), PipelineError> {
        for (line, had) in self.lines.iter_mut().zip(&mut self.had) {
            if line.is_unplaced() {
                line.look(&self.host).await?;
                line.place(&self.host).await?;
                *had = Had::Records;
            }
        }
        let now = self.host.lake.world().now();
        // The clock may be set back.
        if u128::from(now.abs_diff(self.asked)) >= self.pause().as_micros() {
            self.ask_again();
        }
        Ok(())
    }

    /// Has sources be asked again that had nothing.
    fn ask_again(&mut self) {
        self.asked = self.host.lake.world().now();
        self.had.iter_mut().filter(|had| **had == Had::Nothing).for_each(|had| *had = Had::Records);
    }

    fn pause(&self) -> Duration {
        self.host.settings.follow.unwrap_or(PAUSE)
    }

    /// Waits before sources are asked again that had nothing.
    async fn wait(&mut self) -> Result<(), PipelineError> {
        if let Some(silver) = &mut self.silver {
            fold::due(&self.host, silver).await?;
        }
        self.host.lake.world().sleep(self.pause()).await;
        self.ask_again();
        Ok(())
    }

    /// What follows once the batch of `spans` is in every table.
    async fn settled(&mut self, place: usize, spans: &[Span]) -> Result<(), PipelineError> {
        let Some(silver) = &mut self.silver else { return Ok(()) };
        let line = &mut self.lines[place];
        line.acknowledge(spans);
        self.observer.settled(&self.name, &self.tally, line.measure());
        fold::due(&self.host, silver).await
    }

    /// Checkpoints of the Bronze that a batch was settled of, once what was handed out meanwhile is in it.
    async fn maintain(&mut self, place: usize) -> Result<(), PipelineError> {
        let Some(silver) = &self.silver else { return Ok(()) };
        let line = &mut self.lines[place];
        line.maintain(silver.manifests.transaction(&line.name).unwrap_or(-1)).await
    }
}

/// The next batch of `line`, in Bronze. Who `settles` takes what others landed there first, and in order.
async fn next(host: &Arc<Host>, line: &mut Line, settles: bool) -> Result<(Had, Option<Pending>), PipelineError> {
    if settles && line.lands_beside(host.lake.world().now()) {
        take_in(host, line, settles, Work::Later).await?;
    }
    if let Some(pending) = line.next_due(host).await? {
        return Ok((Had::Records, Some(pending)));
    }
    take_in(host, line, settles, if settles { Work::Now } else { Work::Later }).await
}

/// When the plugin works on a batch that is landed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// While it is written: it is to be settled next.
    Now,
    /// When its turn has come, here or on another host.
    Later,
}

/// Takes what the source of `line` has to Bronze.
async fn take_in(
    host: &Arc<Host>,
    line: &mut Line,
    settles: bool,
    work: Work,
) -> Result<(Had, Option<Pending>), PipelineError> {
    let bounds = line.bounds;
    let next = match line.halted {
        Some(_) if host.settings.follow.is_some() => Next::Nothing,
        Some(_) => Next::Ended,
        None => match line.ask(host, move |source| source.next(bounds)).await {
            Err(PipelineError::Source(halted @ SourceError::Halted { .. })) => {
                line.halt(halted);
                return Ok((Had::Records, None));
            }
            next => next?,
        },
    };
    match next {
        Next::Batch(batch) => land(host, line, settles, work, batch).await.map(|landed| (Had::Records, landed)),
        // Others may have landed something.
        Next::Nothing | Next::Ended => {
            let news = line.look(host).await?;
            if settles && line.seen < line.bronze.version() {
                line.follow().await?;
            }
            let had = if matches!(next, Next::Ended) { Had::Ended } else { Had::Nothing };
            Ok((if news { Had::Records } else { had }, None))
        }
    }
}

/// Takes `batch` to Bronze; ready to be settled, if that is for this host to do, and its turn.
async fn land(
    host: &Arc<Host>,
    line: &mut Line,
    settles: bool,
    work: Work,
    batch: Batch,
) -> Result<Option<Pending>, PipelineError> {
    let landed = match work {
        Work::Now => {
            let active = line.current();
            land::land(host, &mut line.bronze, active, line.watermark, batch).await.map(Some)
        }
        Work::Later => {
            let spans = batch.spans.clone();
            land::only(host, &mut line.bronze, batch).await.map(|_| {
                line.acknowledge(&spans);
                None
            })
        }
    };
    match landed {
        Ok(Some(pending)) if pending.bronze_version == line.seen + 1 => {
            line.seen = pending.bronze_version;
            line.watermark = pending.watermark;
            Ok(Some(pending))
        }
        // Others were in between, batches or an activation: all is settled in the order of Bronze.
        Ok(Some(pending)) => line.follow_with(pending).await.map(|()| None),
        Ok(None) if settles => line.follow().await.map(|()| None),
        Ok(None) => Ok(None),
        Err(PipelineError::Commit(CommitError::Overtaken { app_id, committed, .. })) => {
            warn!(source = line.name, app_id, committed, "another host landed what was read here; going on behind it");
            if settles {
                line.follow().await?;
            }
            line.place(host).await?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
