//! Who owns the extension's objects and who holds rights on them, after dumps, drops, and in two databases of one server.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test ends there

use postgres::Client;
use tests::{Cluster, copy_database, copy_database_with, sync};

/// Whether the health check `privileges` passes, and its detail.
fn privileges(client: &mut Client, schema: &str) -> (bool, String) {
    let query =
        format!("SELECT ok, detail FROM {schema}.model_access_health() WHERE \"check\" = 'privileges'");
    let row = client.query_one(&query, &[]).unwrap();
    (row.get(0), row.get(1))
}

fn code(client: &mut Client, sql: &str) -> Option<String> {
    client.batch_execute(sql).err().map(|error| error.code().unwrap().code().to_owned())
}

#[test]
fn two_databases_share_the_owner_and_the_last_one_can_drop_it() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client.batch_execute("CREATE DATABASE second").unwrap();
    let mut second = cluster.connect_to("second");
    second.batch_execute("CREATE EXTENSION model_access").unwrap();
    client.batch_execute("DROP EXTENSION model_access").unwrap();
    assert_eq!(
        code(&mut client, "DROP ROLE model_access_owner").as_deref(),
        Some("2BP01"),
        "second needs it"
    );
    assert_eq!(sync(&mut second).unwrap().outcome, "applied");
    assert!(privileges(&mut second, "public").0);
    second.batch_execute("DROP EXTENSION model_access; DROP ROLE model_access_owner").unwrap();
    // in a schema of its own the owner has USAGE, which DROP OWNED takes back
    client
        .batch_execute(
            "CREATE SCHEMA catalogue; CREATE EXTENSION model_access SCHEMA catalogue; DROP EXTENSION model_access;
             DROP OWNED BY model_access_owner; DROP ROLE model_access_owner",
        )
        .unwrap();
}

#[test]
fn health_names_objects_with_another_owner() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client.batch_execute("REASSIGN OWNED BY model_access_owner TO postgres").unwrap();
    let (ok, detail) = privileges(&mut client, "public");
    assert!(!ok && detail.contains("is owned by postgres"), "{detail}");
}

#[test]
fn a_restore_without_privileges_is_closed_and_can_be_repaired() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "DROP EXTENSION model_access; CREATE SCHEMA catalogue; CREATE EXTENSION model_access SCHEMA catalogue;
             CREATE ROLE app LOGIN; CREATE ROLE boss LOGIN; CREATE ROLE stranger LOGIN;
             CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text); INSERT INTO profiles VALUES ('u1', 'pro');
             SELECT catalogue.model_access_bind_profiles('profiles'), catalogue.model_access_grant('app', 'reader'),
                    catalogue.model_access_grant('boss', 'admin');
             INSERT INTO catalogue.model_access (model_id, name, provider) VALUES ('acme/one', 'One', 'acme');
             UPDATE catalogue.model_access SET status = 'active', is_pro = true",
        )
        .unwrap();
    assert_eq!(
        privileges(&mut client, "catalogue"),
        (true, "roles hold what model_access_grant gave, and nothing else".into())
    );
    for (database, options) in [
        ("plain", &[] as &[&str]),
        ("no_owner", &["--no-owner"]),
        ("no_acl", &["--no-acl"]),
        ("neither", &["--no-owner", "--no-acl"]),
    ] {
        client.batch_execute(&format!("CREATE DATABASE {database} TEMPLATE template0")).unwrap();
        copy_database_with(&cluster, "postgres", database, options);
        let mut restored = cluster.connect_to(database);
        let models = "SELECT model_id FROM catalogue.models_for_user('u1')";
        assert_eq!(restored.query_one(models, &[]).unwrap().get::<_, &str>(0), "acme/one", "{database}");
        let (ok, detail) = privileges(&mut restored, "catalogue");
        assert_eq!(ok, !options.contains(&"--no-acl"), "{database}: {detail}");
        assert!(
            ok || detail.contains("app lacks EXECUTE on ROUTINE catalogue.")
                && detail.contains("model_access_repair_privileges")
        );
        let mended = restored.query("SELECT * FROM catalogue.model_access_repair_privileges()", &[]).unwrap();
        assert_eq!(mended.is_empty(), ok, "{database}");
        assert!(privileges(&mut restored, "catalogue").0, "{database}");
        assert!(
            restored
                .query("SELECT * FROM catalogue.model_access_repair_privileges()", &[])
                .unwrap()
                .is_empty()
        );
        restored.batch_execute("SET SESSION AUTHORIZATION app").unwrap();
        restored.batch_execute(models).unwrap();
        restored.batch_execute("RESET SESSION AUTHORIZATION; SET SESSION AUTHORIZATION boss").unwrap();
        restored.batch_execute("SELECT catalogue.model_access_confirm('acme/one')").unwrap();
        restored.batch_execute("RESET SESSION AUTHORIZATION; SET SESSION AUTHORIZATION stranger").unwrap();
        for call in [
            models,
            "SELECT catalogue.model_access_confirm('acme/one')",
            "SELECT catalogue.model_access_health()",
        ] {
            assert_eq!(code(&mut restored, call).as_deref(), Some("42501"), "{database}: {call}");
        }
    }
}

