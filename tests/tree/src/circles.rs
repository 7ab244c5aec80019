//! Circles: files that depend on each other, directly or through others.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{Arrow, Graph};

/// The circles between files, each as the arrows within it.
#[must_use]
pub fn circles(graph: &Graph) -> Vec<Vec<&Arrow>> {
    let mut below: BTreeMap<(usize, usize), BTreeSet<(usize, usize)>> = BTreeMap::new();
    for arrow in &graph.arrows {
        below.entry(arrow.from).or_default().insert(arrow.to);
    }
    let reached: BTreeMap<_, _> = below.keys().map(|file| (*file, reach(*file, &below))).collect();
    let mut found: BTreeMap<Vec<(usize, usize)>, Vec<&Arrow>> = BTreeMap::new();
    for arrow in &graph.arrows {
        let back = |file: &(usize, usize), to| reached.get(file).is_some_and(|reached| reached.contains(to));
        if back(&arrow.to, &arrow.from) {
            // All files of one circle reach the same files of it.
            let members = reached[&arrow.from].iter().filter(|file| back(file, &arrow.from)).copied();
            found.entry(members.collect()).or_default().push(arrow);
        }
    }
    found.into_values().collect()
}

/// Every file that `from` leads to, itself included only by a circle.
fn reach(
    from: (usize, usize),
    below: &BTreeMap<(usize, usize), BTreeSet<(usize, usize)>>,
) -> BTreeSet<(usize, usize)> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for next in below.get(&file).into_iter().flatten() {
            if reached.insert(*next) {
                open.push(*next);
            }
        }
    }
    reached
}
