//! URLs of version 2, written.

use super::braces;
use super::filter::{Filter, Operand, Scalar};
use super::period::{Moment, Period};
use super::query::{DataQuery, MAX_COLUMNS_V2, QueryError, Segment, Space};
use super::url::{Format, Method, Style};

impl DataQuery {
    /// The parameters of version 2, not encoded, in the order in which the vendor's pages have them.
    ///
    /// # Errors
    /// What version 2 cannot say: more than 30 columns, `$na` and `$undefined`, several segments or others than by their number, seconds, the options and
    /// the evolution's rows of version 3, a quote within a text.
    pub fn v2_parameters(&self) -> Result<Vec<(&'static str, String)>, QueryError> {
        self.check(MAX_COLUMNS_V2)?;
        let braces =
            |items: &mut dyn Iterator<Item = String>| format!("{{{}}}", items.collect::<Vec<_>>().join(","));
        let mut all = vec![("columns", braces(&mut self.columns.iter().map(ToString::to_string)))];
        if !self.sort.is_empty() {
            all.push(("sort", braces(&mut self.sort.iter().map(ToString::to_string))));
        }
        if let Some(filter) = &self.filter {
            all.push(("filter", format!("{{{}}}", written(filter)?)));
        }
        all.push((
            "space",
            match &self.space {
                Space::Sites(sites) => match sites.as_slice() {
                    [site] => format!("{{s:{site}}}"),
                    many => format!("{{s:{}}}", braces(&mut many.iter().map(ToString::to_string))),
                },
                Space::Level2 { site, level2 } => format!("{{l2s:{{s:{site},l2:{level2}}}}}"),
            },
        ));
        match self.segments.as_slice() {
            [] => {}
            [Segment::Id(segment)] => all.push(("segment", segment.to_string())),
            _ => return Err(QueryError::part("segment", "version 2 takes one, by its number")),
        }
        let texts = &self.presentation;
        all.extend(texts.segmentdesc.clone().map(|text| ("segmentdesc", text)));
        let spans = self.periods.iter().map(|spans| spans_text(spans)).collect::<Result<Vec<_>, _>>()?;
        let mut periods = spans.into_iter();
        all.push((
            "period",
            match self.names_periods() {
                false => periods.next().unwrap_or_default(),
                true => {
                    braces(&mut periods.enumerate().map(|(index, text)| format!("p{}:{text}", index + 1)))
                }
            },
        ));
        if let Some(evo) = &self.evo {
            if evo.top.is_some() {
                return Err(QueryError::part("evo", "version 2 does not choose its rows there"));
            }
            let period = evo.period.map(|period| format!(",p{period}")).unwrap_or_default();
            all.push(("evo", format!("{{{}{period}}}", evo.granularity.as_str())));
        }
        all.extend(texts.include.clone().map(|text| ("include", text)));
        all.extend(texts.sample.clone().map(|text| ("sample", text)));
        all.extend(texts.code.clone().map(|text| ("code", text)));
        all.extend(self.max_results.map(|rows| ("max-results", rows.to_string())));
        all.extend(self.page_num.map(|page| ("page-num", page.to_string())));
        all.extend(texts.sep.clone().map(|text| ("sep", text)));
        all.extend(texts.lng.clone().map(|text| ("lng", text)));
        if self.options != super::query::Options::default() {
            return Err(QueryError::part("options", "version 2 has none"));
        }
        Ok(all)
    }

    /// The URL of version 2. A key is never written into it: the REST API takes HTTP Basic too.
    ///
    /// # Errors
    /// As [`v2_parameters`](Self::v2_parameters).
    pub fn v2_url(
        &self,
        origin: &str,
        format: Option<Format>,
        method: Method,
        style: Style,
    ) -> Result<String, QueryError> {
        if method == Method::Total {
            return Err(QueryError::part("the method", "version 2 has no getTotal"));
        }
        let format = format.map(|format| format!("{}/", format.as_str())).unwrap_or_default();
        let mut url = format!("{}/data/v2/{format}{}?", origin.trim_end_matches('/'), method.as_str());
        for (name, value) in self.v2_parameters()? {
            url.push_str(&format!("&{name}="));
            encode(&value, style, &mut url);
        }
        Ok(url)
    }
}

fn encode(value: &str, style: Style, into: &mut String) {
    for byte in value.bytes() {
        let plain = match style {
            Style::Hand => byte.is_ascii_graphic() && !b"%&#+\"<>".contains(&byte),
            Style::Encoded => byte.is_ascii_alphanumeric() || b"-._~".contains(&byte),
        };
        if plain {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// Spans of one period in braces.
fn spans_text(spans: &[Period]) -> Result<String, QueryError> {
    let texts = spans.iter().map(span_text).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("{{{}}}", texts.join(",")))
}

fn span_text(span: &Period) -> Result<String, QueryError> {
    let bounds = |start: String, end: String| match start == end {
        true => format!("'{start}'"),
        false => format!("{{start:'{start}',end:'{end}'}}"),
    };
    match span {
        Period::Absolute { start: Moment::Second(_), .. }
        | Period::Absolute { end: Moment::Second(_), .. } => {
            Err(QueryError::part("period", "version 2 takes no seconds"))
        }
        Period::Absolute { granularity, start, end } => {
            Ok(format!("{}:{}", granularity.as_str(), bounds(start.to_string(), end.to_string())))
        }
        Period::Relative { granularity, start, end } => {
            Ok(format!("R:{{{}:{}}}", granularity.as_str(), bounds(start.to_string(), end.to_string())))
        }
    }
}

/// A filter without the braces around it.
fn written(filter: &Filter) -> Result<String, QueryError> {
    let all =
        |filters: &[Filter]| Ok(filters.iter().map(inner).collect::<Result<Vec<_>, QueryError>>()?.join(","));
    match filter {
        Filter::Is(_) | Filter::Any(_) => inner(filter),
        Filter::All(filters) => all(filters),
    }
}

fn inner(filter: &Filter) -> Result<String, QueryError> {
    let list =
        |filters: &[Filter]| Ok(filters.iter().map(inner).collect::<Result<Vec<_>, QueryError>>()?.join(","));
    match filter {
        Filter::All(filters) => Ok(format!("$AND:{{{}}}", list(filters)?)),
        Filter::Any(filters) => Ok(format!("$OR:{{{}}}", list(filters)?)),
        Filter::Is(condition) => {
            if !condition.operator.is_in_v2() {
                let what = format!("version 2 has no {}", condition.operator.as_str());
                return Err(QueryError::part("filter", what));
            }
            let value = match &condition.operand {
                Operand::Flag(flag) => flag.to_string(),
                Operand::One(value) => scalar_text(value)?,
                Operand::Many(values) if condition.operator.wants_list() => {
                    let values = values.iter().map(scalar_text).collect::<Result<Vec<_>, _>>()?;
                    format!("{{{}}}", values.join(","))
                }
                Operand::Many(_) => {
                    return Err(QueryError::part(
                        "filter",
                        "version 2 takes several values with $in, $nin and $inlk only",
                    ));
                }
            };
            Ok(format!("{}:{{{}:{value}}}", condition.column, condition.operator.as_str()))
        }
    }
}

fn scalar_text(value: &Scalar) -> Result<String, QueryError> {
    match value {
        Scalar::Number(number) => Ok(number.to_string()),
        Scalar::Text(text) => braces::quoted(text),
    }
}
