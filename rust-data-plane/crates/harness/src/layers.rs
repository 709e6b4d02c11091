use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Panics where modules of the crate in `manifest_dir` use each other in a circle.
pub fn modules_use_each_other_one_way(manifest_dir: &str) {
    let mut uses = BTreeMap::<String, BTreeSet<String>>::new();
    for file in fs::read_dir(Path::new(manifest_dir).join("src")).unwrap() {
        let path = file.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        let used = text.split("crate::").skip(1).map(name).collect();
        uses.insert(path.file_stem().unwrap().to_string_lossy().into_owned(), used);
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
