//! What a message means: the rows of canonical entities that Silver should hear of.
//!
//! Worked out from the message before it is written, never from what was written: the answer must not depend on
//! a parser, least of all on ours.

use std::collections::BTreeMap;

use serde::Serialize;

use super::message::{Body, Channel, CustomerCopy, Message, ProductCopy, Sale, Status, cents};
use super::schema::{Schema, Sequence};
use super::world::Segment;

/// Column to value; decimals with their scale, null where there is none.
pub type Values = BTreeMap<&'static str, Option<String>>;

/// What a row does to its entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Asserts every column.
    Upsert,
    /// Asserts the columns it carries.
    Patch,
    /// Only makes the key exist.
    Stub,
    /// The key has ended.
    Delete,
}

/// A row of a dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DimensionRow {
    pub(crate) entity: &'static str,
    pub(crate) key: String,
    pub(crate) operation: Operation,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub(crate) sequence: i64,
    pub(crate) values: Values,
}

/// A row of a fact; a reference stands under its name with the business key of its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FactRow {
    pub(crate) entity: &'static str,
    pub(crate) key: String,
    pub(crate) values: Values,
}

/// What should become of a record.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Transformed {
        dimensions: Vec<DimensionRow>,
        facts: Vec<FactRow>,
        /// Rows refused alone: entity and code.
        refused: Vec<(&'static str, &'static str)>,
    },
    Filtered(&'static str),
    Quarantined(&'static str),
}

/// What should become of `message`, written in `schema`.
pub(crate) fn outcome(message: &Message, schema: &dyn Schema) -> Outcome {
    if let Some(flaw) = message.flaw {
        return Outcome::Quarantined(flaw.code());
    }
    let mut meaning = Meaning { schema, at_ms: message.at_ms, dimensions: vec![], facts: vec![], refused: vec![] };
    match &message.body {
        Body::Heartbeat => return Outcome::Filtered("heartbeat"),
        Body::Profile(copy) => meaning.customer(copy),
        Body::Article(copy) => meaning.product(copy),
        Body::Sale(sale) => meaning.sale(sale),
    }
    Outcome::Transformed { dimensions: meaning.dimensions, facts: meaning.facts, refused: meaning.refused }
}

struct Meaning<'m> {
    schema: &'m dyn Schema,
    at_ms: i64,
    dimensions: Vec<DimensionRow>,
    facts: Vec<FactRow>,
    refused: Vec<(&'static str, &'static str)>,
}

impl Meaning<'_> {
    fn customer(&mut self, copy: &CustomerCopy) {
        let state = &copy.state;
        let key = self.schema.customer_key(copy.id);
        let mut values = Values::from([
            ("external_id", Some(key.clone())),
            ("full_name", Some(format!("{} {}", state.first, state.last))),
            ("segment", Some(segment(state.segment).to_owned())),
        ]);
        let operation = match (state.erased, copy.partial) {
            (true, _) => {
                values.clear();
                Operation::Delete
            }
            (false, true) => Operation::Patch,
            (false, false) => {
                values.insert("email", Some(state.email.clone()));
                values.insert("phone", state.phone.clone());
                values.insert("country", Some(state.country.alpha2.to_owned()));
                Operation::Upsert
            }
        };
        self.dimension("customer", key, operation, copy.since_ms, values);
    }

    fn referrer(&mut self, id: u32) {
        let key = self.schema.customer_key(id);
        let values = Values::from([("external_id", Some(key.clone()))]);
        self.dimension("customer", key, Operation::Stub, self.at_ms, values);
    }

    fn product(&mut self, copy: &ProductCopy) {
        if copy.flawed {
            self.refused.push(("product", "bad_number"));
            return;
        }
        let (key, state) = (self.schema.product_key(copy.id), &copy.state);
        let (operation, values) = if state.discontinued {
            (Operation::Delete, Values::new())
        } else {
            let values = Values::from([
                ("external_id", Some(key.clone())),
                ("title", Some(state.title.clone())),
                ("category", Some(state.category.to_owned())),
                ("brand", Some(state.brand.clone())),
                ("price", Some(cents(state.price_cents))),
            ]);
            (Operation::Upsert, values)
        };
        self.dimension("product", key, operation, copy.since_ms, values);
    }

    fn sale(&mut self, sale: &Sale) {
        self.customer(&sale.customer);
        if let Some(id) = sale.referrer {
            self.referrer(id);
        }
        for line in &sale.lines {
            self.product(&line.product);
        }
        if sale.kind != "order" {
            return;
        }
        // The contract has two decimals for every currency.
        let amount = |minor| match sale.currency.major(minor) {
            whole if !whole.contains('.') => format!("{whole}.00"),
            amount => amount,
        };
        let (order, customer) = (self.schema.order_key(sale.number), self.schema.customer_key(sale.customer.id));
        let ordered_at = (self.at_ms * 1000).to_string();
        self.facts.push(FactRow {
            entity: "order",
            key: order.clone(),
            values: Values::from([
                ("external_id", Some(order.clone())),
                ("ordered_at", Some(ordered_at.clone())),
                ("channel", Some(channel(sale.channel).to_owned())),
                ("currency", Some(sale.currency.code().to_owned())),
                ("status", Some(status(sale.status).to_owned())),
                ("total", Some(amount(sale.total_minor()))),
                ("customer", Some(customer.clone())),
            ]),
        });
        for (i, line) in sale.lines.iter().enumerate() {
            let line_no = i + 1;
            self.facts.push(FactRow {
                entity: "order_line",
                key: format!("{order}/{line_no}"),
                values: Values::from([
                    ("order_id", Some(order.clone())),
                    ("line_no", Some(line_no.to_string())),
                    ("ordered_at", Some(ordered_at.clone())),
                    ("qty", Some(line.quantity.to_string())),
                    ("unit_price", Some(amount(line.unit_minor))),
                    ("customer", Some(customer.clone())),
                    ("product", Some(self.schema.product_key(line.product.id))),
                ]),
            });
        }
    }

    fn dimension(&mut self, entity: &'static str, key: String, operation: Operation, since_ms: i64, values: Values) {
        let ms = match self.schema.sequence() {
            Sequence::AsOf => self.at_ms,
            Sequence::Own => since_ms,
        };
        self.dimensions.push(DimensionRow { entity, key, operation, sequence: ms * 1000, values });
    }
}

pub(crate) fn segment(segment: Segment) -> &'static str {
    match segment {
        Segment::Premium => "premium",
        Segment::Standard => "standard",
        Segment::Basic => "basic",
    }
}

pub(crate) fn channel(channel: Channel) -> &'static str {
    match channel {
        Channel::Web => "web",
        Channel::App => "app",
    }
}

pub(crate) fn status(status: Status) -> &'static str {
    match status {
        Status::Open => "open",
        Status::Paid => "paid",
        Status::Shipped => "shipped",
    }
}
