//! Rows of values as an argument of a statement, for each engine.

/// A column of [`Rows`].
#[derive(Debug)]
pub(in crate::outbox) enum Column {
    Text(Vec<Option<String>>),
    Number(Vec<Option<i64>>),
}

/// Rows of values, by column. A statement reads them where it says `{rows}`: `WITH j(id, reason) AS ({rows}) …`.
/// Their arguments follow the statement's own. The first column is the id of the emails; within `/*postgres: … */`,
/// `{first}` is that column as an array, by which rows are found through their key.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    columns: Vec<Column>,
}

macro_rules! column {
    ($($method:ident($type:ty) => $kind:ident $convert:expr),+ $(,)?) => {
        $(pub(crate) fn $method(mut self, values: impl IntoIterator<Item = $type>) -> Self {
            self.columns.push(Column::$kind(values.into_iter().map($convert).collect()));
            self
        })+
    };
}

impl Rows {
    column!(
        text(String) => Text Some,
        maybe_text(Option<String>) => Text std::convert::identity,
        number(i64) => Number Some,
        maybe_number(Option<i64>) => Number std::convert::identity,
    );

    pub(crate) fn len(&self) -> usize {
        match self.columns.first() {
            Some(Column::Text(values)) => values.len(),
            Some(Column::Number(values)) => values.len(),
            None => 0,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[cfg(feature = "postgres")]
    pub(super) fn into_columns(self) -> Vec<Column> {
        self.columns
    }
}

/// Replaces `{rows}` and `{first}` for PostgreSQL; `own` is the number of the statement's other arguments.
#[cfg(feature = "postgres")]
pub(super) fn as_arrays(statement: &str, own: usize, rows: &Rows) -> String {
    use std::fmt::Write as _;
    let mut arrays = String::from("SELECT * FROM unnest(");
    for (place, column) in rows.columns.iter().enumerate() {
        let kind = match column {
            Column::Text(_) => "text",
            Column::Number(_) => "bigint",
        };
        let comma = if place == 0 { "" } else { ", " };
        let _ = write!(arrays, "{comma}${}::{kind}[]", own + place + 1);
    }
    arrays.push(')');
    statement.replace("{rows}", &arrays).replace("{first}", &format!("${}", own + 1))
}

#[cfg(feature = "sqlite")]
pub(super) use values::Pieces;

#[cfg(feature = "sqlite")]
mod values {
    use super::{Column, Rows};
    use crate::outbox::store::Value;

    /// The most rows, and bound values, of one statement. SQLite takes 32 766 values; its time to prepare a statement
    /// grows with them.
    const MOST_ROWS: usize = 256;
    const MOST_VALUES: usize = 4096;

    /// A statement with rows, in pieces that SQLite accepts: as `VALUES`, in numbers of rows that are powers of two, so
    /// that few statements are prepared and all are reused.
    pub(in crate::outbox::store) struct Pieces<'a> {
        /// The text without the parts for PostgreSQL, split at its arguments.
        parts: Vec<Part<'a>>,
        own: Vec<Value>,
        columns: Vec<Box<dyn Iterator<Item = Value> + Send>>,
        left: usize,
    }

    enum Part<'a> {
        Text(&'a str),
        Own(usize),
        Rows,
    }

    impl<'a> Pieces<'a> {
        pub(in crate::outbox::store) fn new(statement: &'a str, own: Vec<Value>, rows: Rows) -> Self {
            let left = rows.len();
            let columns = rows.columns.into_iter().map(|column| match column {
                Column::Text(values) => Box::new(values.into_iter().map(Value::Text)) as Box<_>,
                Column::Number(values) => Box::new(values.into_iter().map(Value::Number)) as Box<_>,
            });
            Self { parts: cut(statement), own, columns: columns.collect(), left }
        }
    }

    impl Iterator for Pieces<'_> {
        type Item = (String, Vec<Value>);

        /// The next piece. Arguments have no numbers: SQLite would look each of them up in a list.
        fn next(&mut self) -> Option<Self::Item> {
            let most = MOST_ROWS.min(MOST_VALUES / self.columns.len().max(1)).max(1);
            let rows = 1_usize << self.left.min(most).checked_ilog2()?;
            self.left -= rows;
            let (mut text, mut values) = (String::new(), Vec::new());
            for part in &self.parts {
                match part {
                    Part::Text(piece) => text.push_str(piece),
                    Part::Own(number) => {
                        text.push('?');
                        values.extend(self.own.get(number - 1).map(Value::again));
                    }
                    Part::Rows => {
                        let row = format!("({})", vec!["?"; self.columns.len()].join(","));
                        text.push_str("VALUES ");
                        text.push_str(&vec![row; rows].join(","));
                        for _ in 0..rows {
                            values.extend(self.columns.iter_mut().filter_map(Iterator::next));
                        }
                    }
                }
            }
            Some((text, values))
        }
    }

    fn cut(statement: &str) -> Vec<Part<'_>> {
        let mut parts = Vec::new();
        let mut rest = statement;
        while let Some(at) = rest.find(['$', '{', '/']) {
            let (before, special) = rest.split_at(at);
            parts.push(Part::Text(before));
            let digits = special.bytes().skip(1).take_while(u8::is_ascii_digit).count();
            if let Some(after) = special.strip_prefix("{rows}") {
                parts.push(Part::Rows);
                rest = after;
            } else if special.starts_with("/*") {
                rest = special.split_once("*/").map_or("", |(_, after)| after);
            } else if let (true, Some((number, after))) =
                (special.starts_with('$'), special.get(1..).and_then(|it| it.split_at_checked(digits)))
            {
                parts.extend(number.parse().ok().map(Part::Own));
                rest = after;
            } else {
                let (sign, after) = special.split_at(1);
                parts.push(Part::Text(sign));
                rest = after;
            }
        }
        parts.push(Part::Text(rest));
        parts
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn rows_are_split_by_powers_of_two() {
            let rows = Rows::default().text((0..5).map(|n| n.to_string())).number(0..5);
            let statement =
                "WITH j(id, n) AS ({rows}) UPDATE t SET a = $2 /*postgres: {first} $1 */ WHERE b = $1 / 2";
            let pieces: Vec<_> =
                Pieces::new(statement, vec![Value::from(8), Value::from("x")], rows).collect();
            let texts: Vec<_> =
                pieces.iter().map(|(text, values)| (text.as_str(), format!("{values:?}"))).collect();
            assert_eq!(
                texts,
                [
                    (
                        "WITH j(id, n) AS (VALUES (?,?),(?,?),(?,?),(?,?)) UPDATE t SET a = ?  WHERE b = ? / 2",
                        "[Text(Some(\"0\")), Number(Some(0)), Text(Some(\"1\")), Number(Some(1)), Text(Some(\"2\")), \
                         Number(Some(2)), Text(Some(\"3\")), Number(Some(3)), Text(Some(\"x\")), Number(Some(8))]"
                            .to_owned()
                    ),
                    (
                        "WITH j(id, n) AS (VALUES (?,?)) UPDATE t SET a = ?  WHERE b = ? / 2",
                        "[Text(Some(\"4\")), Number(Some(4)), Text(Some(\"x\")), Number(Some(8))]".to_owned()
                    ),
                ]
            );
        }
    }
}
