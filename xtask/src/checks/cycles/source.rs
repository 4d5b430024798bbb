//! What a Rust file names, defines and calls. Tests do not count.

use std::collections::HashMap;

use proc_macro2::{TokenStream, TokenTree};
use syn::{
    Attribute, Expr, ExprMethodCall, ImplItem, Item, ItemImpl, ItemMod, ItemUse, Macro, Meta, Path,
    Type, UseTree,
    visit::{self, Visit},
};

/// What names stand for in a module: a path from the root of the crate.
pub(super) type Names = HashMap<String, Vec<String>>;

/// A method, or the call of one, of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Method {
    /// Path of the type from the root of the crate.
    pub(super) of: Vec<String>,
    pub(super) name: String,
}

/// What there is to know of a file. Paths start at the root of the crate.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Paths that it names.
    pub(super) paths: Vec<Vec<String>>,
    /// What its imports call things.
    pub(super) names: Names,
    /// Methods that it defines.
    pub(super) methods: Vec<Method>,
    /// Methods of the same type that its methods call.
    pub(super) calls: Vec<Method>,
    /// Modules that hold tests.
    pub(super) tests: Vec<Vec<String>>,
}

/// Reads the file of a module.
pub(super) fn read(module: &[String], text: &str) -> syn::Result<Source> {
    let file = syn::parse_file(text)?;
    let mut reader = Reader {
        source: Source::default(),
        scope: Scope::new(module.to_vec(), &file.items),
        self_type: None,
    };
    reader.source.names = reader.scope.names.clone();
    reader.visit_file(&file);
    Ok(reader.source)
}

/// A module, whether a file or a part of one.
struct Scope {
    module: Vec<String>,
    names: Names,
}

impl Scope {
    fn new(module: Vec<String>, items: &[Item]) -> Self {
        let mut scope = Self {
            module,
            names: Names::new(),
        };
        let real = || items.iter().filter(|item| !is_test(attributes(item)));
        // Its modules first: imports start from them.
        for item in real() {
            if let Item::Mod(part) = item {
                let name = part.ident.to_string();
                scope.names.insert(name.clone(), scope.inside(&name));
            }
        }
        for item in real() {
            if let Item::Use(import) = item {
                scope.import(import);
            }
        }
        scope
    }

    fn import(&mut self, import: &ItemUse) {
        for (name, path) in leaves(import) {
            if let (Some(name), Some(path)) = (name, self.absolute(&path)) {
                self.names.insert(name, path);
            }
        }
    }

    fn inside(&self, name: &str) -> Vec<String> {
        let mut path = self.module.clone();
        path.push(name.to_owned());
        path
    }

    /// A path as seen from the root of the crate; `None` where it leads out of the crate or is local.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let mut absolute = match first.as_str() {
            "crate" => Vec::new(),
            "self" => self.module.clone(),
            "super" => self.module[..self.module.len().checked_sub(1)?].to_vec(),
            name => self.names.get(name)?.clone(),
        };
        for part in rest {
            if part == "super" {
                absolute.pop()?;
            } else if part != "self" {
                absolute.push(part.clone());
            }
        }
        Some(absolute)
    }
}

struct Reader {
    source: Source,
    scope: Scope,
    /// The type whose `impl` this is.
    self_type: Option<Vec<String>>,
}

impl Reader {
    /// A path in code. One that ends at a name of the module itself or of an import was counted there.
    fn names(&mut self, path: &[String]) {
        match path {
            [first, name] if first == "Self" => self.calls(name.clone()),
            [_, _, ..] => {
                let local = || [&self.scope.module[..], path].concat();
                let path = self.scope.absolute(path).unwrap_or_else(local);
                self.source.paths.push(path);
            }
            _ => {}
        }
    }

    fn calls(&mut self, name: String) {
        if let Some(of) = self.self_type.clone() {
            self.source.calls.push(Method { of, name });
        }
    }

    /// Paths and calls in what a macro is given, or an attribute.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) => {
                    let mut path = vec![first.to_string()];
                    while let Some(
                        [
                            TokenTree::Punct(one),
                            TokenTree::Punct(two),
                            TokenTree::Ident(next),
                        ],
                    ) = tokens.get(at..at + 3)
                        && (one.as_char(), two.as_char()) == (':', ':')
                    {
                        path.push(next.to_string());
                        at += 3;
                    }
                    if let Some([TokenTree::Punct(dot), TokenTree::Ident(name)]) =
                        tokens.get(at..at + 2)
                        && dot.as_char() == '.'
                        && path == ["self"]
                        && is_call(tokens.get(at + 2))
                    {
                        self.calls(name.to_string());
                    }
                    self.names(&path);
                }
                _ => {}
            }
        }
    }
}

