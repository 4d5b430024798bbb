//! The page that a node serves.

use std::{fs, path::Path};

use crate::process::{Node, run_to_end};

const PROGRAM: &str = "moim-web-98ab2c6f80641cf1_bg.wasm";

fn page(folder: &Path) {
    let index = "<!doctype html><script>one()</script><script src='/a.js'></script>";
    fs::write(folder.join("index.html"), index).unwrap();
    fs::write(folder.join(PROGRAM), "wasm").unwrap();
}

async fn node(folder: &Path) -> Node {
    Node::start_with(&["--web", folder.to_str().unwrap()]).await
}

#[tokio::test]
async fn a_folder_is_served_with_what_a_browser_needs_to_know() {
    let folder = tempfile::tempdir().unwrap();
    page(folder.path());
    let node = node(folder.path()).await;
    let index = node.get("/").await;
    assert_eq!(index.status, 200);
    for header in [
        "content-type: text/html; charset=utf-8",
        "cache-control: no-cache",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cross-origin-opener-policy: same-origin",
        "frame-ancestors 'none'",
        // Of `one()`; the head is in lower case here.
        "script-src 'self' 'wasm-unsafe-eval' 'sha256-hr7iaask9dalmrrskmi++qejtjwdojypa6lgzygzkw4='",
    ] {
        assert!(index.head.contains(header), "{header} in {}", index.head);
    }
    assert!(!index.head.contains("access-control"), "{}", index.head);
    let program = node.get(&format!("/{PROGRAM}")).await;
    assert_eq!((program.status, program.body.as_str()), (200, "wasm"));
    assert!(program.head.contains("content-type: application/wasm"));
    assert!(program.head.contains("immutable"), "{}", program.head);

    let head = node.request("HEAD", &format!("/{PROGRAM}")).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.head.contains("content-length: 4"), "{}", head.head);
    let post = node.request("POST", "/").await;
    assert_eq!(post.status, 405);
    assert!(post.head.contains("allow: get, head"), "{}", post.head);
}

#[tokio::test]
async fn a_folder_is_sent_compressed_to_whom_that_can_read_it() {
    let folder = tempfile::tempdir().unwrap();
    page(folder.path());
    let css = ".a { color: red }\n".repeat(1_000);
    fs::write(folder.path().join("a.css"), &css).unwrap();
    let node = node(folder.path()).await;
    for (accepted, coding) in [("gzip, br", Some("br")), ("gzip", Some("gzip")), ("", None)] {
        let headers = format!("Host: a\r\nAccept-Encoding: {accepted}\r\n");
        let head = node.request_with("HEAD", "/a.css", &headers).await.head;
        let field = |name: &str| {
            let mut lines = head.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        };
        assert_eq!(field("content-encoding"), coding, "{head}");
        let length: usize = field("content-length").unwrap().parse().unwrap();
        assert_eq!(length < css.len() / 10, coding.is_some(), "{length}");
    }
    assert_eq!(node.get("/a.css").await.body, css);
}

#[tokio::test]
async fn nothing_outside_of_the_folder_is_served() {
    let all = tempfile::tempdir().unwrap();
    let folder = all.path().join("page");
    fs::create_dir(&folder).unwrap();
    page(&folder);
    fs::write(all.path().join("secret"), "secret").unwrap();
    let node = node(&folder).await;
    for path in [
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/page/../../secret",
        "//etc/passwd",
        "/./index.html",
        "/t/topic",
    ] {
        let answer = node.get(path).await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    // What comes into the folder later is not there for this node.
    fs::write(folder.join("late.html"), "late").unwrap();
    assert_eq!(node.get("/late.html").await.status, 404);
}

#[tokio::test]
async fn a_node_without_the_page_says_what_it_is() {
    let node = Node::start_with(&["--web=off"]).await;
    let answer = node.get("/").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/html"));
    for mention in [
        "bootstrap node",
        "cargo xtask build",
        "href=\"/bootstrap.json\"",
        "href=\"/health\"",
        "href=\"/metrics\"",
    ] {
        assert!(answer.body.contains(mention), "{mention}");
    }
}

#[tokio::test]
async fn a_folder_without_a_page_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = tempfile::tempdir().unwrap();
    for (web, mention) in [
        (folder.path().to_owned(), "no index.html"),
        (folder.path().join("absent"), "can't read"),
    ] {
        let output = run_to_end(data.path(), &["--web", web.to_str().unwrap()]).await;
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(mention), "{error}");
        assert!(error.contains(web.to_str().unwrap()), "{error}");
    }
}
