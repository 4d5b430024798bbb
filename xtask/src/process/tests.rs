//! With real processes: what is started is stopped, with all that it started itself.

use super::*;

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).stdin(Stdio::null());
    command
}

fn is_alive(pid: &str) -> bool {
    // A process that ended but was not waited for by its new parent is dead all the same.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" Z"))
    })
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(10), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn output_returns_what_was_written_or_why_it_failed() {
    let limit = Duration::from_secs(10);
    assert_eq!(output(shell("echo hello"), limit).unwrap(), "hello\n");
    let error = output(shell("echo broken >&2; exit 3"), limit)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("exit code 3") && error.contains("broken"),
        "{error}"
    );
}

#[test]
fn a_command_that_takes_too_long_is_stopped() {
    let started = Instant::now();
    let error = output(shell("sleep 60"), Duration::from_millis(100)).unwrap_err();
    assert!(format!("{error:#}").contains("not finished"), "{error:#}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_failed_step_shows_the_end_of_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("logs").join("step.log");
    let mut progress = Progress::start("a step");
    let error = run_logged(
        shell("for i in $(seq 100); do echo line $i; done; exit 1"),
        &log,
        Duration::from_secs(10),
        &mut progress,
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("line 100") && !error.contains("line 9\n"),
        "{error}"
    );
    assert!(error.contains("step.log"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn stopping_a_group_stops_its_grandchildren_too() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("pid");
    // The shell ignores SIGTERM and its child lives in the background: the hard case.
    let script = format!(
        "trap '' TERM; sleep 300 & echo $! > {}; exit 0",
        note.display()
    );
    let mut group = Group::spawn(&mut shell(&script)).unwrap();
    wait_until("the shell ends", || group.poll().unwrap().is_some());
    let pid = fs::read_to_string(&note).unwrap().trim().to_owned();
    assert!(is_alive(&pid));
    drop(group);
    wait_until("its child is gone", || !is_alive(&pid));
}

#[test]
fn a_shown_command_is_kept_in_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("shown.log");
    run_shown(
        shell("echo one; echo two >&2"),
        &log,
        Duration::from_secs(10),
    )
    .unwrap();
    assert_eq!(fs::read_to_string(&log).unwrap(), "one\ntwo\n");
}
