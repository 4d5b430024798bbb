//! Who may use whom. An edge that is not drawn here is not in the architecture.

use super::metadata::{Dependency, Metadata, Package};

/// A member of the workspace and what it may depend on.
struct Rule {
    package: &'static str,
    /// Other members it may use, for whatever purpose (tests included).
    members: &'static [&'static str],
    /// Names (or beginnings of names, with `*`) of outside crates that it may not use.
    forbidden: &'static [&'static str],
    /// Whether `forbidden` holds for tests too.
    in_tests: bool,
    why: &'static str,
}

/// Crates that read a clock, make random numbers or do IO.
const IMPURE: &[&str] = &[
    "async-std",
    "fastrand",
    "futures-timer",
    "getrandom",
    "gloo-*",
    "libp2p",
    "libp2p-dns",
    "libp2p-gossipsub",
    "libp2p-identify",
    "libp2p-kad",
    "libp2p-mdns",
    "libp2p-quic",
    "libp2p-relay",
    "libp2p-request-response",
    "libp2p-stream",
    "libp2p-swarm",
    "libp2p-tcp",
    "libp2p-webrtc*",
    "libp2p-websocket*",
    "mio",
    "n0-future",
    "rand",
    "reqwest",
    "socket2",
    "tokio",
    "ureq",
    "wasm-bindgen*",
    "web-sys",
];

const RULES: &[Rule] = &[
    Rule {
        package: "moim-protocol",
        members: &[],
        forbidden: IMPURE,
        in_tests: false,
        why: "protocol decides, it does not act: no IO, no clock, no randomness, no Swarm",
    },
    Rule {
        package: "moim-room",
        members: &["moim-protocol"],
        forbidden: IMPURE,
        in_tests: false,
        why: "room decides, it does not act: no IO, no clock, no randomness, no Swarm",
    },
    Rule {
        package: "moim-dht",
        members: &["moim-protocol"],
        forbidden: &["tokio", "wasm-bindgen*", "web-sys"],
        in_tests: false,
        why: "dht is the store behind Kademlia, on whatever runtime its user has",
    },
    Rule {
        package: "moim-dials",
        members: &["moim-protocol"],
        forbidden: &["wasm-bindgen*", "web-sys"],
        in_tests: true,
        why: "dials is a transport around others, the same in a node, a peer and a page",
    },
    Rule {
        package: "moim-rpc",
        members: &["moim-protocol"],
        forbidden: &["tokio", "wasm-bindgen*", "web-sys"],
        in_tests: false,
        why: "rpc is a stream format, the same on every runtime",
    },
    Rule {
        package: "moim-connection-guard",
        members: &[],
        forbidden: &["tokio", "wasm-bindgen*", "web-sys"],
        in_tests: false,
        why: "it is a libp2p crate: it knows nothing of Moim, and holds on every runtime",
    },
    Rule {
        package: "moim-tcp-reuse",
        members: &[],
        forbidden: &["wasm-bindgen*", "web-sys"],
        in_tests: true,
        why: "it is a libp2p crate: it knows nothing of Moim",
    },
    Rule {
        package: "moim-webrtc",
        members: &[],
        forbidden: &["leptos*"],
        in_tests: true,
        why: "it is a libp2p crate: it knows nothing of Moim",
    },
    Rule {
        package: "moim-websocket",
        members: &[],
        forbidden: &["leptos*"],
        in_tests: true,
        why: "it is a libp2p crate: it knows nothing of Moim",
    },
    Rule {
        package: "moim-peer",
        members: &[
            "moim-connection-guard",
            "moim-dht",
            "moim-dials",
            "moim-protocol",
            "moim-room",
            "moim-rpc",
            "moim-tcp-reuse",
            "moim-webrtc",
            "moim-websocket",
        ],
        forbidden: &["leptos*"],
        in_tests: true,
        why: "peer is a library below every user interface",
    },
    Rule {
        package: "moim-bootstrap",
        members: &[
            "moim-connection-guard",
            "moim-dht",
            "moim-dials",
            "moim-protocol",
            "moim-rpc",
            "moim-tcp-reuse",
            "moim-webrtc",
        ],
        forbidden: &[],
        in_tests: true,
        why: "a bootstrap node takes no part in rooms, so it is not built on peer",
    },
    Rule {
        package: "moim-cli",
        members: &["moim-peer"],
        forbidden: &["libp2p*"],
        in_tests: true,
        why: "a user interface talks to the Peer handle, never to libp2p",
    },
    Rule {
        package: "moim-web",
        members: &["moim-peer"],
        forbidden: &["libp2p*"],
        in_tests: true,
        why: "a user interface talks to the Peer handle, never to libp2p",
    },
    Rule {
        package: "moim-bench",
        members: &[
            "moim-peer",
            "moim-protocol",
            "moim-webrtc",
            "moim-websocket",
        ],
        forbidden: &[],
        in_tests: true,
        why: "bench measures what others use: transports by themselves, peers, and the node as a program",
    },
    Rule {
        package: "moim-fuzz",
        members: &[
            "moim-bootstrap",
            "moim-dht",
            "moim-peer",
            "moim-protocol",
            "moim-rpc",
            "moim-webrtc",
        ],
        forbidden: &[],
        in_tests: true,
        why: "fuzz gives bytes to whatever reads bytes of remotes",
    },
    Rule {
        package: "moim-sim",
        members: &["moim-protocol", "moim-room"],
        forbidden: &["libp2p", "libp2p-swarm", "tokio"],
        in_tests: true,
        why: "sim has the pure machines in it, and models of the rest; it is built in a minute",
    },
    Rule {
        package: "moim-e2e",
        members: &[],
        forbidden: &[],
        in_tests: true,
        why: "e2e sees Moim from outside: it runs the programs",
    },
    Rule {
        package: "xtask",
        members: &[],
        forbidden: &[],
        in_tests: true,
        why: "xtask compiles before anything else and runs the programs",
    },
];

