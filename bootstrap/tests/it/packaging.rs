//! What comes beside the program: that it speaks of metrics that there are.

use std::{collections::BTreeSet, io, path::PathBuf, process::Command};

use libp2p::kad::QueryResult;
use serde_json::Value;

use crate::{client::Client, process::Node};

const PREFIXES: [&str; 3] = ["libp2p_", "moim_bootstrap_", "process_"];

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const RULES: &str = "bootstrap/packaging/prometheus/moim-bootstrap.rules.yml";
const RULE_TESTS: &str = "bootstrap/packaging/prometheus/moim-bootstrap.rules.test.yml";
const GRAFANA: &str = "bootstrap/packaging/grafana/moim-bootstrap.json";
const DOCS: &str = "docs/operators.md";

/// Names of metrics in a text.
fn named(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| {
            PREFIXES
                .iter()
                .any(|p| word.len() > p.len() && word.starts_with(p))
        })
        .collect()
}

/// Names of the samples that the metrics of a node have that was asked by HTTP and in the DHT.
async fn known() -> BTreeSet<String> {
    // With a certificate to get, from a CA that isn't there.
    let node = Node::start_with(&[
        "--tls=127.0.0.1:0",
        "--domain=moim.example",
        "--acme=https://127.0.0.1:1/dir",
        "--acme-accept-terms",
    ])
    .await;
    assert_eq!(node.get("/health").await.status, 200);
    let mut client = Client::new().await;
    client.connect(&node.address("tcp")).await;
    client.identify().await;
    let kad = &mut client.swarm.behaviour_mut().kad;
    kad.add_address(&node.peer_id(), node.address("tcp"));
    kad.get_closest_peers(node.peer_id());
    let is_found = |result| matches!(result, QueryResult::GetClosestPeers(_)).then_some(());
    client.result(is_found).await;
    let text = node.get("/metrics").await.body;
    text.lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .flat_map(|(name, kind)| match kind {
            "counter" => vec![format!("{name}_total")],
            "info" => vec![format!("{name}_info")],
            "histogram" => ["bucket", "count", "sum"]
                .map(|part| format!("{name}_{part}"))
                .into(),
            _ => vec![name.to_owned()],
        })
        .collect()
}

#[tokio::test]
async fn rules_dashboard_and_documents_name_metrics_that_there_are() {
    let known = known().await;
    for file in [RULES, RULE_TESTS, GRAFANA, DOCS] {
        let text = read(file);
        let names = named(&text);
        assert!(names.len() > 5, "{file}: {names:?}");
        for name in names {
            assert!(known.contains(name), "{file}: there is no {name}");
        }
    }
}

#[test]
fn the_debian_package_has_files_that_there_are() {
    let manifest: toml::Table = read("bootstrap/Cargo.toml").parse().unwrap();
    let deb = &manifest["package"]["metadata"]["deb"];
    let assets = deb["assets"].as_array().unwrap();
    let (program, files) = assets.split_first().unwrap();
    assert_eq!(program[0].as_str(), Some("target/release/moim-bootstrap"));
    for file in files {
        read(&format!("bootstrap/{}", file[0].as_str().unwrap()));
    }
    // What its unit starts is where the package puts it.
    let unit = read("bootstrap/packaging/systemd/moim-bootstrap.service");
    let installed = format!("/{}moim-bootstrap", program[1].as_str().unwrap());
    assert!(
        unit.contains(&format!("ExecStart={installed}\n")),
        "{installed}"
    );
    assert!(unit.contains("EnvironmentFile=-/etc/default/moim-bootstrap"));
}

#[tokio::test]
async fn every_metric_of_the_node_is_documented() {
    let text = read(DOCS);
    let documented = named(&text);
    let own = |name: &&String| {
        !name.starts_with("libp2p_") && PREFIXES.iter().any(|p| name.starts_with(p))
    };
    for name in known().await.iter().filter(own) {
        assert!(documented.contains(name.as_str()), "{DOCS} has no {name}");
    }
}

#[test]
fn every_panel_of_the_dashboard_asks_something() {
    let dashboard: Value = serde_json::from_str(&read(GRAFANA)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    for panel in panels {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{}", panel["title"]);
        for target in targets {
            let asked = target["expr"].as_str().unwrap();
            assert_eq!(named(asked).len(), 1, "{asked}");
        }
    }
}

/// With Prometheus' own program, where that is installed (Debian's package `prometheus` has it).
#[test]
fn prometheus_takes_the_rules() {
    for (check, file) in [("check", RULES), ("test", RULE_TESTS)] {
        let path = root().join(file);
        match Command::new("promtool")
            .args([check, "rules"])
            .arg(path)
            .output()
        {
            Ok(output) => assert!(output.status.success(), "{output:?}"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound),
        }
    }
}
