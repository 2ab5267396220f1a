//! The schema of globex: money as text, time in RFC 3339, and every copy stamped with its own last change.

use super::acme::noisy_email;
use super::json::{Object, object};
use super::message::{Body, Channel, CustomerCopy, Flaw, Message, ProductCopy, Sale, Status, cents};
use super::schema::{Schema, Sequence};
use super::time::rfc3339;
use super::world::Segment;

/// The tenant globex.
pub(crate) struct Globex;

impl Schema for Globex {
    fn tenant(&self) -> &'static str {
        "globex"
    }

    fn source(&self) -> &'static str {
        "sales"
    }

    fn sequence(&self) -> Sequence {
        Sequence::Own
    }

    fn flaws(&self) -> &'static [Flaw] {
        use Flaw::*;
        &[CutShort, NoOrderKey, BadMoney, BadTime, BadCurrency, RepeatedKey, UnknownKind]
    }

    fn refuses_rows(&self) -> bool {
        true
    }

    fn compresses(&self, file: usize) -> bool {
        file % 2 == 1
    }

    fn customer_key(&self, id: u32) -> String {
        (10_000 + id).to_string()
    }

    fn product_key(&self, id: u32) -> String {
        format!("P{id:06}")
    }

    fn order_key(&self, number: u64) -> String {
        format!("GX-{number:08}")
    }

    fn write(&self, message: &Message, out: &mut Vec<u8>) -> usize {
        let mut copies = 0;
        object(out, |o| copies = self.members(message, o));
        copies
    }
}

impl Globex {
    fn members(&self, message: &Message, o: &mut Object<'_>) -> usize {
        let flaw = message.flaw;
        let kind = match &message.body {
            _ if flaw == Some(Flaw::UnknownKind) => "audit",
            Body::Sale(sale) if sale.kind == "order" => "sale",
            Body::Sale(sale) => sale.kind,
            Body::Profile(_) => "buyerChanged",
            Body::Article(_) => "articleChanged",
            Body::Heartbeat => "ping",
        };
        o.text("type", kind);
        let at = rfc3339(message.at_ms, [0, 2, -5][message.sent as usize % 3]);
        o.text("createdAt", if flaw == Some(Flaw::BadTime) { "2024-13-45" } else { &at });
        o.plain("sent", message.sent);
        let start = o.written();
        match &message.body {
            _ if flaw == Some(Flaw::UnknownKind) => 0,
            Body::Heartbeat => 0,
            Body::Profile(copy) => {
                o.object("buyer", |o| self.customer(copy, o));
                o.written() - start
            }
            Body::Article(copy) => {
                o.object("article", |o| self.product(copy, o));
                o.written() - start
            }
            Body::Sale(sale) => self.sale(flaw, sale, o),
        }
    }

    fn sale(&self, flaw: Option<Flaw>, sale: &Sale, o: &mut Object<'_>) -> usize {
        if flaw != Some(Flaw::NoOrderKey) {
            o.text("reference", &self.order_key(sale.number));
        }
        if flaw == Some(Flaw::RepeatedKey) {
            o.text("reference", "GX-99999999");
        }
        o.text(
            "salesChannel",
            match sale.channel {
                Channel::Web => "ONLINE",
                Channel::App => "MOBILE",
            },
        );
        o.text(
            "state",
            match sale.status {
                Status::Open => "NEW",
                Status::Paid => "COMPLETED",
                Status::Shipped => "SENT",
            },
        );
        o.object("money", |o| {
            o.text("currency", if flaw == Some(Flaw::BadCurrency) { "XQQ" } else { sale.currency.code() });
            let total = sale.currency.major(sale.total_minor());
            o.text("grandTotal", if flaw == Some(Flaw::BadMoney) { "free" } else { &total });
        });
        let start = o.written();
        o.object("buyer", |o| self.customer(&sale.customer, o));
        if let Some(id) = sale.referrer {
            o.object("invitedBy", |o| o.text("no", &self.customer_key(id)));
        }
        let mut copies = o.written() - start;
        let articles = std::cell::Cell::new(0);
        o.object("basket", |o| {
            o.list("entries", &sale.lines, |line, o| {
                let start = o.written();
                o.object("article", |o| self.product(&line.product, o));
                articles.set(articles.get() + o.written() - start);
                o.plain("quantity", line.quantity);
                o.text("price", &sale.currency.major(line.unit_minor));
            });
            o.text("voucher", "");
        });
        copies += articles.get();
        o.object("delivery", |o| {
            o.text("carrier", "post");
            o.text("window", &format!("{:02}:00-{:02}:00", sale.number % 12 + 8, sale.number % 12 + 9));
        });
        copies
    }

    fn customer(&self, copy: &CustomerCopy, o: &mut Object<'_>) {
        let state = &copy.state;
        o.text("no", &self.customer_key(copy.id));
        o.text("modifiedAt", &rfc3339(copy.since_ms, 0));
        if state.erased {
            o.plain("anonymised", true);
            return;
        }
        let gap = if copy.noise.is_multiple_of(3) { "   " } else { " " };
        o.text("displayName", &format!("{}{gap}{}", state.first, state.last));
        o.text(
            "tier",
            match state.segment {
                Segment::Premium => "gold",
                Segment::Standard => "silver",
                Segment::Basic => "bronze",
            },
        );
        if copy.partial {
            return;
        }
        o.text("mail", &noisy_email(copy));
        let other = format!("+49-30-{:06}", copy.id);
        let phones: &[(&str, &str, bool)] = match &state.phone {
            Some(phone) if copy.noise.is_multiple_of(2) => &[("home", &other, false), ("mobile", phone, true)],
            Some(phone) => &[("mobile", phone, true)],
            None => &[],
        };
        o.list("telephones", phones, |(kind, number, main), o| {
            o.text("kind", kind);
            o.text("number", number);
            o.plain("main", main);
        });
        o.object("residence", |o| {
            o.text("line", &format!("Strasse {}", copy.id % 200 + 1));
            o.text("postcode", &format!("{:05}", copy.id * 37 % 100_000));
            o.text("country", state.country.alpha3);
        });
    }

    fn product(&self, copy: &ProductCopy, o: &mut Object<'_>) {
        let state = &copy.state;
        o.text("code", &self.product_key(copy.id));
        o.text("revisedAt", &rfc3339(copy.since_ms, 0));
        if state.discontinued {
            o.plain("withdrawn", true);
            return;
        }
        o.text("name", &state.title);
        o.text("group", &state.category.to_uppercase());
        o.text("maker", &state.brand);
        let price = cents(state.price_cents);
        o.text("listPrice", if copy.flawed { "on request" } else { &price });
    }
}
