//! Bounds what a template computes while it computes it. minijinja counts instructions (fuel), not bytes: forty times
//! `{% set x = x ~ x %}` are a few hundred instructions and a terabyte.
//!
//! A value grows beyond what an expression names only by being named again. So every value that gets a name (`set`, `for`,
//! `with`) passes through a filter that measures it, filters that can write much refuse before they do, and what is written,
//! also into a `{% set x %}` block, is counted. The source is rewritten for that, within its lines.
//!
//! # Not bounded
//! One expression between two names: it holds at most 200 operators and 2 000 bytes, so that it makes at most some hundred
//! copies of the largest value ([`MAX_VALUE`], or the largest text of the recipient's context); and a string that is
//! multiplied by a number of the context, which minijinja ends at 100 MB. Values of the context are the caller's.

use super::tags::{Tags, outer};
use minijinja::value::{Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, Value};

/// Most bytes of text in a value with a name: readers clip emails before.
pub(super) const MAX_VALUE: usize = 128 * 1024;
/// Most items in a value with a name, those inside of others included.
const MAX_ITEMS: usize = 20_000;
/// Deepest nesting of lists in a value with a name: each level is a frame of the stack.
const MAX_DEPTH: usize = 32;
/// Most loops inside of each other.
const MAX_LOOPS: usize = 20;
/// Most bytes that are written for one part, into blocks too.
const MAX_WRITTEN: usize = 8_000_000;
/// Most that a filter writes at once.
const MAX_FILTERED: usize = 1_000_000;
/// Widest number of a format, and most columns of a batch.
const MAX_COUNT: usize = 1_000;

const NAMED: &str = "__named";
const WRITES: &str = "__writes";

fn refused(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// What was written so far.
#[derive(Debug, Default)]
struct Written(usize);

/// Counts what is written: an error beyond the limit.
pub(super) fn count_written(state: &mut State<'_, '_>, bytes: usize) -> Result<(), Error> {
    let written = state.get_or_insert_extension(Written::default());
    written.0 = written.0.saturating_add(bytes);
    match written.0 > MAX_WRITTEN {
        true => Err(refused("it writes more than 8 MB")),
        false => Ok(()),
    }
}

/// The bytes of a value's texts; an error beyond the limits.
pub(super) fn measured(value: &Value) -> Result<usize, Error> {
    measured_within(value, MAX_VALUE)
}

fn measured_within(value: &Value, most: usize) -> Result<usize, Error> {
    let (mut bytes, mut items) = (0_usize, 0_usize);
    let mut waiting = vec![(value.clone(), 0_usize)];
    while let Some((value, depth)) = waiting.pop() {
        items += 1;
        if let Some(text) = value.as_str() {
            bytes += text.len();
        } else if let Some(raw) = value.as_bytes() {
            bytes += raw.len();
        }
        if bytes > most || items > MAX_ITEMS {
            return Err(refused("a value is larger than 128 KB or 20 000 items"));
        }
        if depth > MAX_DEPTH {
            return Err(refused("lists are nested more than 32 deep"));
        }
        let is_map = match value.kind() {
            ValueKind::Map => true,
            // What has no length is an iterator: looking at it would use it up.
            ValueKind::Seq | ValueKind::Iterable if value.len().is_some() => false,
            _ => continue,
        };
        if value.len().is_some_and(|length| length > MAX_ITEMS) {
            return Err(refused("a value is larger than 128 KB or 20 000 items"));
        }
        for item in value.try_iter()? {
            if is_map {
                waiting.push((value.get_item(&item)?, depth + 1));
            }
            waiting.push((item, depth + 1));
            if waiting.len() > 2 * MAX_ITEMS {
                return Err(refused("a value is larger than 128 KB or 20 000 items"));
            }
        }
    }
    Ok(bytes)
}

/// Adds the guards to an environment.
pub(super) fn install(environment: &mut Environment<'static>) {
    environment.add_filter(NAMED, |value: Value| -> Result<Value, Error> {
        measured(&value)?;
        // A tuple is copied whole by `*` and `+`; a list is not.
        match value.is_tuple() {
            true => Ok(Value::from(value.try_iter()?.collect::<Vec<Value>>())),
            false => Ok(value),
        }
    });
    environment.add_function(WRITES, |state: &mut State<'_, '_>, bytes: usize| {
        count_written(state, bytes).map(|()| Value::from_safe_string(String::new()))
    });
    environment.add_filter("__replace", minijinja::filters::replace);
    environment.add_filter("replace", |state: &mut State<'_, '_>, args: Rest<Value>| {
        if let [value, from, to, ..] = args.as_slice() {
            for argument in [value, from, to] {
                measured_within(argument, MAX_FILTERED)?;
            }
            let (text, from, to) = (value.to_string(), from.to_string(), to.to_string());
            let found = text.matches(from.as_str()).count();
            within(text.len().saturating_add(found.saturating_mul(to.len())))?;
        }
        state.apply_filter("__replace", &args)
    });
    environment.add_filter("__join", minijinja::filters::join);
    environment.add_filter("join", |state: &mut State<'_, '_>, args: Rest<Value>| {
        let mut args = args.0;
        if let Some(value) = args.first_mut() {
            *value = held(value)?;
            let bytes = measured_within(value, MAX_FILTERED)?;
            let items = value.len().unwrap_or_default();
            let joiners: usize = args.iter().skip(1).map(|joiner| joiner.to_string().len()).sum();
            within(bytes.saturating_add(items.saturating_mul(joiners)))?;
        }
        state.apply_filter("__join", &args)
    });
    environment.add_filter("__list", minijinja::filters::list);
    environment.add_filter("list", |state: &mut State<'_, '_>, args: Rest<Value>| {
        let mut args = args.0;
        if let Some(value) = args.first_mut() {
            *value = held(value)?;
        }
        state.apply_filter("__list", &args)
    });
    environment.add_filter("__format", minijinja::filters::format);
    environment.add_filter("format", |state: &mut State<'_, '_>, args: Rest<Value>| {
        if let Some(text) = args.first().map(ToString::to_string) {
            let numbers = text.split(|c: char| !c.is_ascii_digit());
            let wide =
                numbers.filter_map(|digits| digits.parse::<usize>().ok()).any(|width| width > MAX_COUNT);
            let wide = wide || text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 9);
            if wide || text.contains('*') {
                return Err(refused("a format wider than 1 000 characters"));
            }
        }
        state.apply_filter("__format", &args)
    });
    environment.add_filter("__batch", minijinja::filters::batch);
    environment.add_filter("__slice", minijinja::filters::slice);
    for (name, inner) in [("batch", "__batch"), ("slice", "__slice")] {
        environment.add_filter(name, move |state: &mut State<'_, '_>, args: Rest<Value>| {
            if args.get(1).and_then(Value::as_usize).is_some_and(|count| count > MAX_COUNT) {
                return Err(refused("a batch of more than 1 000 columns"));
            }
            state.apply_filter(inner, &args)
        });
    }
}

