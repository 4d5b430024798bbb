use std::{collections::HashMap, fs, path::Path};

use clap::Parser as _;

use super::*;
use crate::args::Args;

/// Loads with these flags, environment and (in the data directory) file.
fn load(flags: &[&str], env: &[(&str, &str)], file: Option<&str>) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    if let Some(text) = file {
        fs::write(dir.path().join(CONFIG_FILE), text).unwrap();
    }
    let data_dir = format!("--data-dir={}", dir.path().display());
    let flags = ["moim-bootstrap", &data_dir]
        .into_iter()
        .chain(flags.iter().copied());
    load_bare(Args::try_parse_from(flags).unwrap(), env)
}

fn load_bare(args: Args, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env: HashMap<_, _> = env.iter().copied().collect();
    args.load(|name| env.get(name).map(|&value| value.to_owned()))
}

fn listen(text: &str) -> Listen {
    text.parse().unwrap()
}

#[test]
fn the_defaults_are_the_documented_ports_on_all_addresses() {
    let config = load(&[], &[], None).unwrap();
    assert_eq!(config.tcp, listen("*:8468"));
    assert_eq!(config.quic, listen("*:8468"));
    assert_eq!(config.ws, listen("*:8469"));
    assert_eq!(config.webrtc_direct, listen("*:8469"));
    assert_eq!(config.stun, listen("*:3478"));
    assert_eq!(config.http, listen("*:8470"));
    assert_eq!(config.web, Web::Own);
    assert_eq!(config.admin, Admin::Local);
    assert_eq!(config.external_address, []);
    assert_eq!(config.log_format, LogFormat::Text);
}

#[test]
fn what_bounds_strangers_is_set_like_everything_else() {
    let config = load(&[], &[], None).unwrap();
    assert_eq!((config.max_memory, config.limit_loopback), (None, false));
    assert_eq!(config.max_connections.get(), 4_000);
    let env = [("MOIM_MAX_CONNECTIONS", "20")];
    let config = load(&[], &env, Some("max-connections = 30")).unwrap();
    assert_eq!(config.max_connections.get(), 20);
    let config = load(&["--limit-loopback"], &[], Some("max-memory = 512")).unwrap();
    assert_eq!(
        (config.max_memory, config.limit_loopback),
        (Some(512), true)
    );
    let env = [("MOIM_MAX_MEMORY", "64"), ("MOIM_LIMIT_LOOPBACK", "true")];
    let config = load(&[], &env, Some("limit-loopback = false")).unwrap();
    assert_eq!((config.max_memory, config.limit_loopback), (Some(64), true));
}

#[test]
fn flag_wins_over_environment_over_file_over_default_for_each_setting() {
    let file = "tcp = '1.1.1.1:1'\nquic = '1.1.1.1:1'\nws = '1.1.1.1:1'\nlog-format = 'json'\n\
                external-address = ['/ip4/1.1.1.1/tcp/1']";
    let env = [
        ("MOIM_TCP", "2.2.2.2:2"),
        ("MOIM_QUIC", "2.2.2.2:2"),
        (
            "MOIM_EXTERNAL_ADDRESS",
            "/ip4/2.2.2.2/tcp/2, /ip4/2.2.2.2/tcp/3",
        ),
    ];
    let flags = [
        "--tcp",
        "3.3.3.3:3",
        "--external-address=/ip4/3.3.3.3/tcp/3",
    ];

    let config = load(&flags, &env, Some(file)).unwrap();
    assert_eq!(config.tcp, listen("3.3.3.3:3"));
    assert_eq!(config.quic, listen("2.2.2.2:2"));
    assert_eq!(config.ws, listen("1.1.1.1:1"));
    assert_eq!(config.webrtc_direct, listen("*:8469"));
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(
        config.external_address,
        ["/ip4/3.3.3.3/tcp/3".parse().unwrap()]
    );

    let config = load(&[], &env, Some(file)).unwrap();
    assert_eq!(config.external_address.len(), 2);
    let config = load(&[], &[], Some(file)).unwrap();
    assert_eq!(
        config.external_address,
        ["/ip4/1.1.1.1/tcp/1".parse().unwrap()]
    );
}

