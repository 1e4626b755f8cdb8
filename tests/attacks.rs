//! Roles with limited rights try to have their code run with the rights of another role: the owner of the bound table, a role
//! that may create objects beside the extension, a role that was granted too much. None of them succeeds.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test ends there

use postgres::Client;
use postgres::error::DbError;
use std::sync::mpsc::Receiver;
use tests::Cluster;

/// An application as in the README: an owner of its tables, a role that may create objects, users with tiers.
const APPLICATION: &str = r#"
    CREATE ROLE appowner LOGIN; CREATE ROLE creator LOGIN; CREATE ROLE app LOGIN; CREATE ROLE boss LOGIN;
    SELECT model_access_load('{"data": [{"id": "a/one", "name": "One", "pricing": {"prompt": "0.000001", "completion": "0.000002"}},
                                        {"id": "a/two", "name": "Two", "pricing": {"prompt": "0", "completion": "0"}}]}');
    UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'a/one';
    CREATE SCHEMA app AUTHORIZATION appowner;
    SET ROLE appowner;
    CREATE TABLE app.profiles (id text PRIMARY KEY, subscription_tier text, allowed_models text[]);
    INSERT INTO app.profiles VALUES ('alice', 'free', '{a/one}'), ('bob', 'pro', '{a/two}'), ('carol', 'gold', NULL);
    CREATE TABLE app.messages (user_id text, model_id text);
    -- says who runs it; planted wherever the planner or the executor calls something
    CREATE FUNCTION app.say(what text) RETURNS integer LANGUAGE plpgsql VOLATILE AS
        $$ BEGIN RAISE WARNING '% ran as %', what, current_user; RETURN 1; END $$;
    GRANT USAGE ON SCHEMA app TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA app TO PUBLIC;
    RESET ROLE;
    SELECT model_access_bind_profiles('app.profiles');
    SELECT model_access_grant('app', 'reader'), model_access_grant('boss', 'admin');
    INSERT INTO model_access_rule (position, is_pro) VALUES (1, true);
    CREATE TRIGGER enforce BEFORE INSERT ON app.messages FOR EACH ROW EXECUTE FUNCTION model_access_enforce('user_id', 'model_id')"#;

/// Everything that a superuser does with the extension in daily work.
const WORKFLOWS: &[&str] = &[
    "SELECT * FROM models_for_user('bob')",
    "SELECT model_allowed_for_user('bob', 'a/one')",
    "SELECT * FROM model_access_explain_for_user('bob', 'a/one')",
    "SELECT * FROM model_access_user('bob')",
    "SELECT set_config('request.jwt.claims', '{\"sub\": \"bob\"}', true), (SELECT count(*) FROM models_for_me())",
    "SELECT * FROM models_for_tier('pro'), model_access_explain('pro', 'a/one')",
    "SELECT model_allowed('pro', 'a/one')",
    "SELECT * FROM model_access_health()",
    "SELECT * FROM model_access_review, model_access_settings",
    "SELECT * FROM models_for_tier_as_of('pro', now())",
    "INSERT INTO app.messages VALUES ('bob', 'a/one')",
    "UPDATE app.messages SET model_id = 'a/one'",
    "INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('bob', 'a/two', false)",
    "DELETE FROM model_access_override",
    "SELECT model_access_bind_profiles('app.profiles')",
    "SELECT model_access_bind_profiles('app.profiles', tier_map => '{\"pro\": \"pro\"}', notify => false)",
    "SELECT * FROM model_access_import_allowed_models('app.profiles')",
    "SELECT * FROM model_access_import_allowed_models('app.profiles', dry_run => false)",
    "UPDATE model_access SET note = 'x', status = 'inactive' WHERE model_id = 'a/one'",
    "SELECT model_access_confirm('a/one')",
    "SELECT * FROM model_access_accept('a/two')",
    "SELECT * FROM model_access_undo(now() - interval '1 hour')",
    "SELECT * FROM model_access_undo(now() - interval '1 second', false)",
    "SELECT * FROM model_access_import_decisions((SELECT model_access_export_decisions(true, true)) || e'\\n{\"rule\": 99, \"tiers\": [\"pro\"]}\\n{\"override\": \"bob\", \"provider\": \"a\", \"allowed\": true}')",
    "SELECT * FROM model_access_import_decisions((SELECT model_access_export_decisions(true, true)) || e'\\n{\"rule\": 99, \"tiers\": [\"pro\"]}\\n{\"override\": \"bob\", \"provider\": \"a\", \"allowed\": true}', false)",
    "SELECT * FROM model_access_load('[{\"id\": \"a/one\", \"name\": \"Uno\"}]', max_removals => 1)",
    "SELECT * FROM model_access_preview('[{\"id\": \"a/one\", \"name\": \"Ein\"}]')",
    "SELECT outcome FROM model_access_sync()",
    "SELECT model_access_set('return_window', '3 days')",
    "SELECT model_access_grant('app', 'viewer')",
    "SELECT * FROM model_access_repair_privileges()",
    "SELECT model_access_revoke('app')",
    "SELECT model_access_unbind_profiles()",
    "SELECT * FROM model_access_retire_allowed_models('app.profiles')",
    "SELECT * FROM model_access_retire_allowed_models('app.profiles', dry_run => false)",
    "SELECT * FROM model_access_restore_allowed_models('app.profiles')",
    "SELECT * FROM model_access_restore_allowed_models('app.profiles', dry_run => false)",
    "SELECT * FROM model_access_retire_allowed_models('app.profiles', dry_run => false)",
    "SELECT * FROM model_access_drop_retired_column('app.profiles')",
    "SELECT * FROM model_access_drop_retired_column('app.profiles', dry_run => false)",
];

struct Stage {
    cluster: Cluster,
    superuser: Client,
    heard: Receiver<DbError>,
}

impl Stage {
    fn set() -> Self {
        let cluster = Cluster::start();
        let (mut superuser, heard) = cluster.hearing("");
        superuser.batch_execute(APPLICATION).unwrap();
        let mut stage = Self { cluster, superuser, heard };
        stage.ran();
        stage
    }

    fn as_role(&self, role: &str, sql: &str) -> Result<(), postgres::Error> {
        let mut client = self.cluster.connect();
        client.batch_execute(&format!("SET SESSION AUTHORIZATION {role}")).unwrap();
        client.batch_execute(sql)
    }

    fn plant(&self, role: &str, sql: &str) {
        self.as_role(role, sql).unwrap_or_else(|error| panic!("{sql}: {:?}", error.as_db_error()));
    }

