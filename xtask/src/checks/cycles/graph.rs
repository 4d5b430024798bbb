//! Files and which uses which.

use std::collections::{BTreeMap, BTreeSet};

/// Why a file uses another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// It names this path.
    Path(String),
    /// It calls this method of the type that it implements.
    Call(String),
}

/// Which file uses which, with the first reason that was found.
#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    edges: BTreeMap<&'a str, BTreeMap<&'a str, Edge>>,
}

impl<'a> Graph<'a> {
    /// A file uses another one, or itself, which says nothing.
    pub(super) fn add(&mut self, from: &'a str, to: &'a str, edge: Edge) {
        if from != to {
            let edges = self.edges.entry(from).or_default();
            edges.entry(to).or_insert(edge);
        }
    }

    /// The edges of every set of files that all lead to each other.
    pub(super) fn cycles(&self) -> Vec<Vec<(&'a str, &'a str, &Edge)>> {
        let reached: BTreeMap<&str, BTreeSet<&str>> = self
            .edges
            .keys()
            .map(|file| (*file, self.reached(file)))
            .collect();
        let leads = |from: &str, to: &str| reached.get(from).is_some_and(|all| all.contains(to));
        let mut done = BTreeSet::new();
        let mut cycles = Vec::new();
        for file in self.edges.keys() {
            if !leads(file, file) || done.contains(file) {
                continue;
            }
            let is_inside = |other: &str| leads(file, other) && leads(other, file);
            let mut cycle = Vec::new();
            for (from, edges) in self.edges.iter().filter(|(from, _)| is_inside(from)) {
                done.insert(*from);
                let inside = edges.iter().filter(|(to, _)| is_inside(to));
                cycle.extend(inside.map(|(to, edge)| (*from, *to, edge)));
            }
            cycles.push(cycle);
        }
        cycles
    }

    /// Every file that a file leads to.
    fn reached(&self, file: &str) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::new();
        let mut next = vec![file];
        while let Some(file) = next.pop() {
            for to in self.edges.get(file).into_iter().flatten().map(|(to, _)| to) {
                if reached.insert(*to) {
                    next.push(to);
                }
            }
        }
        reached
    }
}