#[test]
fn every_setting_has_flag_variable_and_key() {
    let flags = [
        "--tcp=off",
        "--quic=off",
        "--ws=[::1]:1",
        "--webrtc-direct=off",
        "--stun=off",
        "--http=off",
        "--log-format=json",
    ];
    let by_flag = load(&flags, &[], None).unwrap();
    let env = [
        ("MOIM_TCP", "off"),
        ("MOIM_QUIC", "off"),
        ("MOIM_WS", "[::1]:1"),
        ("MOIM_WEBRTC_DIRECT", "off"),
        ("MOIM_STUN", "off"),
        ("MOIM_HTTP", "off"),
        ("MOIM_LOG_FORMAT", "json"),
    ];
    let by_env = load(&[], &env, None).unwrap();
    let file = "tcp = 'off'\nquic = 'off'\nws = '[::1]:1'\nwebrtc-direct = 'off'\nstun = 'off'\n\
                http = 'off'\nlog-format = 'json'";
    let by_file = load(&[], &[], Some(file)).unwrap();
    for config in [by_flag, by_env, by_file] {
        assert_eq!(config.ws, listen("[::1]:1"));
        let off = [
            config.tcp,
            config.quic,
            config.webrtc_direct,
            config.stun,
            config.http,
        ];
        assert_eq!(off, [Listen::Off; 5]);
        assert_eq!(config.log_format, LogFormat::Json);
    }
}

#[test]
fn turn_is_off_unless_wanted_and_every_setting_of_it_has_flag_variable_and_key() {
    let default = load(&[], &[], None).unwrap();
    assert_eq!(
        (default.turn, default.turn_allow_private),
        (Switch::Off, Switch::Off)
    );
    let settings = [
        ("turn", "on"),
        ("turn-ports", "50000-50010"),
        ("turn-allocations", "5"),
        ("turn-allocations-per-peer", "6"),
        ("turn-allocations-per-address", "7"),
        ("turn-mbit", "8"),
        ("turn-mbit-per-allocation", "9"),
        ("turn-ttl", "10"),
        ("turn-allow-private", "on"),
    ];
    let flags = settings.map(|(name, value)| format!("--{name}={value}"));
    let by_flag = load(&flags.each_ref().map(String::as_str), &[], None).unwrap();
    let names = settings.map(|(name, _)| format!("MOIM_{}", name.replace('-', "_").to_uppercase()));
    let env: Vec<_> = names.iter().zip(settings).collect();
    let env: Vec<_> = env
        .iter()
        .map(|(name, (_, value))| (name.as_str(), *value))
        .collect();
    let by_env = load(&[], &env, None).unwrap();
    let lines = settings.map(|(name, value)| match value.parse::<u32>() {
        Ok(_) => format!("{name} = {value}"),
        Err(_) => format!("{name} = '{value}'"),
    });
    let by_file = load(&[], &[], Some(&lines.join("\n"))).unwrap();
    for config in [by_flag, by_env, by_file] {
        let written: HashMap<_, _> = config.entries().collect();
        for (name, value) in settings {
            let written = written[name].as_ref().unwrap().to_string();
            assert_eq!(written.trim_matches('"'), value, "{name}");
        }
    }
    assert!(matches!(
        load(&["--turn=on", "--stun=off"], &[], None),
        Err(ConfigError::TurnWithoutStun)
    ));
    for (flag, named) in [("turn = true", "turn"), ("turn-mbit = 0", "turn-mbit")] {
        let error = load(&[], &[], Some(flag)).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn acme_is_off_unless_wanted_and_wants_everything_it_needs_and_nothing_beside() {
    let default = load(&[], &[], None).unwrap();
    assert_eq!(
        (default.acme, default.acme_accept_terms),
        (AcmeCa::Off, false)
    );
    let flags = [
        "--tls=*:443",
        "--domain=moim.example.org",
        "--acme=on",
        "--acme-accept-terms",
        "--acme-contact=me@example.org",
        "--acme-root=root.pem",
    ];
    let env = [
        ("MOIM_TLS", "*:443"),
        ("MOIM_DOMAIN", "moim.example.org"),
        ("MOIM_ACME", "on"),
        ("MOIM_ACME_ACCEPT_TERMS", "true"),
        ("MOIM_ACME_CONTACT", "me@example.org"),
        ("MOIM_ACME_ROOT", "root.pem"),
    ];
    let file = "tls = '*:443'\ndomain = 'moim.example.org'\nacme = 'on'\nacme-accept-terms = true\n\
                acme-contact = 'me@example.org'\nacme-root = 'root.pem'";
    for config in [
        load(&flags, &[], None).unwrap(),
        load(&[], &env, None).unwrap(),
        load(&[], &[], Some(file)).unwrap(),
    ] {
        assert_eq!(config.acme, "on".parse().unwrap());
        let mail = "me@example.org".parse().unwrap();
        assert_eq!(config.acme_contact, Some(mail));
        assert!(config.acme_accept_terms);
        assert_eq!(config.acme_root.as_deref(), Some(Path::new("root.pem")));
    }

    for (left_out, named) in [
        (0, "--tls HOST:PORT"),
        (1, "--domain NAME"),
        (3, "--acme-accept-terms"),
    ] {
        let mut flags = flags.to_vec();
        flags.remove(left_out);
        let error = load(&flags, &[], None).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("--acme needs {named} as well"),
            "{flags:?}"
        );
    }
    for file in ["--tls-cert=cert.pem", "--tls-key=key.pem"] {
        let error = load(&[&flags[..], &[file]].concat(), &[], None).unwrap_err();
        assert!(matches!(error, ConfigError::AcmeAndFiles), "{error}");
    }
    let error = load(&["--tls=*:443"], &[], None).unwrap_err();
    assert!(error.to_string().contains("or --acme"), "{error}");
}

#[test]
fn other_bootstrap_nodes_are_named_with_their_peer_id() {
    let address = format!("/ip4/192.0.2.1/tcp/8468/p2p/{}", libp2p::PeerId::random());
    let config = load(&["--bootstrap", &address], &[], None).unwrap();
    assert_eq!(config.bootstrap, [address.parse().unwrap()]);
    let config = load(&[], &[("MOIM_BOOTSTRAP", &address)], None).unwrap();
    assert_eq!(config.bootstrap.len(), 1);
    let config = load(&[], &[], Some(&format!("bootstrap = ['{address}']"))).unwrap();
    assert_eq!(config.bootstrap.len(), 1);
    let error = load(&["--bootstrap=/ip4/192.0.2.1/tcp/1"], &[], None).unwrap_err();
    assert!(
        matches!(error, ConfigError::BootstrapWithoutPeer(_)),
        "{error}"
    );
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let config = load(&[], &[("MOIM_TCP", ""), ("MOIM_CONFIG", "")], None).unwrap();
    assert_eq!(config.tcp, listen("*:8468"));
}

#[test]
fn the_data_directory_comes_from_flag_variable_or_named_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("settings.toml");
    fs::write(&file, "data-dir = '/from/file'").unwrap();
    let args = || Args {
        config: Some(file.clone()),
        ..Args::default()
    };

    assert_eq!(
        load_bare(args(), &[]).unwrap().data_dir,
        Path::new("/from/file")
    );
    let env = [("MOIM_DATA_DIR", "/from/env")];
    assert_eq!(
        load_bare(args(), &env).unwrap().data_dir,
        Path::new("/from/env")
    );
    let with_flag = Args {
        settings: Settings {
            data_dir: Some("/from/flag".into()),
            ..Settings::default()
        },
        ..args()
    };
    assert_eq!(
        load_bare(with_flag, &env).unwrap().data_dir,
        Path::new("/from/flag")
    );

    let by_env = [("MOIM_CONFIG", file.to_str().unwrap())];
    let config = load_bare(Args::default(), &by_env).unwrap();
    assert_eq!(config.data_dir, Path::new("/from/file"));
}

