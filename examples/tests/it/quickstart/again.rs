//! Running again: after a good run, after Ctrl-C, after the power went.

use super::input::small;
use super::program::{Place, Run, assert_same};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

#[test]
fn a_second_run_changes_nothing_and_says_so() {
    let place = Place::new();
    let first = place.answer();
    let left = place.left();
    let second = place.answer();
    assert_same(&place.left(), &left, "after the second run");
    assert_eq!((&first["changed"], &second["changed"]), (&true.into(), &false.into()));
    assert_eq!(second["mails"]["accepted"], 0);
    assert_eq!(second["mails"]["already_sent"], first["mails"]["accepted"]);
    assert_eq!(first["mails"]["already_sent"], 0);
    for key in ["visits", "events", "sessions", "now", "reports", "social", "model"] {
        assert_eq!(first[key], second[key], "{key}");
    }
    let mut words = place.command(&[]);
    words = {
        let mut plain = Command::new(words.get_program());
        plain.args(words.get_args().filter(|argument| *argument != "--json"));
        plain
    };
    let told = String::from_utf8(words.output().unwrap().stdout).unwrap();
    assert!(told.contains("Nothing changed: same tables, no second mail."), "{told}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_is_answered_with_one_sentence_and_the_next_run_completes_the_work() {
    let clean = small();
    let begun = Instant::now();
    clean.answer();
    let (clean, whole) = (clean.left(), begun.elapsed());
    let place = small();
    for tenths in [1, 3, 5, 7, 9] {
        let child = place.command(&[]).spawn().unwrap();
        std::thread::sleep(whole * tenths / 10);
        signal(&child, "INT");
        let run = Run::of(child.wait_with_output().unwrap());
        // It may have been quicker than the signal, or not yet have been listening.
        match run.code {
            Some(130) => {
                assert_eq!(
                    run.told(),
                    "quickstart: interrupted; nothing is half-written, run it again to go on"
                );
            }
            Some(0) => drop(run.json()),
            None => assert!(tenths == 1, "{run:?}"),
            _ => panic!("{run:?}"),
        }
    }
    place.answer();
    assert_same(&place.left(), &clean, "after five interruptions");
}

/// `MKT_QUICKSTART_KILLS` times, at moments drawn from `MKT_QUICKSTART_SEED`, in two places: one that is killed again and
/// again, one that is completed after each kill.
#[test]
fn after_kills_at_any_moment_a_run_leaves_what_a_clean_run_leaves() {
    use rand_xoshiro::rand_core::{RngCore, SeedableRng};
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (kills, seed) = (number("MKT_QUICKSTART_KILLS", 5), number("MKT_QUICKSTART_SEED", 1));
    let mut random = rand_xoshiro::Xoshiro256PlusPlus::seed_from_u64(seed);
    let clean = small();
    let begun = Instant::now();
    clean.answer();
    let (clean, whole) = (clean.left(), begun.elapsed());
    let place = small();
    let mut cut = 0;
    for kill in 0..kills {
        let after = whole.mul_f64((random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64);
        cut += u64::from(killed(&place, after));
        // Every other time the work is completed, and the next kill strikes a run from nothing or one that has all.
        if kill % 2 == 1 {
            place.answer();
            assert_same(&place.left(), &clean, &format!("kill {kill} of seed {seed} after {after:?}"));
            if kill % 4 == 1 {
                std::fs::remove_dir_all(place.out()).unwrap();
            }
        }
    }
    place.answer();
    assert_same(&place.left(), &clean, &format!("{kills} kills of seed {seed}"));
    assert!(kills < 5 || cut > 0, "no kill came in time");
}

/// Kills a run after a while; says whether it was still going.
fn killed(place: &Place, after: Duration) -> bool {
    let mut child = place.command(&[]).spawn().unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    let run = Run::of(child.wait_with_output().unwrap());
    run.code.is_none()
}

#[cfg(unix)]
fn signal(child: &Child, name: &str) {
    // The shell's own, which is everywhere.
    let told = Command::new("sh").args(["-c", &format!("kill -{name} {}", child.id())]).output();
    assert!(told.is_ok());
}
