//! Files that use each other in a circle.
//!
//! A file uses another one when it imports from it or names a path into it, and when it calls what an `impl` in
//! the other file has: `Type::function()`, or `self.method()` in another `impl` of the same type. So a large type
//! that is cut into slices is seen as one knot, which it is. A parent that declares its parts and re-exports from
//! them uses them; a part that imports from its parent closes the circle.

mod graph;
mod source;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result};

use self::{
    graph::{Edge, Graph},
    source::{Names, Source},
};

/// Folders whose files must not use each other in a circle: a crate's `src`, or one module with its
/// parts (`peer/src/part` is `peer/src/part.rs` and what lies in `peer/src/part/`).
const ROOTS: &[&str] = &[
    "bootstrap/src",
    "dht/src",
    "peer/src/driver",
    "protocol/src",
    "room/src",
];

/// A module, by its path from the root of the crate.
type Module = Vec<String>;

/// Every cycle in the folders that may have none; `workspace` is the folder of the workspace.
pub(crate) fn violations(workspace: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for root in ROOTS {
        let folder = workspace.join(root);
        let mut paths = super::rust_files(&folder)?;
        let top = folder.with_extension("rs");
        if top.is_file() {
            paths.push(top);
        }
        let mut files = Vec::new();
        for path in paths {
            let text =
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            let name = path.strip_prefix(workspace).unwrap_or(&path);
            files.push((name.to_string_lossy().into_owned(), text));
        }
        found.extend(of_root(&files)?);
    }
    Ok(found)
}

/// The cycles among files, each with its path from the folder of the workspace, and its text.
fn of_root(files: &[(String, String)]) -> Result<Vec<String>> {
    let mut sources = BTreeMap::new();
    let mut tests = Vec::new();
    for (file, text) in files {
        let module = module_of(file);
        let source = source::read(&module, text).with_context(|| format!("parsing {file}"))?;
        tests.extend(source.tests.iter().cloned());
        sources.insert(module, (file.as_str(), source));
    }
    let is_test = |path: &Module| tests.iter().any(|tests| path.starts_with(tests));
    sources.retain(|module, _| !is_test(module));
    for (_, source) in sources.values_mut() {
        source.paths.retain(|path| !is_test(path));
    }
    Ok(graph_of(&sources)
        .cycles()
        .iter()
        .map(|edges| describe(edges))
        .collect())
}

/// The module of a file: `a/src/b/c.rs` is `b::c`, `a/src/lib.rs` the root of the crate. `main.rs` is the root
/// of another crate, which nobody can import from.
fn module_of(file: &str) -> Module {
    let inside = file.split_once("/src/").map_or(file, |(_, inside)| inside);
    let inside = inside.strip_suffix(".rs").unwrap_or(inside);
    if inside == "lib" {
        return Vec::new();
    }
    inside.split('/').map(str::to_owned).collect()
}

fn graph_of<'a>(sources: &BTreeMap<Module, (&'a str, Source)>) -> Graph<'a> {
    let modules = Modules(sources);
    let mut methods: HashMap<_, Vec<&'a str>> = HashMap::new();
    for (file, source) in sources.values() {
        for method in &source.methods {
            let key = (modules.definition(&method.of), method.name.as_str());
            methods.entry(key).or_default().push(file);
        }
    }
    // Several traits can have a method of one name; the nearest is meant.
    let elsewhere = |file: &&str, of: &[String], name: &str| {
        let key = (modules.definition(of), name);
        let others = methods.get(&key).filter(|others| !others.contains(file));
        others.and_then(|others| others.first()).copied()
    };
    let mut graph = Graph::default();
    for (file, source) in sources.values() {
        for path in &source.paths {
            if let Some(other) = modules.file(path) {
                graph.add(file, other, Edge::Path(path.join("::")));
            }
            if let Some((name, of)) = path.split_last()
                && let Some(other) = elsewhere(file, of, name)
            {
                graph.add(file, other, Edge::Path(path.join("::")));
            }
        }
        for call in &source.calls {
            if let Some(other) = elsewhere(file, &call.of, &call.name) {
                graph.add(file, other, Edge::Call(call.name.clone()));
            }
        }
    }
    graph
}

/// Finds what a path leads to.
struct Modules<'a, 'b>(&'b BTreeMap<Module, (&'a str, Source)>);

impl<'a> Modules<'a, '_> {
    /// The file that has what a path names. One that names a module, as imports do, is no use of it yet.
    fn file(&self, path: &[String]) -> Option<&'a str> {
        match self.split(path)? {
            (_, _, []) => None,
            (file, ..) => Some(file),
        }
    }

    /// Where a type is defined, though others re-export it.
    fn definition(&self, path: &[String]) -> Vec<String> {
        let mut path = path.to_vec();
        // More re-exports of one type than this are a circle.
        for _ in 0..8 {
            match self.split(&path) {
                Some((_, names, [name])) if names.contains_key(name) => {
                    path.clone_from(&names[name]);
                }
                _ => break,
            }
        }
        path
    }

    /// The file of the longest beginning of a path that is a module, what it imports, and the rest.
    fn split<'p>(&self, path: &'p [String]) -> Option<(&'a str, &Names, &'p [String])> {
        (0..=path.len()).rev().find_map(|length| {
            let (module, rest) = path.split_at(length);
            let (file, source) = self.0.get(module)?;
            Some((*file, &source.names, rest))
        })
    }
}

fn describe(edges: &[(&str, &str, &Edge)]) -> String {
    let mut text = String::from("these files use each other in a circle:");
    for (from, to, edge) in edges {
        text += &match edge {
            Edge::Path(path) => format!("\n      {from} uses {to}: {path}"),
            Edge::Call(name) => format!("\n      {from} calls self.{name}, which {to} defines"),
        };
    }
    text
}

#[cfg(test)]
mod tests;
