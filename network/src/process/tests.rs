use super::*;

fn supervisor(home: &tempfile::TempDir) -> Supervisor {
    Supervisor::new(Layout::new(home.path().canonicalize().unwrap()))
}

/// A shell that runs a script.
fn shell(name: &str, script: &str) -> Service {
    Service {
        name: name.to_owned(),
        program: PathBuf::from("/bin/sh"),
        args: vec!["-c".into(), script.into()],
        env: BTreeMap::new(),
        ports: Vec::new(),
        reads: Vec::new(),
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_service_is_started_once_and_restarted_when_it_changed() {
    let home = tempfile::tempdir().unwrap();
    let supervisor = supervisor(&home);
    let settings = home.path().join("settings");
    fs::write(&settings, "1").unwrap();
    let mut service = shell("a", "exec sleep 1000");
    service.reads.push(settings.clone());
    assert_eq!(supervisor.ensure(&service).await.unwrap(), Ensured::Started);
    let first = supervisor.running("a").unwrap();
    assert_eq!(supervisor.ensure(&service).await.unwrap(), Ensured::Running);
    assert_eq!(supervisor.running("a").unwrap(), first);
    fs::write(&settings, "2").unwrap();
    assert_eq!(supervisor.ensure(&service).await.unwrap(), Ensured::Restarted);
    assert_ne!(supervisor.running("a").unwrap(), first);
    assert!(supervisor.stop("a").await.unwrap());
    assert!(!supervisor.stop("a").await.unwrap());
    assert!(supervisor.marked().is_empty());
}

#[tokio::test]
async fn another_supervisor_finds_what_a_lost_one_started() {
    let home = tempfile::tempdir().unwrap();
    let lost = supervisor(&home);
    lost.ensure(&shell("a", "exec sleep 1000")).await.unwrap();
    // A child of its own that no record knows, and a process of another folder.
    lost.ensure(&shell("b", "sleep 1000 & exec sleep 1000")).await.unwrap();
    until("the unrecorded child", || lost.marked().len() == 3).await;
    fs::remove_dir_all(home.path().join("run")).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = supervisor(&elsewhere);
    stranger.ensure(&shell("a", "exec sleep 1000")).await.unwrap();

    assert_eq!(supervisor(&home).sweep().await.unwrap(), 3);
    assert!(lost.marked().is_empty());
    assert_eq!(stranger.marked().len(), 1);
    assert_eq!(stranger.sweep().await.unwrap(), 1);
    assert_eq!(stranger.sweep().await.unwrap(), 0);
}

#[tokio::test]
async fn a_process_that_exchanges_its_program_stays_known() {
    let home = tempfile::tempdir().unwrap();
    let supervisor = supervisor(&home);
    let execs =
        "n=$((${n:-0}+1)); export n; [ $n -gt 200 ] && exec sleep 1000; exec /bin/sh -c \"$0\" \"$0\"";
    let mut service = shell("a", "exec /bin/sh -c \"$0\" \"$0\"");
    service.args.push(execs.into());
    supervisor.ensure(&service).await.unwrap();
    let first = supervisor.running("a").unwrap();
    for _ in 0..100 {
        assert_eq!(supervisor.ensure(&service).await.unwrap(), Ensured::Running);
    }
    assert_eq!(supervisor.running("a").unwrap(), first);
    assert_eq!(supervisor.sweep().await.unwrap(), 1);
}

#[tokio::test]
async fn a_record_of_another_boot_names_nobody() {
    let home = tempfile::tempdir().unwrap();
    let supervisor = supervisor(&home);
    supervisor.ensure(&shell("a", "exec sleep 1000")).await.unwrap();
    let path = home.path().join("run/a.json");
    let record = fs::read_to_string(&path).unwrap();
    fs::write(&path, record.replace(&proc_fs::boot_id(), "another")).unwrap();
    assert!(supervisor.running("a").is_none());
    assert_eq!(supervisor.sweep().await.unwrap(), 1);
}

#[tokio::test]
async fn a_process_that_ends_early_says_why() {
    let home = tempfile::tempdir().unwrap();
    let supervisor = supervisor(&home);
    let service = shell("a", "echo 'x509: certificate has expired or so' >&2; exit 1");
    supervisor.ensure(&service).await.unwrap();
    until("its end", || supervisor.demand_alive("a").is_err()).await;
    let Err(ProcessError::Died { cause, tail, .. }) = supervisor.demand_alive("a") else {
        panic!("it lives")
    };
    assert!(cause.contains("expired"), "{cause}");
    assert!(tail.contains("x509"), "{tail}");
}

#[tokio::test]
async fn nothing_stray_is_inherited() {
    let home = tempfile::tempdir().unwrap();
    let supervisor = supervisor(&home);
    let mut service = shell("a", "env; echo end; exec sleep 1000");
    service.env.insert("OWN".to_owned(), "1".into());
    supervisor.ensure(&service).await.unwrap();
    let log = home.path().join("logs/a.log");
    until("its output", || fs::read_to_string(&log).is_ok_and(|text| text.contains("end\n"))).await;
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains("OWN=1"));
    assert!(!text.contains("CARGO"), "{text}");
    supervisor.sweep().await.unwrap();
}

#[tokio::test]
async fn a_stubborn_process_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let supervisor = supervisor(&home);
    let ready = home.path().join("logs/a.log");
    supervisor.ensure(&shell("a", "trap '' TERM; echo ready; while :; do sleep 1; done")).await.unwrap();
    until("its trap", || fs::read_to_string(&ready).is_ok_and(|text| text.contains("ready"))).await;
    assert!(supervisor.sweep().await.unwrap() >= 1);
    assert!(supervisor.marked().is_empty());
}

