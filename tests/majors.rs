//! pg_upgrade from an older major, and what only newer majors have.

#![allow(clippy::unwrap_used, clippy::panic)] // a test ends there

use postgres::Client;
use std::process::Command;
use tests::filled::{assert_works, contents, fill, tables};
use tests::{Cluster, heard, push_program, repository, snapshot, sync};

/// The pg_config of the server that is upgraded: scripts/test-upgrade names it.
fn old_server() -> String {
    std::env::var("MODEL_ACCESS_OLD_PG_CONFIG").unwrap_or_else(|_| panic!("make test-upgrade runs this"))
}

fn version(client: &mut Client) -> i32 {
    client.query_one("SELECT current_setting('server_version_num')::integer / 10000", &[]).unwrap().get(0)
}

/// What docs/operations.md says to do before pg_upgrade on Debian's PostgreSQL 15.
fn prepare(client: &mut Client) {
    let page = std::fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let (_, rest) = page.split_once("SET LOCAL allow_system_table_mods").unwrap();
    let (statements, _) = rest.split_once("COMMIT").unwrap();
    client.batch_execute(&format!("BEGIN; SET LOCAL allow_system_table_mods{statements}COMMIT")).unwrap();
}

/// Runs a push of the list that the cluster serves, and returns its outcome.
fn push(cluster: &Cluster) -> String {
    let output = Command::new(push_program())
        .args(["push", "--url", &cluster.upstream.url("")])
        .env("PGHOST", cluster.socket())
        .envs([("PGUSER", "keeper"), ("PGDATABASE", "postgres")])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    printed.split(':').next().unwrap_or_default().to_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
#[ignore = "needs two servers; make test-upgrade runs it"]
fn pg_upgrade_keeps_everything() {
    let old = Cluster::start_on(&old_server());
    let mut client = old.connect();
    client.batch_execute("CREATE EXTENSION model_access; CREATE ROLE ops").unwrap();
    sync(&mut client).unwrap();
    fill(&mut client, 100);
    let tables = tables(&mut client, 100);
    let before = contents(&mut client, &tables);
    let major = version(&mut client);
    prepare(&mut client);
    drop(client);
    let upgraded = old.upgraded();
    let mut client = upgraded.connect();
    assert!(version(&mut client) > major);
    assert_eq!(contents(&mut client, &tables), before);
    assert_works(&mut client, |client| sync(client).unwrap().outcome);
}

#[test]
#[ignore = "needs two servers; make test-upgrade runs it"]
fn pg_upgrade_keeps_everything_without_the_library() {
    let old = Cluster::start_on(&old_server());
    old.install_without_library();
    let mut client = old.connect();
    client.batch_execute("CREATE ROLE ops").unwrap();
    assert_eq!(push(&old), "applied");
    // the owner of the tables owns the users too
    client.batch_execute("GRANT ops TO keeper; SET SESSION AUTHORIZATION keeper").unwrap();
    fill(&mut client, 100);
    let tables =
        ["model_access", "model_access_history", "model_access_override", "model_access_binding", "used"]
            .map(str::to_owned);
    let before = contents(&mut client, &tables);
    client.batch_execute("RESET SESSION AUTHORIZATION").unwrap();
    prepare(&mut client);
    drop(client);
    let upgraded = old.upgraded();
    let mut client = upgraded.connect();
    client.batch_execute("SET SESSION AUTHORIZATION keeper").unwrap();
    assert_eq!(contents(&mut client, &tables), before);
    assert_works(&mut client, |_| push(&upgraded));
}

#[test]
fn a_virtual_column_is_a_tier_but_no_column_of_the_enforcing_trigger() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    if version(&mut client) < 18 {
        return; // it has no virtual columns
    }
    client
        .batch_execute(
            "INSERT INTO model_access (model_id, name, provider) VALUES ('acme/one', 'One', 'acme');
             UPDATE model_access SET status = 'active', is_pro = true;
             CREATE TABLE profiles (id text PRIMARY KEY, plan text, tier text GENERATED ALWAYS AS (lower(plan)) VIRTUAL);
             INSERT INTO profiles VALUES ('one', 'PRO'), ('two', 'FREE');
             SELECT model_access_bind_profiles('profiles', tier_column => 'tier');
             CREATE TABLE messages (user_id text, wanted text, model_id text GENERATED ALWAYS AS (lower(wanted)) VIRTUAL);
             CREATE TRIGGER enforce AFTER INSERT OR UPDATE ON messages
                 FOR EACH ROW EXECUTE FUNCTION model_access_enforce('user_id', 'model_id')",
        )
        .unwrap();
    let allowed =
        "SELECT string_agg(model_allowed_for_user(id, 'acme/one')::text, ' ' ORDER BY id) FROM profiles";
    assert_eq!(client.query_one(allowed, &[]).unwrap().get::<_, &str>(0), "true false");
    let mut listener = cluster.connect();
    listener.batch_execute("LISTEN model_access").unwrap();
    client.batch_execute("UPDATE profiles SET plan = 'PRO' WHERE id = 'two'").unwrap();
    assert_eq!(heard(&mut listener).len(), 1);
    assert_eq!(client.query_one(allowed, &[]).unwrap().get::<_, &str>(0), "true true");
    // a trigger sees NULL in the column, which must not count as a row without a model
    let error = client.batch_execute("INSERT INTO messages VALUES ('two', 'none/such')").unwrap_err();
    assert_eq!(error.code().unwrap().code(), "0A000", "{error}");
}

