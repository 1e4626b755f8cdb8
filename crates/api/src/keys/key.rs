//! One key, and the one algorithm that it is used with.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};

/// A key that verifies signatures.
pub struct Key {
    /// The name by which tokens refer to the key.
    pub kid: Option<String>,
    /// The algorithm of the key.
    pub algorithm: Algorithm,
    /// The key itself.
    pub key: DecodingKey,
    /// Verifies the signature with the algorithm of the key, and no claim: [`crate::auth`] does that.
    pub validation: Validation,
}

impl Key {
    /// A key for one algorithm.
    #[must_use]
    pub fn new(kid: Option<String>, algorithm: Algorithm, key: DecodingKey) -> Self {
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self { kid, algorithm, key, validation }
    }
}
