//! A compiled component: knows its digest, describes itself, and becomes a [`Plugin`].

use std::sync::Arc;

use super::bindings::ExtractorPre;
use super::bisect::{Blame, Failure};
use super::engine::{Patience, Shared};
use super::instance::{Instance, State, Stop, Used};
use super::text::clean;
use super::{CallReport, Configuration, HostFault, Limits, Plugin, descriptor};
use crate::entity::{Descriptor, Diagnostic};

/// A component, compiled and checked. Clones share it.
#[derive(Clone)]
pub struct Component(Arc<Inner>);

struct Inner {
    engine: Arc<Shared>,
    pre: ExtractorPre<State>,
    digest: [u8; 32],
}

/// A plugin did not accept its configuration.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// What it found.
    #[error("the plugin refused its configuration with {} findings", .0.len())]
    Diagnostics(Vec<Diagnostic>),
    /// It failed while looking.
    #[error("the plugin failed to describe its configuration ({code}): {message}")]
    Failed {
        /// The code, as of a refusal.
        code: &'static str,
        /// Why.
        message: String,
    },
    /// The host is at fault.
    #[error(transparent)]
    Host(#[from] HostFault),
}

impl From<Failure> for DescribeError {
    fn from(failure: Failure) -> Self {
        Self::Failed { code: failure.code, message: failure.message }
    }
}

impl Component {
    pub(super) fn new(engine: Arc<Shared>, pre: ExtractorPre<State>, digest: [u8; 32]) -> Self {
        Self(Arc::new(Inner { engine, pre, digest }))
    }

    /// SHA-256 of the component's bytes.
    pub fn digest(&self) -> [u8; 32] {
        self.0.digest
    }

    /// Has the plugin check `configuration` and say what will come of it; then makes an instance ready with what
    /// it prepared, so that a descriptor that is returned can be used.
    pub fn describe(&self, configuration: &Configuration, limits: &Limits) -> Result<Descriptor, DescribeError> {
        let mut report = CallReport::default();
        let described = self.call(limits, limits.descriptor_bytes, None, &mut report, |instance| {
            let patience = self.patience();
            instance.run(limits.describe_fuel, patience, Blame::Plugin, |extractor, store, deadline| {
                configuration.with(|configuration| deadline.run(extractor.call_describe(store, configuration)))
            })
        })?;
        let descriptor = match described? {
            Ok(descriptor) => descriptor::check(descriptor)
                .map_err(|message| DescribeError::Failed { code: "bad_answer", message })?,
            Err(findings) => return Err(DescribeError::Diagnostics(descriptor::diagnostics(findings))),
        };
        self.call(limits, limits.descriptor_bytes, Some(&descriptor.prepared), &mut report, |_| Ok(()))??;
        Ok(descriptor)
    }

    /// The plugin that this component is under a configuration: `descriptor` is what [`Self::describe`] returned.
    pub fn plugin(&self, descriptor: Descriptor, limits: Limits) -> Plugin {
        Plugin::new(self.clone(), descriptor, limits)
    }

    /// How long the engine waits for a call.
    pub(super) fn patience(&self) -> Patience {
        self.0.engine.patience
    }

    /// Runs `call` in a fresh instance that is `prepared`, and adds what it used to `report`.
    ///
    /// A call that the clock stopped says nothing of the guest: it is repeated once, then the host is at fault.
    pub(super) fn call<T>(
        &self,
        limits: &Limits,
        output_bytes: u64,
        prepared: Option<&[u8]>,
        report: &mut CallReport,
        mut call: impl FnMut(&mut Instance) -> Result<T, Stop>,
    ) -> Result<Result<T, Failure>, HostFault> {
        for _ in 0..2 {
            let _slot = self.0.engine.slot();
            report.instances += 1;
            let stop = match self.start(limits, output_bytes, prepared) {
                Ok(mut instance) => {
                    let result = call(&mut instance);
                    report.add(instance.end(), limits);
                    match result {
                        Ok(value) => return Ok(Ok(value)),
                        Err(stop) => stop,
                    }
                }
                Err(stop) => stop,
            };
            match stop {
                Stop::Guest(failure) => return Ok(Err(failure)),
                Stop::Host(error) => return Err(HostFault::Engine { message: format!("{error:#}") }),
                Stop::Deadline => tracing::warn!("stopped a call of a plugin that did not end in time"),
            }
        }
        Err(HostFault::Deadline)
    }

    fn start(&self, limits: &Limits, output_bytes: u64, prepared: Option<&[u8]>) -> Result<Instance, Stop> {
        let started = || {
            let patience = self.patience();
            let mut instance = Instance::start(&self.0.pre, limits, output_bytes, limits.startup_fuel, patience)?;
            if let Some(prepared) = prepared {
                let left = limits.startup_fuel.saturating_sub(instance.spent());
                instance
                    .run(left, patience, Blame::Plugin, |extractor, store, deadline| {
                        deadline.run(extractor.call_configure(store, prepared))
                    })?
                    .map_err(|message| {
                        Stop::Guest(Failure { code: "plugin_error", message: clean(&message), blame: Blame::Plugin })
                    })?;
            }
            Ok(instance)
        };
        started().map_err(|stop| match stop {
            Stop::Guest(failure) => Stop::Guest(Failure {
                code: "startup",
                message: clean(&format!("{} while starting: {}", failure.code, failure.message)),
                blame: Blame::Plugin,
            }),
            other => other,
        })
    }
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component").field("digest", &blake3::Hash::from_bytes(self.0.digest).to_hex()).finish()
    }
}

impl CallReport {
    fn add(&mut self, used: Used, limits: &Limits) {
        self.fuel += used.fuel;
        self.log_dropped += used.log_dropped;
        let mut bytes: u64 = self.log.iter().map(|line| line.message.len() as u64).sum();
        for line in used.log {
            bytes += line.message.len() as u64;
            if self.log.len() as u64 >= limits.log_lines || bytes > limits.log_bytes {
                self.log_dropped += 1;
            } else {
                self.log.push(line);
            }
        }
    }
}
