//! Purchases, from a file or from a warehouse, as one line a customer.

use crate::arguments::Arguments;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use mkt_connect::table::{ReadOptions, Reason, cell};
use mkt_examples::{Context, Step, warehouse};
use mkt_ml::lifetime::{Buyer, Purchases};
use mkt_warehouse::report::{self, RfmOptions, Scope};
use mkt_warehouse::{ColumnType, Query, Value, Warehouse};
use std::collections::BTreeMap;
use std::fs::File;

/// Customers, the last day of the calibration, and what is to be known of the reading.
pub(crate) struct Read {
    pub(crate) buyers: Vec<Buyer>,
    pub(crate) purchases: u64,
    pub(crate) quarantined: u64,
    pub(crate) notes: Vec<String>,
    /// Of a warehouse: buyers by segment of recency and frequency, a buyer of two currencies twice.
    pub(crate) segments: BTreeMap<String, u32>,
}

/// One purchase: who, day since 1970, value.
type Row = (String, i32, Option<f64>);

fn number(day: NaiveDate) -> i32 {
    i32::try_from((day - NaiveDate::default()).num_days()).unwrap_or(i32::MAX)
}

pub(crate) async fn read(arguments: &Arguments) -> Step<Read> {
    let mut read = Read {
        buyers: Vec::new(),
        purchases: 0,
        quarantined: 0,
        notes: Vec::new(),
        segments: BTreeMap::new(),
    };
    let rows = match &arguments.warehouse {
        Some(url) => of_warehouse(url, arguments, &mut read).await?,
        None => of_file(arguments, &mut read)?,
    };
    let last = rows.iter().map(|row| row.1).max().ok_or("there is no purchase")?;
    let end = arguments.until.map_or(last, number);
    let late = rows.iter().filter(|row| row.1 > end).count();
    if late > 0 {
        read.notes.push(format!("{late} purchases after the last day are left out"));
    }
    let mut purchases = Purchases::until(end).any_order();
    if let Some(weeks) = arguments.hold_out {
        purchases = purchases.calibration_until(end.saturating_sub_unsigned(weeks.saturating_mul(7)));
    }
    for (customer, day, value) in rows.iter().filter(|row| row.1 <= end) {
        purchases.add(customer, *day, *value)?;
    }
    read.purchases = purchases.rows();
    read.buyers = purchases.finish()?;
    Ok(read)
}

fn of_file(arguments: &Arguments, read: &mut Read) -> Step<Vec<Row>> {
    let path = arguments.data.as_ref().ok_or("there is neither --data nor --warehouse")?;
    let cannot = || format!("cannot read {}", path.display());
    let file = File::open(path).context(cannot)?;
    let mut table = ReadOptions::new().delimiter(arguments.delimiter).open(file).context(cannot)?;
    let find = |names: &[&str]| table.header().find(names);
    let customer =
        find(&["customer", "customer_id", "user_id", "client"])?.ok_or("there is no column `customer`")?;
    let date = find(&["date", "timestamp", "day", "jour"])?.ok_or("there is no column `date`")?;
    let value = find(&["value", "revenue", "amount", "valeur", "montant"])?;
    for (column, name) in [(Some(customer), "customer"), (Some(date), "date"), (value, "value")] {
        if let Some(column) = column {
            table.found_mut().read_as(column, name);
        }
    }
    let (missing, format) = (cell::Missing::usual(), cell::TimeFormat::new());
    let (mut rows, mut set_aside) = (Vec::new(), 0_u64);
    let mut first: Option<String> = None;
    while let Some(row) = table.next()? {
        let taken = row.and_then(|row| {
            let stamp = format.parse(row.cell(date)).and_then(|stamp| stamp.in_zone(Some(&arguments.zone)));
            let day = match cell::plain_date(row.cell(date)) {
                Some(day) => day,
                None => {
                    let at = stamp.map_err(|error| row.quarantine(Reason::cell("date", error)))?;
                    at.with_timezone(&arguments.zone).date_naive()
                }
            };
            let text = value.map_or("", |column| row.cell(column));
            let amount = match cell::float(text, arguments.decimal) {
                None if !missing.is(text) && !text.is_empty() => {
                    return Err(row.quarantine(Reason::rule("not_a_number", "`value` is not a number")));
                }
                amount => amount,
            };
            match row.cell(customer) {
                "" => Err(row.quarantine(Reason::rule("missing", "`customer` is missing"))),
                name => Ok((name.to_owned(), number(day), amount)),
            }
        });
        match taken {
            Ok(row) => rows.push(row),
            Err(row) => {
                set_aside += 1;
                first.get_or_insert_with(|| format!("line {} set aside: {}", row.line, row.reason));
            }
        }
    }
    read.quarantined = set_aside;
    read.notes.extend(table.found().to_string().lines().map(str::to_owned));
    read.notes.extend(first);
    Ok(rows)
}