#[tokio::test]
async fn a_start_that_was_cut_short_leaves_no_second_process() {
    let home = tempfile::tempdir().unwrap();
    let lost = supervisor(&home);
    let service = shell("a", "exec sleep 1000");
    lost.ensure(&service).await.unwrap();
    fs::remove_file(home.path().join("run/a.json")).unwrap();
    let next = supervisor(&home);
    assert_eq!(next.ensure_all(std::slice::from_ref(&service)).await.unwrap(), 1);
    assert_eq!(next.marked().len(), 1);
    assert_eq!(next.sweep().await.unwrap(), 1);
}

#[tokio::test]
async fn a_taken_port_stops_the_start() {
    let home = tempfile::tempdir().unwrap();
    let supervisor = supervisor(&home);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = shell("a", "exec sleep 1000");
    let mut service = shell("b", "exec sleep 1000");
    service.ports.push(taken.local_addr().unwrap().port());
    assert!(matches!(
        supervisor.ensure_all(&[free, service]).await,
        Err(ProcessError::Port { name, .. }) if name == "b"
    ));
    assert!(supervisor.marked().is_empty());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let home = tempfile::tempdir().unwrap();
    let mut service = shell("a", "");
    service.program = home.path().join("absent");
    let error = supervisor(&home).ensure(&service).await.unwrap_err();
    assert!(matches!(error, ProcessError::Start { .. }));
    assert!(error.to_string().contains("absent"), "{error}");
}

#[test]
fn logs_of_earlier_runs_are_kept_and_bounded() {
    let home = tempfile::tempdir().unwrap();
    let log = home.path().join("a.log");
    for run in 0..6 {
        turn_logs(&log).unwrap();
        fs::write(&log, run.to_string()).unwrap();
    }
    let text = |name: &str| fs::read_to_string(home.path().join(name)).unwrap();
    assert_eq!(text("a.log"), "5");
    assert_eq!(text("a.log.1"), "4");
    assert_eq!(text("a.log.3"), "2");
    assert!(!home.path().join("a.log.4").exists());
}

#[tokio::test]
async fn frozen_processes_stand_still_and_go_on() {
    let home = tempfile::tempdir().unwrap();
    let supervisor = supervisor(&home);
    let count = home.path().join("count");
    let script = format!("while :; do echo >> {}; done", count.display());
    for name in ["a", "b"] {
        supervisor.ensure(&shell(name, &script)).await.unwrap();
    }
    let length = || fs::metadata(&count).map_or(0, |found| found.len());
    until("both to write", || length() > 10).await;
    let names = ["a", "b", "none"].map(str::to_owned);
    let frozen = supervisor.freeze(&names).await.unwrap();
    let pids = ["a", "b"].map(|name| supervisor.running(name).unwrap().pid);
    assert!(pids.iter().all(|pid| proc_fs::stands_still(*pid)));
    let written = length();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(length(), written);
    drop(frozen);
    until("them to write again", || length() > written).await;

    // Whoever froze them is gone without a word: the guard lets them go on.
    let frozen = supervisor.freeze(&names).await.unwrap();
    frozen.forget_but_for_the_guard();
    until("the guard to let them go on", || pids.iter().all(|pid| !proc_fs::stands_still(*pid))).await;

    // Signals that end the program reach the guard too: it stays until nobody is there any more.
    let frozen = supervisor.freeze(&names).await.unwrap();
    let guard = frozen.guard();
    let ignores = |signals: u64| {
        let status = fs::read_to_string(format!("/proc/{guard}/status")).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim().to_owned();
        u64::from_str_radix(&mask, 16).unwrap() & signals == signals
    };
    // SIGHUP 1, SIGINT 2, SIGQUIT 3, SIGTERM 15.
    until("the guard to stand", || ignores(0b100_0000_0000_0111)).await;
    let id = |pid: u32| rustix::process::Pid::from_raw(i32::try_from(pid).unwrap());
    assert_eq!(rustix::process::getpgid(id(guard)).unwrap(), id(guard).unwrap());
    for signal in [Signal::HUP, Signal::TERM] {
        rustix::process::kill_process(id(guard).unwrap(), signal).unwrap();
    }
    frozen.forget_but_for_the_guard();
    until("the guard to let them go on", || pids.iter().all(|pid| !proc_fs::stands_still(*pid))).await;
    supervisor.sweep().await.unwrap();
}

#[tokio::test]
async fn a_process_that_was_left_frozen_is_woken() {
    let home = tempfile::tempdir().unwrap();
    let supervisor = supervisor(&home);
    let service = shell("a", "while :; do :; done");
    supervisor.ensure(&service).await.unwrap();
    let pid = supervisor.running("a").unwrap().pid;
    let id = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(id, Signal::STOP).unwrap();
    until("it to stand still", || proc_fs::stands_still(pid)).await;
    assert_eq!(supervisor.ensure(&service).await.unwrap(), Ensured::Running);
    until("it to go on", || !proc_fs::stands_still(pid)).await;
    assert_eq!(supervisor.running("a").unwrap().pid, pid);
    supervisor.sweep().await.unwrap();
}
