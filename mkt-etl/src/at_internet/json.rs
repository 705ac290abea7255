//! Queries of version 3, read and written as JSON.
//!
//! Source: the pages "Period", "Filter", "Evolution", "Sites" and "Options" of the Data API on
//! <https://developers.atinternet-solutions.com/piano-analytics/data-api>, read in November 2026. **Unconfirmed**: the
//! ends of a relative range (`startOffset`, `endOffset`), how a list of segments is written, and the texts of absolute
//! periods in other units than days (read as version 2 writes them).

use super::filter::{Condition, Filter, Operand, Operator, Scalar};
use super::period::{Granularity, Moment, Period};
use super::query::{
    Column, DataQuery, Evolution, MAX_COLUMNS_V3, MAX_PAGE, MAX_ROWS, MAX_SEGMENTS, Options, Presentation,
    QueryError, Segment, Sort, Space, Top,
};
use super::url::Method;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Map, Value, json};
use std::str::FromStr;

type Fields = Map<String, Value>;

/// The longest query, in bytes.
const MAX_LENGTH: usize = 256 * 1024;

/// Reads a query from a JSON text, with what version 3 says about it checked.
pub(super) fn parse(text: &str, method: Method) -> Result<DataQuery, QueryError> {
    if text.len() > MAX_LENGTH {
        return Err(QueryError::part("the text", "it is too long"));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| QueryError::line(&error))?;
    let query = read(&value)?;
    query.check_v3(method)?;
    Ok(query)
}

fn expected<T>(part: &str, what: &str) -> Result<T, QueryError> {
    Err(QueryError::part(part, format!("{what} was expected")))
}

fn object<'a>(value: &'a Value, part: &str) -> Result<&'a Fields, QueryError> {
    value.as_object().map_or_else(|| expected(part, "an object"), Ok)
}

fn array<'a>(value: &'a Value, part: &str) -> Result<&'a [Value], QueryError> {
    value.as_array().map_or_else(|| expected(part, "a list"), |list| Ok(list.as_slice()))
}

fn only(fields: &Fields, known: &[&str], part: &str) -> Result<(), QueryError> {
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        // The name is not repeated: it may be anything, also a key.
        Some(_) => {
            Err(QueryError::part(part, format!("it holds a field that is none of {}", known.join(", "))))
        }
        None => Ok(()),
    }
}

fn texts<T: FromStr<Err = QueryError>>(value: &Value, part: &str) -> Result<Vec<T>, QueryError> {
    array(value, part)?
        .iter()
        .enumerate()
        .map(|(index, item)| {
            let read = item.as_str().and_then(|text| text.parse().ok());
            read.map_or_else(|| expected(&format!("{part}[{index}]"), "the name of a column"), Ok)
        })
        .collect()
}

fn whole<N: TryFrom<u64>>(value: &Value, part: &str) -> Result<N, QueryError> {
    let read = value.as_u64().and_then(|number| N::try_from(number).ok());
    read.map_or_else(|| expected(part, "a whole number"), Ok)
}

fn read(value: &Value) -> Result<DataQuery, QueryError> {
    let fields = object(value, "the whole")?;
    only(
        fields,
        &[
            "columns",
            "sort",
            "filter",
            "space",
            "period",
            "evo",
            "segment",
            "max-results",
            "page-num",
            "options",
        ],
        "the whole",
    )?;
    let needed =
        |name: &str| fields.get(name).map_or_else(|| Err(QueryError::part(name, "it is missing")), Ok);
    let space = object(needed("space")?, "space")?;
    only(space, &["s"], "space")?;
    let sites = array(space.get("s").unwrap_or(&Value::Null), "space.s")?;
    let sites = sites.iter().map(|site| whole(site, "space.s")).collect::<Result<Vec<u64>, _>>()?;
    let segments = |value: &Value| match value {
        Value::Array(list) => list.iter().map(segment).collect(),
        one => segment(one).map(|one| vec![one]),
    };
    Ok(DataQuery {
        columns: texts::<Column>(needed("columns")?, "columns")?,
        sort: fields.get("sort").map(|sort| texts::<Sort>(sort, "sort")).transpose()?.unwrap_or_default(),
        filter: fields.get("filter").map(filter).transpose()?.flatten(),
        space: Space::Sites(sites),
        segments: fields.get("segment").map(segments).transpose()?.unwrap_or_default(),
        periods: periods(needed("period")?)?,
        evo: fields.get("evo").map(evolution).transpose()?,
        max_results: fields.get("max-results").map(|value| whole(value, "max-results")).transpose()?,
        page_num: fields.get("page-num").map(|value| whole(value, "page-num")).transpose()?,
        options: fields.get("options").map(options).transpose()?.unwrap_or_default(),
        presentation: Presentation::default(),
    })
}