pub(super) fn within(bytes: usize) -> Result<(), Error> {
    match bytes > MAX_FILTERED {
        true => Err(refused("a filter would write more than 1 MB")),
        false => Ok(()),
    }
}

/// The items of something that is gone through once, so that they can be counted.
fn held(value: &Value) -> Result<Value, Error> {
    let is_list = matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
    match (is_list, value.len()) {
        (true, Some(length)) if length > MAX_ITEMS => Err(refused("a list of more than 20 000 items")),
        (true, None) => {
            let items: Vec<Value> = value.try_iter()?.take(MAX_ITEMS + 1).collect();
            match items.len() > MAX_ITEMS {
                true => Err(refused("a list of more than 20 000 items")),
                false => Ok(Value::from(items)),
            }
        }
        _ => Ok(value.clone()),
    }
}

/// The source with its guards, or the byte and the reason why it cannot have them.
pub(super) fn guarded(source: &str) -> Result<String, (usize, &'static str)> {
    let mut guarded = String::with_capacity(source.len() + source.len() / 8);
    let mut done = 0;
    // How deep in blocks whose text becomes a value.
    let mut blocks = 0_usize;
    let mut loops = 0_usize;
    for tag in Tags::of(source) {
        let (keyword, after) = tag.keyword();
        let mut inserts: Vec<(usize, &str)> = Vec::new();
        let rest = tag.text.get(after..tag.last()).unwrap_or_default();
        let words = || outer(rest).map(|(at, word)| (after + at, word));
        match keyword {
            "set" => match assignment(words()) {
                Some(equals) => inserts.extend([(equals, "("), (tag.last(), ")|__named ")]),
                None => {
                    blocks += 1;
                    inserts.push((tag.last(), "|__named "));
                }
            },
            "endset" | "endfilter" => blocks = blocks.saturating_sub(1),
            "filter" => blocks += 1,
            "endfor" => loops = loops.saturating_sub(1),
            "for" => {
                loops += 1;
                if loops > MAX_LOOPS {
                    return Err((tag.start, "more than 20 loops inside of each other"));
                }
                let begin = words().find(|(_, word)| *word == "in").map(|(at, _)| at + 2);
                let Some(begin) = begin else { continue };
                let mut later = words().skip_while(|(at, _)| *at < begin);
                let end = later.find(|(_, word)| matches!(*word, "if" | "recursive"));
                if words().last().is_some_and(|(_, word)| word == "recursive") {
                    return Err((tag.start, "a recursive loop"));
                }
                inserts.extend([(begin, " ("), (end.map_or(tag.last(), |(at, _)| at), ")|__named ")]);
            }
            "with" => {
                let mut from = after;
                let commas = words().filter(|(_, word)| *word == ",").map(|(at, _)| at);
                for to in commas.chain([tag.last()]) {
                    let own = words().filter(|(at, _)| (from..to).contains(at));
                    if let Some(equals) = assignment(own) {
                        inserts.extend([(equals, "("), (to, ")|__named ")]);
                    }
                    from = to + 1;
                }
            }
            _ => {}
        }
        for (at, text) in inserts {
            let at = tag.start + 2 + at;
            guarded.push_str(source.get(done..at).unwrap_or_default());
            guarded.push_str(text);
            done = at;
        }
        // The text that a loop writes into a block, each time.
        if keyword == "for" && blocks > 0 {
            let end = (tag.end() + 2).min(source.len());
            guarded.push_str(source.get(done..end).unwrap_or_default());
            let trims = if tag.text.ends_with('-') { "-" } else { "" };
            guarded.push_str(&format!("{{{{ {WRITES}({}) {trims}}}}}", text_of_loop(source, end)));
            done = end;
        }
    }
    guarded.push_str(source.get(done..).unwrap_or_default());
    Ok(guarded)
}

