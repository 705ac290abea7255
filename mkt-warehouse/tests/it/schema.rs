//! The tables in the database are the tables that the row types state.

use super::engines;
use mkt_warehouse::model::{SCHEMA, TABLES};
use mkt_warehouse::{ColumnType, Dialect, Query, Table, TableSchema, Value, Warehouse};

/// (name, type as stored, nullable) of each column in order, and the primary key in its order.
async fn found(warehouse: &dyn Warehouse, table: &str) -> (Vec<(String, String, bool)>, Vec<String>) {
    let (columns, keys) = match warehouse.dialect() {
        Dialect::Sqlite => (
            "select name, lower(type) as type, 1 - \"notnull\" as nullable from pragma_table_info(:1) order by cid",
            // The key is declared, or is an index of its own.
            "select name from (select name, pk as position from pragma_table_info(:1) where pk > 0 union all \
             select c.name, c.seqno from pragma_index_list(:1) i join pragma_index_info(i.name) c \
             where i.\"unique\" = 1 and i.origin = 'c') order by position",
        ),
        _ => (
            "select column_name::text as name, case data_type when 'numeric' \
             then 'numeric(' || numeric_precision || ',' || numeric_scale || ')' else data_type end::text as type, \
             (is_nullable = 'YES')::int as nullable from information_schema.columns \
             where table_schema = current_schema() and table_name = :1 order by ordinal_position",
            "select a.attname::text as name from pg_index i \
             cross join unnest(i.indkey) with ordinality as k (attnum, position) \
             join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum \
             where i.indisprimary and i.indrelid = to_regclass(:1) order by k.position",
        ),
    };
    let ask =
        |sql: &str| Query::new(sql).bind(Value::Text(table.to_owned())).column("name", ColumnType::Text);
    let columns = ask(columns).column("type", ColumnType::Text).column("nullable", ColumnType::Int);
    let columns = warehouse.query(&columns).await.unwrap();
    let keys = warehouse.query(&ask(keys)).await.unwrap();
    let text = |table: &Table, row, name: &str| table.read::<String>(row, name).unwrap();
    (
        (0..columns.rows())
            .map(|row| {
                let nullable = columns.value(row, "nullable") == Value::Int(1);
                (text(&columns, row, "name"), text(&columns, row, "type"), nullable)
            })
            .collect(),
        (0..keys.rows()).map(|row| text(&keys, row, "name")).collect(),
    )
}

fn stored(dialect: Dialect, schema: &TableSchema, name: &str, ty: ColumnType) -> String {
    let short = match schema.name {
        "events" => ["user_id", "event_type", "channel", "session_id"].contains(&name),
        "sessions" => ["user_id", "session_id", "channel"].contains(&name),
        _ => false,
    };
    match (dialect, ty) {
        (Dialect::Sqlite, ColumnType::Text | ColumnType::Date | ColumnType::Json) => "text",
        (Dialect::Sqlite, ColumnType::Float) => "real",
        (Dialect::Sqlite, _) => "integer",
        (_, ColumnType::Text) if short => "character varying",
        (_, ColumnType::Text) => "text",
        (_, ColumnType::Int) => "bigint",
        (_, ColumnType::Bool) => "boolean",
        (_, ColumnType::Timestamp) => "timestamp with time zone",
        (_, ColumnType::Date) => "date",
        (_, ColumnType::Json) => "jsonb",
        (_, ColumnType::Decimal { scale: 2 }) => "numeric(10,2)",
        (_, ColumnType::Decimal { .. }) => "numeric(18,6)",
        _ => "double precision",
    }
    .to_owned()
}

#[tokio::test]
async fn the_migrated_tables_are_what_the_row_types_state() {
    for engine in engines::all().await {
        for schema in TABLES {
            let (mut columns, keys) = found(&engine, schema.name).await;
            let mut expected: Vec<_> = schema
                .columns
                .iter()
                .map(|c| (c.name.to_owned(), stored(engine.dialect(), schema, c.name, c.ty), c.nullable))
                .collect();
            // The course's columns come first; one that a later migration added stands last.
            let course = if schema.name == "events" { 7 } else { 0 };
            assert_eq!(columns[..course], expected[..course], "{} {}", engine.dialect(), schema.name);
            columns.sort();
            expected.sort();
            assert_eq!(columns, expected, "{} {}", engine.dialect(), schema.name);
            assert_eq!(keys, schema.primary_key, "{} {}", engine.dialect(), schema.name);
        }
    }
    assert_eq!(SCHEMA.tables, TABLES);
}

#[tokio::test]
async fn the_courses_indexes_and_view_are_there() {
    for engine in engines::all().await {
        let names = match engine.dialect() {
            Dialect::Sqlite => "select name from sqlite_master where tbl_name in ('events', 'sessions', :1)",
            _ => {
                "select indexname::text as name from pg_indexes where schemaname = current_schema() \
                 union all select viewname::text from pg_views where schemaname = current_schema() and viewname = :1"
            }
        };
        let query = Query::new(names)
            .bind(Value::Text("daily_metrics_by_date".to_owned()))
            .column("name", ColumnType::Text);
        let found = engine.query(&query).await.unwrap();
        let found: Vec<String> = (0..found.rows()).map(|row| found.read(row, "name").unwrap()).collect();
        for name in ["idx_events_user", "idx_events_type", "idx_sessions_user", "daily_metrics_by_date"] {
            assert!(found.contains(&name.to_owned()), "{}: no {name} in {found:?}", engine.dialect());
        }
    }
}

#[tokio::test]
async fn the_courses_daily_metrics_add_up_the_systems_of_record() {
    use super::rows::{at, day};
    use mkt_warehouse::model::{DailyMetric, Measure, MetricKind, Site, SliceState};
    use mkt_warehouse::{Batch, SliceKey};
    let metric = |source: &str, site: &str, on: &str, name: &str, value: i64| DailyMetric {
        metric: name.to_owned(),
        kind: MetricKind::Additive,
        value: Some(Measure::from(value)),
        numerator: None,
        denominator: None,
        currency: None,
        state: SliceState::Settled,
        source: source.to_owned(),
        site: site.to_owned(),
        day: day(on),
    };
    for engine in engines::all().await {
        let batch = Batch::new(SliceKey::whole("suite", "daily", "all"))
            .replace([
                metric("matomo", "1", "2026-10-24", "visits", 100),
                metric("matomo", "1", "2026-10-24", "conversions", 7),
                metric("matomo", "1", "2026-10-24", "bounce_rate", 50),
                metric("log", "1", "2026-10-24", "visits", 400), // not the system of record
                metric("csv", "2", "2026-10-24", "visits", 20),  // a site that is not listed
                metric("matomo", "1", "2026-10-25", "visits", 3),
            ])
            .upsert([Site::new("1", "Europe/Paris", "matomo")]);
        engine.load(&batch, at("2026-11-01T00:00:00Z")).await.unwrap();
        let query = Query::new("select date, visits, conversions from daily_metrics_by_date order by date")
            .column("date", ColumnType::Date)
            .column("visits", ColumnType::Int)
            .column("conversions", ColumnType::Int);
        let found = engine.query(&query).await.unwrap();
        let expected = [
            vec![Value::Date(day("2026-10-24")), Value::Int(120), Value::Int(7)],
            vec![Value::Date(day("2026-10-25")), Value::Int(3), Value::Null],
        ];
        assert_eq!([found.row(0), found.row(1)], expected, "{}", engine.dialect());
        assert_eq!(found.rows(), 2);
    }
}
