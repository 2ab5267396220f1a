//! One simulation from its beginning to its end: hosts that come and go, then peace, then what must hold.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::{Either, join_all, join3, select};
use object_store::memory::InMemory;
use silversmith::lake::{CommitError, Lake};
use silversmith::pipeline::{self, Observer, PipelineError, Settings, Stop, TenantReport};
use url::Url;

use super::clock::{Clock, SimulatedWorld};
use super::dice::Dice;
use super::kafka::{Kafka, produce};
use super::life::{Fate, Life};
use super::options::Options;
use super::oracle;
use super::props::Props;
use super::source::Topics;
use super::store::{Shared, View};
use super::trace::{Counts, Trace};
use crate::inside::Unwatched;
use crate::support::orders;

/// The time within which everything must be done: hosts that wait for each other would take for ever.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Where the lake is in the store.
pub(super) const LAKE: &str = "memory:///lake/";

/// What one simulation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Over all events.
    pub(super) hash: String,
    pub(super) counts: Counts,
}

/// One simulation.
pub(super) struct Stage<'a> {
    pub(super) shared: Shared,
    pub(super) kafka: Kafka,
    pub(super) props: &'a Props,
    lives: AtomicU64,
}

/// Runs what `options` spell out; panics where anything is lost, invented or stuck.
pub(super) fn simulate(options: &Arc<Options>, clock: &Clock, trace: &Trace, props: &Props) -> Outcome {
    let dice = Dice::new(options.seed);
    let sources = &props.tenant(options.sources, 0).sources;
    let logs = sources.iter().enumerate().map(|(number, source)| {
        let payloads = orders(options.records, options.seed + number as u64);
        let payloads = payloads.into_iter().map(String::into_bytes).collect();
        (source.name.clone(), produce(payloads, options, &dice))
    });
    let kafka = Kafka::new(logs.collect(), clock, &dice, trace);
    let shared = Shared {
        objects: Arc::new(InMemory::new()),
        clock: clock.clone(),
        dice,
        trace: trace.clone(),
        troubled: Arc::new(AtomicBool::new(true)),
        late: Arc::default(),
        options: Arc::clone(options),
    };
    let stage = Stage { shared, kafka, props, lives: AtomicU64::new(0) };
    clock.run(async {
        let whole = pin!(stage.whole());
        match select(whole, pin!(clock.sleep(PATIENCE))).await {
            Either::Left(_) => {}
            Either::Right(_) => panic!("not done within {PATIENCE:?}: nobody gets on"),
        }
        oracle::check(&stage).await;
    });
    Outcome { hash: trace.hash(), counts: trace.counts() }
}

