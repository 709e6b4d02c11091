use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Panics where modules of the crate in `manifest_dir` use each other in a circle. A folder is one module, with all that is in it. What
/// their tests use does not count.
pub fn modules_use_each_other_one_way(manifest_dir: &str) {
    let mut uses = BTreeMap::<String, BTreeSet<String>>::new();
    for entry in fs::read_dir(Path::new(manifest_dir).join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let used = uses.entry(name.clone()).or_default();
        read(&path, used);
        used.remove(&name);
    }
    assert!(uses.len() > 10, "{uses:?}");
    // Modules that use none of those that are left are taken away, until none is left or the rest is a circle.
    while let Some(free) =
        uses.iter().find(|(_, used)| !used.iter().any(|name| uses.contains_key(name))).map(|(name, _)| name.clone())
    {
        uses.remove(&free);
    }
    assert!(uses.is_empty(), "these use each other in a circle, or use one: {uses:?}");
}

/// Adds the modules that a file, or the files of a folder, use.
fn read(path: &Path, used: &mut BTreeSet<String>) {
    if path.is_dir() {
        return fs::read_dir(path).unwrap().for_each(|entry| read(&entry.unwrap().path(), used));
    }
    if path.ends_with("tests.rs") {
        return;
    }
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    for after in text.split("crate::").skip(1) {
        assert!(!after.starts_with('{'), "{}: a module is named in each use of the crate", path.display());
        used.insert(name(after));
    }
}
