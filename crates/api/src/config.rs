//! The command line, and what it leaves out from the environment.

use crate::auth::Policy;
use crate::database::{Settings, said};
use crate::keys::{self, Source};
use crate::server::Limits;
use clap::{Parser, ValueEnum};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The variable that may hold the HS256 secret.
const SECRET_VARIABLE: &str = "MODEL_ACCESS_API_HS256_SECRET";

/// Serve GET /api/models: which models the bearer of a token may use
///
/// Tokens are JWTs, signed with a shared secret (HS256) or with keys of a JWKS (RS256, ES256); their claim sub is the
/// user. At least one of --jwks and --hs256-secret-file (or MODEL_ACCESS_API_HS256_SECRET) is needed.
#[derive(Parser)]
#[command(name = "model-access-api", version)]
#[command(
    after_help = "The database: PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGOPTIONS, PGAPPNAME, \
PGCONNECT_TIMEOUT, PGSSLMODE and PGSSLROOTCERT\nstand for what --database leaves out; ~/.pgpass and service files are \
not read. A host that begins with / is the folder of a socket.\nThe role needs: SELECT model_access_grant('role', \
'reader'). It must not connect through a pooler that shares sessions\n(transaction mode): such a pooler swallows the \
notifications that the cache depends on.\n\nTLS to the database: sslmode=disable never uses it; prefer (the default) \
uses it where the server offers it; require insists.\nA certificate is always verified, with its host name, whatever \
libpq would do: by the system's store, or --database-ca.\n\nExit codes: 0 ended by SIGTERM or SIGINT, 1 could not \
start or had to cut requests off, 2 usage."
)]
pub struct Options {
    /// Database name, URL (postgresql://…) or conninfo
    #[arg(long, env = "MODEL_ACCESS_API_DATABASE", hide_env_values = true, default_value = "")]
    pub database: String,
    /// Certificates (PEM) that the database's is verified by, in place of the system's
    #[arg(long, env = "PGSSLROOTCERT", value_name = "FILE")]
    pub database_ca: Option<PathBuf>,
    /// The schema of the extension
    #[arg(long, default_value = "public")]
    pub schema: String,
    /// Most connections to the database, beside the one that listens
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub database_connections: u16,
    /// Seconds after which an answer of the database is given up, with 503
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=300))]
    pub timeout: u16,

    /// Where to listen; port 0 picks a free one
    #[arg(long, env = "MODEL_ACCESS_API_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// A file that receives the base URL once the service listens
    #[arg(long, value_name = "FILE")]
    pub url_file: Option<PathBuf>,
    /// Most connections of clients at once
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections: u32,
    /// Seconds that a client may take to send the head of a request, or leave an answer unread
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=300))]
    pub patience: u16,
    /// Seconds that requests in flight have after SIGTERM
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=300))]
    pub grace: u16,

    /// JWKS with the public keys: an https URL, http on this machine, or a file
    #[arg(long, env = "MODEL_ACCESS_API_JWKS", hide_env_values = true, value_name = "URL|FILE", value_parser = source)]
    pub jwks: Option<Source>,
    /// Seconds between two loads of the JWKS
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub jwks_refresh: u32,
    /// Fewest seconds between two loads, when tokens name keys that it does not hold
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub jwks_pause: u32,
    /// File with the HS256 secret, at least 32 bytes; a newline at its end does not belong to it
    #[arg(long, value_name = "FILE")]
    pub hs256_secret_file: Option<PathBuf>,
    /// Claim aud must name this; may be repeated. Without it a token that names an audience is refused
    #[arg(long, env = "MODEL_ACCESS_API_AUDIENCE", value_name = "NAME")]
    pub audience: Vec<String>,
    /// Claim iss must be this; may be repeated
    #[arg(long, env = "MODEL_ACCESS_API_ISSUER", value_name = "NAME")]
    pub issuer: Vec<String>,
    /// Seconds by which the clocks of issuer and service may differ
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=300))]
    pub leeway: u32,

    /// Longest that a list is cached, in seconds; 0 switches the cache off
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub cache_ttl: u32,
    /// Most users whose list is cached
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub cache_users: u32,
    /// Most megabytes of cached lists; users with the same list share it
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub cache_megabytes: u16,

    /// How log lines are written, to standard error
    #[arg(long, value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// The least that is logged; requests are info
    #[arg(long, value_enum, default_value = "info")]
    pub log_level: LogLevel,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// An object a line.
    Json,
    /// For people.
    Text,
}

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
}

