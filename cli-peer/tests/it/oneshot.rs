//! `moim put`, `moim get` and `moim peers` against a peer that serves the DHT.

use serde_json::{Value, json};

use crate::support::{Joined, dead_address, run, text};

#[test]
fn a_value_is_put_and_got() {
    let (_server, _, address) = Joined::ready("Server", &dead_address(), &["--serve-dht"]);
    let at = ["--bootstrap", address.as_str()];
    let moim = |arguments: &[&str]| run(&[arguments, &at].concat());

    let missing = moim(&["get", "weather"]);
    assert_eq!(missing.status.code(), Some(3), "{}", text(&missing.stderr));
    assert!(missing.stdout.is_empty());
    assert!(
        text(&missing.stderr).contains("no value under weather"),
        "{}",
        text(&missing.stderr)
    );

    let put = moim(&["put", "weather", "{\"temperature\": 21}"]);
    assert_eq!(put.status.code(), Some(0), "{}", text(&put.stderr));
    assert_eq!(text(&put.stdout), "weather is kept by 1 peer\n");
    let got = moim(&["get", "weather"]);
    assert_eq!(
        (got.status.code(), text(&got.stdout).as_str()),
        (Some(0), "{\"temperature\":21}\n")
    );

    let put = moim(&["put", "greeting", "good morning", "--json", "--ttl", "60"]);
    assert_eq!(
        serde_json::from_slice::<Value>(&put.stdout).unwrap(),
        json!({"type": "stored", "key": "greeting", "copies": 1})
    );
    let got = moim(&["get", "greeting", "--json"]);
    let event: Value = serde_json::from_slice(&got.stdout).unwrap();
    assert_eq!(
        (&event["type"], &event["value"]),
        (&json!("value"), &json!("good morning"))
    );
    assert!(event["publisher"].as_str().unwrap().starts_with("12D3KooW"));
    let missing = moim(&["get", "nothing", "--json"]);
    assert_eq!(missing.status.code(), Some(3));
    assert_eq!(
        serde_json::from_slice::<Value>(&missing.stdout).unwrap(),
        json!({"type": "value", "key": "nothing", "value": null, "publisher": null})
    );

    // What breaks a limit is wrong usage.
    let long = "x".repeat(10_000);
    let refused = moim(&["put", "k", &long]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    assert!(!refused.stderr.is_empty());
}

#[test]
fn members_of_a_topic_are_listed_without_joining_it() {
    let (_server, id, address) = Joined::ready("Server", &dead_address(), &["--serve-dht"]);
    let (mut ada, ada_id, _) = Joined::ready("Ada", &address, &[]);
    ada.event_that(|event| event["type"] == "member_joined" && event["peer"] == id);
    let output = run(&["peers", "global-chat", "--bootstrap", &address]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines = text(&output.stdout);
    assert!(
        lines.lines().any(|line| line == format!("{ada_id} Ada")),
        "{lines}"
    );
    assert!(
        lines.lines().any(|line| line == format!("{id} Server")),
        "{lines}"
    );

    let nobody = run(&[
        "peers",
        "another-topic",
        "--bootstrap",
        &address,
        "--wait",
        "1",
    ]);
    assert_eq!(nobody.status.code(), Some(3), "{}", text(&nobody.stderr));
    assert!(
        text(&nobody.stderr).contains("nobody is in another-topic"),
        "{}",
        text(&nobody.stderr)
    );
}
