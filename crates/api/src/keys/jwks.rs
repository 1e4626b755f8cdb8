//! The document of a JWKS (RFC 7517): which of its keys can verify tokens, and why the others cannot.

use super::key::Key;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The maximum number of keys of a JWKS that are read.
const MAX_KEYS: usize = 100;
/// The maximum number of skipped keys that are described.
const MAX_DESCRIBED: usize = 10;
/// The maximum length of a text of a key in a description, in characters.
const MAX_TEXT: usize = 60;
/// Sizes of RSA keys, in bits: the smallest of RFC 7518, section 3.3, and the largest that the library verifies with.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// A document whose keys are not yet read: one key that cannot be read must not prevent reading the others.
#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

/// What a JWKS contains.
#[derive(Default)]
pub struct Jwks {
    /// The keys that can verify tokens.
    pub keys: Vec<Key>,
    /// The number of all keys.
    total: usize,
    /// Why a key was skipped, by its position.
    skipped: Vec<(usize, String)>,
}

/// A key that can be used unless another key has the same name.
struct Candidate {
    position: usize,
    key: Key,
    /// What makes two keys the same key.
    material: Vec<u8>,
}

impl Jwks {
    /// Reads a document.
    ///
    /// # Errors
    /// Fails if the document is not a JWKS.
    pub fn parse(document: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(document)
            .map_err(|error| format!("the document is not a JWKS: {error}"))?;
        let mut jwks = Self { total: document.keys.len(), ..Self::default() };
        let mut candidates = Vec::new();
        for (position, key) in (1..).zip(&document.keys) {
            let usable = if position > MAX_KEYS {
                Err(format!("only the first {MAX_KEYS} keys are read"))
            } else {
                usable(key)
            };
            match usable {
                Ok((key, material)) => candidates.push(Candidate { position, key, material }),
                Err(reason) => jwks.skipped.push((position, named(key, &reason))),
            }
        }
        jwks.keep_distinct(candidates);
        jwks.skipped.sort();
        Ok(jwks)
    }

    /// Keeps the keys that a token can choose: a repeated key once, and of different keys with one name none.
    fn keep_distinct(&mut self, candidates: Vec<Candidate>) {
        let same_name = |one: &Candidate, other: &Candidate| {
            (one.key.algorithm, &one.key.kid) == (other.key.algorithm, &other.key.kid)
        };
        let reason = |key: &Candidate| {
            let others = || candidates.iter().filter(|other| same_name(key, other));
            let differs = others().any(|other| other.material != key.material);
            let first = others().map(|other| other.position).min();
            match (differs, &key.key.kid) {
                (true, Some(kid)) => Some(format!("kid {}: other keys have the same kid", quoted(kid))),
                (true, None) => Some("other keys of the same algorithm have no kid either".to_owned()),
                (false, _) => first
                    .filter(|first| *first < key.position)
                    .map(|first| format!("the same key as key {first}")),
            }
        };
        let reasons: Vec<_> = candidates.iter().map(reason).collect();
        for (candidate, reason) in candidates.into_iter().zip(reasons) {
            match reason {
                Some(reason) => self.skipped.push((candidate.position, reason)),
                None => self.keys.push(candidate.key),
            }
        }
    }

    /// Which keys were skipped and why, as one line; nothing if none was.
    pub fn skipped(&self) -> Option<String> {
        let more = self.skipped.len().saturating_sub(MAX_DESCRIBED);
        let reasons: Vec<_> = self
            .skipped
            .iter()
            .take(MAX_DESCRIBED)
            .map(|(position, reason)| format!("key {position}: {reason}"))
            .chain((more > 0).then(|| format!("and {more} more")))
            .collect();
        (!reasons.is_empty())
            .then(|| format!("{} of {} keys: {}", self.skipped.len(), self.total, reasons.join("; ")))
    }
}

