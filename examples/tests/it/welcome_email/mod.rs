//! `welcome_email`: everybody in the file is welcomed, once, whoever carries the mails and whatever happens.

mod program;
mod refused;

use mkt_email::SystemClock;
use mkt_email::testing::{FakeBrevo, FakeMailgun, smtp::SmtpServer};
use program::{CANARY, Place, Run};
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

/// Two people, one of them twice, a row that is none, and somebody whose name nobody knows.
const FILE: &str = "email;prénom;date_inscription\nJean@example.org;Jean;2025-01-15\nzoe@example.org;Zoé;2025-01-16\n\
                    jean@example.org;Jean;2025-01-17\nnobody;X;2025-01-15\nanon@example.org;;2025-01-15\n";

fn told(counts: &BTreeMap<String, u64>, keys: &[&str]) -> Vec<u64> {
    keys.iter().map(|key| counts[*key]).collect()
}

#[test]
fn everybody_with_a_name_is_welcomed_once_and_the_others_are_set_aside() {
    let place = Place::new(FILE);
    let run = place.run(&[], &[]);
    let counts = run.counts(0);
    let keys = ["rows", "recipients", "sent", "already_sent", "quarantined", "duplicates"];
    assert_eq!(told(&counts, &keys), [5, 2, 2, 0, 2, 1]);
    assert_eq!(
        run.err.lines().collect::<Vec<_>>(),
        [
            "welcome_email: quarantined: line 5: the address is not well-formed: no @",
            "welcome_email: quarantined: line 6: the template's subject needs prenom, which is missing (line 1)",
        ]
    );
    let log = place.log();
    let accepted: Vec<_> = log.iter().filter(|line| line["outcome"] == "accepted").collect();
    assert_eq!(accepted.len(), 2);
    assert!(accepted.iter().any(|line| line["recipient"] == "Jean@example.org" && line["id"].is_string()));
    let mails = place.mails();
    assert!(mails.iter().any(|mail| mail.contains("Subject: Bienvenue Jean !")), "{mails:?}");

    // A second time, from a file that has grown.
    fs::write(place.path("inscrits.csv"), format!("{FILE}new@example.org;Léa;2025-01-18\n")).unwrap();
    let counts = place.counts(&["--lang", "en"], &[]);
    assert_eq!(told(&counts, &keys), [6, 3, 3, 2, 2, 1]);
    assert_eq!(place.mails().len(), 3);
    assert_eq!(place.log().iter().filter(|line| line["outcome"] == "accepted").count(), 3);
    // And from one that has shrunk: the counts are about the file.
    fs::write(place.path("inscrits.csv"), "email,prenom\nzoe@example.org,Zoé\n").unwrap();
    assert_eq!(told(&place.counts(&[], &[]), &keys), [1, 1, 1, 1, 0, 0]);
}