impl Stage<'_> {
    async fn whole(&self) {
        let Shared { clock, troubled, late, options, .. } = &self.shared;
        let hosts = join_all((0..options.hosts).map(|slot| self.lives(slot)));
        // Hosts that sleep wake up beside the one that finishes.
        let finish = async {
            clock.sleep_until(options.span).await;
            troubled.store(false, Ordering::Relaxed);
            self.finish().await;
        };
        join3(hosts, self.kafka.unrest(options, options.span), finish).await;
        while late.load(Ordering::Relaxed) > 0 {
            clock.sleep(Duration::from_secs(1)).await;
        }
        // What landed after all others had ended is to be found.
        self.finish().await;
    }

    /// Runs a host without trouble until all is read.
    async fn finish(&self) {
        let life = self.life("finisher".to_owned(), Fate::Runs);
        let report = self.run(&life, None).await.expect("it does not crash");
        if let Some(error) = &report.error {
            panic!("{} stopped: {error:?}", life.name);
        }
    }

    /// One host after another on the same machine, until the end of trouble.
    async fn lives(&self, slot: u64) {
        let Shared { clock, dice, trace, options, .. } = &self.shared;
        loop {
            clock.sleep(dice.time(100..5_000)).await;
            if clock.now() >= options.span {
                return;
            }
            let request = dice.between(1..options.requests + 1);
            let fate = match dice.between(0..1000) {
                roll if roll < options.crashes => Fate::Crashes(request),
                _ if dice.happens(options.freezes) => Fate::Freezes(request, dice.time(1_000..120_000)),
                _ if dice.happens(500) => Fate::Stops(dice.time(1_000..20_000)),
                _ => Fate::Runs,
            };
            let life = self.life(format!("host{slot}"), fate);
            let Some(report) = self.run(&life, Some(dice.time(50..1_000))).await else { continue };
            let Some(error) = &report.error else { continue };
            trace.note(&life.name, format_args!("stops: {error:?}"));
            trace.count("stops by an error");
            assert!(is_of_the_store(error), "{} stopped by itself: {error:?}", life.name);
        }
    }

    fn life(&self, host: String, fate: Fate) -> Arc<Life> {
        let number = self.lives.fetch_add(1, Ordering::Relaxed);
        let Shared { clock, dice, trace, .. } = &self.shared;
        Arc::new(Life::new((format!("{host}#{number}"), number), fate, clock, dice, trace, &self.kafka))
    }

    /// The number of the mappings in force for hosts that start now.
    fn generation(&self) -> u64 {
        let Shared { clock, options, .. } = &self.shared;
        (clock.now().min(options.span).as_millis() / options.change_every.as_millis() % 2) as u64
    }

    /// Runs a host to its end, and gives its report; none if it crashed.
    async fn run(&self, life: &Arc<Life>, follow: Option<Duration>) -> Option<TenantReport> {
        let Shared { clock, dice, trace, options, .. } = &self.shared;
        let skew = dice.between(0..7_200_000_000) as i64 - 3_600_000_000;
        let world = SimulatedWorld::new(clock, skew, Dice::new(dice.roll()));
        let lake = Lake::over(Arc::new(View::new(&self.shared, life)), url(), Arc::new(world));
        let (kafka, life, trace) = (self.kafka.clone(), Arc::clone(life), trace.clone());
        let inputs = Topics { kafka, life, dice: dice.clone(), trace, options: Arc::clone(options) };
        let life = Arc::clone(&inputs.life);
        let (stop, settings) = (Stop::default(), self.settings(dice.time(100..20_000), follow));
        let host = self.props.host(lake, Arc::new(inputs), stop.clone(), settings);
        let tenants = vec![Arc::clone(self.props.tenant(options.sources, self.generation()))];
        let observer: Arc<dyn Observer> = Arc::new(Unwatched);

        let stopped = async {
            match life.fate {
                _ if follow.is_none() => {}
                Fate::Stops(after) => clock.sleep_until((clock.now() + after).min(options.span)).await,
                Fate::Runs | Fate::Crashes(_) | Fate::Freezes(..) => clock.sleep_until(options.span).await,
            }
            if follow.is_some() {
                stop.request();
            }
            std::future::pending::<()>().await
        };
        let running = pin!(pipeline::run(&host, tenants, &observer));
        let (died, stopped) = (pin!(life.died()), pin!(stopped));
        match select(running, select(died, stopped)).await {
            Either::Left((mut reports, _)) => {
                life.end();
                self.shared.trace.note(&life.name, format_args!("ends: {:?}", reports[0].tally));
                reports.pop()
            }
            Either::Right(_) => None,
        }
    }

    /// How hosts of this simulation run.
    pub(super) fn settings(&self, fold_every: Duration, follow: Option<Duration>) -> Settings {
        Settings { records_max: Some(self.shared.options.batch_records as usize), fold_every, follow }
    }
}

pub(super) fn url() -> Url {
    Url::parse(LAKE).expect("a URL")
}

/// Whether a host may stop for it while the store fails.
fn is_of_the_store(error: &PipelineError) -> bool {
    match error {
        PipelineError::Lake { source, .. } => source.is_retryable(),
        PipelineError::Commit(CommitError::Unknown { source, .. }) => source.is_retryable(),
        _ => false,
    }
}