#[test]
fn without_the_library_a_restore_without_privileges_lets_nobody_decide_and_can_be_repaired() {
    let cluster = Cluster::start_without_library();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE ROLE stranger LOGIN; CREATE ROLE app LOGIN;
             ALTER DEFAULT PRIVILEGES FOR ROLE keeper IN SCHEMA public GRANT ALL ON TABLES TO app;
             SET SESSION AUTHORIZATION keeper; SELECT model_access_grant('app', 'reader');
             INSERT INTO model_access (model_id, name, provider) VALUES ('acme/one', 'One', 'acme');
             UPDATE model_access SET status = 'active', is_pro = true; RESET SESSION AUTHORIZATION",
        )
        .unwrap();
    client.batch_execute("CREATE DATABASE restored TEMPLATE template0").unwrap();
    assert!(privileges(&mut client, "public").0);
    copy_database_with(&cluster, "postgres", "restored", &["--no-acl"]);
    let mut restored = cluster.connect_to("restored");
    let (ok, detail) = privileges(&mut restored, "public");
    assert!(!ok && detail.contains("PUBLIC holds EXECUTE"), "{detail}");
    restored.batch_execute("SET SESSION AUTHORIZATION stranger").unwrap();
    for call in [
        "SELECT model_access_confirm('acme/one')",
        "SELECT * FROM model_access_undo('2020-01-01', false)",
        "SELECT * FROM model_access_undo('2020-01-01')",
        "SELECT * FROM model_access_accept('acme/one')",
        "SELECT model_access_export_decisions()",
        "SELECT * FROM model_access_import_decisions('{\"format\": \"model_access_decisions\", \"version\": 1}')",
        "SELECT * FROM model_access_import_decisions('{\"format\": \"model_access_decisions\", \"version\": 1}', false)",
        "SELECT model_access_apply('{}')",
        "SELECT count(*) FROM model_access",
        "SELECT model_access_grant('stranger', 'admin')",
        "SELECT model_access_set('free_guard', 'off')",
    ] {
        assert_eq!(code(&mut restored, call).as_deref(), Some("42501"), "{call}");
    }
    restored.batch_execute("RESET SESSION AUTHORIZATION; SET SESSION AUTHORIZATION keeper").unwrap();
    restored.batch_execute("SELECT * FROM model_access_repair_privileges()").unwrap();
    let (ok, detail) = privileges(&mut restored, "public");
    assert!(ok, "{detail}");
    let status = restored.query_one("SELECT status FROM model_access", &[]).unwrap();
    assert_eq!(status.get::<_, &str>(0), "active");
}

#[test]
fn health_compares_what_a_role_holds_with_what_was_granted() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE ROLE app; CREATE ROLE other; CREATE ROLE web; SELECT model_access_grant('app', 'viewer')",
        )
        .unwrap();
    for (drift, finding) in [
        ("GRANT SELECT ON model_access TO other", "other holds SELECT on TABLE model_access"),
        ("GRANT UPDATE (pricing) ON model_access TO app", "app holds UPDATE (pricing) on TABLE model_access"),
        (
            "GRANT EXECUTE ON FUNCTION model_access_undo TO PUBLIC",
            "PUBLIC holds EXECUTE on ROUTINE model_access_undo(",
        ),
        ("REVOKE SELECT ON model_access_history FROM app", "app lacks SELECT on TABLE"),
        ("GRANT CREATE ON SCHEMA public TO web", "web may create objects in schema public"),
    ] {
        client.batch_execute(&format!("BEGIN; {drift}")).unwrap();
        let (ok, detail) = privileges(&mut client, "public");
        assert!(!ok && detail.replace("public.", "").contains(finding), "{drift}: {detail}");
        client.batch_execute("ROLLBACK").unwrap();
        assert!(privileges(&mut client, "public").0);
    }
    // a repair leaves what was granted by hand
    client
        .batch_execute(
            "GRANT SELECT ON model_access TO other; SELECT * FROM model_access_repair_privileges()",
        )
        .unwrap();
    assert!(privileges(&mut client, "public").1.contains("other holds SELECT"));
    // a dump includes grants and model_access_granted, each once
    client.batch_execute("REVOKE ALL ON model_access FROM other").unwrap();
    client.batch_execute("CREATE DATABASE restored").unwrap();
    copy_database(&cluster, "postgres", "restored");
    let mut restored = cluster.connect_to("restored");
    assert!(privileges(&mut restored, "public").0);
    // a dropped role does not fail the check; a new role with its name gets nothing
    restored.batch_execute("SELECT * FROM model_access_repair_privileges(); DROP OWNED BY app").unwrap();
    client.batch_execute("DROP OWNED BY app; DROP ROLE app; CREATE ROLE app").unwrap();
    for client in [&mut client, &mut restored] {
        assert!(privileges(client, "public").0);
        assert!(client.query("SELECT * FROM model_access_repair_privileges()", &[]).unwrap().is_empty());
    }
    // a renamed role keeps its rights
    client
        .batch_execute("SELECT model_access_grant('app', 'job'); ALTER ROLE app RENAME TO nightly")
        .unwrap();
    assert!(privileges(&mut client, "public").0);
    client.batch_execute("SELECT model_access_revoke('nightly')").unwrap();
    let left =
        client.query_one("SELECT count(*) FROM model_access_granted WHERE rights = 'job'", &[]).unwrap();
    assert_eq!(left.get::<_, i64>(0), 0);
}