#[test]
fn a_data_directory_in_the_data_directory_is_an_error() {
    let error = load(&[], &[], Some("data-dir = '/elsewhere'")).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("moim-bootstrap.toml, line 1"), "{text}");
}

#[test]
fn settings_that_do_not_fit_together_are_named_with_file_and_line_or_variable() {
    for (flags, env, file, places) in [
        (
            &[][..],
            &[][..],
            "# TURN\n\nturn = 'on'\nstun = 'off'",
            &[
                "`turn`: ",
                "moim-bootstrap.toml, line 3",
                "`stun`: ",
                "line 4",
            ][..],
        ),
        (
            &["--turn=on"],
            &[],
            "\r\nstun = 'off'",
            &["(`stun`: ", "moim-bootstrap.toml, line 2"],
        ),
        (
            &[],
            &[("MOIM_STUN", "off")],
            "stun = '*:1'\nturn = 'on'",
            &["environment variable MOIM_STUN", "`turn`: ", "line 2"],
        ),
        (
            &[],
            &[],
            "tcp = 'off'\nbootstrap = [\n  '/ip4/192.0.2.1/tcp/1',\n]",
            &["/ip4/192.0.2.1/tcp/1", "moim-bootstrap.toml, line 2"],
        ),
        (&[], &[], "tls = '*:443'", &["`tls`: ", "line 1"]),
        (
            &["--tcp=off"],
            &[("MOIM_WS", "off")],
            "quic = 'off'\n\nwebrtc-direct = 'off'",
            &["MOIM_WS", "`quic`: ", "line 1;", "line 3"],
        ),
        (
            &[],
            &[],
            "\"acme\" = 'on'",
            &["--tls HOST:PORT", "`acme`: ", "line 1"],
        ),
    ] {
        let text = load(flags, env, Some(file)).unwrap_err().to_string();
        for place in places {
            assert!(text.contains(place), "{place} in {text}");
        }
    }
    let text = load(&["--turn=on", "--stun=off"], &[], Some("")).unwrap_err();
    assert!(!text.to_string().contains('('), "{text}");
}