#[test]
fn a_dry_run_says_what_would_be_sent_and_writes_nothing() {
    let place = Place::new(FILE);
    let entries = || fs::read_dir(place.path(".")).unwrap().count();
    let keys = ["recipients", "sent", "pending", "already_sent"];
    // No key is needed.
    assert_eq!(told(&place.counts(&["--dry-run", "--provider", "brevo"], &[]), &keys), [2, 0, 2, 0]);
    assert_eq!(entries(), 1, "only the file of sign-ups is there");
    place.counts(&[], &[]);
    let log = place.log();
    assert_eq!(told(&place.counts(&["--dry-run"], &[]), &keys), [2, 2, 0, 2]);
    assert_eq!((place.log(), place.mails().len()), (log, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn through_brevo_each_is_written_to_once_and_a_wrong_key_costs_nobody() {
    let fake = FakeBrevo::start(Arc::new(SystemClock::new())).await.unwrap();
    let place = Place::new(FILE);
    let (url, key) = (fake.url(), fake.api_key());
    let options = ["--provider", "brevo", "--base-url", &url, "--from", "La Boutique <hello@shop.example>"];
    let wrong = place.run(&options, &[("BREVO_API_KEY", &format!("xkeysib-{CANARY}"))]);
    assert!(wrong.sentence().contains("brevo"), "{wrong:?}");
    assert_eq!(fake.delivered().len(), 0);
    let keys = [("BREVO_API_KEY", key.expose())];
    let counts = place.counts(&options, &keys);
    assert_eq!(told(&counts, &["sent", "already_sent"]), [2, 0]);
    assert_eq!(told(&place.counts(&options, &keys), &["sent", "already_sent"]), [2, 2]);
    let mut mails = fake.delivered();
    mails.sort_by_key(|mail| mail.to.as_str().to_owned());
    assert_eq!(mails.len(), 2);
    assert_eq!((mails[0].to.as_str(), mails[0].subject.as_str()), ("Jean@example.org", "Bienvenue Jean !"));
    assert!(mails[1].html.as_ref().unwrap().contains("Bienvenue Zoé !"));
    assert!(mails[1].text.as_ref().unwrap().contains("L’équipe de La Boutique"));
    place.holds_no_secret();
}

#[tokio::test(flavor = "multi_thread")]
async fn through_mailgun_each_is_written_to_once_and_one_bad_address_sinks_nobody_else() {
    let fake = FakeMailgun::start(Arc::new(SystemClock::new())).await.unwrap();
    let place = Place::of_people(20);
    fake.refuse(&"reader7@example.org".parse().unwrap());
    let (url, key) = (fake.url(), fake.api_key());
    let keys = [("MAILGUN_API_KEY", key.expose()), ("MAILGUN_DOMAIN", fake.domain())];
    let options = ["--provider", "mailgun", "--base-url", &url];
    assert_eq!(told(&place.counts(&options, &keys), &["sent", "failed", "already_sent"]), [19, 1, 0]);
    assert_eq!(told(&place.counts(&options, &keys), &["sent", "failed", "already_sent"]), [19, 1, 19]);
    let mails = fake.delivered();
    assert_eq!(mails.len(), 19);
    assert!(mails.iter().all(|mail| mail.others_shown == 0));
    place.holds_no_secret();
}

#[tokio::test(flavor = "multi_thread")]
async fn through_smtp_each_is_written_to_once() {
    let server = SmtpServer::builder().user("me", CANARY).start().unwrap();
    let place = Place::of_people(20);
    let url = format!("smtp://me:{CANARY}@127.0.0.1:{}?tls=none", server.port());
    let keys = [("SMTP_URL", url.as_str())];
    assert_eq!(told(&place.counts(&["--provider", "smtp"], &keys), &["sent", "already_sent"]), [20, 0]);
    assert_eq!(told(&place.counts(&["--provider", "smtp"], &keys), &["sent", "already_sent"]), [20, 20]);
    let mut to: Vec<String> = server.emails().into_iter().flat_map(|mail| mail.to).collect();
    to.sort();
    to.dedup();
    assert_eq!((to.len(), server.emails().len()), (20, 20));
    place.holds_no_secret();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_asks_to_slow_down_is_waited_for() {
    let fake = FakeBrevo::start(Arc::new(SystemClock::new())).await.unwrap();
    let place = Place::of_people(250);
    fake.limit(1, Duration::from_secs(1));
    let (url, key) = (fake.url(), fake.api_key());
    let counts =
        place.counts(&["--provider", "brevo", "--base-url", &url], &[("BREVO_API_KEY", key.expose())]);
    assert_eq!((counts["sent"], fake.delivered().len()), (250, 250));
}

/// `MKT_WELCOME_KILLS` times (6), at moments drawn from `MKT_WELCOME_SEED`: then nobody was written to twice, and after
/// one run to the end nobody is missing.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_and_run_again_nobody_is_written_to_twice_and_nobody_lost() {
    use rand_xoshiro::rand_core::{RngCore, SeedableRng};
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (kills, seed) = (number("MKT_WELCOME_KILLS", 6), number("MKT_WELCOME_SEED", 1));
    let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut draw = |most: u64| random.next_u64() % most;
    let people = 150;
    let server = SmtpServer::builder()
        .behave(|_| {
            // Long enough for a run to be killed in the middle.
            std::thread::sleep(Duration::from_micros(300));
            None
        })
        .start()
        .unwrap();
    let url = format!("smtp://127.0.0.1:{}?tls=none", server.port());
    let smtp = Place::of_people(people);
    let fake = FakeBrevo::start(Arc::new(SystemClock::new())).await.unwrap();
    let (base, key) = (fake.url(), fake.api_key());
    let brevo = Place::of_people(people);
    type Side<'a> = (&'a Place, &'a [&'a str], [(&'a str, &'a str); 1]);
    let sides: [Side<'_>; 2] = [
        (&smtp, &["--provider", "smtp"], [("SMTP_URL", &url)]),
        (&brevo, &["--provider", "brevo", "--base-url", &base], [("BREVO_API_KEY", key.expose())]),
    ];
    let mut cut = 0;
    for (place, options, keys) in &sides {
        for _ in 0..kills {
            let mut child = place.command(options, keys).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(20 + draw(400)));
            child.kill().unwrap();
            cut += u64::from(Run::of(child.wait_with_output().unwrap()).code.is_none());
        }
        let run = place.run(options, keys);
        let counts = run.counts(run.code.unwrap());
        assert_eq!((counts["recipients"], counts["pending"], counts["failed"]), (people as u64, 0, 0));
        assert!(counts["unknown"] <= 4 * kills, "at most one mail of each connection and kill: {counts:?}");
        if options.len() > 2 {
            assert_eq!((run.code, counts["unknown"]), (Some(0), 0), "Brevo can tell");
        }
        let mut reached: Vec<String> = if options.len() > 2 {
            fake.delivered().iter().map(|mail| mail.to.normalised()).collect()
        } else {
            server.emails().into_iter().flat_map(|mail| mail.to).collect()
        };
        let all = reached.len();
        reached.sort();
        reached.dedup();
        assert_eq!(reached.len(), all, "nobody is written to twice (seed {seed})");
        assert!(
            all as u64 >= counts["sent"] && all as u64 + counts["unknown"] >= people as u64,
            "nobody is lost"
        );
    }
    assert!(kills < 5 || cut > 0, "no kill came in time");
}

