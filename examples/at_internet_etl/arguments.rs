//! The command line.

use chrono::NaiveDate;
use chrono_tz::Tz;
use clap::{Parser, ValueEnum};
use mkt_connect::Currency;
use mkt_etl::at_internet::{Name, NameMap, PastedReport, QueryError, Report};
use mkt_etl::{Again, Window};
use mkt_examples::option::{day, pair, zone};
use mkt_examples::warehouse::Target;
use mkt_warehouse::model::MetricKind;

/// Brings a report of AT Internet / Piano Analytics into a warehouse, day by day.
///
/// Each day is a slice: counted, read whole, compared with the vendor's own totals, and loaded in one transaction. A second
/// run changes nothing. The key comes from AT_INTERNET_KEY (access key, _, secret key); it travels in a header.
#[derive(Debug, Parser)]
#[command(
    name = "at_internet_etl",
    max_term_width = 80,
    after_long_help = include_str!("help.txt")
)]
pub(crate) struct Arguments {
    /// Which interface the key is for: v3; v2 (names such as d_page; how organisations with single sign-on read version 2);
    /// restricted (a key of version 3 for one data set: it takes days and pages only, and --columns names its columns).
    #[arg(long, value_name = "NAME", value_enum, default_value = "v3")]
    pub(crate) api: Api,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Where the API is.
    #[arg(long, value_name = "URL", default_value = "https://api.atinternet.io")]
    pub(crate) base_url: String,
    /// A site's number; may be repeated.
    #[arg(long = "space", value_name = "ID", required_unless_present_any = ["demo", "url"])]
    pub(crate) spaces: Vec<u64>,
    /// Properties and metrics (m_...) of the report, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required_unless_present_any = ["demo", "url"])]
    pub(crate) columns: Vec<String>,
    /// A Data Query's URL as it was written by hand, of version 2 or 3, instead of --space and --columns; its days too,
    /// where it names days. Names of version 2 are translated where their counterpart is known, and kept with --api v2.
    #[arg(long, value_name = "URL", conflicts_with_all = ["spaces", "columns"])]
    pub(crate) url: Option<String>,
    /// A name of version 2 and what it is called now: cl_142578=article_id. May be repeated.
    #[arg(long = "rename", value_name = "OLD=NEW", requires = "url", value_parser = pair)]
    renames: Vec<(String, String)>,
    /// The name of the report.
    #[arg(long, value_name = "NAME", default_value = "report")]
    pub(crate) report: String,
    /// The first day, in the site's zone.
    #[arg(long, value_name = "DAY", required_unless_present_any = ["demo", "url"], value_parser = day)]
    pub(crate) from: Option<NaiveDate>,
    /// The last day, included.
    #[arg(long, value_name = "DAY", required_unless_present_any = ["demo", "url"], value_parser = day)]
    pub(crate) to: Option<NaiveDate>,
    /// The zone of the site's days: the API does not tell it [default: UTC, and said].
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub(crate) zone: Option<Tz>,
    /// Metrics of which you know that they add up over the rows of the report and over days, where nothing else says so.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) additive: Vec<String>,
    /// Metrics that are amounts in the site's currency.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "currency")]
    pub(crate) amounts: Vec<String>,
    /// The site's currency.
    #[arg(long, value_name = "CODE")]
    pub(crate) currency: Option<Currency>,
    /// How many days after its end a day may still change.
    #[arg(long, value_name = "DAYS", default_value_t = 3)]
    pub(crate) final_after: u16,
    /// Let this host be reached without TLS and at a private address (HOST or HOST:PORT): a stand-in on loopback.
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_http: Option<String>,
    /// Read a stand-in with generated numbers instead, offline and without a key: 27 to 31 March 2026 of a site in Paris,
    /// unless other days or columns are named.
    #[arg(long, conflicts_with_all = ["spaces", "url", "allow_http", "api"])]
    pub(crate) demo: bool,
    /// Which days are read again although they are final: unsettled (none), quarantined (with records set aside) or all.
    #[arg(long, value_name = "WHICH", default_value = "unsettled")]
    pub(crate) again: Again,
    /// Print one JSON object on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

const OF_THE_DEMO: &str = "src,visit_device_type,m_visits,m_page_loads,m_unique_visitors";

/// What is asked: the report, sites, days, and notes about a pasted URL.
pub(crate) type Asked = (Report, Vec<u64>, Vec<Window>, Vec<String>);

/// The interface of the vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Api {
    /// Version 3.
    V3,
    /// Version 2, with a key.
    V2,
    /// Version 3 with a restricted key.
    Restricted,
}

impl Arguments {
    /// What is asked, from the options or from a pasted URL.
    pub(crate) fn asked(&self) -> Result<Asked, String> {
        let shown = |error: QueryError| error.to_string();
        let (mut report, spaces, own, notes) = match &self.url {
            Some(_) if self.api == Api::Restricted => {
                return Err("a restricted key takes no query: say --space and --columns".to_owned());
            }
            Some(url) if self.api == Api::V2 => {
                let pasted = PastedReport::read_v2(url, &self.report).map_err(shown)?;
                (pasted.report, pasted.spaces, pasted.days, pasted.notes)
            }
            Some(url) => {
                let names = self.renames.iter().try_fold(NameMap::new(), |names, (old, new)| {
                    Ok(names.with(&Name::new(old)?, Name::new(new)?))
                });
                let pasted = PastedReport::read(url, &self.report, &names.map_err(shown)?).map_err(shown)?;
                (pasted.report, pasted.spaces, pasted.days, pasted.notes)
            }
            None => {
                let columns: Vec<&str> = match self.columns.is_empty() {
                    true => OF_THE_DEMO.split(',').collect(),
                    false => self.columns.iter().map(String::as_str).collect(),
                };
                let march = |day| NaiveDate::from_ymd_opt(2026, 3, day).unwrap_or_default();
                let days = Window::days(march(27), march(31));
                (
                    Report::new(&self.report, columns).map_err(shown)?,
                    self.spaces.clone(),
                    vec![days],
                    Vec::new(),
                )
            }
        };
        for name in &self.additive {
            report = report.kind(Name::new(name).map_err(shown)?, MetricKind::Additive);
        }
        for name in &self.amounts {
            report = report.amount(Name::new(name).map_err(shown)?);
        }
        let (first, last) = match (self.from, self.to) {
            (None, None) if !own.is_empty() => return Ok((report, spaces, own, notes)),
            (from, to) => {
                let begin = own.first().map(|days| days.from);
                let end = own.last().and_then(|days| days.until.pred_opt());
                (from.or(begin), to.or(end))
            }
        };
        match (first, last) {
            (Some(first), Some(last)) if first <= last => {
                // Of several periods, the days that lie in these bounds.
                let bounds = Window::days(first, last);
                let named = own.iter().map(|days| Window {
                    from: days.from.max(bounds.from),
                    until: days.until.min(bounds.until),
                });
                let days = if own.len() > 1 { Window::merged(named.collect()) } else { vec![bounds] };
                if days.is_empty() {
                    Err("--from and --to leave none of the URL's days".to_owned())
                } else {
                    Ok((report, spaces, days, notes))
                }
            }
            (Some(_), Some(_)) => Err("--to lies before --from".to_owned()),
            _ => Err("the URL names no days: say --from and --to".to_owned()),
        }
    }
}
