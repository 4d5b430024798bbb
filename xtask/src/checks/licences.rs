//! Licences, sources and banned crates, by the same deny.toml that cargo-deny reads.
//!
//! Compiling cargo-deny takes two minutes of two cores, and the parts of it that work without the
//! internet are these three, small enough to do here in a second. `cargo deny check` gives people
//! the same answer, with graphs.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use toml::{Table, Value};

use super::metadata::{Metadata, Package};

/// The parts of deny.toml that are checked here.
#[derive(Debug)]
pub(crate) struct Policy {
    /// Banned crates, each with the reason.
    bans: Vec<(String, String)>,
    licences: BTreeSet<String>,
    /// Licences that are allowed to one crate each, as (crate, licence).
    exceptions: BTreeSet<(String, String)>,
    registries: BTreeSet<String>,
}

impl Policy {
    /// Reads deny.toml.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let all: Table = text.parse().context("reading deny.toml")?;
        let bans = tables(&all, "bans", "deny")?;
        let exceptions = tables(&all, "licenses", "exceptions")?;
        Ok(Self {
            bans: bans
                .into_iter()
                .map(|ban| (string(ban, "name"), string(ban, "reason")))
                .collect(),
            licences: strings(list(&all, "licenses", "allow")?),
            exceptions: exceptions
                .into_iter()
                .flat_map(|exception| {
                    let allow = exception.get("allow").and_then(Value::as_array);
                    let name = string(exception, "name");
                    strings(allow.map_or(&[], Vec::as_slice))
                        .into_iter()
                        .map(move |licence| (name.clone(), licence))
                })
                .collect(),
            registries: strings(list(&all, "sources", "allow-registry")?),
        })
    }

    /// Every package that the policy does not allow.
    pub(crate) fn violations(&self, metadata: &Metadata) -> Vec<String> {
        let mut found: Vec<String> = metadata
            .packages
            .iter()
            .flat_map(|package| self.of_package(package))
            .collect();
        found.sort();
        found
    }

    fn of_package(&self, package: &Package) -> Vec<String> {
        let title = format!("{} {}", package.name, package.version);
        let mut found = Vec::new();
        if let Some((_, reason)) = self.bans.iter().find(|(name, _)| *name == package.name) {
            found.push(format!("{title} is banned: {reason}"));
        }
        if let Some(source) = &package.source {
            let registry = source.strip_prefix("registry+");
            if !registry.is_some_and(|url| self.registries.contains(url)) {
                found.push(format!("{title} comes from {source}"));
            }
        }
        match package.license.as_deref() {
            None => found.push(format!("{title} names no licence")),
            Some(text) => match parse_expression(text) {
                Ok(expression) if self.allows(&package.name, &expression) => {}
                Ok(_) => found.push(format!("{title} is licensed as {text}")),
                Err(error) => found.push(format!("{title}: licence {text:?}: {error}")),
            },
        }
        found
    }

    fn allows(&self, package: &str, expression: &Expression) -> bool {
        match expression {
            Expression::License(id) => {
                self.licences.contains(id)
                    || self.exceptions.contains(&(package.to_owned(), id.clone()))
            }
            Expression::And(left, right) => {
                self.allows(package, left) && self.allows(package, right)
            }
            Expression::Or(left, right) => {
                self.allows(package, left) || self.allows(package, right)
            }
        }
    }
}

fn list<'a>(all: &'a Table, table: &str, key: &str) -> Result<&'a [Value]> {
    let list = all
        .get(table)
        .and_then(|table| table.get(key))
        .and_then(Value::as_array);
    Ok(list
        .with_context(|| format!("deny.toml has no {table}.{key}"))?
        .as_slice())
}

fn tables<'a>(all: &'a Table, table: &str, key: &str) -> Result<Vec<&'a Table>> {
    Ok(list(all, table, key)?
        .iter()
        .filter_map(Value::as_table)
        .collect())
}

