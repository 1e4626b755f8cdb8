//! The HS256 secret: from a file or from the environment, never from the command line.

use crate::keys::MIN_SECRET;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// The environment variable that may contain the HS256 secret.
const SECRET_VARIABLE: &str = "MODEL_ACCESS_API_HS256_SECRET";

/// Reads the secret, if there is one. It is not an option, because every user of the machine can read a command line.
///
/// # Errors
/// Fails if both sources are given, if the file cannot be read, if the secret is too short, or if it is a PEM file.
pub fn read(file: Option<&Path>) -> Result<Option<Vec<u8>>, String> {
    let secret = match (file, std::env::var_os(SECRET_VARIABLE)) {
        (Some(_), Some(_)) => {
            return Err(format!("--hs256-secret-file and {SECRET_VARIABLE} cannot be used together"));
        }
        (Some(file), None) => std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?,
        (None, Some(secret)) => secret.into_vec(),
        (None, None) => return Ok(None),
    };
    let secret = secret.strip_suffix(b"\n").unwrap_or(&secret);
    if secret.len() < MIN_SECRET {
        return Err(format!("the HS256 secret is shorter than {MIN_SECRET} bytes"));
    }
    if secret.starts_with(b"-----BEGIN") {
        return Err("the HS256 secret is a PEM file; use --jwks for public keys".into());
    }
    Ok(Some(secret.to_vec()))
}
