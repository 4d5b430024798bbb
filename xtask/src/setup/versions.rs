//! Reading versions out of what programs and lock files say.

use std::fmt;

use anyhow::{Context, Result};

/// Three numbers, as most programs count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) patch: u64,
}

impl Version {
    /// The first version in a text such as `trunk 0.21.14`, `v20.20.2` or `rustc
    /// 1.96.0+dfsg1-1~deb12u2 (…)`.
    pub(crate) fn find(text: &str) -> Option<Self> {
        text.split_whitespace().find_map(Self::parse_start)
    }

    /// Reads `1.96` or `1.96.0` with anything behind it.
    fn parse_start(word: &str) -> Option<Self> {
        let word = word.strip_prefix('v').unwrap_or(word);
        let end = word
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(word.len());
        let mut numbers = word[..end].split('.').map(str::parse::<u64>);
        let major = numbers.next()?.ok()?;
        let minor = numbers.next()?.ok()?;
        let patch = numbers.next().and_then(Result::ok).unwrap_or(0);
        Some(Self {
            major,
            minor,
            patch,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What `rustc -vV` says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compiler {
    pub(crate) release: Version,
    /// The platform it runs on, such as `x86_64-unknown-linux-gnu`.
    pub(crate) host: String,
    /// The major version of the LLVM inside, which the linker must match.
    pub(crate) llvm: u64,
}

impl Compiler {
    /// Reads the output of `rustc -vV`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
                .with_context(|| format!("`rustc -vV` does not say its {name:?}"))
        };
        let version = |name: &str| {
            Version::find(field(name)?).with_context(|| format!("{name:?} is no version"))
        };
        Ok(Self {
            release: version("release:")?,
            host: field("host:")?.to_owned(),
            llvm: version("LLVM version:")?.major,
        })
    }
}

/// The version that Cargo.lock gives a crate; with several, the first.
pub(crate) fn locked(lock: &str, name: &str) -> Result<String> {
    let lock: toml::Table = lock.parse().context("reading Cargo.lock")?;
    lock.get("package")
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten()
        .find(|package| package.get("name").and_then(toml::Value::as_str) == Some(name))
        .and_then(|package| package.get("version")?.as_str().map(str::to_owned))
        .with_context(|| format!("Cargo.lock has no {name}"))
}

/// The version that `apt-cache policy PACKAGE` would install.
pub(crate) fn candidate(policy: &str) -> Option<Version> {
    policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate:"))
        .and_then(Version::find)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(major: u64, minor: u64, patch: u64) -> Version {
        Version {
            major,
            minor,
            patch,
        }
    }

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (text, expected) in [
            ("trunk 0.21.14", Some(version(0, 21, 14))),
            ("v20.20.2\n", Some(version(20, 20, 2))),
            (
                "cargo-nextest 0.9.143 (60fa45f63 2026-08-04)",
                Some(version(0, 9, 143)),
            ),
            ("1.96.0+dfsg1-1~deb12u2", Some(version(1, 96, 0))),
            (
                "Chromium 156.0.8078.79 built on Debian",
                Some(version(156, 0, 8078)),
            ),
            ("1.95", Some(version(1, 95, 0))),
            ("(none)", None),
            ("", None),
        ] {
            assert_eq!(Version::find(text), expected, "{text}");
        }
        assert!(version(1, 96, 0) > version(1, 95, 9));
    }

    #[test]
    fn a_compiler_describes_itself() {
        let text = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\nbinary: rustc\n\
            host: x86_64-unknown-linux-gnu\nrelease: 1.96.0\nLLVM version: 22.1.8\n";
        let compiler = Compiler::parse(text).unwrap();
        assert_eq!(compiler.host, "x86_64-unknown-linux-gnu");
        assert_eq!((compiler.release, compiler.llvm), (version(1, 96, 0), 22));
        assert!(Compiler::parse("rustc 1.96.0").is_err());
    }

    #[test]
    fn locked_versions_are_found_by_whole_names() {
        let lock = "[[package]]\nname = \"wasm-bindgen-futures\"\nversion = \"0.4.58\"\n\
            [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.108\"\n";
        assert_eq!(locked(lock, "wasm-bindgen").unwrap(), "0.2.108");
        assert!(locked(lock, "wasm").is_err());
    }

    #[test]
    fn the_candidate_of_a_package_is_read() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n";
        assert_eq!(candidate(policy), Some(version(1, 96, 0)));
        assert_eq!(candidate("x:\n  Candidate: (none)\n"), None);
        assert_eq!(candidate(""), None);
    }
}