/// The key, and the bytes that make it that key.
fn usable(key: &Value) -> Result<(Key, Vec<u8>), String> {
    let key = key.as_object().ok_or("it is not an object")?;
    let kty = text(key, "kty")?.ok_or("it has no kty")?;
    let curve = text(key, "crv")?;
    let (algorithm, name) = match (kty, curve) {
        ("RSA", _) => (Algorithm::RS256, "RS256"),
        ("EC", Some("P-256")) => (Algorithm::ES256, "ES256"),
        ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, "EdDSA"),
        ("EC" | "OKP", Some(curve)) => return Err(format!("the curve {} is not supported", quoted(curve))),
        ("EC" | "OKP", None) => return Err("it has no crv".into()),
        ("oct", _) => return Err("a shared secret (oct) is not accepted in a JWKS".into()),
        _ => return Err(format!("the kty {} is not supported", quoted(kty))),
    };
    // RFC 9864 gives EdDSA with this curve the name of the curve
    let is_name = |alg: &str| alg == name || (name == "EdDSA" && alg == "Ed25519");
    if let Some(alg) = text(key, "alg")?.filter(|alg| !is_name(alg)) {
        return Err(format!("its alg is {}, not {name}", quoted(alg)));
    }
    if let Some(purpose) = text(key, "use")?.filter(|purpose| *purpose != "sig") {
        return Err(format!("its use is {}, not sig", quoted(purpose)));
    }
    match key.get("key_ops") {
        None | Some(Value::Null) => {}
        Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => {}
        Some(_) => return Err("its key_ops do not contain verify".into()),
    }
    let kid = text(key, "kid")?.map(str::to_owned);
    let (material, decoding_key) = match algorithm {
        Algorithm::RS256 => rsa(&bytes(key, "n")?, &bytes(key, "e")?)?,
        Algorithm::ES256 => {
            let point = [vec![4], bytes(key, "x")?, bytes(key, "y")?].concat();
            ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point)
                .map_err(|_| "its x and y are no point of P-256")?;
            let key = DecodingKey::from_ec_der(&point);
            (point, key)
        }
        _ => {
            let x = bytes(key, "x")?;
            ParsedPublicKey::new(&ED25519, &x).map_err(|_| "its x is no key of Ed25519")?;
            let key = DecodingKey::from_ed_der(&x);
            (x, key)
        }
    };
    Ok((Key { kid, algorithm, key: decoding_key }, material))
}

fn rsa(n: &[u8], e: &[u8]) -> Result<(Vec<u8>, DecodingKey), String> {
    let significant = n.iter().skip_while(|byte| **byte == 0);
    let zeros = significant.clone().next().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = significant.count() * 8 - zeros;
    if !RSA_BITS.contains(&bits) {
        return Err(format!("it has {bits} bits, not {} to {}", RSA_BITS.start(), RSA_BITS.end()));
    }
    RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_| "its n and e are no RSA key")?;
    Ok(([n, e].concat(), DecodingKey::from_rsa_raw_components(n, e)))
}

/// A member that is a text, if there is one.
fn text<'a>(key: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, String> {
    match key.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("its {name} is not a text")),
    }
}

/// A member that contains bytes.
fn bytes(key: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let text = text(key, name)?.ok_or_else(|| format!("it has no {name}"))?;
    BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("its {name} is not base64url"))
}

/// A reason with the name of the key.
fn named(key: &Value, reason: &str) -> String {
    match key.get("kid").and_then(Value::as_str) {
        Some(kid) => format!("kid {}: {reason}", quoted(kid)),
        None => reason.to_owned(),
    }
}

