//! The options of the program: on the command line, or from environment variables.

// the texts of the options are also those of --help
#![allow(rustdoc::bare_urls)]

use super::admin::Admin;
use super::database::{self, Connection};
use super::token::Token;
use super::{secret, tls};
use crate::auth::Policy;
use crate::client::{self, Proxies};
use crate::cors;
use crate::database::Settings;
use crate::keys::Source;
use crate::server::Limits;
use axum::http::HeaderValue;
use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Serve GET /api/models: the models that the user of a token may use
///
/// Tokens are JWTs, signed with a shared secret (HS256) or with the keys of a JWKS (RS256, ES256, EdDSA). The claim sub
/// is the user. The service needs --jwks, --hs256-secret-file or MODEL_ACCESS_API_HS256_SECRET.
#[derive(Parser)]
#[command(name = "model-access-api", version, args_conflicts_with_subcommands = true)]
#[command(after_help = "\
The HS256 secret may also be in MODEL_ACCESS_API_HS256_SECRET. While it is replaced, the previous one may be in\n\
MODEL_ACCESS_API_HS256_SECRET_PREVIOUS. In MODEL_ACCESS_API_AUDIENCE, MODEL_ACCESS_API_ISSUER,\n\
MODEL_ACCESS_API_CORS_ORIGIN and MODEL_ACCESS_API_TRUSTED_PROXY, commas or whitespace separate several values. An\n\
empty variable counts as one that is not set.\n\
\n\
The database: what --database leaves out comes, as for psql, from a service (service=, PGSERVICE,\n\
~/.pg_service.conf), from PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE and the other PG* variables, and from the\n\
password file (~/.pgpass, PGPASSFILE). The service refuses a parameter that it does not support, and names it. A\n\
host that begins with / is the directory of a socket. The role needs: SELECT model_access_grant('role', 'reader').\n\
Through a pooler that shares sessions (transaction mode), nothing is cached, because such a pooler delivers no\n\
notifications.\n\
\n\
TLS to the database: sslmode=disable never uses TLS; prefer (the default) uses it if the server offers it; require\n\
insists on it. The certificate and its host name are always verified, also where libpq would not verify them: with\n\
the certificates of sslrootcert (PGSSLROOTCERT, ~/.postgresql/root.crt), or else with those of the system. Only\n\
sslmode=verify-ca leaves out the host name.\n\
\n\
SIGHUP reads the files and the JWKS again.\n\
\n\
Exit codes: 0 ended by SIGTERM or SIGINT; 1 could not start, or could not finish all requests; 2 usage.")]
pub struct Arguments {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub options: Options,
}

/// What the program does instead of serving.
#[derive(Subcommand)]
pub enum Command {
    /// Print a token for trying out the service, signed with the HS256 secret
    Token(Token),
    /// Serve the page on which admins decide which models each tier may use
    ///
    /// Without --admin-token-header, the page is for one admin on this machine: it acts as the login of the connection, and
    /// a code that the program prints opens it. With it, a proxy sends a token with each request, and a claim of the token
    /// chooses between two roles of PostgreSQL.
    Admin(Box<Admin>),
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man {
        /// The directory
        directory: PathBuf,
    },
}

