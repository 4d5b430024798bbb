use std::{
    fs,
    net::{TcpListener, UdpSocket},
    path::Path,
};

use super::*;
use crate::{Node, args::Args};

/// Settings that a node starts with, as lines of a file.
const SETTINGS: [(&str, &str); 7] = [
    ("tcp", "'127.0.0.1:0'"),
    ("quic", "'127.0.0.1:0'"),
    ("ws", "'127.0.0.1:0'"),
    ("webrtc-direct", "'127.0.0.1:0'"),
    ("stun", "'127.0.0.1:0'"),
    ("http", "'127.0.0.1:0'"),
    ("web", "'off'"),
];

/// A settings file with these settings in place of those, or after them, and the line of the first. The data directory is
/// another one each time: what did not start may need a moment to let go of its own.
fn written(dir: &Path, settings: &[(&str, String)]) -> (Config, usize) {
    let mut lines: Vec<_> = SETTINGS.map(|(key, value)| (key, value.to_owned())).into();
    let mut at = Vec::new();
    for (key, value) in settings {
        let place = lines.iter().position(|(other, _)| other == key);
        let place = place.unwrap_or(lines.len());
        lines.resize(lines.len().max(place + 1), (key, String::new()));
        lines[place].1.clone_from(value);
        at.push(place + 1);
    }
    let lines = lines
        .iter()
        .map(|(key, value)| format!("{key} = {value}\n"));
    let file = dir.join("settings.toml");
    fs::write(&file, lines.collect::<String>()).unwrap();
    let args = Args {
        config: Some(file),
        ..Args::default()
    };
    let data = tempfile::tempdir_in(dir).unwrap().keep();
    let data = data.display().to_string();
    let env = |name: &str| (name == "MOIM_DATA_DIR").then(|| data.clone());
    (args.load(env).unwrap(), at[0])
}

#[tokio::test]
async fn what_is_found_wrong_at_the_start_names_the_line_of_the_settings_file() {
    let dir = tempfile::tempdir().unwrap();
    let (tcp, udp) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        UdpSocket::bind("127.0.0.1:0").unwrap(),
    );
    let tcp = format!("'{}'", tcp.local_addr().unwrap());
    let udp = format!("'{}'", udp.local_addr().unwrap());
    let other = format!("['/ip4/192.0.2.1/tcp/1/p2p/{}']", PeerId::random());
    let bad = dir.path().join("bad.pem");
    fs::write(&bad, "nothing").unwrap();
    let bad = format!("'{}'", bad.display());
    let quoted = |text: &str| format!("'{text}'");
    for settings in [
        vec![("tcp", tcp.clone())],
        vec![("quic", udp.clone())],
        vec![("ws", tcp.clone())],
        vec![("webrtc-direct", udp.clone())],
        vec![("stun", udp)],
        vec![("http", tcp)],
        vec![("tcp", quoted("192.0.2.77:8468"))],
        vec![("external-address", other)],
        vec![("web", quoted("/nowhere/at/all"))],
        vec![
            ("tls-cert", bad.clone()),
            ("tls-key", bad.clone()),
            ("tls", quoted("127.0.0.1:0")),
        ],
        vec![
            ("acme-root", bad),
            ("acme", quoted("https://ca.example/directory")),
            ("acme-accept-terms", "true".to_owned()),
            ("domain", quoted("moim.example")),
            ("tls", quoted("127.0.0.1:0")),
        ],
    ] {
        let (config, line) = written(dir.path(), &settings);
        let Err(error) = Node::start(&config) else {
            panic!("{settings:?}");
        };
        let error = error.to_string();
        let key = settings[0].0;
        let place = format!(
            "`{key}`: {}, line {line}",
            dir.path().join("settings.toml").display()
        );
        assert!(error.contains(&place), "{place} in: {error}");
        // Those that can be checked without starting say the same.
        let checked = crate::check(&config, &mut Vec::new());
        if let Err(error) = checked {
            assert!(error.to_string().contains(&place), "{place} in: {error}");
        } else {
            assert!(!["web", "tls-cert", "acme-root"].contains(&key), "{key}");
        }
    }
}

#[tokio::test]
async fn a_variable_is_named_and_a_flag_is_what_somebody_has_typed() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let env = |name: &str| match name {
        "MOIM_DATA_DIR" => Some(dir.path().display().to_string()),
        "MOIM_TCP" => Some(taken.clone()),
        _ => None,
    };
    let config = Args::default().load(env).unwrap();
    let Err(error) = Node::start(&config) else {
        panic!("the port is taken");
    };
    let place = "(`tcp`: environment variable MOIM_TCP)";
    assert!(error.to_string().ends_with(place), "{error}");

    let mut args = Args::default();
    args.settings.tcp = Some(taken.parse().unwrap());
    let Err(error) = Node::start(&args.load(env).unwrap()) else {
        panic!("the port is taken");
    };
    assert!(!error.to_string().contains("MOIM_TCP"), "{error}");
}
