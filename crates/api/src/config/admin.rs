//! The options of the command `admin`.

use super::options::{listen, settings, source};
use super::{LogFormat, LogLevel, secret};
use crate::admin::{FormKey, People};
use crate::auth::Policy;
use crate::database::Settings;
use crate::keys::{Keys, Source};
use crate::metrics::Metrics;
use axum::http::HeaderName;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How to serve the admin's page.
#[derive(Args)]
pub struct Admin {
    /// Database name, URL (postgresql://…) or keyword=value, as libpq reads it
    #[arg(
        long,
        env = "MODEL_ACCESS_API_DATABASE",
        hide_env_values = true,
        default_value = "",
        hide_default_value = true
    )]
    pub database: String,
    /// The schema of the extension
    #[arg(long, default_value = "public")]
    pub schema: String,
    /// Seconds to wait for an answer of the database; a sync fetches the catalogue meanwhile
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=300))]
    pub timeout: u16,
    /// Address or name, and port to listen on; port 0 picks a free port
    #[arg(long, default_value = "127.0.0.1:8081", value_parser = listen)]
    pub listen: String,
    /// A file to write the URL to, once the page is served
    #[arg(long, value_name = "FILE")]
    pub url_file: Option<PathBuf>,

    /// Header in which the proxy sends the token of the person, such as Authorization or Cf-Access-Jwt-Assertion
    #[arg(long, value_name = "HEADER", requires_all = ["admin_role", "viewer_role"])]
    pub admin_token_header: Option<HeaderName>,
    /// Claim that chooses the role: a text or a list of texts; with a leading /, a JSON pointer
    #[arg(long, default_value = "groups", value_name = "CLAIM")]
    pub role_claim: String,
    /// Value of that claim for people who decide
    #[arg(long, default_value = "model-access-admin", value_name = "VALUE")]
    pub admin_value: String,
    /// Value of that claim for people who only look
    #[arg(long, default_value = "model-access-viewer", value_name = "VALUE")]
    pub viewer_value: String,
    /// Role of PostgreSQL with the rights admin, for people who decide
    #[arg(long, value_name = "ROLE", requires = "admin_token_header")]
    pub admin_role: Option<String>,
    /// Role of PostgreSQL with the rights viewer, for people who only look
    #[arg(long, value_name = "ROLE", requires = "admin_token_header")]
    pub viewer_role: Option<String>,
    /// Claim that names the person in the history, such as email
    #[arg(long, default_value = "sub", value_name = "CLAIM")]
    pub person_claim: String,
    /// JWKS with the public keys: an https URL, an http URL on this machine, or a file
    #[arg(long, value_name = "URL|FILE", value_parser = source)]
    pub jwks: Option<Source>,
    /// File with the HS256 secret, at least 32 bytes; may be repeated, to replace a secret
    #[arg(long, value_name = "FILE")]
    pub hs256_secret_file: Vec<PathBuf>,
    /// Audience that the claim aud must name; may be repeated. Without it, a token that names an audience is refused
    #[arg(long, value_name = "NAME")]
    pub audience: Vec<String>,
    /// Issuer that the claim iss must name; may be repeated. Without it, every issuer is accepted
    #[arg(long, value_name = "NAME")]
    pub issuer: Vec<String>,
    /// Seconds by which the clocks of issuer and service may differ
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=300))]
    pub leeway: u32,

    /// Format of the log, which goes to standard error
    #[arg(long, value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// Lowest level that is logged; requests are logged at info
    #[arg(long, value_enum, default_value = "info")]
    pub log_level: LogLevel,
}

impl Admin {
    /// How to reach the database, and how tokens say who asks, if they do.
    ///
    /// # Errors
    /// Fails if an option or a variable has an invalid value, or if a file cannot be read.
    pub fn config(&self, metrics: &Arc<Metrics>) -> Result<(Settings, Option<People>), String> {
        let database = settings(&self.database, &self.schema, 8, self.timeout)?;
        let (Some(header), Some(admin), Some(viewer)) =
            (&self.admin_token_header, &self.admin_role, &self.viewer_role)
        else {
            return Ok((database, None));
        };
        let secrets = secret::read(&self.hs256_secret_file)?;
        if secrets.is_empty() && self.jwks.is_none() {
            return Err("no key to verify tokens with; use --jwks or --hs256-secret-file".into());
        }
        let people = People {
            policy: Policy {
                audiences: self.audience.clone(),
                issuers: self.issuer.clone(),
                leeway: self.leeway,
                // an ID token is meant for this page only if it names the audience of this page
                id_tokens: !self.audience.is_empty(),
            },
            keys: Keys::new(&secrets, self.jwks.clone(), Duration::from_secs(10), metrics),
            header: header.clone(),
            claim: self.role_claim.clone(),
            person: self.person_claim.clone(),
            roles: [(self.admin_value.clone(), admin.clone()), (self.viewer_value.clone(), viewer.clone())],
            key: FormKey::new()?,
        };
        Ok((database, Some(people)))
    }
}
