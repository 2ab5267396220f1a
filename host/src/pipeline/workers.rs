//! Processor time, shared fairly.
//!
//! Every computation that takes longer than a poll runs through [`Workers::run`], which grants as many at once
//! as the host may use cores. The queue is first in, first out, and a tenant has only a few computations
//! outstanding, so tenants that run side by side get equal shares and a busy one cannot starve a quiet one.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// What computes.
#[derive(Clone, Debug)]
pub struct Workers(Place);

/// Where it computes.
#[derive(Clone, Debug)]
enum Place {
    Cores { permits: Arc<Semaphore>, count: usize },
    Caller,
}

impl Workers {
    /// As many computations at once as `count`, at least one, each on a core of its own.
    pub fn new(count: usize) -> Self {
        let count = count.max(1);
        Self(Place::Cores { permits: Arc::new(Semaphore::new(count)), count })
    }

    /// Each computation in the thread that asks for it, so that nothing runs beside it: for a simulation, whose every step
    /// comes in an order of its own choice.
    pub fn in_place() -> Self {
        Self(Place::Caller)
    }

    /// How many computations run at once.
    pub fn count(&self) -> usize {
        match &self.0 {
            Place::Cores { count, .. } => *count,
            Place::Caller => 1,
        }
    }

    /// Runs `compute` where it belongs and gives its result; a panic in it goes on in the caller.
    pub async fn run<T: Send + 'static>(&self, compute: impl FnOnce() -> T + Send + 'static) -> T {
        let permit = match &self.0 {
            Place::Cores { permits, .. } => {
                Some(Arc::clone(permits).acquire_owned().await.expect("the semaphore is never closed"))
            }
            Place::Caller => None,
        };
        let compute = move || {
            let _permit = permit;
            compute()
        };
        self.aside(compute).await
    }

    /// Runs what waits more than it computes: it takes no core from anybody.
    pub async fn aside<T: Send + 'static>(&self, wait: impl FnOnce() -> T + Send + 'static) -> T {
        match self.0 {
            Place::Caller => wait(),
            Place::Cores { .. } => match tokio::task::spawn_blocking(wait).await {
                Ok(value) => value,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // Not even begun: the runtime is ending, and the caller with it.
                    Err(_) => std::future::pending().await,
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn no_more_run_at_once_than_there_are_workers() {
        let workers = Workers::new(2);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let jobs = (0..16).map(|i| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            workers.run(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(std::time::Duration::from_millis(2));
                running.fetch_sub(1, Ordering::SeqCst);
                i
            })
        });
        let results = futures::future::join_all(jobs).await;
        assert_eq!(results, (0..16).collect::<Vec<_>>());
        assert!(most.load(Ordering::SeqCst) <= 2);
    }
}
