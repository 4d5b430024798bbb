//! Where code may look at the platform, and how files are laid out.
//!
//! `cfg(target_arch = "wasm32")` spreads like damp: one in a function, and soon nobody can say what
//! the page runs. It lives in a few named files. (What the pure crates `protocol` and `room` may not call
//! is written in their `clippy.toml`.)

/// Path beginnings, from the workspace's folder, of files that may look at the platform.
const PLATFORM_FILES: &[&str] = &[
    "dht/src/platform.rs",
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
    "protocol/src/normal.rs",
    "webrtc-private/src/backend.rs",
    "webrtc-private/src/backend/",
    "websocket-browser/tests/",
    // Runs nowhere but in the page.
    "web-peer/",
];

/// Files that may do so in every crate: they choose which modules exist at all.
const PLATFORM_NAMES: &[&str] = &["build.rs", "src/lib.rs", "src/main.rs"];

/// Longer files hold more than one thing.
const LINES_MAX: usize = 700;

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
            "{file}: {lines} lines, more than {LINES_MAX}: give a part with its own state a type and a file"
        ));
    }
    if !is_platform_file(file) {
        for (number, line) in (1..).zip(source.lines()) {
            if looks_at_platform(line) {
                found.push(format!(
                    "{file}:{number}: looks at the platform outside the platform files"
                ));
            }
        }
    }
    found
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

/// Whether `target_arch = "wasm32"` or `target_family = "wasm"` stands in a line, outside of a comment.
/// In a string their quotes would be escaped. A name of our own for them would be an
/// `unexpected_cfgs` to the compiler.
fn looks_at_platform(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let code: String = code.split_whitespace().collect();
    ["target_arch", "target_family"]
        .iter()
        .any(|name| code.contains(&format!("{name}=\"wasm")))
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
    fn layout_is_checked() {
        check("peer/src/driver/mod.rs", "", 1);
        check("peer/src/driver.rs", &"\n".repeat(LINES_MAX), 0);
        check("peer/src/driver.rs", &"\n".repeat(LINES_MAX + 1), 1);
    }
}
