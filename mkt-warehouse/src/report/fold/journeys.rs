//! Each person's sessions in order, and where in them the sales stand.

use super::{People, Row, Visitor, people_and, read};
use crate::report::{Definition, Scope};
use crate::table::{ColumnType, TableError, Value};
use crate::warehouse::Warehouse;
use mkt_connect::{Channel, Currency, Result};
use rust_decimal::Decimal;
use std::time::Duration;

const SESSIONS: i64 = 2;
const SALES: i64 = 3;

/// After those of [`people_and`]; 2: sessions since the look-back; 3: sales of the period, whose `user_id` is the
/// person already. A report appends its own.
const PARTS: &str = "
select
    2, s.user_id, s.source, s.site, s.session_id, s.start_time, s.channel, s.campaign_id, s.converted,
    null, null, s.seq, null, null
{visited by origin}
  and s.start_time >= :look_from
union all
select
    3, {person}, null, null, e.session_id, e.timestamp, null,
    null, e.event_type = 'refund', e.revenue, coalesce(e.currency, t.currency), null, null, null
{sales}";

const COLUMNS: [(&str, ColumnType); 14] = [
    ("part", ColumnType::Int),
    ("user_id", ColumnType::Text),
    ("source", ColumnType::Text),
    ("site", ColumnType::Text),
    ("name", ColumnType::Text),
    ("happened", ColumnType::Timestamp),
    ("channel", ColumnType::Text),
    ("campaign_id", ColumnType::Text),
    ("flag", ColumnType::Bool),
    ("money", ColumnType::Decimal { scale: 2 }),
    ("currency", ColumnType::Text),
    ("one", ColumnType::Int),
    ("two", ColumnType::Int),
    ("three", ColumnType::Int),
];

/// A session.
pub(super) struct Touch {
    pub(super) person: u32,
    /// Microseconds since 1970.
    pub(super) happened: i64,
    seq: i64,
    /// By [`Journeys::read`]'s names.
    session: u32,
    pub(super) channel: Channel,
    pub(super) converted: bool,
    /// By [`Journeys::campaigns`]; 0 for none.
    pub(super) campaign: u32,
}

impl Touch {
    /// Whether a conversion can be credited to it.
    fn is_click(&self) -> bool {
        self.channel != Channel::Direct || self.campaign != 0
    }
}

/// A purchase or a refund.
pub(super) struct Sale {
    person: u32,
    session: Option<u32>,
    /// Microseconds since 1970; those of the session that it names, where this is known.
    pub(super) happened: i64,
    /// The person's last session up to there.
    pub(super) after: Option<usize>,
    pub(super) currency: Option<Currency>,
    pub(super) hundredths: i128,
    pub(super) refund: bool,
}

/// Every person's sessions, in order.
pub(super) struct Journeys {
    pub(super) touches: Vec<Touch>,
    pub(super) sales: Vec<Sale>,
    pub(super) campaigns: super::Names,
    /// For each session, the person's last conversion up to it, and the last click.
    conversions: Vec<Option<usize>>,
    clicks: Vec<Option<usize>>,
    look_back: i64,
}

