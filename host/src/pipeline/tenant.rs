//! One tenant's loop: catch up, activate, then land and settle batch after batch until the input ends.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join;
use tracing::warn;

use super::land::{self, Pending};
use super::line::Line;
use super::silver::Silver;
use super::{Host, Observer, PipelineError, Tally, failed, fold, settle};
use crate::lake::{CommitError, Landed, Step};
use crate::registry::tenant::Tenant;
use crate::source::Next;

/// Runs `tenant` until its input ends or a stop is requested; what it did, and why it ended early if it did.
pub(super) async fn run(
    host: Arc<Host>,
    tenant: Arc<Tenant>,
    observer: Arc<dyn Observer>,
) -> (Tally, Option<PipelineError>) {
    let mut tally = Tally::default();
    let error = drive(&host, &tenant, &observer, &mut tally).await.err();
    (tally, error)
}

async fn drive(
    host: &Arc<Host>,
    tenant: &Tenant,
    observer: &Arc<dyn Observer>,
    tally: &mut Tally,
) -> Result<(), PipelineError> {
    let mut lines = super::line::open(host, tenant).await?;
    let mut silver = Silver::open(host, &tenant.name).await?;
    let ended = work(host, &mut lines, &mut silver, observer, tally).await;
    if let Err(error) = &ended {
        failed::record(host, &mut lines, &mut silver, error).await;
    }
    // Whatever ended the work, what is in the changes belongs in the dimensions.
    let folded = fold::all(host, &mut silver).await;
    // The end of a source may wait for brokers.
    host.machine.workers.aside(move || drop(lines)).await;
    ended.and(folded)?;
    silver.persist()
}

/// Catches up, activates, and takes what comes.
async fn work(
    host: &Arc<Host>,
    lines: &mut [Line],
    silver: &mut Silver,
    observer: &Arc<dyn Observer>,
    tally: &mut Tally,
) -> Result<(), PipelineError> {
    for line in &mut *lines {
        catch_up(host, line, silver, tally).await?;
        line.activate(host).await?;
        // Opened even if no record comes: a host that died may have left changes that no dimension has.
        silver.prepare(host, &line.current()).await?;
    }
    flow(host, lines, silver, observer, tally).await
}

/// Settles the Bronze versions of `line` that its manifest has not reached, each under the digests in force there.
async fn catch_up(
    host: &Arc<Host>,
    line: &mut Line,
    silver: &mut Silver,
    tally: &mut Tally,
) -> Result<(), PipelineError> {
    let settled = silver.manifests.transaction(&line.name).unwrap_or(-1);
    if settled > line.seen {
        return Err(PipelineError::Corrupt(format!(
            "manifests of source `{}` stand at Bronze version {settled}, but Bronze ends at {}: Bronze was restored or replaced; \
             restore the tenant's whole folder from one backup",
            line.name,
            line.bronze.version()
        )));
    }
    let steps =
        line.bronze.steps(settled).await.map_err(|source| PipelineError::lake("read the Bronze log", source))?;
    for step in steps {
        if let Step::Batch(landed) = step {
            settle::settle(host, silver, again(host, line, landed).await?, tally).await?;
        }
    }
    Ok(())
}

/// A batch that lies in Bronze, under the digests in force there.
async fn again(host: &Arc<Host>, line: &mut Line, landed: Landed) -> Result<Pending, PipelineError> {
    let batch = line.bronze.read(&landed).await.map_err(|source| PipelineError::lake("read Bronze again", source))?;
    let digests = line.activations.at(landed.version).ok_or_else(|| {
        PipelineError::Corrupt(format!(
            "Bronze version {} of source `{}` has no activation below it",
            landed.version, line.name
        ))
    })?;
    let active = line.active(host, digests).await?;
    land::again(host, active, landed, batch).await
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

/// Lands and settles until every source has ended: the next batch is landed while the last is settled.
async fn flow(
    host: &Arc<Host>,
    lines: &mut [Line],
    silver: &mut Silver,
    observer: &Arc<dyn Observer>,
    tally: &mut Tally,
) -> Result<(), PipelineError> {
    let mut waiting: Option<(usize, Pending)> = None;
    let mut had = vec![Had::Records; lines.len()];
    let mut turn = 0;
    loop {
        let go_on = !host.stop.is_requested();
        if go_on && waiting.is_none() && !had.contains(&Had::Records) {
            if !had.contains(&Had::Nothing) {
                return Ok(());
            }
            fold::due(host, silver).await?;
            tokio::time::sleep(host.settings.follow.unwrap_or(PAUSE)).await;
            had.iter_mut().filter(|had| **had == Had::Nothing).for_each(|had| *had = Had::Records);
        }
        let next = async {
            match lines.get_mut(turn) {
                Some(line) if go_on && had[turn] == Had::Records => next(host, line).await,
                _ => Ok((had[turn], None)),
            }
        };
        let settled = async {
            match waiting.take() {
                Some((place, landed)) => {
                    let spans = landed.batch.spans.clone();
                    settle::settle(host, silver, landed, tally).await.map(|()| Some((place, spans)))
                }
                None => Ok(None),
            }
        };
        let (landed, settled) = join(next, settled).await;
        let settled = settled?;
        if let Some((place, spans)) = &settled {
            lines[*place].acknowledge(spans);
            observer.settled(silver.tenant(), tally, lines[*place].measure());
            fold::due(host, silver).await?;
        }
        let landed = landed?;
        if let Some((place, _)) = settled {
            let version = silver.manifests.transaction(&lines[place].name).unwrap_or(-1);
            lines[place].maintain(version).await?;
        }
        had[turn] = landed.0;
        match landed.1 {
            Some(landed) => waiting = Some((turn, landed)),
            None if !go_on => return Ok(()),
            None => {}
        }
        turn = (turn + 1) % lines.len();
    }
}

/// The next batch of `line`, in Bronze; what others landed there before it comes first.
async fn next(host: &Arc<Host>, line: &mut Line) -> Result<(Had, Option<Pending>), PipelineError> {
    while let Some(step) = line.backlog.pop_front() {
        match step {
            Step::Batch(landed) => return Ok((Had::Records, Some(again(host, line, landed).await?))),
            Step::Activation(activation) => line.adopt(host, &activation).await?,
            Step::Summary(_) => {}
        }
    }
    let bounds = line.bounds;
    let batch = match line.ask(host, move |source| source.next(bounds)).await? {
        Next::Batch(batch) => batch,
        Next::Nothing => return Ok((Had::Nothing, None)),
        Next::Ended => return Ok((Had::Ended, None)),
        Next::Unplaced => {
            line.bronze.refresh().await.map_err(|source| PipelineError::lake("follow Bronze", source))?;
            line.follow().await?;
            line.place(host).await?;
            return Ok((Had::Records, None));
        }
    };
    let active = line.current();
    match land::land(host, &mut line.bronze, active, batch).await {
        Ok(pending) if pending.bronze_version == line.seen + 1 => {
            line.seen = pending.bronze_version;
            Ok((Had::Records, Some(pending)))
        }
        // Others were in between, batches or an activation: all is taken from Bronze again, in its order.
        Ok(_) => line.follow().await.map(|()| (Had::Records, None)),
        Err(PipelineError::Commit(CommitError::Overtaken { app_id, committed, .. })) => {
            warn!(source = line.name, app_id, committed, "another host landed what was read here; going on behind it");
            line.follow().await?;
            line.place(host).await?;
            Ok((Had::Records, None))
        }
        Err(error) => Err(error),
    }
}