fn segment(value: &Value) -> Result<Segment, QueryError> {
    let Value::Object(fields) = value else { return whole(value, "segment").map(Segment::Id) };
    only(fields, &["section", "segmentKey"], "segment")?;
    match (fields.get("section"), fields.get("segmentKey")) {
        (Some(Value::Object(section)), None) if !section.is_empty() => Ok(Segment::Section(section.clone())),
        (None, Some(Value::String(key))) if !key.is_empty() => Ok(Segment::Key(key.clone())),
        _ => expected("segment", "a section or a segmentKey"),
    }
}

fn segment_value(segment: &Segment) -> Value {
    match segment {
        Segment::Id(id) => json!(id),
        Segment::Key(key) => json!({"segmentKey": key}),
        Segment::Section(section) => json!({"section": section}),
    }
}

fn options(value: &Value) -> Result<Options, QueryError> {
    let fields = object(value, "options")?;
    only(fields, &["ignore_null_properties", "eco_mode"], "options")?;
    let flag = |name: &str| match fields.get(name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => expected(&format!("options.{name}"), "true or false"),
    };
    Ok(Options { ignore_null_properties: flag("ignore_null_properties")?, eco_mode: flag("eco_mode")? })
}

fn periods(value: &Value) -> Result<Vec<Vec<Period>>, QueryError> {
    let fields = object(value, "period")?;
    only(fields, &["p1", "p2"], "period")?;
    let Some(first) = fields.get("p1") else { return Err(QueryError::part("period.p1", "it is missing")) };
    std::iter::once((first, "period.p1"))
        .chain(fields.get("p2").map(|second| (second, "period.p2")))
        .map(|(value, part)| {
            let spans = array(value, part)?.iter().enumerate();
            let spans = spans.map(|(index, span)| {
                let part = format!("{part}[{index}]");
                period(object(span, &part)?, &part)
            });
            spans.collect()
        })
        .collect()
}

fn period(fields: &Fields, part: &str) -> Result<Period, QueryError> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    match text("type") {
        Some("R") => {
            only(fields, &["type", "granularity", "offset", "startOffset", "endOffset"], part)?;
            let unit =
                text("granularity").and_then(Granularity::named).filter(|unit| is_relative_unit(*unit));
            let Some(granularity) = unit else {
                return expected(&format!("{part}.granularity"), "Y, Q, M, W, D or H");
            };
            let number = |name: &str| {
                let read = fields.get(name).map(|value| value.as_i64().and_then(|x| i32::try_from(x).ok()));
                match read {
                    None => Ok(None),
                    Some(Some(number)) => Ok(Some(number)),
                    Some(None) => expected(&format!("{part}.{name}"), "a whole number"),
                }
            };
            match (number("offset")?, number("startOffset")?, number("endOffset")?) {
                (Some(both), None, None) => Ok(Period::Relative { granularity, start: both, end: both }),
                (None, Some(start), Some(end)) => Ok(Period::Relative { granularity, start, end }),
                _ => expected(part, "offset, or startOffset and endOffset,"),
            }
        }
        unit => {
            let unit = unit.and_then(Granularity::named).filter(|unit| is_relative_unit(*unit));
            let Some(granularity) = unit else {
                return expected(&format!("{part}.type"), "D, W, M, Q, Y, H or R");
            };
            only(fields, &["type", "start", "end"], part)?;
            let what = match granularity {
                Granularity::Day => "a day (YYYY-MM-DD) or a time (YYYY-MM-DDTHH:MM:SS)",
                Granularity::Year => "a year (YYYY)",
                Granularity::Hour => "an hour (YYYY-MM-DDTHH)",
                _ => "a year and its part (YYYY-NN)",
            };
            let moment = |name: &str| {
                let read = text(name).and_then(|text| Moment::read(granularity, text));
                read.map_or_else(|| expected(&format!("{part}.{name}"), what), Ok)
            };
            Ok(Period::Absolute { granularity, start: moment("start")?, end: moment("end")? })
        }
    }
}

