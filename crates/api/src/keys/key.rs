//! One key, and the one algorithm that it is used with.

use jsonwebtoken::{Algorithm, DecodingKey};

/// A key that verifies signatures.
pub struct Key {
    /// The name by which tokens refer to the key.
    pub kid: Option<String>,
    /// The algorithm of the key.
    pub algorithm: Algorithm,
    /// The key itself.
    pub key: DecodingKey,
}
