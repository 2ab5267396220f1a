//! What one seed stands for: how many hosts, what they read, and what befalls them.

use std::time::Duration;

use super::dice::Dice;

/// What a seed is to show more of than chance alone would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Focus {
    /// Whatever the seed says.
    Everything,
    /// Two mappings in turn, between crashes.
    Activations,
    /// One host, whose commits mostly answer otherwise than they went.
    Commits,
}

impl Focus {
    /// The name that `cargo xtask simulate` knows it by.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Activations => "activations",
            Self::Commits => "commits",
        }
    }
}

/// A simulation, spelt out.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) seed: u64,
    pub(super) focus: Focus,
    pub(super) hosts: u64,
    /// Sources of the tenant, which feed the same entities.
    pub(super) sources: u64,
    /// Of each topic.
    pub(super) partitions: u64,
    /// Of each source.
    pub(super) records: u64,
    pub(super) batch_records: u64,
    /// How long records come and hosts are troubled.
    pub(super) span: Duration,
    /// Of a thousand places in a log, how many hold no record.
    pub(super) gaps: u64,
    /// Of a thousand requests that write, how many fail in some way.
    pub(super) put_faults: u64,
    /// Of a thousand requests that read, how many fail.
    pub(super) get_faults: u64,
    /// Of a thousand failures, after how many the store fails on for a while.
    pub(super) storms: u64,
    /// Of a thousand lives of hosts, how many end in a crash.
    pub(super) crashes: u64,
    /// Of a thousand lives of hosts, how many stop for minutes and then go on.
    pub(super) freezes: u64,
    /// Requests of a host after which it has crashed or frozen.
    pub(super) requests: u64,
    /// Between two rebalances that nobody asked for.
    pub(super) rebalance_every: Duration,
    /// Of a thousand polls, how many miss that partitions were given to others.
    pub(super) deaf: u64,
    /// Between two changes of the mapping; none happens if longer than the span.
    pub(super) change_every: Duration,
}

impl Options {
    /// What `seed` stands for.
    pub(super) fn of(seed: u64, focus: Focus) -> Self {
        let dice = Dice::new(seed ^ 0x5eed);
        let one_of = |choices: &[u64]| choices[dice.between(0..choices.len() as u64) as usize];
        let seconds = Duration::from_secs;
        let mut options = Self {
            seed,
            focus,
            hosts: one_of(&[1, 2, 2, 3]),
            sources: one_of(&[1, 1, 2]),
            partitions: dice.between(1..4),
            records: dice.between(30..90),
            batch_records: dice.between(4..30),
            span: seconds(dice.between(10..60)),
            gaps: one_of(&[0, 30, 200]),
            put_faults: one_of(&[0, 5, 20, 60]),
            get_faults: one_of(&[0, 0, 3, 10]),
            storms: one_of(&[0, 300, 800]),
            crashes: one_of(&[0, 400, 800]),
            freezes: one_of(&[0, 100, 400]),
            requests: one_of(&[60, 200, 400]),
            rebalance_every: seconds(one_of(&[2, 8, 1000])),
            deaf: one_of(&[0, 300, 800]),
            change_every: seconds(one_of(&[1000, 1000, 5, 20])),
        };
        match focus {
            Focus::Everything => {}
            Focus::Activations => {
                options.change_every = options.span / one_of(&[2, 3, 4]) as u32;
                options.crashes = 800;
                options.requests = 300;
            }
            Focus::Commits => {
                (options.hosts, options.sources, options.freezes, options.get_faults) = (1, 1, 0, 0);
                (options.put_faults, options.storms, options.batch_records) = (120, 500, dice.between(3..12));
                options.change_every = seconds(1000);
            }
        }
        options
    }
}