    /// What planted code has reported since the last call: which role ran it.
    fn ran(&mut self) -> Vec<String> {
        self.superuser.batch_execute("SELECT 1").unwrap();
        let mut ran: Vec<String> = self
            .heard
            .try_iter()
            .map(|notice| notice.message().to_owned())
            .filter(|message| message.contains(" ran as "))
            .collect();
        ran.dedup();
        ran
    }

    /// Runs every workflow as superuser. Returns the roles that planted code ran as, other than the owner of the tables.
    fn work(&mut self) -> Vec<String> {
        for workflow in WORKFLOWS {
            let answer = self.superuser.batch_execute(&format!("BEGIN; {workflow}; COMMIT"));
            if answer.is_err() {
                self.superuser.batch_execute("ROLLBACK").unwrap();
            }
            // planted code may break calls that read the table, but no others
            let reads_it = ["user", "me()", "profiles", "messages", "override"]
                .iter()
                .any(|word| workflow.contains(word));
            assert!(reads_it || answer.is_ok(), "{workflow}: {answer:?}");
        }
        self.ran().into_iter().filter(|message| !message.ends_with(" ran as appowner")).collect()
    }

    /// Runs these calls, and returns what planted code and errors reported.
    fn hits(&mut self, calls: &[&str]) -> Vec<String> {
        let mut hits = Vec::new();
        for call in calls {
            if let Err(error) = self.superuser.batch_execute(call) {
                let error = error.as_db_error().unwrap();
                hits.push(format!("{call}: {} {}", error.message(), error.where_().unwrap_or_default()));
            }
            hits.extend(self.ran().into_iter().map(|message| format!("{call}: {message}")));
        }
        hits
    }

    fn assert_no_escalation(&mut self) {
        let query = "SELECT string_agg(rolname, ', ') FROM pg_catalog.pg_roles WHERE rolsuper AND rolname <> 'postgres'";
        assert_eq!(self.superuser.query_one(query, &[]).unwrap().get::<_, Option<String>>(0), None);
        let session = "SELECT current_user::text, current_setting('search_path'), current_setting('role'),
            (SELECT count(*) FROM pg_catalog.pg_prepared_statements WHERE name = 'q'), pg_catalog.to_regclass('pg_temp.planted') IS NULL";
        let row = self.superuser.query_one(session, &[]).unwrap();
        let found = (row.get(0), row.get(1), row.get(2), row.get::<_, i64>(3), row.get(4));
        assert_eq!(found, ("postgres", "\"$user\", public", "none", 0, true));
    }
}

/// An IMMUTABLE call that the planner evaluates for every query on the table.
const IMMUTABLE: &str = "CREATE FUNCTION app.evil(what text) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN RETURN app.say(what); END $$;";

#[test]
fn code_that_the_planner_evaluates_runs_as_the_table_owner() {
    // what is planted, and whether reading the table always runs it
    for (planted, surely) in [
        ("CREATE INDEX ON app.profiles ((app.evil('an index')))", true),
        ("CREATE INDEX ON app.profiles (id) WHERE app.evil('a predicate') = 1", true),
        ("CREATE STATISTICS app.s ON (app.evil('statistics')), id FROM app.profiles", true),
        ("ALTER TABLE app.profiles ADD CHECK (app.evil('a check') = 1)", false),
        (
            "ALTER TABLE app.profiles ADD more integer GENERATED ALWAYS AS (app.evil('a generated column')) STORED",
            false,
        ),
        (
            "ALTER TABLE app.profiles ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON app.profiles USING (app.say('a policy') = 1)",
            false,
        ),
        (
            "ALTER TABLE app.profiles ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
             CREATE POLICY p ON app.profiles USING (app.say('a forced policy') = 1)",
            false,
        ),
    ] {
        let mut stage = Stage::set();
        stage.plant("appowner", &format!("{IMMUTABLE} {planted}"));
        stage.superuser.batch_execute("SELECT * FROM models_for_user('bob')").unwrap();
        assert_eq!(!stage.ran().is_empty(), surely, "{planted}");
        assert_eq!(stage.work(), [""; 0], "{planted}");
        stage.assert_no_escalation();
    }
}

