//! Every combination of status, flags, tier, override, time and presence, with every function and path that answers it.

use crate::service::Service;
use postgres::Client;
use std::collections::{BTreeMap, BTreeSet};
use tests::{Cluster, sync};

const TIERS: [&str; 3] = ["free", "pro", "enterprise"];
const STATUSES: [&str; 4] = ["new", "active", "inactive", "disabled"];

/// One model of the matrix: its columns that decide.
#[derive(Clone, Copy)]
struct Model {
    status: &'static str,
    flags: [bool; 3],
    listed: bool,
}

/// What an override says, and whether it is in force.
#[derive(Clone, Copy)]
struct Override {
    allowed: bool,
    by_provider: bool,
    in_force: bool,
}

/// The rule, written a second time and differently from SQL.
fn may(model: Model, tier: Option<usize>, overrides: &[Override]) -> bool {
    let counting: Vec<bool> = overrides.iter().filter(|o| o.in_force).map(|o| o.allowed).collect();
    let by_tier = tier.is_some_and(|tier| (0..=tier).any(|flag| model.flags[flag]));
    let decided = match (counting.contains(&false), counting.contains(&true)) {
        (true, _) => false,
        (false, true) => true,
        (false, false) => by_tier,
    };
    model.status == "active" && model.listed && decided
}

/// Every combination of status, flags and presence, on recorded models of two providers.
fn models(client: &mut Client, cluster: &Cluster) -> BTreeMap<String, Model> {
    let query =
        "SELECT model_id FROM model_access WHERE provider IN ('openai', 'google') ORDER BY model_id LIMIT 64";
    let ids: Vec<String> = client.query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(ids.len(), 64);
    let mut models = BTreeMap::new();
    for (number, id) in ids.into_iter().enumerate() {
        let flags = [number & 1 > 0, number & 2 > 0, number & 4 > 0];
        models.insert(id, Model { status: STATUSES[number / 8 % 4], flags, listed: number < 32 });
    }
    let gone: Vec<&str> =
        models.iter().filter(|(_, model)| !model.listed).map(|(id, _)| id.as_str()).collect();
    let without: String = gone.iter().map(|id| format!("without={}&", id.replace(':', "%3A"))).collect();
    cluster.fetching(&without).batch_execute("SELECT model_access_sync(max_removals => 32)").unwrap();
    for (id, model) in &models {
        // an admin may also decide on a model that is not listed
        let sql = "UPDATE model_access SET status = $2, is_free = $3, is_pro = $4, is_enterprise = $5 WHERE model_id = $1";
        let [is_free, is_pro, is_enterprise] = model.flags;
        client.execute(sql, &[id, &model.status, &is_free, &is_pro, &is_enterprise]).unwrap();
    }
    models
}

/// Every combination of tier and overrides: user id, tier, overrides (each for all models).
fn users() -> Vec<(i64, Option<usize>, Vec<Override>)> {
    let of = |allowed, by_provider, in_force| Override { allowed, by_provider, in_force };
    let sets = [
        vec![],
        vec![of(true, false, true)],
        vec![of(false, false, true)],
        vec![of(true, true, true)],
        vec![of(false, true, true)],
        vec![of(true, false, true), of(false, true, true)],
        vec![of(false, false, true), of(true, true, true)],
        vec![of(true, false, false)],
        vec![of(false, true, false)],
        vec![of(true, false, true), of(false, false, false)],
    ];
    let tiers = [Some(0), Some(1), Some(2), None];
    let pairs = tiers.iter().flat_map(|tier| sets.iter().map(|set| (*tier, set.clone())));
    pairs.zip(1..).map(|((tier, set), number)| (number, tier, set)).collect()
}

