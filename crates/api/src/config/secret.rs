//! The HS256 secrets: from files or from the environment, never from the command line.

use crate::keys::MIN_SECRET;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The environment variables that may contain the HS256 secret and the previous one.
const SECRET_VARIABLES: [&str; 2] =
    ["MODEL_ACCESS_API_HS256_SECRET", "MODEL_ACCESS_API_HS256_SECRET_PREVIOUS"];

/// Reads the secrets. They are no options, because every user of the machine can read a command line.
///
/// # Errors
/// Fails if both sources are given, if a file cannot be read, or if a secret is too short or a PEM file.
pub fn read(files: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let variable =
        |name: &str| std::env::var_os(name).map(OsStringExt::into_vec).filter(|text| !text.is_empty());
    let mut secrets: Vec<_> =
        SECRET_VARIABLES.into_iter().filter_map(|name| Some((name.to_owned(), variable(name)?))).collect();
    if let (Some((name, _)), false) = (secrets.first(), files.is_empty()) {
        return Err(format!("--hs256-secret-file and {name} cannot be used together"));
    }
    for file in files {
        let name = file.display().to_string();
        let secret = std::fs::read(file).map_err(|error| format!("{name}: {error}"))?;
        secrets.push((name, secret));
    }
    secrets
        .into_iter()
        .map(|(name, secret)| usable(secret).map_err(|error| format!("{name}: {error}")))
        .collect()
}

fn usable(mut secret: Vec<u8>) -> Result<Vec<u8>, String> {
    secret.truncate(secret.strip_suffix(b"\n").unwrap_or(&secret).len());
    if secret.len() < MIN_SECRET {
        return Err(format!("the HS256 secret is shorter than {MIN_SECRET} bytes"));
    }
    if secret.starts_with(b"-----BEGIN") {
        return Err("the HS256 secret is a PEM file; use --jwks for public keys".into());
    }
    Ok(secret)
}
