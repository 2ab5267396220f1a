//! Proving what was received, before it may leave: that its topic still is the same one, and that the log lost nothing.

use std::collections::BTreeSet;

use rdkafka::consumer::{BaseConsumer, Consumer};
use tracing::warn;

use super::native;
use super::placing::log;
use super::poller::{CALL_MAX, Poller, Trouble};
use super::state::Course;
use super::verdict::{Identity, Known, Log, judge};

impl Poller {
    /// Lets records leave whose topics are still the same, and whose gaps are those of the log.
    pub(super) fn prove(&self, consumer: &BaseConsumer<Self>) {
        let (epoch, open): (u64, Vec<Open>) = {
            let mut state = self.shared.lock();
            let open = state.all().filter(|(.., held)| held.is_open());
            let open = open.map(|(topic, number, held)| Open {
                topic: topic.to_owned(),
                number,
                app_id: held.app_id.clone(),
                next: held.guard.next(),
                from: held.questioned_from(),
            });
            let open = open.collect();
            (state.epoch, open)
        };
        if open.is_empty() {
            return;
        }
        match self.check(consumer, &open) {
            Ok(()) => {
                let mut state = self.shared.lock();
                if state.epoch == epoch {
                    for Open { topic, number, next, .. } in &open {
                        if let Some(held) = state.partition(topic, *number) {
                            held.prove(*next);
                        }
                    }
                    // They have what they lacked a moment ago, as a broker may that is new in its part.
                    if state.given_up && state.course == Course::Reading {
                        state.course = Course::Renewing;
                    }
                }
            }
            Err(Trouble::Halt(message)) => self.halt(message),
            Err(Trouble::Later(what)) => warn!(source = self.source, what, "the brokers do not answer; trying again"),
        }
    }

    fn check(&self, consumer: &BaseConsumer<Self>, open: &[Open]) -> Result<(), Trouble> {
        let topics: BTreeSet<String> = open.iter().map(|open| open.topic.clone()).collect();
        let topics: Vec<String> = topics.into_iter().collect();
        let ids = native::topic_ids(consumer.client(), &topics, CALL_MAX)?;
        for Open { topic, number, app_id, next, from } in open {
            let Some(held) = Identity::parse(app_id) else { continue };
            let identity = Identity { topic_id: &ids[topic], ..held };
            if identity.to_string() != *app_id {
                let known = Known::Another { app_id: app_id.clone(), last: next - 1 };
                judge(known, Log { start: 0, end: 0 }).position(&identity).map_err(Trouble::Halt)?;
            }
            if let Some(first) = from {
                let log = log(consumer, topic, *number)?;
                judge(Known::Before(*first), log).position(&identity).map_err(Trouble::Halt)?;
            }
        }
        Ok(())
    }
}

/// A partition with something to prove.
struct Open {
    topic: String,
    number: i32,
    app_id: String,
    /// To be proven up to here.
    next: i64,
    /// From where on its log must still reach back.
    from: Option<i64>,
}
