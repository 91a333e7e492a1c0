//! House rules that no compiler checks: short files, a first line that says what a file does, nothing of a machine or
//! a registry in the text, a map that names every module. It reads the tracked files and changes none.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use hallpass_tests::process::checkout;

/// Files that are part of the project: those git knows, or would add.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(checkout())
        .output()
        .expect("git runs");
    let text = String::from_utf8(output.stdout).expect("names are UTF-8");
    let files: Vec<_> = text.lines().map(PathBuf::from).filter(|path| checkout().join(path).is_file()).collect();
    assert!(!files.is_empty(), "git lists no files: {}", String::from_utf8_lossy(&output.stderr));
    files
}

fn sources() -> Vec<(PathBuf, String)> {
    let rust = files().into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| (path.clone(), read(&path))).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(checkout().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Fails with all findings at once.
#[track_caller]
fn none(what: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{what}:\n  {}", findings.join("\n  "));
}

#[test]
fn files_are_short_and_say_what_they_do() {
    let mut findings = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > 600 {
            findings.push(format!("{}: {lines} lines, 600 are the limit: split it by purpose", path.display()));
        }
        let first = text.lines().next().unwrap_or_default();
        if !first.starts_with("//! ") || first.len() < 12 {
            findings.push(format!("{}: the first line does not say what the file does: `{first}`", path.display()));
        }
    }
    none("files", &findings);
}

#[test]
fn nothing_is_left_unfinished() {
    // Written apart, so that this file does not find itself.
    let words = [["to", "do!("], ["unimpl", "emented!("], ["#[ig", "nore"], ["FIX", "ME"], ["XX", "X:"]]
        .map(|half| half.concat());
    let mut findings = Vec::new();
    for (path, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(word.as_str())) {
                findings.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    none("left unfinished", &findings);
}

#[test]
fn nothing_of_a_machine_or_a_registry_is_in_the_text() {
    let folders = ["wo", "rk"].concat();
    let folders = [format!("/{folders}/"), ["/ro", "ot/"].concat(), ["/far", "m/"].concat(), ["/ho", "me/"].concat()];
    let hosts = [["pythonhos", "ted."], ["pypi", ".org"], ["crates", ".io"], ["npm", "js."], ["deb.deb", "ian."]]
        .map(|half| half.concat());
    let mut findings = Vec::new();
    for path in files() {
        let generated = path.ends_with("Cargo.lock") || path.starts_with("tests/corpus");
        let Ok(text) = fs::read_to_string(checkout().join(&path)) else { continue };
        for (number, line) in text.lines().enumerate().filter(|_| !generated) {
            let machine = folders.iter().any(|folder| {
                line.match_indices(folder.as_str()).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    before.is_none_or(|character| !(character.is_alphanumeric() || "_.}".contains(character)))
                })
            });
            if machine || hosts.iter().any(|host| line.contains(host.as_str())) {
                findings.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    none("machine paths or registry hosts", &findings);
}

#[test]
fn the_map_names_every_module() {
    let map = read(Path::new("ARCHITECTURE.md"));
    let mut missing = BTreeSet::new();
    for (path, _) in sources() {
        let in_crate = ["policy/src", "audit/src", "proxy/src"].iter().any(|folder| path.starts_with(folder));
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !in_crate || name.contains("test") || matches!(name, "lib.rs" | "main.rs") {
            continue;
        }
        // A module is named by its file, or by its folder.
        let folder =
            path.parent().and_then(|folder| folder.file_name()).and_then(|name| name.to_str()).unwrap_or_default();
        let named = if name == "mod.rs" {
            map.contains(folder)
        } else {
            map.contains(name) || map.contains(&format!("{folder}/"))
        };
        if !named {
            missing.insert(path.display().to_string());
        }
    }
    none("ARCHITECTURE.md does not name", &missing.into_iter().collect::<Vec<_>>());
}

#[test]
fn the_changelog_has_room_for_what_is_new() {
    assert!(
        read(Path::new("CHANGELOG.md")).contains("## [Unreleased]")
            || read(Path::new("CHANGELOG.md")).contains("## Unreleased")
    );
}

#[test]
fn scripts_are_executable_and_stop_at_errors() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut findings = Vec::new();
    let scripts = ["tests/run", "tests/mysql-from-sid", "bench/run", ".ci/run"].map(PathBuf::from);
    let examples = files().into_iter().filter(|path| path.starts_with("examples") && path.ends_with("run"));
    for path in scripts.into_iter().chain(examples) {
        let text = read(&path);
        if !text.starts_with("#!/usr/bin/env bash\n") || !text.contains("set -euo pipefail") {
            findings.push(format!(
                "{}: begins with no `#!/usr/bin/env bash`, or lacks `set -euo pipefail`",
                path.display()
            ));
        }
        if fs::metadata(checkout().join(&path)).is_ok_and(|meta| meta.permissions().mode() & 0o111 == 0) {
            findings.push(format!("{}: is not executable", path.display()));
        }
    }
    none("scripts", &findings);
}