#[test]
fn code_of_the_bound_table_never_runs_with_other_rights() {
    for becomes in [
        // a partitioned table with an index on a partition
        "DROP TABLE app.profiles; CREATE TABLE app.profiles (id text, subscription_tier text, allowed_models text[]) PARTITION BY HASH (id);
         CREATE TABLE app.leaf PARTITION OF app.profiles FOR VALUES WITH (MODULUS 1, REMAINDER 0); CREATE INDEX ON app.profiles (id);
         INSERT INTO app.profiles VALUES ('bob', 'pro', NULL); CREATE INDEX ON app.leaf ((app.evil('a leaf')))",
        // another child table, with code in its index
        "CREATE TABLE app.heir () INHERITS (app.profiles); CREATE INDEX ON app.heir ((app.evil('an heir')))",
        // a tier whose type has a user-defined cast
        "CREATE TYPE app.plan AS ENUM ('free', 'pro', 'gold');
         CREATE FUNCTION app.name(app.plan) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM app.say('a cast'); RETURN 'pro'; END $$;
         CREATE CAST (app.plan AS text) WITH FUNCTION app.name(app.plan) AS IMPLICIT;
         DROP TRIGGER model_access_announce_change ON app.profiles; UPDATE app.profiles SET subscription_tier = 'pro';
         ALTER TABLE app.profiles ALTER subscription_tier TYPE app.plan USING subscription_tier::app.plan",
        // operators, functions and casts with the names that a lookup uses
        "CREATE FUNCTION app.eq(text, text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN app.say('an operator') = 1; END $$;
         CREATE OPERATOR app.= (LEFTARG = text, RIGHTARG = text, FUNCTION = app.eq);
         CREATE FUNCTION app.concat(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM app.say('concat'); RETURN 'pro'; END $$;
         ALTER ROLE appowner SET search_path = app, pg_catalog",
        // a domain with a CHECK
        "CREATE DOMAIN app.tier AS text CHECK (app.say('a domain') = 1);
         DROP TRIGGER model_access_announce_change ON app.profiles; ALTER TABLE app.profiles ALTER subscription_tier TYPE app.tier",
        // a view in place of the table
        "ALTER TABLE app.profiles RENAME TO kept; CREATE VIEW app.profiles AS SELECT id, subscription_tier, allowed_models FROM app.kept WHERE app.say('a view') = 1",
    ] {
        let mut stage = Stage::set();
        stage.plant("appowner", &format!("{IMMUTABLE} {becomes}"));
        assert_eq!(stage.work(), [""; 0], "{becomes}");
        stage.assert_no_escalation();
    }
}

#[test]
fn a_changed_row_of_the_bound_table_runs_no_cast_of_its_owner() {
    for rename in ["", "ALTER TABLE app.profiles RENAME id TO key"] {
        let mut stage = Stage::set();
        stage.plant(
            "appowner",
            &format!(
                "CREATE TYPE app.key AS ENUM ('alice', 'bob', 'carol');
                 CREATE FUNCTION app.spell(app.key) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM app.say('a cast'); RETURN 'x'; END $$;
                 CREATE CAST (app.key AS text) WITH FUNCTION app.spell(app.key) AS IMPLICIT;
                 DROP TRIGGER model_access_announce_change ON app.profiles;
                 ALTER TABLE app.profiles ALTER id TYPE app.key USING id::app.key; {rename}"
            ),
        );
        stage.superuser.batch_execute("DELETE FROM app.profiles WHERE subscription_tier = 'pro'").unwrap();
        assert_eq!(stage.ran(), [""; 0], "{rename}");
    }
}

#[test]
fn a_table_that_became_a_view_gives_no_tier() {
    let mut stage = Stage::set();
    stage
        .superuser
        .batch_execute(
            "SET ROLE appowner; CREATE TABLE app.empty (id text, subscription_tier text); CREATE INDEX i ON app.empty (id); RESET ROLE;
             SELECT model_access_bind_profiles('app.empty', notify => false)",
        )
        .unwrap();
    // PostgreSQL 15 makes a view of a table with such a rule; later versions refuse the rule
    let rule = "DROP INDEX app.i; CREATE RULE \"_RETURN\" AS ON SELECT TO app.empty DO INSTEAD
        SELECT 'bob'::text AS id, 'pro'::text AS subscription_tier WHERE app.say('a rule') = 1";
    if stage.as_role("appowner", rule).is_ok() {
        let known = stage.superuser.query_one("SELECT known FROM model_access_user('bob')", &[]).unwrap();
        assert!(!known.get::<_, bool>(0));
        assert_eq!(stage.work(), [""; 0]);
    }
}

#[test]
fn code_of_the_table_owner_has_no_effect_on_the_session() {
    let mut stage = Stage::set();
    stage.superuser.batch_execute("PREPARE q AS SELECT 1; DEALLOCATE q").unwrap();
    stage.plant(
        "appowner",
        "CREATE TABLE app.queue (n integer); CREATE FUNCTION app.later() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM app.say('a deferred trigger'); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER later AFTER INSERT ON app.queue DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION app.later();
         CREATE FUNCTION app.try(command text) RETURNS void LANGUAGE plpgsql VOLATILE AS $$ BEGIN
             EXECUTE command; EXCEPTION WHEN OTHERS THEN NULL; END $$;
         CREATE FUNCTION app.all_of_it() RETURNS integer LANGUAGE plpgsql VOLATILE AS $$ BEGIN
             PERFORM app.try(c) FROM unnest(ARRAY[
                 'RESET ROLE; SELECT app.say(''after RESET ROLE'')', 'SET ROLE NONE; SELECT app.say(''after SET ROLE'')',
                 'SET SESSION AUTHORIZATION DEFAULT; SELECT app.say(''after SET SESSION AUTHORIZATION'')',
                 'SELECT set_config(''role'', ''none'', false), app.say(''after set_config'')',
                 'SELECT set_config(''search_path'', ''app'', false)', 'SELECT set_config(''row_security'', ''off'', false)',
                 'PREPARE q AS SELECT app.say(''a prepared statement'')', 'CREATE TEMP TABLE planted (n integer)',
                 'DECLARE c CURSOR WITH HOLD FOR SELECT app.say(''a cursor'')', 'LISTEN planted', 'DISCARD ALL',
                 'INSERT INTO app.queue VALUES (1)', 'ALTER ROLE appowner SUPERUSER',
                 'ALTER FUNCTION public._model_access_user(text) SECURITY INVOKER', 'SELECT * FROM public.models_for_user(''bob'')']) AS c;
             RETURN 1; END $$;
         CREATE FUNCTION app.evil() RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN app.all_of_it(); END $$;
         CREATE INDEX ON app.profiles ((app.evil()))",
    );
    assert_eq!(stage.work(), [""; 0]);
    stage.assert_no_escalation();
}

#[test]
fn a_lookup_within_a_lookup_is_safe() {
    let mut stage = Stage::set();
    // the owner of the table calls the lookup in its own code, renames its schema in it, and sometimes raises an error
    stage.superuser.batch_execute("SELECT model_access_grant('appowner', 'reader')").unwrap();
    stage.plant(
        "appowner",
        "CREATE SEQUENCE app.n;
         CREATE FUNCTION app.again() RETURNS integer LANGUAGE plpgsql VOLATILE AS $$ BEGIN
             IF current_setting('app.armed', true) IS DISTINCT FROM 'yes' THEN RETURN 1; END IF;
             IF nextval('app.n') % 7 = 0 THEN RAISE EXCEPTION 'enough'; END IF;
             IF currval('app.n') % 3 < 2 THEN PERFORM public.models_for_user('alice'); END IF;
             RETURN 1; END $$;
         CREATE FUNCTION app.evil() RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN app.again(); END $$;
         CREATE INDEX ON app.profiles ((app.evil()))",
    );
    stage.superuser.batch_execute("SET app.armed = 'yes'").unwrap();
    let mut answered = 0;
    for _ in 0..200 {
        let answer = stage.superuser.query_one("SELECT count(*) FROM models_for_user('bob')", &[]);
        if let Ok(row) = answer {
            assert_eq!(row.get::<_, i64>(0), 1);
            answered += 1;
        }
        stage.superuser.batch_execute("SET search_path = public; RESET search_path").unwrap();
    }
    assert!(answered > 20, "{answered}");
    stage.assert_no_escalation();
}

#[test]
fn a_schema_named_cron_is_not_pg_cron() {
    let mut stage = Stage::set();
    stage.superuser.batch_execute("GRANT CREATE ON DATABASE postgres TO creator").unwrap();
    stage.plant(
        "creator",
        "CREATE SCHEMA cron; GRANT USAGE ON SCHEMA cron TO PUBLIC;
         CREATE FUNCTION cron.x(what text) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING '% ran as %', what, current_user; RETURN 1; END $$;
         CREATE VIEW cron.job AS SELECT cron.x('a view') AS jobid, true AS active, '* * * * *' AS schedule, 'model_access' AS jobname, current_database() AS database;
         CREATE TABLE cron.job_run_details (jobid bigint, runid bigint, status text, return_message text);
         GRANT ALL ON ALL TABLES IN SCHEMA cron TO PUBLIC;
         CREATE FUNCTION cron.unschedule(bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT cron.x('unschedule') = 1 $$;
         CREATE FUNCTION cron.schedule_in_database(text, text, text, text, text, boolean) RETURNS bigint LANGUAGE sql AS $$ SELECT cron.x('schedule') $$",
    );
    for call in ["SELECT model_access_schedule()", "SELECT model_access_unschedule()"] {
        let error = stage.superuser.batch_execute(call).unwrap_err();
        assert_eq!(error.code().unwrap().code(), "0A000", "{call}");
    }
    assert_eq!(stage.work(), [""; 0]);
    stage.assert_no_escalation();
}

#[test]
fn members_of_predefined_roles_alter_nothing() {
    let stage = Stage::set();
    let mut client = stage.cluster.connect();
    client
        .batch_execute("GRANT pg_checkpoint, pg_read_all_data, pg_write_all_data, pg_monitor TO creator")
        .unwrap();
    let functions = "SELECT p.oid::regprocedure::text FROM pg_proc AS p WHERE p.proname ~ '^_?models?_(access|allowed|for)' AND p.prokind = 'f'";
    for row in client.query(functions, &[]).unwrap() {
        let alter = format!("ALTER FUNCTION {} SECURITY INVOKER", row.get::<_, &str>(0));
        assert_eq!(stage.as_role("creator", &alter).unwrap_err().code().unwrap().code(), "42501", "{alter}");
    }
    // pg_write_all_data allows writing all data, except what only the owner writes
    for statement in [
        "UPDATE model_access SET last_run_id = 99, status = 'active', is_free = true",
        "UPDATE model_access SET pricing = '{}'",
        "INSERT INTO model_access (model_id) VALUES ('mine/own')",
        "DELETE FROM model_access",
        "UPDATE model_access_history SET actor = 'postgres'",
        "INSERT INTO model_access_binding VALUES ('pg_class', 'relname', 'relname', NULL, false, 'text', 1259, 2, 2)",
        "UPDATE model_access_binding SET tier_map = '{\"gold\": \"enterprise\"}'",
        "DELETE FROM model_access_setting",
        "INSERT INTO model_access_granted VALUES ('creator', 'admin', 0, 0)",
        "DELETE FROM model_access_sync_log",
    ] {
        assert_eq!(
            stage.as_role("creator", statement).unwrap_err().code().unwrap().code(),
            "42501",
            "{statement}"
        );
    }
}

#[test]
fn a_role_with_every_grant_cannot_act_as_a_sync_and_health_names_it() {
    let mut stage = Stage::set();
    stage.superuser.batch_execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO creator").unwrap();
    let forged = "UPDATE model_access SET status = 'active', is_free = true, last_run_id = 99";
    assert_eq!(stage.as_role("creator", forged).unwrap_err().code().unwrap().code(), "42501");
    // as if it were from a restored dump, which is not recorded; or by somebody else
    for (column, value) in [("created_at", "2020-01-01"), ("created_by", "boss")] {
        let forged = format!(
            "INSERT INTO model_access_override (user_id, model_id, allowed, override_id, {column}) VALUES ('bob', 'a/one', true, 99, '{value}')"
        );
        assert_eq!(
            stage.as_role("creator", &forged).unwrap_err().code().unwrap().code(),
            "42501",
            "{column}"
        );
    }
    // a tool that writes every column back changes only the columns that an admin may change
    stage.plant("creator", "UPDATE model_access SET status = 'inactive', pricing = pricing, last_run_id = last_run_id, upstream = upstream");
    let decided = stage
        .superuser
        .query_one("SELECT count(*) FROM model_access WHERE reviewed_by = 'creator'", &[])
        .unwrap();
    assert_eq!(decided.get::<_, i64>(0), 2);
    let privileges = "SELECT ok, detail FROM model_access_health() WHERE \"check\" = 'privileges'";
    let row = stage.superuser.query_one(privileges, &[]).unwrap();
    assert!(!row.get::<_, bool>(0) && row.get::<_, &str>(1).contains("creator holds"), "{row:?}");
    stage.superuser.batch_execute("SELECT model_access_revoke('creator')").unwrap();
    let row = stage.superuser.query_one(privileges, &[]).unwrap();
    assert!(!row.get::<_, &str>(1).contains("creator holds"), "{row:?}");
}

#[test]
fn deciding_needs_the_right_of_the_role_in_effect() {
    let mut stage = Stage::set();
    // a SECURITY DEFINER function of an application uses the rights of its owner
    stage.superuser.batch_execute("SELECT model_access_grant('appowner', 'admin')").unwrap();
    stage.plant(
        "appowner",
        "CREATE FUNCTION app.confirm(id text) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT public.model_access_confirm(id) $$;
         GRANT EXECUTE ON FUNCTION app.confirm(text) TO PUBLIC",
    );
    stage.plant("app", "SELECT app.confirm('a/one')");
    for direct in [
        "SELECT model_access_confirm('a/one')",
        "SELECT model_access_accept('a/two')",
        "SELECT model_access_undo('2020-01-01', false)",
    ] {
        assert_eq!(stage.as_role("app", direct).unwrap_err().code().unwrap().code(), "42501", "{direct}");
    }
    // a function of a role without rights has no rights
    stage.superuser.batch_execute("GRANT CREATE ON DATABASE postgres TO creator").unwrap();
    stage.plant(
        "creator",
        "CREATE SCHEMA lure; GRANT USAGE ON SCHEMA lure TO PUBLIC;
         CREATE FUNCTION lure.confirm(id text) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ SELECT public.model_access_confirm(id) $$",
    );
    let error = stage.superuser.batch_execute("SELECT lure.confirm('a/one')").unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42501");
    // the functions may be open to PUBLIC, as after a restore without privileges; the view is not
    stage
        .superuser
        .batch_execute(
            "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC; GRANT CREATE ON SCHEMA lure TO app",
        )
        .unwrap();
    for direct in [
        "SELECT model_access_confirm('a/one')",
        "SELECT model_access_accept('a/two')",
        "SELECT model_access_undo('2020-01-01', false)",
        "SELECT model_access_undo('2020-01-01')",
        "SELECT _model_access_confirm('{a/one}')",
        "SELECT model_access_apply('{}')",
        "SELECT model_access_set('free_guard', 'off')",
        "SELECT model_access_bind_profiles('app.profiles')",
        "SELECT _model_access_lookup(p.profiles, p.id_number, p.tier_number, 'bob') FROM _model_access_bound AS p",
        "SELECT _model_access_read('app.profiles'::regclass, '{p.id}', 'FROM app.profiles AS p')",
        "SELECT _model_access_lookup('app.profiles'::regclass, 1::smallint, 2::smallint, 'bob')",
        "SELECT _model_access_unknown_tiers('pg_catalog.pg_authid'::regclass, 11::smallint, '{}')",
        "SELECT _model_access_as_committed('pg_catalog.pg_read_file(text)'::regprocedure, 'pg_hba.conf', 'x')",
        "SELECT _model_access_as_committed('pg_catalog.now()'::regprocedure, 'a', 'b')",
        // a trigger function that writes as the owner works only on its own table
        "CREATE TABLE lure.t (action text, arguments jsonb, result jsonb); CREATE TRIGGER t BEFORE INSERT ON lure.t FOR EACH ROW
         EXECUTE FUNCTION _model_access_act(); INSERT INTO lure.t VALUES ('undo', '{\"since\": \"2020-01-01\", \"dry_run\": false}')",
    ] {
        let error = stage.as_role("app", direct).expect_err(direct);
        assert!(["42501", "39P01"].contains(&error.code().unwrap().code()), "{direct}: {error:?}");
    }
}

#[test]
fn no_rights_include_a_foreign_key_whose_check_would_run_a_cast_as_the_owner() {
    let mut stage = Stage::set();
    stage.superuser.batch_execute("GRANT CREATE ON SCHEMA app TO app, boss").unwrap();
    for role in ["app", "boss"] {
        let referencing = "CREATE TABLE app.orders (model_id text REFERENCES model_access)";
        assert_eq!(stage.as_role(role, referencing).unwrap_err().code().unwrap().code(), "42501", "{role}");
    }
    // a superuser adds one for them; the column cannot change to a type with a user-defined cast
    stage
        .superuser
        .batch_execute(
            "CREATE TABLE app.orders (model_id text); ALTER TABLE app.orders OWNER TO app;
             ALTER TABLE app.orders ADD FOREIGN KEY (model_id) REFERENCES model_access NOT VALID",
        )
        .unwrap();
    stage.plant("app", "ALTER TABLE app.orders VALIDATE CONSTRAINT orders_model_id_fkey; INSERT INTO app.orders VALUES ('a/one')");
    let mine = "CREATE TYPE app.id AS ENUM ('a/one');
        CREATE FUNCTION app.cast(app.id) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'a cast ran as %', current_user; RETURN 'a/one'; END $$;
        CREATE CAST (app.id AS text) WITH FUNCTION app.cast(app.id) AS IMPLICIT;
        ALTER TABLE app.orders ALTER model_id TYPE app.id USING 'a/one'";
    assert_eq!(stage.as_role("app", mine).unwrap_err().code().unwrap().code(), "42501");
}

#[test]
fn only_a_role_that_may_lock_the_run_table_can_stop_a_sync() {
    let mut stage = Stage::set();
    let mut other = stage.cluster.connect();
    other
        .batch_execute(
            "SET SESSION AUTHORIZATION creator; SELECT pg_advisory_lock(hashtext('model_access'), hashtext('sync'));
             SELECT pg_advisory_lock(n) FROM generate_series(1, 100) AS n",
        )
        .unwrap();
    for mode in ["ACCESS SHARE", "SHARE UPDATE EXCLUSIVE"] {
        let lock = format!("BEGIN; LOCK TABLE _model_access_run_lock IN {mode} MODE");
        assert_eq!(stage.as_role("creator", &lock).unwrap_err().code().unwrap().code(), "42501");
    }
    assert_ne!(tests::sync(&mut stage.superuser).unwrap().outcome, "skipped");
    let mut holder = stage.cluster.connect();
    holder.batch_execute("BEGIN; LOCK TABLE _model_access_run_lock IN SHARE UPDATE EXCLUSIVE MODE").unwrap();
    let run = tests::sync(&mut stage.superuser).unwrap();
    assert_eq!((run.outcome.as_str(), run.error_code.as_deref()), ("skipped", Some("55006")));
    assert!(run.error.unwrap().contains("Process"));
}

#[test]
fn revoke_also_takes_back_what_others_granted() {
    let mut stage = Stage::set();
    stage.superuser.batch_execute("GRANT SELECT ON model_access TO boss WITH GRANT OPTION").unwrap();
    stage.plant("boss", "GRANT SELECT ON model_access TO creator");
    stage.plant("creator", "SELECT FROM model_access");
    stage.superuser.batch_execute("SELECT model_access_revoke('creator')").unwrap();
    assert!(stage.as_role("creator", "SELECT FROM model_access").is_err());
    // rights job allow the job, and no call with max_removals
    stage.superuser.batch_execute("SELECT model_access_grant('creator', 'job')").unwrap();
    assert!(stage.as_role("creator", "SELECT model_access_sync(100000)").is_err());
    let mut job = stage.cluster.connect();
    job.batch_execute("SET SESSION AUTHORIZATION creator").unwrap();
    job.batch_execute("CALL model_access_sync_job()").unwrap();
}

#[test]
fn enforce_judges_by_what_is_committed_and_by_the_clock() {
    let stage = Stage::set();
    let mut app = stage.cluster.connect();
    app.batch_execute("SET SESSION AUTHORIZATION app; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        .unwrap();
    stage
        .cluster
        .connect()
        .batch_execute("UPDATE model_access SET status = 'disabled' WHERE model_id = 'a/one'")
        .unwrap();
    let refused = app.batch_execute("INSERT INTO app.messages VALUES ('bob', 'a/one')").unwrap_err();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code().code(), "42501");
    assert!(refused.detail().unwrap().contains("Disabled by"), "{refused:?}");
    app.batch_execute("ROLLBACK").unwrap();
    // an override ends while a statement runs
    stage
        .cluster
        .connect()
        .batch_execute(
            "UPDATE model_access SET status = 'active', is_pro = false, is_enterprise = true WHERE model_id = 'a/one';
             INSERT INTO model_access_override (user_id, model_id, allowed, expires_at) VALUES ('bob', 'a/one', true, clock_timestamp() + interval '1 second')",
        )
        .unwrap();
    let late =
        app.batch_execute("INSERT INTO app.messages SELECT 'bob', 'a/one' FROM pg_sleep(1.2)").unwrap_err();
    assert_eq!(late.code().unwrap().code(), "42501");
}

/// Overloads of every function of the extension, with a similar type for one argument or with fewer arguments, and operators
/// that match calls better than PostgreSQL's own: a role that may create objects in the schema could plant them.
const OVERLOADS: &str = r#"
    DO $plant$
    DECLARE
        near CONSTANT jsonb := '{"text": ["name", "varchar", "bpchar"], "oid": ["regclass", "regtype", "regprocedure", "regrole", "bigint"],
            "name": ["text", "varchar"], "integer": ["bigint", "smallint"], "bigint": ["integer", "numeric"], "smallint": ["integer", "bigint"],
            "regclass": ["oid", "text"], "regtype": ["oid"], "regprocedure": ["oid", "text"], "regrole": ["oid", "text"],
            "timestamp with time zone": ["date", "timestamp"], "text[]": ["name[]", "varchar[]"], "name[]": ["text[]"], "jsonb": ["json"],
            "json": ["jsonb"], "bytea": ["text"], "interval": ["text"], "boolean": ["text"], "anyelement": ["text", "bytea", "jsonb"]}';
        f     record;
        types text[];
        other text;
        n     integer := 0;
    BEGIN
        FOR f IN
            SELECT p.oid, p.proname, p.pronargs, p.pronargdefaults, p.proretset, p.prorettype::regtype AS returns,
                ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a(t, i) ORDER BY i) AS types,
                coalesce((SELECT ', ' || string_agg(format('OUT %I %s', p.proargnames[i], p.proallargtypes[i]::regtype), ', ' ORDER BY i)
                 FROM generate_subscripts(p.proargmodes, 1) AS i WHERE p.proargmodes[i] IN ('o', 't')), '') AS outs
            FROM pg_proc AS p WHERE p.pronamespace = 'public'::regnamespace AND p.proname ~ '^_?models?_(access|allowed|for)' AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype AND p.provariadic = 0
        LOOP
            FOR i IN 1..f.pronargs LOOP
                -- a row of a transition table is a record
                FOR other IN SELECT jsonb_array_elements_text(near -> f.types[i])
                    UNION ALL SELECT 'record' FROM pg_type AS t WHERE t.oid = f.types[i]::regtype AND t.typtype = 'c'
                LOOP
                    types := f.types;
                    types[i] := other;
                    n := n + pg_temp.plant(f.proname, types, f.outs, f.proretset, f.returns);
                END LOOP;
            END LOOP;
            FOR i IN 1..f.pronargdefaults LOOP
                n := n + pg_temp.plant(f.proname, f.types[:f.pronargs - i], f.outs, f.proretset, f.returns);
            END LOOP;
        END LOOP;
        FOR f IN SELECT o.oprname, o.oprleft::regtype AS l, o.oprright::regtype AS r, o.oprresult::regtype AS result, a.l AS al, a.r AS ar
            FROM pg_operator AS o CROSS JOIN (VALUES ('text', 'name'), ('name', 'text'), ('text', 'varchar'), ('varchar', 'text'), ('text', 'text'),
                ('oid', 'regclass'), ('regclass', 'oid'), ('regrole', 'oid'), ('oid', 'regrole'), ('integer', 'smallint'), ('bigint', 'smallint')) AS a(l, r)
            WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprleft <> 0
              AND o.oprname IN ('=', '<>', '<', '>', '||', '~', '!~', '~~') AND (o.oprleft, o.oprright) IN (('text'::regtype, 'text'::regtype), ('oid'::regtype, 'oid'::regtype), ('int4'::regtype, 'int4'::regtype))
        LOOP
            n := n + pg_temp.plant_operator(f.oprname, f.al, f.ar, f.result);
        END LOOP;
        IF n < 500 THEN RAISE EXCEPTION 'only % planted', n; END IF;
    END
    $plant$"#;

