//! Rooms: the folders of the crates, how much is in each, and which knows which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{crates, files, sources};

/// More than that nobody looks through to find the right one.
const MAX_ENTRIES: usize = 16;

/// The rooms of a crate, and those that each of them names. `whole` knows all of them, and none knows it.
fn rooms(folder: &str, whole: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources(folder) {
        let path = &source.path[folder.len() + 1..];
        let Some((room, _)) = path.split_once('/') else {
            continue;
        };
        let others = known.entry(room.to_owned()).or_default();
        for (number, line) in source.code() {
            for rest in line.split("crate::").skip(1) {
                let end = rest.find(|sign: char| !sign.is_alphanumeric() && sign != '_');
                let other = &rest[..end.unwrap_or(rest.len())];
                let is_above = room == whole || other != whole;
                assert!(is_above, "{path}:{number} knows the whole: {line}");
                assert!(!other.is_empty(), "{path}:{number} hides a room: {line}");
                if other != room {
                    others.insert(other.to_owned());
                }
            }
        }
    }
    known.remove(whole);
    known
}

fn fails_on_circles(mut known: BTreeMap<String, BTreeSet<String>>) {
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
fn rooms_know_each_other_in_one_direction() {
    let known = rooms("wapi/src", "app");
    assert!(known.len() > 10);
    for leaf in ["model", "system", "net", "config"] {
        for other in &known[leaf] {
            let is_leaf = ["model", "system", "net"].contains(&other.as_str());
            assert!(is_leaf, "{leaf}/ knows {other}/, which is no leaf");
        }
    }
    fails_on_circles(known);
}

#[test]
fn the_storeys_of_the_simulator_know_those_below() {
    let known = rooms("simulator/src", "simulator");
    let storeys = ["wire", "model", "crypto", "server", "phone", "admin"];
    assert!(known.keys().all(|room| storeys.contains(&room.as_str())));
    for (place, storey) in storeys.iter().enumerate() {
        for other in &known[*storey] {
            let below = &storeys[..place];
            assert!(below.contains(&other.as_str()), "{storey}/ knows {other}/");
        }
    }
}

#[test]
fn no_folder_has_too_many_entries_to_look_through() {
    let mut folders = vec![crates().join("wapi/src"), crates().join("simulator/src")];
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

/// Tests say what phones do; how WhatsApp writes it is the simulator's.
#[test]
fn no_test_through_http_builds_protobufs() {
    let speaks = ["waproto", "MessageField", ".protobuf"];
    for source in files("wapi/tests/api") {
        let found = speaks.iter().find(|word| source.text.contains(**word));
        assert!(found.is_none(), "{} contains {found:?}", source.path);
    }
}