#[test]
fn maintain_gives_no_row_and_health_names_it() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    if version(&mut client) < 17 {
        return; // it has no such privilege
    }
    client
        .batch_execute(
            "INSERT INTO model_access (model_id, name, provider) VALUES ('acme/one', 'One', 'acme');
             CREATE ROLE caretaker; GRANT MAINTAIN ON ALL TABLES IN SCHEMA public TO caretaker",
        )
        .unwrap();
    let before = snapshot(&mut client);
    client.batch_execute("SET ROLE caretaker").unwrap();
    for statement in ["VACUUM model_access", "ANALYZE model_access", "REINDEX TABLE model_access"] {
        client.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    for statement in [
        "SELECT FROM model_access",
        "UPDATE model_access SET status = 'active'",
        "DELETE FROM model_access_history",
        "TRUNCATE model_access_override",
        "SELECT model_access_sync()",
    ] {
        let error = client.batch_execute(statement).unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42501", "{statement}");
    }
    client.batch_execute("RESET ROLE").unwrap();
    assert_eq!(snapshot(&mut client), before);
    let privileges = "SELECT detail FROM model_access_health() WHERE \"check\" = 'privileges'";
    let detail: String = client.query_one(privileges, &[]).unwrap().get(0);
    assert!(detail.contains("caretaker holds MAINTAIN on TABLE"), "{detail}");
    client.batch_execute("SELECT model_access_revoke('caretaker')").unwrap();
    let detail: String = client.query_one(privileges, &[]).unwrap().get(0);
    assert!(!detail.contains("caretaker"), "{detail}");
}

#[test]
fn a_member_of_the_owner_counts_whatever_the_options_of_its_membership() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    if version(&mut client) < 16 {
        return; // memberships have no options
    }
    // a role with CREATEROLE gets ADMIN, without INHERIT and SET, on the roles that it creates
    client
        .batch_execute(
            "DROP EXTENSION model_access; DROP ROLE model_access_owner; CREATE ROLE maker CREATEROLE;
             SET ROLE maker; CREATE ROLE model_access_owner; RESET ROLE",
        )
        .unwrap();
    let error = client.batch_execute("CREATE EXTENSION model_access").unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "55000");
    assert!(error.detail().unwrap().contains("Its members: maker"), "{error:?}");
    client
        .batch_execute(
            "REVOKE model_access_owner FROM maker; CREATE EXTENSION model_access;
             GRANT model_access_owner TO maker WITH INHERIT FALSE, SET FALSE",
        )
        .unwrap();
    let privileges = "SELECT detail FROM model_access_health() WHERE \"check\" = 'privileges'";
    let detail: String = client.query_one(privileges, &[]).unwrap().get(0);
    assert!(detail.contains("maker is a member of model_access_owner"), "{detail}");
}
