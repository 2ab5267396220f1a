//! Orders that are produced while other things happen.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use super::Acme;

/// So many that every partition has some.
const KEYS: usize = 101;
/// How often the load adds what is due.
const BEAT: Duration = Duration::from_millis(20);

/// A message for `kcat`: one of so many keys, and an order.
pub(super) fn line(keys: usize, place: usize, order: &str) -> String {
    format!("k{}\t{order}\n", place % keys)
}

/// Orders that are being produced, until it is stopped or dropped.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

impl Acme {
    /// `kcat` to produce lines of [`line`] to a topic, each with two headers.
    pub(super) fn producer(&self, topic: &str) -> Command {
        let mut kcat = self.kcat();
        kcat.args(["-P", "-t", topic, "-K", "\t", "-H", "origin=kcat", "-H", "empty="]);
        kcat
    }

    /// Produces so many of `orders` a second to `topic`, from the first again when all are used up.
    pub(super) fn load(&self, topic: &str, orders: Vec<String>, a_second: usize) -> Load {
        let mut kcat = self.producer(topic);
        kcat.args(["-X", "linger.ms=5"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut kcat = kcat.spawn().expect("kcat runs: run `cargo xtask setup`");
        let mut pipe = kcat.stdin.take().expect("it was asked for");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = spawn(move || {
            let (begun, mut orders) = (Instant::now(), orders.iter().cycle().enumerate());
            let mut produced = 0;
            while !stopped.load(Ordering::Relaxed) {
                let due = (begun.elapsed().as_secs_f64() * a_second as f64) as usize;
                let due_now = orders.by_ref().take(due - produced);
                let lines: String = due_now.map(|(place, order)| line(KEYS, place, order)).collect();
                // What keeps it from reading is said at its end.
                if pipe.write_all(lines.as_bytes()).is_err() {
                    break;
                }
                produced = due;
                sleep(BEAT);
            }
            drop(pipe);
            let done = kcat.wait_with_output().expect("it is our child");
            assert!(done.status.success(), "kcat: {}", String::from_utf8_lossy(&done.stderr));
            produced
        });
        Load { stop, thread: Some(thread) }
    }
}

impl Load {
    /// Stops, and waits until the broker has all; how many messages that are.
    pub(super) fn stop(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is stopped once");
        thread.join().expect("kcat produced what it was given")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