/// How to serve.
#[derive(Args)]
pub struct Options {
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
    /// Most connections to the database; the connection that listens is not counted
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub database_connections: u16,
    /// Seconds to wait for an answer of the database; then the service answers 503
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=300))]
    pub timeout: u16,

    /// Address or host name, and port to listen on; a host name means all its addresses, port 0 a free port
    #[arg(long, env = "MODEL_ACCESS_API_LISTEN", default_value = "127.0.0.1:8080", value_parser = listen)]
    pub listen: String,
    /// Address or host name, and port for /healthz, /readyz and /metrics only, which are then not on the other port
    #[arg(long, env = "MODEL_ACCESS_API_ADMIN_LISTEN", value_name = "LISTEN", value_parser = listen)]
    pub admin_listen: Option<String>,
    /// A file to write the base URL to, once the service listens; with --admin-listen, its URL on a second line
    #[arg(long, value_name = "FILE")]
    pub url_file: Option<PathBuf>,
    /// Most connections of clients at once; fewer, if the limit of open files is lower. A further one ends one that is idle
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections: u32,
    /// Seconds to wait for a client to send the head of a request, or to read more of an answer
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=300))]
    pub client_timeout: u16,
    /// Proxy whose X-Forwarded-For is trusted, as an address or a network (CIDR); may be repeated
    #[arg(long, env = "MODEL_ACCESS_API_TRUSTED_PROXY", value_name = "ADDRESS")]
    pub trusted_proxy: Vec<String>,
    /// Origin whose pages may read answers in a browser, such as https://app.example, or * for all; may be repeated
    #[arg(long, env = "MODEL_ACCESS_API_CORS_ORIGIN", value_name = "ORIGIN")]
    pub cors_origin: Vec<String>,
    /// Seconds that the service goes on after SIGTERM, with /readyz 503; a second signal ends them
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=3600), value_name = "SECONDS")]
    pub drain: u16,
    /// Seconds that unfinished requests have after SIGTERM and --drain
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=300))]
    pub shutdown_timeout: u16,

    /// JWKS with the public keys: an https URL, an http URL on this machine, or a file
    #[arg(long, env = "MODEL_ACCESS_API_JWKS", hide_env_values = true, value_name = "URL|FILE", value_parser = source)]
    pub jwks: Option<Source>,
    /// Seconds between two loads of the JWKS
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub jwks_refresh: u32,
    /// Fewest seconds between two loads of the JWKS when tokens name keys that it does not contain
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub jwks_pause: u32,
    /// File with the HS256 secret, at least 32 bytes; a newline at the end is ignored. May be repeated, to replace a secret
    #[arg(long, value_name = "FILE")]
    pub hs256_secret_file: Vec<PathBuf>,
    /// Audience that the claim aud must name; may be repeated. Without it, a token that names an audience is refused
    #[arg(long, env = "MODEL_ACCESS_API_AUDIENCE", value_name = "NAME")]
    pub audience: Vec<String>,
    /// Issuer that the claim iss must name; may be repeated. Without it, every issuer is accepted
    #[arg(long, env = "MODEL_ACCESS_API_ISSUER", value_name = "NAME")]
    pub issuer: Vec<String>,
    /// Seconds by which the clocks of issuer and service may differ
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=300))]
    pub leeway: u32,

    /// Most seconds that a list stays in the cache; 0 switches the cache off
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub cache_ttl: u32,
    /// Most users whose list is cached
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub cache_users: u32,
    /// Most megabytes of cached lists; users with the same list share it
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub cache_megabytes: u16,

    /// Format of the log, which goes to standard error
    #[arg(long, value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// Lowest level that is logged; requests are logged at info
    #[arg(long, value_enum, default_value = "info")]
    pub log_level: LogLevel,
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for people.
    Text,
}

/// The lowest level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
}

impl Options {
    /// The limits on connections of clients.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            connections: self.connections as usize,
            client_timeout: Duration::from_secs(self.client_timeout.into()),
            shutdown_timeout: Duration::from_secs(self.shutdown_timeout.into()),
        }
    }

    /// What the claims of a token must say.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let (audiences, issuers) = (self.audience.clone(), self.issuer.clone());
        Policy { audiences, issuers, leeway: self.leeway, id_tokens: false }
    }

    /// The HS256 secrets.
    ///
    /// # Errors
    /// Fails if a secret cannot be read or is unsuitable, or if there is neither a secret nor a JWKS.
    pub fn secrets(&self) -> Result<Vec<Vec<u8>>, String> {
        let secrets = secret::read(&self.hs256_secret_file)?;
        if secrets.is_empty() && self.jwks.is_none() {
            return Err("no key to verify tokens with; use --jwks or --hs256-secret-file".into());
        }
        Ok(secrets)
    }

    /// The proxies in front of the service.
    ///
    /// # Errors
    /// Fails if one is neither an address nor a network.
    pub fn proxies(&self) -> Result<Proxies, String> {
        let proxies = self
            .trusted_proxy
            .iter()
            .map(|text| client::network(text).map_err(|error| format!("--trusted-proxy {text}: {error}")));
        proxies.collect::<Result<_, _>>().map(Proxies)
    }

    /// The origins of the pages whose scripts may read answers.
    ///
    /// # Errors
    /// Fails if one is not an origin.
    pub fn origins(&self) -> Result<Vec<HeaderValue>, String> {
        let origins = self.cors_origin.iter();
        origins
            .map(|text| cors::origin(text).map_err(|error| format!("--cors-origin {text}: {error}")))
            .collect()
    }

    /// How to reach the database.
    ///
    /// # Errors
    /// Fails if an option or a variable has an invalid value, or if a file cannot be read.
    pub fn settings(&self) -> Result<Settings, String> {
        settings(&self.database, &self.schema, self.database_connections, self.timeout)
    }
}

/// How to reach a database.
///
/// # Errors
/// The same as for [`Options::settings`].
pub fn settings(database: &str, schema: &str, connections: u16, timeout: u16) -> Result<Settings, String> {
    let timeout = Duration::from_secs(timeout.into());
    let Connection { mut config, trust } = database::connection(database, |name| std::env::var(name).ok())?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(timeout);
    }
    Ok(Settings {
        config,
        tls: MakeRustlsConnect::new(tls::client(&trust)?),
        schema: schema.to_owned(),
        connections: connections.into(),
        timeout,
    })
}

