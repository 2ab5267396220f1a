//! What a tenant's way of writing messages has to say of itself.

use super::message::{Flaw, Message};

/// Where the sequence of a customer or product comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sequence {
    /// The time of the message: the copy is as of then.
    AsOf,
    /// The copy's own stamp of its last change.
    Own,
}

/// One tenant's schema. Implementations write; they decide nothing.
pub(crate) trait Schema {
    /// The tenant.
    fn tenant(&self) -> &'static str;
    /// Its only source.
    fn source(&self) -> &'static str;
    /// Where sequences come from.
    fn sequence(&self) -> Sequence;
    /// The flaws that this schema can show.
    fn flaws(&self) -> &'static [Flaw];
    /// Whether a product's row can be refused alone.
    fn refuses_rows(&self) -> bool;
    /// Whether the file of this number is gzip.
    fn compresses(&self, file: usize) -> bool;
    /// The business key of a customer.
    fn customer_key(&self, id: u32) -> String;
    /// The business key of a product.
    fn product_key(&self, id: u32) -> String;
    /// The business key of a sale.
    fn order_key(&self, number: u64) -> String;
    /// Appends `message` to `out` without a line end. Returns how many bytes of it are copies of master data.
    fn write(&self, message: &Message, out: &mut Vec<u8>) -> usize;
}

/// Appends `message` to `out` as a record, and returns how many bytes of it are copies of master data.
pub(crate) fn write_record(schema: &dyn Schema, message: &Message, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    let copies = schema.write(message, out);
    if message.flaw == Some(Flaw::CutShort) {
        let mut end = start + (out.len() - start) * 2 / 3;
        // Not within a character: the record is to be broken as JSON, not as text.
        while !out[end].is_ascii() {
            end -= 1;
        }
        out.truncate(end);
    }
    copies
}
