//! Processor time, shared fairly.
//!
//! Every computation that takes longer than a poll runs through [`Workers::run`], which grants as many at once
//! as the host may use cores. The queue is first in, first out, and a tenant has only a few computations
//! outstanding, so tenants that run side by side get equal shares and a busy one cannot starve a quiet one.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// A number of cores to compute on.
#[derive(Clone, Debug)]
pub struct Workers {
    permits: Arc<Semaphore>,
    count: usize,
}

impl Workers {
    /// As many computations at once as `count`, at least one.
    pub fn new(count: usize) -> Self {
        let count = count.max(1);
        Self { permits: Arc::new(Semaphore::new(count)), count }
    }

    /// How many computations run at once.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Runs `compute` on a core of its own and gives its result; a panic in it goes on in the caller.
    pub async fn run<T: Send + 'static>(&self, compute: impl FnOnce() -> T + Send + 'static) -> T {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        let result = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            compute()
        })
        .await;
        match result {
            Ok(value) => value,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
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