const PLANT: &str = r#"
    CREATE FUNCTION pg_temp.plant(name text, types text[], outs text, is_set boolean, returns regtype) RETURNS integer LANGUAGE plpgsql AS $f$
    BEGIN
        EXECUTE format('CREATE FUNCTION public.%I(%s) %s LANGUAGE plpgsql AS %L', name,
            ltrim((SELECT string_agg(format('%s', t), ', ' ORDER BY i) FROM unnest(types) WITH ORDINALITY AS a(t, i)) || outs, ', '),
            CASE WHEN outs = '' THEN 'RETURNS ' || CASE WHEN is_set THEN 'SETOF ' ELSE '' END || returns
                 WHEN is_set THEN 'RETURNS SETOF record' ELSE '' END,
            format('BEGIN RAISE WARNING ''%s(%s) ran as %%'', current_user; %s END', name, array_to_string(types, ','),
                CASE WHEN outs <> '' OR is_set OR returns = 'void'::regtype THEN 'RETURN;' ELSE 'RETURN NULL;' END));
        RETURN 1;
    EXCEPTION WHEN duplicate_function OR invalid_function_definition THEN
        RETURN 0;
    END $f$;
    CREATE FUNCTION pg_temp.plant_operator(name text, l text, r text, result regtype) RETURNS integer LANGUAGE plpgsql AS $f$
    DECLARE
        code text := 'op_' || md5(name || l || r);
    BEGIN
        EXECUTE format('CREATE FUNCTION public.%I(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L', code, l, r, result,
            format('BEGIN RAISE WARNING ''operator %s (%s,%s) ran as %%'', current_user; RETURN NULL; END', name, l, r));
        EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.%I)', name, l, r, code);
        RETURN 1;
    EXCEPTION WHEN duplicate_function THEN
        RETURN 0;
    END $f$;"#;