fn is_relative_unit(unit: Granularity) -> bool {
    use Granularity::{Day, Hour, Month, Quarter, Week, Year};
    matches!(unit, Year | Quarter | Month | Week | Day | Hour)
}

fn evolution(value: &Value) -> Result<Evolution, QueryError> {
    let fields = object(value, "evo")?;
    only(fields, &["granularity", "top"], "evo")?;
    let unit = fields.get("granularity").and_then(Value::as_str).and_then(Granularity::named);
    let Some(granularity) = unit.filter(|unit| is_evolution_unit(*unit)) else {
        return expected("evo.granularity", "M, W, D or H");
    };
    let Some(top) = fields.get("top") else { return Err(QueryError::part("evo.top", "it is missing")) };
    let top = object(top, "evo.top")?;
    only(top, &["max-results", "page-num", "sort", "filter", "period"], "evo.top")?;
    let period = match top.get("period").map(periods).transpose()? {
        None => None,
        Some(periods) => match <[_; 1]>::try_from(periods) {
            Ok([one]) => Some(one),
            Err(_) => return expected("evo.top.period", "p1 alone"),
        },
    };
    Ok(Evolution {
        granularity,
        period: None,
        top: Some(Top {
            max_results: top
                .get("max-results")
                .map(|value| whole(value, "evo.top.max-results"))
                .transpose()?,
            page_num: top.get("page-num").map(|value| whole(value, "evo.top.page-num")).transpose()?,
            sort: top.get("sort").map(|sort| texts(sort, "evo.top.sort")).transpose()?.unwrap_or_default(),
            filter: top.get("filter").map(filter).transpose()?.flatten(),
            period,
        }),
    })
}

fn is_evolution_unit(unit: Granularity) -> bool {
    matches!(unit, Granularity::Month | Granularity::Week | Granularity::Day | Granularity::Hour)
}

fn filter(value: &Value) -> Result<Option<Filter>, QueryError> {
    let fields = object(value, "filter")?;
    only(fields, &["property", "metric"], "filter")?;
    let parts = ["property", "metric"].iter().filter_map(|kind| Some((*kind, fields.get(*kind)?)));
    let parts = parts.map(|(kind, value)| {
        let part = format!("filter.{kind}");
        let read = tree(value, &part, 0)?;
        match read.conditions().iter().all(|condition| condition.column.is_metric() == (kind == "metric")) {
            true => Ok(read),
            false => Err(QueryError::part(part, "properties and metrics are filtered apart")),
        }
    });
    Ok(Filter::all(parts.collect::<Result<Vec<_>, _>>()?))
}

fn tree(value: &Value, part: &str, depth: usize) -> Result<Filter, QueryError> {
    if depth > 24 {
        return Err(QueryError::part(part, "there are too many lists within each other"));
    }
    let list = |value: &Value, key: &str| {
        let items = array(value, part)?.iter().enumerate();
        items
            .map(|(index, item)| tree(item, &format!("{part}.{key}[{index}]"), depth + 1))
            .collect::<Result<Vec<_>, _>>()
    };
    let mut all = Vec::new();
    for (index, (key, value)) in object(value, part)?.iter().enumerate() {
        let found = match key.as_str() {
            "$AND" => Filter::all(list(value, key)?),
            "$OR" => Filter::any(list(value, key)?),
            name => {
                let part = format!("{part}[{index}]");
                let column = name
                    .parse::<Column>()
                    .or_else(|_| expected(&part, "the name of a column, $AND or $OR"))?;
                let tests = object(value, &part)?
                    .iter()
                    .map(|(operator, value)| condition(&column, operator, value, &part));
                Filter::all(tests.collect::<Result<Vec<_>, _>>()?)
            }
        };
        all.push(found.map_or_else(|| expected(part, "a filter"), Ok)?);
    }
    Filter::all(all).map_or_else(|| expected(part, "a filter"), Ok)
}

fn condition(column: &Column, operator: &str, value: &Value, part: &str) -> Result<Filter, QueryError> {
    let Some(operator) = Operator::named(operator).filter(|operator| operator.is_in_v3()) else {
        return expected(part, "an operator of version 3 ($eq, $gt, $lk, …)");
    };
    let one = |value: &Value| match value {
        Value::String(text) => Ok(Scalar::Text(text.clone())),
        Value::Number(number) => {
            let text = number.to_string();
            let read = Decimal::from_str(&text).or_else(|_| Decimal::from_scientific(&text));
            read.map(Scalar::from).or_else(|_| expected(part, "a number of up to 28 digits"))
        }
        _ => expected(part, "a text or a number"),
    };
    let operand = match value {
        Value::Bool(flag) => Operand::Flag(*flag),
        Value::Array(list) => Operand::Many(list.iter().map(one).collect::<Result<_, _>>()?),
        other => Operand::One(one(other)?),
    };
    Ok(Filter::is(column.clone(), operator, operand))
}

