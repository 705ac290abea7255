//! Credits side by side, and paths as a flow.

use mkt_connect::chart::{Cell, Chart, Flow, Format, Group, GroupedBars, HeatMap, Lang, Stream};

use crate::attribution::{CreditInterval, Credits, Paths};

/// Channels at most.
const CHANNELS: usize = 12;
/// Models side by side at most: so many colours can be told apart.
const MODELS: usize = 6;

/// What models credit channels with: the twelve channels with most conversions under any model. Up to six models stand
/// side by side as bars; more are the columns of a heat map, which draws no intervals. `intervals` are those of
/// [`Bootstrap`](crate::attribution::Bootstrap), in the order of the models, or none.
#[must_use]
pub fn credits(answers: &[Credits], intervals: &[Vec<CreditInterval>], lang: Lang) -> Chart {
    let of = |answer: &Credits, channel: &str| answer.channel(channel).map(|credit| credit.conversions);
    let most = |channel: &str| answers.iter().filter_map(|answer| of(answer, channel)).fold(0.0, f64::max);
    let mut channels: Vec<(&str, f64)> = answers
        .first()
        .map(|answer| {
            answer.channels.iter().map(|credit| (credit.channel.as_str(), most(&credit.channel))).collect()
        })
        .unwrap_or_default();
    channels.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    let all = channels.len();
    channels.truncate(CHANNELS);
    let interval = |model: usize, channel: &str| -> Option<(f64, f64)> {
        let found = intervals.get(model)?.iter().find(|interval| interval.channel == channel)?;
        Some(found.conversions.into())
    };
    let groups = channels.iter().map(|(channel, _)| {
        let values = answers.iter().map(|answer| of(answer, channel));
        Group::new(*channel, values).intervals((0..answers.len()).map(|model| interval(model, channel)))
    });
    let conversions = answers.first().map_or(0.0, |answer| answer.conversions);
    let number = lang.number(conversions, Format::Integer);
    let mut subtitle = lang.pick(
        format!("credits of {number} conversions by model"),
        format!("crédits de {number} conversions par modèle"),
    );
    if all > CHANNELS {
        subtitle.push_str(
            &lang.pick(format!("; {CHANNELS} of {all} channels"), format!(" ; {CHANNELS} canaux sur {all}")),
        );
    }
    let decimals = if conversions < 100.0 { Format::Decimal(1) } else { Format::Integer };
    let title = lang.pick("Conversions by channel", "Conversions par canal");
    let models = answers.iter().map(|answer| answer.model.name());
    if answers.len() > MODELS {
        let mut map = HeatMap::new(title, channels.iter().map(|(channel, _)| *channel), models)
            .subtitle(subtitle)
            .format(decimals)
            .lang(lang);
        for (row, (channel, _)) in channels.iter().enumerate() {
            for (column, answer) in answers.iter().enumerate() {
                map = map.cell(row, column, Cell { value: of(answer, channel), count: None });
            }
        }
        return map.into();
    }
    if !intervals.is_empty() {
        subtitle.push_str(lang.pick("; lines are 95 % intervals", " ; traits : intervalles à 95 %"));
    }
    GroupedBars::new(title, models).subtitle(subtitle).format(decimals).lang(lang).groups(groups).into()
}

/// Paths as a flow: their first `touches` channels (from 1 to 6), then how they ended. Paths that end before keep their
/// end; of longer ones the later touches are not drawn.
#[must_use]
pub fn path_flow(paths: &Paths, touches: usize, lang: Lang) -> Flow {
    let touches = touches.clamp(1, 6);
    let (sale, none) = lang.pick(("conversion", "none"), ("conversion", "aucune"));
    let mut steps: Vec<String> =
        (1..=touches).map(|at| lang.pick(format!("touch {at}"), format!("contact {at}"))).collect();
    steps.push(lang.pick("outcome", "issue").to_owned());
    let (mut longer, mut all) = (0.0, 0.0);
    let mut streams = Vec::new();
    for (names, outcome) in paths.iter() {
        if names.is_empty() {
            continue;
        }
        all += outcome.conversions + outcome.nulls;
        if names.len() > touches {
            longer += outcome.conversions + outcome.nulls;
        }
        for (end, count) in [(sale, outcome.conversions), (none, outcome.nulls)] {
            let mut through: Vec<&str> = names.iter().take(touches).copied().collect();
            through.resize(touches + 1, end);
            streams.push(Stream::new(through, count));
        }
    }
    let [all, longer] = [all, longer].map(|count| lang.number(count, Format::Integer));
    let subtitle = lang.pick(
        format!("{all} paths; of {longer} longer ones the first touches"),
        format!("{all} parcours ; les premiers contacts de {longer} parcours plus longs"),
    );
    Flow::new(lang.pick("Paths of channels", "Parcours de canaux"), steps)
        .subtitle(subtitle)
        .format(Format::Integer)
        .lang(lang)
        .lowest([sale, none])
        .streams(streams)
}