/// Whether what follows `self.name` makes it a call.
fn is_call(next: Option<&TokenTree>) -> bool {
    match next {
        Some(TokenTree::Group(group)) => group.delimiter() == proc_macro2::Delimiter::Parenthesis,
        Some(TokenTree::Punct(turbofish)) => turbofish.as_char() == ':',
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        } else if let Item::Mod(part) = item {
            let module = self.scope.inside(&part.ident.to_string());
            self.source.tests.push(module);
        }
    }

    fn visit_item_mod(&mut self, part: &'ast ItemMod) {
        if let Some((_, items)) = &part.content {
            let module = self.scope.inside(&part.ident.to_string());
            let outside = std::mem::replace(&mut self.scope, Scope::new(module, items));
            visit::visit_item_mod(self, part);
            self.scope = outside;
        }
    }

    fn visit_item_use(&mut self, import: &'ast ItemUse) {
        // Those inside of functions are not known yet.
        self.scope.import(import);
        for (name, path) in leaves(import) {
            let Some(mut path) = self.scope.absolute(&path) else {
                continue;
            };
            if name.is_none() {
                path.push("*".to_owned());
            }
            self.source.paths.push(path);
        }
    }

    fn visit_item_impl(&mut self, block: &'ast ItemImpl) {
        let of = match &*block.self_ty {
            Type::Path(of) if of.qself.is_none() => {
                let path = segments(&of.path);
                let name = path.last().cloned().unwrap_or_default();
                Some(
                    self.scope
                        .absolute(&path)
                        .unwrap_or_else(|| self.scope.inside(&name)),
                )
            }
            _ => None,
        };
        for item in &block.items {
            if let (Some(of), ImplItem::Fn(method)) = (&of, item)
                && !is_test(&method.attrs)
            {
                self.source.methods.push(Method {
                    of: of.clone(),
                    name: method.sig.ident.to_string(),
                });
            }
        }
        let outside = std::mem::replace(&mut self.self_type, of);
        visit::visit_item_impl(self, block);
        self.self_type = outside;
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !matches!(item, ImplItem::Fn(method) if is_test(&method.attrs)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast Path) {
        self.names(&segments(path));
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if matches!(&*call.receiver, Expr::Path(path) if path.path.is_ident("self")) {
            self.calls(call.method.to_string());
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, invocation: &'ast Macro) {
        self.tokens(invocation.tokens.clone());
        visit::visit_macro(self, invocation);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
        visit::visit_attribute(self, attribute);
    }
}

fn segments(path: &Path) -> Vec<String> {
    path.segments
        .iter()
        .map(|segment| segment.ident.to_string())
        .collect()
}

/// Every path of an import, and what it is called here; those with `*` have no name.
fn leaves(import: &ItemUse) -> Vec<(Option<String>, Vec<String>)> {
    let mut leaves = Vec::new();
    let mut next = vec![(Vec::new(), &import.tree)];
    while let Some((mut path, tree)) = next.pop() {
        match tree {
            UseTree::Path(part) => {
                path.push(part.ident.to_string());
                next.push((path, &part.tree));
            }
            UseTree::Name(leaf) if leaf.ident == "self" => {
                leaves.push((path.last().cloned(), path))
            }
            UseTree::Name(leaf) => {
                path.push(leaf.ident.to_string());
                leaves.push((path.last().cloned(), path));
            }
            UseTree::Rename(leaf) => {
                path.push(leaf.ident.to_string());
                leaves.push((Some(leaf.rename.to_string()), path));
            }
            UseTree::Glob(_) => leaves.push((None, path)),
            UseTree::Group(group) => {
                next.extend(group.items.iter().map(|tree| (path.clone(), tree)));
            }
        }
    }
    leaves
}

/// Whether something is compiled for tests alone.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => needs_test(list.tokens.clone()),
        _ => false,
    })
}

/// Whether a condition is `test`, or `all(…)` with `test` among it.
fn needs_test(condition: TokenStream) -> bool {
    let tokens: Vec<TokenTree> = condition.into_iter().collect();
    match tokens.as_slice() {
        [TokenTree::Ident(all), TokenTree::Group(group)] if all == "all" => group
            .stream()
            .into_iter()
            .any(|token| matches!(token, TokenTree::Ident(name) if name == "test")),
        [TokenTree::Ident(name)] => name == "test",
        _ => false,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