impl DataQuery {
    /// Reads a query of version 3 from JSON.
    ///
    /// # Errors
    /// Where the text does not read, or holds what version 3 does not know.
    pub fn from_v3(text: &str) -> Result<Self, QueryError> {
        parse(text, Method::Data)
    }

    fn check_v3(&self, method: Method) -> Result<(), QueryError> {
        self.check(MAX_COLUMNS_V3)?;
        let refuse = |part: &str, what: &str| Err(QueryError::part(part, what));
        if self.periods.len() > 2 {
            return refuse("period", "version 3 compares two at most");
        }
        if self.segments.len() > MAX_SEGMENTS {
            return refuse("segment", "there are at most six");
        }
        if self.presentation != Presentation::default() {
            return refuse("sep, lng and the like", "version 3 does not know them");
        }
        if method == Method::Data {
            match (&self.evo, self.sort.is_empty()) {
                (None, true) => return refuse("sort", "version 3 wants an order"),
                (Some(_), false) => return refuse("sort", "beside an evolution there is none"),
                _ => {}
            }
            let last =
                u64::from(self.max_results.unwrap_or(MAX_PAGE)) * u64::from(self.page_num.unwrap_or(1));
            if last > MAX_ROWS {
                return refuse("page-num", "the page ends beyond the 200,000th row");
            }
        }
        Ok(())
    }

    /// The query as version 3 takes it; for counts and totals without order and page, as the vendor wants it.
    ///
    /// # Errors
    /// What version 3 cannot say: more than 50 columns, no order, a period in half years or minutes, a part of
    /// a site, `$inlk`, a choice between properties and metrics, the presentation of version 2.
    pub fn to_v3(&self, method: Method) -> Result<Value, QueryError> {
        self.check_v3(method)?;
        let refuse = |part: &str, what: &str| Err(QueryError::part(part, what));
        let names = |items: &[Column]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
        let order = |items: &[Sort]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
        let Space::Sites(sites) = &self.space else {
            return refuse("space", "version 3 has no level 2 sites");
        };
        let mut periods = Fields::new();
        for (index, period) in self.periods.iter().enumerate() {
            periods.insert(format!("p{}", index + 1), spans_value(period)?);
        }
        let mut body = json!({"columns": names(&self.columns), "space": {"s": sites}, "period": periods});
        if let Some(filter) = &self.filter {
            body["filter"] = filter_value(filter)?;
        }
        if !self.segments.is_empty() {
            body["segment"] = match self.segments.as_slice() {
                [one @ (Segment::Key(_) | Segment::Section(_))] => segment_value(one),
                several => several.iter().map(segment_value).collect(),
            };
        }
        if let Some(evo) = &self.evo {
            let Some(top) = &evo.top else { return refuse("evo.top", "version 3 needs it") };
            if evo.period.is_some() || !is_evolution_unit(evo.granularity) {
                return refuse(
                    "evo",
                    "version 3 has months, weeks, days and hours, without a period's label",
                );
            }
            let mut rows = Fields::new();
            rows.extend(top.max_results.map(|count| ("max-results".to_owned(), json!(count))));
            rows.extend(top.page_num.map(|page| ("page-num".to_owned(), json!(page))));
            if !top.sort.is_empty() {
                rows.insert("sort".to_owned(), json!(order(&top.sort)));
            }
            if let Some(filter) = &top.filter {
                rows.insert("filter".to_owned(), filter_value(filter)?);
            }
            if let Some(period) = &top.period {
                rows.insert("period".to_owned(), json!({"p1": spans_value(period)?}));
            }
            body["evo"] = json!({"granularity": evo.granularity.as_str(), "top": rows});
        }
        if self.options != Options::default() {
            let Options { ignore_null_properties, eco_mode } = self.options;
            body["options"] = json!({"ignore_null_properties": ignore_null_properties, "eco_mode": eco_mode});
        }
        if method == Method::Data {
            if !self.sort.is_empty() {
                body["sort"] = json!(order(&self.sort));
            }
            if let Some(rows) = self.max_results {
                body["max-results"] = json!(rows);
            }
            if let Some(page) = self.page_num {
                body["page-num"] = json!(page);
            }
        }
        Ok(body)
    }

