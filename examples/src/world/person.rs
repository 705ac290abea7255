//! Who visits: habits, and for those the shop knows by name, a first name and an address. Both are functions
//! of the seed and the visitor's number, so that nothing about a visitor has to be kept.

use super::draw::{Draw, Topic};

/// How the shop came to know a visitor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Known {
    /// Signed up on the site during the first visit: in `inscrits.csv` and `customers.csv`.
    SignedUp,
    /// A customer card of the physical shop, tied to the site by the CRM: in `customers.csv` only.
    Card,
    No,
}

/// What does not change from one visit to the next.
pub(crate) struct Visitor {
    pub(crate) known: Known,
    /// Visits around midnight.
    pub(crate) owl: bool,
    pub(crate) device: Device,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Device {
    Mobile,
    Desktop,
    Tablet,
}

impl Device {
    pub(crate) const ALL: [Self; 3] = [Self::Mobile, Self::Desktop, Self::Tablet];
    /// Shares of `ALL`.
    pub(crate) const SHARES: [f64; 3] = [0.56, 0.36, 0.08];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mobile => "mobile",
            Self::Desktop => "desktop",
            Self::Tablet => "tablet",
        }
    }
}

/// Visitor number `number`, the first being 0.
pub(crate) fn visitor(seed: u64, number: u32) -> Visitor {
    let mut draw = Draw::stream(seed, Topic::Visitor, u64::from(number), 0);
    let known = [Known::SignedUp, Known::Card, Known::No][draw.weighted(&[0.50, 0.10, 0.40])];
    let device = Device::ALL[draw.weighted(&Device::SHARES)];
    // By number, not by chance: even a small world has people awake when the clock changes.
    Visitor { known, owl: number % 25 == 7, device }
}

/// `u000001` for the first visitor; never an address.
pub(crate) fn user_id(number: u32) -> String {
    format!("u{:06}", number + 1)
}

/// A visitor whom the shop knows by name.
pub(crate) struct Person {
    pub(crate) first_name: &'static str,
    pub(crate) email: String,
    pub(crate) lang: &'static str,
    pub(crate) consent: bool,
}

pub(crate) fn person(seed: u64, number: u32) -> Person {
    let mut draw = Draw::stream(seed, Topic::Person, u64::from(number), 0);
    let first_name = draw.pick(&FIRST_NAMES);
    let domain = draw.pick(&["example.org", "example.com", "example.net"]);
    // The number makes the address unique whatever the size of the world.
    let email = format!("{}.{}{}@{domain}", plain(first_name), draw.pick(&FAMILY_NAMES), number + 1);
    Person {
        first_name,
        email,
        lang: if draw.chance(0.88) { "fr" } else { "en" },
        consent: draw.chance(0.72),
    }
}

/// A first name as it stands in an address.
fn plain(name: &str) -> String {
    name.to_lowercase()
        .chars()
        .map(|c| match c {
            'à' | 'â' | 'ä' => 'a',
            'ç' => 'c',
            'é' | 'è' | 'ê' | 'ë' => 'e',
            'î' | 'ï' => 'i',
            'ô' | 'ö' => 'o',
            'ù' | 'û' | 'ü' => 'u',
            '\'' | ' ' => '-',
            other => other,
        })
        .collect()
}

const FIRST_NAMES: [&str; 40] = [
    "Élodie",
    "Chloé",
    "Zoé",
    "Anaïs",
    "Hélène",
    "Inès",
    "Léa",
    "Noémie",
    "Aurélie",
    "Maëlys",
    "Françoise",
    "Anne-Sophie",
    "Gaëlle",
    "Jade",
    "Manon",
    "Camille",
    "Sarah",
    "Louise",
    "Agnès",
    "Solène",
    "Jérôme",
    "Théo",
    "Léo",
    "François",
    "Loïc",
    "Mickaël",
    "Raphaël",
    "Gaël",
    "Benoît",
    "Cédric",
    "Rémi",
    "Clément",
    "Noël",
    "Jean-Noël",
    "Hugo",
    "Louis",
    "Nathan",
    "Youssef",
    "D'Angelo",
    "Étienne",
];

const FAMILY_NAMES: [&str; 24] = [
    "martin", "bernard", "dubois", "thomas", "robert", "richard", "petit", "durand", "leroy", "moreau",
    "simon", "laurent", "lefebvre", "michel", "garcia", "david", "bertrand", "roux", "vincent", "fournier",
    "morel", "girard", "andre", "mercier",
];
