//! One tenant's loop: catch up, activate, then land and settle batch after batch until the input ends.

use std::sync::Arc;

use futures::future::join;

use super::land::{self, Pending};
use super::open::{Line, Silver};
use super::{Host, Observer, PipelineError, Tally, fold, settle};
use crate::lake::Step;
use crate::registry::tenant::Tenant;

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
    let (mut lines, mut silver) = super::open::open(host, tenant).await?;
    for line in &mut lines {
        catch_up(host, line, &mut silver, tally).await?;
        line.activate(host).await?;
        // Opened even if no record comes: a host that died may have left changes that no dimension has.
        silver.prepare(host, &line.current()).await?;
    }
    let ended = flow(host, &mut lines, &mut silver, observer, tally).await;
    // Whatever ended the flow, what is in the changes belongs in the dimensions.
    let folded = fold::all(host, &mut silver).await;
    ended.and(folded)?;
    silver.persist()
}

/// Settles the Bronze versions of `line` that its manifest has not reached, each under the digests in force there.
async fn catch_up(
    host: &Arc<Host>,
    line: &mut Line,
    silver: &mut Silver,
    tally: &mut Tally,
) -> Result<(), PipelineError> {
    let settled = silver.manifests.transaction(&line.name).unwrap_or(-1);
    if settled > line.bronze.version() {
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
        let Step::Batch(landed) = step else { continue };
        let batch =
            line.bronze.read(&landed).await.map_err(|source| PipelineError::lake("read Bronze again", source))?;
        let digests = line.activations.at(landed.version).ok_or_else(|| {
            PipelineError::Corrupt(format!(
                "Bronze version {} of source `{}` has no activation below it",
                landed.version, line.name
            ))
        })?;
        let active = line.active(host, digests).await?;
        let landed = land::again(host, active, landed, batch).await?;
        settle::settle(host, silver, landed, tally).await?;
    }
    Ok(())
}

/// Lands and settles until every source has ended: the next batch is landed while the last is settled.
async fn flow(
    host: &Arc<Host>,
    lines: &mut [Line],
    silver: &mut Silver,
    observer: &Arc<dyn Observer>,
    tally: &mut Tally,
) -> Result<(), PipelineError> {
    let mut waiting: Option<Pending> = None;
    let mut ended = vec![false; lines.len()];
    let mut turn = 0;
    loop {
        let go_on = !host.stop.is_requested();
        if go_on && ended.iter().all(|ended| *ended) && waiting.is_none() {
            let Some(pause) = host.settings.follow else { return Ok(()) };
            fold::due(host, silver).await?;
            tokio::time::sleep(pause).await;
            ended.fill(false);
        }
        let next = async {
            match lines.get_mut(turn) {
                Some(line) if go_on && !ended[turn] => next(host, line).await,
                _ => Ok(None),
            }
        };
        let settled = async {
            match waiting.take() {
                Some(landed) => settle::settle(host, silver, landed, tally).await.map(|()| true),
                None => Ok(false),
            }
        };
        let (landed, settled) = join(next, settled).await;
        if settled? {
            observer.settled(silver.tenant(), tally, lines[turn].measure());
            fold::due(host, silver).await?;
        }
        match landed? {
            Some(landed) => waiting = Some(landed),
            None if !go_on => return Ok(()),
            None => ended[turn] = true,
        }
        turn = (turn + 1) % lines.len();
    }
}

/// The next batch of `line`, in Bronze; none where the input has ended for now.
async fn next(host: &Arc<Host>, line: &mut Line) -> Result<Option<Pending>, PipelineError> {
    let bounds = line.bounds;
    let mut source = line.source.take().expect("the source is put back below, whatever happens");
    let (source, batch) = host
        .machine
        .workers
        .run(move || {
            let batch = source.next(bounds);
            (source, batch)
        })
        .await;
    line.source = Some(source);
    let Some(batch) = batch? else { return Ok(None) };
    let active = line.current();
    land::land(host, &mut line.bronze, active, batch).await.map(Some)
}
