//! How to connect to the database: a name, a URL or keyword=value, completed as libpq completes it, from a service, the
//! environment and a password file. The service refuses what it does not support of libpq, and names it.

use super::tls::{Roots, Trust};
use super::{conninfo, passfile};
use crate::error_chain::error_chain;
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// How to connect.
#[derive(Debug)]
pub struct Connection {
    /// Host, user and the other parameters.
    pub config: Config,
    /// TLS.
    pub trust: Trust,
}

/// What happens with a parameter of libpq.
enum Use {
    /// This module reads it.
    Here,
    /// The driver reads it. If there are values, it accepts only these.
    Driver(&'static [&'static str]),
    /// The service always does what these values mean; other values are refused.
    Only(&'static [&'static str]),
    /// Refused.
    Refused,
}
use Use::{Driver, Here, Only, Refused};

/// Every parameter of libpq (PostgreSQL 18, and older ones): keyword, environment variable, use.
const PARAMETERS: &[(&str, &str, Use)] = &[
    ("service", "PGSERVICE", Here),
    ("servicefile", "PGSERVICEFILE", Here),
    ("host", "PGHOST", Driver(&[])),
    ("hostaddr", "PGHOSTADDR", Driver(&[])),
    ("port", "PGPORT", Driver(&[])),
    ("dbname", "PGDATABASE", Driver(&[])),
    ("user", "PGUSER", Driver(&[])),
    ("password", "PGPASSWORD", Driver(&[])),
    ("passfile", "PGPASSFILE", Here),
    ("require_auth", "PGREQUIREAUTH", Refused),
    ("channel_binding", "PGCHANNELBINDING", Driver(&["disable", "prefer", "require"])),
    ("connect_timeout", "PGCONNECT_TIMEOUT", Driver(&[])),
    ("client_encoding", "PGCLIENTENCODING", Only(&["UTF8", "utf8", "UTF-8", "utf-8", "auto"])),
    ("options", "PGOPTIONS", Driver(&[])),
    ("application_name", "PGAPPNAME", Driver(&[])),
    ("fallback_application_name", "", Here),
    ("keepalives", "", Driver(&[])),
    ("keepalives_idle", "", Driver(&[])),
    ("keepalives_interval", "", Driver(&[])),
    ("keepalives_count", "", Driver(&[])),
    ("tcp_user_timeout", "", Driver(&[])),
    ("replication", "", Only(&["false", "off", "no", "0"])),
    ("gssencmode", "PGGSSENCMODE", Only(&["disable", "prefer"])),
    ("sslmode", "PGSSLMODE", Here),
    ("requiressl", "PGREQUIRESSL", Refused),
    ("sslnegotiation", "PGSSLNEGOTIATION", Driver(&["postgres", "direct"])),
    ("sslcompression", "PGSSLCOMPRESSION", Only(&["0"])),
    ("sslcert", "PGSSLCERT", Here),
    ("sslkey", "PGSSLKEY", Here),
    ("sslpassword", "", Refused),
    ("sslcertmode", "PGSSLCERTMODE", Only(&["allow"])),
    ("sslrootcert", "PGSSLROOTCERT", Here),
    ("sslcrl", "PGSSLCRL", Refused),
    ("sslcrldir", "PGSSLCRLDIR", Refused),
    ("sslsni", "PGSSLSNI", Only(&["1"])),
    ("sslkeylogfile", "", Refused),
    ("requirepeer", "PGREQUIREPEER", Refused),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", Only(&["TLSv1", "TLSv1.1", "TLSv1.2"])),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", Only(&["TLSv1.3"])),
    ("min_protocol_version", "PGMINPROTOCOLVERSION", Only(&["3.0"])),
    ("max_protocol_version", "PGMAXPROTOCOLVERSION", Only(&["3.0", "3.2", "latest"])),
    ("krbsrvname", "PGKRBSRVNAME", Refused),
    ("gsslib", "PGGSSLIB", Refused),
    ("gssdelegation", "PGGSSDELEGATION", Only(&["0"])),
    ("scram_client_key", "", Refused),
    ("scram_server_key", "", Refused),
    ("oauth_issuer", "", Refused),
    ("oauth_client_id", "", Refused),
    ("oauth_client_secret", "", Refused),
    ("oauth_scope", "", Refused),
    ("target_session_attrs", "PGTARGETSESSIONATTRS", Driver(&["any", "read-write", "read-only"])),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS", Driver(&["disable", "random"])),
];

