//! Content that breaks databases: names that are SQL, documents of 16 MiB, texts that are too large.

use super::engines;
use super::rows::{World, at, day, event, sale};
use mkt_connect::ErrorKind;
use mkt_warehouse::model::{Event, EventType, Json, Site};
use mkt_warehouse::report::{Report, Scope};
use mkt_warehouse::{
    Batch, ColumnSchema, ColumnType, Dialect, Migration, Query, Record, Schema, SliceKey, Table, TableError,
    TableSchema, Value, Warehouse,
};

/// A table and columns whose names are attacks, made by hand because no Rust field can be called so.
#[derive(Debug, Clone, PartialEq)]
struct Bobby {
    name: String,
    load: i64,
}

const COLUMN: &str = "x\"); drop table sites; --";

impl Record for Bobby {
    const SCHEMA: TableSchema = TableSchema {
        name: "Robert\"; drop table sites; --",
        columns: &[
            ColumnSchema { name: COLUMN, ty: ColumnType::Text, nullable: false },
            ColumnSchema { name: "load_id", ty: ColumnType::Int, nullable: false },
        ],
        primary_key: &[COLUMN],
    };
    fn append(&self, table: &mut Table, load_id: i64) {
        // Of the right types: there is nothing that could fail.
        let _ = table.push_row(vec![Value::Text(self.name.clone()), Value::Int(load_id)]);
    }
    fn read(table: &Table, row: usize) -> Result<Self, TableError> {
        Ok(Self { name: table.read(row, COLUMN)?, load: table.read(row, "load_id")? })
    }
}

const BOBBY: Schema = Schema {
    owner: "bobby",
    tables: &[Bobby::SCHEMA],
    migrations: &[Migration {
        version: 1,
        description: "Bobby",
        sqlite: "create table \"Robert\"\"; drop table sites; --\" (\"x\"\"); drop table sites; --\" text not null, \
                 load_id integer not null) strict; \
                 create unique index \"i\"\"; drop table sites; --\" on \"Robert\"\"; drop table sites; --\" \
                 (\"x\"\"); drop table sites; --\");",
        postgres: "create table \"Robert\"\"; drop table sites; --\" (\"x\"\"); drop table sites; --\" \
                   text collate \"C\" not null primary key, load_id bigint not null)",
    }],
};

async fn tables(engine: &dyn Warehouse) -> Value {
    let sql = match engine.dialect() {
        Dialect::Sqlite => "select count(*) from sqlite_master",
        _ => "select count(*) from pg_class where relnamespace = current_schema()::regnamespace",
    };
    engine.query(&Query::new(sql).column("tables", ColumnType::Int)).await.unwrap().value(0, "tables")
}

#[tokio::test]
async fn names_are_never_sql() {
    let now = at("2026-11-01T00:00:00Z");
    for engine in engines::all().await {
        engine.migrate(&BOBBY).await.unwrap();
        let site = Site::new("shop", "Europe/Paris", "csv");
        engine.load(&Batch::new(SliceKey::whole("a", "b", "c")).upsert([site]), now).await.unwrap();
        let before = tables(&engine).await;
        let key = SliceKey::whole("'; drop table sites; --", "\"; drop table sites; --", "$1 ?1 :1 \\");
        let (load, rows) = (key.load_id(), 12_000);
        let bobby = |n: usize| Bobby { name: format!("'; drop table sites; -- {n:05}"), load };
        // Few rows and many, new ones and ones that another slice holds: every way of writing.
        for (n, (from, until)) in [(0, 3), (0, rows), (0, 5), (0, rows)].into_iter().enumerate() {
            let batch = Batch::new(key.clone()).replace((from..until).map(bobby));
            assert_eq!(engine.load(&batch, now).await.unwrap().written, (until - from) as u64, "load {n}");
        }
        let other = SliceKey { stream: "other".to_owned(), ..key.clone() };
        let moved = Batch::new(other.clone())
            .replace((0..2_000).map(|n| Bobby { load: other.load_id(), ..bobby(n) }));
        engine.load(&moved, now).await.unwrap();
        let held = engine.query(&Query::table(&Bobby::SCHEMA)).await.unwrap();
        assert_eq!(held.rows(), rows);
        assert_eq!(Bobby::read(&held, 7).unwrap(), Bobby { load: other.load_id(), ..bobby(7) });
        assert_eq!(Bobby::read(&held, 11_999).unwrap(), bobby(11_999));
        assert_eq!(tables(&engine).await, before, "{}", engine.dialect());
        assert_eq!(engine.query(&Query::table(&Site::SCHEMA)).await.unwrap().rows(), 1);
    }
}

