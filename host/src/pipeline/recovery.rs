//! Where settling goes on, given what each table has consumed of a source.
//!
//! Pure: decides, and neither asks nor acts. Tables are made to catch up wherever that is possible from Bronze alone. What no
//! crash can leave behind means that somebody restored or replaced a table, and going on would lose rows or write them twice.
//!
//! | Bronze ends at | the tables that were fed stand at | manifests stand at | verdict |
//! |---|---|---|---|
//! | k | k | k | go on behind k |
//! | k | j to k | j < k | settle j + 1 to k: a table that has a batch keeps it |
//! | k | anything | > k | the manifests are ahead |
//! | k | one > k | anything | that table is ahead |
//! | k | one < j | j | that table is behind: the manifests say that it had all up to j |
//!
//! The group's offset is in no column: it is never asked. What the log of a partition says against Bronze is judged by the
//! source; an entry that is not whole is refused where it is read.

/// What the tables of a tenant have consumed of one source, each as a Bronze version; none for nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consumed<'a> {
    /// The version at which Bronze ends.
    pub(super) bronze: i64,
    /// The tables that every batch feeds, with their names.
    pub(super) tables: &'a [(&'a str, Option<i64>)],
    /// The manifests.
    pub(super) manifests: Option<i64>,
}

/// Tables that no crash can have left so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Contradiction {
    /// A table has consumed what Bronze does not hold.
    #[error(
        "`{table}` has consumed Bronze up to version {at}, but Bronze ends at {bronze}: Bronze was restored or replaced; \
         restore the tenant's whole folder from one backup"
    )]
    Ahead {
        /// The table.
        table: String,
        /// What it has consumed.
        at: i64,
        /// Where Bronze ends.
        bronze: i64,
    },
    /// A table lacks what the manifests say that it has.
    #[error(
        "`{table}` has consumed Bronze up to version {at}, but manifests say that all tables have it up to {manifests}: the table \
         was restored or replaced; restore the tenant's whole folder from one backup"
    )]
    Behind {
        /// The table.
        table: String,
        /// What it has consumed; -1 for nothing.
        at: i64,
        /// What the manifests say.
        manifests: i64,
    },
}

/// The last Bronze version that every table has: -1 for none.
pub(super) fn settled(Consumed { bronze, tables, manifests }: Consumed<'_>) -> Result<i64, Contradiction> {
    let all = tables.iter().copied().chain([("manifests", manifests)]);
    for (table, at) in all {
        if let Some(at) = at.filter(|at| *at > bronze) {
            return Err(Contradiction::Ahead { table: table.to_owned(), at, bronze });
        }
    }
    let Some(manifests) = manifests else { return Ok(-1) };
    match tables.iter().find(|(_, at)| at.unwrap_or(-1) < manifests) {
        Some((table, at)) => Err(Contradiction::Behind { table: (*table).to_owned(), at: at.unwrap_or(-1), manifests }),
        None => Ok(manifests),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(bronze: i64, tables: [Option<i64>; 2], manifests: Option<i64>) -> Result<i64, Contradiction> {
        settled(Consumed { bronze, tables: &[("a", tables[0]), ("b", tables[1])], manifests })
    }

    #[test]
    fn tables_catch_up_from_where_the_manifests_stand() {
        assert_eq!(decide(4, [Some(4), Some(4)], Some(4)), Ok(4), "nothing is due");
        assert_eq!(decide(4, [Some(4), Some(3)], Some(2)), Ok(2), "a crash between two tables");
        assert_eq!(decide(4, [Some(4), Some(4)], Some(3)), Ok(3), "a crash before the manifest");
        assert_eq!(decide(4, [None, None], None), Ok(-1), "a crash before the first table");
        assert_eq!(decide(4, [Some(0), None], None), Ok(-1), "a crash in the first batch");
        assert_eq!(decide(-1, [None, None], None), Ok(-1), "nothing was ever landed");
    }

    #[test]
    fn what_no_crash_leaves_behind_halts() {
        let ahead = |table: &str, at| Err(Contradiction::Ahead { table: table.to_owned(), at, bronze: 4 });
        assert_eq!(decide(4, [Some(5), Some(4)], Some(4)), ahead("a", 5));
        assert_eq!(decide(4, [Some(4), Some(4)], Some(5)), ahead("manifests", 5));
        let behind = |at| Err(Contradiction::Behind { table: "b".to_owned(), at, manifests: 3 });
        assert_eq!(decide(4, [Some(4), Some(2)], Some(3)), behind(2));
        assert_eq!(decide(4, [Some(4), None], Some(3)), behind(-1));
    }

    /// Every state of two tables, manifests and Bronze of up to three versions.
    #[test]
    fn every_state_is_one_that_a_crash_leaves_or_is_refused() {
        let stands = || (-1..4).map(|at| (at >= 0).then_some(at));
        for bronze in -1..3 {
            for (a, b, manifests) in stands().flat_map(|a| stands().flat_map(move |b| stands().map(move |m| (a, b, m))))
            {
                // A batch is in Bronze first, then in every table, and in the manifests last.
                let crash = [a, b].iter().all(|at| manifests <= *at && at.unwrap_or(-1) <= bronze);
                let found = decide(bronze, [a, b], manifests);
                assert_eq!(found.is_ok(), crash, "Bronze {bronze}, tables {a:?} and {b:?}, manifests {manifests:?}");
                assert!(found.is_err() || found == Ok(manifests.unwrap_or(-1)));
            }
        }
    }
}
