//! Files that are not what they should be.

use super::program::{DATA, Place};
use serde_json::Value;
use std::fs;

#[test]
fn a_file_that_is_missing_empty_or_no_text_is_named_before_anything_is_written() {
    let place = Place::new();
    for name in DATA {
        let path = place.file(name);
        let good = fs::read(&path).unwrap();
        let utf16: Vec<u8> =
            String::from_utf8_lossy(&good).encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked: Vec<u8> = [0xff, 0xfe].into_iter().chain(utf16.clone()).collect();
        fs::remove_file(&path).unwrap();
        let say = |wanted: &str| {
            let run = place.run();
            let sentence = run.sentence();
            assert!(sentence.contains(path.to_str().unwrap()) && sentence.contains(wanted), "{sentence}");
            assert!(!place.out().exists(), "{name}: nothing is written");
        };
        say("No such file");
        fs::create_dir(&path).unwrap();
        say("Is a directory");
        fs::remove_dir(&path).unwrap();
        for (bytes, wanted) in [(Vec::new(), "empty"), (utf16, "UTF-16"), (marked, "UTF-16")] {
            fs::write(&path, bytes).unwrap();
            say(wanted);
        }
        fs::write(&path, good).unwrap();
    }
    fs::remove_dir_all(place.data()).unwrap();
    assert!(place.run().sentence().contains("make_sample_data"), "tells how to get data");
}

/// The four of the second site fail while they are extracted, the others in their steps; a mended file goes on from
/// there.
#[test]
fn a_wrong_header_is_told_with_its_file_and_the_column_that_lacks() {
    let place = small();
    for (name, wanted) in [
        ("sessions.csv", "session_id"),
        ("events.csv", "event_type"),
        ("customers.csv", "user_id"),
        ("costs.csv", "campaign"),
        ("social_posts.csv", "published_at"),
        ("user_behavior.csv", "device"),
        ("inscrits.csv", "email"),
    ] {
        let good = fs::read_to_string(place.file(name)).unwrap();
        let (_, rows) = good.split_once('\n').unwrap();
        fs::write(place.file(name), format!("foo,bar\n{rows}")).unwrap();
        let run = place.run();
        let sentence = run.sentence();
        assert!(sentence.contains(name) && sentence.contains(wanted), "{sentence}");
        fs::write(place.file(name), &good).unwrap();
        assert!(
            !place.out().join("mails").join("new").exists() || mails(&place) == 0,
            "{name}: no mail left"
        );
    }
    assert_eq!(place.answer()["changed"], true);
}

/// Without its header a file shows a person where column names are expected; `Run::sentence` refuses an address.
#[test]
fn a_person_in_place_of_the_header_is_not_shown() {
    let place = small();
    for name in DATA {
        let good = fs::read_to_string(place.file(name)).unwrap();
        for header in ["u1,jo@example.org,Jo", "jo@example.org,jo@example.org"] {
            fs::write(place.file(name), format!("{header}\n{good}")).unwrap();
            let run = place.run();
            assert!(run.sentence().contains(name), "{run:?}");
        }
        fs::write(place.file(name), good).unwrap();
    }
}

#[test]
fn a_word_among_the_numbers_to_learn_from_is_told_with_its_line() {
    let place = small();
    let good = fs::read_to_string(place.file("user_behavior.csv")).unwrap();
    let spoilt: Vec<String> = good
        .lines()
        .enumerate()
        .map(
            |(at, line)| {
                if at == 3 { format!("long,{}", line.split_once(',').unwrap().1) } else { line.to_owned() }
            },
        )
        .collect();
    fs::write(place.file("user_behavior.csv"), spoilt.join("\n")).unwrap();
    let run = place.run();
    let sentence = run.sentence();
    assert!(sentence.contains("user_behavior.csv") && sentence.contains("line 4"), "{sentence}");
    assert!(sentence.contains("time_on_site"), "{sentence}");
}

