//! The schemas of acme: money in minor units, time in epoch milliseconds, and an older version that is unlike it.
//!
//! Orders of version 1.4 name everything otherwise, with money as text, time in RFC 3339 and the lines in a map.
//! Every copy of a customer or product is as of the time of its record.

use super::json::{Object, object};
use super::meaning::{channel, segment, status};
use super::message::{Body, CustomerCopy, Flaw, Message, ProductCopy, Sale};
use super::schema::{Schema, Sequence};
use super::time::rfc3339;
use super::world::Segment;

/// The tenant acme.
pub(crate) struct Acme;

impl Schema for Acme {
    fn tenant(&self) -> &'static str {
        "acme"
    }

    fn source(&self) -> &'static str {
        "orders"
    }

    fn sequence(&self) -> Sequence {
        Sequence::AsOf
    }

    fn flaws(&self) -> &'static [Flaw] {
        use Flaw::*;
        &[CutShort, NoOrderKey, BadMoney, BadTime, BadCurrency, RepeatedKey, UnknownVersion, UnknownKind]
    }

    fn refuses_rows(&self) -> bool {
        false
    }

    fn compresses(&self, _: usize) -> bool {
        false
    }

    fn customer_key(&self, id: u32) -> String {
        format!("C{id:07}")
    }

    fn product_key(&self, id: u32) -> String {
        format!("SKU-{id:05}")
    }

    fn order_key(&self, number: u64) -> String {
        format!("O{number:09}")
    }

    fn write(&self, message: &Message, out: &mut Vec<u8>) -> usize {
        let mut copies = 0;
        object(out, |o| match &message.body {
            // One order in five still comes from the old shop.
            Body::Sale(sale) if sale.kind == "order" && sale.number % 5 == 4 => {
                copies = self.write_v1(message, sale, o)
            }
            body => copies = self.write_v2(message, body, o),
        });
        copies
    }
}

impl Acme {
    fn write_v2(&self, message: &Message, body: &Body, o: &mut Object<'_>) -> usize {
        let flaw = message.flaw;
        let start = o.written();
        let kind = match body {
            _ if flaw == Some(Flaw::UnknownKind) => "audit",
            Body::Sale(sale) => sale.kind,
            Body::Profile(_) => "profile",
            Body::Article(_) => "article",
            Body::Heartbeat => "heartbeat",
        };
        o.text("kind", kind);
        match flaw {
            Some(Flaw::BadTime) => o.text("ts", "yesterday"),
            _ => o.plain("ts", message.at_ms),
        }
        o.object("meta", |o| {
            // The default of the tenant's configuration says the version where the record does not.
            if flaw == Some(Flaw::UnknownVersion) {
                o.text("v", "9.9");
            } else if !message.sent.is_multiple_of(7) {
                o.text("v", "2.1");
            }
            o.plain("sent", message.sent);
        });
        let overhead = o.written() - start;
        match body {
            _ if flaw == Some(Flaw::UnknownKind) => 0,
            Body::Heartbeat => 0,
            Body::Profile(copy) => {
                o.object("cust", |o| self.customer(copy, o));
                o.written() - start - overhead
            }
            Body::Article(copy) => {
                o.object("product", |o| self.product(copy, o));
                o.written() - start - overhead
            }
            Body::Sale(sale) => self.sale(flaw, sale, o),
        }
    }

