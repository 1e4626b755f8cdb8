//! A database with everything that a dump, a restore or pg_upgrade must keep, and how to compare it afterwards.

use crate::snapshot;
use postgres::Client;

/// What an extension dumps.
const TABLES: &str = "SELECT r.relname::text FROM pg_extension AS e
    CROSS JOIN LATERAL unnest(e.extconfig) AS c(id) JOIN pg_class AS r ON r.oid = c.id
    WHERE e.extname = 'model_access' AND r.relkind = 'r' ORDER BY 1";

/// Fills a database that has models: decisions, a rule, a setting, grants, overrides with their history, a bound table of
/// users with a retired column, and a foreign key.
///
/// # Panics
/// If a statement fails.
pub fn fill(client: &mut Client, users: usize) {
    for statement in [
        "CREATE TABLE users (id integer PRIMARY KEY, plan text NOT NULL, allowed_models text[])".to_owned(),
        format!("INSERT INTO users SELECT i, 'pro', ARRAY['openai/gpt-5'] FROM generate_series(1, {users}) AS i"),
        "SELECT model_access_bind_profiles('users', tier_column => 'plan')".to_owned(),
        // a table of the application may refer to a model
        "CREATE TABLE used (id integer REFERENCES users, model_id text REFERENCES model_access)".to_owned(),
        "INSERT INTO used SELECT id, 'openai/gpt-5' FROM users".to_owned(),
        "UPDATE model_access SET status = 'active', is_pro = true".to_owned(),
        "INSERT INTO model_access_rule (position, pattern, is_free) VALUES (10, '%:free', true)".to_owned(),
        "SELECT model_access_set('return_window', '3 days')".to_owned(),
        "SELECT model_access_grant('ops', 'admin')".to_owned(),
        // with their history: twice as many rows
        format!(
            "INSERT INTO model_access_override (user_id, model_id, allowed)
             SELECT i::text, (ARRAY['openai/gpt-5', 'openai/gpt-5-mini'])[1 + i % 2], i % 3 = 0 FROM generate_series(1, {users}) AS i"
        ),
        "UPDATE model_access_override SET note = 'seen'".to_owned(),
        "CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN NEW.allowed_models := '{}'; RETURN NEW; END $$".to_owned(),
        "CREATE TRIGGER fill BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION fill()".to_owned(),
        "SELECT model_access_retire_allowed_models('users', accept => ARRAY(
             SELECT object FROM model_access_retire_allowed_models('users') WHERE action = 'manual'), dry_run => false)".to_owned(),
    ] {
        client.batch_execute(&statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

/// The number of rows of each table, and a hash of them.
pub type Contents = Vec<(String, i64, i64)>;

/// The contents of these tables.
///
/// # Panics
/// If one cannot be read.
#[must_use]
pub fn contents(client: &mut Client, tables: &[String]) -> Contents {
    let mut contents = Vec::new();
    for table in tables {
        let rows =
            format!("SELECT count(*), coalesce(bit_xor(hashtextextended(t::text, 0)), 0) FROM {table} AS t");
        let row = client.query_one(&rows, &[]).expect("the rows");
        contents.push((table.clone(), row.get(0), row.get(1)));
    }
    contents
}

/// The tables of a database that [`fill`] filled, on the extension. Asserts that each has rows to lose.
///
/// # Panics
/// If one has too few rows.
#[must_use]
pub fn tables(client: &mut Client, users: usize) -> Vec<String> {
    let own = client.query(TABLES, &[]).expect("the tables");
    let mut tables: Vec<String> = own.iter().map(|row| row.get(0)).collect();
    assert!(tables.len() > 7, "{tables:?}");
    tables.extend(["users".to_owned(), "used".to_owned()]);
    for (table, count, _) in contents(client, &tables) {
        let least = match table.as_str() {
            "model_access_history" => 2 * users,
            "model_access_override" | "users" | "used" => users,
            _ => 1,
        };
        assert!(usize::try_from(count).expect("a number") >= least, "{table} has rows to lose: {count}");
    }
    tables
}

/// Asserts that a database that [`fill`] filled works in its new place. `sync` runs a sync there and returns its outcome.
///
/// # Panics
/// If it does not.
pub fn assert_works(client: &mut Client, sync: impl FnOnce(&mut Client) -> String) {
    let rows = snapshot(client);
    assert_eq!(sync(client), "unchanged");
    assert_eq!(snapshot(client), rows);
    let failing =
        "SELECT coalesce(string_agg(concat_ws(': ', \"check\", detail), '; '), '') FROM model_access_health()
        WHERE NOT ok AND \"check\" NOT IN ('review', 'tiers', 'free_revoked', 'expiring')";
    assert_eq!(client.query_one(failing, &[]).expect("health").get::<_, &str>(0), "");
    // the role of the grant, the bound table, the override of a user, and the foreign key
    let allowed = "SELECT string_agg(model_allowed_for_user(u, 'openai/gpt-5')::text, ' ' ORDER BY u)
        FROM unnest('{1,2,6}'::text[]) AS u";
    assert_eq!(client.query_one(allowed, &[]).expect("the users").get::<_, &str>(0), "true false true");
    let last = "SELECT max(history_id), (SELECT max(override_id) FROM model_access_override) FROM model_access_history";
    let last = client.query_one(last, &[]).expect("the history");
    for statement in [
        "SET ROLE ops",
        "UPDATE model_access SET status = 'inactive' WHERE model_id = 'openai/gpt-5-nano'",
        "SELECT model_access_confirm('openai/gpt-5')",
        "INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('1', 'openai/gpt-5', true)",
        "RESET ROLE",
        "UPDATE users SET plan = 'free' WHERE id = 1",
    ] {
        client.batch_execute(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let next =
        "SELECT (SELECT count(*) FROM model_access_history WHERE history_id > $1 AND actor_role = 'ops'),
        (SELECT count(*) FROM model_access_override WHERE override_id > $2)";
    let next =
        client.query_one(next, &[&last.get::<_, i64>(0), &last.get::<_, i64>(1)]).expect("the history");
    let next = (next.get::<_, i64>(0), next.get::<_, i64>(1));
    assert!(next.0 >= 2 && next.1 == 1, "{next:?}");
    let error = client.batch_execute("INSERT INTO used VALUES (1, 'none/such')").expect_err("a foreign key");
    assert_eq!(error.code().expect("an error of the server").code(), "23503");
    // the retired column
    let restore = "SELECT action FROM model_access_restore_allowed_models('users', dry_run => false)";
    assert!(!client.query(restore, &[]).expect("the column").is_empty());
}