/// The directory of the server's sockets in Debian's packages, the default host if it exists.
const SOCKETS: &str = "/var/run/postgresql";
/// The directory of service files in Debian's packages.
const SYSTEM_FOLDER: &str = "/etc/postgresql-common";

/// Values by their keywords, each with the place that it comes from.
#[derive(Default)]
struct Parameters(HashMap<&'static str, (String, String)>);

/// The connection that `text` describes; `variable` looks up an environment variable. Files are read, none is written.
///
/// # Errors
/// Fails if the text, a variable or a file is malformed, or if a parameter is not supported.
pub fn connection(text: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Connection, String> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let home = variable("HOME").map(PathBuf::from).or_else(std::env::home_dir);
    let mut parameters = Parameters::default();
    let pairs = conninfo::parse(text).map_err(|error| format!("--database: {error}"))?;
    for (keyword, value) in pairs {
        // of a repeated keyword, the last value applies
        parameters.remove(&keyword);
        parameters.add(&keyword, value, "--database")?;
    }
    for keyword in ["service", "servicefile"] {
        parameters.add_variable(keyword, &variable)?;
    }
    if let Some(name) = parameters.get("service").map(str::to_owned) {
        let explicit = parameters.get("servicefile").map(PathBuf::from);
        let (file, pairs) = service(&name, explicit, home.as_deref(), variable("PGSYSCONFDIR"))?;
        for (keyword, value) in pairs {
            parameters.add(&keyword, value, &format!("service {name:?} of {}", file.display()))?;
        }
    }
    for (keyword, ..) in PARAMETERS {
        parameters.add_variable(keyword, &variable)?;
    }
    parameters.complete(home.as_deref())?;
    let trust = parameters.trust(home.as_deref())?;
    Ok(Connection { config: parameters.config()?, trust })
}

impl Parameters {
    /// Adds a value unless the keyword has one. An empty value is the default, which nothing replaces.
    fn add(&mut self, keyword: &str, value: String, origin: &str) -> Result<(), String> {
        let known = PARAMETERS.iter().find(|(known, ..)| *known == keyword);
        let (keyword, _, usage) = known.ok_or_else(|| format!("{origin}: unknown parameter {keyword:?}"))?;
        if !value.is_empty() {
            match usage {
                Refused => return Err(format!("{origin}: the service does not support {keyword}")),
                Only(values) | Driver(values) if !values.is_empty() && !values.contains(&value.as_str()) => {
                    let values = values.join(", ");
                    return Err(format!(
                        "{origin}: the service does not support this {keyword}, only {values}"
                    ));
                }
                _ => {}
            }
        }
        self.0.entry(keyword).or_insert_with(|| (value, origin.to_owned()));
        Ok(())
    }

    fn add_variable(
        &mut self,
        keyword: &str,
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<(), String> {
        let name = PARAMETERS.iter().find(|(known, ..)| *known == keyword).map_or("", |(_, name, _)| *name);
        match variable(name).filter(|_| !name.is_empty() && !self.0.contains_key(keyword)) {
            Some(value) => self.add(keyword, value, name),
            None => Ok(()),
        }
    }

    fn remove(&mut self, keyword: &str) {
        self.0.remove(keyword);
    }

    /// A value that is not empty.
    fn get(&self, keyword: &str) -> Option<&str> {
        self.0.get(keyword).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn set(&mut self, keyword: &'static str, value: String) {
        self.0.insert(keyword, (value, "--database".into()));
    }

    /// Where the value of a keyword comes from.
    fn origin(&self, keyword: &str) -> &str {
        self.0.get(keyword).map_or("--database", |(_, origin)| origin)
    }

    /// Adds the defaults of libpq, and the password of the password file.
    fn complete(&mut self, home: Option<&Path>) -> Result<(), String> {
        if self.get("host").is_none() {
            // the certificate of an address contains the address
            let sockets = if Path::new(SOCKETS).is_dir() { SOCKETS } else { "localhost" };
            let host = self.get("hostaddr").unwrap_or(sockets).to_owned();
            self.set("host", host);
        }
        if self.get("user").is_none() {
            let user = whoami::username().map_err(|error| format!("the name of the user: {error}"))?;
            self.set("user", user);
        }
        if self.get("dbname").is_none() {
            self.set("dbname", self.get("user").unwrap_or_default().to_owned());
        }
        if self.get("application_name").is_none() {
            let name = self.get("fallback_application_name").unwrap_or("model-access-api").to_owned();
            self.set("application_name", name);
        }
        if self.get("password").is_none()
            && let Some(password) = self.password(home)?
        {
            self.set("password", password);
        }
        Ok(())
    }

    /// The password of the password file, which must be the same for every host: the driver takes one for all.
    fn password(&self, home: Option<&Path>) -> Result<Option<String>, String> {
        let explicit = self.get("passfile").map(PathBuf::from);
        let Some(file) = explicit.or_else(|| Some(home?.join(".pgpass"))) else { return Ok(None) };
        let Ok(metadata) = std::fs::metadata(&file) else { return Ok(None) };
        // as in libpq, such a file is not used
        if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
            let file = file.display();
            tracing::warn!(
                "the password file {file} is not used: it must be a plain file without access for group or others; chmod 600"
            );
            return Ok(None);
        }
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let hosts = self.get("host").unwrap_or_default().split(',');
        let ports: Vec<&str> = self.get("port").unwrap_or_default().split(',').collect();
        let (user, name) = (self.get("user").unwrap_or_default(), self.get("dbname").unwrap_or_default());
        let mut passwords: Vec<String> = (0..)
            .zip(hosts)
            .filter_map(|(index, host)| {
                let host = if host.is_empty() || host == SOCKETS { "localhost" } else { host };
                let port = ports.get(index).or(ports.last()).filter(|port| !port.is_empty());
                passfile::password(&text, [host, port.unwrap_or(&"5432"), name, user])
            })
            .collect();
        passwords.dedup();
        match passwords.len() {
            0 | 1 => Ok(passwords.pop()),
            _ => Err(format!("{}: the hosts must have the same password", file.display())),
        }
    }

    /// TLS: which certificates are accepted, and which is sent.
    fn trust(&self, home: Option<&Path>) -> Result<Trust, String> {
        let own = home.map(|home| home.join(".postgresql/root.crt")).filter(|file| file.exists());
        let roots = match self.get("sslrootcert") {
            Some("system") => Roots::System,
            Some(file) => Roots::File(file.into()),
            None => own.map_or(Roots::System, Roots::File),
        };
        let verify_name = self.get("sslmode") != Some("verify-ca");
        if !verify_name && roots == Roots::System {
            return Err(format!(
                "{}: sslmode=verify-ca needs sslrootcert=FILE; with the certificates of the system, use verify-full",
                self.origin("sslmode")
            ));
        }
        let identity = match (self.get("sslcert"), self.get("sslkey")) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            _ => return Err("sslcert and sslkey must be given together".into()),
        };
        Ok(Trust { roots, verify_name, identity })
    }

    /// What the driver reads.
    fn config(&self) -> Result<Config, String> {
        let mut config = String::new();
        let used = PARAMETERS.iter().filter(|(_, _, usage)| matches!(usage, Driver(_)));
        for (keyword, ..) in used {
            let Some(value) = self.get(keyword) else { continue };
            let name = if *keyword == "keepalives_count" { "keepalives_retries" } else { keyword };
            let parameter = format!("{name}='{}' ", value.replace('\\', "\\\\").replace('\'', "\\'"));
            parameter.parse::<Config>().map_err(|error: tokio_postgres::Error| {
                format!("{}: {}", self.origin(keyword), error_chain(&error))
            })?;
            config += &parameter;
        }
        let mut config: Config =
            config.parse().map_err(|error| format!("--database: {}", error_chain(&error)))?;
        // as in libpq
        let default = if self.get("sslrootcert") == Some("system") { "verify-full" } else { "prefer" };
        config.ssl_mode(match self.get("sslmode").unwrap_or(default) {
            "disable" => SslMode::Disable,
            "allow" | "prefer" => SslMode::Prefer,
            "require" | "verify-ca" | "verify-full" => SslMode::Require,
            _ => return Err(format!("{}: invalid value for sslmode", self.origin("sslmode"))),
        });
        // as in libpq, a socket of this machine has no TLS
        if config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)))
            && config.get_hostaddrs().is_empty()
        {
            config.ssl_mode(SslMode::Disable);
        }
        Ok(config)
    }
}