fn strings(list: &[Value]) -> BTreeSet<String> {
    list.iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn string(table: &Table, key: &str) -> String {
    table
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// An SPDX licence expression (SPDX 2.3, annex D). `A WITH B` counts as one licence.
#[derive(Debug, PartialEq, Eq)]
enum Expression {
    License(String),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

fn parse_expression(text: &str) -> Result<Expression> {
    // Before SPDX expressions, crates.io took `MIT/Apache-2.0` for "either".
    let text = text
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut words = words.as_slice();
    let expression = either(&mut words)?;
    ensure!(words.is_empty(), "unexpected {:?}", words[0]);
    Ok(expression)
}

fn either(words: &mut &[&str]) -> Result<Expression> {
    let mut left = both(words)?;
    while take(words, "OR") {
        left = Expression::Or(Box::new(left), Box::new(both(words)?));
    }
    Ok(left)
}

fn both(words: &mut &[&str]) -> Result<Expression> {
    let mut left = single(words)?;
    while take(words, "AND") {
        left = Expression::And(Box::new(left), Box::new(single(words)?));
    }
    Ok(left)
}

fn single(words: &mut &[&str]) -> Result<Expression> {
    if take(words, "(") {
        let inner = either(words)?;
        ensure!(take(words, ")"), "a bracket is not closed");
        return Ok(inner);
    }
    let id = next(words)?;
    if take(words, "WITH") {
        return Ok(Expression::License(format!("{id} WITH {}", next(words)?)));
    }
    Ok(Expression::License(id))
}

fn take(words: &mut &[&str], word: &str) -> bool {
    let found = words.first() == Some(&word);
    if found {
        *words = &words[1..];
    }
    found
}

fn next(words: &mut &[&str]) -> Result<String> {
    let Some((word, rest)) = words.split_first() else {
        bail!("it ends too early")
    };
    *words = rest;
    Ok((*word).to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const POLICY: &str = r#"
        [bans]
        deny = [{ name = "openssl", reason = "rustls does it" }]
        [licenses]
        allow = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "Unicode-3.0"]
        exceptions = [{ name = "rooted", allow = ["MPL-2.0"] }]
        [sources]
        allow-registry = ["https://github.com/rust-lang/crates.io-index"]
    "#;

    fn check(name: &str, license: Option<&str>, source: Option<&str>, expected: &[&str]) {
        let metadata = json!({
            "packages": [{
                "name": name, "version": "1.0.0", "id": name, "manifest_path": "", "source": source,
                "license": license, "dependencies": [],
            }],
            "workspace_members": [], "target_directory": "",
        });
        let metadata = Metadata::parse(&metadata.to_string()).unwrap();
        assert_eq!(
            Policy::parse(POLICY).unwrap().violations(&metadata),
            expected
        );
    }

    const CRATES_IO: Option<&str> = Some("registry+https://github.com/rust-lang/crates.io-index");

    #[test]
    fn licences_are_weighed() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "MIT/GPL-3.0",
            "(MIT OR GPL-3.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
            "GPL-3.0 OR (MIT AND Apache-2.0)",
        ] {
            check("good", Some(good), CRATES_IO, &[]);
        }
        check(
            "bad",
            Some("GPL-3.0"),
            CRATES_IO,
            &["bad 1.0.0 is licensed as GPL-3.0"],
        );
        check(
            "bad",
            Some("MIT AND GPL-3.0"),
            CRATES_IO,
            &["bad 1.0.0 is licensed as MIT AND GPL-3.0"],
        );
        check("bad", None, CRATES_IO, &["bad 1.0.0 names no licence"]);
        check(
            "bad",
            Some("(MIT"),
            CRATES_IO,
            &["bad 1.0.0: licence \"(MIT\": a bracket is not closed"],
        );
    }

    #[test]
    fn exceptions_hold_for_the_named_crate_only() {
        check("rooted", Some("MPL-2.0"), CRATES_IO, &[]);
        check(
            "other",
            Some("MPL-2.0"),
            CRATES_IO,
            &["other 1.0.0 is licensed as MPL-2.0"],
        );
    }

    #[test]
    fn sources_and_bans_are_kept() {
        check("own", Some("MIT"), None, &[]);
        check(
            "fork",
            Some("MIT"),
            Some("git+https://example.org/fork"),
            &["fork 1.0.0 comes from git+https://example.org/fork"],
        );
        check(
            "openssl",
            Some("MIT"),
            CRATES_IO,
            &["openssl 1.0.0 is banned: rustls does it"],
        );
    }
}
