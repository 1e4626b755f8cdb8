\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
\set all '\'openai/gpt-5\', \'openai/gpt-5-mini\', \'openai/gpt-4o\''
-- Gives the SQLSTATE and the messages of an error, without its times.
CREATE FUNCTION pg_temp.fails(statement text) RETURNS TABLE (code text, message text, detail text, hint text) LANGUAGE plpgsql AS $$
DECLARE
    m text;
    d text;
    h text;
BEGIN
    EXECUTE statement;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    RETURN QUERY SELECT SQLSTATE, regexp_replace(m, '\w{3} \w{3} \d.*', 'TIME'), d, regexp_replace(h, '\w{3} \w{3} \d.* on', 'TIME on');
END
$$;
SELECT outcome, added FROM model_access_load(pg_temp.listing(:all));
UPDATE model_access SET status = 'active', is_pro = true;
INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('ann', 'openai/gpt-5', true), ('bob', 'openai/gpt-5', true);
-- Sequences that are behind the rows, as on a logical replica that takes over: no run, change or override gets a number twice.
CREATE FUNCTION pg_temp.numbers() RETURNS TABLE (runs bigint, last_run bigint, changes bigint, last_change bigint, overrides bigint, last_override bigint)
LANGUAGE sql AS $$
    SELECT (SELECT count(*) FROM model_access_sync_log), (SELECT max(run_id) FROM model_access_sync_log),
        (SELECT count(*) FROM model_access_history), (SELECT max(history_id) FROM model_access_history),
        (SELECT count(*) FROM model_access_override), (SELECT max(override_id) FROM model_access_override) $$;
SELECT * FROM pg_temp.numbers();
SELECT setval('model_access_sync_log_run_id_seq', 1, false), setval('model_access_history_history_id_seq', 1), setval('model_access_override_override_id_seq', 1, false);
UPDATE model_access SET note = 'after the failover' WHERE model_id = 'openai/gpt-5';
INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('cid', 'openai/gpt-4o', false);
SELECT outcome FROM model_access_load(pg_temp.listing(:all));
SELECT * FROM pg_temp.numbers();
-- Rows of models that name a later run than the log has: the run gets a higher number.
SELECT setval('model_access_sync_log_run_id_seq', 1, false);
UPDATE model_access SET last_run_id = 40 WHERE model_id = 'openai/gpt-4o';
SELECT outcome, run_id FROM model_access_load(pg_temp.listing(:all));
-- An undo finds what it has just written.
SELECT setval('model_access_history_history_id_seq', 1, false);
SELECT model_id, new FROM model_access_undo(history_ids => ARRAY(SELECT history_id FROM model_access_history WHERE new ->> 'note' = 'after the failover'), dry_run => false);
SELECT undo_of IS NOT NULL AS is_undo FROM model_access_history ORDER BY history_id DESC LIMIT 1;
-- The clock was an hour ahead when a model was banned. Then it was set back, and somebody makes a mistake.
UPDATE model_access SET status = 'disabled', note = 'legal' WHERE model_id = 'openai/gpt-5';
UPDATE model_access_history SET at = at + interval '1 hour' WHERE new ->> 'note' = 'legal';
SELECT clock_timestamp() AS before_oops \gset
UPDATE model_access SET note = 'oops' WHERE model_id IN ('openai/gpt-5-mini', 'openai/gpt-4o');
-- The newest change is the last one, whatever the clock said.
SELECT what FROM model_access_changes LIMIT 2;
SET client_min_messages = notice;
-- An undo since the mistake does not lift the ban, and says so. It can still be named.
SELECT model_id, old, new, refused FROM model_access_undo(:'before_oops');
SELECT model_id, new FROM model_access_undo(:'before_oops', history_ids => ARRAY(SELECT history_id FROM model_access_history WHERE new ->> 'note' = 'legal'));
SELECT model_id, new ->> 'note' AS note FROM model_access_undo(:'before_oops', dry_run => false);
SELECT model_id, status, note FROM model_access ORDER BY model_id COLLATE "C";
SELECT count(*) FROM model_access_undo(:'before_oops');
-- The same, a day later: no time is in the future any more, but the ban still comes before the mistake.
UPDATE model_access_history SET at = at - interval '1 day';
SELECT model_id, refused FROM model_access_undo(:'before_oops'::timestamptz - interval '1 day');
SET client_min_messages = error;
-- Statements that ran at the same time have numbers in any order: a minute proves nothing.
UPDATE model_access SET note = 'a' WHERE model_id = 'openai/gpt-5-mini';
UPDATE model_access SET note = 'b' WHERE model_id = 'openai/gpt-4o';
UPDATE model_access_history SET at = at - interval '59 seconds' WHERE new ->> 'note' = 'b';
SELECT model_id, old, new FROM model_access_undo((SELECT at FROM model_access_history WHERE new ->> 'note' = 'a'));
-- What a tier saw follows the order of the history too: a change by a clock that was ahead is not in the future.
SELECT clock_timestamp() AS before_ban \gset
UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/gpt-4o';
UPDATE model_access_history SET at = at + interval '1 hour' WHERE history_id = (SELECT max(history_id) FROM model_access_history);
SELECT model_id FROM models_for_tier('pro') ORDER BY model_id COLLATE "C";
SELECT model_id FROM models_for_tier_as_of('pro', clock_timestamp()) ORDER BY model_id COLLATE "C";
UPDATE model_access SET note = 'later' WHERE model_id = 'openai/gpt-5-mini';
SELECT model_id FROM models_for_tier_as_of('pro', :'before_ban') ORDER BY model_id COLLATE "C";
-- The history does not reach into the future, or back beyond the first models.
SELECT * FROM pg_temp.fails($$ SELECT FROM models_for_tier_as_of('pro', clock_timestamp() + interval '1 minute') $$);
SELECT * FROM pg_temp.fails($$ SELECT FROM models_for_tier_as_of('pro', '2020-01-01') $$);
-- If the owner deletes the beginning of the history, it reaches back to its first row; without rows, to no moment of the past.
DELETE FROM model_access_history WHERE history_id < (SELECT max(history_id) FROM model_access_history);
SELECT count(*) > 0 AS known FROM models_for_tier_as_of('pro', (SELECT at FROM model_access_history));
SELECT * FROM pg_temp.fails(format('SELECT FROM models_for_tier_as_of(''pro'', %L)', (SELECT at - interval '1 second' FROM model_access_history)));
TRUNCATE model_access_history;
SELECT * FROM pg_temp.fails($$ SELECT FROM models_for_tier_as_of('pro', now()) $$);
-- A success in the future is not well, and hides no later run.
SELECT ok FROM model_access_health() WHERE "check" = 'last_success';
UPDATE model_access_sync_log SET started_at = started_at + interval '3 days' WHERE run_id = (SELECT max(run_id) FROM model_access_sync_log);
SELECT ok, regexp_replace(detail, '\d{4}-[^:]*:\S*', 'TIME') AS detail FROM model_access_health() WHERE "check" = 'last_success';
SELECT outcome FROM model_access_load(pg_temp.listing(:all));
SELECT ok FROM model_access_health() WHERE "check" = 'last_success';
