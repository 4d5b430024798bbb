use super::*;

/// The edges of all cycles among files, given without `a/src/` and `.rs`, as `from → to`.
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let files: Vec<_> = files
        .iter()
        .map(|(name, text)| (format!("a/src/{name}.rs"), (*text).to_owned()))
        .collect();
    let found = of_root(&files).unwrap();
    let edges: Vec<String> = found
        .iter()
        .flat_map(|cycle| cycle.lines().skip(1))
        .map(|line| {
            let files: Vec<&str> = line
                .split([' ', ':'])
                .filter_map(|word| word.strip_prefix("a/src/")?.strip_suffix(".rs"))
                .collect();
            files.join(" → ")
        })
        .collect();
    assert_eq!(edges, expected, "{found:#?}");
}

#[test]
fn a_chain_is_no_circle() {
    check(
        &[
            ("lib", "pub use crate::b::B; mod b; mod c;"),
            ("b", "use crate::c::C; use super::c::D;"),
            (
                "c",
                "use std::fmt; use bytes::Bytes; fn f() { c::g(); self::g(); }",
            ),
        ],
        &[],
    );
}

#[test]
fn every_way_to_name_another_file_counts() {
    for back in [
        "use crate::b::B;",
        "use crate::{c::C, b::{self, B as D}};",
        "use super::b::*;",
        "use crate::b; fn f(b: b::B) {}",
        "use super::b; fn f() { b::g(); }",
        "fn f() { use crate::b::g; }",
        "fn f() { crate::b::g(); }",
        "fn f() { println!(\"{}\", [crate::b::G]); }",
        "#[derive(Error)] #[error(\"{}\", crate::b::G)] struct E;",
        "mod inner { use super::super::b::B; }",
        "impl From<super::b::B> for C {}",
    ] {
        check(
            &[
                ("lib", "mod b; mod c;"),
                ("b", "use crate::c::C;"),
                ("c", back),
            ],
            &["b → c", "c → b"],
        );
    }
}

#[test]
fn the_name_of_a_module_alone_is_no_use_of_it() {
    check(
        &[
            ("lib", "mod b; mod c;"),
            ("b", "use crate::c; fn f() { c::d::g(); }"),
            ("c", "pub(crate) mod d; use crate::b::B;"),
            ("c/d", "pub(in crate::c) fn g() {}"),
        ],
        &[],
    );
}

#[test]
fn parent_and_child_make_a_circle_where_the_child_imports_from_the_parent() {
    let parent = "mod child; struct Bound; fn f() { child::g(); }";
    check(&[("p", parent), ("p/child", "fn g() {}")], &[]);
    for child in ["use super::Bound;", "use crate::p::Bound;", "use super::*;"] {
        check(
            &[("p", parent), ("p/child", child)],
            &["p → p/child", "p/child → p"],
        );
    }
    check(
        &[("p", "mod child;"), ("p/child", "use super::Bound;")],
        &[],
    );
}

#[test]
fn a_reexport_is_a_use() {
    let sibling = "use super::One;";
    check(
        &[
            ("p", "pub use self::{one::One, two::Two}; mod one; mod two;"),
            ("p/one", ""),
            ("p/two", sibling),
        ],
        &["p → p/two", "p/two → p"],
    );
    check(
        &[
            ("lib", "pub use b::B; mod b; mod c;"),
            ("b", "use crate::c::C;"),
            ("c", "use crate::B;"),
        ],
        &["b → c", "c → lib", "lib → b"],
    );
}

#[test]
fn tests_do_not_count() {
    for child in [
        "#[cfg(test)] mod tests { use super::super::Bound; }",
        "#[cfg(test)] use super::Bound;",
        "#[cfg(all(test, unix))] fn f() { super::g(); }",
        "impl C { #[cfg(test)] fn f() { super::g(); } }",
        "#[cfg(test)] mod tests; fn f() { tests::g(); }",
    ] {
        check(
            &[
                ("p", "mod child; use child::C;"),
                ("p/child", child),
                ("p/child/tests", "use crate::p::Bound; use super::C;"),
            ],
            &[],
        );
    }
    check(
        &[
            ("p", "mod child; use child::C;"),
            ("p/child", "#[cfg(any(test, fuzzing))] use super::Bound;"),
        ],
        &["p → p/child", "p/child → p"],
    );
}

#[test]
fn methods_of_one_type_that_call_each_other_are_a_use() {
    let part = "use super::Large; impl Large { fn f(&mut self) {} }";
    for call in [
        "self.f();",
        "Self::f(self);",
        "Large::f(self);",
        "crate::p::Large::f(self);",
        "select! { _ = x => self.f() }",
    ] {
        let parent =
            format!("mod part; struct Large; impl Large {{ fn g(&mut self) {{ {call} }} }}");
        check(
            &[("p", &parent), ("p/part", part)],
            &["p → p/part", "p/part → p"],
        );
    }
    // A slice that nobody calls back from, a method of a field, and one of another type.
    for call in ["self.h();", "self.field.f();", "other.f();", "Other::f();"] {
        let parent =
            format!("mod part; struct Large; impl Large {{ fn g(&mut self) {{ {call} }} }}");
        check(&[("p", &parent), ("p/part", part)], &[]);
    }
}

#[test]
fn methods_are_found_by_their_type_wherever_it_is_imported_from() {
    check(
        &[
            (
                "lib",
                "pub use large::Large; mod large; mod slice; mod other;",
            ),
            ("large", "pub struct Large;"),
            (
                "slice",
                "use crate::Large; impl Large { fn f(&self) { self.g(); } }",
            ),
            (
                "other",
                "use crate::large::Large as L; impl L { fn g(&self) { self.f() } }",
            ),
        ],
        &["other → slice", "slice → other"],
    );
}

#[test]
fn a_method_in_the_same_file_is_meant_before_one_elsewhere() {
    check(
        &[
            ("p", "mod part; struct P; impl From<u8> for P { fn from(_: u8) -> Self { Self::from('a') } }
                   impl From<char> for P { fn from(_: char) -> Self { P } }"),
            ("p/part", "use super::P; impl From<bool> for P { fn from(_: bool) -> Self { P } }"),
        ],
        &[],
    );
}

#[test]
fn a_program_beside_a_library_is_not_its_root() {
    check(
        &[
            ("lib", "mod b; pub struct A;"),
            ("main", "mod c; use b::A; fn main() { c::f(); }"),
            ("b", "use crate::A;"),
            ("c", "fn f() { crate::g(); }"),
        ],
        &[],
    );
}

#[test]
fn a_cycle_is_told_in_words() {
    let files = [
        (
            "a/src/p.rs",
            "mod part; struct L; impl L { fn g(&self) { self.f() } }",
        ),
        ("a/src/p/part.rs", "use super::L; impl L { fn f(&self) {} }"),
    ];
    let files = files.map(|(file, text)| (file.to_owned(), text.to_owned()));
    assert_eq!(
        of_root(&files).unwrap(),
        ["these files use each other in a circle:\n      \
          a/src/p.rs calls self.f, which a/src/p/part.rs defines\n      \
          a/src/p/part.rs uses a/src/p.rs: p::L"]
    );
}