impl Options {
    /// What bounds the connections of clients.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            connections: self.connections as usize,
            patience: Duration::from_secs(self.patience.into()),
            grace: Duration::from_secs(self.grace.into()),
        }
    }

    /// What tokens must say.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy { audiences: self.audience.clone(), issuers: self.issuer.clone(), leeway: self.leeway }
    }

    /// The HS256 secret.
    ///
    /// # Errors
    /// It cannot be read, is too short, or no key at all is named.
    pub fn secret(&self) -> Result<Option<Vec<u8>>, String> {
        // not an option: a command line is there for everybody to see
        let secret = match (&self.hs256_secret_file, std::env::var_os(SECRET_VARIABLE)) {
            (Some(_), Some(_)) => {
                return Err(format!("give --hs256-secret-file or {SECRET_VARIABLE}, not both"));
            }
            (Some(file), None) => {
                std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?
            }
            (None, Some(secret)) => secret.into_vec(),
            (None, None) if self.jwks.is_none() => {
                return Err("no key to check tokens with; give --jwks or --hs256-secret-file".into());
            }
            (None, None) => return Ok(None),
        };
        let secret = secret.strip_suffix(b"\n").unwrap_or(&secret);
        if secret.len() < keys::MIN_SECRET {
            return Err(format!("the HS256 secret is shorter than {} bytes", keys::MIN_SECRET));
        }
        if secret.starts_with(b"-----BEGIN") {
            return Err("the HS256 secret is a PEM file; public keys are given by --jwks".into());
        }
        Ok(Some(secret.to_vec()))
    }

    /// How to reach the database.
    ///
    /// # Errors
    /// What cannot be meant, or certificates that cannot be read.
    pub fn settings(&self) -> Result<Settings, String> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let timeout = Duration::from_secs(self.timeout.into());
        let mut config = connection(&self.database, variable)?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(timeout);
        }
        Ok(Settings {
            config,
            tls: MakeRustlsConnect::new(self.tls()?),
            schema: self.schema.clone(),
            connections: self.database_connections.into(),
            timeout,
        })
    }

    fn tls(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let Some(file) = &self.database_ca else {
            let builder = builder.with_platform_verifier().map_err(|error| error.to_string())?;
            return Ok(builder.with_no_client_auth());
        };
        let unusable = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))? {
            roots.add(certificate.map_err(|error| unusable(&error))?).map_err(|error| unusable(&error))?;
        }
        if roots.is_empty() {
            return Err(unusable(&"there is no certificate in it"));
        }
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

fn source(text: &str) -> Result<Source, String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if !text.contains("://") {
        return Ok(Source::File(text.into()));
    }
    // the same rules as for the catalogue
    fetch::check_url(text).map_err(|error| error.detail.unwrap_or(error.message))?;
    Ok(Source::Url(text.into()))
}

/// A database by its name, a URL or conninfo, completed from the variables of libpq.
fn connection(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Config, String> {
    let is_name = !text.is_empty() && !text.contains("://") && !text.contains('=');
    let bad = |name: &str| format!("{name} has a value that cannot be meant");
    let mut config = Config::new();
    if is_name {
        config.dbname(text);
    } else {
        config = text.parse().map_err(|error: tokio_postgres::Error| {
            format!("--database: {}; sslmode is disable, prefer or require", said(&error))
        })?;
    }
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        let sockets = "/var/run/postgresql";
        let fallback =
            || if std::path::Path::new(sockets).is_dir() { sockets } else { "localhost" }.to_owned();
        for host in variable("PGHOST").unwrap_or_else(fallback).split(',') {
            config.host(host);
        }
        for address in variable("PGHOSTADDR").iter().flat_map(|text| text.split(',')) {
            config.hostaddr(address.parse().map_err(|_| bad("PGHOSTADDR"))?);
        }
    }
    if config.get_ports().is_empty() {
        for port in variable("PGPORT").iter().flat_map(|text| text.split(',')) {
            config.port(port.parse().map_err(|_| bad("PGPORT"))?);
        }
    }
    if let (None, Some(user)) = (config.get_user(), variable("PGUSER")) {
        config.user(user);
    }
    if let (None, Some(password)) = (config.get_password(), variable("PGPASSWORD")) {
        config.password(password);
    }
    if let (None, Some(name)) = (config.get_dbname(), variable("PGDATABASE")) {
        config.dbname(name);
    }
    if let (None, Some(options)) = (config.get_options(), variable("PGOPTIONS")) {
        config.options(options);
    }
    if config.get_application_name().is_none() {
        config.application_name(variable("PGAPPNAME").unwrap_or_else(|| "model-access-api".into()));
    }
    if let (None, Some(seconds)) = (config.get_connect_timeout(), variable("PGCONNECT_TIMEOUT")) {
        config.connect_timeout(Duration::from_secs(seconds.parse().map_err(|_| bad("PGCONNECT_TIMEOUT"))?));
    }
    let has_mode = !is_name && names_ssl_mode(text);
    if let (false, Some(mode)) = (has_mode, variable("PGSSLMODE")) {
        config.ssl_mode(match mode.as_str() {
            "disable" => SslMode::Disable,
            "allow" | "prefer" => SslMode::Prefer,
            "require" | "verify-ca" | "verify-full" => SslMode::Require,
            _ => return Err(bad("PGSSLMODE")),
        });
    }
    // as libpq has it: there is no TLS over a socket of this machine
    if config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)))
        && config.get_hostaddrs().is_empty()
    {
        config.ssl_mode(SslMode::Disable);
    }
    Ok(config)
}