#[test]
fn what_is_wrong_is_told_in_one_sentence_before_anything_is_written() {
    let place = Place::new(FILE);
    fs::write(place.path("names.csv"), "nom,prenom\na,b\n").unwrap();
    fs::write(place.path("bare.html"), "<p>Bonjour</p>").unwrap();
    fs::write(place.path("open.html"), "<title>Bonjour</title>\n{% if %}").unwrap();
    fs::write(place.path("taken"), "a file").unwrap();
    let before = fs::read_dir(place.path(".")).unwrap().count();
    let secret = format!("xkeysib-{CANARY}");
    let keyed = [("BREVO_API_KEY", secret.as_str())];
    let no_keys: [(&str, &str); 0] = [];
    let region = [
        ("MAILGUN_API_KEY", secret.as_str()),
        ("MAILGUN_DOMAIN", "mg.example.org"),
        ("MAILGUN_REGION", "fr"),
    ];
    for (options, keys, wanted) in [
        (&["--provider", "brevo"][..], &no_keys[..], "set BREVO_API_KEY in the environment"),
        (&["--provider", "mailgun"], &keyed, "set MAILGUN_DOMAIN in the environment"),
        (&["--provider", "mailgun"], &[("MAILGUN_DOMAIN", "mg.example.org")], "set MAILGUN_API_KEY"),
        (&["--provider", "mailgun"], &region, "invalid MAILGUN_REGION: expected us or eu"),
        (&["--subscribers", "/dev/stdin"], &no_keys, "cannot read /dev/stdin: it is read twice"),
        (&["--provider", "smtp"], &no_keys, "set SMTP_URL in the environment"),
        (&["--provider", "smtp"], &[("SMTP_URL", "http://x")], "neither smtps:// nor smtp://"),
        (&["--provider", "brevo", "--base-url", "http://shop.example.org"], &keyed, "plain http is refused"),
        (&["--provider", "maildir", "--base-url", "https://x.example"], &no_keys, "--base-url is for brevo"),
        (&["--subscribers", "none.csv"], &no_keys, "cannot read none.csv"),
        (
            &["--subscribers", "names.csv"],
            &no_keys,
            "cannot read names.csv: the header has no column of addresses",
        ),
        (&["--template", "none.html"], &no_keys, "cannot use the template none.html: No such file"),
        (&["--template", "bare.html"], &no_keys, "bare.html: it has no <title>, which is to be the subject"),
        (&["--template", "open.html"], &no_keys, "html does not compile (line 2)"),
        (&["--state", "taken/outbox.sqlite"], &no_keys, "taken"),
        (&["--state", "taken", "--provider", "brevo"], &keyed, "cannot use the state taken"),
    ] {
        // The last of an option that is given twice would be an error of its own.
        let mut command = place.command(&[], keys);
        if options[0] == "--subscribers" {
            command = std::process::Command::new(command.get_program());
            command.current_dir(place.path(".")).env_clear().arg("--json");
        }
        let run = Run::of(command.args(options).output().unwrap());
        assert!(run.sentence().contains(wanted), "{wanted:?} in {run:?}");
        assert!(run.sentence().len() < 300, "{run:?}");
    }
    assert_eq!(fs::read_dir(place.path(".")).unwrap().count(), before, "nothing is written");
    let run = place.run(&["--log", "inscrits.csv"], &[]);
    assert!(run.sentence().contains("cannot keep the log inscrits.csv"), "{run:?}");
    assert_eq!(fs::read_to_string(place.path("inscrits.csv")).unwrap(), FILE, "it is left as it was");
}

#[test]
fn a_template_of_ones_own_is_used_and_a_row_that_lacks_what_it_needs_is_set_aside() {
    let place = Place::new(
        "email,prenom,date_inscription\na@example.org,<b>{{ site }}</b>,2025-01-15\nb@example.org,Zoé,\n",
    );
    let template = "<html><head><title>Depuis le {{ date_inscription }}</title></head>\
                    <body><p>{{ prenom }} chez <a href=\"{{ link | tag }}\">{{ site }}</a></p></body></html>";
    fs::write(place.path("own.html"), template).unwrap();
    let options = ["--template", "own.html", "--from", "La Boutique <hello@shop.example>"];
    assert_eq!(told(&place.counts(&options, &[]), &["sent", "quarantined"]), [1, 1]);
    // Lines that quoted-printable broke, joined again.
    let mail = place.mails().concat().replace("=\r\n", "");
    assert!(
        mail.contains("Subject: Depuis le 2025-01-15") && mail.contains("From: \"La Boutique\""),
        "{mail}"
    );
    assert!(mail.contains("&lt;b&gt;{{ site }}&lt;/b&gt;"), "a value is text: {mail}");
}
