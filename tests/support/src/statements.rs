//! SQL statements in Rust source.

use std::path::{Path, PathBuf};

/// The SQL statements in the Rust files of a folder, each with its file: string literals that begin with a name comment.
///
/// # Panics
/// If a file cannot be read.
#[must_use]
pub fn named_statements(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut folders = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        {
            let path = entry.expect("an entry of the folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                for part in text.split("\"-- ").skip(1) {
                    let statement = part.split('"').next().unwrap_or_default().replace("\\n", "\n");
                    found.push((path.clone(), format!("-- {statement}")));
                }
            }
        }
    }
    found
}