/// Rows that are appended: too short, no time, NUL, a consent that is none, Latin-1 in a file that is UTF-8.
#[test]
fn rows_that_do_not_fit_are_set_aside_and_counted_and_the_rest_goes() {
    let place = small();
    let before = {
        let place = small();
        place.answer()
    };
    for (name, rows) in [
        ("sessions.csv", b"sx1,u1\nsx2,u1,whenever,2026-05-02 19:14:55,6,false,direct\nsx\x003,u1,2026-05-02 19:10:24,2026-05-02 19:14:55,6,false,direct\n".as_slice()),
        ("events.csv", b"ex1,u\x001,page_view,2026-05-02 19:10:24,direct,0.00,{}\nex2,u1,page_view,2026-05-02 19:10:24,direct,lots,{}\n"),
        ("customers.csv", b"ux\x001,a@example.org,A,fr,true,,,\nux2,b@example.org,B,fr,peut-\xeatre,,,\n"),
        ("costs.csv", b"someday,paid,google,cpc,x,1,1,1.00,EUR\n"),
        ("inscrits.csv", b"nobody,X,2026-05-02\nnew@example.org,L\xe9a,2026-05-02\na\x00b@example.org,Y,2026-05-02\n"),
        ("social_posts.csv", b"px,instagram,sometime,photo,x,1,1,1,1,1,1,1,false\n"),
    ] {
        let mut bytes = fs::read(place.file(name)).unwrap();
        bytes.extend_from_slice(rows);
        fs::write(place.file(name), bytes).unwrap();
    }
    let run = place.run();
    let answer = run.json();
    assert_eq!(answer.pointer("/etl/shop/quarantined"), Some(&Value::from(8)));
    assert!(run.err.contains("8 rows quarantined"), "{}", run.err);
    assert_eq!(answer.pointer("/social/quarantined"), Some(&Value::from(1)));
    assert_eq!(answer.pointer("/mails/quarantined"), Some(&Value::from(3)));
    assert_eq!(answer.pointer("/mails/accepted"), before.pointer("/mails/accepted"));
    for key in ["visits", "sessions", "events", "reports"] {
        assert_eq!(answer[key], before[key], "{key}");
    }
}

/// Somebody's own folder: neither the recorded Matomo nor the demo's shop has a part in it.
#[test]
fn own_data_alone_is_read_and_written_about() {
    let place = small();
    let run = |more: &[&str]| {
        let mut command = std::process::Command::new(crate::built::example("quickstart"));
        command.arg("--data").arg(place.data()).arg("--out").arg(place.out()).args(["--json"]).args(more);
        super::program::Run::of(command.output().unwrap()).json()
    };
    let sessions = fs::read_to_string(place.file("sessions.csv")).unwrap().lines().count() - 1;
    let answer = run(&["--site", "tea.example"]);
    assert_eq!(answer["visits"], sessions);
    assert_eq!(answer["etl"].as_object().unwrap().keys().collect::<Vec<_>>(), ["shop"]);
    assert_eq!(answer["mails"]["accepted"], 0, "nobody says who the emails are from");
    let sites = super::program::texts_of(&place.out().join("mkt.sqlite"), "select site as name from sites");
    assert_eq!(sites, ["tea.example"]);
    let answer = run(&["--site", "tea.example", "--sender", "Tea <hello@tea.example>"]);
    assert!(answer["mails"]["accepted"].as_u64() > Some(0), "{answer}");
    for mail in fs::read_dir(place.out().join("mails").join("new")).unwrap() {
        let mail = fs::read_to_string(mail.unwrap().path()).unwrap();
        assert!(mail.contains("hello@tea.example") && !mail.contains("shop.example.org"), "{mail}");
    }
}

/// The extraction reads Windows-1252 and semicolons; the mails must know the same customers.
#[test]
fn customers_as_a_french_spreadsheet_saves_them_are_the_same_customers() {
    let place = Place::new();
    let text = fs::read_to_string(place.file("customers.csv")).unwrap();
    let latin: Vec<u8> =
        text.replace(',', ";").chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    assert!(std::str::from_utf8(&latin).is_err(), "there are accents to get wrong");
    fs::write(place.file("customers.csv"), latin).unwrap();
    let answer = place.answer();
    assert_eq!(answer.pointer("/etl/shop/rows/users"), Some(&Value::from(234)));
    assert_eq!(answer.pointer("/mails/accepted"), Some(&Value::from(197 + 11)));
}

/// A small world: what is slow in a test is the models.
pub(super) fn small() -> Place {
    let place = Place::world(&["--users", "40", "--seed", "7"]);
    let behaviour = fs::read_to_string(place.file("user_behavior.csv")).unwrap();
    let few: Vec<&str> = behaviour.lines().take(301).collect();
    fs::write(place.file("user_behavior.csv"), few.join("\n")).unwrap();
    place
}

fn mails(place: &Place) -> usize {
    fs::read_dir(place.out().join("mails").join("new")).unwrap().count()
}