    /// The body that a restricted key takes: the period and the page. Columns, order, filter and sites are the key's.
    pub(super) fn to_v3_restricted(&self) -> Result<Value, QueryError> {
        let [period] = self.periods.as_slice() else {
            return Err(QueryError::part("period", "a restricted key takes one"));
        };
        let mut body = json!({"period": {"p1": spans_value(period)?}});
        body["max-results"] = json!(self.max_results.unwrap_or(MAX_PAGE));
        body["page-num"] = json!(self.page_num.unwrap_or(1));
        Ok(body)
    }

    /// The URL of version 3's GET form, encoded. There is no key in it: that travels in a header.
    ///
    /// # Errors
    /// As [`to_v3`](Self::to_v3).
    pub fn v3_url(&self, origin: &str, method: Method) -> Result<String, QueryError> {
        let param = self.to_v3(method)?.to_string();
        let param: String = url::form_urlencoded::byte_serialize(param.as_bytes()).collect();
        Ok(format!(
            "{}/v3/data/{}?param={}",
            origin.trim_end_matches('/'),
            method.as_str(),
            param.replace('+', "%20")
        ))
    }
}

fn spans_value(spans: &[Period]) -> Result<Value, QueryError> {
    spans.iter().map(period_value).collect()
}

fn period_value(period: &Period) -> Result<Value, QueryError> {
    match period {
        Period::Absolute { granularity, start, end } if is_relative_unit(*granularity) => {
            let unit = granularity.as_str();
            Ok(json!({"type": unit, "start": start.to_string(), "end": end.to_string()}))
        }
        Period::Absolute { .. } => Err(QueryError::part("period", "version 3 does not take this unit")),
        Period::Relative { granularity, start, end } if is_relative_unit(*granularity) => {
            let granularity = granularity.as_str();
            Ok(match start == end {
                true => json!({"type": "R", "granularity": granularity, "offset": start}),
                false => {
                    json!({"type": "R", "granularity": granularity, "startOffset": start, "endOffset": end})
                }
            })
        }
        Period::Relative { .. } => {
            Err(QueryError::part("period", "version 3 does not count back in this unit"))
        }
    }
}

/// Properties and metrics are filtered apart, and both must hold.
fn filter_value(filter: &Filter) -> Result<Value, QueryError> {
    let parts = match filter {
        Filter::All(parts) => parts.clone(),
        other => vec![other.clone()],
    };
    let (mut properties, mut metrics) = (Vec::new(), Vec::new());
    for part in parts {
        let count = part.conditions().iter().filter(|condition| condition.column.is_metric()).count();
        match count {
            0 => properties.push(part),
            all if all == part.conditions().len() => metrics.push(part),
            _ => {
                return Err(QueryError::part(
                    "filter",
                    "version 3 takes no choice between properties and metrics",
                ));
            }
        }
    }
    let mut fields = Fields::new();
    for (kind, parts) in [("property", properties), ("metric", metrics)] {
        if let Some(filter) = Filter::all(parts) {
            fields.insert(kind.to_owned(), tree_value(&filter)?);
        }
    }
    Ok(Value::Object(fields))
}

fn tree_value(filter: &Filter) -> Result<Value, QueryError> {
    let list = |parts: &[Filter]| parts.iter().map(tree_value).collect::<Result<Vec<_>, _>>();
    Ok(match filter {
        Filter::All(parts) => json!({"$AND": list(parts)?}),
        Filter::Any(parts) => json!({"$OR": list(parts)?}),
        Filter::Is(Condition { column, operator, operand }) => {
            if !operator.is_in_v3() {
                return Err(QueryError::part("filter", format!("version 3 has no {}", operator.as_str())));
            }
            let value = match operand {
                Operand::Flag(flag) => json!(flag),
                Operand::One(value) => scalar_value(value),
                Operand::Many(values) => json!(values.iter().map(scalar_value).collect::<Vec<_>>()),
            };
            json!({column.to_string(): {operator.as_str(): value}})
        }
    })
}

fn scalar_value(value: &Scalar) -> Value {
    match value {
        Scalar::Text(text) => json!(text),
        Scalar::Number(number) => match (number.is_integer(), number.to_i64()) {
            (true, Some(whole)) => json!(whole),
            _ => json!(number.to_f64()),
        },
    }
}
