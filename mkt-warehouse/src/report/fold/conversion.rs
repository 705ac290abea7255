//! Conversion by channel: one bit per person and channel.

use super::{Names, People, counts, people_and, read};
use crate::report::conversion::{ChannelConversion, REPORT};
use crate::report::{Answer, Scope};
use crate::table::ColumnType;
use crate::warehouse::Warehouse;
use mkt_connect::{Channel, Result};

/// After those of [`people_and`]; 2: sessions of the period.
const PARTS: &str = "
select 2, s.user_id, s.source, s.site, s.channel, s.converted
{visited by origin}
  and s.start_time >= :from";

const COLUMNS: [(&str, ColumnType); 6] = [
    ("part", ColumnType::Int),
    ("user_id", ColumnType::Text),
    ("source", ColumnType::Text),
    ("site", ColumnType::Text),
    ("name", ColumnType::Text),
    ("converted", ColumnType::Bool),
];

/// As [`crate::report::conversion_by_channel`].
pub(crate) async fn conversion<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
) -> Result<Answer<ChannelConversion>> {
    let (mut people, mut channels) = (People::default(), Names::default());
    let mut counted = Vec::new();
    // Two bits per person and channel, by the number of the channel: a session, and a converted one.
    let mut seen: Vec<Bits> = Vec::new();
    let mut known: Vec<Channel> = Vec::new();
    read(&REPORT, warehouse, scope, &people_and(["converted"], PARTS), &COLUMNS, &[], |row| {
        if people.learn(row)? {
            return Ok(());
        }
        let visitor = people.visitor(row.text(1)?, row.text(2)?, row.text(3)?);
        if counted.len() <= visitor.origin as usize {
            counted = people.counted(scope);
        }
        if !counts(&counted, visitor) {
            return Ok(());
        }
        let channel = channels.number(row.text(4)?) as usize;
        if channel == known.len() {
            known.push(row.parsed(4, "a channel")?);
            seen.push(Bits::default());
        }
        if let Some(seen) = seen.get_mut(channel) {
            seen.note(people.person(visitor), row.bool(5)?);
        }
        Ok(())
    })
    .await?;
    let mut rows: Vec<ChannelConversion> = known
        .into_iter()
        .zip(&seen)
        .map(|(channel, seen)| ChannelConversion {
            channel,
            users: seen.users,
            converted_users: seen.converted,
            conversion_rate: Some((100 * seen.converted) as f64 / seen.users as f64),
        })
        .collect();
    rows.sort_by(|a, b| {
        let rate = |row: &ChannelConversion| row.conversion_rate.unwrap_or_default();
        rate(b).total_cmp(&rate(a)).then_with(|| a.channel.as_str().cmp(b.channel.as_str()))
    });
    Ok(Answer::from_rows(rows))
}

/// The people of a channel, and how many they are.
#[derive(Default)]
struct Bits {
    of: Vec<u8>,
    users: i64,
    converted: i64,
}

impl Bits {
    fn note(&mut self, person: u32, converted: bool) {
        let person = person as usize;
        if self.of.len() <= person {
            // Numbers rise: half as much again, so that a table of few people stays small.
            self.of.resize(person + person / 2 + 64, 0);
        }
        let Some(held) = self.of.get_mut(person) else { return };
        self.users += i64::from(*held & 1 == 0);
        self.converted += i64::from(converted && *held & 2 == 0);
        *held |= 1 | u8::from(converted) << 1;
    }
}
