//! Rooms: the folders of the gateway, how much is in each, and which knows which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{crates, sources};

/// More than that nobody looks through to find the right one.
const MAX_ENTRIES: usize = 16;

#[test]
fn rooms_know_each_other_in_one_direction() {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources("wapi/src") {
        let path = source.path.trim_start_matches("wapi/src/");
        let Some((room, _)) = path.split_once('/') else {
            continue;
        };
        let others = known.entry(room.to_owned()).or_default();
        for (number, line) in source.code() {
            for rest in line.split("crate::").skip(1) {
                let end = rest.find(|sign: char| !sign.is_alphanumeric() && sign != '_');
                let other = &rest[..end.unwrap_or(rest.len())];
                let is_above = room == "app" || other != "app";
                assert!(is_above, "{path}:{number} knows the whole: {line}");
                if other != room {
                    others.insert(other.to_owned());
                }
            }
        }
    }
    assert!(known.remove("app").is_some() && known.len() > 10);
    for leaf in ["model", "system", "net", "config"] {
        for other in &known[leaf] {
            let is_leaf = ["model", "system", "net"].contains(&other.as_str());
            assert!(is_leaf, "{leaf}/ knows {other}/, which is no leaf");
        }
    }
    // Rooms that know none of those left are taken away, until only circles are left.
    while let Some(room) = known
        .iter()
        .find(|(_, others)| !others.iter().any(|other| known.contains_key(other)))
        .map(|(room, _)| room.clone())
    {
        known.remove(&room);
    }
    assert!(known.is_empty(), "these know each other: {known:#?}");
}

#[test]
fn no_folder_has_too_many_entries_to_look_through() {
    let mut folders = vec![crates().join("wapi/src")];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        let mut names = BTreeSet::new();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_owned();
            if path.is_dir() {
                folders.push(path.clone());
            }
            // A module and the folder of its tests are one.
            if path.file_name() != Some(Path::new("mod.rs").as_os_str()) {
                names.insert(name);
            }
        }
        found += 1;
        let count = names.len();
        let folder = folder.display();
        assert!(count <= MAX_ENTRIES, "{folder} has {count} entries");
    }
    assert!(found > 30);
}