fn arrange(client: &mut Client, users: &[(i64, Option<usize>, Vec<Override>)]) {
    client.batch_execute("CREATE TABLE profiles (id bigint PRIMARY KEY, subscription_tier text)").unwrap();
    client.batch_execute("SELECT model_access_bind_profiles('profiles')").unwrap();
    for (user, tier, overrides) in users {
        // half of the users without a tier have an unknown one
        let name = tier.map(|tier| TIERS[tier]).or((user % 2 == 0).then_some("gold"));
        client.execute("INSERT INTO profiles VALUES ($1, $2)", &[user, &name]).unwrap();
        for (number, o) in overrides.iter().enumerate() {
            let (columns, from) = match o.by_provider {
                true => ("provider", "SELECT DISTINCT provider"),
                false => ("model_id", "SELECT model_id"),
            };
            let time = match (o.in_force, number % 2) {
                (true, _) => "now() - interval '1 day', now() + interval '1 day'",
                (false, 0) => "now() - interval '2 days', now() - interval '1 day'",
                (false, _) => "now() + interval '1 day', NULL",
            };
            client
                .batch_execute(&format!(
                    "INSERT INTO model_access_override (user_id, {columns}, allowed, starts_at, expires_at)
                     SELECT '{user}', x.name, {}, {time} FROM ({from} FROM model_access) AS x(name)",
                    o.allowed
                ))
                .unwrap();
        }
    }
}

fn ids(client: &mut Client, sql: &str) -> BTreeSet<String> {
    client.query(sql, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn every_function_and_path_gives_the_answer_of_the_rule() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    let models = models(&mut client, &cluster);
    let users = users();
    arrange(&mut client, &users);

    for (tier, name) in TIERS.iter().enumerate() {
        let expected: BTreeSet<String> =
            models.iter().filter(|(_, m)| may(**m, Some(tier), &[])).map(|(id, _)| id.clone()).collect();
        assert!(expected.len() > 3);
        for sql in [
            "SELECT model_id FROM models_for_tier('TIER')",
            "SELECT model_id FROM model_access WHERE model_allowed('TIER', model_id)",
            "SELECT m.model_id FROM model_access AS m, model_access_explain('TIER', m.model_id) AS e WHERE e.allowed",
        ] {
            assert_eq!(ids(&mut client, &sql.replace("TIER", name)), expected, "{sql}, {name}");
        }
    }

    client
        .batch_execute(
            "CREATE ROLE web; SELECT model_access_grant('web', 'user');
             CREATE TABLE messages (u bigint, m text);
             CREATE TRIGGER enforce BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION model_access_enforce('u', 'm')",
        )
        .unwrap();
    let enforced = "DO $$ DECLARE id text; BEGIN
        FOR id IN SELECT model_id FROM model_access LOOP
            BEGIN INSERT INTO messages VALUES (USER, id); EXCEPTION WHEN insufficient_privilege THEN NULL; END;
        END LOOP; END $$";
    client.batch_execute("CREATE ROLE api LOGIN; SELECT model_access_grant('api', 'reader')").unwrap();
    let service = Service::start(&cluster, &[]);
    service.wait_until_listening();
    for (user, tier, overrides) in users.iter().chain([&(99, None, vec![])]) {
        let expected: BTreeSet<String> =
            models.iter().filter(|(_, m)| may(**m, *tier, overrides)).map(|(id, _)| id.clone()).collect();
        let number = user.to_string();
        client.batch_execute(&enforced.replace("USER", &number)).unwrap();
        for sql in [
            "SELECT model_id FROM models_for_user('USER')",
            "SELECT model_id FROM model_access WHERE model_allowed_for_user('USER', model_id)",
            "SELECT m.model_id FROM model_access AS m, model_access_explain_for_user('USER', m.model_id) AS e WHERE e.allowed",
            "SELECT m FROM messages WHERE u = USER",
        ] {
            assert_eq!(ids(&mut client, &sql.replace("USER", &number)), expected, "{sql}, user {user}");
        }
        client
            .batch_execute(&format!("SET request.jwt.claims = '{{\"sub\": \"{user}\"}}'; SET ROLE web"))
            .unwrap();
        assert_eq!(ids(&mut client, "SELECT model_id FROM models_for_me()"), expected, "user {user}");
        client.batch_execute("RESET ROLE").unwrap();
        if *user == 99 {
            service.get_as(&number, "/api/models").assert_problem(403, "an unknown user");
            continue;
        }
        assert_eq!(
            service.ids(&number).into_iter().collect::<BTreeSet<_>>(),
            expected,
            "user {user} over HTTP"
        );
        // one by one, for a user of each kind of override
        for id in models.keys().filter(|_| *tier == Some(1)) {
            let status = service.get_as(&number, &format!("/v1/models/{id}")).status;
            assert_eq!(status == 200, expected.contains(id), "user {user}, {id}: {status}");
        }
    }
}
