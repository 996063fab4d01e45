//! The papers: links lead somewhere, lists are complete, and licences are told as they are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::crates;

fn root() -> PathBuf {
    crates().join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All Markdown files of the project, from its root.
fn papers() -> Vec<String> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "*.md",
        ])
        .current_dir(root())
        .output()
        .expect("git is there");
    let listed = String::from_utf8(listed.stdout).unwrap();
    let papers: Vec<_> = listed.lines().map(str::to_owned).collect();
    assert!(papers.len() > 20, "{papers:?}");
    papers
}

/// Text without fenced code.
fn prose(text: &str) -> String {
    let mut is_code = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            prose += line;
            prose.push('\n');
        }
    }
    prose
}

/// Anchors of the headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading
                .chars()
                .filter(|sign| sign.is_alphanumeric() || " -_".contains(*sign));
            kept.map(|sign| if sign == ' ' { '-' } else { sign })
                .collect()
        })
        .collect()
}

#[test]
fn every_link_of_a_paper_leads_somewhere() {
    let mut followed = 0;
    for paper in papers() {
        let text = prose(&read(&paper));
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let folder = Path::new(&paper).parent().expect("a file is in a folder");
            let target = if path.is_empty() {
                PathBuf::from(&paper)
            } else {
                folder.join(path)
            };
            assert!(
                root().join(&target).exists(),
                "{paper}: {link} leads nowhere"
            );
            if !anchor.is_empty() {
                let there = anchors(&prose(&read(target.to_str().unwrap())));
                assert!(
                    there.contains(anchor),
                    "{paper}: {link}: no such heading in {there:?}"
                );
            }
            followed += 1;
        }
    }
    assert!(followed > 50, "few links were found: {followed}");
}

/// The paths that a line names: words with a slash, and Rust files. Commands, placeholders, and addresses are none.
fn named_paths(line: &str) -> impl Iterator<Item = &str> {
    let is_part = |sign: char| sign.is_ascii_alphanumeric() || "_-./".contains(sign);
    line.split(|sign: char| sign.is_whitespace() || "`()[],;:".contains(sign))
        .map(|word| word.trim_end_matches('.'))
        .filter(move |word| word.contains('/') || word.ends_with(".rs"))
        .filter(move |word| {
            word.starts_with(|sign: char| sign.is_ascii_lowercase()) && word.chars().all(is_part)
        })
}

/// Whether a file or folder of this name is a folder's, or is somewhere below it: `hook.rs`, `v1/messages/`.
fn is_below(folder: &Path, name: &str) -> bool {
    if folder.join(name).exists() {
        return true;
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().path())
        .any(|path| path.is_dir() && is_below(&path, name))
}

/// The room that a line opens with: `**`http/`**: …`, or `http/   …` in a block.
fn opened_room(line: &str) -> Option<PathBuf> {
    let name = line.strip_prefix("**`").unwrap_or(line);
    let name = name.split(['`', ' ']).next()?.strip_suffix('/')?;
    let sources = ["wapi/src", "simulator/src"].map(|folder| crates().join(folder));
    let folders = sources.map(|folder| folder.join(name));
    folders.into_iter().find(|folder| folder.is_dir())
}

#[test]
fn the_architecture_names_only_what_is_there() {
    let mut found = 0;
    for paper in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        // A paragraph, or a block of the two ways, is about the room that it opens with.
        let mut room = crates();
        for line in read(paper).lines() {
            if line.is_empty() || line.starts_with("```") {
                room = crates();
            }
            if let Some(folder) = opened_room(line) {
                room = folder;
            }
            for path in named_paths(line) {
                found += 1;
                let whole = [
                    crates().join("wapi/src"),
                    crates().join("simulator/src"),
                    root(),
                ];
                let is_there =
                    is_below(&room, path) || whole.iter().any(|folder| folder.join(path).exists());
                assert!(is_there, "{paper}: there is no {path}: {line}");
            }
        }
    }
    assert!(found > 60, "few paths were found: {found}");
}

#[test]
fn every_page_of_the_documentation_is_in_its_summary() {
    let summary = read("docs/SUMMARY.md");
    for paper in papers() {
        let Some(page) = paper.strip_prefix("docs/") else {
            continue;
        };
        let is_listed = page == "SUMMARY.md" || summary.contains(&format!("({page})"));
        assert!(is_listed, "{paper} is not in docs/SUMMARY.md");
    }
}

#[test]
fn the_first_papers_fit_one_screen_and_one_walk() {
    for (paper, most) in [("README.md", 5_000), ("ARCHITECTURE.md", 10_000)] {
        let bytes = read(paper).len();
        assert!(bytes <= most, "{paper} has {bytes} bytes, {most} at most");
    }
}

/// One crate's headers say another licence than its manifest; `NOTICE` and `deny.toml` say so. Another such crate must be seen.
#[test]
fn no_dependency_hides_a_licence_in_the_headers_of_its_files() {
    let compiler = Command::new("rustc").arg("-vV").output().expect("rustc");
    let compiler = String::from_utf8(compiler.stdout).unwrap();
    let host = compiler
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("rustc names its host");
    // For other systems nothing was downloaded.
    let metadata = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--locked",
            "--all-features",
            "--filter-platform",
            host,
        ])
        .current_dir(root())
        .output()
        .expect("cargo is there");
    let metadata = String::from_utf8(metadata.stdout).unwrap();
    let manifests: BTreeSet<_> = metadata
        .split("\"manifest_path\":\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|path| path.contains("/registry/src/"))
        .collect();
    assert!(manifests.len() > 200, "few dependencies were found");
    let mut hidden = BTreeSet::new();
    for manifest in manifests {
        let folder = Path::new(manifest)
            .parent()
            .expect("a manifest is in a folder");
        for path in super::rust_files(&folder.join("src")) {
            let text = std::fs::read(&path).unwrap();
            let head = String::from_utf8_lossy(&text[..text.len().min(1_500)]);
            let licences = head.split("SPDX-License-Identifier:").skip(1);
            for licence in licences.filter_map(|rest| rest.lines().next()) {
                // GPL, LGPL and AGPL, unless another one may be chosen.
                if licence.contains("GPL") && !licence.to_lowercase().contains(" or ") {
                    hidden.insert(folder.file_name().unwrap().to_str().unwrap().to_owned());
                }
            }
        }
    }
    let hidden: Vec<_> = hidden.into_iter().collect();
    assert!(
        hidden.len() == 1 && hidden[0].starts_with("wacore-libsignal-"),
        "{hidden:?}"
    );
}
