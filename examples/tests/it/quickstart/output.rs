//! Places that cannot be written, and what stands there already.

use super::input::small;
use super::program::{Place, Run, assert_same};
use std::fs;
use std::process::Command;

#[test]
fn what_stands_in_the_way_of_the_output_is_named() {
    let place = small();
    fs::write(place.out(), "a file").unwrap();
    assert_names(&place.run(), &place, "cannot make the folder");
    fs::remove_file(place.out()).unwrap();

    for (name, wanted) in [
        ("mkt.sqlite", "cannot be opened"),
        ("model.mkt", "cannot write"),
        ("mails", "cannot be created"),
        ("send_log.ndjson", "cannot keep"),
        ("report.html", "cannot write"),
    ] {
        let path = place.out().join(name);
        fs::create_dir_all(place.out()).unwrap();
        let made = if name == "mails" { fs::write(&path, "") } else { fs::create_dir(&path) };
        made.unwrap();
        let run = place.run();
        assert!(run.sentence().contains(name), "{}", run.sentence());
        assert_names(&run, &place, wanted);
        let gone = if name == "mails" { fs::remove_file(&path) } else { fs::remove_dir(&path) };
        gone.unwrap();
    }
    let clean = small();
    place.answer();
    clean.answer();
    assert_same(&place.left(), &clean.left(), "once nothing stands in the way");
}

#[test]
fn a_database_that_is_none_or_is_damaged_is_named_and_left_alone() {
    let place = small();
    place.answer();
    let path = place.out().join("mkt.sqlite");
    let good = fs::read(&path).unwrap();
    let mut damaged = good.clone();
    damaged[8192..16384].fill(0xAA);
    for bytes in
        [b"these are somebody's notes, not a database".to_vec(), damaged, good[..good.len() / 2].to_vec()]
    {
        fs::write(&path, &bytes).unwrap();
        let run = place.run();
        assert!(run.sentence().contains("mkt.sqlite"), "{}", run.sentence());
        assert_eq!(fs::read(&path).unwrap(), bytes, "it may be somebody's only copy");
    }
    fs::write(&path, &good).unwrap();
    assert_eq!(place.answer()["changed"], false);
}

#[test]
fn a_damaged_model_is_made_again() {
    let place = small();
    place.answer();
    let path = place.out().join("model.mkt");
    let good = fs::read(&path).unwrap();
    for bytes in [Vec::new(), good[..good.len() / 2].to_vec(), b"junk".to_vec()] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(place.answer()["changed"], true);
        assert_eq!(fs::read(&path).unwrap(), good);
    }
}

/// Who removes the database to begin anew keeps a log that is not its own: found out before anybody is written to again.
#[test]
fn a_send_log_of_another_outbox_stops_the_run_before_a_mail_leaves() {
    let place = small();
    place.answer();
    fs::remove_file(place.out().join("mkt.sqlite")).unwrap();
    fs::remove_dir_all(place.out().join("mails")).unwrap();
    let run = place.run();
    assert!(
        run.sentence().contains("send_log.ndjson: the file is not the send log of this outbox"),
        "{run:?}"
    );
    assert_eq!(fs::read_dir(place.out().join("mails").join("new")).unwrap().count(), 0);
}

/// A limit on the size of files stands for a full disk where nobody may mount one.
#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_is_told_and_a_rerun_with_room_repairs() {
    let clean = small();
    clean.answer();
    let clean = clean.left();
    // In units of 512 bytes: while the schema is made, while loading, when the model is written.
    for blocks in ["100", "700", "1600"] {
        let place = small();
        let limited = place.command(&[]);
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"", "sh", blocks]);
        command.arg(limited.get_program()).args(limited.get_args());
        let run = Run::of(command.output().unwrap());
        let sentence = run.sentence();
        assert!(sentence.contains(place.out().to_str().unwrap()), "{blocks}: {sentence}");
        place.answer();
        assert_same(&place.left(), &clean, blocks);
    }
}

/// `/dev/full` answers every write as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn a_report_for_which_there_is_no_room_is_told() {
    let place = small();
    fs::create_dir(place.out()).unwrap();
    std::os::unix::fs::symlink("/dev/full", place.out().join("report.html.part")).unwrap();
    assert_names(&place.run(), &place, "report.html: No space left on device");
    place.answer();
    let page = fs::symlink_metadata(place.out().join("report.html")).unwrap();
    assert!(page.is_file() && page.len() > 10_000);
}

fn assert_names(run: &Run, place: &Place, wanted: &str) {
    let sentence = run.sentence();
    assert!(sentence.contains(place.out().to_str().unwrap()) && sentence.contains(wanted), "{sentence}");
}
