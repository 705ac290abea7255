//! What holds for every chart and for the page.

use super::*;
use chrono::{Days, NaiveDate};

const HOSTILE: &str = "</title></svg><script>alert(1)</script>\" onload='x' & ]]> \u{0}\u{8}\u{202e}$x^2$";

fn day(index: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 1).unwrap().checked_add_days(Days::new(index)).unwrap()
}

/// One chart of each kind over `values`, with `label` wherever a text goes.
fn charts(label: &str, values: &[f64]) -> Vec<Chart> {
    let dated = || values.iter().enumerate().map(|(index, value)| (day(index as u64 % 40_000), Some(*value)));
    let trend = Trend::new(label)
        .subtitle(label)
        .points(label, dated())
        .rolling(label, dated())
        .band(label, dated().map(|(day, value)| (day, value.map(|value| (value - 1.0, value + 1.0)))))
        .mark(day(0), label);
    let line = Line::new(label)
        .axes(label, label)
        .diagonal()
        .series(label, values.iter().enumerate().map(|(index, value)| (index as f64, *value)))
        .band(label, values.iter().enumerate().map(|(index, value)| (index as f64, value - 1.0, value + 1.0)))
        .mark(label, 1.0, 1.0);
    let grouped = GroupedBars::new(label, [label, label]).groups(
        values
            .iter()
            .map(|value| Group::new(label, [Some(*value), None]).intervals([Some((0.0, 1.0)), None])),
    );
    let flow = Flow::new(label, [label, label, label]).streams(
        values
            .iter()
            .map(|value| Stream::new([label, label, "end"], *value))
            .chain([Stream::new(["a", "b", "end"], 1.0)]),
    );
    let bar = |value: &f64| Bar::new(label, Some(*value)).interval(value - 1.0, value + 1.0).count(3);
    let bars = Bars::new(label).bars(values.iter().map(bar)).reference(label, 1.0);
    let names = || values.iter().take(100).map(|_| label.to_owned());
    let map = values
        .iter()
        .take(100)
        .enumerate()
        .fold(HeatMap::new(label, names(), names()), |map, (index, value)| {
            map.cell(index, index, Cell { value: Some(*value), count: Some(2) })
        });
    let row = |value: &f64| Distribution::new(label, Some([*value; 5]), 3);
    let spread = Distributions::new(label).subtitle(label).rows(values.iter().map(row));
    let boxes = values.iter().map(|_| DiagramBox::new(label).line(label).note(label));
    let diagram = Diagram::new(label).subtitle(label).boxes(boxes).arrow(0, 1, label).arrow(0, 2, label);
    vec![
        diagram.into(),
        grouped.into(),
        flow.into(),
        trend.into(),
        line.into(),
        bars.clone().into(),
        bars.horizontal().into(),
        spread.into(),
        map.into(),
    ]
}

/// Every tag is closed in order, attributes are quoted, and no bare `<` or `&` stands in the text.
fn assert_well_formed(markup: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = markup;
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>') || open.last() == Some(&"style"), "a bare > in {:?}", &rest[..at]);
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closes what is open");
        } else if !tag.ends_with('/') {
            open.push(tag.split([' ', '\n']).next().unwrap());
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?} left open");
    for (at, _) in markup.match_indices('&') {
        let entity = &markup[at + 1..at + 1 + markup[at + 1..].find(';').expect("an entity ends")];
        assert!(["amp", "lt", "gt", "quot", "apos", "#39"].contains(&entity), "&{entity};");
    }
}

/// The markup without quoted attribute values and text, where nothing of the caller may appear.
fn tags_only(markup: &str) -> String {
    let mut out = String::new();
    let (mut in_tag, mut quoted) = (false, false);
    for c in markup.chars() {
        match c {
            '<' if !quoted => in_tag = true,
            '>' if !quoted => in_tag = false,
            '"' if in_tag => quoted = !quoted,
            _ if in_tag && !quoted => out.push(c),
            _ => {}
        }
    }
    out
}