async fn of_warehouse(url: &str, arguments: &Arguments, read: &mut Read) -> Step<Vec<Row>> {
    let warehouse = warehouse::to_read(url).await?;
    let source = source(warehouse.as_ref(), arguments).await?;
    let query = Query::new(
        "select coalesce(i.person_id, e.user_id) as person, e.timestamp, e.revenue, e.currency from events e \
         left join identities i on i.source = e.source and i.site = e.site and i.user_id = e.user_id \
         where e.event_type = 'purchase' and e.source = :1 order by e.timestamp",
    )
    .bind(Value::Text(source.clone()))
    .column("person", ColumnType::Text)
    .column("timestamp", ColumnType::Timestamp)
    .column("revenue", ColumnType::Decimal { scale: 2 })
    .column("currency", ColumnType::Text);
    let table = warehouse.query(&query).await?;
    let (mut rows, mut others, mut currency) = (Vec::new(), 0, arguments.currency.clone());
    let mut span: Option<(DateTime<Utc>, DateTime<Utc>)> = None;
    for row in 0..table.rows() {
        let (Value::Text(person), Value::Timestamp(at)) =
            (table.value(row, "person"), table.value(row, "timestamp"))
        else {
            continue;
        };
        span = Some(span.map_or((at, at), |(first, _)| (first, at)));
        let own = match table.value(row, "currency") {
            Value::Text(code) => Some(code),
            _ => None,
        };
        currency = currency.or_else(|| own.clone());
        let amount = match table.value(row, "revenue") {
            Value::Decimal(amount) if own.is_none() || own == currency => f64::try_from(amount).ok(),
            _ => None,
        };
        others += u32::from(amount.is_none());
        rows.push((person, number(at.with_timezone(&arguments.zone).date_naive()), amount));
    }
    read.notes.push(format!("purchases of all sites of the source {source}"));
    if let Some(currency) = currency {
        read.notes.push(format!(
            "values in {currency}; {others} purchases in other currencies count without a value"
        ));
    }
    if let Some((first, last)) = span {
        let zone = arguments.zone.name();
        let (from, until) = (first.date_naive().pred_opt(), last.date_naive().succ_opt());
        let (from, until) = from.zip(until).ok_or("the days are out of range")?;
        report::load_zone(warehouse.as_ref(), zone, from.year() - 1, until.year() + 1, Utc::now()).await?;
        let scope = Scope::days(zone, from, until)?.source(source);
        for buyer in report::rfm(warehouse.as_ref(), &scope, RfmOptions::default()).await?.rows {
            *read.segments.entry(buyer.segment.as_str().to_owned()).or_default() += 1;
        }
    }
    Ok(rows)
}

/// The source that is named, or the only one: the same purchase may be in several.
async fn source(warehouse: &dyn Warehouse, arguments: &Arguments) -> Step<String> {
    let query =
        Query::new("select distinct source from events where event_type = 'purchase' order by source");
    let table = warehouse.query(&query.column("source", ColumnType::Text)).await?;
    let of = |row| match table.value(row, "source") {
        Value::Text(source) => Some(source),
        _ => None,
    };
    let sources: Vec<String> = (0..table.rows()).filter_map(of).collect();
    match (&arguments.source, sources.as_slice()) {
        (Some(source), all) if all.contains(source) => Ok(source.clone()),
        (None, [only]) => Ok(only.clone()),
        (_, []) => Err("the warehouse holds no purchase".into()),
        (_, all) => Err(format!("choose one of the sources by --source: {}", all.join(", ")).into()),
    }
}
