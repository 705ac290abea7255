//! Filters, in the JSON of version 3, and the order of values.

use super::asking::{Refusal, old_name, refuse};
use crate::at_internet::{self, Filter, Operand, Scalar};
use serde_json::{Value, json};
use std::cmp::Ordering;

/// The order of two values of a column.
pub(super) fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default())
        }
        _ => text(a).cmp(&text(b)),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Whether a filter holds for the values of a row.
pub(super) fn holds(filter: &Value, value: &dyn Fn(&str) -> Value) -> Result<bool, Refusal> {
    let wrong = || (400, "InvalidFilter".to_owned(), "the filter does not read".to_owned());
    let fields = filter.as_object().ok_or_else(wrong)?;
    for (key, inner) in fields {
        let list = || inner.as_array().ok_or_else(wrong);
        let held = match key.as_str() {
            "$AND" => {
                list()?.iter().map(|part| holds(part, value)).try_fold(true, |all, held| Ok(all & held?))?
            }
            "$OR" => {
                list()?.iter().map(|part| holds(part, value)).try_fold(false, |any, held| Ok(any | held?))?
            }
            name => {
                let own = value(name);
                let tests = inner.as_object().ok_or_else(wrong)?;
                tests
                    .iter()
                    .map(|(operator, wanted)| test(&own, operator, wanted))
                    .try_fold(true, |all, held| Ok(all & held?))?
            }
        };
        if !held {
            return Ok(false);
        }
    }
    Ok(true)
}

fn test(own: &Value, operator: &str, wanted: &Value) -> Result<bool, Refusal> {
    let many: Vec<&Value> = wanted.as_array().map_or_else(|| vec![wanted], |list| list.iter().collect());
    let same = |wanted: &&Value| compare(own, wanted) == Ordering::Equal && !own.is_null();
    let own_text = text(own);
    let texts = || many.iter().map(|value| text(value));
    Ok(match operator {
        "$eq" | "$in" => many.iter().any(same),
        "$neq" | "$nin" => !many.iter().any(same),
        "$gt" => compare(own, wanted) == Ordering::Greater,
        "$gte" => compare(own, wanted) != Ordering::Less,
        "$lt" => compare(own, wanted) == Ordering::Less,
        "$lte" => compare(own, wanted) != Ordering::Greater,
        "$lk" | "$inlk" => texts().any(|part| own_text.contains(&part)),
        "$nlk" => !texts().any(|part| own_text.contains(&part)),
        "$start" => texts().any(|part| own_text.starts_with(&part)),
        "$nstart" => !texts().any(|part| own_text.starts_with(&part)),
        "$end" => texts().any(|part| own_text.ends_with(&part)),
        "$nend" => !texts().any(|part| own_text.ends_with(&part)),
        "$empty" | "$na" | "$undefined" => own.is_null() == wanted.as_bool().unwrap_or_default(),
        _ => return refuse("InvalidFilter", "an operator is not known"),
    })
}

/// A filter of version 2 as JSON with the names of version 3.
pub(super) fn tree(filter: &Filter) -> Value {
    let scalar = |value: &Scalar| match value {
        Scalar::Text(text) => json!(text),
        Scalar::Number(number) => json!(number.to_string().parse::<f64>().unwrap_or_default()),
    };
    match filter {
        Filter::All(parts) => json!({"$AND": parts.iter().map(tree).collect::<Vec<_>>()}),
        Filter::Any(parts) => json!({"$OR": parts.iter().map(tree).collect::<Vec<_>>()}),
        Filter::Is(at_internet::Condition { column, operator, operand }) => {
            let operand = match operand {
                Operand::Flag(flag) => json!(flag),
                Operand::One(value) => scalar(value),
                Operand::Many(values) => values.iter().map(scalar).collect(),
            };
            json!({old_name(column.name.as_str()): {operator.as_str(): operand}})
        }
    }
}
