//! One file of a crate: its child modules, imports and paths.

use std::path::{Path, PathBuf};

use syn::punctuated::Punctuated;
use syn::visit::Visit;
use syn::{Attribute, Item, Token, UseTree, Visibility};

/// A crate, read from its source.
#[derive(Debug)]
pub struct Crate {
    /// Its name in paths, such as `bedel_queue`.
    pub name: String,
    /// Its files; the first is the root.
    pub modules: Vec<Module>,
}

/// A file of a crate. Inline modules belong to their file.
#[derive(Debug)]
pub struct Module {
    /// Its path in the crate, empty for the root.
    pub path: Vec<String>,
    /// The file.
    pub file: PathBuf,
    /// Lines of the file.
    pub lines: usize,
    /// Its `use` items, one for each name.
    pub imports: Vec<Import>,
    /// Paths of two and more segments in its code.
    pub paths: Vec<Vec<String>>,
}

/// One name of a `use` item.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    /// The path as written, without `self` at its end. Ends with `*` for a glob.
    pub path: Vec<String>,
    /// The name it has here.
    pub name: String,
    /// True for a re-export.
    pub is_public: bool,
}

/// Reads a crate from the file that is its root, such as `src/lib.rs`.
///
/// # Panics
/// Where a file cannot be read or is no Rust.
#[must_use]
pub fn read_crate(name: &str, root: &Path) -> Crate {
    let mut modules = Vec::new();
    let directory = root.parent().expect("a file has a directory");
    read_module(root, directory, Vec::new(), &mut modules);
    Crate { name: name.to_owned(), modules }
}

/// Reads a file and its children, which lie in `directory`.
fn read_module(file: &Path, directory: &Path, path: Vec<String>, into: &mut Vec<Module>) {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut reader = Reader::default();
    for item in syntax.items.iter().filter(|item| !is_test(item)) {
        reader.visit_item(item);
    }
    into.push(Module {
        path: path.clone(),
        file: file.to_owned(),
        lines: text.lines().count(),
        imports: reader.imports,
        paths: reader.paths,
    });
    for child in reader.children {
        let (beside, below) = (directory.join(format!("{child}.rs")), directory.join(&child).join("mod.rs"));
        let file = if beside.exists() { beside } else { below };
        read_module(&file, &directory.join(&child), [path.clone(), vec![child]].concat(), into);
    }
}

/// Collects what a file declares and names.
#[derive(Default)]
struct Reader {
    children: Vec<String>,
    imports: Vec<Import>,
    paths: Vec<Vec<String>>,
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        if is_test(item) {
            return;
        }
        match item {
            Item::Mod(module) if module.content.is_none() => self.children.push(module.ident.to_string()),
            Item::Macro(call) => self.children.extend(declared_by(&call.mac)),
            Item::Use(item) => {
                let is_public = !matches!(item.vis, Visibility::Inherited);
                flatten(&item.tree, &mut Vec::new(), is_public, &mut self.imports);
            }
            _ => syn::visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }
}

fn flatten(tree: &UseTree, prefix: &mut Vec<String>, is_public: bool, into: &mut Vec<Import>) {
    let mut add = |last: Option<String>, name: String| {
        let path = prefix.iter().cloned().chain(last).collect();
        into.push(Import { path, name, is_public });
    };
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, is_public, into);
            prefix.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            let own = prefix.last().cloned().unwrap_or_default();
            add(None, own);
        }
        UseTree::Name(name) => add(Some(name.ident.to_string()), name.ident.to_string()),
        UseTree::Rename(rename) => add(Some(rename.ident.to_string()), rename.rename.to_string()),
        UseTree::Glob(_) => add(Some("*".to_owned()), "*".to_owned()),
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(tree, prefix, is_public, into);
            }
        }
    }
}

/// The modules that a macro call such as `kinds! { submit::Submit, }` declares.
fn declared_by(call: &syn::Macro) -> Vec<String> {
    let kinds = Punctuated::<syn::Path, Token![,]>::parse_terminated;
    match call.parse_body_with(kinds) {
        Ok(kinds) if call.path.segments.last().is_some_and(|name| name.ident == "kinds") => {
            kinds.iter().map(|kind| kind.segments[0].ident.to_string()).collect()
        }
        _ => Vec::new(),
    }
}

/// True for items under `#[cfg(test)]` and tests themselves.
fn is_test(item: &Item) -> bool {
    let attributes: &[Attribute] = match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        _ => &[],
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}
