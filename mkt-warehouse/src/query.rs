//! A question in SQL with bound values and typed answer columns.

use crate::table::{ColumnType, Value};

/// SQL text in the engine's dialect, the values bound to its parameters, and the columns it answers.
///
/// Values never become text: whatever a user names goes into [`bind`](Self::bind). Parameters are written `:1`, `:2`, …
/// and may be used several times.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    sql: String,
    parameters: Vec<Value>,
    columns: Vec<(String, ColumnType)>,
}

impl Query {
    /// A query whose text is written by a programmer. Never build it from input.
    #[must_use]
    pub fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), parameters: Vec::new(), columns: Vec::new() }
    }

    /// Binds the next parameter: the first call binds `:1`.
    #[must_use]
    pub fn bind(mut self, value: Value) -> Self {
        self.parameters.push(value);
        self
    }

    /// Names the next answer column and its type. Engines without types of their own (SQLite) need it.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, ty: ColumnType) -> Self {
        self.columns.push((name.into(), ty));
        self
    }

    /// Every row of a stored table, in primary-key order.
    #[must_use]
    pub fn table(schema: &crate::schema::TableSchema) -> Self {
        let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let names: Vec<String> = schema.columns.iter().map(|column| quote(column.name)).collect();
        let keys: Vec<String> = schema.primary_key.iter().map(|key| quote(key)).collect();
        let mut query = Self::new(format!(
            "select {} from {} order by {}",
            names.join(", "),
            quote(schema.name),
            keys.join(", ")
        ));
        for column in schema.columns {
            query = query.column(column.name, column.ty);
        }
        query
    }

    /// The text.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The bound values, in order.
    #[must_use]
    pub fn parameters(&self) -> &[Value] {
        &self.parameters
    }

    /// The answer's columns, in order.
    #[must_use]
    pub fn columns(&self) -> &[(String, ColumnType)] {
        &self.columns
    }
}