#[test]
fn unknown_keys_and_wrong_values_in_the_file_are_errors_that_name_them() {
    for (text, named) in [
        ("tpc = '0.0.0.0:1'", "tpc"),
        ("tcp = 8468", "tcp"),
        ("ws = '0.0.0.0'", "ws"),
        ("ws = 'example.org:1'", "example.org"),
        ("external-address = ['http://x']", "external-address"),
        ("log-format = 'xml'", "xml"),
        ("this is no TOML", "line 1"),
    ] {
        let error = load(&[], &[], Some(text)).unwrap_err();
        assert!(
            matches!(error, ConfigError::FileParse { .. }),
            "{text}: {error}"
        );
        assert!(error.to_string().contains(named), "{text}: {error}");
    }
}

#[test]
fn a_named_file_has_to_be_there() {
    let args = Args {
        config: Some("/does/not/exist.toml".into()),
        ..Args::default()
    };
    let error = load_bare(args, &[]).unwrap_err();
    assert!(matches!(error, ConfigError::FileRead { .. }), "{error}");
}

#[test]
fn wrong_values_in_the_environment_are_errors_that_name_the_variable() {
    for (name, value) in [
        ("MOIM_TCP", "8468"),
        ("MOIM_HTTP", "0.0.0.0:99999"),
        ("MOIM_EXTERNAL_ADDRESS", "/ip4/1.2.3.4/tcp/1,nonsense"),
        ("MOIM_LOG_FORMAT", "xml"),
    ] {
        let error = load(&[], &[(name, value)], None).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_node_without_any_transport_is_an_error() {
    let flags = ["--tcp=off", "--quic=off", "--ws=off", "--webrtc-direct=off"];
    assert!(matches!(
        load(&flags, &[], None),
        Err(ConfigError::NothingToDo)
    ));
}

#[test]
fn listen_addresses_are_read_and_written() {
    for text in [
        "0.0.0.0:8468",
        "127.0.0.1:0",
        "[::]:8468",
        "[::1]:65535",
        "*:1",
        "off",
    ] {
        assert_eq!(listen(text).to_string(), text);
    }
    assert_eq!(listen(" OFF "), Listen::Off);
    assert_eq!(listen("localhost:1"), listen("127.0.0.1:1"));
}

#[test]
fn what_is_no_listen_address_is_refused_with_a_reason() {
    let shape = |text: &str| ListenParseError::Shape(text.to_owned());
    let host = |text: &str| ListenParseError::Host(text.to_owned());
    let port = |text: &str| ListenParseError::Port(text.to_owned());
    for (text, error) in [
        ("", shape("")),
        ("8468", shape("8468")),
        ("::1:8468", shape("::1:8468")),
        ("example.org:1", host("example.org")),
        ("[1.2.3.4]:1", host("[1.2.3.4]")),
        ("256.0.0.1:1", host("256.0.0.1")),
        (":1", host("")),
        ("0.0.0.0:", port("")),
        ("0.0.0.0:65536", port("65536")),
        ("0.0.0.0:-1", port("-1")),
        ("0.0.0.0:http", port("http")),
    ] {
        assert_eq!(text.parse::<Listen>(), Err(error));
    }
}

#[test]
fn the_page_is_the_nodes_own_or_that_of_a_folder_or_none() {
    let folder = |path: &str| Web::Folder(path.into());
    let env = [("MOIM_WEB", "/env")];
    let file = Some("web = 'off'");
    let web = |flags, env, file| load(flags, env, file).unwrap().web;
    assert_eq!(web(&[], &[], file), Web::Off);
    assert_eq!(web(&[], &env, file), folder("/env"));
    assert_eq!(web(&["--web=./off"], &env, file), folder("./off"));
    assert_eq!(web(&["--web=off"], &env, None), Web::Off);
}
