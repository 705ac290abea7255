//! A public client of the vendor's users, piano-analytics-api from PyPI, against the stand-in, where `MKT_TEST_SERVERS=1` is
//! set. Needs python3 with venv and the network; what is missing is named in "skipped".

use mkt_etl::testing::FakeAtInternet;
use std::path::Path;
use std::process::Command;

const VERSION: &str = "1.0.0";

/// Asks for what a user would, and prints one JSON object. The client knows one host over TLS: the connection is replaced,
/// nothing else of it.
const SCRIPT: &str = r#"
import datetime, http.client, json, os
import piano_analytics_api.api as api
from piano_analytics_api import Client, Request, period, pfilter
http.client.HTTPSConnection = lambda host: http.client.HTTPConnection(os.environ["AUTHORITY"])
access, secret = os.environ["KEY"].split("_", 1)
client = Client(access, secret)
site = int(os.environ["SITE"])
day = period.Day(datetime.date(2026, 3, 28))

def ask(columns, **more):
    more.setdefault("period", day)
    return Request(client=client, sites=[site], columns=columns, sort=["-m_visits"], **more)

told = {}
pages = ask(["page", "m_visits", "m_page_loads"])
told["rows"] = len(list(pages.get_result_rows()))
told["count"] = pages.get_rowcount()
told["total"] = pages.get_total()
told["shop"] = len(list(ask(["page", "m_visits"], property_filter=pfilter.ListAnd(
    pfilter.IsEmpty("page", False), pfilter.Contains("page", ["shop"]))).get_result_rows()))
told["busy"] = len(list(ask(["page", "m_visits"], metric_filter=pfilter.Greater("m_visits", 3)).get_result_rows()))
told["named"] = len(list(ask(["src", "m_visits"], ignore_null_properties=True).get_result_rows()))
told["all"] = len(list(ask(["src", "m_visits"]).get_result_rows()))
told["beside"] = list(Request(client=client, sites=[site], columns=["p1.m_visits", "p2.m_visits"], period=day,
    cmp_period=period.Day(datetime.date(2026, 3, 27)), sort=["-p1.m_visits"]).get_result_rows())
told["yesterday"] = list(ask(["m_visits"], period=period.RelativeDay(-1)).get_result_rows())
told["month"] = list(ask(["m_visits"], period=period.RelativeMonth(-1)).get_result_rows())
halves = [(0, 11), (12, 23)]
told["halves"] = sum(list(ask(["m_visits"], period=period.Day(datetime.datetime(2026, 3, 28, first),
    datetime.datetime(2026, 3, 28, last, 59, 59))).get_result_rows())[0]["m_visits"] for first, last in halves)
try:
    list(ask(["no_such", "m_visits"]).get_result_rows())
except api.APIException as error:
    told["refused"] = str(error)
print(json.dumps(told))
"#;

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// A Python with the client, in this folder.
fn install(folder: &Path) -> Result<std::path::PathBuf, String> {
    if std::env::var("MKT_TEST_SERVERS").is_ok_and(|value| value == "1") {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        let python = folder.join("bin/python");
        let package = format!("piano-analytics-api=={VERSION}");
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", &package]))?;
        Ok(python)
    } else {
        Err("MKT_TEST_SERVERS=1 is not set".to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_client_reads_the_stand_in() {
    let folder = tempfile::tempdir().unwrap();
    let python = match install(folder.path()) {
        Ok(python) => python,
        Err(reason) => return println!("skipped: piano-analytics-api: {reason}"),
    };
    let fake = FakeAtInternet::start().await.unwrap();
    let mut command = Command::new(python);
    command.args(["-c", SCRIPT]).env("AUTHORITY", fake.server().authority());
    command.env("KEY", fake.key().expose()).env("SITE", FakeAtInternet::SPACE.to_string());
    let told = tokio::task::spawn_blocking(move || run(&mut command).unwrap()).await.unwrap();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let visits = |name: &str| told[name][0]["m_visits"].as_u64().unwrap();
    assert_eq!(told["rows"], told["count"], "{told}");
    // Thirty pages, two of them accounts.
    assert!(told["shop"].as_u64().unwrap() + 2 == told["rows"].as_u64().unwrap(), "{told}");
    assert!(told["busy"].as_u64().unwrap() < told["rows"].as_u64().unwrap(), "{told}");
    assert_eq!(told["total"]["m_visits"], 60);
    assert_eq!(told["all"].as_u64(), told["named"].as_u64().map(|named| named + 1), "{told}");
    assert_eq!(told["beside"], serde_json::json!([{"p1.m_visits": 60, "p2.m_visits": 60}]));
    // Today is the 15th of November: October has 31 days of 60 visits.
    assert_eq!((visits("yesterday"), visits("month"), told["halves"].as_u64()), (60, 31 * 60, Some(60)));
    assert!(told["refused"].as_str().unwrap().contains("no_such"), "{told}");
}
