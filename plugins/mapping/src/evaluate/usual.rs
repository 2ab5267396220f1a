//! The short way from a node's bytes into a column; see [`usual`](crate::usual).

use silversmith_sdk::columns::Row;
use silversmith_sdk::extract::{NodeId, Place, Token};
use silversmith_sdk::normalise::{CurrencyCode, instant, shifted, short_number};
use silversmith_sdk::plugin::Operation;

use super::Scope;
use super::row::push;
use crate::prepared::Column;
use crate::usual::{Case, Form, Minor};

/// Which columns of the row above have a usual cell that the next row under the same parent has too, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Above(u64);

impl Above {
    fn bit(column: usize) -> u64 {
        if column < u64::BITS as usize { 1 << column } else { 0 }
    }
}

impl Scope<'_, '_> {
    /// Adds the cell of `column`, the row's `number`th, if it is a usual one; if not, nothing has happened.
    #[inline]
    pub(super) fn usual(
        &self,
        column: &Column,
        number: usize,
        place: Place,
        operation: Operation,
        above: &mut Above,
        row: &mut Row<'_>,
    ) -> bool {
        let Some(usual) = &column.usual else { return false };
        let path = usual.path;
        if above.0 & Above::bit(number) != 0 {
            row.push_again();
            self.hit(path, 1);
            return true;
        }
        match self.tree.single(path.select, place) {
            None if column.value.default.is_some() => false,
            None => {
                push(row, None, operation);
                true
            }
            Some(node) => {
                let done = self.form(&usual.form, node, place, row).is_some();
                if done {
                    self.hit(path, 1);
                    above.0 |= if usual.is_common() { Above::bit(number) } else { 0 };
                }
                done
            }
        }
    }

    fn form(&self, form: &Form, node: NodeId, place: Place, row: &mut Row<'_>) -> Option<()> {
        match (*form, self.tree.token(node)) {
            (Form::Verbatim, Token::Text(text)) => row.push_run(text, |byte| byte),
            (Form::Verbatim, Token::Number(number)) => row.push_bytes(number),
            (Form::Ascii(case), Token::Text(text)) => {
                let [first, .., last] = text.bytes() else { return None };
                if *first == b' ' || *last == b' ' || !text.is_surely_ascii() {
                    return None;
                }
                match case {
                    Case::AsItIs => row.push_run(text, |byte| byte),
                    Case::Lower => row.push_run(text, |byte| byte.to_ascii_lowercase()),
                    Case::Upper => row.push_run(text, |byte| byte.to_ascii_uppercase()),
                }
            }
            (Form::Currency, Token::Text(text)) => row.push_bytes(&self.currency(text.bytes())?.code),
            (Form::Integer, Token::Number(number)) => match short_number(number)? {
                (integer, 0) => row.push_i64(integer),
                _ => return None,
            },
            (Form::Instant { micros }, Token::Number(number)) => match short_number(number)? {
                (ticks, 0) => row.push_timestamp(instant(ticks, micros)?),
                _ => return None,
            },
            (Form::Decimal { minor, precision, scale }, Token::Number(number)) => {
                let (mantissa, fraction) = short_number(number)?;
                let (digits, currency) = match minor {
                    None => (fraction, None),
                    Some(_) if fraction > 0 => return None,
                    Some(Minor::Digits(digits)) => (usize::from(digits), None),
                    Some(Minor::OfCurrency(path)) => {
                        let Token::Text(code) = self.tree.token(self.tree.single(path.select, place)?) else {
                            return None;
                        };
                        (usize::from(self.currency(code.bytes())?.exponent?), Some(path))
                    }
                };
                let unscaled = shifted(mantissa, usize::from(scale).checked_sub(digits)?, precision)?;
                if let Some(path) = currency {
                    self.hit(path, 1);
                }
                row.push_decimal(i128::from(unscaled));
            }
            _ => return None,
        }
        Some(())
    }

