//! Declares the SQL files that `sql/order` lists, so that cargo-pgrx can write the install script. `scripts/sql` writes the
//! same script from the same list without cargo-pgrx.

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
