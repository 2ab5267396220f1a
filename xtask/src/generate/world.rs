//! What is true: the customers and products of a shop, and how they change over time.
//!
//! Owns the truth and its timelines; what records say of it is `story`'s.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::time::{DAY_MS, START_MS};

/// A customer's state, less its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Customer {
    pub(crate) first: &'static str,
    pub(crate) last: &'static str,
    /// Lower case, as the canonical entity has it.
    pub(crate) email: String,
    pub(crate) phone: Option<String>,
    pub(crate) segment: Segment,
    pub(crate) country: Country,
    /// The customer asked to be forgotten: the key has ended.
    pub(crate) erased: bool,
}

/// A product's state, less its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Product {
    pub(crate) title: String,
    pub(crate) category: &'static str,
    pub(crate) brand: String,
    /// The list price in cents of a dollar.
    pub(crate) price_cents: i64,
    /// The product is sold no more: the key has ended.
    pub(crate) discontinued: bool,
}

/// How good a customer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Premium,
    Standard,
    Basic,
}

/// A country by its ISO 3166 codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Country {
    pub(crate) alpha2: &'static str,
    pub(crate) alpha3: &'static str,
}

/// The states of one thing, oldest first, each with the instant from which it holds. Of equal instants the last counts.
#[derive(Clone, Debug)]
pub(crate) struct Timeline<T> {
    states: Vec<(i64, T)>,
}

/// Everything that is true.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) customers: Vec<Timeline<Customer>>,
    pub(crate) products: Vec<Timeline<Product>>,
}

const FIRST: [&str; 12] = ["Ana", "Bo", "Chen", "Dara", "Eli", "Fay", "Gus", "Hana", "Ivo", "Jun", "Zoë", "Søren"];
const LAST: [&str; 10] = ["Silva", "Okafor", "Nguyen", "Smith", "Kaya", "Novák", "Rossi", "Haddad", "O'Hara", "Müller"];
const SEGMENTS: [Segment; 3] = [Segment::Premium, Segment::Standard, Segment::Basic];
const CATEGORIES: [&str; 5] = ["toys", "food", "books", "garden", "music"];
const COUNTRIES: [Country; 5] = [
    Country { alpha2: "US", alpha3: "USA" },
    Country { alpha2: "FR", alpha3: "FRA" },
    Country { alpha2: "JP", alpha3: "JPN" },
    Country { alpha2: "DE", alpha3: "DEU" },
    Country { alpha2: "BR", alpha3: "BRA" },
];

impl<T> Timeline<T> {
    fn new(since_ms: i64, state: T) -> Self {
        Self { states: vec![(since_ms, state)] }
    }

    /// The state now, and since when it holds.
    pub(crate) fn now(&self) -> (i64, &T) {
        let (since, state) = self.states.last().expect("a timeline starts with a state and only grows");
        (*since, state)
    }

    /// The state at an instant, and since when it held; the first one before the beginning.
    pub(crate) fn at(&self, ms: i64) -> (i64, &T) {
        let after = self.states.partition_point(|(since, _)| *since <= ms);
        let (since, state) = &self.states[after.saturating_sub(1)];
        (*since, state)
    }

    /// The state before the present one.
    pub(crate) fn before(&self) -> Option<&T> {
        self.states.len().checked_sub(2).map(|i| &self.states[i].1)
    }

    /// From `ms` on, `state` holds. Time does not run backwards here.
    pub(crate) fn change(&mut self, ms: i64, state: T) {
        debug_assert!(self.now().0 <= ms, "a change lies before the present state");
        self.states.push((ms, state));
    }
}

impl World {
    /// A world of so many customers and products, all known for up to a month before the story begins.
    pub(crate) fn new(rng: &mut ChaCha8Rng, customers: u32, products: u32) -> Self {
        let born = |rng: &mut ChaCha8Rng| START_MS - rng.random_range(1..30 * DAY_MS);
        Self {
            customers: (0..customers).map(|id| Timeline::new(born(rng), customer(rng, id))).collect(),
            products: (0..products).map(|id| Timeline::new(born(rng), product(rng, id))).collect(),
        }
    }

