//! The answers of several calls, as one.

use arrow::array::Array;
use arrow::buffer::BooleanBuffer;
use arrow::compute;
use arrow::error::ArrowError;

use crate::entity::{Answer, Column, Descriptor, Operation, Operations, Rows};

/// Puts the answers to consecutive calls together. Their record indexes count within the whole already.
///
/// Fails where a column grows beyond what 32-bit offsets reach.
pub(super) fn concat(mut answers: Vec<Answer>, descriptor: &Descriptor) -> Result<Answer, ArrowError> {
    if answers.len() == 1 {
        return Ok(answers.remove(0));
    }
    let mut whole = Answer { path_hits: vec![0; descriptor.paths.len()], ..Answer::default() };
    let mut parts: Vec<Vec<Rows>> = descriptor.outputs.iter().map(|_| Vec::new()).collect();
    for answer in answers {
        whole.verdicts.extend(answer.verdicts);
        whole.row_refusals.extend(answer.row_refusals);
        for (sum, hits) in whole.path_hits.iter_mut().zip(answer.path_hits) {
            *sum = sum.saturating_add(hits);
        }
        for rows in answer.rows {
            parts[rows.output].push(rows);
        }
    }
    whole.rows = parts.into_iter().filter_map(|parts| join(parts).transpose()).collect::<Result<_, _>>()?;
    Ok(whole)
}

/// Joins rows of one output; none where there are none.
fn join(mut parts: Vec<Rows>) -> Result<Option<Rows>, ArrowError> {
    if parts.len() <= 1 {
        return Ok(parts.pop());
    }
    let columns = (0..parts[0].columns.len()).map(|i| column(&parts, i)).collect::<Result<_, _>>()?;
    Ok(Some(Rows {
        output: parts[0].output,
        operations: operations(&parts),
        columns,
        record: parts.into_iter().flat_map(|part| part.record).collect(),
    }))
}

fn operations(parts: &[Rows]) -> Operations {
    match parts[0].operations {
        Operations::All(first) if parts.iter().all(|part| part.operations == Operations::All(first)) => {
            Operations::All(first)
        }
        _ => Operations::Each(
            parts
                .iter()
                .flat_map(|part| (0..part.record.len()).map(|row| part.operations.get(row)))
                .collect::<Vec<Operation>>(),
        ),
    }
}

fn column(parts: &[Rows], i: usize) -> Result<Column, ArrowError> {
    let arrays: Vec<&dyn Array> = parts.iter().map(|part| &*part.columns[i].values).collect();
    let values = compute::concat(&arrays)?;
    let presence = parts.iter().any(|part| part.columns[i].presence.is_some()).then(|| {
        parts
            .iter()
            .flat_map(|part| {
                let presence = part.columns[i].presence.as_ref();
                (0..part.record.len()).map(move |row| presence.is_none_or(|presence| presence.value(row)))
            })
            .collect::<BooleanBuffer>()
    });
    Ok(Column { values, presence })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array};

    use super::*;
    use crate::entity::{DataType, Field, OnError, Output, Verdict};

    fn descriptor() -> Descriptor {
        let field = Field { name: "id".to_owned(), data_type: DataType::Int64, source: None };
        let output =
            Output { entity: "e".to_owned(), on_error: OnError::Record, fields: vec![field], references: vec![] };
        Descriptor {
            name: "p".to_owned(),
            version: "1".to_owned(),
            outputs: vec![output.clone(), output],
            properties: vec![],
            paths: vec!["$".to_owned()],
            prepared: vec![],
            warnings: vec![],
        }
    }

    fn answer(output: usize, record: u32, operation: Operation, presence: Option<bool>) -> Answer {
        let column = Column {
            values: Arc::new(Int64Array::from(vec![i64::from(record)])),
            presence: presence.map(|bit| BooleanBuffer::from(vec![bit])),
        };
        let operations = Operations::All(operation);
        Answer {
            verdicts: vec![Verdict::Transformed],
            rows: vec![Rows { output, record: vec![record], operations, columns: vec![column] }],
            row_refusals: vec![],
            path_hits: vec![u64::MAX / 2],
        }
    }

    #[test]
    fn answers_join_by_output_in_order() {
        let parts = vec![
            answer(1, 0, Operation::Upsert, None),
            answer(0, 1, Operation::Patch, Some(false)),
            answer(1, 2, Operation::Upsert, None),
            answer(0, 3, Operation::Delete, None),
        ];
        let whole = concat(parts, &descriptor()).unwrap();
        assert_eq!((whole.verdicts.len(), whole.path_hits), (4, vec![u64::MAX]));
        let [first, second] = &whole.rows[..] else { panic!("two outputs have rows") };
        assert_eq!(
            (first.output, &first.record[..], second.output, &second.record[..]),
            (0, &[1, 3][..], 1, &[0, 2][..])
        );
        assert_eq!(first.operations, Operations::Each(vec![Operation::Patch, Operation::Delete]));
        assert_eq!(second.operations, Operations::All(Operation::Upsert));
        assert_eq!(first.columns[0].presence, Some(BooleanBuffer::from(vec![false, true])));
        assert_eq!(second.columns[0].presence, None);
        let values = second.columns[0].values.as_primitive::<arrow::datatypes::Int64Type>();
        assert_eq!(values.values(), &[0, 2]);
    }

    #[test]
    fn no_answers_are_an_empty_one() {
        let whole = concat(vec![], &descriptor()).unwrap();
        assert_eq!((whole.verdicts.len(), whole.rows.len(), whole.path_hits), (0, 0, vec![0]));
    }
}
