//! One message of a shop, before any schema: who bought what, and how much of it the message tells.
//!
//! A message carries copies of customers and products as they were at some time. Schemas (`acme`, `globex`) write
//! it as JSON; `meaning` says what Silver should make of it. Neither reads the other.

use super::world::{Customer, Product};

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// When what it tells happened.
    pub(crate) at_ms: i64,
    /// A running number of the envelope; means nothing.
    pub(crate) sent: u64,
    pub(crate) body: Body,
    /// What is wrong with it, if anything is.
    pub(crate) flaw: Option<Flaw>,
}

/// What a message tells.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    Sale(Sale),
    /// A customer alone.
    Profile(CustomerCopy),
    /// A product alone.
    Article(ProductCopy),
    /// Nothing: the producer is alive.
    Heartbeat,
}

/// A sale, or another transaction of the same shape.
#[derive(Clone, Debug)]
pub(crate) struct Sale {
    pub(crate) number: u64,
    /// `order` is a sale; other words occur in the measurement of the saving only.
    pub(crate) kind: &'static str,
    pub(crate) channel: Channel,
    pub(crate) currency: Currency,
    pub(crate) status: Status,
    pub(crate) customer: CustomerCopy,
    /// Who recommended the shop: an identity and nothing else.
    pub(crate) referrer: Option<u32>,
    pub(crate) lines: Vec<Line>,
}

/// One position of a sale.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) product: ProductCopy,
    pub(crate) quantity: u32,
    /// In minor units of the sale's currency.
    pub(crate) unit_minor: i64,
}

/// A customer as a message tells it.
#[derive(Clone, Debug)]
pub(crate) struct CustomerCopy {
    pub(crate) id: u32,
    /// Since when this state holds.
    pub(crate) since_ms: i64,
    pub(crate) state: Customer,
    /// Name and segment only.
    pub(crate) partial: bool,
    /// Differences that mean nothing: letter case and blanks.
    pub(crate) noise: u32,
}

/// A product as a message tells it.
#[derive(Clone, Debug)]
pub(crate) struct ProductCopy {
    pub(crate) id: u32,
    /// Since when this state holds.
    pub(crate) since_ms: i64,
    pub(crate) state: Product,
    /// The price is no number: this row is refused, and nothing else is.
    pub(crate) flawed: bool,
}

/// Where a sale was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Web,
    App,
}

/// How far a sale is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Open,
    Paid,
    Shipped,
}

/// A currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Currency {
    Usd,
    Eur,
    /// Has no minor unit.
    Jpy,
}

/// What makes a record unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    CutShort,
    NoOrderKey,
    BadMoney,
    BadTime,
    BadCurrency,
    RepeatedKey,
    UnknownVersion,
    UnknownKind,
}

impl Sale {
    /// The sum of the lines, in minor units of the currency.
    pub(crate) fn total_minor(&self) -> i64 {
        self.lines.iter().map(|line| i64::from(line.quantity) * line.unit_minor).sum()
    }
}

impl Currency {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Usd => "USD",
            Self::Eur => "EUR",
            Self::Jpy => "JPY",
        }
    }

    /// An amount in major units, with as many decimals as the currency has.
    pub(crate) fn major(self, minor: i64) -> String {
        match self {
            Self::Usd | Self::Eur => cents(minor),
            Self::Jpy => minor.to_string(),
        }
    }
}

/// An amount of hundredths with two decimals: 1234 is `12.34`.
pub(crate) fn cents(minor: i64) -> String {
    debug_assert!(minor >= 0, "amounts here are not negative");
    format!("{}.{:02}", minor / 100, minor % 100)
}

impl Flaw {
    /// The code of the refusal that the record ends in quarantine with.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::CutShort => "invalid_json",
            Self::NoOrderKey => "required",
            Self::BadMoney => "bad_number",
            Self::BadTime => "bad_timestamp",
            Self::BadCurrency => "bad_currency",
            Self::RepeatedKey => "duplicate_key",
            Self::UnknownVersion => "unknown_schema_version",
            Self::UnknownKind => "no_rows",
        }
    }
}
