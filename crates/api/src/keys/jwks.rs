//! The document of a JWKS (RFC 7517): which of its keys verify RS256 or ES256.

use super::key::Key;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Most keys of a JWKS that are used.
const MAX_KEYS: usize = 100;

/// Not [`jsonwebtoken::jwk::JwkSet`]: one key that cannot be read would lose all the others.
#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// The keys of a JWKS that verify RS256 or ES256. Other keys are skipped.
///
/// # Errors
/// Fails if the document is not a JWKS.
pub fn parse(document: &[u8]) -> Result<Vec<Key>, String> {
    let document: Document =
        serde_json::from_slice(document).map_err(|error| format!("the document is not a JWKS: {error}"))?;
    let keys = document.keys.into_iter().filter_map(|key| usable(serde_json::from_value(key).ok()?));
    Ok(keys.take(MAX_KEYS).collect())
}

fn usable(jwk: Jwk) -> Option<Key> {
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        _ => return None,
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let common = jwk.common;
    let verifies = common.key_algorithm.is_none_or(|algorithm| algorithm == name)
        && common.public_key_use.is_none_or(|purpose| purpose == PublicKeyUse::Signature)
        && common.key_operations.is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    verifies.then(|| Key::new(common.key_id, algorithm, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA: &str = r#""kty":"RSA","n":"AQAB","e":"AQAB""#;
    const EC: &str = r#""kty":"EC","crv":"P-256","x":"AQAB","y":"AQAB""#;

    fn count(keys: &str) -> usize {
        parse(format!(r#"{{"keys":[{keys}],"other":1}}"#).as_bytes()).unwrap().len()
    }

    #[test]
    fn only_public_keys_for_signatures_are_used() {
        assert_eq!(
            count(&format!(
                r#"{{{RSA}}},{{{RSA},"alg":"RS256","use":"sig","key_ops":["verify"],"new":[1],"iat":1.5}},{{{EC}}}"#
            )),
            3
        );
        for other in [
            r#"{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA","alg":"HS256"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","x":"AQAB"}"#,
            r#"{"kty":"EC","crv":"P-384","x":"AQAB","y":"AQAB"}"#,
            r#"{"kty":"EC","crv":"secp256k1","x":"AQAB","y":"AQAB"}"#,
            r#"{"kty":"RSA","n":"AQAB"}"#,
            r#"{"kty":"RSA","n":"A Q","e":"AQAB"}"#,
            &format!(r#"{{{RSA},"use":"enc"}}"#),
            &format!(r#"{{{RSA},"use":1}}"#),
            &format!(r#"{{{RSA},"alg":"PS256"}}"#),
            &format!(r#"{{{RSA},"alg":"HS256"}}"#),
            &format!(r#"{{{RSA},"alg":"unheard of"}}"#),
            &format!(r#"{{{EC},"alg":"RS256"}}"#),
            &format!(r#"{{{RSA},"kid":1}}"#),
            &format!(r#"{{{RSA},"key_ops":["sign"]}}"#),
            r#"{"kty":1}"#,
            "null",
        ] {
            assert_eq!(count(other), 0, "{other}");
            assert_eq!(count(&format!("{other},{{{RSA}}},{{{EC}}}")), 2, "the others remain: {other}");
        }
        assert_eq!(count(""), 0);
    }

    #[test]
    fn a_document_that_is_not_a_jwks_is_an_error() {
        for document in ["", "<html>", "[]", "{}", r#"{"keys":{}}"#] {
            assert!(parse(document.as_bytes()).is_err(), "{document}");
        }
    }
}
