//! From paths to files.

use std::collections::BTreeSet;

use crate::module::{Crate, Module};

/// Re-exports followed for one name: more than a chain needs, so that a circle of re-exports ends.
const MAX_REEXPORTS: usize = 16;

/// An arrow between two files, by crate and module, with a name that makes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// The file that uses the name: number of its crate, number of its module.
    pub from: (usize, usize),
    /// The file that defines it.
    pub to: (usize, usize),
    /// The path as written.
    pub path: String,
}

/// All crates of a workspace, with the arrows between their files.
#[derive(Debug)]
pub struct Graph {
    /// The crates.
    pub crates: Vec<Crate>,
    /// The arrows, without those from a file to itself.
    pub arrows: BTreeSet<Arrow>,
}

impl Graph {
    /// Resolves the paths of these crates.
    #[must_use]
    pub fn new(crates: Vec<Crate>) -> Self {
        let mut graph = Self { crates, arrows: BTreeSet::new() };
        let mut arrows = BTreeSet::new();
        for (at, one) in graph.crates.iter().enumerate() {
            for (number, module) in one.modules.iter().enumerate() {
                let uses =
                    module.imports.iter().filter(|import| !import.is_public).map(|import| &import.path);
                for path in uses.chain(&module.paths) {
                    if let Some(to) = graph.resolve((at, number), path, MAX_REEXPORTS)
                        && to != (at, number)
                    {
                        arrows.insert(Arrow { from: (at, number), to, path: path.join("::") });
                    }
                }
            }
        }
        graph.arrows = arrows;
        graph
    }

    /// The module of a number.
    #[must_use]
    pub fn module(&self, (at, number): (usize, usize)) -> &Module {
        &self.crates[at].modules[number]
    }

    /// The file that defines what `path` names in a file. `None` where that is another crate's or a local name.
    fn resolve(&self, from: (usize, usize), path: &[String], reexports: usize) -> Option<(usize, usize)> {
        let (first, rest) = path.split_first()?;
        let own = &self.module(from).path;
        match first.as_str() {
            "crate" => self.walk((from.0, 0), rest, reexports),
            "self" => self.walk(from, rest, reexports),
            "super" => {
                let parent = self.child(from.0, own.split_last()?.1)?;
                let up = rest.first().is_some_and(|next| next == "super");
                if up { self.resolve(parent, rest, reexports) } else { self.walk(parent, rest, reexports) }
            }
            name => {
                if let Some(child) = self.child_of(from, name) {
                    return self.walk(child, rest, reexports);
                }
                if let Some(other) = self.crates.iter().position(|one| one.name == name) {
                    return self.walk((other, 0), rest, reexports);
                }
                // A module that is imported here, and what is used of it.
                let import = self.module(from).imports.iter().find(|import| import.name == name)?;
                if rest.is_empty() || reexports == 0 || import.path.first() == Some(first) {
                    return None;
                }
                self.walk(self.resolve_module(from, &import.path, reexports)?, rest, reexports - 1)
            }
        }
    }

    /// As [`Graph::resolve`], only where the path names a module.
    fn resolve_module(
        &self,
        from: (usize, usize),
        path: &[String],
        reexports: usize,
    ) -> Option<(usize, usize)> {
        let found = self.resolve(from, path, reexports)?;
        let last = path.iter().rev().find(|segment| *segment != "self")?;
        let names_module = self.module(found).path.last() == Some(last)
            || matches!(last.as_str(), "crate" | "super")
            || (self.module(found).path.is_empty() && self.crates[found.0].name == *last);
        names_module.then_some(found)
    }

    /// Follows `path` down from a module, through re-exports, to the file that defines it.
    fn walk(&self, module: (usize, usize), path: &[String], reexports: usize) -> Option<(usize, usize)> {
        let Some((name, rest)) = path.split_first() else { return Some(module) };
        if let Some(child) = self.child_of(module, name) {
            return self.walk(child, rest, reexports);
        }
        let reexported = self.module(module).imports.iter().filter(|import| import.is_public);
        for import in reexported {
            if reexports == 0 {
                break;
            }
            if import.name == *name && import.path.as_slice() != [name.clone()] {
                let longer = [&import.path[..], rest].concat();
                if let Some(found) = self.resolve(module, &longer, reexports - 1) {
                    return Some(found);
                }
            }
        }
        Some(module)
    }

    fn child_of(&self, (at, number): (usize, usize), name: &str) -> Option<(usize, usize)> {
        let path = [&self.crates[at].modules[number].path[..], &[name.to_owned()]].concat();
        self.child(at, &path)
    }

    fn child(&self, at: usize, path: &[String]) -> Option<(usize, usize)> {
        let number = self.crates[at].modules.iter().position(|module| module.path == path)?;
        Some((at, number))
    }
}
