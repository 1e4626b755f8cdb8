//! Ways to name the database, as psql knows them: TLS, services, password files, channel binding.

use crate::service::{PASSWORD, SECRET, Service, database, scratch, wait_for};
use postgres::Client;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};
use tests::{Cluster, wait_until};

/// Whether the server was built with OpenSSL; `scripts/lacks` names a server that was not.
fn has_tls(client: &mut Client) -> bool {
    !client.query_one("SELECT current_setting('ssl_library')", &[]).unwrap().get::<_, &str>(0).is_empty()
}

/// Makes the server use TLS on its own loopback address. Returns that address and the certificate.
fn speak_tls(cluster: &Cluster, client: &mut Client) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["db.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let folder = cluster.socket().display();
    for (name, pem) in [("key", key.serialize_pem()), ("certificate", certificate.pem())] {
        let program = format!("umask 077; cat > {folder}/{name}");
        client
            .batch_execute(&format!("COPY (SELECT string_to_table('{pem}', E'\n')) TO PROGRAM '{program}'"))
            .unwrap();
    }
    static NUMBER: AtomicU32 = AtomicU32::new(77);
    let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let address = format!("127.{}.{}.{number}", process >> 8 & 0xff, process & 0xff);
    for (name, value) in [
        ("ssl", "on".to_owned()),
        ("ssl_key_file", format!("{folder}/key")),
        ("ssl_cert_file", format!("{folder}/certificate")),
        ("listen_addresses", address.clone()),
    ] {
        client.batch_execute(&format!("ALTER SYSTEM SET {name} = '{value}'")).unwrap();
    }
    cluster.ctl(&["restart"]);
    *client = cluster.connect();
    (address, certificate.pem())
}