#[tokio::test]
async fn values_of_a_scope_are_never_sql() {
    for engine in engines::all().await {
        World::default().load_into(&engine).await;
        let before = tables(&engine).await;
        for name in ["'; drop table sites; --", "\\", "$1 ?1 :1 :site", "%_", "\u{202e}é\u{1f600}", "\"\n/*"]
        {
            let long: Vec<String> = (0..5_000).map(|n| format!("{name}{n}")).collect();
            let scope = || Scope::days("Europe/Paris", day("2026-10-25"), day("2026-10-26")).unwrap();
            for scope in
                [scope().site(name).source(name), scope().devices([name]).unwrap().campaigns(&long).unwrap()]
            {
                for report in Report::ALL {
                    report.run(&engine, &scope).await.unwrap();
                }
            }
        }
        assert_eq!(tables(&engine).await, before);
        assert_eq!(engine.query(&Query::table(&Site::SCHEMA)).await.unwrap().rows(), 1);
        // PostgreSQL would refuse it in words of its own.
        let scope = Scope::days("Europe/Paris", day("2026-10-25"), day("2026-10-26")).unwrap().site("a\0b");
        for report in Report::ALL {
            let error = report.run(&engine, &scope).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input, "{} {error}", report.name());
        }
    }
}

#[tokio::test]
async fn documents_of_16_mib_are_kept_and_texts_beyond_64_mib_refused() {
    let now = at("2026-11-01T00:00:00Z");
    let key = SliceKey::day("csv", "visits", "shop", day("2026-10-25"));
    // Escapes, quotes and characters of four bytes, at any border of a buffer.
    let large = "é\"\\\n🛒".repeat((16 << 20) / 9);
    let mut rows: Vec<Event> =
        (0..1_500).map(|n| event(&format!("u{n}"), EventType::GOAL, "2026-10-25T10:00:00Z")).collect();
    rows[3].properties = Json(serde_json::json!({"large": large}));
    for engine in engines::all().await {
        let few = Batch::new(key.clone()).replace(rows[..4].to_vec());
        let many = Batch::new(key.clone()).replace(rows.clone());
        for (batch, expected) in [(few, 4), (many, 1_500)] {
            assert_eq!(engine.load(&batch, now).await.unwrap().written, expected);
            let held = engine.query(&Query::table(&Event::SCHEMA)).await.unwrap();
            assert_eq!(held.rows() as u64, expected);
            for row in 0..held.rows() {
                let held = Event::read(&held, row).unwrap();
                let sent = rows.iter().find(|sent| sent.event_id == held.event_id).unwrap();
                assert!(held == *sent, "{}: row {row} came back changed", engine.dialect());
            }
        }
        let before = engine.query(&Query::table(&Event::SCHEMA)).await.unwrap();
        let mut huge = rows[0].clone();
        huge.properties = Json(serde_json::Value::String("x".repeat(64 << 20)));
        let error = engine.load(&Batch::new(key.clone()).replace([huge]), now).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(
            error.to_string().contains("row 0 of events, column properties: JSON of more than 64 MiB"),
            "{error}"
        );
        assert!(engine.query(&Query::table(&Event::SCHEMA)).await.unwrap() == before);
    }
}

/// Amounts that no column holds are refused before anything is written, the least and the largest number included.
#[tokio::test]
async fn amount_out_of_range_is_refused_and_never_panics() {
    use mkt_warehouse::model::Amount;
    use rust_decimal::Decimal;
    let key = SliceKey::day("csv", "events", "shop", day("2026-10-25"));
    for engine in engines::all().await {
        engine.migrate(&mkt_warehouse::model::SCHEMA).await.unwrap();
        let beyond = [Decimal::MIN, Decimal::MAX, Decimal::new(i64::MIN, 2), Decimal::new(10_000_000_000, 2)];
        for amount in beyond {
            let event = sale("u1", "2026-10-25T10:00:00Z", "1", None);
            let event = Event { revenue: Amount(amount), ..event };
            let error =
                engine.load(&Batch::new(key.clone()).replace([event]), at("2026-11-01T00:00:00Z")).await;
            let error = error.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input, "{amount}");
            assert!(error.detail().unwrap().contains("DECIMAL(10,2)"), "{error}");
        }
    }
}
