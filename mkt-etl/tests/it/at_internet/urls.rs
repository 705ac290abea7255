//! URLs and JSON of Data Query: as the vendor's pages and analysts write them, and every query there and back.

use chrono::NaiveDate;
use mkt_etl::at_internet::{
    Column, DataQuery, Evolution, Filter, Format, Granularity, Method, Moment, Name, NameMap, Operand,
    Operator, Options, PastedReport, PastedUrl, Period, Place, Presentation, Scalar, Segment, Sort, Space,
    Style, Top, Version,
};
use proptest::prelude::*;
use rust_decimal::Decimal;

const ORIGIN: &str = "https://apirest.atinternet-solutions.com";

fn pasted(url: &str) -> PastedUrl {
    url.parse().unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn column(text: &str) -> Column {
    text.parse().unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[test]
fn the_url_of_the_vendors_page_reads_as_it_is_described_there() {
    // "getdata" of the REST API: results 11 to 20 of pages by visits, labelled home, site 123456, 30 June 2017.
    let url = format!(
        "{ORIGIN}/data/v2/GetData?&period={{D:2017-06-30}}&space={{s:123456}}&columns={{d_page,m_visits}}\
         &filter={{d_page:{{$eq:'home'}}}}&sort={{m_visits}}&page-num=2&max-results=10&sep=comma&lng=fr"
    );
    let read = pasted(&url);
    assert_eq!((read.version, read.method, read.format), (Version::V2, Method::Data, None));
    assert_eq!(read.origin, ORIGIN);
    let query = read.query;
    assert_eq!(query.columns, [column("d_page"), column("m_visits")]);
    assert_eq!(query.sort, ["m_visits".parse::<Sort>().unwrap()]);
    assert_eq!(query.filter, Some(Filter::equals(Name::new("d_page").unwrap(), "home")));
    assert_eq!(query.space, Space::Sites(vec![123_456]));
    assert_eq!(query.periods, [[Period::day(day("2017-06-30"))]]);
    assert_eq!((query.page_num, query.max_results), (Some(2), Some(10)));
    assert_eq!(
        (query.presentation.sep.as_deref(), query.presentation.lng.as_deref()),
        (Some("comma"), Some("fr"))
    );
}

#[test]
fn what_analysts_write_reads_in_every_form() {
    let absolute = |granularity, start: &str, end: &str| {
        let read = |text: &str| Moment::read(granularity, text).unwrap();
        vec![Period::Absolute { granularity, start: read(start), end: read(end) }]
    };
    let relative = |granularity, start, end| vec![Period::Relative { granularity, start, end }];
    use Granularity::{Day, EventMinute, Hour, Minute, Month, Quarter, Semester, Week, Year};
    // The left sides stand in the vendor's pages "Fixed periods" and "Relative periods" and in public scripts.
    for (text, periods) in [
        ("{Y:'2018'}", absolute(Year, "2018", "2018")),
        ("{S:'2018-01'}", absolute(Semester, "2018-01", "2018-01")),
        ("{Q:'2018-02'}", absolute(Quarter, "2018-02", "2018-02")),
        ("{M:'2018-02'}", absolute(Month, "2018-02", "2018-02")),
        ("{W:'2018-02'}", absolute(Week, "2018-02", "2018-02")),
        ("{D:{start:'2018-01-07',end:'2018-01-13'}}", absolute(Day, "2018-01-07", "2018-01-13")),
        ("{D:{start:%272019-02-04%27,end:%272019-02-08%27}}", absolute(Day, "2019-02-04", "2019-02-08")),
        ("{H:2017-02-21T08}", absolute(Hour, "2017-02-21T08", "2017-02-21T08")),
        (
            "{MN:{start:'2018-02-21T08:00',end:'2018-02-21T08:29'}}",
            absolute(Minute, "2018-02-21T08:00", "2018-02-21T08:29"),
        ),
        (
            "{MNe:{start:'2018-02-21T08:00',end:'2018-02-21T08:29'}}",
            absolute(EventMinute, "2018-02-21T08:00", "2018-02-21T08:29"),
        ),
        ("{R:{D:'-1'}}", relative(Day, -1, -1)),
        ("{R:{D:-1}}", relative(Day, -1, -1)),
        ("{R:{H:{start:%27-11%27,end:%270%27}}}", relative(Hour, -11, 0)),
        ("%7BR:%7BM:%7Bstart:-12,end:-1%7D%7D%7D", relative(Month, -12, -1)),
    ] {
        let url =
            format!("{ORIGIN}/data/v2/json/getData?&columns={{d_site,m_visits}}&space={{s:1}}&period={text}");
        assert_eq!(pasted(&url).query.periods, [periods], "{text}");
    }
    for (text, space) in [
        ("{s:566290}", Space::Sites(vec![566_290])),
        ("{s:'566290'}", Space::Sites(vec![566_290])),
        ("{s:{1,2,3}}", Space::Sites(vec![1, 2, 3])),
        ("{l2s:{s:10,l2:3}}", Space::Level2 { site: 10, level2: 3 }),
    ] {
        let url =
            format!("{ORIGIN}/data/v2/html/getData?columns={{m_visits}}&space={text}&period={{R:{{D:0}}}}");
        let read = pasted(&url);
        assert_eq!((read.query.space, read.format), (space, Some(Format::Html)), "{text}");
    }
}

#[test]
fn filters_read_with_and_or_lists_and_the_quotes_of_the_vendors_page() {
    let is = |name: &str, operator, operand| Filter::is(column(name), operator, operand);
    let text = |text: &str| Operand::One(Scalar::from(text));
    let both = |a, b| Filter::all([a, b]);
    for (written, filter) in [
        ("{d_page:{$eq:’home’}}", Some(is("d_page", Operator::Eq, text("home")))),
        ("{d_page:{$lk:\"l'été\"}}", Some(is("d_page", Operator::Lk, text("l'été")))),
        (
            "{d_page:{$start:'a b'},m_visits:{$gt:10}}",
            both(
                is("d_page", Operator::Start, text("a b")),
                is("m_visits", Operator::Gt, Operand::One(Scalar::from(10))),
            ),
        ),
        (
            "{m_visits:{$gte:1.5,$lt:9}}",
            both(
                is("m_visits", Operator::Gte, Operand::One(Decimal::new(15, 1).into())),
                is("m_visits", Operator::Lt, Operand::One(Scalar::from(9))),
            ),
        ),
        (
            "{$OR:{d_page:{$eq:'a'},d_source:{$in:{'b',c}}}}",
            Filter::any([
                is("d_page", Operator::Eq, text("a")),
                is("d_source", Operator::In, Operand::Many(vec!["b".into(), "c".into()])),
            ]),
        ),
        (
            "{$OR:{{d_page:{$empty:true},d_source:{$nlk:'x'}},{d_page:{$end:'z'}}}}",
            Filter::any([
                both(
                    is("d_page", Operator::Empty, Operand::Flag(true)),
                    is("d_source", Operator::Nlk, text("x")),
                )
                .unwrap(),
                is("d_page", Operator::End, text("z")),
            ]),
        ),
        ("{d_source:{$eq:Direct+traffic}}", Some(is("d_source", Operator::Eq, text("Direct traffic")))),
        ("{d_source:{$eq:'100%25'}}", Some(is("d_source", Operator::Eq, text("100%")))),
    ] {
        let url = format!(
            "{ORIGIN}/data/v2/json/getData?&columns={{d_page,d_source,m_visits}}&filter={written}&space={{s:1}}&period={{R:{{D:-1}}}}"
        );
        assert_eq!(pasted(&url).query.filter, filter, "{written}");
    }
}

#[test]
fn periods_beside_each_other_are_named_by_their_metrics() {
    let url = format!(
        "{ORIGIN}/data/v2/json/getData?&columns={{d_source,p1.m_visits,p2.m_visits}}&sort={{-p1.m_visits}}\
         &space={{s:1}}&period={{p1:{{D:2017-03-08}},p2:{{D:2017-03-01}}}}&evo={{D,p1}}"
    );
    let query = pasted(&url).query;
    assert_eq!(query.periods.len(), 2);
    assert_eq!(query.columns[2], Column { period: Some(2), name: Name::new("m_visits").unwrap() });
    assert_eq!(query.evo, Some(Evolution { granularity: Granularity::Day, period: Some(1), top: None }));
    assert_eq!(
        pasted(&query.v2_url(ORIGIN, Some(Format::Json), Method::Data, Style::Hand).unwrap()).query,
        query
    );
}

#[test]
fn an_error_names_the_place_and_nothing_of_the_query() {
    let base = "https://a.example/data/v2/json/getData?";
    let rest = "&space={s:1}&period={R:{D:-1}}";
    for (text, marker) in [
        (format!("{base}&columns={{d_page,m_visits&space={{s:1}}&period={{R:{{D:-1}}}}"), "{d_page"),
        (format!("{base}&columns={{d page,m_visits}}{rest}"), "d page"),
        (format!("{base}&columns={{m_visits}}&filter={{d_page:{{$is:'x'}}}}{rest}"), "$is"),
        (format!("{base}&columns={{m_visits}}&filter={{d_page:{{$empty:perhaps}}}}{rest}"), "perhaps"),
        (format!("{base}&columns={{m_visits}}&space={{s:one}}&period={{R:{{D:-1}}}}"), "one"),
        (format!("{base}&columns={{m_visits}}&space={{s:1}}&period={{D:2017-02-30}}"), "2017-02-30"),
        (format!("{base}&columns={{m_visits}}&space={{s:1}}&period={{X:2017}}"), "X:2017"),
        (format!("{base}&columns={{m_visits}}&colour=red{rest}"), "colour"),
        (format!("{base}&columns={{m_visits}}&columns={{m_visits}}{rest}"), "columns={m_visits}&space"),
    ] {
        let error = text.parse::<PastedUrl>().unwrap_err();
        assert_eq!(error.position(), text.find(marker), "{text}: {error}");
    }
    for (text, part) in [
        (format!("{base}&columns={{d_page}}{rest}"), "columns"),
        (format!("{base}&columns={{m_visits,m_visits}}{rest}"), "columns"),
        (format!("{base}&columns={{m_visits}}&max-results=10001{rest}"), "max-results"),
        (
            format!(
                "{base}&columns={{{}}}{rest}",
                (0..31).map(|n| format!("m_{n}")).collect::<Vec<_>>().join(",")
            ),
            "columns",
        ),
    ] {
        let error = text.parse::<PastedUrl>().unwrap_err();
        assert_eq!(error.place(), &Place::Part(part.to_owned()), "{text}: {error}");
    }
    for text in [
        "",
        "no url",
        "https://a.example/",
        "https://a.example/?",
        "https://a.example/data/v2/pdf/getData?x=1",
    ] {
        assert!(text.parse::<PastedUrl>().is_err(), "{text}");
    }
}

#[test]
fn a_key_in_a_pasted_url_is_in_no_debug_and_in_no_error() {
    let canary = "canary7f3a";
    let good = format!(
        "https://a.example/data/v2/json/getData?&apikey={canary}&columns={{m_visits}}&space={{s:1}}&period={{R:{{D:-1}}}}"
    );
    let read = pasted(&good);
    assert_eq!(read.key.as_ref().map(mkt_connect::Secret::expose), Some(canary));
    let written = read.query.v2_url(&read.origin, read.format, read.method, Style::Hand).unwrap();
    assert!(!format!("{read:?} {written}").contains(canary));
    // The key stands in every place where something else is wrong.
    for bad in [
        good.replace("m_visits", canary),
        good.replace("{m_visits}", &format!("{{m_visits,{canary}!}}")),
        good.replace("apikey", canary),
        good.replace("s:1", &format!("s:{canary}")),
        good.replace("D:-1", &format!("{canary}:-1")),
        good.replace("getData", canary),
        good.replace("https://", &format!("https://{canary}:{canary}@")),
        format!("https://a.example/v3/data/getData?param={{\"{canary}\":1}}"),
        format!("https://a.example/v3/data/getData?param={canary}"),
        format!("https://a.example/v3/data/getData?param={{\"columns\":[\"{canary} \"]}}&apikey={canary}"),
    ] {
        let error = bad.parse::<PastedUrl>().unwrap_err();
        let shared: mkt_connect::Error = error.clone().into();
        let shown = format!("{error} {error:?} {shared} {shared:?}");
        assert!(!shown.contains(canary), "{shown}");
    }
}

#[test]
fn the_json_of_the_vendors_page_reads_and_is_written_so() {
    // "Make your first API call" and "API Methods".
    let url = r#"https://api.atinternet.io/v3/data/getData?param={"columns":["visit_device_type","m_visits"],"sort":["-m_visits"],"space":{"s":[547656]},"period":{"p1":[{"type":"D","start":"2019-10-24","end":"2019-10-24"}]},"max-results":50,"page-num":1}"#;
    let read = pasted(url);
    assert_eq!((read.version, read.method), (Version::V3, Method::Data));
    let query = read.query;
    assert_eq!(query.periods, [[Period::day(day("2019-10-24"))]]);
    let json = query.to_v3(Method::Data).unwrap();
    let (_, param) = url.split_once("param=").unwrap();
    assert_eq!(json, serde_json::from_str::<serde_json::Value>(param).unwrap());
    // Counts and totals drop order and page.
    let total = query.to_v3(Method::Total).unwrap();
    assert!(["sort", "max-results", "page-num"].iter().all(|name| total.get(name).is_none()));
    assert_eq!(pasted(&query.v3_url("https://api.atinternet.io", Method::Data).unwrap()).query, query);
}

#[test]
fn version_3_refuses_what_it_does_not_know() {
    let good = r#"{"columns":["page","m_visits"],"sort":["-m_visits"],"space":{"s":[1]},"period":{"p1":[{"type":"R","granularity":"D","offset":-1}]}}"#;
    assert!(DataQuery::from_v3(good).is_ok());
    for (what, bad) in [
        ("no order", good.replace(r#""sort":["-m_visits"],"#, "")),
        ("a field", good.replace("sort", "order")),
        ("no metric", good.replace("m_visits\"],\"sort", "visits\"],\"sort")),
        ("no site", good.replace("[1]", "[]")),
        (
            "a month that is none",
            good.replace(
                r#""type":"R","granularity":"D","offset":-1"#,
                r#""type":"M","start":"2019-13","end":"2019-13""#,
            ),
        ),
        ("a page beyond the end", good.replace(r#""sort""#, r#""page-num":21,"max-results":10000,"sort""#)),
        (
            "mixed filters",
            good.replace(r#""sort""#, r#""filter":{"property":{"m_visits":{"$gt":1}}},"sort""#),
        ),
        (
            "an old operator",
            good.replace(r#""sort""#, r#""filter":{"property":{"page":{"$inlk":["a"]}}},"sort""#),
        ),
        ("a list of nothing", good.replace(r#""sort""#, r#""filter":{"property":{"$AND":[]}},"sort""#)),
        ("half a text", good[..40].to_owned()),
    ] {
        let error = DataQuery::from_v3(&bad).unwrap_err();
        assert!(error.position().is_none(), "{what}: {error}");
    }
    let deep = format!("{}{}", r#"{"$AND":["#.repeat(60), r#"{"page":{"$eq":"a"}}"#);
    let deep =
        good.replace(r#""sort""#, &format!(r#""filter":{{"property":{deep}{}}},"sort""#, "]}".repeat(60)));
    assert!(DataQuery::from_v3(&deep).unwrap_err().to_string().contains("within each other"));
}

#[test]
fn forms_of_version_3_in_use_are_read_and_written_as_they_were() {
    // Forms of the pages "Segment", "Evolution" and of public clients (mon-entreprise, piano-analytics-api, go_atinternet).
    let good = r#"{"columns":["page","m_visits"],"sort":["-m_visits"],"space":{"s":[1]},"period":{"p1":[{"type":"R","granularity":"D","offset":-1}]}}"#;
    let relative = r#""type":"R","granularity":"D","offset":-1"#;
    let with = |field: &str| good.replace(r#""sort""#, &format!(r#"{field},"sort""#));
    let evo = |top: &str| {
        let evo = format!(r#""evo":{{"granularity":"M","top":{{"sort":["-m_visits"],{top}}}}}"#);
        good.replace(r#""sort":["-m_visits"]"#, &evo)
    };
    for text in [
        with(r#""segment":{"segmentKey":"article_by_uri"}"#),
        with(
            r#""segment":{"section":{"scope":"visit_id","category":"property","mode":"include","content":{"and":[{"condition":{"filter":{"page":{"$eq":"a"}}}}]}}}"#,
        ),
        with(r#""filter":{"property":{"page":{"$nin":["a","b"]}}}"#),
        good.replace(relative, r#""type":"M","start":"2019-10","end":"2019-12""#),
        good.replace(relative, r#""type":"Q","start":"2019-01","end":"2019-01""#),
        good.replace(relative, r#""type":"Y","start":"2019","end":"2020""#),
        good.replace(relative, r#""type":"H","start":"2019-10-24T08","end":"2019-10-24T09""#),
        evo(r#""filter":{"property":{"page":{"$in":["a","b"]}}}"#),
        evo(
            r#""max-results":5,"page-num":1,"period":{"p1":[{"type":"D","start":"2017-05-12","end":"2017-05-16"}]}"#,
        ),
    ] {
        let query = DataQuery::from_v3(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let written = query.to_v3(Method::Data).unwrap();
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(&text).unwrap());
    }
    for bad in [
        with(r#""segment":{"segmentKey":"a","section":{"scope":"visit_id"}}"#),
        with(r#""segment":{"section":{}}"#),
        with(r#""segment":{"name":"a"}"#),
        evo(r#""filter":{"property":{"page":{"$inlk":["a"]}}}"#),
    ] {
        assert!(DataQuery::from_v3(&bad).is_err(), "{bad}");
    }
}

#[test]
fn a_pasted_month_gives_its_days_and_an_hour_is_no_report() {
    let url = |period: &str| {
        format!(
            r#"https://api.atinternet.io/v3/data/getData?param={{"columns":["page","m_visits"],"sort":["-m_visits"],"segment":{{"segmentKey":"k"}},"space":{{"s":[1]}},"period":{{"p1":[{{{period}}}]}}}}"#
        )
    };
    let pasted =
        PastedReport::read(&url(r#""type":"M","start":"2020-02","end":"2020-02""#), "r", &NameMap::new());
    let pasted = pasted.unwrap();
    assert_eq!(pasted.days, [mkt_etl::Window::days(day("2020-02-01"), day("2020-02-29"))]);
    assert!(!pasted.report.is_of_the_site(), "the segment is kept");
    for period in [
        r#""type":"H","start":"2019-10-24T08","end":"2019-10-24T09""#,
        r#""type":"R","granularity":"H","offset":-1"#,
    ] {
        assert!(PastedReport::read(&url(period), "r", &NameMap::new()).is_err(), "{period}");
    }
}

fn cases() -> u32 {
    std::env::var("MKT_TEST_URLS").ok().and_then(|count| count.parse().ok()).unwrap_or(256)
}

fn name(prefix: &'static str) -> impl Strategy<Value = Name> {
    "[a-z0-9_]{1,12}".prop_map(move |text| Name::new(&format!("{prefix}{text}")).unwrap())
}

fn number() -> impl Strategy<Value = Decimal> {
    (-999_999_999_i64..999_999_999, 0_u32..4)
        .prop_map(|(digits, scale)| Decimal::new(digits, scale).normalize())
}

/// Version 2 cannot write a quote within a text; both keep everything else, ampersands, braces and emoji included.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -&(-~]{0,12}", "[^'\u{0}]{0,6}", Just("{a:&b}=100%+#é☃".to_owned()), Just("7".to_owned())]
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![text().prop_map(Scalar::Text), number().prop_map(Scalar::Number)]
}

fn condition(column: impl Strategy<Value = Name>, version: Version) -> impl Strategy<Value = Filter> {
    let known: Vec<Operator> = Operator::ALL
        .iter()
        .copied()
        .filter(|operator| match version {
            Version::V2 => operator.is_in_v2(),
            Version::V3 => operator.is_in_v3(),
        })
        .collect();
    let values = proptest::collection::vec(scalar(), 1..4);
    (column, proptest::sample::select(known), values, any::<bool>(), any::<bool>()).prop_map(
        move |(name, operator, mut values, flag, many)| {
            let operand = if operator.wants_flag() {
                Operand::Flag(flag)
            } else if operator.wants_list() || (many && version == Version::V3) {
                Operand::Many(values)
            } else {
                Operand::One(values.remove(0))
            };
            Filter::is(name, operator, operand)
        },
    )
}

fn tree(leaf: impl Strategy<Value = Filter> + 'static) -> impl Strategy<Value = Filter> {
    leaf.prop_recursive(3, 12, 3, |inner| {
        let list = proptest::collection::vec(inner, 1..4);
        (list, any::<bool>())
            .prop_map(|(list, all)| if all { Filter::all(list) } else { Filter::any(list) }.unwrap())
    })
}

fn moment(granularity: Granularity) -> impl Strategy<Value = Moment> {
    let day = (1990_i32..2100, 1_u32..13, 1_u32..29)
        .prop_map(|(y, m, d)| NaiveDate::from_ymd_opt(y, m, d).unwrap());
    (day, 0_u8..24, 0_u8..60, 1990_u16..2100, 1_u8..3).prop_map(move |(day, hour, minute, year, part)| {
        match granularity {
            Granularity::Year => Moment::Year(year),
            Granularity::Semester | Granularity::Quarter | Granularity::Month | Granularity::Week => {
                Moment::Part(year, part)
            }
            Granularity::Day => Moment::Day(day),
            Granularity::Hour | Granularity::EventHour => Moment::Hour(day, hour),
            Granularity::Minute | Granularity::EventMinute => Moment::Minute(day, hour, minute),
        }
    })
}

fn period(version: Version) -> impl Strategy<Value = Period> {
    use Granularity::{Day, Hour, Month, Quarter, Week, Year};
    let (absolute, relative) = match version {
        Version::V2 => (Granularity::ALL.to_vec(), Granularity::ALL.to_vec()),
        Version::V3 => {
            let units = vec![Year, Quarter, Month, Week, Day, Hour];
            (units.clone(), units)
        }
    };
    let fixed = proptest::sample::select(absolute).prop_flat_map(|granularity| {
        (moment(granularity), moment(granularity), any::<bool>()).prop_map(move |(start, end, one)| {
            Period::Absolute { granularity, start, end: if one { start } else { end } }
        })
    });
    let back = (proptest::sample::select(relative), -400..1, -400..1)
        .prop_map(|(granularity, start, end)| Period::Relative { granularity, start, end });
    prop_oneof![fixed, back]
}

fn shape(version: Version) -> impl Strategy<Value = DataQuery> {
    let periods = match version {
        Version::V2 => 1..4,
        Version::V3 => 1..3_usize,
    };
    let names = (
        proptest::collection::btree_set(name("d_"), 0..5),
        proptest::collection::btree_set(name("m_"), 1..5),
        proptest::collection::vec(proptest::collection::vec(period(version), 1..4), periods),
    );
    let rest = (
        proptest::collection::vec(1_u64..9_999_999, 1..4),
        proptest::option::of(1_u32..10_001),
        proptest::option::of(1_u32..21),
        any::<(bool, bool, bool)>(),
    );
    (names, rest).prop_map(|((properties, metrics, periods), (sites, max_results, page_num, flags))| {
        let named = periods.len() > 1 || flags.0;
        let count = periods.len();
        let labelled = metrics.into_iter().enumerate().map(|(index, name)| Column {
            period: named.then(|| u8::try_from(index % count + 1).unwrap()),
            name,
        });
        let columns: Vec<Column> = properties.into_iter().map(Column::from).chain(labelled).collect();
        let sort =
            columns.iter().rev().take(2).map(|column| Sort { descending: flags.1, column: column.clone() });
        let mut query = DataQuery::new(columns.clone(), Space::Sites(sites), periods[0][0]);
        query.sort = sort.collect();
        (query.periods, query.max_results, query.page_num) = (periods, max_results, page_num);
        query
    })
}

fn v2_query() -> impl Strategy<Value = DataQuery> {
    let filter = proptest::option::of(tree(condition(prop_oneof![name("d_"), name("m_")], Version::V2)));
    let evo = proptest::option::of((
        proptest::sample::select(Granularity::ALL.to_vec()),
        proptest::option::of(1_u8..4),
    ));
    let texts = (
        proptest::option::of("comma|dot"),
        proptest::option::of("[a-z]{2}"),
        proptest::option::of("[A-Za-z0-9]{6}"),
    );
    let level2 = proptest::option::of((1_u64..999_999, 1_u64..99));
    (shape(Version::V2), filter, evo, texts, proptest::option::of(1_u64..99_999_999), level2).prop_map(
        |(mut query, filter, evo, (sep, lng, code), segment, level2)| {
            query.filter = filter;
            query.evo = evo.map(|(granularity, period)| Evolution { granularity, period, top: None });
            query.presentation = Presentation { sep, lng, code, ..Presentation::default() };
            query.segments.extend(segment.map(Segment::Id));
            if let Some((site, level2)) = level2 {
                query.space = Space::Level2 { site, level2 };
            }
            query
        },
    )
}

fn v3_query() -> impl Strategy<Value = DataQuery> {
    let properties = proptest::option::of(tree(condition(name("p_"), Version::V3)));
    let metrics = proptest::option::of(tree(condition(name("m_"), Version::V3)));
    let segment = prop_oneof![
        (1_u64..99_999_999).prop_map(Segment::Id),
        "[a-z_]{1,8}".prop_map(Segment::Key),
        "[a-z_]{1,8}"
            .prop_map(|scope| Segment::Section([("scope".to_owned(), scope.into())].into_iter().collect())),
    ];
    let segments = proptest::collection::vec(segment, 0..7);
    let top = (proptest::option::of(1_u32..99), proptest::option::of(1_u32..9));
    let evo =
        proptest::option::of((proptest::sample::select(vec![Granularity::Month, Granularity::Hour]), top));
    (shape(Version::V3), properties, metrics, segments, evo, any::<(bool, bool)>()).prop_map(
        |(mut query, properties, metrics, segments, evo, (ignore_null_properties, eco_mode))| {
            // Properties first: so version 3 keeps them.
            query.filter = Filter::all(properties.into_iter().chain(metrics));
            query.segments = segments;
            query.options = Options { ignore_null_properties, eco_mode };
            if let Some((granularity, (max_results, page_num))) = evo {
                let sort = std::mem::take(&mut query.sort);
                query.evo = Some(Evolution {
                    granularity,
                    period: None,
                    top: Some(Top { max_results, page_num, sort, ..Top::default() }),
                });
            }
            query
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn every_query_of_version_2_is_read_as_it_was_written(query in v2_query(), encoded: bool, format in 0_usize..3) {
        let style = if encoded { Style::Encoded } else { Style::Hand };
        let format = [None, Some(Format::Json), Some(Format::Html)][format];
        for method in [Method::Data, Method::RowCount] {
            let url = query.v2_url(ORIGIN, format, method, style).unwrap();
            let read = pasted(&url);
            prop_assert_eq!((&read.query, read.method, read.format), (&query, method, format), "{}", url);
        }
    }

    #[test]
    fn every_query_of_version_3_is_read_as_it_was_written(query in v3_query()) {
        let json = query.to_v3(Method::Data).unwrap();
        prop_assert_eq!(&DataQuery::from_v3(&json.to_string()).unwrap(), &query, "{}", json);
        let url = query.v3_url("https://api.atinternet.io", Method::Data).unwrap();
        prop_assert_eq!(pasted(&url).query, query, "{}", url);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,60}", cut in 0_usize..300, query in v2_query()) {
        let _ = text.parse::<PastedUrl>();
        let _ = DataQuery::from_v3(&text);
        let _ = format!("https://a.example/data/v2/json/getData?&columns={text}&filter={text}").parse::<PastedUrl>();
        let url = query.v2_url(ORIGIN, None, Method::Data, Style::Hand).unwrap();
        let cut: String = url.chars().take(cut).collect();
        if let Err(error) = cut.parse::<PastedUrl>() {
            prop_assert!(error.position().is_none_or(|position| position <= cut.len()));
        }
    }
}
