use super::*;

fn parse_line(line: &str) -> Result<Invocation> {
    parse(line.split_whitespace())
}

#[test]
fn commands_and_their_options_are_understood() {
    assert_eq!(parse_line("").unwrap(), Invocation::Help);
    assert_eq!(
        parse_line("run").unwrap(),
        Invocation::Run(RunOptions::default())
    );
    assert_eq!(
        parse_line("run --no-open --page-port=9090 --http 127.0.0.1:9470 --quic=off").unwrap(),
        Invocation::Run(RunOptions {
            open: false,
            page_port: 9090,
            listen: vec![
                ("http".into(), "127.0.0.1:9470".into()),
                ("quic".into(), "off".into()),
            ],
            ..RunOptions::default()
        })
    );
    assert_eq!(
        parse_line("test --keep-going fmt edges").unwrap(),
        Invocation::Test(TestOptions {
            keep_going: true,
            steps: vec!["fmt".into(), "edges".into()],
            ..TestOptions::default()
        })
    );
    assert_eq!(
        parse_line("build").unwrap(),
        Invocation::Build(BuildOptions::default())
    );
    assert_eq!(
        parse_line("build --deb").unwrap(),
        Invocation::Build(BuildOptions { deb: true })
    );
    assert_eq!(parse_line("ci").unwrap(), parse_line("test").unwrap());
    assert_eq!(
        parse_line("sim --runs 10 --help").unwrap(),
        Invocation::Sim(vec!["--runs".into(), "10".into(), "--help".into()]),
        "the simulator reads its own options"
    );
    assert_eq!(
        parse_line("bench --upgrades=200").unwrap(),
        Invocation::Bench(BenchOptions {
            upgrades: 200,
            ..BenchOptions::default()
        })
    );
    assert_eq!(
        parse_line("fuzz turn stun --minutes=5").unwrap(),
        Invocation::Fuzz(FuzzOptions {
            targets: vec!["turn".into(), "stun".into()],
            seconds: 300,
            ..FuzzOptions::default()
        })
    );
    assert_eq!(
        parse_line("bench node --rounds 3 idle --quick").unwrap(),
        Invocation::BenchNode(BenchNodeOptions {
            rounds: 3,
            quick: true,
            measures: vec!["idle".into()],
        })
    );
    assert_eq!(
        parse_line("bench dht --rounds 3 --operations 20").unwrap(),
        Invocation::BenchDht(BenchDhtOptions {
            rounds: 3,
            operations: 20,
        })
    );
    assert_eq!(
        parse_line("size --record").unwrap(),
        Invocation::Size { record: true }
    );
    assert_eq!(
        parse_line("setup").unwrap(),
        Invocation::Setup(SetupOptions::default())
    );
    assert_eq!(
        parse_line("setup --page-only --wasm-route debian").unwrap(),
        Invocation::Setup(SetupOptions {
            page_only: true,
            route: Some(Route::Debian)
        })
    );
}

#[test]
fn help_is_given_wherever_it_is_asked_for() {
    for line in [
        "",
        "help",
        "-h",
        "--help",
        "run --help",
        "test fmt -h",
        "bench node --help",
    ] {
        assert_eq!(parse_line(line).unwrap(), Invocation::Help, "{line}");
    }
}

#[test]
fn what_is_not_understood_is_named() {
    for (line, mention) in [
        ("nonsense", "nonsense"),
        ("build now", "now"),
        ("fmt now", "now"),
        ("bench --rounds 0", "\"0\""),
        ("bench --rounds 9 --upgrades 8", "too few"),
        ("fuzz --seconds 0", "\"0\""),
        ("fuzz --minutes 99999999", "99999999"),
        ("fuzz --input x", "one target"),
        ("fuzz --fast", "--fast"),
        ("bench idle", "idle"),
        ("bench node --upgrades 8", "--upgrades"),
        ("bench dht idle", "idle"),
        ("build --deb=yes", "--deb"),
        ("run --page-port", "--page-port"),
        ("run --page-port 70000", "70000"),
        ("run --page-port 0", "\"0\""),
        ("run --http off", "--http"),
        ("setup --wasm-route moon", "auto"),
        ("test --slow", "--slow"),
        ("test -s", "-s"),
        ("--quick test", "--quick"),
    ] {
        let error = parse_line(line).unwrap_err().to_string();
        assert!(error.contains(mention), "{line}: {error}");
    }
}
