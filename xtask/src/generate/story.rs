//! What happens in a shop and in which order it is told: an endless run of messages from one seed.
//!
//! Decides everything that varies: what is bought, what changes, what comes late, twice, in part or broken. The
//! world is the truth; a message told later than it happened tells the truth as it was then.

use std::collections::{BTreeMap, HashSet, VecDeque};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::message::{Body, Channel, Currency, CustomerCopy, Line, Message, ProductCopy, Sale, Status};
use super::schema::Schema;
use super::time::{DAY_MS, MINUTE_MS, START_MS};
use super::world::{World, pick};

/// How often what happens; per thousand of the messages that it can happen to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// A heartbeat instead of a sale.
    heartbeat: u32,
    /// A customer alone instead of a sale; one time in four it is erased.
    profile: u32,
    /// A product alone instead of a sale; one time in four it is discontinued.
    article: u32,
    /// A recent message once more, byte for byte.
    again: u32,
    /// A recent message once more, in another envelope.
    resent: u32,
    /// A recent sale once more, with other facts.
    conflict: u32,
    /// A sale that nobody can use.
    flaw: u32,
    /// A sale with a product row that nobody can use, where the schema refuses rows.
    row_flaw: u32,
    /// A sale that happened up to three days ago.
    late: u32,
    /// A message that others overtake.
    held: u32,
    /// Of customers known in full: only a part of the copy.
    partial: u32,
    /// A sale that names who recommended the shop.
    referrer: u32,
    /// A second sale to one customer in one instant, in another state.
    same_instant: u32,
    /// Of products sold: the price changes before.
    price: u32,
    /// When customers change.
    changes: Changes,
}

/// When customers change.
#[derive(Clone, Copy, Debug)]
enum Changes {
    /// Per thousand of the sales, before the sale.
    PerThousand(u32),
    /// Before the last of each so many sales.
    Every(u64),
}

impl Rates {
    /// Everything that goes on between real systems, often enough to be seen in a few hundred records.
    pub(crate) const LIVELY: Self = Self {
        heartbeat: 10,
        profile: 15,
        article: 10,
        again: 20,
        resent: 5,
        conflict: 8,
        flaw: 20,
        row_flaw: 8,
        late: 15,
        held: 20,
        partial: 60,
        referrer: 25,
        same_instant: 8,
        price: 20,
        changes: Changes::PerThousand(60),
    };

    /// Sales and nothing else; a customer changes every so many sales.
    pub(crate) const fn calm(sales_a_change: u64) -> Self {
        Self {
            heartbeat: 0,
            profile: 0,
            article: 0,
            again: 0,
            resent: 0,
            conflict: 0,
            flaw: 0,
            row_flaw: 0,
            late: 0,
            held: 0,
            partial: 0,
            referrer: 0,
            same_instant: 0,
            price: 0,
            changes: Changes::Every(sales_a_change),
        }
    }
}

/// How many recent messages can come again.
const RECENT: usize = 64;

/// An endless run of messages.
pub(crate) struct Story<'s> {
    schema: &'s dyn Schema,
    rates: Rates,
    /// What a sale may be called; one after the other.
    kinds: &'s [&'static str],
    rng: ChaCha8Rng,
    world: World,
    now_ms: i64,
    told: u64,
    sales: u64,
    /// Messages that wait, by the count of messages after which they go.
    held: BTreeMap<u64, Vec<Message>>,
    recent: VecDeque<Message>,
    /// Customers that a message told in full.
    known: HashSet<u32>,
    /// Customers that a message, told or held, says more of than an identity.
    mentioned: HashSet<u32>,
    /// The customer who buys a second time in the same instant.
    same_instant: Option<u32>,
}

impl<'s> Story<'s> {
    /// The story of `seed` in a world of so many customers and products.
    pub(crate) fn new(schema: &'s dyn Schema, rates: Rates, seed: u64, customers: u32, products: u32) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let world = World::new(&mut rng, customers, products);
        Self {
            schema,
            rates,
            kinds: &["order"],
            rng,
            world,
            now_ms: START_MS,
            told: 0,
            sales: 0,
            held: BTreeMap::new(),
            recent: VecDeque::new(),
            known: HashSet::new(),
            mentioned: HashSet::new(),
            same_instant: None,
        }
    }

