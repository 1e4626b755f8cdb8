//! Where the database is: a name, a URL or conninfo, completed from the environment variables of libpq.

use crate::error_chain::error_chain;
use std::path::Path;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// The connection that `text` describes; `variable` looks up an environment variable.
///
/// # Errors
/// Fails if `text` or a variable has an invalid value.
pub fn connection(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Config, String> {
    let is_name = !text.is_empty() && !text.contains("://") && !text.contains('=');
    let invalid = |name: &str| format!("invalid value for {name}");
    let mut config = Config::new();
    if is_name {
        config.dbname(text);
    } else {
        config = text.parse().map_err(|error: tokio_postgres::Error| {
            format!("--database: {}; sslmode is disable, prefer or require", error_chain(&error))
        })?;
    }
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        let sockets = "/var/run/postgresql";
        let fallback = || if Path::new(sockets).is_dir() { sockets } else { "localhost" }.to_owned();
        for host in variable("PGHOST").unwrap_or_else(fallback).split(',') {
            config.host(host);
        }
        for address in variable("PGHOSTADDR").iter().flat_map(|text| text.split(',')) {
            config.hostaddr(address.parse().map_err(|_| invalid("PGHOSTADDR"))?);
        }
    }
    if config.get_ports().is_empty() {
        for port in variable("PGPORT").iter().flat_map(|text| text.split(',')) {
            config.port(port.parse().map_err(|_| invalid("PGPORT"))?);
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
        config
            .connect_timeout(Duration::from_secs(seconds.parse().map_err(|_| invalid("PGCONNECT_TIMEOUT"))?));
    }
    let has_mode = !is_name && names_ssl_mode(text);
    if let (false, Some(mode)) = (has_mode, variable("PGSSLMODE")) {
        config.ssl_mode(match mode.as_str() {
            "disable" => SslMode::Disable,
            "allow" | "prefer" => SslMode::Prefer,
            "require" | "verify-ca" | "verify-full" => SslMode::Require,
            _ => return Err(invalid("PGSSLMODE")),
        });
    }
    // as in libpq, a socket of this machine has no TLS
    if config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)))
        && config.get_hostaddrs().is_empty()
    {
        config.ssl_mode(SslMode::Disable);
    }
    Ok(config)
}

/// Whether a URL or conninfo contains the parameter sslmode.
fn names_ssl_mode(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
        let address = rest.split_once('@').map_or(rest, |(_, address)| address);
        let (_, query) = address.split_once('?').unwrap_or_default();
        return form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "sslmode");
    }
    // the last value of a parameter applies, so a value in front applies only if there is no other
    let with =
        |mode: &str| format!("sslmode={mode} {text}").parse().map(|config: Config| config.get_ssl_mode());
    matches!((with("disable"), with("require")), (Ok(one), Ok(other)) if one == other)
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
    fn variables_apply_where_the_argument_says_nothing() {
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
    fn only_the_parameter_sslmode_is_an_sslmode() {
        let mode = |text: &str| with(text, &[("PGSSLMODE", "verify-full")]).unwrap().get_ssl_mode();
        for text in [
            "host=db.example",
            "host=db.example password=xsslmodex",
            "host=db.example password='a sslmode=disable b'",
            "host=db.example application_name=sslmode",
            "postgresql://u@db.example/d",
            "postgresql://u:a?sslmode=disable@db.example/d",
            "postgresql://u@db.example/sslmode?application_name=sslmode",
            "host=db.example password=postgresql://?sslmode=disable",
        ] {
            assert_eq!(mode(text), SslMode::Require, "{text}");
        }
        for text in [
            "host=db.example sslmode=disable",
            "host=db.example password=a://b sslmode=disable",
            "postgres://db.example?sslmode=disable",
            "postgresql://db.example?user=u&sslmode=disable",
        ] {
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
    fn an_invalid_value_is_an_error() {
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
    }
}
