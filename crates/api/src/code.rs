//! Why a request is refused: one list of codes, each with its status and its sentence.
//!
//! A code is the member `code` of a problem's body, and the label `code` of the metric that counts refused tokens.
//! Clients and alerts depend on the codes, so they stay; the sentences may change. docs/api.md repeats the list,
//! which a test here verifies.

use axum::http::StatusCode;

macro_rules! codes {
    ($($code:ident = $name:literal, $status:ident, $detail:literal;)+) => {
        /// Why a request is refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $detail] $code,)+
        }

        impl Code {
            /// Every code, in the order of their statuses.
            pub const ALL: &[Self] = &[$(Self::$code),+];

            /// The code as clients read it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$code => $name),+ }
            }

            /// The HTTP status that the code comes with.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$code => StatusCode::$status),+ }
            }

            /// What the code means, as a sentence.
            #[must_use]
            pub fn detail(self) -> &'static str {
                match self { $(Self::$code => $detail),+ }
            }
        }
    };
}

codes! {
    HostInvalid = "host_invalid", BAD_REQUEST, "The request must have one valid Host header.";
    ParameterUnknown = "parameter_unknown", BAD_REQUEST, "The query has an unknown parameter.";
    ParameterRepeated = "parameter_repeated", BAD_REQUEST, "The query has a parameter more than once.";
    ParameterInvalid = "parameter_invalid", BAD_REQUEST, "A parameter of the query has an invalid value.";
    ModelIdInvalid = "model_id_invalid", BAD_REQUEST, "The model id in the path is not valid UTF-8.";
    TokenMissing = "token_missing", UNAUTHORIZED, "The request has no Authorization header.";
    TokenRepeated = "token_repeated", UNAUTHORIZED, "The request has more than one Authorization header.";
    TokenSchemeUnsupported = "token_scheme_unsupported", UNAUTHORIZED, "The scheme of the Authorization header is not Bearer.";
    TokenTooLong = "token_too_long", UNAUTHORIZED, "The token is longer than 8 kB.";
    TokenMalformed = "token_malformed", UNAUTHORIZED, "The token is not a well-formed JWT.";
    TokenHeaderUnsupported = "token_header_unsupported", UNAUTHORIZED, "The token requires a header parameter (crit) that is not supported.";
    TokenTypeInvalid = "token_type_invalid", UNAUTHORIZED, "The token is not an access token.";
    TokenAlgorithmUnsupported = "token_algorithm_unsupported", UNAUTHORIZED, "The algorithm of the token is not accepted.";
    TokenKeyUnknown = "token_key_unknown", UNAUTHORIZED, "No key matches the token.";
    TokenSignatureInvalid = "token_signature_invalid", UNAUTHORIZED, "The signature of the token is wrong.";
    TokenClaimsInvalid = "token_claims_invalid", UNAUTHORIZED, "A claim of the token is missing or has the wrong type.";
    TokenExpired = "token_expired", UNAUTHORIZED, "The token has expired.";
    TokenNotYetValid = "token_not_yet_valid", UNAUTHORIZED, "The token is not valid yet.";
    TokenAudienceInvalid = "token_audience_invalid", UNAUTHORIZED, "The token is for another audience.";
    TokenIssuerInvalid = "token_issuer_invalid", UNAUTHORIZED, "The token is from another issuer.";
    TokenSubjectInvalid = "token_subject_invalid", UNAUTHORIZED, "The subject of the token cannot be a user id.";
    UserUnknown = "user_unknown", FORBIDDEN, "The subject of the token is not a known user.";
    ModelNotAllowed = "model_not_allowed", FORBIDDEN, "The user is not allowed to use the model.";
    PathNotFound = "path_not_found", NOT_FOUND, "The path does not exist.";
    ModelNotFound = "model_not_found", NOT_FOUND, "No tier contains a model with this id.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "Only GET and HEAD are allowed.";
    KeysNotLoaded = "keys_not_loaded", SERVICE_UNAVAILABLE, "The keys that verify tokens are not loaded yet.";
    DatabaseUnavailable = "database_unavailable", SERVICE_UNAVAILABLE, "The database does not answer.";
    ProfilesUnavailable = "profiles_unavailable", SERVICE_UNAVAILABLE, "The table of the users cannot be read.";
    ListUnreadable = "list_unreadable", SERVICE_UNAVAILABLE, "The list of models cannot be read.";
    Stopping = "stopping", SERVICE_UNAVAILABLE, "The service is about to end.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_lists_every_code_and_no_other() {
        let text = include_str!("../../../docs/api.md");
        let mut table = String::from("| code | status | meaning |\n| --- | --- | --- |\n");
        for code in Code::ALL {
            let row = format!("| `{}` | {} | {} |\n", code.name(), code.status().as_u16(), code.detail());
            assert!(text.contains(&row), "the table of codes in docs/api.md needs this row:\n{row}");
            table += &row;
        }
        assert!(
            text.contains(&format!("{table}\n")),
            "docs/api.md needs this table, in this order:\n{table}"
        );
    }
}