/// The parameters of a service, and the file that has them.
fn service(
    name: &str,
    explicit: Option<PathBuf>,
    home: Option<&Path>,
    system: Option<String>,
) -> Result<(PathBuf, conninfo::Pairs), String> {
    let read = |file: &Path| {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        conninfo::service(&text, name).map_err(|error| format!("{}: {error}", file.display()))
    };
    let own = match explicit {
        Some(file) => Some(file),
        None => home.map(|home| home.join(".pg_service.conf")).filter(|file| file.exists()),
    };
    let system = PathBuf::from(system.unwrap_or_else(|| SYSTEM_FOLDER.into())).join("pg_service.conf");
    for file in own.into_iter().chain(Some(system).filter(|file| file.exists())) {
        if let Some(pairs) = read(&file)? {
            return Ok((file, pairs));
        }
    }
    Err(format!("the service {name:?} is in no service file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    fn connect(text: &str, variables: &[(&str, &str)]) -> Result<Connection, String> {
        let variable = |name: &str| {
            let all = [("HOME", "/nonexistent"), ("PGSYSCONFDIR", "/nonexistent")];
            let found = variables.iter().chain(&all).find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        connection(text, variable)
    }

    fn with(text: &str, variables: &[(&str, &str)]) -> Config {
        connect(text, variables).unwrap_or_else(|error| panic!("{text}: {error}")).config
    }

    fn password(config: &Config) -> Option<&str> {
        config.get_password().map(|password| std::str::from_utf8(password).unwrap())
    }

    #[test]
    fn variables_apply_where_the_argument_says_nothing() {
        let variables = [
            ("PGHOST", "/tmp/a"),
            ("PGPORT", "5433"),
            ("PGUSER", "u"),
            ("PGDATABASE", "d"),
            ("PGSSLMODE", "verify-full"),
            ("PGAPPNAME", ""),
            ("PGCONNECT_TIMEOUT", "7"),
        ];
        let config = with("", &variables);
        assert_eq!(config.get_hosts(), [Host::Unix("/tmp/a".into())]);
        assert_eq!(config.get_ports(), [5433]);
        assert_eq!((config.get_user(), config.get_dbname()), (Some("u"), Some("d")));
        assert_eq!(config.get_application_name(), Some("model-access-api"));
        assert_eq!(config.get_connect_timeout(), Some(&Duration::from_secs(7)));
        let config = with("postgresql://v@db.example:5434/e?sslmode=disable", &variables);
        assert_eq!(config.get_hosts(), [Host::Tcp("db.example".into())]);
        assert_eq!(config.get_ports(), [5434]);
        assert_eq!((config.get_user(), config.get_dbname()), (Some("v"), Some("e")));
        assert_eq!(config.get_ssl_mode(), SslMode::Disable);
        assert_eq!(with("some name", &variables).get_dbname(), Some("some name"));
        // an empty value is the default, and a repeated keyword has its last value
        let config = with("host=a host=b port='' user=w", &[("PGPORT", "1"), ("PGHOST", "c")]);
        assert_eq!((config.get_hosts(), config.get_ports()), (&[Host::Tcp("b".into())][..], &[][..]));
        assert_eq!(with("hostaddr=127.0.0.1", &[]).get_hosts(), [Host::Tcp("127.0.0.1".into())]);
    }

    #[test]
    fn sslmode_says_what_is_verified() {
        let mode = |text: &str, variables: &[(&str, &str)]| {
            let connection = connect(text, variables).unwrap();
            (connection.config.get_ssl_mode(), connection.trust.verify_name, connection.trust.roots)
        };
        let file = || Roots::File("/ca".into());
        for (text, variables, expected) in [
            ("host=h", &[][..], (SslMode::Prefer, true, Roots::System)),
            ("host=h sslmode=require", &[], (SslMode::Require, true, Roots::System)),
            ("host=h sslmode=verify-full", &[("PGSSLROOTCERT", "/ca")], (SslMode::Require, true, file())),
            ("host=h sslmode=verify-ca sslrootcert=/ca", &[], (SslMode::Require, false, file())),
            ("host=h", &[("PGSSLMODE", "verify-full")], (SslMode::Require, true, Roots::System)),
            (
                "host=h sslrootcert=system",
                &[("PGSSLROOTCERT", "/ca")],
                (SslMode::Require, true, Roots::System),
            ),
            ("host=h sslmode=disable", &[("PGSSLMODE", "require")], (SslMode::Disable, true, Roots::System)),
            ("host=/tmp/a sslmode=require", &[], (SslMode::Disable, true, Roots::System)),
            ("host=h application_name=sslmode", &[], (SslMode::Prefer, true, Roots::System)),
        ] {
            assert_eq!(mode(text, variables), expected, "{text} {variables:?}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (text, variables, words) in [
            ("port=x", &[][..], "port"),
            ("sslmode=maybe", &[], "sslmode"),
            ("sslmode=verify-ca", &[], "needs sslrootcert=FILE"),
            ("sslmode=verify-ca sslrootcert=system", &[], "use verify-full"),
            ("sslcrl=/crl", &[], "--database: the service does not support sslcrl"),
            ("require_auth=scram-sha-256", &[], "does not support require_auth"),
            ("target_session_attrs=standby", &[], "only any, read-write, read-only"),
            ("client_encoding=LATIN1", &[], "only UTF8"),
            ("sslcert=/c", &[], "together"),
            ("colour=red", &[], "unknown parameter \"colour\""),
            ("service=nowhere", &[], "the service \"nowhere\" is in no service file"),
            ("", &[("PGSERVICE", "s"), ("PGSERVICEFILE", "/nonexistent/f")], "/nonexistent/f: "),
            ("", &[("PGPORT", "x")], "PGPORT: "),
            ("", &[("PGSSLMODE", "maybe")], "PGSSLMODE: "),
            ("", &[("PGCONNECT_TIMEOUT", "soon")], "PGCONNECT_TIMEOUT: "),
            ("", &[("PGHOSTADDR", "db.example")], "PGHOSTADDR: "),
            ("", &[("PGSSLCRL", "/crl")], "PGSSLCRL: the service does not support sslcrl"),
            ("", &[("PGREQUIREPEER", "postgres")], "does not support requirepeer"),
        ] {
            let error = connect(text, variables).unwrap_err();
            assert!(error.contains(words), "{text} {variables:?}: {error}");
        }
    }

    #[test]
    fn a_service_and_a_password_file_complete_the_rest() {
        let folder = std::env::temp_dir().join(format!("model_access.config.{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let write = |name: &str, text: &str, mode: u32| {
            std::fs::write(folder.join(name), text).unwrap();
            std::fs::set_permissions(folder.join(name), PermissionsExt::from_mode(mode)).unwrap();
        };
        write("services", "[app]\nhost=db.example\nuser=u\nport=1\n[old]\nsslcrl=x\n", 0o644);
        write(
            ".pgpass",
            "db.example:1:e:u:of e\nlocalhost:5432:d:u:of d\n*:5433:*:u:five\n*:5434:*:u:four\n",
            0o600,
        );
        let services = path("services");
        let variables = [
            ("PGSERVICEFILE", services.as_str()),
            ("HOME", folder.to_str().unwrap()),
            ("PGSERVICE", "app"),
            ("PGPORT", "9"),
        ];
        let config = with("dbname=e", &variables);
        assert_eq!(
            (config.get_hosts(), config.get_ports()),
            (&[Host::Tcp("db.example".into())][..], &[1][..])
        );
        assert_eq!(password(&config), Some("of e"));
        assert_eq!(password(&with("service=app dbname=f", &variables)), None);
        assert_eq!(password(&with("service=app dbname=e password=given", &variables)), Some("given"));
        assert!(connect("service=old", &variables).unwrap_err().contains("service \"old\" of "));
        let home = [("HOME", folder.to_str().unwrap())];
        assert_eq!(password(&with("host=localhost dbname=d user=u", &home)), Some("of d"));
        assert_eq!(password(&with(&format!("host={SOCKETS} dbname=d user=u"), &home)), Some("of d"));
        assert_eq!(password(&with("host=a,b port=5433 dbname=d user=u", &home)), Some("five"));
        let error = connect("host=a,b port=5433,5434 dbname=d user=u", &home).unwrap_err();
        assert!(error.ends_with("the hosts must have the same password"), "{error}");
        // a file that others can read is not used
        write("open", "*:*:*:*:secret\n", 0o640);
        write("closed", "*:*:*:*:secret\n", 0o600);
        assert_eq!(password(&with("host=h user=u", &[("PGPASSFILE", &path("open"))])), None);
        assert_eq!(password(&with("host=h user=u", &[("PGPASSFILE", &path("closed"))])), Some("secret"));
        assert_eq!(
            password(&with(&format!("host=h user=u passfile={}", path("closed")), &home)),
            Some("secret")
        );
        // the system's folder comes last
        std::fs::rename(folder.join("services"), folder.join("pg_service.conf")).unwrap();
        let system = [("PGSYSCONFDIR", folder.to_str().unwrap())];
        assert_eq!(with("service=app", &system).get_user(), Some("u"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