impl Arguments {
    /// Reads the command line and the environment. Ends the program if they are invalid.
    #[must_use]
    pub fn read() -> Self {
        let mut command = Self::command().mut_args(|option| {
            let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
            if option.get_env().is_some_and(is_empty) { option.env(Resettable::Reset) } else { option }
        });
        let matches = command.get_matches_mut();
        let mut arguments = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let options = &mut arguments.options;
        for (name, values) in [
            ("audience", &mut options.audience),
            ("issuer", &mut options.issuer),
            ("trusted_proxy", &mut options.trusted_proxy),
            ("cors_origin", &mut options.cors_origin),
        ] {
            if matches.value_source(name) == Some(ValueSource::EnvVariable) {
                *values = values.iter().flat_map(|text| list(text)).collect();
                if values.is_empty() {
                    let name = name.replace('_', "-");
                    let message = format!("the variable of --{name} contains no value");
                    command.error(ErrorKind::InvalidValue, message).exit();
                }
            }
        }
        arguments
    }
}

/// The values in a variable, which commas or whitespace separate.
fn list(text: &str) -> impl Iterator<Item = String> {
    let values = text.split(|c: char| c == ',' || c.is_whitespace());
    values.filter(|value| !value.is_empty()).map(str::to_owned)
}

/// Checks the form of an address or name with its port.
pub fn listen(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').unwrap_or_default();
    let is_name = !host.is_empty() && !host.contains([':', '[', ' ']) && port.parse::<u16>().is_ok();
    if is_name || text.parse::<SocketAddr>().is_ok() {
        return Ok(text.into());
    }
    Err("it is not address:port or name:port".into())
}

/// Reads where a JWKS comes from.
pub fn source(text: &str) -> Result<Source, String> {
    if text.is_empty() {
        return Err("the value is empty".into());
    }
    if !text.contains("://") {
        return Ok(Source::File(text.into()));
    }
    // the same rules as for the URL of the catalogue
    fetch::check_url(text).map_err(|error| error.detail.unwrap_or(error.message))?;
    Ok(Source::Url(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documents_list_every_option_and_no_other() {
        let service = Arguments::command();
        let admin = service.find_subcommand("admin").unwrap();
        for (command, text) in [
            (&service, include_str!("../../../../docs/api.md")),
            (admin, include_str!("../../../../docs/admin.md")),
        ] {
            let mut table = String::from("| option | default | meaning |\n| --- | --- | --- |\n");
            for option in command.get_arguments() {
                let name = option.get_long().unwrap();
                let variable =
                    option.get_env().map(|name| format!(", `{}`", name.display())).unwrap_or_default();
                let default = option.get_default_values().iter().filter(|value| !value.is_empty());
                let default: String = default.map(|value| format!("`{}`", value.display())).collect();
                let row = format!("| `--{name}`{variable} | {default} | {} |\n", option.get_help().unwrap());
                assert!(
                    text.contains(&row),
                    "the table of options in docs/{{api,admin}}.md needs this row:\n{row}"
                );
                table += &row;
            }
            assert!(
                text.contains(&format!("{table}\n")),
                "the page needs this table, in this order:\n{table}"
            );
        }
    }

    #[test]
    fn the_address_to_listen_on_has_a_port() {
        for good in ["127.0.0.1:0", "[::1]:8080", "localhost:8080", "api.example:80"] {
            assert!(listen(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "localhost",
            "127.0.0.1",
            ":8080",
            "localhost:",
            "localhost:http",
            "h:65536",
            "::1:80",
            "a b:1",
        ] {
            assert!(listen(bad).is_err(), "{bad}");
        }
        Arguments::command().debug_assert();
    }

    #[test]
    fn commas_or_whitespace_separate_the_values_of_a_variable() {
        assert_eq!(list(" a, b\tc,,d ").collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        assert_eq!(list(" , ").count(), 0);
    }

    #[test]
    fn a_jwks_is_a_file_an_https_url_or_http_on_this_machine() {
        assert!(source("http://id.example/jwks").is_err());
        assert!(source("ftp://id.example/jwks").is_err());
        assert!(source("").is_err());
        assert_eq!(source("https://id.example/jwks"), Ok(Source::Url("https://id.example/jwks".into())));
        assert_eq!(source("http://127.0.0.1/jwks"), Ok(Source::Url("http://127.0.0.1/jwks".into())));
        assert_eq!(source("keys/jwks.json"), Ok(Source::File("keys/jwks.json".into())));
    }
}
