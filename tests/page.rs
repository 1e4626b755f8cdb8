//! The blocks of the pages that people read, and a shell that runs their commands.

use crate::repository;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// What stands between two fences of a page.
#[derive(Debug)]
pub struct Block {
    /// The word after the first fence.
    pub language: String,
    /// The line of the first fence.
    pub line: usize,
    /// The lines between the fences.
    pub text: String,
}

/// The text of a file of the repository.
///
/// # Panics
/// If there is no such file.
#[must_use]
pub fn text(page: impl AsRef<Path>) -> String {
    let page = repository().join(page);
    std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()))
}

/// Every block of a page.
///
/// # Panics
/// If there is no such page, or if a fence is indented.
#[must_use]
pub fn every_block(page: &str) -> Vec<Block> {
    let text = text(page);
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let is_fence = ["```", "~~~"].iter().any(|fence| line.trim_start().starts_with(fence));
        if !is_fence {
            continue;
        }
        let language = line.strip_prefix("```").unwrap_or_else(|| panic!("{page}: {line}")).to_owned();
        let body = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
        let text = body.map(|line| format!("{line}\n")).collect();
        blocks.push(Block { language, line: number + 1, text });
    }
    blocks
}

/// The blocks of a language in a page. A test that destructures them fails when one is added or removed.
///
/// # Panics
/// If the page has more or fewer of them.
#[must_use]
pub fn blocks<const N: usize>(page: &str, language: &str) -> [String; N] {
    let blocks = every_block(page).into_iter().filter(|block| block.language == language);
    let blocks: Vec<String> = blocks.map(|block| block.text).collect();
    blocks.try_into().unwrap_or_else(|blocks: Vec<_>| {
        panic!("{page} has {} blocks of {language}, and its test runs {N}", blocks.len())
    })
}

/// Every page that people read, as a path from the repository.
///
/// # Panics
/// If the folder of the pages cannot be read.
#[must_use]
pub fn every_page() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "examples/README.md"]
            .map(PathBuf::from)
            .into();
    for entry in std::fs::read_dir(repository().join("docs")).expect("docs") {
        let page = Path::new("docs").join(entry.expect("a file").file_name());
        if page.extension().is_some_and(|name| name == "md") {
            pages.push(page);
        }
    }
    pages
}

/// The names of the variables that a crontab sets, and the command of its one entry. cron gives it to `sh`.
///
/// # Panics
/// If the text is not such a crontab, or if cron would change the command.
#[must_use]
pub fn cron_command(crontab: &str) -> (Vec<&str>, &str) {
    let mut lines: Vec<&str> = crontab.lines().collect();
    let entry = lines.pop().expect("an entry");
    let fields: Vec<&str> = entry.splitn(6, ' ').collect();
    let [times @ .., command] = &fields[..] else { panic!("not an entry: {entry}") };
    let is_time = |time: &&str| time.chars().all(|c| c.is_ascii_digit() || "*/,-".contains(c));
    assert!(times.len() == 5 && times.iter().all(is_time) && !command.contains('%'), "not an entry: {entry}");
    let variables = lines.iter().map(|line| {
        let (name, _) = line.split_once('=').unwrap_or_else(|| panic!("not a variable: {line}"));
        name
    });
    (variables.collect(), command)
}

/// The value of a key in a file of systemd.
///
/// # Panics
/// If there is no such key.
#[must_use]
pub fn systemd_value<'a>(unit: &'a str, key: &str) -> &'a str {
    let mut pairs = unit.lines().filter_map(|line| line.split_once('='));
    pairs.find(|(name, _)| *name == key).unwrap_or_else(|| panic!("no {key} in {unit}")).1
}

/// A shell that runs these commands in a folder, as in a script that ends at the first error. It finds the programs that
/// `make build` builds.
///
/// # Panics
/// If there is no `PATH`.
#[must_use]
pub fn shell(commands: &str, folder: &Path) -> Command {
    let programs = repository().join("target/debug");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").expect("PATH"));
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", commands, "bash"]).current_dir(folder).env("PATH", path);
    // make test-rust runs the tests
    bash.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").stdin(Stdio::null());
    bash
}

/// A folder for the files of one test. It is removed when the test ends.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes an empty one.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("model_access.page.{}.{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a folder");
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