impl Journeys {
    /// Reads them; rows of the parts that a report appends (`union all select 4, …`) go to `more`.
    pub(super) async fn read<W: Warehouse + ?Sized>(
        report: &Definition,
        warehouse: &W,
        scope: &Scope,
        look_back: Duration,
        values: &[(&'static str, Value)],
        appended: &str,
        mut more: impl FnMut(&Row<'_>, &mut super::Names) -> std::result::Result<(), TableError>,
    ) -> Result<Self> {
        let (mut people, mut campaigns) = (People::default(), super::Names::default());
        let mut sessions = super::Names::default();
        let mut touches: Vec<(Visitor, Touch)> = Vec::new();
        let mut sales = Vec::new();
        campaigns.number("");
        let statement = people_and(
            ["happened", "channel", "campaign_id", "flag", "money", "currency", "one", "two", "three"],
            &format!("{PARTS}{appended}"),
        );
        read(report, warehouse, scope, &statement, &COLUMNS, values, |row| {
            if people.learn(row)? {
                return Ok(());
            }
            match row.int(0)? {
                SESSIONS => {
                    let visitor = people.visitor(row.text(1)?, row.text(2)?, row.text(3)?);
                    let touch = Touch {
                        person: 0,
                        happened: row.int(5)?,
                        channel: row.parsed(6, "a channel")?,
                        converted: row.bool(8)?,
                        seq: row.int(11)?,
                        campaign: campaigns.number(row.text_or_null(7).unwrap_or("")),
                        session: sessions.number(row.text(4)?),
                    };
                    touches.push((visitor, touch));
                }
                SALES => sales.push(Sale {
                    person: people.names.number(row.text(1)?),
                    happened: row.int(5)?,
                    after: None,
                    currency: row.parsed_or_null(10, "a currency")?,
                    hundredths: i128::from(row.int(9)?),
                    refund: row.bool(8)?,
                    session: row.text_or_null(4).and_then(|session| sessions.find(session)),
                }),
                _ => more(row, &mut campaigns)?,
            }
            Ok(())
        })
        .await?;
        let mut touches: Vec<Touch> =
            people.resolved(scope, touches).map(|(person, touch)| Touch { person, ..touch }).collect();
        touches.sort_unstable_by(|a, b| {
            let by_name = || sessions.name(a.session).cmp(sessions.name(b.session));
            (a.person, a.happened, a.seq).cmp(&(b.person, b.happened, b.seq)).then_with(by_name)
        });
        let look_back = i64::try_from(look_back.as_micros()).unwrap_or(i64::MAX);
        let conversions = last_of_person(&touches, |touch| touch.converted);
        let clicks = last_of_person(&touches, Touch::is_click);
        let mut journeys = Self { touches, sales: Vec::new(), campaigns, conversions, clicks, look_back };
        journeys.place(&mut sales, sessions.len());
        journeys.sales = sales;
        Ok(journeys)
    }

    /// Puts each sale after the session that it names, else after the person's sessions up to its own time.
    fn place(&self, sales: &mut [Sale], sessions: usize) {
        let mut place_of: Vec<Option<usize>> = vec![None; sessions];
        for (index, touch) in self.touches.iter().enumerate() {
            if let Some(place) = place_of.get_mut(touch.session as usize) {
                *place = Some(index);
            }
        }
        for sale in sales {
            let named = sale.session.and_then(|session| place_of.get(session as usize).copied().flatten());
            if let Some(touch) = named.and_then(|index| self.touches.get(index)) {
                (sale.person, sale.happened, sale.after) = (touch.person, touch.happened, named);
                continue;
            }
            let moment = (sale.person, sale.happened);
            let past = self.touches.partition_point(|touch| (touch.person, touch.happened) <= moment);
            let own =
                |index: &usize| self.touches.get(*index).is_some_and(|touch| touch.person == sale.person);
            sale.after = past.checked_sub(1).filter(own);
        }
    }

    /// The person's last conversion up to a session.
    pub(super) fn conversion_before(&self, after: Option<usize>) -> Option<usize> {
        self.conversions.get(after?).copied().flatten()
    }

    /// The campaign of the last click up to a session, where it is not longer ago than the look-back; 0 for none.
    pub(super) fn credited(&self, after: Option<usize>, happened: i64) -> u32 {
        let click = after.and_then(|after| self.clicks.get(after).copied().flatten());
        click
            .and_then(|click| self.touches.get(click))
            .filter(|click| click.happened + self.look_back >= happened)
            .map_or(0, |click| click.campaign)
    }

    /// Every path of the period: its sessions, and the place of the conversion with which it ends.
    pub(super) fn each_path(&self, from: i64, mut each: impl FnMut(&[Touch], Option<usize>)) {
        let mut place = 0;
        for of_person in self.touches.chunk_by(|a, b| a.person == b.person) {
            for steps in of_person.split_inclusive(|touch| touch.converted) {
                place += steps.len();
                let goal = steps.last().filter(|last| last.converted);
                // What is too old for the conversion that follows is a path of its own.
                let old = goal.map_or(steps.len(), |goal| {
                    steps.partition_point(|touch| touch.happened + self.look_back < goal.happened)
                });
                let (led_nowhere, led) = steps.split_at(old);
                let past = led_nowhere.partition_point(|touch| touch.happened < from);
                if past < led_nowhere.len() {
                    each(&led_nowhere[past..], None);
                }
                if goal.is_some_and(|goal| goal.happened >= from) {
                    each(led, Some(place - 1));
                }
            }
        }
    }
}

/// For each session the person's last one up to it that is of a kind.
fn last_of_person(touches: &[Touch], is: impl Fn(&Touch) -> bool) -> Vec<Option<usize>> {
    let mut last: Option<(u32, usize)> = None;
    let found = touches.iter().enumerate().map(|(index, touch)| {
        if is(touch) {
            last = Some((touch.person, index));
        }
        last.filter(|(person, _)| *person == touch.person).map(|(_, index)| index)
    });
    found.collect()
}

pub(super) fn amount(hundredths: i128) -> crate::model::Amount {
    // 96 bits hold the sum of any number of rows that a table can have.
    crate::model::Amount(Decimal::try_from_i128_with_scale(hundredths, 2).unwrap_or(Decimal::MAX))
}