/// The bytes from a place to where its loop ends, or the source.
fn text_of_loop(source: &str, from: usize) -> usize {
    let rest = source.get(from..).unwrap_or_default();
    let mut depth = 0_usize;
    for tag in Tags::of(rest) {
        match tag.keyword().0 {
            "for" => depth += 1,
            "endfor" if depth == 0 => return tag.start,
            "endfor" => depth -= 1,
            _ => {}
        }
    }
    rest.len()
}

/// The byte after the sign of an assignment, which is the first `=` that is none of a comparison.
fn assignment<'a>(words: impl Iterator<Item = (usize, &'a str)>) -> Option<usize> {
    let mut words = words.peekable();
    let mut before = None;
    while let Some((at, word)) = words.next() {
        let doubled = words.peek().is_some_and(|(next, word)| *next == at + 1 && *word == "=");
        let compares =
            before.is_some_and(|(place, sign)| place + 1 == at && matches!(sign, "=" | "!" | "<" | ">"));
        if word == "=" && !doubled && !compares {
            return Some(at + 1);
        }
        before = Some((at, word));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_get_a_name_are_measured_and_lines_stay() {
        for (source, expected) in [
            ("{% set a = b ~ 'c=d' %}", "{% set a =( b ~ 'c=d' )|__named %}"),
            ("{%- set a.b = c == d -%}", "{%- set a.b =( c == d )|__named -%}"),
            ("{% set a, b = c, d %}", "{% set a, b =( c, d )|__named %}"),
            ("{% set a %}x{% endset %}", "{% set a |__named %}x{% endset %}"),
            ("{% for a in b %}", "{% for a in ( b )|__named %}"),
            ("{% for a, b in c|items if a in b %}", "{% for a, b in ( c|items )|__named if a in b %}"),
            ("{% with a = b, c = f(d, e=1) %}", "{% with a =( b)|__named , c =( f(d, e=1) )|__named %}"),
            ("{{ a = b }}{% if a == b %}", "{{ a = b }}{% if a == b %}"),
            ("{% raw %}{% set a = b %}{% endraw %}", "{% raw %}{% set a = b %}{% endraw %}"),
            (
                "{% set a %}{% for b in c -%} x{% endfor %}{% endset %}",
                "{% set a |__named %}{% for b in ( c )|__named -%}{{ __writes(2) -}} x{% endfor %}{% endset %}",
            ),
            ("{% set", "{% set|__named "),
        ] {
            assert_eq!(guarded(source).as_deref(), Ok(expected), "{source}");
        }
        assert!(guarded("{% for a in b recursive %}").is_err());
    }
}