/// Members that another one may use in its tests alone.
const IN_TESTS: &[(&str, &str)] = &[
    // Whoever joins a room is heard, whatever is done to the node by which he enters.
    ("moim-bootstrap", "moim-peer"),
];

/// Every dependency that the architecture does not allow.
pub(crate) fn violations(metadata: &Metadata) -> Vec<String> {
    let members: Vec<&str> = metadata
        .members()
        .map(|package| package.name.as_str())
        .collect();
    metadata
        .members()
        .flat_map(|package| of_package(package, &members))
        .collect()
}

fn of_package(package: &Package, members: &[&str]) -> Vec<String> {
    let Some(rule) = RULES.iter().find(|rule| rule.package == package.name) else {
        let name = &package.name;
        return vec![format!(
            "{name} is not in the table of xtask/src/checks/edges.rs: add it"
        )];
    };
    package
        .dependencies
        .iter()
        .filter(|dependency| !allowed(rule, dependency, members))
        .map(|dependency| format!("{} → {}: {}", package.name, dependency.name, rule.why))
        .collect()
}

fn allowed(rule: &Rule, dependency: &Dependency, members: &[&str]) -> bool {
    let name = dependency.name.as_str();
    if dependency.is_folder || members.contains(&name) {
        let in_tests = dependency.only_tests && IN_TESTS.contains(&(rule.package, name));
        return in_tests || rule.members.contains(&name);
    }
    if dependency.only_tests && !rule.in_tests {
        return true;
    }
    !rule.forbidden.iter().any(|pattern| matches(pattern, name))
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>, bool)]) -> Value {
        let dependencies: Vec<Value> = dependencies
            .iter()
            .map(|(name, kind, inside)| {
                json!({ "name": name, "kind": kind, "path": inside.then(|| format!("/w/{name}")) })
            })
            .collect();
        json!({
            "name": name, "version": "0.1.0", "id": format!("path+file:///w/{name}"),
            "manifest_path": format!("/w/{name}/Cargo.toml"), "source": null, "license": "MIT",
            "dependencies": dependencies,
        })
    }

    fn check(packages: Vec<Value>, expected: &[&str]) {
        let members: Vec<Value> = packages
            .iter()
            .map(|package| package["id"].clone())
            .collect();
        let metadata = json!({
            "packages": packages, "workspace_members": members, "target_directory": "/w/target",
        });
        let metadata = Metadata::parse(&metadata.to_string()).unwrap();
        let found = violations(&metadata);
        let edges: Vec<&str> = found
            .iter()
            .map(|line| line.split(':').next().unwrap_or_default())
            .collect();
        assert_eq!(edges, expected, "{found:?}");
    }

    #[test]
    fn the_drawn_edges_are_allowed() {
        check(
            vec![
                package("moim-protocol", &[("libp2p-identity", None, false)]),
                package(
                    "moim-dht",
                    &[("moim-protocol", None, true), ("libp2p", None, false)],
                ),
                package(
                    "moim-peer",
                    &[("moim-dht", None, true), ("moim-protocol", None, true)],
                ),
                package(
                    "moim-bootstrap",
                    &[
                        ("moim-dht", None, true),
                        ("moim-peer", Some("dev"), true),
                        ("tokio", None, false),
                    ],
                ),
                package(
                    "moim-cli",
                    &[("moim-peer", None, true), ("tokio", None, false)],
                ),
                package(
                    "moim-web",
                    &[("moim-peer", None, true), ("web-sys", None, false)],
                ),
                package("moim-e2e", &[("serde_json", None, false)]),
                package("xtask", &[("anyhow", None, false)]),
            ],
            &[],
        );
    }

    #[test]
    fn any_other_edge_inside_the_workspace_is_refused() {
        check(
            vec![
                package("moim-protocol", &[("moim-peer", None, true)]),
                package("moim-bootstrap", &[("moim-peer", None, true)]),
                package("moim-cli", &[("moim-protocol", None, true)]),
                package("moim-e2e", &[("moim-peer", Some("dev"), true)]),
                package("xtask", &[("moim-protocol", Some("build"), true)]),
            ],
            &[
                "moim-protocol → moim-peer",
                "moim-bootstrap → moim-peer",
                "moim-cli → moim-protocol",
                "moim-e2e → moim-peer",
                "xtask → moim-protocol",
            ],
        );
    }

    #[test]
    fn forbidden_outside_crates_are_refused() {
        check(
            vec![
                package(
                    "moim-protocol",
                    &[
                        ("tokio", None, false),
                        ("libp2p-swarm", None, false),
                        ("web-sys", None, false),
                    ],
                ),
                package("moim-cli", &[("libp2p-core", Some("dev"), false)]),
                package("moim-web", &[("libp2p", None, false)]),
            ],
            &[
                "moim-protocol → tokio",
                "moim-protocol → libp2p-swarm",
                "moim-protocol → web-sys",
                "moim-cli → libp2p-core",
                "moim-web → libp2p",
            ],
        );
    }

    #[test]
    fn tests_of_pure_crates_may_use_impure_crates() {
        check(
            vec![package("moim-protocol", &[("rand", Some("dev"), false)])],
            &[],
        );
    }

    #[test]
    fn a_member_that_is_not_in_the_table_is_refused() {
        check(
            vec![package("moim-novel", &[])],
            &["moim-novel is not in the table of xtask/src/checks/edges.rs"],
        );
    }
}
