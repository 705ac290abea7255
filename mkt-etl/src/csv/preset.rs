//! Exports of known shape: which of their columns is what. Each is found by its header alone and said in the answer.
//!
//! | export | header from |
//! |---|---|
//! | RetailRocket | events.csv of the data set "Retailrocket recommender system dataset" (kaggle.com/retailrocket, 2017) |
//! | REES46 | "eCommerce behavior data from multi category store" (kaggle.com/mkechinov, REES46, 2019) |
//! | Olist | olist_orders_dataset.csv of "Brazilian E-Commerce Public Dataset by Olist" (kaggle.com/olistbr, 2018) |
//! | UCI Online Retail | archive.ics.uci.edu/dataset/352 and /502 |
//! | Shopify orders | help.shopify.com/en/manual/orders/export-orders, read 2026 |
//! | WooCommerce orders | the CSV of Analytics > Orders: `get_export_columns` in WooCommerce's own src/Admin/API/Reports/Orders/Controller.php (github.com/woocommerce/woocommerce), read December 2026; `N. Revenue` became `Net Sales` |
//! | Matomo visits | `Live.getLastVisitsDetails` with `format=CSV`, as a real Matomo 5.0.2 answered in 2026 |
//! | GA4 events, flat | support.google.com/analytics/answer/7029846 (BigQuery export), columns unnested |

use super::FileKind;
use super::columns::Column;
use mkt_connect::table::Header;
use mkt_connect::table::cell::{DateOrder, Epoch};

/// Where the amount of an event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Amounts {
    /// The column `revenue`, in every row.
    Column,
    /// The column `revenue`, in rows that are purchases: it is a price elsewhere.
    OfPurchases,
    /// Quantity times price; a negative quantity is a refund.
    QuantityTimesPrice,
    /// The file has none.
    Missing,
}

/// An export of known shape.
#[derive(Debug)]
pub(super) struct Preset {
    pub(super) name: &'static str,
    /// What its rows are.
    kind: FileKind,
    /// Columns that together name the export.
    header: &'static [&'static str],
    pub(super) columns: &'static [(&'static str, Column)],
    /// The export's words for events, and ours.
    pub(super) words: &'static [(&'static str, &'static str)],
    /// What every row is, where no column says so.
    pub(super) event: Option<&'static str>,
    pub(super) epoch: Option<Epoch>,
    pub(super) date_order: Option<DateOrder>,
    /// Whether source and medium make the channel.
    pub(super) by_tags: bool,
    pub(super) amounts: Amounts,
    /// Values of `status` of rows that are purchases; empty where all are.
    pub(super) paid: &'static [&'static str],
    /// Whether a row without `status` is a further line of the order above it.
    pub(super) has_lines: bool,
    /// Whether the column of users holds names of people, of which only a hash is kept.
    pub(super) named_users: bool,
    /// What a reader of the numbers should know.
    pub(super) note: &'static str,
}

const NONE: Preset = Preset {
    name: "",
    kind: FileKind::Events,
    header: &[],
    columns: &[],
    words: &[],
    event: None,
    epoch: None,
    date_order: None,
    by_tags: false,
    amounts: Amounts::Column,
    paid: &[],
    has_lines: false,
    named_users: false,
    note: "",
};

use Column as C;