    /// Gives a customer another state than it has; one time in three the one before, where there is one.
    pub(crate) fn change_customer(&mut self, rng: &mut ChaCha8Rng, id: u32, ms: i64) {
        let timeline = &mut self.customers[id as usize];
        let mut state = timeline.now().1.clone();
        let before = timeline.before().filter(|before| !before.erased && **before != state).cloned();
        match (rng.random_range(0..6), before) {
            (0 | 1, Some(before)) => state = before,
            (2 | 3, _) => state.phone = other(rng, &state.phone, phone),
            (4, _) => state.segment = other(rng, &state.segment, |rng| pick(rng, &SEGMENTS)),
            _ => state.country = other(rng, &state.country, |rng| pick(rng, &COUNTRIES)),
        }
        timeline.change(ms, state);
    }

    /// Gives a product another price.
    pub(crate) fn change_product(&mut self, rng: &mut ChaCha8Rng, id: u32, ms: i64) {
        let timeline = &mut self.products[id as usize];
        let mut state = timeline.now().1.clone();
        state.price_cents = other(rng, &state.price_cents, price);
        timeline.change(ms, state);
    }
}

fn customer(rng: &mut ChaCha8Rng, id: u32) -> Customer {
    let (first, last) = (pick(rng, &FIRST), pick(rng, &LAST));
    Customer {
        first,
        last,
        email: format!("{}.{id}@example.com", first.to_lowercase().replace(|c: char| !c.is_ascii(), "")),
        phone: phone(rng),
        segment: pick(rng, &SEGMENTS),
        country: pick(rng, &COUNTRIES),
        erased: false,
    }
}

fn product(rng: &mut ChaCha8Rng, id: u32) -> Product {
    Product {
        title: format!("Product number {id} with a name"),
        category: pick(rng, &CATEGORIES),
        brand: format!("Brand {}", id % 50),
        price_cents: price(rng),
        discontinued: false,
    }
}

/// One customer in ten has no phone.
fn phone(rng: &mut ChaCha8Rng) -> Option<String> {
    let number = rng.random_range(0..10_000_000u32);
    (number % 10 > 0).then(|| format!("+1-555-{number:07}"))
}

fn price(rng: &mut ChaCha8Rng) -> i64 {
    rng.random_range(100..100_000)
}

/// One of `choices`, each as likely.
pub(crate) fn pick<T: Copy>(rng: &mut ChaCha8Rng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len() as u32) as usize]
}

fn other<T: PartialEq>(rng: &mut ChaCha8Rng, than: &T, make: impl Fn(&mut ChaCha8Rng) -> T) -> T {
    loop {
        let made = make(rng);
        if made != *than {
            return made;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_timeline_answers_for_any_instant() {
        let mut timeline = Timeline::new(10, "a");
        timeline.change(20, "b");
        timeline.change(20, "c");
        assert_eq!(
            [9, 10, 19, 20, 99].map(|ms| timeline.at(ms)),
            [(10, &"a"), (10, &"a"), (10, &"a"), (20, &"c"), (20, &"c")]
        );
        assert_eq!((timeline.now(), timeline.before()), ((20, &"c"), Some(&"b")));
    }

    #[test]
    fn a_change_changes_something() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut world = World::new(&mut rng, 3, 3);
        for step in 0..200 {
            let (customer, product) = (world.customers[1].now().1.clone(), world.products[1].now().1.clone());
            world.change_customer(&mut rng, 1, START_MS + step);
            world.change_product(&mut rng, 1, START_MS + step);
            assert_ne!(&customer, world.customers[1].now().1);
            assert_ne!(&product, world.products[1].now().1);
        }
    }
}