#[test]
fn no_planted_overload_runs_in_place_of_the_extensions_functions() {
    let mut stage = Stage::set();
    stage
        .superuser
        .batch_execute("GRANT CREATE ON SCHEMA public TO creator; CREATE ROLE lookedup LOGIN")
        .unwrap();
    stage.plant("creator", &format!("{PLANT} {OVERLOADS}"));
    // these calls name their types exactly: whoever types a call must qualify it
    let exact = [
        "SELECT * FROM models_for_user('bob'::text), model_access_user('bob'::text)",
        "SELECT model_allowed_for_user('bob'::text, 'a/one'::text), model_allowed('pro'::text, 'a/one'::text)",
        "SELECT * FROM model_access_explain_for_user('bob'::text, 'a/one'::text), model_access_explain('pro'::text, 'a/one'::text)",
        "SELECT * FROM models_for_tier('pro'::text), models_for_tier_as_of('pro'::text, now()), models_for_me()",
        "SELECT * FROM model_access_health()",
        "SELECT * FROM model_access_review, model_access_settings, model_access_price_history",
        "INSERT INTO app.messages VALUES ('bob', 'a/one'); UPDATE app.messages SET model_id = 'a/one'",
        "INSERT INTO model_access_override (user_id, provider, allowed) VALUES ('bob', 'a', true); DELETE FROM model_access_override",
        "SELECT model_access_unbind_profiles()",
        "SELECT model_access_bind_profiles('app.profiles'::regclass, 'id'::name, 'subscription_tier'::name, '{\"pro\": \"pro\"}'::jsonb, true)",
        "SELECT * FROM model_access_import_allowed_models('app.profiles'::regclass, 'allowed_models'::name, 'id'::name, 'subscription_tier'::name,
            now() + interval '1 day', false)",
        "UPDATE model_access SET status = 'active', is_free = true WHERE model_id = 'a/one'",
        "INSERT INTO model_access_rule (position, is_pro, pattern) VALUES (7, true, 'a/%')",
        "SELECT model_access_confirm(VARIADIC '{a/one}'::text[])",
        "UPDATE model_access SET status = 'new' WHERE model_id = 'a/two'",
        "SELECT * FROM model_access_accept(VARIADIC '{a/two}'::text[])",
        "SELECT * FROM model_access_undo(now() - interval '1 hour', true, '{a/one}'::text[], NULL::text, NULL::bigint[], false, false)",
        "SELECT * FROM model_access_undo(now() - interval '1 second', false, NULL::text[], NULL::text, NULL::bigint[], false, false)",
        "SELECT * FROM model_access_load('[{\"id\": \"a/one\", \"name\": \"Uno\"}]'::text, 5)",
        "SELECT * FROM model_access_preview(NULL::text, 5)",
        "SELECT * FROM model_access_sync(5)",
        "SELECT * FROM model_access_import_decisions(pg_catalog.replace(model_access_export_decisions(true, true), '\"note\": null'::text, '\"note\": \"x\"'::text), true)",
        "SELECT * FROM model_access_import_decisions(pg_catalog.replace(model_access_export_decisions(true, true), '\"note\": null'::text, '\"note\": \"x\"'::text), false)",
        "SELECT model_access_set('return_window'::text, '3 days'::text)",
        "SELECT model_access_grant('lookedup'::regrole, 'admin'::text)",
        "SELECT * FROM model_access_repair_privileges()",
        "SELECT model_access_revoke('lookedup'::regrole)",
        "SELECT * FROM model_access_retire_allowed_models('app.profiles'::regclass, 'allowed_models'::name, '{}'::text[], true)",
        "SELECT * FROM model_access_retire_allowed_models('app.profiles'::regclass, 'allowed_models'::name, '{}'::text[], false)",
        "SELECT * FROM model_access_restore_allowed_models('app.profiles'::regclass, 'allowed_models'::name, true)",
        "SELECT * FROM model_access_restore_allowed_models('app.profiles'::regclass, 'allowed_models'::name, false)",
        "SELECT * FROM model_access_retire_allowed_models('app.profiles'::regclass, 'allowed_models'::name, '{}'::text[], false)",
        "SELECT * FROM model_access_drop_retired_column('app.profiles'::regclass, '{}'::text[], true)",
        "SELECT * FROM model_access_drop_retired_column('app.profiles'::regclass, '{}'::text[], false)",
        "CALL model_access_sync_job()",
    ];
    if stage.superuser.batch_execute("CREATE EXTENSION pg_cron").is_ok() {
        stage
            .superuser
            .batch_execute(
                "SELECT model_access_schedule('17 3 * * *'::text, NULL::regrole), model_access_unschedule()",
            )
            .unwrap();
    }
    assert_eq!(stage.hits(&exact), [""; 0]);
    assert!(
        stage
            .superuser
            .batch_execute("SELECT model_access_schedule('17 3 * * *'::text, 'creator'::regrole)")
            .is_err()
    );
    assert_eq!(stage.ran(), [""; 0]);
    stage.assert_no_escalation();
}

