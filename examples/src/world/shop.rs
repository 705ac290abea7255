//! What the shop sells, and where its pages are.

use serde::Serialize;

use super::money::Cents;

/// The shop's address; `example.org` is reserved for documentation (RFC 2606).
pub(crate) const SITE: &str = "https://shop.example.org";

pub(crate) struct Product {
    pub(crate) sku: &'static str,
    pub(crate) name: &'static str,
    pub(crate) category: &'static str,
    pub(crate) price: Cents,
}

impl Product {
    pub(crate) fn path(&self) -> String {
        format!("/p/{}", self.sku.to_lowercase())
    }
}

/// An item as the `properties` column carries it.
#[derive(Clone, Serialize)]
pub(crate) struct Item {
    pub(crate) sku: &'static str,
    pub(crate) name: &'static str,
    pub(crate) category: &'static str,
    pub(crate) price: Cents,
    pub(crate) quantity: u64,
}

impl Item {
    pub(crate) fn of(product: &Product, quantity: u64) -> Self {
        let Product { sku, name, category, price } = *product;
        Self { sku, name, category, price, quantity }
    }

    pub(crate) fn total(&self) -> Cents {
        Cents(self.price.0 * self.quantity)
    }
}

const fn product(sku: &'static str, name: &'static str, category: &'static str, cents: u64) -> Product {
    Product { sku, name, category, price: Cents(cents) }
}

pub(crate) const PRODUCTS: [Product; 16] = [
    product("TH-01", "Thé vert sencha", "thé", 1250),
    product("TH-02", "Earl Grey", "thé", 990),
    product("TH-03", "Thé blanc pivoine", "thé", 2490),
    product("TH-04", "Oolong fumé", "thé", 1890),
    product("TI-01", "Tisane verveine", "tisane", 790),
    product("TI-02", "Tisane du soir", "tisane", 850),
    product("TI-03", "Rooibos épicé", "tisane", 940),
    product("CA-01", "Café d'Éthiopie", "café", 1390),
    product("CA-02", "Décaféiné", "café", 1290),
    product("CA-03", "Espresso n°5", "café", 1150),
    product("AC-01", "Théière en fonte", "accessoire", 5990),
    product("AC-02", "Infuseur", "accessoire", 690),
    product("AC-03", "Tasse \"matin\"", "accessoire", 1490),
    product("CO-01", "Coffret découverte", "coffret", 3490),
    product("CO-02", "Coffret Noël", "coffret", 4990),
    product("CO-03", "Coffret théière", "coffret", 7990),
];

/// Pages that are not products.
pub(crate) const PAGES: [&str; 6] = ["/", "/thes", "/tisanes", "/cafes", "/coffrets", "/journal"];
pub(crate) const SIGNUP: &str = "/compte";
pub(crate) const CART: &str = "/panier";
pub(crate) const THANKS: &str = "/merci";
