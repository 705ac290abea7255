//! Which rows: comparisons, and how they are combined.

use super::query::Column;
use rust_decimal::Decimal;

macro_rules! operators {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $two:literal, $three:literal;)*) => {
        /// An operator of a filter.
        ///
        /// Version 2: page "filter parameter" of the REST API. Version 3: page "Filter" of the Data API. Both read in
        /// November 2026; `$nin` in version 3 as public clients send it (piano-analytics-api 1.0).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operator { $($(#[$doc])* $variant,)* }

        impl Operator {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// As it is written: `$eq`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Whether version 2 knows it.
            #[must_use]
            pub fn is_in_v2(self) -> bool {
                match self { $(Self::$variant => $two,)* }
            }

            /// Whether version 3 knows it.
            #[must_use]
            pub fn is_in_v3(self) -> bool {
                match self { $(Self::$variant => $three,)* }
            }

            pub(super) fn named(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

operators! {
    /// Equal to.
    Eq = "$eq", true, true;
    /// Other than.
    Neq = "$neq", true, true;
    /// Greater than.
    Gt = "$gt", true, true;
    /// Greater than or equal to.
    Gte = "$gte", true, true;
    /// Less than.
    Lt = "$lt", true, true;
    /// Less than or equal to.
    Lte = "$lte", true, true;
    /// One of a list.
    In = "$in", true, true;
    /// None of a list.
    Nin = "$nin", true, true;
    /// Contains.
    Lk = "$lk", true, true;
    /// Does not contain.
    Nlk = "$nlk", true, true;
    /// Contains one of a list.
    Inlk = "$inlk", true, false;
    /// Begins with.
    Start = "$start", true, true;
    /// Does not begin with.
    Nstart = "$nstart", true, true;
    /// Ends with.
    End = "$end", true, true;
    /// Does not end with.
    Nend = "$nend", true, true;
    /// Is null or undefined, or is not.
    Empty = "$empty", true, true;
    /// Is null, or is not.
    Na = "$na", false, true;
    /// Is undefined, or is not.
    Undefined = "$undefined", false, true;
}

impl Operator {
    /// Whether it wants `true` or `false`.
    #[must_use]
    pub fn wants_flag(self) -> bool {
        matches!(self, Self::Empty | Self::Na | Self::Undefined)
    }

    /// Whether it wants a list.
    #[must_use]
    pub fn wants_list(self) -> bool {
        matches!(self, Self::In | Self::Nin | Self::Inlk)
    }
}

/// A value to compare with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// A number, without zeros at its end.
    Number(Decimal),
}

impl From<&str> for Scalar {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Scalar {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Decimal> for Scalar {
    fn from(number: Decimal) -> Self {
        Self::Number(number.normalize())
    }
}

impl From<i64> for Scalar {
    fn from(number: i64) -> Self {
        Decimal::from(number).into()
    }
}

/// What an operator compares with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Operand {
    /// One value.
    One(Scalar),
    /// Several: any of them.
    Many(Vec<Scalar>),
    /// Of `$empty` and the like.
    Flag(bool),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Condition {
    /// Of what.
    pub column: Column,
    /// How.
    pub operator: Operator,
    /// With what.
    pub operand: Operand,
}

/// A filter.
///
/// [`Filter::all`] and [`Filter::any`] keep it in one form: no list of one, no list directly within a list of the same
/// kind. Parsing gives this form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Filter {
    /// A comparison.
    Is(Condition),
    /// All of them.
    All(Vec<Filter>),
    /// One of them at least.
    Any(Vec<Filter>),
}

impl Filter {
    /// A comparison.
    #[must_use]
    pub fn is(column: impl Into<Column>, operator: Operator, operand: Operand) -> Self {
        Self::Is(Condition { column: column.into(), operator, operand })
    }

    /// Equal to one value.
    #[must_use]
    pub fn equals(column: impl Into<Column>, value: impl Into<Scalar>) -> Self {
        Self::is(column, Operator::Eq, Operand::One(value.into()))
    }

    /// All of these; nothing for none.
    #[must_use]
    pub fn all(filters: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut flat = Vec::new();
        for filter in filters {
            match filter {
                Self::All(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() > 1 { Some(Self::All(flat)) } else { flat.pop() }
    }

    /// One of these at least; nothing for none.
    #[must_use]
    pub fn any(filters: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut flat = Vec::new();
        for filter in filters {
            match filter {
                Self::Any(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() > 1 { Some(Self::Any(flat)) } else { flat.pop() }
    }

    /// Its comparisons, in order.
    pub fn conditions(&self) -> Vec<&Condition> {
        match self {
            Self::Is(condition) => vec![condition],
            Self::All(inner) | Self::Any(inner) => inner.iter().flat_map(Self::conditions).collect(),
        }
    }
}