#[test]
fn no_install_and_no_upgrade_takes_a_planted_overload() {
    let mut stage = Stage::set();
    stage.superuser.batch_execute("GRANT CREATE ON SCHEMA public TO creator").unwrap();
    stage.plant("creator", &format!("{PLANT} {OVERLOADS}"));
    // so that the statements of this test call nothing that was planted
    stage.superuser.batch_execute("SET search_path = pg_catalog, pg_temp").unwrap();
    // 0.2.0 cannot be installed where others have a function of that name
    let upgrade = "DO $$ DECLARE f regprocedure; BEGIN
            FOR f IN SELECT p.oid FROM pg_proc AS p WHERE p.proname = 'model_access_undo' LOOP EXECUTE 'DROP FUNCTION ' || f; END LOOP; END $$;
        CREATE EXTENSION model_access SCHEMA public VERSION '0.2.0'; ALTER EXTENSION model_access UPDATE";
    for install in ["CREATE EXTENSION model_access SCHEMA public", upgrade] {
        stage.superuser.batch_execute("DROP EXTENSION model_access CASCADE").unwrap();
        assert_eq!(stage.hits(&[install]), [""; 0]);
        // a body that was parsed at its creation depends on what it calls
        let taken = "SELECT coalesce(string_agg(format('%s calls %s', pg_describe_object(d.classid, d.objid, 0), p.oid::regprocedure), '; '), '')
            FROM pg_depend AS d JOIN pg_proc AS p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
            WHERE p.proowner = 'creator'::regrole AND d.classid <> 'pg_operator'::regclass";
        assert_eq!(stage.superuser.query_one(taken, &[]).unwrap().get::<_, String>(0), "");
    }
}

