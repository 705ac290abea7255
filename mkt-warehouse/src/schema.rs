//! What a table looks like, stated once: engines create, fill and check their tables from it.

use crate::table::{ColumnType, Table, TableError};

/// A column of a stored table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnSchema {
    /// Its name: lower-case ASCII letters, digits and `_`.
    pub name: &'static str,
    /// Its type.
    pub ty: ColumnType,
    /// Whether null may stand there.
    pub nullable: bool,
}

/// A stored table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSchema {
    /// Its name; see the crate page for who owns which prefix.
    pub name: &'static str,
    /// Its columns in order. A table that slices replace ends with `load_id`.
    pub columns: &'static [ColumnSchema],
    /// The columns that identify a row.
    pub primary_key: &'static [&'static str],
}

impl TableSchema {
    /// An empty [`Table`] with these columns.
    #[must_use]
    pub fn empty(&self) -> Table {
        Table::new(self.columns.iter().map(|column| (column.name, column.ty)))
    }

    /// Whether slices replace this table's rows, which carry the slice's `load_id`.
    #[must_use]
    pub fn is_sliced(&self) -> bool {
        self.columns.last().is_some_and(|column| column.name == LOAD_ID)
    }
}

/// The column that ties a row to the slice that loaded it.
pub const LOAD_ID: &str = "load_id";

/// A row type with its table.
pub trait Record: Sized {
    /// The table.
    const SCHEMA: TableSchema;

    /// Appends this row to a table made by [`TableSchema::empty`]; `load_id` fills the last column of sliced tables.
    fn append(&self, table: &mut Table, load_id: i64);

    /// Reads a row back. Columns are found by name, so a report's table serves as well.
    ///
    /// # Errors
    /// [`TableError::NoColumn`], [`TableError::Unreadable`].
    fn read(table: &Table, row: usize) -> Result<Self, TableError>;
}

/// One version of a crate's tables, as SQL for the engines that speak it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Its number: 1, 2, 3 …; never changed once released.
    pub version: i64,
    /// What it does, in a few words.
    pub description: &'static str,
    /// For SQLite.
    pub sqlite: &'static str,
    /// For PostgreSQL.
    pub postgres: &'static str,
}

/// The tables of one crate: what they look like now, and how to get there.
///
/// Engines with SQL migrations run the steps that are missing, each in a transaction, and remember them in
/// `<owner>_migrations`. Engines without (a lake) create the tables from `tables` and add missing columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// Who owns the tables (`warehouse`, `etl`): names the migrations table.
    pub owner: &'static str,
    /// The tables after the last migration.
    pub tables: &'static [TableSchema],
    /// The migrations, in order.
    pub migrations: &'static [Migration],
}
