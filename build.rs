//! Declares the files that `sql/order` names to cargo-pgrx, which writes the install script from what the library holds.
//! `scripts/sql` makes the same script from the same list without it.

use std::error::Error;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let root = env::var("CARGO_MANIFEST_DIR")?;
    let order = fs::read_to_string(format!("{root}/sql/order"))?;
    let mut declarations = String::new();
    let mut position = String::from("bootstrap");
    for file in order.lines().filter(|line| !line.starts_with('#') && !line.starts_with("script/")) {
        let (path, name) = (format!("{root}/sql/{file}.sql"), file.replace('/', "_"));
        declarations += &format!("pgrx::extension_sql_file!({path:?}, name = {name:?}, {position});\n");
        position = format!("requires = [{name:?}]");
    }
    fs::write(format!("{}/sql.rs", env::var("OUT_DIR")?), declarations)?;
    println!("cargo::rerun-if-changed=sql/order");
    Ok(())
}