/// A superuser may do what a HINT says.
#[test]
fn the_error_of_an_install_names_no_function_that_another_role_may_have_made() {
    let mut stage = Stage::set();
    stage
        .superuser
        .batch_execute("DROP EXTENSION model_access CASCADE; GRANT CREATE ON SCHEMA public TO creator")
        .unwrap();
    stage.plant("creator", "CREATE TABLE public.model_access_sync_log ()");
    let refused = stage.superuser.batch_execute("CREATE EXTENSION model_access SCHEMA public").unwrap_err();
    let error = refused.as_db_error().unwrap();
    assert_eq!(error.message(), "model_access is already installed in schema public");
    let hint = error.hint().unwrap();
    assert!(!hint.contains("()") && !hint.contains("SELECT"), "{hint}");
}

#[test]
fn no_planted_overload_runs_in_place_of_the_scripts_functions() {
    let cluster = Cluster::start_without_library();
    let (mut superuser, heard) = cluster.hearing("");
    superuser
        .batch_execute(
            "CREATE ROLE creator LOGIN; GRANT CREATE ON SCHEMA public TO creator; CREATE ROLE lookedup;
             INSERT INTO model_access (model_id, provider, status, is_pro) VALUES ('a/one', 'a', 'active', true), ('a/two', 'a', 'new', false);
             CREATE TABLE profiles (id uuid PRIMARY KEY, subscription_tier varchar(20), allowed_models text[]); ALTER TABLE profiles OWNER TO keeper;
             INSERT INTO profiles VALUES ('00000000-0000-0000-0000-00000000000b', 'pro', '{a/two}'); CREATE TABLE messages (user_id uuid, model_id text);
             CREATE TRIGGER enforce BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION model_access_enforce('user_id', 'model_id');
             GRANT ALL ON messages TO keeper",
        )
        .unwrap();
    let mut stage = Stage { cluster, superuser, heard };
    stage.plant("creator", &format!("{PLANT} {OVERLOADS}"));
    stage.superuser.batch_execute("SET SESSION AUTHORIZATION keeper").unwrap();
    let exact = [
        "SELECT model_access_bind_profiles('profiles'::regclass, 'id'::name, 'subscription_tier'::name, NULL::jsonb, true)",
        "SELECT * FROM models_for_user('00000000-0000-0000-0000-00000000000b'::text), model_access_user('bob'::text)",
        "SELECT model_allowed_for_user('00000000-0000-0000-0000-00000000000b'::text, 'a/one'::text), model_allowed('pro'::text, 'a/one'::text)",
        "SELECT * FROM model_access_explain_for_user('bob'::text, 'a/one'::text), model_access_explain('pro'::text, 'a/one'::text)",
        "SELECT * FROM models_for_tier('pro'::text), models_for_tier_as_of('pro'::text, now()), models_for_me()",
        "INSERT INTO messages VALUES ('00000000-0000-0000-0000-00000000000b', 'a/one')",
        "SELECT * FROM model_access_import_allowed_models('profiles'::regclass, 'allowed_models'::name, 'id'::name, 'subscription_tier'::name,
            now() + interval '1 day', false)",
        "INSERT INTO model_access_rule (position, is_pro, pattern) VALUES (7, true, 'a/%')",
        "SELECT * FROM model_access_accept(VARIADIC '{a/two}'::text[])",
        "SELECT model_access_confirm(VARIADIC '{a/one}'::text[])",
        "SELECT * FROM model_access_undo(now() - interval '1 second', false, NULL::text[], NULL::text, NULL::bigint[], false, false)",
        "SELECT * FROM model_access_import_decisions(pg_catalog.replace(model_access_export_decisions(true, true), '\"note\": null'::text, '\"note\": \"x\"'::text), true)",
        "SELECT * FROM model_access_import_decisions(pg_catalog.replace(model_access_export_decisions(true, true), '\"note\": null'::text, '\"note\": \"x\"'::text), false)",
        "SELECT model_access_set('return_window'::text, '3 days'::text)",
        "SELECT model_access_grant('lookedup'::regrole, 'admin'::text)",
        "SELECT * FROM model_access_repair_privileges()",
        "SELECT model_access_revoke('lookedup'::regrole)",
        "SELECT * FROM model_access_health()",
        "SELECT model_access_unbind_profiles()",
    ];
    assert_eq!(stage.hits(&exact), [""; 0]);
    // the program that loads the catalogue calls functions too
    let document = r#"[{"id": "a/one", "name": "Uno"}, {"id": "a/three", "name": "Three"}]"#;
    let folder = std::env::temp_dir().join(format!("model_access.push.{}.json", std::process::id()));
    std::fs::write(&folder, document).unwrap();
    let output = std::process::Command::new(tests::push_program())
        .args(["push", "--file"])
        .arg(&folder)
        .env("PGHOST", stage.cluster.socket())
        .env("PGUSER", "keeper")
        .env("PGDATABASE", "postgres")
        .output()
        .unwrap();
    std::fs::remove_file(&folder).unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() != Some(1) && !message.contains(" ran as "), "{message}");
}

