//! Where code may look at the platform, and what pure code may not call.
//!
//! `cfg(target_arch = "wasm32")` spreads like damp: one in a function, and soon nobody can say what
//! the page runs. It lives in a few named files. And the crates `protocol` and `room` are handed the
//! time and their seeds; they never fetch them.

use super::tokens::{Located, Token, tokens};

/// Path beginnings, from the workspace's folder, of files that may look at the platform.
const PLATFORM_FILES: &[&str] = &[
    "peer/src/identity.rs",
    "peer/src/identity/",
    "peer/src/platform.rs",
    "peer/src/platform/",
    "peer/src/store.rs",
    "peer/src/store/",
    "peer/src/swarm.rs",
    "peer/src/swarm/",
    // The same tests are compiled for both platforms.
    "peer/tests/",
    // A page has Unicode's tables from its browser.
    PURE_OF_BROWSER,
    "webrtc-private/src/backend.rs",
    "webrtc-private/src/backend/",
    "websocket-browser/tests/",
    // Runs nowhere but in the page.
    "web-peer/",
];

/// Files that may do so in every crate: they choose which modules exist at all.
const PLATFORM_NAMES: &[&str] = &["build.rs", "src/lib.rs", "src/main.rs"];

/// Source that must not fetch anything from outside.
const PURE: &[&str] = &["protocol/src/", "room/src/"];

/// The one of these files that asks the browser: for a function of its argument alone.
const PURE_OF_BROWSER: &str = "protocol/src/normal.rs";

/// Calls that pure code does not make, as the words between the colons.
const IMPURE: &[&[&str]] = &[
    &["Instant", "now"],
    &["OsRng"],
    &["SystemTime", "now"],
    &["js_sys"],
    &["std", "env"],
    &["std", "fs"],
    &["std", "process"],
    &["std", "thread"],
    &["thread_rng"],
];

/// Longer files hold more than one thing.
const LINES_MAX: usize = 500;

/// What is wrong in one file; `file` is its path from the workspace's folder, with `/`.
pub(crate) fn violations(file: &str, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    if file.ends_with("/mod.rs") {
        found.push(format!(
            "{file}: a module `foo` lies in `foo.rs`, its parts in `foo/`"
        ));
    }
    let lines = source.lines().count();
    if lines > LINES_MAX {
        found.push(format!(
            "{file}: {lines} lines, more than {LINES_MAX}: split it"
        ));
    }
    let tokens = tokens(source);
    if !is_platform_file(file) {
        for line in platform_lines(&tokens) {
            found.push(format!(
                "{file}:{line}: looks at the platform outside the platform files"
            ));
        }
    }
    let is_pure = PURE.iter().any(|start| file.starts_with(start));
    if is_pure && file != PURE_OF_BROWSER && !is_test_file(file) {
        for (line, call) in impure_calls(&without_tests(&tokens)) {
            found.push(format!(
                "{file}:{line}: `{call}`: pure code is given the time, seeds and data"
            ));
        }
    }
    found
}

/// By its name: a file does not say that another declares it as `#[cfg(test)]`.
fn is_test_file(file: &str) -> bool {
    file.ends_with("/testing.rs") || file.ends_with("/tests.rs") || file.contains("/tests/")
}

fn is_platform_file(file: &str) -> bool {
    PLATFORM_FILES
        .iter()
        .any(|allowed| file.starts_with(allowed))
        || PLATFORM_NAMES.iter().any(|name| {
            file.strip_suffix(name)
                .is_some_and(|member| member.split('/').count() == 2)
        })
}