    /// The currency with this code in upper case.
    fn currency(&self, code: &[u8]) -> Option<CurrencyCode> {
        let code = code.try_into().ok()?;
        let last = self.notes.currency.get();
        if last.is_some_and(|last| last.code == code) {
            return last;
        }
        let found = CurrencyCode::find(code)?;
        self.notes.currency.set(Some(found));
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use silversmith_sdk::columns::AnswerBuilder;
    use silversmith_sdk::plugin::{
        Batch, ConfigFile, Configuration, ContractColumn, DataType, DecimalType, EntityContract, Plugin, Shape,
        SilverBatch,
    };
    use silversmith_sdk::testing::{Record, batch};

    use crate::Mappings;
    use crate::evaluate::transform;
    use crate::prepared::Prepared;

    const MONEY: DataType = DataType::Decimal(DecimalType { precision: 6, scale: 2 });
    const FORMS: [(&str, DataType, &str); 12] = [
        ("verbatim", DataType::Text, ""),
        ("trimmed", DataType::Text, "trim"),
        ("lower", DataType::Text, "trim, lowercase, empty_to_null"),
        ("upper", DataType::Text, "lowercase, nfc, uppercase"),
        ("currency", DataType::Text, "currency"),
        ("integer", DataType::Int64, ""),
        ("decimal", MONEY, ""),
        ("minor", MONEY, "scale: 2"),
        ("too_fine", MONEY, "scale: 3"),
        ("money", MONEY, "scale: { currency: .c }"),
        ("seconds", DataType::Timestamp, "timestamp: epoch_s"),
        ("millis", DataType::Timestamp, "timestamp: epoch_ms"),
    ];
    const VALUES: &str = r#"null true [] {} "" "a" "Ab" "aB_" "ab " "Straße" "A\u0062" "USD" "usd" "XAU" "QQQ" "978"
        "12" "1.5" 0 -0 1 -1 1.5 1.50 -12.34 0.001 1e2 10000 9999.99 1700000000123 123456789012345678
        -123456789012345678 1234567890123456789 99999999999999999999"#;
    const CURRENCIES: [&str; 7] = [r#""USD""#, r#""JPY""#, r#""KWD""#, r#""XAU""#, r#""eur""#, "978", "null"];

    /// One block for each form, so that a refusal hides no other column.
    fn configuration() -> Configuration {
        let block = |(name, _, steps): &(&str, DataType, &str)| {
            let steps = if steps.contains(':') { format!("{{ {steps} }}") } else { (*steps).to_owned() };
            let value = match &steps[..] {
                "" => ".v".to_owned(),
                steps => format!("{{ path: .v, normalize: [{steps}] }}"),
            };
            format!(
                "  - {{ entity: thing, each: $, on_error: row, fields: {{ id: {{ const: x }}, {name}: {value} }} }}\n"
            )
        };
        let column =
            |name: &str, data_type, key| ContractColumn { name: name.to_owned(), data_type, required: key, key };
        let columns = FORMS.map(|(name, data_type, _)| column(name, data_type, false));
        Configuration {
            source: "things".to_owned(),
            settings: r#"{"mapping": "things.yaml"}"#.to_owned(),
            files: vec![ConfigFile {
                path: "things.yaml".to_owned(),
                text: format!("mapping: 1\nentities:\n{}", FORMS.iter().map(block).collect::<String>()),
            }],
            entities: vec![EntityContract {
                name: "thing".to_owned(),
                columns: [column("id", DataType::Text, true)].into_iter().chain(columns).collect(),
            }],
        }
    }

    #[test]
    fn the_usual_way_gives_what_the_general_way_gives() {
        let descriptor = Mappings::describe(&configuration()).expect("the mapping is sound");
        let prepared = || postcard::from_bytes::<Prepared>(&descriptor.prepared).expect("it comes back");
        let (usual, mut general) = (prepared(), prepared());
        for block in &mut general.mappings[0].blocks {
            let found = block.fields.iter_mut().find_map(|column| column.usual.take());
            assert!(found.is_some(), "each form is a usual one");
        }
        let values = VALUES.split_whitespace().collect::<Vec<_>>();
        let values = values.iter().copied().chain([r#"" ""#, r#"" a""#, r#""a b""#]);
        let mut records: Vec<_> = values
            .flat_map(|value| CURRENCIES.map(|currency| format!(r#"{{"v": {value}, "c": {currency}}}"#)))
            .map(Record::new)
            .collect();
        records.push(Record::new(r#"{"v": 1}"#));
        records.push(Record::new("{}"));
        let batch = batch(&records, &descriptor.properties);
        let answer = |prepared: &Prepared| -> SilverBatch {
            let mut answer = AnswerBuilder::new(&Shape::of(&descriptor));
            transform(prepared, &Batch::new(&batch), &mut answer);
            answer.finish()
        };
        let (usual, general) = (answer(&usual), answer(&general));
        assert!(usual.rows.len() == FORMS.len() && !usual.row_refusals.is_empty(), "every form has rows");
        assert_eq!(usual, general);
    }
}