/// Whether a URL or conninfo has an sslmode of its own, which then beats one that is put before it.
fn names_ssl_mode(text: &str) -> bool {
    let with = |mode: &str| {
        let text = if text.contains("://") {
            let credentials = text.find('@').map_or(0, |at| at + 1);
            let query = credentials + text.get(credentials..)?.find('?')? + 1;
            format!("{}sslmode={mode}&{}", text.get(..query)?, text.get(query..)?)
        } else {
            format!("sslmode={mode} {text}")
        };
        text.parse::<Config>().ok().map(|config| config.get_ssl_mode())
    };
    with("disable").is_some_and(|mode| Some(mode) == with("require"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        connection(text, variable)
    }

    #[test]
    fn variables_complete_what_the_argument_leaves_out() {
        let variables = [
            ("PGHOST", "/tmp/a"),
            ("PGPORT", "5433"),
            ("PGUSER", "u"),
            ("PGDATABASE", "d"),
            ("PGSSLMODE", "verify-full"),
        ];
        let config = with("", &variables).unwrap();
        assert_eq!(config.get_hosts(), [Host::Unix("/tmp/a".into())]);
        assert_eq!(config.get_ports(), [5433]);
        assert_eq!((config.get_user(), config.get_dbname()), (Some("u"), Some("d")));
        let config = with("postgresql://v@db.example:5434/e?sslmode=disable", &variables).unwrap();
        assert_eq!(config.get_hosts(), [Host::Tcp("db.example".into())]);
        assert_eq!(config.get_ports(), [5434]);
        assert_eq!((config.get_user(), config.get_dbname()), (Some("v"), Some("e")));
        assert_eq!(config.get_ssl_mode(), SslMode::Disable);
        assert_eq!(with("some name", &variables).unwrap().get_dbname(), Some("some name"));
    }

    #[test]
    fn the_words_of_another_option_are_no_sslmode() {
        let mode = |text: &str| with(text, &[("PGSSLMODE", "verify-full")]).unwrap().get_ssl_mode();
        for text in [
            "host=db.example",
            "host=db.example password=xsslmodex",
            "host=db.example password='a sslmode=disable b'",
            "host=db.example application_name=sslmode",
            "postgresql://u@db.example/d",
            "postgresql://u:a?sslmode=disable@db.example/d",
            "postgresql://u@db.example/sslmode?application_name=sslmode",
        ] {
            assert_eq!(mode(text), SslMode::Require, "{text}");
        }
        for text in ["host=db.example sslmode=disable", "postgresql://db.example?user=u&sslmode=disable"] {
            assert_eq!(mode(text), SslMode::Disable, "{text}");
        }
        assert_eq!(
            with("sslmode_db", &[("PGHOST", "db.example"), ("PGSSLMODE", "require")]).unwrap().get_ssl_mode(),
            SslMode::Require
        );
        assert_eq!(
            with("", &[("PGHOST", "/tmp/a"), ("PGSSLMODE", "require")]).unwrap().get_ssl_mode(),
            SslMode::Disable
        );
    }

    #[test]
    fn what_cannot_be_meant_is_an_error() {
        for (text, variables) in [
            ("port=x", &[][..]),
            ("postgresql://db.example?sslmode=verify-full", &[]),
            ("", &[("PGPORT", "x")]),
            ("", &[("PGSSLMODE", "maybe")]),
            ("", &[("PGCONNECT_TIMEOUT", "soon")]),
            ("", &[("PGHOSTADDR", "db.example")]),
        ] {
            assert!(with(text, variables).is_err(), "{text} {variables:?}");
        }
        assert!(source("http://id.example/jwks").is_err());
        assert!(source("ftp://id.example/jwks").is_err());
        assert!(source("").is_err());
        assert_eq!(source("https://id.example/jwks"), Ok(Source::Url("https://id.example/jwks".into())));
        assert_eq!(source("keys/jwks.json"), Ok(Source::File("keys/jwks.json".into())));
    }
}