#[test]
fn hostile_text_stays_text() {
    for chart in charts(HOSTILE, &[1.0, 2.0, 3.0]) {
        let svg = chart.svg();
        assert_well_formed(&svg);
        assert!(!svg.to_lowercase().contains("<script"));
        assert!(!tags_only(&svg).contains("onload"), "no attribute of the caller");
        assert!(svg.chars().all(|c| c == '\n' || !c.is_control()), "no character that XML forbids");
        assert!(svg.contains("$x^2$"), "labels have no markup of their own");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let values = [0.03, 0.05, 0.041, f64::NAN, 0.06];
    let twice = [charts("a", &values), charts("a", &values)]
        .map(|all| all.iter().map(Chart::svg).collect::<Vec<_>>());
    assert_eq!(twice[0], twice[1]);
}

#[test]
fn every_chart_has_a_title_and_a_description() {
    for chart in charts("Reach & more", &[1.0, 4.0]) {
        let svg = chart.svg();
        assert!(svg.contains("<title>Reach &amp; more</title>"));
        let description = svg.split("<desc>").nth(1).unwrap().split("</desc>").next().unwrap();
        assert!(description.len() > 20, "{description:?}");
    }
    let svg = Bars::new("t").bar(Bar::new("b", Some(1.0))).description("said by hand").svg();
    assert!(svg.contains("<desc>said by hand</desc>"));
}

#[test]
fn the_description_of_bars_names_the_extremes() {
    let bars = Bars::new("Rate").lang(Lang::Fr).format(Format::Percent(1)).bars([
        Bar::new("9", Some(0.04)),
        Bar::new("18", Some(0.061)),
        Bar::new("3", None),
    ]);
    assert!(bars.svg().contains(
        "3 barres, dont 2 avec une valeur. La plus haute : 18, 6,1\u{202f}%. La plus basse : 9, 4,0\u{202f}%."
    ));
}

#[test]
fn no_number_breaks_a_chart() {
    let worlds: [&[f64]; 9] = [
        &[],
        &[f64::NAN],
        &[f64::INFINITY, f64::NEG_INFINITY],
        &[0.0],
        &[-0.0, 0.0, 0.0],
        &[1e300, 1.0],
        &[5e-324, 1e-300],
        &[1e15, -1e15, 1e14],
        &[-3.0, -2.0],
    ];
    for values in worlds {
        for chart in charts("x", values) {
            let svg = chart.svg();
            assert_well_formed(&svg);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{values:?}");
        }
    }
}

#[test]
fn a_chart_without_a_value_says_so_in_its_language() {
    for chart in [
        Chart::from(Trend::new("t").lang(Lang::Fr)),
        Line::new("t").lang(Lang::Fr).into(),
        Bars::new("t").lang(Lang::Fr).bar(Bar::new("b", None)).into(),
        Distributions::new("t").lang(Lang::Fr).into(),
        HeatMap::new("t", ["r"], ["c"]).lang(Lang::Fr).into(),
    ] {
        assert!(chart.svg().contains("aucune valeur"));
    }
}

#[test]
fn the_picture_stays_small_whatever_the_input() {
    let values: Vec<f64> = (0..300_000_u32).map(|i| f64::from(i.wrapping_mul(2_654_435_761) >> 12)).collect();
    for chart in charts("x", &values) {
        let size = chart.svg().len();
        assert!(size < 1_000_000, "{size} bytes");
    }
}

fn blue_lines(svg: &str) -> usize {
    svg.lines().filter(|tag| tag.starts_with("<polyline") && tag.contains("stroke=\"#0072B2\"")).count()
}

#[test]
fn a_missing_value_is_not_drawn_as_zero() {
    let with = Bars::new("t").bar(Bar::new("a", Some(2.0))).bar(Bar::new("b", None)).svg();
    let zero = Bars::new("t").bar(Bar::new("a", Some(2.0))).bar(Bar::new("b", Some(0.0))).svg();
    assert_ne!(with, zero);
    assert!(with.contains("\n–\n"));
    let line =
        |middle| Trend::new("t").rolling("l", [(day(0), Some(1.0)), (day(1), middle), (day(2), Some(1.0))]);
    assert_eq!(blue_lines(&line(Some(1.0)).svg()), 1);
    assert_eq!(blue_lines(&line(None).svg()), 0, "two dots with a gap between them");
    let band = |middle| {
        let ends = |index| (day(index), Some((1.0, 2.0)));
        Trend::new("t").band("b", [ends(0), ends(1), (day(2), middle), ends(3), ends(4)])
    };
    // One polygon more than pieces: the swatch of the legend.
    assert_eq!(band(Some((1.0, 2.0))).svg().matches("<polygon").count(), 2);
    assert_eq!(band(None).svg().matches("<polygon").count(), 3);
}

#[test]
fn dark_screens_get_their_own_colours_and_paper_does_not() {
    let svg = Bars::new("t").bar(Bar::new("a", Some(2.0))).svg();
    assert!(svg.contains("@media screen and (prefers-color-scheme:dark)"));
    assert!(svg.contains(".mkt-chart [fill=\"#0072B2\"]{fill:#58B0E8}"));
    assert!(svg.contains("fill=\"#0072B2\""), "a viewer without CSS shows the light colour");
}

#[test]
fn the_page_asks_nothing_of_the_network_and_escapes_everything() {
    let page = charts(HOSTILE, &[1.0, 2.0])
        .into_iter()
        .fold(Page::new(HOSTILE, Lang::Fr), Page::chart)
        .subtitle(HOSTILE)
        .section(HOSTILE)
        .text(HOSTILE)
        .figures([Figure::new(HOSTILE, HOSTILE).definition(HOSTILE).note(HOSTILE).change(-0.031)])
        .section(HOSTILE)
        .table(
            Table::new([Column::text(HOSTILE).definition(HOSTILE), Column::number("n")])
                .caption(HOSTILE)
                .note(HOSTILE)
                .row([HOSTILE, "1", "one too many"])
                .row(["one too few"]),
        )
        .define(HOSTILE, HOSTILE)
        .footer(HOSTILE)
        .render();
    let body = &page[page.find("<body>").unwrap()..page.find("</html>").unwrap()];
    assert_well_formed(body);
    assert!(!page.to_lowercase().contains("<script"));
    assert!(!tags_only(&page).contains("onload"));
    assert!(page.contains("default-src 'none'"));
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    for request in ["http:", "https:", "url(", "@import", "src=", "//"] {
        assert!(!outside.contains(request), "{request}");
    }
    assert!(page.contains("▼ −3,1\u{202f}%"));
    assert!(!page.contains("one too many"));
    assert_eq!(page.matches("<section").count(), page.matches("</section>").count());
}

#[test]
fn definitions_on_hover_are_also_at_the_foot_once() {
    let page = Page::new("t", Lang::En)
        .figures([
            Figure::new("Reach", "1").definition("People who saw it."),
            Figure::new("Reach", "2").definition("People who saw it."),
        ])
        .table(Table::new([Column::number("CR").definition("Converted over users.")]))
        .define("ARPU", "Revenue over users.")
        .render();
    let foot = &page[page.find("<footer>").unwrap()..];
    for meaning in ["People who saw it.", "Converted over users.", "Revenue over users."] {
        assert_eq!(foot.matches(meaning).count(), 1, "{meaning}");
    }
}
