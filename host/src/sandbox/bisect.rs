//! Which records a failed call is to blame on: halves it until the record is alone.
//!
//! Knows nothing of WebAssembly: a call is a closure over a range of records. What makes halving sound is a
//! property of calls that `limits` states: records that pass together pass alone. So a record is refused only
//! for what it does alone, and the outcome does not depend on the ranges asked for.
//!
//! One bad record among n costs at most 2 log2 n further calls; n bad ones cost at most 2 n - 1 in all, each within
//! the budget of one record.

use std::ops::Range;

/// How a call ended that gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The code of the refusal: `fuel`, `memory`, `trap` and so on.
    pub(super) code: &'static str,
    /// What happened.
    pub(super) message: String,
    /// Whether the records had a part in it.
    pub(super) blame: Blame,
}

/// Who is to blame for a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// One of the records, or their number.
    Records,
    /// The plugin, before it saw a record: every record would fail the same way.
    Plugin,
}

/// What became of a stretch of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part<A> {
    /// They were answered together.
    Answered(A),
    /// Each of them is refused.
    Refused(Failure),
}

/// What became of consecutive stretches of a range.
pub(super) type Parts<A> = Vec<(Range<usize>, Part<A>)>;

/// Calls until every record of `range` is answered or refused; the parts come in order and cover the range.
///
/// `call` must not be given an empty range. Its outer error ends the work at once.
pub(super) fn bisect<A, E>(
    range: Range<usize>,
    mut call: impl FnMut(Range<usize>) -> Result<Result<A, Failure>, E>,
) -> Result<Parts<A>, E> {
    let mut parts = Vec::new();
    let mut open = vec![range];
    while let Some(range) = open.pop() {
        match call(range.clone())? {
            Ok(answer) => parts.push((range, Part::Answered(answer))),
            Err(failure) if range.len() == 1 || failure.blame == Blame::Plugin => {
                parts.push((range, Part::Refused(failure)));
            }
            Err(_) => {
                let middle = range.start + range.len() / 2;
                open.push(middle..range.end);
                open.push(range.start..middle);
            }
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn failure(blame: Blame) -> Failure {
        Failure { code: "fuel", message: String::new(), blame }
    }

    /// Bisects records of which each costs `costs[i]` and a call may cost `budget`; gives what each became and the
    /// number of calls.
    fn run(costs: &[u64], budget: u64) -> (Vec<bool>, usize) {
        let mut calls = 0;
        let parts = bisect(0..costs.len(), |range| {
            calls += 1;
            let cost: u64 = costs[range].iter().sum();
            Ok::<_, Infallible>(if cost <= budget { Ok(()) } else { Err(failure(Blame::Records)) })
        });
        let Ok(parts) = parts;
        let mut passed = Vec::new();
        for (range, part) in parts {
            assert_eq!(range.start, passed.len(), "parts come in order and leave nothing out");
            assert!(part == Part::Answered(()) || range.len() == 1, "a record is refused only alone");
            passed.extend(range.map(|_| part == Part::Answered(())));
        }
        (passed, calls)
    }

    proptest! {
        #[test]
        fn a_record_gets_the_verdict_that_it_gets_alone(costs in prop::collection::vec(0_u64..200, 1..300)) {
            let (passed, calls) = run(&costs, 100);
            prop_assert_eq!(passed, costs.iter().map(|&cost| cost <= 100).collect::<Vec<_>>());
            prop_assert!(calls < 2 * costs.len());
        }
    }

    #[test]
    fn one_bad_record_among_many_costs_a_logarithm_of_calls() {
        for bad in [0, 1, 4_999, 9_999] {
            let mut costs = vec![0; 10_000];
            costs[bad] = 2;
            assert!(run(&costs, 1).1 <= 1 + 2 * 14);
        }
    }

    #[test]
    fn a_plugin_that_cannot_start_refuses_all_at_one_call() {
        let parts = bisect(3..9, |_| Ok::<_, Infallible>(Err::<(), _>(failure(Blame::Plugin))));
        assert_eq!(parts, Ok(vec![(3..9, Part::Refused(failure(Blame::Plugin)))]));
    }
}