    fn sale(&self, flaw: Option<Flaw>, sale: &Sale, o: &mut Object<'_>) -> usize {
        let order = self.order_key(sale.number);
        if flaw != Some(Flaw::NoOrderKey) {
            o.text("order_id", &order);
        }
        if flaw == Some(Flaw::RepeatedKey) {
            o.text("order_id", "O999999999");
        }
        o.text("channel", channel(sale.channel));
        o.text("currency", if flaw == Some(Flaw::BadCurrency) { "XQQ" } else { sale.currency.code() });
        o.text("status", status(sale.status));
        let mut start = o.written();
        o.object("cust", |o| self.customer(&sale.customer, o));
        if let Some(id) = sale.referrer {
            o.object("referrer", |o| o.text("ref_id", &self.customer_key(id)));
        }
        let mut copies = o.written() - start;
        let products = std::cell::Cell::new(0);
        o.list("items", sale.lines.iter().enumerate(), |(i, line), o| {
            o.plain("line", i + 1);
            let start = o.written();
            o.object("product", |o| self.product(&line.product, o));
            products.set(products.get() + o.written() - start);
            o.plain("qty", line.quantity);
            o.plain("price_cents", line.unit_minor);
            o.plain("discounts", "[]");
            o.object("meta", |o| {
                o.plain("gift", false);
                o.text("src", "web");
            });
        });
        copies += products.get();
        match flaw {
            Some(Flaw::BadMoney) => o.text("total_cents", "12,50"),
            _ => o.plain("total_cents", sale.total_minor()),
        }
        o.object("shipping", |o| {
            o.text("method", "ground");
            start = o.written();
            o.object("address", |o| address(&sale.customer, o));
            copies += o.written() - start;
            o.plain("eta_days", sale.number % 9 + 1);
        });
        o.object("payment", |o| {
            o.text("kind", "card");
            o.text("last4", &format!("{:04}", sale.number * 7919 % 10_000));
            o.text(
                "auth",
                &format!("{:032x}", u128::from(sale.number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
            );
        });
        o.plain("tags", r#"["a","b"]"#);
        copies
    }

    fn customer(&self, copy: &CustomerCopy, o: &mut Object<'_>) {
        let state = &copy.state;
        o.text("ref_id", &self.customer_key(copy.id));
        if state.erased {
            o.text("state", "erased");
            return;
        }
        o.object("name", |o| {
            o.text("first", state.first);
            o.text("last", state.last);
        });
        o.text(
            "seg",
            match state.segment {
                Segment::Premium => "P",
                Segment::Standard => "S",
                Segment::Basic => "B",
            },
        );
        if copy.partial {
            return;
        }
        o.object("contact", |o| {
            o.text("email", &noisy_email(copy));
            match &state.phone {
                Some(phone) => o.text("phone", phone),
                // Absent and null say the same.
                None if copy.noise.is_multiple_of(2) => o.plain("phone", "null"),
                None => {}
            }
        });
        o.object("address", |o| address(copy, o));
    }

    fn product(&self, copy: &ProductCopy, o: &mut Object<'_>) {
        let state = &copy.state;
        o.text("sku", &self.product_key(copy.id));
        if state.discontinued {
            o.plain("discontinued", true);
            return;
        }
        o.text("title", &state.title);
        o.text("category", state.category);
        o.text("brand", &state.brand);
        o.plain("price_cents", state.price_cents);
    }

    fn write_v1(&self, message: &Message, sale: &Sale, o: &mut Object<'_>) -> usize {
        let flaw = message.flaw;
        let order = self.order_key(sale.number);
        o.object("meta", |o| {
            o.text("v", if flaw == Some(Flaw::UnknownVersion) { "0.9" } else { "1.4" });
            o.plain("sent", message.sent);
        });
        if flaw == Some(Flaw::UnknownKind) {
            o.text("type", "audit");
            return 0;
        }
        o.text("type", "order");
        if flaw != Some(Flaw::NoOrderKey) {
            o.text("id", &order);
        }
        if flaw == Some(Flaw::RepeatedKey) {
            o.text("id", "O999999999");
        }
        let when = rfc3339(message.at_ms, 0);
        o.text("when", if flaw == Some(Flaw::BadTime) { "yesterday" } else { &when });
        o.text("source", channel(sale.channel));
        o.text("state", status(sale.status));
        let start = o.written();
        o.object("client", |o| {
            let copy = &sale.customer;
            o.text("id", &format!(" {} ", self.customer_key(copy.id).to_lowercase()));
            o.text("name", &format!("{}  {}", copy.state.first, copy.state.last));
            o.text("tier", segment(copy.state.segment));
            if !copy.partial {
                o.text("email", &noisy_email(copy));
                match &copy.state.phone {
                    Some(phone) => o.text("phone", phone),
                    None => o.text("phone", ""),
                }
                o.object("address", |o| address(copy, o));
            }
        });
        if let Some(id) = sale.referrer {
            o.object("recommended_by", |o| o.text("id", &self.customer_key(id)));
        }
        let mut copies = o.written() - start;
        o.object("payment", |o| {
            o.text("currency", if flaw == Some(Flaw::BadCurrency) { "XQQ" } else { sale.currency.code() });
            let total = sale.currency.major(sale.total_minor());
            o.text("total", if flaw == Some(Flaw::BadMoney) { "about twelve" } else { &total });
        });
        o.object("lines", |o| {
            for (i, line) in sale.lines.iter().enumerate() {
                o.object(&(i + 1).to_string(), |o| {
                    let start = o.written();
                    o.object("article", |o| self.product(&line.product, o));
                    copies += o.written() - start;
                    o.plain("count", line.quantity);
                    o.text("price", &sale.currency.major(line.unit_minor));
                });
            }
        });
        copies
    }
}

fn address(copy: &CustomerCopy, o: &mut Object<'_>) {
    o.text("street", &format!("{} Long Street", copy.id % 9998 + 1));
    o.text("city", ["Austin", "Lyon", "Osaka"][copy.id as usize % 3]);
    o.text("zip", &format!("{:05}", copy.id * 37 % 100_000));
    o.text("country", &copy.state.country.alpha2.to_lowercase());
}

/// The same address, written as people write it.
pub(crate) fn noisy_email(copy: &CustomerCopy) -> String {
    let email = &copy.state.email;
    match copy.noise % 4 {
        0 => email.to_uppercase(),
        1 => format!(" {email} "),
        _ => email.clone(),
    }
}