/// The lines with `target_arch = "wasm32"`, `target_family = "wasm"` or an alias of them inside a
/// cfg.
fn platform_lines(tokens: &[Located]) -> Vec<usize> {
    let mut lines: Vec<usize> = tokens
        .windows(3)
        .filter(|three| {
            let names_platform =
                three[0].is_word("target_arch") || three[0].is_word("target_family");
            let is_wasm = matches!(&three[2].token, Token::Text(text) if text.starts_with("wasm"));
            names_platform && three[1].is_sign('=') && is_wasm
        })
        .map(|three| three[0].line)
        .chain(
            tokens
                .windows(4)
                .filter(|four| {
                    let alias = ["wasm", "wasm_browser"]
                        .iter()
                        .any(|name| four[2].is_word(name));
                    four[0].is_word("cfg") && four[1].is_sign('(') && alias && four[3].is_sign(')')
                })
                .map(|four| four[0].line),
        )
        .collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

fn impure_calls(tokens: &[Located]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for start in 0..tokens.len() {
        for call in IMPURE {
            if spells(&tokens[start..], call) {
                found.push((tokens[start].line, call.join("::")));
            }
        }
    }
    found
}

/// Whether the tokens begin with `a::b`.
fn spells(tokens: &[Located], path: &[&str]) -> bool {
    let mut rest = tokens.iter();
    path.iter().enumerate().all(|(index, word)| {
        let separated = index == 0
            || [':', ':']
                .iter()
                .all(|sign| rest.next().is_some_and(|t| t.is_sign(*sign)));
        separated && rest.next().is_some_and(|token| token.is_word(word))
    })
}

/// The tokens without the items marked `#[cfg(test)]`.
fn without_tests(tokens: &[Located]) -> Vec<Located> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_mark(&tokens[at..]) {
            at = end_of_item(tokens, at);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

fn is_test_mark(tokens: &[Located]) -> bool {
    tokens.len() > 6
        && tokens[0].is_sign('#')
        && tokens[1].is_sign('[')
        && tokens[2].is_word("cfg")
        && tokens[3].is_sign('(')
        && tokens[4].is_word("test")
        && tokens[5].is_sign(')')
        && tokens[6].is_sign(']')
}

/// Where the item that begins at `from` ends: after its `;`, or after its block.
fn end_of_item(tokens: &[Located], from: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, located) in tokens[from..].iter().enumerate() {
        match located.token {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return from + offset + 1;
                }
            }
            Token::Sign(';') if depth == 0 => return from + offset + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, source: &str, expected: usize) {
        let found = violations(file, source);
        assert_eq!(found.len(), expected, "{file}: {found:?}");
    }

    const WASM: &str = "#[cfg(target_arch = \"wasm32\")]\nfn f() {}";

    #[test]
    fn the_platform_is_looked_at_in_platform_files_only() {
        for file in [
            "peer/src/swarm.rs",
            "peer/src/swarm/browser.rs",
            "peer/src/identity/native.rs",
            "peer/src/lib.rs",
            "peer/build.rs",
            "peer/tests/talk.rs",
            "web-peer/src/page.rs",
            "cli-peer/src/main.rs",
        ] {
            check(file, WASM, 0);
        }
        for file in [
            "peer/src/driver.rs",
            "peer/src/driver/lib.rs",
            "protocol/src/topic.rs",
        ] {
            check(file, WASM, 1);
        }
    }

    #[test]
    fn every_spelling_is_found_and_talk_about_it_is_not() {
        check(
            "peer/src/driver.rs",
            "if cfg!( target_family=\"wasm\" ) {}",
            1,
        );
        check(
            "peer/src/driver.rs",
            "#[cfg(not(target_arch = \"wasm32\"))] use a;",
            1,
        );
        check("peer/src/driver.rs", "#[cfg(wasm_browser)] use a;", 1);
        check(
            "peer/src/driver.rs",
            "#[cfg(target_arch = \"x86_64\")] use a;",
            0,
        );
        check(
            "peer/src/driver.rs",
            "// #[cfg(target_arch = \"wasm32\")]\nuse a;",
            0,
        );
        check(
            "peer/src/driver.rs",
            "let x = \"cfg(target_arch = \\\"wasm32\\\")\";",
            0,
        );
    }

    #[test]
    fn pure_code_does_not_fetch_the_time() {
        let call = "fn f() { let now = Instant::now(); }";
        check("protocol/src/roster.rs", call, 1);
        check("room/src/room.rs", call, 1);
        check("peer/src/roster.rs", call, 0);
        check("protocol/src/roster.rs", "fn f(now: Instant) {}", 0);
        check("protocol/src/roster.rs", "use std::{thread, fmt};", 0);
        check("protocol/src/roster.rs", "use std::fs;", 1);
        let browser = "fn f() { js_sys::Date::now(); }";
        check("protocol/src/roster.rs", browser, 1);
        check("protocol/src/normal.rs", browser, 0);
    }

    #[test]
    fn tests_of_pure_code_may_fetch_the_time() {
        let call = "fn f() { let now = Instant::now(); }";
        check("protocol/src/roster/tests.rs", call, 0);
        check("protocol/src/testing.rs", call, 0);
        check(
            "protocol/src/roster.rs",
            &format!("#[cfg(test)]\nmod tests {{ {call} }}"),
            0,
        );
        check(
            "protocol/src/roster.rs",
            &format!("#[cfg(test)]\nmod tests;\n{call}"),
            1,
        );
    }

    #[test]
    fn layout_is_checked() {
        check("peer/src/driver/mod.rs", "", 1);
        check("peer/src/driver.rs", &"\n".repeat(LINES_MAX), 0);
        check("peer/src/driver.rs", &"\n".repeat(LINES_MAX + 1), 1);
    }
}
