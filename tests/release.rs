//! `make release`, in a clone of this repository: what it refuses, and what it makes from a version number.

#![allow(clippy::unwrap_used)] // a panic fails the test

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tests::repository;

/// A clone that is removed when the test ends.
struct Clone(PathBuf);

impl Drop for Clone {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

impl Clone {
    fn new() -> Self {
        let clone = Self(std::env::temp_dir().join(format!("model_access.release.{}", std::process::id())));
        let (from, to) = (repository(), clone.0.to_str().unwrap());
        assert!(run(Path::new("/"), "git", &["clone", "-q", from.to_str().unwrap(), to]).status.success());
        // as they are here, committed or not
        for file in ["scripts/release", "scripts/package", "Makefile", "CHANGELOG.md"] {
            std::fs::copy(from.join(file), clone.0.join(file)).unwrap();
        }
        clone.git(&["commit", "-q", "--allow-empty", "-a", "-m", "As it is"]);
        clone
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = run(&self.0, "git", arguments);
        assert!(output.status.success(), "git {arguments:?}: {}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }

    fn release(&self, version: &str) -> Output {
        run(&self.0, "scripts/release", &[version, "without-packages"])
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.0.join(file);
        let content = std::fs::read_to_string(&path).unwrap();
        assert!(content.contains(from), "{file}: {from}");
        std::fs::write(path, content.replacen(from, to, 1)).unwrap();
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.join(file)).unwrap()
    }
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(if program.contains('/') { folder.join(program) } else { program.into() });
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "A maintainer");
        command.env(format!("GIT_{role}_EMAIL"), "maintainer@example.org");
    }
    command.args(arguments).current_dir(folder).env_remove("MAKEFLAGS").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_release_comes_from_one_version_number_and_refuses_what_is_not_ready() {
    let clone = Clone::new();
    let head = clone.git(&["rev-parse", "HEAD"]);
    let refused = |version: &str, message: &str| {
        let output = clone.release(version);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(text(&output.stderr).contains(message), "{message}: {}", text(&output.stderr));
        assert_eq!(clone.git(&["rev-parse", "HEAD"]), head, "{message}");
    };
    refused("7.0", "7.0 is not a version");
    clone.git(&["tag", "v7.0.1"]);
    refused("7.0.1", "the tag v7.0.1 exists");
    std::fs::write(clone.0.join("notes.txt"), "").unwrap();
    refused("7.0.0", "the work tree has changes");
    std::fs::remove_file(clone.0.join("notes.txt")).unwrap();

    let output = clone.release("7.0.0");
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(clone.git(&["rev-parse", "v7.0.0^{commit}"]), clone.git(&["rev-parse", "HEAD"]));
    assert_eq!(clone.git(&["log", "-1", "--format=%s"]), "Release 7.0.0");
    assert_eq!(clone.git(&["status", "--porcelain"]), "");
    assert!(clone.read("Cargo.toml").contains("\nversion = \"7.0.0\"\n"));
    assert!(clone.read("Cargo.lock").contains("name = \"model_access\"\nversion = \"7.0.0\"\n"));
    assert!(clone.read("CHANGELOG.md").contains("## Unreleased\n\n## 7.0.0 (20"));
    let folder = clone.0.join("target/release-7.0.0");
    assert!(run(&folder, "sha256sum", &["--check", "--strict", "SHA256SUMS"]).status.success());
    for file in ["model_access-7.0.0.zip", "model_access-7.0.0.sql"] {
        assert!(folder.join(file).exists() && clone.read("target/release-7.0.0/SHA256SUMS").contains(file));
    }
    let meta = run(&folder, "unzip", &["-p", "model_access-7.0.0.zip", "model_access-7.0.0/META.json"]);
    assert!(text(&meta.stdout).contains("\"version\": \"7.0.0\""), "{}", text(&meta.stderr));

    // nothing has been written below Unreleased since
    let head = clone.git(&["rev-parse", "HEAD"]);
    let output = clone.release("7.1.0");
    assert!(
        text(&output.stderr).contains("CHANGELOG.md says nothing about 7.1.0"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(clone.git(&["rev-parse", "HEAD"]), head);
    // the notes of a release say only what is new
    clone.edit("CHANGELOG.md", "## Unreleased\n", "## Unreleased\n\n- A new thing.\n");
    clone.git(&["commit", "-q", "-a", "-m", "Add a thing"]);
    assert!(clone.release("7.1.0").status.success());
    assert_eq!(clone.read("target/release-7.1.0/notes.md").trim(), "- A new thing.");
}
