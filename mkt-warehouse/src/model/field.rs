//! How a Rust value becomes a cell and comes back, and the macro that states a row type once.

use crate::table::{Column, ColumnType};
use chrono::{DateTime, NaiveDate, Utc};
use mkt_connect::{Channel, Currency};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// An amount of money in the row's `currency`: DECIMAL(10,2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amount(pub Decimal);

/// A measured quantity: NUMERIC(18,6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Measure(pub Decimal);

impl From<i64> for Measure {
    fn from(value: i64) -> Self {
        Self(Decimal::from(value))
    }
}

/// A JSON document in a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(pub serde_json::Value);

impl Default for Json {
    fn default() -> Self {
        Self(serde_json::Value::Object(serde_json::Map::new()))
    }
}

/// A cell's Rust type.
pub trait Field: Sized {
    /// The column type.
    const TYPE: ColumnType;
    /// Whether the column may hold null.
    const NULLABLE: bool;
    /// Appends to a column of [`TYPE`](Self::TYPE).
    fn put(&self, column: &mut Column);
    /// Reads from a column.
    ///
    /// # Errors
    /// What was expected, when the cell cannot be read.
    fn get(column: &Column, row: usize) -> Result<Self, &'static str>;
}

/// Implements [`Field`](crate::model::Field) for a type and for its `Option`: the pattern is the column, the two
/// closures convert to and from its value.
#[macro_export]
macro_rules! field {
    ($ty:ty, $column:pat => $values:ident, $sql:expr, $wanted:literal, $to:expr, $from:expr) => {
        impl $crate::model::Field for Option<$ty> {
            const TYPE: $crate::ColumnType = $sql;
            const NULLABLE: bool = true;
            fn put(&self, column: &mut $crate::Column) {
                // A column of another type is a schema error that `TableSchema::empty` rules out.
                if let $column = column {
                    $values.push(self.as_ref().map($to));
                }
            }
            fn get(column: &$crate::Column, row: usize) -> Result<Self, &'static str> {
                match column {
                    $column => match $values.get(row) {
                        Some(Some(value)) => $from(value).map(Some).ok_or($wanted),
                        Some(None) => Ok(None),
                        None => Err($wanted),
                    },
                    _ => Err($wanted),
                }
            }
        }
        impl $crate::model::Field for $ty {
            const TYPE: $crate::ColumnType = $sql;
            const NULLABLE: bool = false;
            fn put(&self, column: &mut $crate::Column) {
                if let $column = column {
                    $values.push(Some($to(self)));
                }
            }
            fn get(column: &$crate::Column, row: usize) -> Result<Self, &'static str> {
                <Option<$ty> as $crate::model::Field>::get(column, row)?.ok_or($wanted)
            }
        }
    };
}

field!(String, Column::Text(values) => values, ColumnType::Text, "text", |x: &String| x.clone(), |x: &String| Some(x.clone()));
field!(i64, Column::Int(values) => values, ColumnType::Int, "an integer", |x: &i64| *x, |x: &i64| Some(*x));
field!(bool, Column::Bool(values) => values, ColumnType::Bool, "a truth value", |x: &bool| *x, |x: &bool| Some(*x));
field!(f64, Column::Float(values) => values, ColumnType::Float, "a number", |x: &f64| *x, |x: &f64| Some(*x));
field!(DateTime<Utc>, Column::Timestamp(values) => values, ColumnType::Timestamp, "an instant", |x: &DateTime<Utc>| *x, |x: &DateTime<Utc>| Some(*x));
field!(NaiveDate, Column::Date(values) => values, ColumnType::Date, "a day", |x: &NaiveDate| *x, |x: &NaiveDate| Some(*x));
field!(Amount, Column::Decimal(2, values) => values, ColumnType::Decimal { scale: 2 }, "an amount", |x: &Amount| x.0, |x: &Decimal| Some(Amount(*x)));
field!(Measure, Column::Decimal(6, values) => values, ColumnType::Decimal { scale: 6 }, "a measure", |x: &Measure| x.0, |x: &Decimal| Some(Measure(*x)));
field!(Json, Column::Json(values) => values, ColumnType::Json, "a JSON document", |x: &Json| x.0.to_string(), |x: &String| serde_json::from_str(x).ok().map(Json));
field!(Channel, Column::Text(values) => values, ColumnType::Text, "a channel", |x: &Channel| x.as_str().to_owned(), |x: &String| x.parse().ok());
field!(Currency, Column::Text(values) => values, ColumnType::Text, "a currency code", |x: &Currency| x.as_str().to_owned(), |x: &String| x.parse().ok());

/// States a text vocabulary that is stored by name: the enum, its names and its [`Field`](crate::model::Field).
#[macro_export]
macro_rules! vocabulary {
    ($(#[$meta:meta])* $name:ident, $wanted:literal { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every one, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name as stored.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Reads the stored name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|x| x.as_str() == name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        $crate::field!($name, $crate::Column::Text(values) => values, $crate::ColumnType::Text, $wanted,
            |x: &$name| x.as_str().to_owned(), |x: &String| $name::from_name(x));
    };
}

/// States a row type, its table and its key once: the struct and its [`Record`](crate::Record).
///
/// `sliced` tables end with `load_id` and are replaced slice by slice; `upserted` ones are written row over row.
#[macro_export]
macro_rules! record {
    (@column $field:ident : $ty:ty) => {
        $crate::ColumnSchema {
            name: stringify!($field),
            ty: <$ty as $crate::model::Field>::TYPE,
            nullable: <$ty as $crate::model::Field>::NULLABLE,
        }
    };
    ($(#[$meta:meta])* $name:ident in $table:literal sliced, key [$($key:ident),+] {
        $($(#[$fmeta:meta])* $field:ident : $ty:ty),+ $(,)?
    }) => {
        $crate::record!(@build $(#[$meta])* $name, $table, [$($key),+], [$($(#[$fmeta])* $field : $ty),+],
            [$crate::ColumnSchema { name: $crate::LOAD_ID, ty: $crate::ColumnType::Int, nullable: false }]);
    };
    ($(#[$meta:meta])* $name:ident in $table:literal upserted, key [$($key:ident),+] {
        $($(#[$fmeta:meta])* $field:ident : $ty:ty),+ $(,)?
    }) => {
        $crate::record!(@build $(#[$meta])* $name, $table, [$($key),+], [$($(#[$fmeta])* $field : $ty),+], []);
    };
    (@build $(#[$meta:meta])* $name:ident, $table:literal, [$($key:ident),+], [$($(#[$fmeta:meta])* $field:ident : $ty:ty),+], [$($extra:expr)?]) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty),+ }

        impl $crate::Record for $name {
            const SCHEMA: $crate::TableSchema = $crate::TableSchema {
                name: $table,
                columns: &[
                    $($crate::record!(@column $field : $ty)),+
                    $(, $extra)?
                ],
                primary_key: &[$(stringify!($key)),+],
            };

            fn append(&self, table: &mut $crate::Table, load_id: i64) {
                let mut columns = table.columns_mut().iter_mut();
                $(if let Some(column) = columns.next() {
                    $crate::model::Field::put(&self.$field, column);
                })+
                // The last column of a sliced table, if there is one.
                if let Some($crate::Column::Int(values)) = columns.next() {
                    values.push(Some(load_id));
                }
            }

            fn read(table: &$crate::Table, row: usize) -> Result<Self, $crate::TableError> {
                Ok(Self { $($field: table.read(row, stringify!($field))?),+ })
            }
        }
    };
}
