"""The speed of review, health, as_of and undo on a thousand days, and of leaving allowed_models on a million users."""


from common import LIST, MILLISECONDS, ROUNDS, Session, at_most, install, median, plot, progress, table
from documents import APPROVE, FOLDER, recorded_days, store

THOUSAND_DAYS = """
-- the 94 days as they were recorded are repeated until there are a thousand, each copy as long before the next one
CREATE TEMPORARY TABLE recorded AS SELECT * FROM model_access_history;
CREATE TEMPORARY TABLE runs AS SELECT * FROM model_access_sync_log;
TRUNCATE model_access_history, model_access_sync_log;
INSERT INTO model_access_history (model_id, at, actor, actor_role, run_id, old, new)
SELECT r.model_id, r.at - c * interval '94 days', r.actor, r.actor_role, r.run_id, r.old, r.new
FROM recorded AS r, generate_series(0, 10) AS c WHERE r.at - c * interval '94 days' > now() - interval '1000 days'
ORDER BY r.at - c * interval '94 days', r.history_id;
INSERT INTO model_access_sync_log SELECT (jsonb_populate_record(r, jsonb_build_object('run_id', r.run_id - c * 1000,
    'started_at', r.started_at - c * interval '94 days'))).*
FROM runs AS r, generate_series(0, 10) AS c WHERE r.started_at - c * interval '94 days' > now() - interval '1000 days';
ALTER TABLE model_access DISABLE TRIGGER USER;
UPDATE model_access SET first_seen_at = now() - interval '1000 days';
ALTER TABLE model_access ENABLE TRIGGER USER;
VACUUM ANALYZE;
"""


def history(cluster):
    session = Session(cluster)
    install(session)
    session.run(MILLISECONDS)
    days = recorded_days()
    (FOLDER / 'days').mkdir(exist_ok=True)
    for day, document in days.items():
        (FOLDER / 'days' / f'{day}.json').write_text(document)
    store(session, FOLDER / 'days')
    progress('history')
    for age, day in zip(range(len(days), 0, -1), sorted(days)):
        # the models of the day, the decisions of an admin about the new ones, and both moved to their day
        session.run(f"""SELECT model_access_load(body, 100000) FROM document WHERE name = '{day}';
{APPROVE.replace('WHERE', "WHERE status = 'new' AND")}
UPDATE model_access_history SET at = at - interval '{age} days' WHERE at > now() - interval '12 hours';
UPDATE model_access_sync_log SET started_at = started_at - interval '{age} days'
WHERE started_at > now() - interval '12 hours';""")
    session.run(THOUSAND_DAYS)
    changes = int(session.value('SELECT count(*) FROM model_access_history'))
    calls = {
        'model_access_review': 'SELECT * FROM model_access_review',
        'model_access_health': 'SELECT * FROM model_access_health()',
        'model_access_changes, the latest 20': 'SELECT * FROM model_access_changes ORDER BY at DESC LIMIT 20',
    }
    # the first change is less than a thousand days old
    for days in (1, 100, 990):
        ago = f"now() - interval ''{days} days''"
        calls[f'models_for_tier_as_of, {days} days ago'] = f"SELECT * FROM models_for_tier_as_of(''pro'', {ago})"
        calls[f'model_access_undo, dry run, {days} days'] = f'SELECT * FROM model_access_undo({ago})'
    taken = {title: [] for title in calls}
    for _ in range(max(3, ROUNDS // 2) + 1):
        for title, call in calls.items():
            taken[title].append(float(session.value(f"SELECT milliseconds('{call}', '')")))
    session.close()
    rows = [[title, median(values[1:])] for title, values in taken.items()]
    plot(FOLDER / 'history.svg', 'A thousand days of history', 'milliseconds', {title: {'': value} for title, value in rows})
    return f"""## A thousand days of history

{changes:,} changes: the recorded days, loaded in turn with an admin who approves new models, then copied back in time by INSERT.

""" + table(['call', 'ms'], rows)


# leaving allowed_models: how long a retire and a restore hold their locks

RETIRE = """
CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.allowed_models := ARRAY[NEW.subscription_tier]; RETURN NEW; END $$;
CREATE TABLE profiles (id integer PRIMARY KEY, subscription_tier text, allowed_models text[] NOT NULL);
INSERT INTO profiles SELECT n, 'pro', '{a/one,b/two}' FROM generate_series(1, 1000000) AS n;
CREATE TRIGGER fill BEFORE INSERT ON profiles FOR EACH ROW EXECUTE FUNCTION fill();
CREATE INDEX ON profiles USING gin (allowed_models);
CREATE VIEW listed AS SELECT id, allowed_models FROM profiles;
CREATE TABLE users (id integer PRIMARY KEY, subscription_tier text, allowed_models text[]);
INSERT INTO users SELECT n, 'free', ARRAY(SELECT model_id FROM model_access ORDER BY hashtext(model_id || n % 50) LIMIT 5)
FROM generate_series(1, 100000) AS n;
SELECT model_access_bind_profiles('users');
VACUUM ANALYZE;
"""


def retire(cluster):
    session = Session(cluster)
    install(session)
    progress('retire')
    session.run(MILLISECONDS + f"\\set body `zcat {LIST}`\nSELECT model_access_load(:'body');" + RETIRE)
    held = lambda call: float(session.value(f"SELECT milliseconds((SELECT string_agg(ddl, '' ORDER BY step) FROM {call}), '')"))
    rows = [
        ['retire, on a million users: ms under the lock', *at_most(held(
            "model_access_retire_allowed_models('profiles', accept => '{trigger fill on public.profiles}')"), 50)],
        ['restore: ms under the lock', *at_most(held("model_access_restore_allowed_models('profiles')"), 50)],
    ]
    took = session.value(
        "SELECT milliseconds('SELECT * FROM model_access_import_allowed_models(''users'', dry_run => false)', '')")
    rows.append(['import of 100,000 users with five models each: seconds', *at_most(float(took) / 1000, 20)])
    session.close()
    return '## Leaving allowed_models\n\n' + table(['step', 'took', 'limit', 'met'], rows)