#[test]
fn code_in_a_lookup_cannot_replace_a_cursor_of_the_session() {
    let stage = Stage::set();
    stage.plant(
        "appowner",
        "CREATE FUNCTION app.plant() RETURNS integer LANGUAGE plpgsql AS $$
         DECLARE c refcursor; n text;
         BEGIN
             FOR n IN SELECT name FROM pg_cursors WHERE name NOT LIKE '<unnamed%' LOOP
                 c := n; CLOSE c; PERFORM app.say('swap'); OPEN c FOR SELECT app.say('cursor')::text AS model_id;
             END LOOP;
             RETURN 1;
         END $$;
         CREATE FUNCTION app.folded() RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN app.plant(); END $$;
         CREATE INDEX ON app.profiles ((app.folded()))",
    );
    let mut swaps = 0;
    for reads in [
        "SELECT count(*) FROM models_for_user('bob')",
        "SELECT count(*) FROM model_access_health()",
        "INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('bob', 'a/two', true)",
    ] {
        // a new session has not yet planned with that index
        let (mut client, heard) = stage.cluster.hearing("");
        client
            .batch_execute(&format!(
                "BEGIN; DECLARE mine CURSOR FOR SELECT model_id FROM model_access; {reads}"
            ))
            .unwrap();
        // the cursor may be closed, but not replaced
        let fetched = client.batch_execute("FETCH 1 FROM mine");
        client.batch_execute("ROLLBACK").unwrap();
        let ran: Vec<String> = heard
            .try_iter()
            .map(|notice| notice.message().to_owned())
            .filter(|message| message.contains(" ran as "))
            .collect();
        assert!(ran.iter().all(|message| message == "swap ran as appowner"), "{reads}: {ran:?}, {fetched:?}");
        swaps += ran.len();
    }
    assert!(swaps > 0);
}

#[test]
fn a_partition_of_another_role_is_not_read_as_the_owner_of_the_table() {
    let mut stage = Stage::set();
    stage
        .superuser
        .batch_execute(
            "CREATE TABLE users (id text PRIMARY KEY, subscription_tier text) PARTITION BY LIST (id);
             CREATE TABLE app.leaf PARTITION OF users DEFAULT; INSERT INTO users VALUES ('bob', 'pro');
             SELECT model_access_bind_profiles('users')",
        )
        .unwrap();
    let known = "SELECT known FROM model_access_user('bob')";
    assert!(stage.superuser.query_one(known, &[]).unwrap().get::<_, bool>(0));
    stage.superuser.batch_execute("ALTER TABLE app.leaf OWNER TO appowner").unwrap();
    stage.plant(
        "appowner",
        "CREATE FUNCTION app.folded() RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN app.say('leaf'); END $$;
         CREATE INDEX ON app.leaf ((app.folded()))",
    );
    stage.ran();
    // no user is known there, so nothing is allowed
    assert!(!stage.superuser.query_one(known, &[]).unwrap().get::<_, bool>(0));
    let finding = "SELECT ok, detail FROM model_access_health() WHERE \"check\" = 'profiles'";
    let row = stage.superuser.query_one(finding, &[]).unwrap();
    assert!(!row.get::<_, bool>(0) && row.get::<_, &str>(1).contains("belongs to another role"));
    let error = stage.superuser.batch_execute("SELECT model_access_bind_profiles('users')").unwrap_err();
    assert_eq!(error.code().unwrap().code(), "42809");
    assert_eq!(stage.ran(), [""; 0]);
}