    /// The same, in which sales are called by each of `kinds` in turn.
    pub(crate) fn of_kinds(self, kinds: &'s [&'static str]) -> Self {
        Self { kinds, ..self }
    }

    /// The next message.
    pub(crate) fn next(&mut self) -> Message {
        let message = match self.held.first_entry() {
            Some(mut due) if *due.key() <= self.told => {
                let message = due.get_mut().pop().expect("a list is removed with its last message");
                if due.get().is_empty() {
                    due.remove();
                }
                message
            }
            _ => self.fresh(),
        };
        self.told += 1;
        if message.flaw.is_none() {
            if let Body::Sale(Sale { customer: copy, .. }) | Body::Profile(copy) = &message.body
                && !copy.partial
                && !copy.state.erased
            {
                self.known.insert(copy.id);
            }
            self.recent.push_back(message.clone());
            if self.recent.len() > RECENT {
                self.recent.pop_front();
            }
        }
        message
    }

    /// A message that is not waiting already. What is held back goes later, and another comes first.
    fn fresh(&mut self) -> Message {
        loop {
            let message = self.make();
            // A stub is held back by nothing: that it comes before the rest of its customer is what it is for.
            let stub = matches!(&message.body, Body::Sale(sale) if sale.referrer.is_some());
            if stub || !self.chance(self.rates.held) {
                return message;
            }
            let due = self.told + self.rng.random_range(3..40);
            self.held.entry(due).or_default().push(message);
        }
    }

    fn make(&mut self) -> Message {
        let Rates { heartbeat, profile, article, again, resent, conflict, .. } = self.rates;
        if self.same_instant.is_some() {
            return self.sale();
        }
        self.now_ms += self.rng.random_range(1..2 * MINUTE_MS);
        let mut roll: u32 = self.rng.random_range(0..1000);
        let mut falls = |rate| {
            let fell = roll < rate;
            roll = roll.wrapping_sub(rate);
            fell
        };
        if falls(heartbeat) {
            self.message(self.now_ms, Body::Heartbeat)
        } else if falls(profile) {
            self.profile()
        } else if falls(article) {
            self.article()
        } else if falls(again) && !self.recent.is_empty() {
            self.recent()
        } else if falls(resent) && !self.recent.is_empty() {
            Message { sent: self.rng.random_range(1_000_000_000..2_000_000_000), ..self.recent() }
        } else if falls(conflict) && !self.recent.is_empty() {
            self.conflict()
        } else {
            self.sale()
        }
    }

    fn sale(&mut self) -> Message {
        let before = self.same_instant.take();
        let id = before.unwrap_or_else(|| self.buyer());
        let changes = match self.rates.changes {
            Changes::PerThousand(rate) => self.chance(rate),
            Changes::Every(sales) => self.sales % sales == sales - 1,
        };
        if before.is_none() && self.chance(self.rates.same_instant) {
            self.same_instant = Some(id);
        }
        // Both sales of one instant tell a change, so that the copies' own stamps are equal too.
        if changes || before.is_some() || self.same_instant.is_some() {
            self.world.change_customer(&mut self.rng, id, self.now_ms);
        }
        let ago = self.rng.random_range(1..3 * DAY_MS);
        let at_ms = if before.is_none() && self.chance(self.rates.late) { self.now_ms - ago } else { self.now_ms };
        // Before it was forgotten or after it came back, a customer buys; not between.
        let erased = self.world.customers[id as usize].at(at_ms).1.erased;
        let at_ms = if erased { self.now_ms } else { at_ms };
        let late = at_ms < self.now_ms;
        let mut customer = self.customer(id, at_ms);
        customer.partial = !late && self.known.contains(&id) && self.chance(self.rates.partial);
        let referrer = if late || !self.chance(self.rates.referrer) { None } else { self.stranger(id) };
        self.mentioned.insert(id);
        let currency = pick(&mut self.rng, &[Currency::Usd, Currency::Usd, Currency::Eur, Currency::Jpy]);
        let lines = (0..self.rng.random_range(1..4)).map(|_| self.line(at_ms)).collect();
        let sale = Sale {
            number: self.sales,
            kind: self.kinds[(self.sales % self.kinds.len() as u64) as usize],
            channel: pick(&mut self.rng, &[Channel::Web, Channel::App]),
            currency,
            status: pick(&mut self.rng, &[Status::Paid, Status::Paid, Status::Open, Status::Shipped]),
            customer,
            referrer,
            lines,
        };
        self.sales += 1;
        let mut message = self.message(at_ms, Body::Sale(sale));
        if self.chance(self.rates.flaw) {
            message.flaw = Some(pick(&mut self.rng, self.schema.flaws()));
        }
        message
    }

    fn profile(&mut self) -> Message {
        let id = self.buyer();
        if self.rng.random_range(0..4) == 0 && self.known.contains(&id) {
            let timeline = &mut self.world.customers[id as usize];
            let mut state = timeline.now().1.clone();
            state.erased = true;
            timeline.change(self.now_ms, state);
        } else {
            self.world.change_customer(&mut self.rng, id, self.now_ms);
        }
        self.mentioned.insert(id);
        let copy = self.customer(id, self.now_ms);
        self.message(self.now_ms, Body::Profile(copy))
    }

    fn article(&mut self) -> Message {
        let id = self.ware(self.now_ms);
        if self.rng.random_range(0..4) == 0 {
            let timeline = &mut self.world.products[id as usize];
            let mut state = timeline.now().1.clone();
            state.discontinued = true;
            timeline.change(self.now_ms, state);
        } else {
            self.world.change_product(&mut self.rng, id, self.now_ms);
        }
        let copy = self.product(id, self.now_ms);
        self.message(self.now_ms, Body::Article(copy))
    }

    fn recent(&mut self) -> Message {
        self.recent[self.rng.random_range(0..self.recent.len() as u32) as usize].clone()
    }

    /// A sale told before, now with another status and sometimes with another quantity.
    fn conflict(&mut self) -> Message {
        let mut message = self.recent();
        if let Body::Sale(sale) = &mut message.body {
            sale.status = if sale.status == Status::Paid { Status::Shipped } else { Status::Paid };
            if self.rng.random_range(0..2) == 0 {
                sale.lines[0].quantity += 1;
            }
        }
        message
    }

    fn line(&mut self, at_ms: i64) -> Line {
        let id = self.ware(at_ms);
        if at_ms == self.now_ms && self.chance(self.rates.price) {
            self.world.change_product(&mut self.rng, id, self.now_ms);
        }
        let mut product = self.product(id, at_ms);
        product.flawed = self.schema.refuses_rows() && self.chance(self.rates.row_flaw);
        Line { quantity: self.rng.random_range(1..5), unit_minor: product.state.price_cents, product }
    }

    fn customer(&mut self, id: u32, at_ms: i64) -> CustomerCopy {
        let (since_ms, state) = self.world.customers[id as usize].at(at_ms);
        CustomerCopy { id, since_ms, state: state.clone(), partial: false, noise: self.rng.random() }
    }

    fn product(&self, id: u32, at_ms: i64) -> ProductCopy {
        let (since_ms, state) = self.world.products[id as usize].at(at_ms);
        ProductCopy { id, since_ms, state: state.clone(), flawed: false }
    }

    /// A customer; the first of them buy most. One that was erased comes back as it was.
    fn buyer(&mut self) -> u32 {
        let id = skewed(&mut self.rng, self.world.customers.len() as u64);
        let timeline = &mut self.world.customers[id as usize];
        if timeline.now().1.erased {
            let mut state = timeline.now().1.clone();
            state.erased = false;
            timeline.change(self.now_ms, state);
        }
        id
    }

    /// A product that was sold at an instant; the first of them sell best. One that was discontinued may come back.
    fn ware(&mut self, at_ms: i64) -> u32 {
        loop {
            let id = skewed(&mut self.rng, self.world.products.len() as u64);
            let timeline = &mut self.world.products[id as usize];
            if !timeline.at(at_ms).1.discontinued {
                return id;
            }
            if at_ms == self.now_ms && self.rng.random_range(0..4) == 0 {
                let mut state = timeline.now().1.clone();
                state.discontinued = false;
                timeline.change(at_ms, state);
                return id;
            }
        }
    }

    /// A customer other than `buyer` of whom nothing is known yet; every other one is never going to buy.
    fn stranger(&mut self, buyer: u32) -> Option<u32> {
        let buyers = self.world.customers.len() as u32;
        let id = self.rng.random_range(0..2 * buyers);
        (id != buyer && !self.mentioned.contains(&id)).then_some(id)
    }

    fn message(&mut self, at_ms: i64, body: Body) -> Message {
        Message { at_ms, sent: self.rng.random_range(0..1_000_000_000), body, flaw: None }
    }

    fn chance(&mut self, per_thousand: u32) -> bool {
        self.rng.random_range(0..1000) < per_thousand
    }
}

/// A number below `n`, small ones far more often: half of the draws fall into the first quarter.
fn skewed(rng: &mut ChaCha8Rng, n: u64) -> u32 {
    // In steps of a thousandth, or squares alone would be drawn.
    let draw = rng.random_range(0..n << 10);
    (draw * draw / (n << 20)) as u32
}
