//! One visit, from the landing page to the last: what is seen, put into the cart, bought. Drawn from its own
//! stream, knowing of the past only whether this is the visitor's first visit.

use serde::Serialize;

use super::{
    channel::{Campaign, Channel, FIRST, HOUR_FACTORS, RETURN_SIGNED_UP, RETURN_UNKNOWN, campaigns},
    draw::{Draw, Topic},
    money::Cents,
    period::{Period, local_day, local_hour},
    person::{Known, visitor},
    plan::Visit,
    shop::{CART, Item, PAGES, PRODUCTS, Product, SIGNUP, SITE, THANKS},
};

/// Planted: probability that a session that does not convert puts something into the cart.
pub(crate) const CART_LEFT: f64 = 0.15;

/// The event types of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    PageView,
    ProductView,
    AddToCart,
    Purchase,
    Signup,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PageView => "page_view",
            Self::ProductView => "product_view",
            Self::AddToCart => "add_to_cart",
            Self::Purchase => "purchase",
            Self::Signup => "signup",
        }
    }
}

/// The `properties` column.
#[derive(Clone, Serialize)]
pub(crate) struct Properties {
    pub(crate) url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) referrer: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) items: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) order_id: Option<String>,
    pub(crate) session_id: String,
}

pub(crate) struct Event {
    pub(crate) at: i64,
    pub(crate) kind: Kind,
    pub(crate) revenue: Cents,
    pub(crate) properties: Properties,
}

pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) user: u32,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) channel: Channel,
    pub(crate) campaign: Option<Campaign>,
    pub(crate) events: Vec<Event>,
}

impl Session {
    pub(crate) fn pages(&self) -> usize {
        self.events.iter().filter(|e| matches!(e.kind, Kind::PageView | Kind::ProductView)).count()
    }

    pub(crate) fn converted(&self) -> bool {
        self.events.iter().any(|e| e.kind == Kind::Purchase)
    }
}

/// Draws the session of a visit; `number` counts sessions from 1 in the order of their start.
pub(crate) fn session(seed: u64, period: &Period, visit: Visit, number: u64, first: bool) -> Session {
    let (user, start) = (visit.who(), visit.at(period));
    let known = visitor(seed, user).known;
    let mut draw = Draw::stream(seed, Topic::Visit, u64::from(user), start as u64);
    let weights = match (first, known) {
        (true, _) => &FIRST,
        (false, Known::SignedUp) => &RETURN_SIGNED_UP,
        (false, _) => &RETURN_UNKNOWN,
    };
    let channel = Channel::ALL[draw.weighted(weights)];
    let running = campaigns(channel, local_day(start));
    let campaign =
        (!running.is_empty()).then(|| running[draw.between(0, running.len() as i64 - 1) as usize].clone());
    let buys = draw.chance((channel.conversion_probability() * HOUR_FACTORS[local_hour(start)]).min(0.9));
    let fills_cart = buys || draw.chance(CART_LEFT);
    let signs_up = first && known == Known::SignedUp;

    let mut walk = Walk { at: start, id: format!("s{number:06}"), events: Vec::with_capacity(12), draw };
    walk.land(channel, campaign.as_ref());
    let bounces = !fills_cart && !signs_up && walk.draw.chance(0.45);
    if !bounces {
        walk.browse();
    }
    if signs_up {
        walk.page(SIGNUP);
        walk.step(Kind::Signup, SIGNUP, Vec::new());
    }
    if fills_cart {
        let cart = walk.fill_cart();
        if buys {
            walk.page(CART);
            walk.buy(cart, number);
        }
    }
    let Walk { at, id, events, mut draw } = walk;
    let end = at + draw.between(5, 180);
    Session { id, user, start, end, channel, campaign, events }
}

/// A visitor going from page to page.
struct Walk {
    at: i64,
    id: String,
    events: Vec<Event>,
    draw: Draw,
}

impl Walk {
    fn land(&mut self, channel: Channel, campaign: Option<&Campaign>) {
        let path = if self.draw.chance(0.5) { PAGES[0] } else { self.draw.pick(&PAGES) };
        let referrer = match channel {
            Channel::Organic => Some(self.draw.pick(&[
                "https://www.google.com/",
                "https://www.google.com/",
                "https://www.bing.com/",
                "https://www.qwant.com/",
            ])),
            Channel::Referral => Some("https://blog.example.net/"),
            _ => None,
        };
        let url = match campaign {
            Some(campaign) => format!("{SITE}{path}?{}", campaign.tags()),
            None => format!("{SITE}{path}"),
        };
        self.record(Kind::PageView, Cents(0), url, referrer, Vec::new(), None);
    }

    fn browse(&mut self) {
        for _ in 0..=self.draw.geometric(0.45).min(8) {
            if self.draw.chance(0.55) {
                let product = self.product();
                self.see(product);
            } else {
                let path = self.draw.pick(&PAGES);
                self.page(path);
            }
        }
    }

    /// Sees one to three products and puts each into the cart.
    fn fill_cart(&mut self) -> Vec<Item> {
        let mut cart: Vec<Item> = Vec::new();
        for _ in 0..=self.draw.geometric(0.25).min(2) {
            let product = self.product();
            if cart.iter().any(|item| item.sku == product.sku) {
                continue;
            }
            self.see(product);
            let item = Item::of(product, if self.draw.chance(0.2) { 2 } else { 1 });
            self.step(Kind::AddToCart, &product.path(), vec![item.clone()]);
            cart.push(item);
        }
        cart
    }

    fn buy(&mut self, cart: Vec<Item>, number: u64) {
        self.wait();
        let mut revenue = Cents(0);
        for item in &cart {
            revenue += item.total();
        }
        self.record(
            Kind::Purchase,
            revenue,
            format!("{SITE}{THANKS}"),
            None,
            cart,
            Some(format!("o{number:06}")),
        );
    }

    fn page(&mut self, path: &str) {
        self.step(Kind::PageView, path, Vec::new());
    }

    fn see(&mut self, product: &Product) {
        self.step(Kind::ProductView, &product.path(), vec![Item::of(product, 1)]);
    }

    fn product(&mut self) -> &'static Product {
        &PRODUCTS[self.draw.between(0, PRODUCTS.len() as i64 - 1) as usize]
    }

    fn step(&mut self, kind: Kind, path: &str, items: Vec<Item>) {
        self.wait();
        self.record(kind, Cents(0), format!("{SITE}{path}"), None, items, None);
    }

    /// Four minutes at the most: with at most 20 events a session stays well under the three hours that
    /// `plan` leaves between two visits of a person, and the two that it leaves before the end of the period.
    fn wait(&mut self) {
        self.at += (self.draw.log_normal(35.0, 0.9) as i64).clamp(3, 240);
    }

    fn record(
        &mut self,
        kind: Kind,
        revenue: Cents,
        url: String,
        referrer: Option<&'static str>,
        items: Vec<Item>,
        order_id: Option<String>,
    ) {
        let properties = Properties { url, referrer, items, order_id, session_id: self.id.clone() };
        self.events.push(Event { at: self.at, kind, revenue, properties });
    }
}
