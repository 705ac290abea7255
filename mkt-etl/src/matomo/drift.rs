//! Fields that were not there when this was written: named, and kept beside the numbers. Pure.

use super::answer::Row;
use super::reports::shape::note_drift;
use crate::clean;
use crate::source::{Change, Extra, Page};
use mkt_warehouse::model::Json;
use serde_json::{Map, Value};

/// Names and keeps what a record has beside what is known of it.
pub(super) fn of_record(place: &str, row: &Row, is_known: impl Fn(&str) -> bool, page: &mut Page) {
    of_fields(place, place, &row.0, is_known, page);
}

fn of_fields(
    place: &str,
    record: &str,
    fields: &Map<String, Value>,
    is_known: impl Fn(&str) -> bool,
    page: &mut Page,
) {
    let mut kept = Map::new();
    for (name, value) in fields.iter().filter(|(name, _)| !is_known(name)) {
        note_drift(&mut page.drift, place, name, Change::New);
        kept.insert(name.clone(), value.clone());
    }
    if !kept.is_empty() {
        let fields = Json(clean::json(Value::Object(kept)));
        page.extras.push(Extra { record: record.to_owned(), fields });
    }
}

/// Names and keeps what a visit of Live has beside what is known of visits; `record` names the visit.
pub(super) fn of_visit(place: &str, record: &str, visit: &Map<String, Value>, page: &mut Page) {
    of_fields(place, record, visit, |name| VISIT.binary_search(&name).is_ok() || is_plugin(name), page);
}

/// The same of an action of a visit.
pub(super) fn of_action(place: &str, record: &str, action: &Map<String, Value>, page: &mut Page) {
    of_fields(place, record, action, |name| ACTION.binary_search(&name).is_ok() || is_plugin(name), page);
}

/// Custom dimensions are numbered; custom variables are those of older versions.
fn is_plugin(name: &str) -> bool {
    name.strip_prefix("dimension").is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
        || name.starts_with("customVariable")
}

/// Fields of a visit, recorded with 5.0.2, in order.
const VISIT: [&str; 91] = [
    "actionDetails",
    "actions",
    "browser",
    "browserCode",
    "browserFamily",
    "browserFamilyDescription",
    "browserIcon",
    "browserName",
    "browserVersion",
    "city",
    "continent",
    "continentCode",
    "country",
    "countryCode",
    "countryFlag",
    "daysSinceFirstVisit",
    "daysSinceLastEcommerceOrder",
    "daysSinceLastVisit",
    "deviceBrand",
    "deviceModel",
    "deviceType",
    "deviceTypeIcon",
    "events",
    "fingerprint",
    "firstActionTimestamp",
    "goalConversions",
    "idSite",
    "idVisit",
    "interactions",
    "language",
    "languageCode",
    "lastActionDateTime",
    "lastActionTimestamp",
    "latitude",
    "location",
    "longitude",
    "operatingSystem",
    "operatingSystemCode",
    "operatingSystemIcon",
    "operatingSystemName",
    "operatingSystemVersion",
    "plugins",
    "pluginsIcons",
    "referrerKeyword",
    "referrerKeywordPosition",
    "referrerName",
    "referrerSearchEngineIcon",
    "referrerSearchEngineUrl",
    "referrerSocialNetworkIcon",
    "referrerSocialNetworkUrl",
    "referrerType",
    "referrerTypeName",
    "referrerUrl",
    "region",
    "regionCode",
    "resolution",
    "searches",
    "secondsSinceFirstVisit",
    "secondsSinceLastEcommerceOrder",
    "secondsSinceLastVisit",
    "serverDate",
    "serverDatePretty",
    "serverDatePrettyFirstAction",
    "serverTimePretty",
    "serverTimePrettyFirstAction",
    "serverTimestamp",
    "siteCurrency",
    "siteCurrencySymbol",
    "siteName",
    "totalAbandonedCarts",
    "totalAbandonedCartsItems",
    "totalAbandonedCartsRevenue",
    "totalEcommerceConversions",
    "totalEcommerceItems",
    "totalEcommerceRevenue",
    "truncatedActionsCount",
    "userId",
    "visitConverted",
    "visitConvertedIcon",
    "visitCount",
    "visitDuration",
    "visitDurationPretty",
    "visitEcommerceStatus",
    "visitEcommerceStatusIcon",
    "visitIp",
    "visitLocalHour",
    "visitLocalTime",
    "visitServerHour",
    "visitorId",
    "visitorType",
    "visitorTypeIcon",
];

/// Fields of actions, recorded with 5.0.2 or documented (events, searches, downloads, products), in order.
const ACTION: [&str; 64] = [
    "bandwidth",
    "bandwidth_pretty",
    "contentInteraction",
    "contentName",
    "contentPiece",
    "contentTarget",
    "eventAction",
    "eventCategory",
    "eventName",
    "eventValue",
    "generationTime",
    "generationTimeMilliseconds",
    "goalId",
    "goalName",
    "goalPageId",
    "icon",
    "iconSVG",
    "idlink_va",
    "idpageview",
    "interactionIndex",
    "itemDetails",
    "items",
    "orderId",
    "pageId",
    "pageIdAction",
    "pageLoadTime",
    "pageLoadTimeMilliseconds",
    "pageTitle",
    "pageviewPosition",
    "productViewCategories",
    "productViewCategory1",
    "productViewCategory2",
    "productViewCategory3",
    "productViewCategory4",
    "productViewCategory5",
    "productViewName",
    "productViewPrice",
    "productViewSku",
    "referrerKeyword",
    "referrerName",
    "referrerType",
    "revenue",
    "revenueDiscount",
    "revenueShipping",
    "revenueSubTotal",
    "revenueTax",
    "serverTimePretty",
    "siteSearchCategory",
    "siteSearchCount",
    "siteSearchKeyword",
    "subtitle",
    "timeDomCompletion",
    "timeDomProcessing",
    "timeNetwork",
    "timeOnLoad",
    "timeServer",
    "timeSpent",
    "timeSpentPretty",
    "timeSpentRef",
    "timeTransfer",
    "timestamp",
    "title",
    "type",
    "url",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_order() {
        assert!(VISIT.is_sorted() && ACTION.is_sorted());
    }
}