pub(super) static PRESETS: [Preset; 8] = [
    Preset {
        name: "RetailRocket events",
        header: &["timestamp", "visitorid", "event", "itemid", "transactionid"],
        columns: &[("timestamp", C::Timestamp), ("visitorid", C::UserId), ("event", C::EventType)],
        words: &[("view", "product_view"), ("addtocart", "add_to_cart"), ("transaction", "purchase")],
        epoch: Some(Epoch::Milliseconds),
        amounts: Amounts::Missing,
        note: "the export has neither amounts nor channels: revenue is 0 and the channel is other in every row",
        ..NONE
    },
    Preset {
        name: "REES46 events",
        header: &[
            "event_time",
            "event_type",
            "product_id",
            "category_id",
            "price",
            "user_id",
            "user_session",
        ],
        columns: &[
            ("event_time", C::Timestamp),
            ("event_type", C::EventType),
            ("user_id", C::UserId),
            ("user_session", C::SessionId),
            ("price", C::Revenue),
        ],
        words: &[("view", "product_view"), ("cart", "add_to_cart")],
        amounts: Amounts::OfPurchases,
        note: "the price is the revenue of purchases; the export has no channels: the channel is other in every row",
        ..NONE
    },
    Preset {
        name: "Olist orders",
        header: &["order_id", "customer_id", "order_status", "order_purchase_timestamp"],
        columns: &[
            ("order_id", C::EventId),
            ("customer_id", C::UserId),
            ("order_purchase_timestamp", C::Timestamp),
            ("order_status", C::Status),
        ],
        event: Some("purchase"),
        amounts: Amounts::Missing,
        paid: &["approved", "created", "delivered", "invoiced", "processing", "shipped"],
        note: "every order is a purchase; the file has neither amounts nor channels: revenue is 0 (add the payments and \
               map their column to revenue) and the channel is other in every row",
        ..NONE
    },
    Preset {
        name: "UCI Online Retail",
        header: &["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"],
        columns: &[
            ("InvoiceDate", C::Timestamp),
            ("CustomerID", C::UserId),
            ("Quantity", C::Quantity),
            ("UnitPrice", C::UnitPrice),
        ],
        event: Some("purchase"),
        date_order: Some(DateOrder::MonthFirst),
        amounts: Amounts::QuantityTimesPrice,
        note: "each line of an invoice is a purchase, one with a negative quantity a refund; the export has no channels: \
               the channel is other in every row",
        ..NONE
    },
    Preset {
        name: "Shopify orders",
        header: &["Name", "Email", "Financial Status", "Total", "Created at", "Lineitem name"],
        columns: &[
            ("Name", C::EventId),
            ("Email", C::UserId),
            ("Financial Status", C::Status),
            ("Created at", C::Timestamp),
            ("Total", C::Revenue),
            ("Currency", C::Currency),
        ],
        event: Some("purchase"),
        amounts: Amounts::Column,
        paid: &["paid", "partially_paid", "partially_refunded", "authorized"],
        has_lines: true,
        note: "every paid order is a purchase of its total, refunds not taken off; further lines of an order count as \
               repeated; customers are known by a hash of their address; the channel is other in every row",
        ..NONE
    },
    Preset {
        name: "GA4 events",
        header: &["event_timestamp", "user_pseudo_id", "event_name", "source", "medium"],
        columns: &[
            ("event_timestamp", C::Timestamp),
            ("user_pseudo_id", C::UserId),
            ("event_name", C::EventType),
            ("session_id", C::SessionId),
            ("source", C::Source),
            ("medium", C::Medium),
            ("purchase_revenue", C::Revenue),
        ],
        words: &[
            ("view_item", "product_view"),
            ("sign_up", "signup"),
            ("file_download", "download"),
            ("click", "outlink"),
        ],
        epoch: Some(Epoch::Microseconds),
        by_tags: true,
        note: "channels follow from source and medium",
        ..NONE
    },
    Preset {
        name: "WooCommerce orders",
        header: &["Date", "Order #", "Status", "Customer", "Customer type", "Items sold"],
        columns: &[
            ("Order #", C::EventId),
            ("Customer", C::UserId),
            ("Status", C::Status),
            ("Date", C::Timestamp),
            ("Net Sales", C::Revenue),
            ("N. Revenue", C::Revenue),
            ("Attribution", C::Channel),
        ],
        event: Some("purchase"),
        paid: &["completed", "processing"],
        named_users: true,
        note: "every completed or processing order is a purchase of its net sales, without taxes and shipping; customers \
               are known by a hash of their name: two of one name are one",
        ..NONE
    },
    Preset {
        name: "Matomo visits",
        kind: FileKind::Sessions,
        header: &[
            "idVisit",
            "visitorId",
            "firstActionTimestamp",
            "lastActionTimestamp",
            "visitConverted",
            "referrerType",
        ],
        columns: &[
            ("idVisit", C::SessionId),
            ("visitorId", C::UserId),
            ("firstActionTimestamp", C::StartTime),
            ("lastActionTimestamp", C::EndTime),
            ("actions", C::PagesViewed),
            ("visitConverted", C::Converted),
            ("referrerType", C::Channel),
            ("deviceType", C::Device),
        ],
        epoch: Some(Epoch::Seconds),
        note: "pages viewed are Matomo's actions; matomo_etl reads purchases and campaigns too",
        ..NONE
    },
];

impl Preset {
    /// Whether the header of such a file has every column that names the export.
    pub(super) fn fits(&self, kind: FileKind, header: &Header) -> bool {
        self.kind == kind && self.header.iter().all(|name| header.matching(name).next().is_some())
    }

    /// Whether a needed column need not be there.
    pub(super) fn replaces(&self, column: Column) -> bool {
        column == C::Channel || (column == C::EventType && self.event.is_some())
    }

    /// Whether a column of our name in the export means something else.
    pub(super) fn leaves(&self, column: Column) -> bool {
        self.replaces(column) && column == C::EventType
    }
}
