//! The command line.

use chrono::NaiveDate;
use clap::Parser;
use mkt_examples::option::day;
use std::path::PathBuf;

const FILES: &str = r#"Files (UTF-8, header first; times are UTC unless said otherwise), each with a line of it:

inscrits.csv: who signed up on the site; days of the shop's calendar, Europe/Paris
  email,prenom,date_inscription
  jerome.petit8@example.net,Jérôme,2026-05-03
sessions.csv: in the order of start_time
  session_id,user_id,start_time,end_time,pages_viewed,converted,channel
  s000001,u000182,2026-05-03 16:12:00,2026-05-03 16:14:21,3,false,paid
events.csv: in the order of timestamp; page_view, product_view, add_to_cart, purchase, signup
  event_id,user_id,event_type,timestamp,channel,revenue,properties
  7,u000182,purchase,2026-05-03 16:13:02,paid,12.50,"{""url"":…,""items"":[…],…}"
  properties: url, referrer, items[{sku,name,category,price,quantity}], order_id, session_id;
  landing URLs of paid, email and social visits carry utm_source, utm_medium, utm_campaign
user_behavior.csv: labelled visits for a conversion model, time_on_site in seconds
  time_on_site,pages_viewed,source,device,converted
  178,4,email,desktop,1
social_posts.csv: an empty cell is a number that the platform did not give
  post_id,platform,published_at,type,text,
    likes,comments,shares,saves,reach,impressions,followers,paid   (one line)
  ig_00002,instagram,2026-05-01T16:12:00Z,reel,Le thé,120,11,8,14,2310,2904,8200,false
customers.csv: everybody in inscrits.csv, and holders of a customer card
  user_id,email,first_name,lang,consent_marketing,consent_since,signed_up_at,segment
  u000008,j.petit8@example.net,Jérôme,fr,false,,2026-05-03 16:12:00,client
costs.csv: days of Europe/Paris
  day,channel,source,medium,campaign,impressions,clicks,cost,currency
  2026-05-03,paid,google,cpc,printemps-2026,412,9,7.40,EUR
access.log: combined log format in local time; some visitors, robots, malformed lines
truth.json: what was planted and what came out; written last, a directory that has it is complete

Addresses are at example.org, example.com, example.net, IP addresses from the ranges reserved for
documentation. The same options give the same bytes on every machine. A million visitors take half
a minute, 100 MB of memory and 2.3 GB of disk.

--json prints one object on standard output with the keys out, seed, users, sessions, events,
purchases, revenue, signups, customers, posts, behaviors, cost_rows, log_lines, abandoned_carts,
reachable_carts, last_event, bytes, seconds. revenue is a number in EUR; an abandoned cart is a
visitor whose last add_to_cart has no later purchase, reachable when that visitor is a customer who
consents; last_event is UTC; bytes counts all files.

Exit code: 0 when all files are there, 1 when they could not be written, 2 for invalid options, 130
after Ctrl-C, which leaves nothing of the new files.

Examples:
  cargo run --release --example make_sample_data -- --out target/sample
  cargo run --release --example make_sample_data -- --users 1000000 --seed 1 --out shop --json"#;

/// Write the data of an imaginary tea shop, of any size, with known truths planted in it.
///
/// Visitors, sessions, events, sign-ups, customers, campaign costs, social posts and a web server log that fit
/// together: a purchase lies in its session, who signs up is in inscrits.csv, tagged visits are in costs.csv.
/// A best hour, an effect of the channel, a retention and a conversion model are planted and written to
/// truth.json, so that a report or a model can be checked against what is true.
#[derive(Debug, Parser)]
#[command(name = "make_sample_data", after_long_help = FILES, max_term_width = 100)]
pub(crate) struct Arguments {
    /// How many visitors (1 to 10 000 000); a visitor comes about 2.5 times in six months
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) users: u32,
    /// Another seed, another world
    #[arg(long, value_name = "S", default_value_t = 42)]
    pub(crate) seed: u64,
    /// Directory to write into, created where missing; files of the same names are replaced
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// First day
    #[arg(long, value_name = "DAY", default_value = "2026-05-01", value_parser = day)]
    pub(crate) start: NaiveDate,
    /// Last day, included; the default crosses the clock change of 25 October
    #[arg(long, value_name = "DAY", default_value = "2026-10-26", value_parser = day)]
    pub(crate) end: NaiveDate,
    /// One visitor in K has its requests in access.log
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) log_one_in: u32,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
}
