//! Has `scripts/sql` write the scripts that the program contains.

use std::error::Error;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..");
    let sql = |arguments: &[&str]| -> Result<String, Box<dyn Error>> {
        let output = Command::new("bash").arg(root.join("scripts/sql")).args(arguments).output()?;
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout)?),
            false => Err(String::from_utf8_lossy(&output.stderr).into()),
        }
    };
    let mut steps = String::new();
    for step in sql(&["steps"])?.lines() {
        let (from, to) = step.split_once(' ').unwrap_or_default();
        write!(steps, "({from:?}, {to:?}, {:?}), ", sql(&["upgrade", "script", from])?)?;
    }
    let source = format!(
        "/// Checks whether an install or an upgrade is possible.\nconst CHECK: &str = {:?};\n\
         /// Installs everything.\nconst INSTALL: &str = {:?};\n\
         /// From which version to which one each upgrade leads, and its SQL.\nconst STEPS: &[(&str, &str, &str)] = &[{steps}];\n",
        sql(&["check"])?,
        sql(&["install"])?
    );
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("scripts.rs"), source)?;
    for path in ["sql", "scripts/sql", "scripts/sql-difference.awk", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    Ok(())
}