/// A text of the document, of a bounded length.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(MAX_TEXT).collect::<String>())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const RSA: &str = concat!(
        r#""kty":"RSA","e":"AQAB","n":""#,
        "nbfKzAWB8C1I_ZaY6owMLSifx8WQtMYpRf355pkGuZ6bMlEY1TMYgjMx8JqlvHbSIfKBeDcrlsA5vwnZCpnQrUTOCBXobsh1cyKX",
        "NcaMCZb7BEi3fUVf2Z_5UoYrg4P-EkyyeXI0D01KLb5LsnSwd8N0StV7QIwoeCrOyOAFJCzyuV152JkVxRRREsjxOKX6ZV8S--Yl",
        "SB-1KZpiUr8Z7gC2Bq2uFerYS2dKloWv0_-fMeTQsrKsiVWIrOVEMXhZxsAuAJ4Pjt79pr7AFK4bQnr782MDcgceEig2YL0tOvYy",
        "jMU9kkPGeQNzhkEfco5qeTn_EU7cP4RQAmVq-c8Ikw",
        "\""
    );
    const EC: &str = r#""kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM""#;
    const ED: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

    fn parse(keys: &str) -> Jwks {
        Jwks::parse(format!(r#"{{"keys":[{keys}],"other":1}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn only_public_keys_for_signatures_are_used() {
        let all = format!(
            r#"{{{RSA}}},{{{EC}}},{{{ED}}},
               {{{RSA},"alg":"RS256","kid":"a","use":"sig","key_ops":["verify"],"new":[1],"iat":1.5}},
               {{{EC},"alg":"ES256","kid":"a","use":null}},{{{ED},"alg":"EdDSA","kid":"a"}},{{{ED},"alg":"Ed25519","kid":"b"}}"#
        );
        let jwks = parse(&all);
        assert_eq!((jwks.keys.len(), jwks.skipped()), (7, None));
        for (other, reason) in [
            (r#"{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA","alg":"HS256"}"#, "oct"),
            (r#"{"kty":"OKP","crv":"Ed25519","x":"AQAB"}"#, "no key of Ed25519"),
            (r#"{"kty":"OKP","crv":"Ed448","x":"AQAB"}"#, "\"Ed448\" is not supported"),
            (r#"{"kty":"OKP","crv":"X25519","x":"AQAB"}"#, "\"X25519\" is not supported"),
            (r#"{"kty":"EC","crv":"P-384","x":"AQAB","y":"AQAB"}"#, "\"P-384\" is not supported"),
            (r#"{"kty":"EC","crv":"P-521","x":"AQAB","y":"AQAB"}"#, "\"P-521\" is not supported"),
            (r#"{"kty":"EC","crv":"secp256k1","x":"AQAB","y":"AQAB"}"#, "\"secp256k1\" is not supported"),
            (r#"{"kty":"EC","crv":"P-256","x":"AQAB","y":"AQAB"}"#, "no point of P-256"),
            (r#"{"kty":"EC","x":"AQAB","y":"AQAB"}"#, "it has no crv"),
            (r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#, "it has 17 bits, not 2048 to 8192"),
            (r#"{"kty":"RSA","n":"","e":"AQAB"}"#, "it has 0 bits"),
            (r#"{"kty":"RSA","n":"AQAB"}"#, "it has no e"),
            (r#"{"kty":"RSA","x5c":["MIIB"]}"#, "it has no n"),
            (r#"{"kty":"RSA","n":"A Q","e":"AQAB"}"#, "its n is not base64url"),
            (&format!(r#"{{{RSA},"use":"enc"}}"#), "its use is \"enc\", not sig"),
            (&format!(r#"{{{RSA},"use":1}}"#), "its use is not a text"),
            (&format!(r#"{{{RSA},"alg":"PS256"}}"#), "its alg is \"PS256\", not RS256"),
            (&format!(r#"{{{RSA},"alg":"HS256"}}"#), "its alg is \"HS256\", not RS256"),
            (&format!(r#"{{{ED},"alg":"Ed448"}}"#), "its alg is \"Ed448\", not EdDSA"),
            (&format!(r#"{{{EC},"alg":"RS256"}}"#), "its alg is \"RS256\", not ES256"),
            (&format!(r#"{{{RSA},"kid":1}}"#), "its kid is not a text"),
            (&format!(r#"{{{RSA},"key_ops":["sign"]}}"#), "its key_ops do not contain verify"),
            (&format!(r#"{{{RSA},"key_ops":"verify"}}"#), "its key_ops do not contain verify"),
            (r#"{"kty":1}"#, "its kty is not a text"),
            (r#"{"kty":"AKP"}"#, "the kty \"AKP\" is not supported"),
            ("null", "it is not an object"),
        ] {
            let alone = parse(other);
            assert!(alone.keys.is_empty(), "{other}");
            let skipped = alone.skipped().unwrap();
            assert!(skipped.starts_with("1 of 1 keys: key 1: ") && skipped.contains(reason), "{skipped}");
            let jwks = parse(&format!("{other},{all}"));
            assert_eq!(jwks.keys.len(), 7, "the others remain: {other}");
            assert!(jwks.skipped().unwrap().starts_with("1 of 8 keys: key 1: "), "{other}");
        }
        assert_eq!(parse("").keys.len(), 0);
    }

    #[test]
    fn a_repeated_key_counts_once_and_an_ambiguous_name_not_at_all() {
        let other = RSA.replace("\"nbfK", "\"nbf8");
        let jwks = parse(&format!(
            r#"{{{RSA},"kid":"a"}},{{{RSA},"kid":"a"}},{{{RSA},"kid":"b"}},{{{other},"kid":"b"}},{{{EC},"kid":"b"}}"#
        ));
        let kids: Vec<_> = jwks.keys.iter().map(|key| (key.algorithm, key.kid.as_deref().unwrap())).collect();
        assert_eq!(kids, [(Algorithm::RS256, "a"), (Algorithm::ES256, "b")]);
        assert_eq!(
            jwks.skipped().unwrap(),
            "3 of 5 keys: key 2: the same key as key 1; key 3: kid \"b\": other keys have the same kid; \
             key 4: kid \"b\": other keys have the same kid"
        );
        assert_eq!(parse(&format!("{{{RSA}}},{{{other}}}")).keys.len(), 0);
        let many = format!("{{{RSA},\"use\":\"enc\"}},").repeat(120);
        let jwks = parse(many.trim_end_matches(','));
        assert!(jwks.skipped().unwrap().ends_with("; and 110 more"));
    }

    #[test]
    fn a_document_that_is_not_a_jwks_is_an_error() {
        for document in ["", "<html>", "[]", "{}", r#"{"keys":{}}"#] {
            assert!(Jwks::parse(document.as_bytes()).is_err(), "{document}");
        }
    }
}
