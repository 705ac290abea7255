//! Reads one file with one of the four readers and prints what it saw, its CPU time and its peak memory as JSON.
//! Built by `readers.py` twice: against an old and a new checkout.

mod api;

use chrono_tz::Tz;
use futures_util::StreamExt;

type Failed = Box<dyn std::error::Error>;

fn email(path: &str) -> Result<[u64; 3], Failed> {
    let mut reader = api::Subscribers::open(path)?;
    for row in reader.by_ref() {
        row?;
    }
    let counts = reader.counts();
    Ok([counts.subscribers, counts.duplicates, counts.quarantined])
}

async fn etl(path: &str) -> Result<[u64; 3], Failed> {
    use api::AnalyticsSource;
    let source = api::EtlCsv::builder("shop", Tz::Europe__Paris).events(path).build()?;
    let days = source.days_with_records().await?;
    let (first, last) = (*days.first().ok_or("no day")?, *days.last().ok_or("no day")?);
    let (mut events, mut sum, mut rejected) = (0, 0, 0);
    for slice in source.plan("events", "shop", api::Window::days(first, last))? {
        let mut pages = source.read(&slice);
        while let Some(page) = pages.next().await {
            let page = page?;
            events += page.events.len() as u64;
            sum += page.events.iter().map(|event| event.revenue.0.mantissa() as u64 % 1000).sum::<u64>();
            rejected += page.rejected.len() as u64;
        }
    }
    Ok([events, sum, rejected])
}

async fn social(path: &str) -> Result<[u64; 3], Failed> {
    use api::SocialSourceExt;
    let source = api::SocialCsv::open(path, "2027-01-01T00:00:00Z".parse()?).zone(Tz::Europe__Paris);
    let read = source.read_into(&api::Request::all(), api::Sheet::default()).await?;
    Ok([read.sheet.len() as u64, read.tally.duplicates, read.quarantined.len() as u64])
}

fn ml(path: &str) -> Result<[u64; 3], Failed> {
    let frame = api::Frame::read_csv_path(path)?;
    Ok([frame.rows() as u64, frame.columns().len() as u64, 0])
}

/// User and system time of this process, from /proc: clock ticks of 10 ms.
fn cpu_seconds() -> Result<f64, Failed> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit(')').next().ok_or("stat")?;
    let fields: Vec<&str> = after.split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

fn peak_mb() -> Result<f64, Failed> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("VmHWM")?;
    Ok(line.split_whitespace().nth(1).ok_or("VmHWM")?.parse::<f64>()? / 1000.0)
}

fn main() -> Result<(), Failed> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, reader, path] = &arguments[..] else { return Err("readers READER FILE".into()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let begun = std::time::Instant::now();
    let seen = match reader.as_str() {
        "email" => email(path)?,
        "etl" => runtime.block_on(etl(path))?,
        "social" => runtime.block_on(social(path))?,
        "ml" => ml(path)?,
        other => return Err(format!("no reader {other}").into()),
    };
    let wall = begun.elapsed().as_secs_f64();
    println!("{{\"seen\": {seen:?}, \"cpu\": {}, \"wall\": {wall:.3}, \"peak_mb\": {:.1}}}", cpu_seconds()?, peak_mb()?);
    Ok(())
}
