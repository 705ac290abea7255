//! Conditions: small typed data, no script.

use super::decide::Happened;
use super::span::before;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::time::Duration;

/// Which triggers of a contact are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Of {
    /// Those about the same entity (the same cart).
    #[default]
    Entity,
    /// All of the contact, whatever they are about.
    Contact,
}

/// A value that a condition compares with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Scalar {
    /// True or false.
    Bool(bool),
    /// A number without a fraction.
    Integer(i64),
    /// A number.
    Number(f64),
    /// A text, compared by the byte.
    Text(String),
}

impl Scalar {
    fn equals(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::Integer(a), Value::Number(b)) => {
                b.as_i64().map_or_else(|| b.as_f64() == Some(*a as f64), |b| *a == b)
            }
            (Self::Number(a), Value::Number(b)) => b.as_f64() == Some(*a),
            (Self::Text(a), Value::String(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(it) => write!(f, "{it}"),
            Self::Integer(it) => write!(f, "{it}"),
            Self::Number(it) => write!(f, "{it}"),
            Self::Text(it) => write!(f, "{it:?}"),
        }
    }
}

macro_rules! into_scalar {
    ($($type:ty => $variant:ident),+ $(,)?) => {
        $(impl From<$type> for Scalar {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        })+
    };
}
into_scalar!(bool => Bool, i64 => Integer, i32 => Integer, f64 => Number, &str => Text, String => Text);

/// What is asked of a field.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Test {
    /// It is there and not null.
    Exists,
    /// It is this value.
    Equals(Scalar),
    /// It is one of these values.
    OneOf(Vec<Scalar>),
    /// It is a number of at least this.
    AtLeast(f64),
    /// It is a number below this.
    LessThan(f64),
}

/// A condition on a payload or on past triggers.
///
/// A field that is missing, or of another type than it is compared with, fulfils nothing: `"20"` is not the number 20.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Condition {
    /// A field of the payload; `a.b` is the field `b` of the object `a`.
    Field {
        /// Its path.
        field: String,
        /// What is asked of it.
        test: Test,
    },
    /// A trigger that happened before.
    Happened {
        /// Its kind.
        kind: String,
        /// Whose triggers are looked at.
        of: Of,
        /// How long ago at most; without, ever.
        within: Option<Duration>,
    },
    /// All of these.
    All(Vec<Condition>),
    /// At least one of these.
    Any(Vec<Condition>),
    /// Not this.
    Not(Box<Condition>),
}

impl Condition {
    /// A condition on a field of the payload.
    #[must_use]
    pub fn field(field: impl Into<String>, test: Test) -> Self {
        Self::Field { field: field.into(), test }
    }

    /// A trigger of this kind happened before, ever, about the same entity.
    #[must_use]
    pub fn happened(kind: impl Into<String>) -> Self {
        Self::Happened { kind: kind.into(), of: Of::Entity, within: None }
    }

    /// Whether it holds at an instant.
    pub(super) fn holds(
        &self,
        payload: &Map<String, Value>,
        entity: &str,
        past: &[Happened],
        at: DateTime<Utc>,
    ) -> bool {
        match self {
            Self::Field { field, test } => {
                let mut names = field.split('.');
                let first = names.next().and_then(|name| payload.get(name));
                let value = names.fold(first, |value, name| value.and_then(|value| value.get(name)));
                value.is_some_and(|value| test.holds(value))
            }
            Self::Happened { kind, of, within } => past.iter().any(|it| {
                it.kind == *kind
                    && it.at <= at
                    && within.is_none_or(|within| it.at >= before(at, within))
                    && (*of == Of::Contact || it.entity == entity)
            }),
            Self::All(parts) => parts.iter().all(|part| part.holds(payload, entity, past, at)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(payload, entity, past, at)),
            Self::Not(part) => !part.holds(payload, entity, past, at),
        }
    }

    /// Whether it looks at past triggers.
    pub(super) fn looks_back(&self) -> bool {
        match self {
            Self::Field { .. } => false,
            Self::Happened { .. } => true,
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::looks_back),
            Self::Not(part) => part.looks_back(),
        }
    }
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Exists => !value.is_null(),
            Self::Equals(wanted) => wanted.equals(value),
            Self::OneOf(wanted) => wanted.iter().any(|wanted| wanted.equals(value)),
            Self::AtLeast(least) => value.as_f64().is_some_and(|it| it >= *least),
            Self::LessThan(most) => value.as_f64().is_some_and(|it| it < *most),
        }
    }
}

/// A trigger that something waits for, or ends by.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EventMatch {
    /// Its kind.
    pub kind: String,
    /// Whose triggers are looked at.
    pub of: Of,
    /// What its own payload must fulfil.
    pub condition: Option<Condition>,
}

impl EventMatch {
    /// A trigger of this kind about the same entity.
    #[must_use]
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), of: Of::Entity, condition: None }
    }

    /// Whatever entity of the contact it is about.
    #[must_use]
    pub fn of_contact(mut self) -> Self {
        self.of = Of::Contact;
        self
    }

    /// Only if its payload fulfils this.
    #[must_use]
    pub fn only_if(mut self, condition: Condition) -> Self {
        self.condition = Some(condition);
        self
    }

    /// Whether a trigger is one, for an entity.
    pub(super) fn fits(&self, it: &Happened, entity: &str) -> bool {
        self.kind == it.kind
            && (self.of == Of::Contact || it.entity == entity)
            && self
                .condition
                .as_ref()
                .is_none_or(|condition| condition.holds(&it.payload, entity, &[], it.at))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            for (number, part) in parts.iter().enumerate() {
                let before = if number > 0 { word } else { "" };
                write!(f, "{before}{part}")?;
            }
            Ok(())
        };
        match self {
            Self::Field { field, test } => match test {
                Test::Exists => write!(f, "{field} is there"),
                Test::Equals(it) => write!(f, "{field} = {it}"),
                Test::OneOf(these) => {
                    let these: Vec<String> = these.iter().map(ToString::to_string).collect();
                    write!(f, "{field} is one of {}", these.join(", "))
                }
                Test::AtLeast(it) => write!(f, "{field} ≥ {it}"),
                Test::LessThan(it) => write!(f, "{field} < {it}"),
            },
            Self::Happened { kind, of, within } => {
                let whose = if *of == Of::Contact { " of the contact" } else { "" };
                match within {
                    Some(within) => {
                        write!(f, "{kind}{whose} within {}", super::span::write_duration(*within))
                    }
                    None => write!(f, "{kind}{whose} before"),
                }
            }
            Self::All(parts) => joined(f, parts, " and "),
            Self::Any(parts) => joined(f, parts, " or "),
            Self::Not(part) => write!(f, "not ({part})"),
        }
    }
}