#[test]
fn over_tls_with_a_certificate_that_is_verified() {
    let cluster = database(&[]);
    let mut client = cluster.connect();
    if !has_tls(&mut client) {
        return;
    }
    let (address, certificate) = speak_tls(&cluster, &mut client);
    let folder = scratch();
    let ca = folder.join("ca.pem");
    std::fs::write(&ca, certificate).unwrap();
    let ca = format!("sslrootcert={}", ca.display());
    let other = KeyPair::generate().unwrap();
    let other = CertificateParams::new(["db.example".to_owned()]).unwrap().self_signed(&other).unwrap();
    std::fs::write(folder.join("other.pem"), other.pem()).unwrap();
    let other = format!("sslrootcert={}", folder.join("other.pem").display());
    for (host, mode, certificates, encrypted) in [
        ("db.example", "verify-full", &ca, Some(true)),
        ("db.example", "require", &ca, Some(true)),
        ("db.example", "prefer", &ca, Some(true)),
        ("db.example", "disable", &ca, Some(false)),
        ("another.example", "verify-ca", &ca, Some(true)),
        ("another.example", "verify-full", &ca, None),
        ("another.example", "require", &ca, None),
        ("another.example", "prefer", &ca, None),
        ("db.example", "verify-ca", &other, None),
        ("db.example", "verify-full", &other, None),
        ("db.example", "require", &String::new(), None),
    ] {
        let target = format!("host={host} hostaddr={address} port=5432 sslmode={mode} {certificates}");
        let service = Service::start(&cluster, &["--database", &target]);
        let reply = service.get_as("bob", "/api/models");
        if let Some(encrypted) = encrypted {
            assert_eq!(reply.status, 200, "{target}: {}", service.log());
            let all = "SELECT bool_and(ssl) AND count(*) > 0 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'api'";
            assert_eq!(client.query_one(all, &[]).unwrap().get::<_, bool>(0), encrypted, "{target}");
        } else {
            reply.assert_problem(503, &target);
            assert!(service.log().contains("certificate"), "{}", service.log());
        }
        drop(service);
        wait_until(&mut client, "NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'api')");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_service_a_password_file_and_channel_binding() {
    let cluster = database(&[]);
    let mut client = cluster.connect();
    if !has_tls(&mut client) {
        return;
    }
    let (address, certificate) = speak_tls(&cluster, &mut client);
    client.batch_execute(&format!("ALTER ROLE api PASSWORD '{PASSWORD}'")).unwrap();
    let rules = "local all postgres trust\nlocal all api scram-sha-256\nhost all api all scram-sha-256\n";
    std::fs::write(cluster.socket().join("data/pg_hba.conf"), rules).unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    let folder = scratch();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let write = |name: &str, text: &str, mode: u32| {
        std::fs::write(folder.join(name), text).unwrap();
        std::fs::set_permissions(folder.join(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    let socket = cluster.socket().display();
    write("ca.pem", &certificate, 0o644);
    write(
        "services",
        &format!(
            "[tcp]\nhost=db.example\nhostaddr={address}\nport=5432\nuser=api\ndbname=postgres\n\
             sslmode=verify-full\nsslrootcert={}\n\n[socket]\nhost={socket}\nuser=api\ndbname=postgres\n",
            path("ca.pem")
        ),
        0o644,
    );
    let passwords = format!("db.example:5432:postgres:api:{PASSWORD}\n{socket}:*:*:api:{PASSWORD}\n");
    write(".pgpass", &passwords, 0o600);
    write("open", &passwords, 0o644);
    let start = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Service::command(arguments);
        for name in ["PGHOST", "PGUSER", "PGDATABASE", "PGPASSWORD"] {
            command.env_remove(name);
        }
        command.env("MODEL_ACCESS_API_HS256_SECRET", SECRET).env("HOME", &folder);
        command.env("PGSERVICEFILE", path("services")).envs(variables.iter().copied());
        Service::spawn(command)
    };
    let open = path("open");
    for (arguments, variables, works) in [
        (&["--database", "service=tcp channel_binding=require"][..], &[][..], true),
        (&["--database", "service=socket"], &[], true),
        (&[], &[("PGSERVICE", "tcp")], true),
        // only TLS has a channel to bind
        (&["--database", "service=socket channel_binding=require"], &[], false),
        (&["--database", "service=socket password=wrong"], &[], false),
        (&["--database", "service=socket"], &[("PGPASSFILE", open.as_str())], false),
    ] {
        let service = start(arguments, variables);
        let reply = service.get_as("bob", "/api/models");
        assert_eq!(reply.status == 200, works, "{arguments:?} {variables:?}: {}", service.log());
        let is_open = variables.iter().any(|(name, _)| *name == "PGPASSFILE");
        assert_eq!(service.log().contains("chmod 600"), is_open, "{}", service.log());
        assert!(!service.log().contains(PASSWORD));
    }

    // the server asks for a certificate in place of a password
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "api");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = params.self_signed(&key).unwrap().pem();
    write("own.pem", &own, 0o644);
    write("own.key", &key.serialize_pem(), 0o600);
    write("open.key", &key.serialize_pem(), 0o644);
    // beside the other files of the server, which its user can read
    std::fs::write(cluster.socket().join("data/clients.pem"), own).unwrap();
    let rules = "local all postgres trust\nhostssl all api all cert\n";
    std::fs::write(cluster.socket().join("data/pg_hba.conf"), rules).unwrap();
    client.batch_execute("ALTER SYSTEM SET ssl_ca_file = 'clients.pem'").unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
    let with = |key: &str| format!("service=tcp sslcert={} sslkey={}", path("own.pem"), path(key));
    let sees_certificate = start(&["--database", &with("own.key")], &[]);
    wait_for("the rules", || sees_certificate.get_as("bob", "/api/models").status == 200);
    assert_eq!(start(&["--database", "service=tcp"], &[]).get_as("bob", "/api/models").status, 503);
    let output = Service::command(&["--database", &with("open.key")])
        .env("MODEL_ACCESS_API_HS256_SECRET", SECRET)
        .env("PGSERVICEFILE", path("services"))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("must not be accessible to group or others"));
    std::fs::remove_dir_all(folder).unwrap();
}
