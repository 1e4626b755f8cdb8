-- Decisions leave a database as text and arrive in another one with the prices that were reviewed.
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
\i :abs_srcdir/catalogue.sql
SELECT outcome FROM model_access_load(:'catalogue');
INSERT INTO model_access_rule (position, pattern, provider, max_usd_per_million, is_free, is_pro, is_enterprise, status, note) VALUES
    (5, NULL, 'deepseek', NULL, false, false, false, 'disabled', 'legal says no'), (10, '%:free', NULL, 0, true, false, false, 'active', NULL),
    (20, NULL, NULL, 5, false, true, true, NULL, NULL), (30, NULL, 'anthropic', NULL, false, false, true, 'active', NULL);
SELECT tiers, count(*) FROM model_access_accept(VARIADIC ARRAY(SELECT model_id FROM model_access_review WHERE proposed IS NOT NULL)) GROUP BY 1 ORDER BY 1;
UPDATE model_access SET status = 'active', is_enterprise = true WHERE model_id IN ('openai/gpt-5', 'openai/gpt-4o', '~anthropic/claude-opus-latest');
UPDATE model_access SET status = 'inactive' WHERE status = 'new' AND provider = 'mistralai';
UPDATE model_access SET note = E'a "note" with \\ and\ttwo\nlines' WHERE model_id = 'openai/gpt-5';
UPDATE model_access SET note = 'not decided' WHERE model_id = 'openai/gpt-4';
INSERT INTO model_access_override (user_id, model_id, allowed, expires_at, note) VALUES
    ('u1', 'openai/gpt-5', true, '2040-01-01 12:00+00', NULL), ('u1', 'openai/gpt-5', false, 'infinity', NULL), ('u2', 'openai/gpt-4o', true, NULL, 'sales');
INSERT INTO model_access_override (user_id, provider, allowed) VALUES ('u"2', 'qwen', false);
SELECT model_access_set('price_alert', '3');
-- The next day: one model costs four times as much, one is not free any more, one left.
SELECT min(model_id) AS free FROM model_access WHERE is_free \gset
SELECT pg_temp.reprice('openai/gpt-5', '0.000005', '0.00004'), pg_temp.reprice(:'free', '0.000001', '0.000001');
SELECT outcome, missing, free_revoked FROM model_access_load(pg_temp.all_but('openai/gpt-4o'));
SELECT model_id = :'free' AS free, reason, usd, old_usd FROM model_access_review WHERE reason NOT IN ('new', 'expiring') ORDER BY reason;
CREATE TABLE kept AS SELECT * FROM model_access;
CREATE TABLE kept_review AS SELECT * FROM model_access_review;
CREATE TABLE kept_visible AS SELECT t.tier, v.* FROM unnest('{free,pro,enterprise}'::text[]) AS t(tier), models_for_tier(t.tier) AS v;
CREATE TABLE kept_export AS SELECT model_access_export_decisions(true, true) AS document;
ALTER TABLE kept OWNER TO :owner;
-- One line each, sorted; the same decisions are the same bytes, whatever the settings of the session.
SET timezone = 'Asia/Kathmandu';
SET datestyle = 'German';
SELECT document = model_access_export_decisions(overrides => true, settings => true) AS alike FROM kept_export;
RESET timezone;
RESET datestyle;
SELECT regexp_replace(l.line, '"at": "[0-9T:.-]+\+00:00"', '"at": "THEN"', 'g') AS line
FROM kept_export, string_to_table(document, e'\n') WITH ORDINALITY AS l(line, n)
WHERE l.n = 1 OR l.line ~ '^.("rule|"override|"setting|"model": "(openai/gpt-(5|4o?)|~anthropic/claude-opus-latest)")' ORDER BY l.n;
SELECT (regexp_match(document, format('"model": "%s"[^\n]*', :'free')))[1] ~ '"tiers": \[\].*"free_revoked_at"' AS "what a sync took" FROM kept_export;
SELECT array_agg(l.id ORDER BY l.n) = array_agg(l.id ORDER BY l.id COLLATE "C") AS sorted
FROM (SELECT l.line::json ->> 'model', l.n FROM kept_export, string_to_table(document, e'\n') WITH ORDINALITY AS l(line, n) WHERE l.line LIKE '{"model"%') AS l(id, n);
SELECT count(*) FILTER (WHERE line LIKE '{"model"%') AS models, count(*) FILTER (WHERE line LIKE '{"rule"%') AS rules, count(*) AS lines
FROM string_to_table(model_access_export_decisions(), e'\n') AS line;

-- Removed, installed again, and the list of today: the import shows what it would do, and then does it.
DROP EXTENSION IF EXISTS model_access CASCADE;
SELECT :'owner' <> 'postgres' AS script \gset
ALTER TABLE kept OWNER TO postgres;
\if :script
DROP OWNED BY :owner CASCADE;
GRANT CREATE ON SCHEMA public TO :owner;
\endif
\set ECHO none
\i :install
\set ECHO all
SELECT outcome FROM model_access_load(pg_temp.all_but('openai/gpt-4o'));
SELECT document FROM kept_export \gset
SELECT kind, action, field, why, count(*) FROM model_access_import_decisions(:'document') GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3;
SELECT model_access_export_decisions(overrides => true);
SELECT kind, id, field, action, old, new, why FROM model_access_import_decisions(:'document')
WHERE id IN ('openai/gpt-4', 'openai/gpt-5', 'openai/gpt-4o', '20', 'u1', 'u2', 'u"2', 'price_alert') AND field IS DISTINCT FROM 'review' AND action <> 'skip';
CREATE TABLE kept_import AS SELECT * FROM model_access_import_decisions(:'document', dry_run => false);
SELECT kind, action, field, why, count(*) FROM kept_import GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3;
SELECT count(*) FROM (TABLE kept_visible EXCEPT SELECT t.tier, v.* FROM unnest('{free,pro,enterprise}'::text[]) AS t(tier), models_for_tier(t.tier) AS v) AS lost;
SELECT count(*) FROM (SELECT t.tier, v.* FROM unnest('{free,pro,enterprise}'::text[]) AS t(tier), models_for_tier(t.tier) AS v EXCEPT TABLE kept_visible) AS gained;
-- What waits for review waits again; only the model that is not in the list is missing.
SELECT 'lost' AS what, r.reason, r.model_id FROM (TABLE kept_review EXCEPT TABLE model_access_review) AS r
UNION ALL SELECT 'gained', r.reason, r.model_id FROM (TABLE model_access_review EXCEPT TABLE kept_review) AS r;
SELECT c.key, count(*) FROM kept AS k JOIN model_access AS m USING (model_id) CROSS JOIN LATERAL jsonb_each(to_jsonb(k)) AS c
WHERE to_jsonb(m) -> c.key <> c.value AND c.key NOT IN ('first_seen_at', 'changed_at', 'last_run_id', 'entry_hash') GROUP BY 1;
-- An export of what was imported has the same bytes, without the line of the unknown model; a second import does nothing.
SELECT regexp_replace(:'document', '\n[^\n]*"model": "openai/gpt-4o"[^\n]*', '', 'g') = model_access_export_decisions(true, true) AS alike;
SELECT count(*) AS history FROM model_access_history \gset
SELECT kind, id, action, why FROM model_access_import_decisions(:'document', dry_run => false);
SELECT count(*) = :history AS unchanged FROM model_access_history;
-- It is one change by one actor, and one undo takes it back; settings have no history.
SELECT actor, rows, what, undone FROM model_access_changes WHERE run_id IS NULL;
SELECT rtrim(undo, ';') AS undo FROM model_access_changes WHERE run_id IS NULL \gset
SELECT count(*), count(refused) AS refused FROM (:undo) AS u;
SELECT model_access_export_decisions(overrides => true);
SELECT count(*) FROM model_access_import_decisions(:'document', dry_run => false) WHERE action <> 'skip';

-- Single lines. A line leaves alone what it does not name; without a review, the present price is the reviewed one.
CREATE FUNCTION pg_temp.document(VARIADIC lines text[]) RETURNS text LANGUAGE sql AS
    $$ SELECT array_to_string(ARRAY['{"format": "model_access_decisions", "version": 1}'] || lines, e'\n') $$;
CREATE FUNCTION pg_temp.line(id text) RETURNS text LANGUAGE sql SET search_path FROM CURRENT AS
    $$ SELECT l.line FROM string_to_table(model_access_export_decisions(), e'\n') AS l(line) WHERE l.line::json ->> 'model' = id $$;
CREATE FUNCTION pg_temp.hide_time(value jsonb) RETURNS text LANGUAGE sql AS
    $$ SELECT regexp_replace(value::text, '"at": "[^"]+"', '"at": "THEN"') $$;
CREATE VIEW decided AS SELECT model_id, status, is_free AS f, is_pro AS p, is_enterprise AS e, note, reviewed_by, reviewed_pricing ->> 'prompt' AS prompt,
    missing_since IS NOT NULL AS missing, status_before_missing AS waits, free_revoked_at IS NOT NULL AS revoked FROM model_access;
SELECT * FROM model_access_import_decisions(pg_temp.document('{"model": "openai/gpt-5", "status": "active", "tiers": ["enterprise", "pro"]}',
    '', '{"model": "openai/gpt-5-mini", "note": "only a note"}', '{"model": "openai/gpt-4", "status": "new"}  '), false);
SELECT * FROM decided WHERE model_id IN ('openai/gpt-5', 'openai/gpt-5-mini') ORDER BY 1;
-- An edited line keeps its price and is a new decision by whoever imports it; a second import of it changes nothing.
SELECT pg_temp.line('openai/gpt-5') AS line \gset
SELECT replace(replace(:'line', '"active"', '"disabled"'), '"prompt": "0.000005"', '"prompt": "0.000001"') AS edited \gset
SELECT field, pg_temp.hide_time(old) AS old, pg_temp.hide_time(new) AS new, why FROM model_access_import_decisions(pg_temp.document(:'edited'));
SELECT count(*) FROM model_access_import_decisions(pg_temp.document(:'edited'), false);
SELECT * FROM model_access_import_decisions(pg_temp.document(:'edited'), false);
SELECT * FROM decided WHERE model_id = 'openai/gpt-5';
-- The older line again: somebody has decided here since.
SELECT field, pg_temp.hide_time(old) AS old, pg_temp.hide_time(new) AS new, why FROM model_access_import_decisions(pg_temp.document(:'line'), false);
SELECT pg_temp.line('openai/gpt-5') = :'line' AS alike;
-- Somebody confirmed the same later: that review stays.
SELECT model_access_confirm('openai/gpt-5');
SELECT field, pg_temp.hide_time(old) AS old, pg_temp.hide_time(new) AS new, why FROM model_access_import_decisions(pg_temp.document(:'line'), false);
SELECT pg_temp.line('openai/gpt-5') = :'line' AS alike;
-- Equal prices in other words, and times in another zone, are no difference.
SELECT * FROM model_access_import_decisions(pg_temp.document(replace(regexp_replace(pg_temp.line('openai/gpt-5'), '"prompt_usd_per_million": 5,', '"prompt_usd_per_million": 5.00, "rule": null,'), '+00:00"', 'Z"')), false);

-- A model that is not listed here: an approval waits for its return, a ban does not.
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'openai/gpt-5-mini';
SELECT pg_temp.line('openai/gpt-5-mini') AS line \gset
UPDATE model_access SET status = 'new', is_free = false, is_pro = false, is_enterprise = false WHERE model_id IN ('openai/gpt-5-mini', 'openai/gpt-5-nano');
SELECT outcome, missing FROM model_access_load(pg_temp.all_but('openai/gpt-4o', 'openai/gpt-5-mini', 'openai/gpt-5-nano'));
SELECT id, field, old, new, why FROM model_access_import_decisions(pg_temp.document(:'line', '{"model": "openai/gpt-5-nano", "status": "inactive"}'), false) WHERE field <> 'review';
SELECT * FROM model_access_import_decisions(pg_temp.document(:'line', '{"model": "openai/gpt-5-nano", "status": "inactive"}'), false);
SELECT * FROM decided WHERE missing ORDER BY 1;
SELECT model_id, reason FROM model_access_review WHERE reason = 'left';
SELECT pg_temp.line('openai/gpt-5-mini') = :'line' AS alike;
SELECT outcome, returned FROM model_access_load(pg_temp.all_but('openai/gpt-4o'));
SELECT * FROM decided WHERE model_id IN ('openai/gpt-5-mini', 'openai/gpt-5-nano') ORDER BY 1;
SELECT pg_temp.line('openai/gpt-5-mini') = :'line' AS alike;

-- A model that was free when it was reviewed and costs money now does not come into the free tier, but an admin may put it there.
SELECT regexp_replace(replace(pg_temp.line(:'free'), '"tiers": []', '"tiers": ["free", "pro"]'), ', "free_revoked_at": "[^"]*"', '') AS line \gset
SELECT field, action, old, new, why FROM model_access_import_decisions(pg_temp.document(:'line'), false) WHERE field <> 'review';
SELECT f, p, revoked FROM decided WHERE model_id = :'free';
SELECT field, action, old, new, why FROM model_access_import_decisions(pg_temp.document(:'line'), false);
SELECT field, action, old, new, why FROM model_access_import_decisions(pg_temp.document(format('{"model": "%s", "tiers": ["free"]}', :'free')), false);
SELECT f, p, revoked FROM decided WHERE model_id = :'free';

-- Rules and overrides: a rule is its position, and the overrides of a user for one model are one decision.
SELECT kind, id, action, old, new, why FROM model_access_import_decisions(pg_temp.document('{"rule": 20, "tiers": ["pro"]}', '{"rule": -7, "status": "disabled", "pattern": "x%"}',
    '{"override": "u1", "model": "openai/gpt-5", "allowed": true}', '{"override": "u1", "model": "nobody/nothing", "allowed": true}',
    '{"override": "u1", "provider": "openai", "allowed": false, "starts_at": "2039-12-31T23:00:00-01:00"}'), false);
SELECT position, is_pro, is_enterprise, max_usd_per_million, created_at = changed_at AS new FROM model_access_rule WHERE position IN (-7, 20) ORDER BY 1;
SELECT user_id, model_id, provider, allowed, starts_at, expires_at, created_by FROM model_access_override ORDER BY 1, 2, 3;
SELECT rows, what FROM model_access_changes LIMIT 1;

-- A viewer exports and compares; only who may decide imports; only the owner imports settings.
CREATE ROLE regress_viewer;
CREATE ROLE regress_admin;
CREATE ROLE regress_reader;
SELECT model_access_grant('regress_viewer', 'viewer'), model_access_grant('regress_admin', 'admin'), model_access_grant('regress_reader', 'reader');
SET ROLE regress_reader;
SELECT model_access_export_decisions();
SELECT * FROM model_access_import_decisions('');
SET ROLE regress_viewer;
SELECT length(model_access_export_decisions(true, true)) > 100000 AS exported;
SELECT id, field, action, old, new FROM model_access_import_decisions(pg_temp.document('{"model": "openai/gpt-4", "status": "active"}', '{"setting": "price_alert", "value": "4"}',
    '{"rule": 20, "tiers": ["free"]}', '{"override": "u9", "model": "openai/gpt-5", "allowed": true}'));
SELECT * FROM model_access_import_decisions(pg_temp.document('{"model": "openai/gpt-4", "status": "active"}'), false);
SELECT _model_access_import('');
SET ROLE regress_admin;
SELECT id, field, old, new FROM model_access_import_decisions(pg_temp.document('{"model": "openai/gpt-4", "status": "active"}', '{"setting": "price_alert", "value": "4"}'), false);
SELECT status FROM model_access WHERE model_id = 'openai/gpt-4';
-- The value here, and the default, are no change.
BEGIN;
SET LOCAL model_access.on_behalf_of = 'anna';
SELECT id, field, old, new FROM model_access_import_decisions(pg_temp.document('{"model": "openai/gpt-4", "status": "active"}', '{"setting": "price_alert", "value": " 3 "}', '{"setting": "free_guard", "value": null}'), false);
COMMIT;
SELECT actor, actor_role, on_behalf_of, rows, what FROM model_access_changes LIMIT 1;
RESET ROLE;
SELECT id, old, new, why FROM model_access_import_decisions(pg_temp.document('{"setting": "price_alert", "value": null}', '{"setting": "return_window", "value": "3 days"}'), false);
SELECT name, value FROM model_access_settings WHERE value <> "default";
SELECT model_access_revoke('regress_viewer'), model_access_revoke('regress_admin'), model_access_revoke('regress_reader');
DROP ROLE regress_viewer, regress_admin, regress_reader;

-- A user is spelled as in the bound table, and one that cannot be in it is left out.
CREATE TABLE profiles (id uuid PRIMARY KEY, subscription_tier text);
ALTER TABLE profiles OWNER TO :owner;
SELECT model_access_bind_profiles('profiles');
SELECT id, action, new, why FROM model_access_import_decisions(pg_temp.document('{"override": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "model": "openai/gpt-5", "allowed": true}',
    '{"override": "u1", "model": "openai/gpt-5-nano", "allowed": true}'), false);
SELECT * FROM model_access_import_decisions(pg_temp.document('{"override": "{a0eebc999c0b4ef8bb6d6bb9bd380a11}", "model": "openai/gpt-5", "allowed": true}'), false);
SELECT model_access_unbind_profiles();

-- Whatever was decided here, an import makes it what was exported there, and an export gives the same text again.
CREATE FUNCTION pg_temp.decide_at_random() RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    UPDATE model_access AS m SET last_run_id = m.last_run_id + 1, missing_since = r.missing_since,
        status = CASE WHEN r.missing_since IS NOT NULL AND r.status IN ('new', 'active') THEN 'inactive' ELSE r.status END,
        status_before_missing = CASE WHEN r.missing_since IS NOT NULL AND r.status IN ('new', 'active') THEN r.status END,
        is_free = random() < 0.5, is_pro = random() < 0.5, is_enterprise = random() < 0.5, note = CASE WHEN random() < 0.3 THEN md5(random()::text) END,
        reviewed_at = '2026-01-01'::timestamptz + random() * interval '300 days', reviewed_by = CASE WHEN random() < 0.5 THEN 'anna' ELSE 'bert' END,
        reviewed_rule = CASE WHEN random() < 0.2 THEN 'not 5' END, reviewed_pricing = jsonb_build_object('prompt', random()::text), reviewed_prompt_usd_per_million = random(),
        reviewed_completion_usd_per_million = CASE WHEN random() < 0.7 THEN random() END, reviewed_is_free_of_charge = false,
        reviewed_highest_prices = CASE WHEN random() < 0.9 THEN jsonb_build_object('prompt', random(), 'audio', CASE WHEN random() < 0.5 THEN random() END) END,
        reviewed_alias_of = CASE WHEN random() < 0.1 THEN 'a/b' END, returned_at = CASE WHEN random() < 0.1 THEN now() END, free_revoked_at = CASE WHEN random() < 0.1 THEN now() END,
        tiers_before = CASE WHEN random() < 0.1 THEN '{pro,enterprise}'::text[] END, price_guarded_at = CASE WHEN random() < 0.1 THEN now() END
    FROM (SELECT x.model_id, (ARRAY['new', 'active', 'inactive', 'disabled'])[1 + floor(random() * 4)] AS status, CASE WHEN random() < 0.2 THEN now() END AS missing_since
          FROM model_access AS x OFFSET 0) AS r WHERE r.model_id = m.model_id;
    DELETE FROM model_access_rule;
    INSERT INTO model_access_rule (position, pattern, is_pro, per_use, max_usd_per_million)
        SELECT i, nullif('%' || i % 3, '%0'), true, i % 2 = 0, CASE WHEN i % 5 > 1 THEN round(random()::numeric, 3) END FROM generate_series(1, 9) AS i;
    DELETE FROM model_access_override;
    INSERT INTO model_access_override (user_id, model_id, allowed, starts_at, expires_at)
        SELECT 'u' || i % 4, CASE WHEN i % 2 = 0 THEN 'openai/gpt-5' ELSE 'openai/gpt-5-mini' END, random() < 0.5, CASE WHEN random() < 0.5 THEN now() - random() * interval '1 year' END,
            CASE WHEN random() < 0.5 THEN now() + random() * interval '1 year' END FROM generate_series(0, 15) AS i;
$$;
SELECT setseed(0.2);
SELECT pg_temp.decide_at_random();
SELECT model_access_export_decisions(overrides => true) AS document \gset
SELECT pg_temp.decide_at_random();
SELECT kind, action, count(*) > 0 AS some FROM model_access_import_decisions(:'document', false) GROUP BY 1, 2 ORDER BY 1, 2;
SELECT model_access_export_decisions(overrides => true) = :'document' AS alike;
SELECT count(*) FROM model_access_import_decisions(:'document', false);
SELECT count(*) > 0 AS review FROM model_access_review;

-- A document with a wrong line is refused whole, and the line is named.
CREATE FUNCTION pg_temp.refusal(document text) RETURNS TABLE (code text, message text, detail text) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM model_access_import_decisions(document, false);
    RETURN QUERY SELECT '', 'accepted', '';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN QUERY SELECT SQLSTATE, left(message, 150), left(detail, 90);
END
$$;
SELECT r.* FROM unnest(ARRAY[NULL, '', e'\n\n', '<html>', '[]', '"x"', '{"format": "other", "version": 1}', '{"format": "model_access_decisions"}', '{"format": "model_access_decisions", "version": 0}',
    '{"format": "model_access_decisions", "version": "1"}', e'{"format": "model_access_decisions", "version": 2}\n{"models": []}']) WITH ORDINALITY AS d(document, n), pg_temp.refusal(d.document) AS r ORDER BY d.n;
SELECT r.* FROM unnest(ARRAY['{"model": "a/b"', 'model', '[{"model": "a/b"}]', '{}', '{"model": null}', '{"model": 5}', '{"mode": "a/b"}', '{"model": "a/b", "state": "new"}', '{"model": "a/b", "status": "gone"}',
    '{"model": "a/b", "status": null}', '{"model": "a/b", "tiers": "pro"}', '{"model": "a/b", "tiers": ["gold"]}', '{"model": "a/b", "tiers": [null]}', '{"model": "a/b", "note": {"a": 1}}',
    '{"model": "a/b", "note": "\u0000"}', '{"model": "a/b", "status": "new", "status": "active"}', '{"model": "a/b", "review": {"at": "2026-01-01T00:00:00Z", "by": "x", "pricing": {"prompt": "1", "prompt": "2"}}}',
    repeat('[', 100000), '{"format": "model_access_decisions", "version": 1}']) WITH ORDINALITY AS l(line, n), pg_temp.refusal(pg_temp.document('{"model": "openai/gpt-5", "note": "fine"}', l.line)) AS r ORDER BY l.n;
SELECT r.* FROM unnest(ARRAY['"x"', '{}', '{"at": "2026-01-01T00:00:00Z"}', '{"by": "x"}', '{"at": null, "by": "x"}', '{"at": "tomorrow", "by": "x"}', '{"at": "infinity", "by": "x"}', '{"at": "2026-02-30T00:00:00Z", "by": "x"}',
    '{"at": "2026-01-01T00:00:00Z", "by": null}', '{"at": "2026-01-01T00:00:00Z", "by": "x", "status": "active"}', '{"at": "2026-01-01T00:00:00Z", "by": "x", "highest_prices": {"prompt": "1"}}',
    '{"at": "2026-01-01T00:00:00Z", "by": "x", "highest_prices": {"prompt": -1}}', '{"at": "2026-01-01T00:00:00Z", "by": "x", "highest_prices": {"prompt": 1e1000}}',
    '{"at": "2026-01-01T00:00:00Z", "by": "x", "highest_prices": [1]}', '{"at": "2026-01-01T00:00:00Z", "by": "x", "prompt_usd_per_million": 1e9999999}', '{"at": "2026-01-01T00:00:00Z", "by": "x", "pricing": "free"}',
    '{"at": "2026-01-01T00:00:00Z", "by": "x", "is_free_of_charge": "yes"}', '{"at": "2026-01-01T00:00:00Z", "by": "x", "tiers_before": [1]}', '{"at": "2026-01-01T00:00:00Z", "by": "x", "returned_at": "2026-01-01"}',
    '{"at": "9999-12-31T23:59:59Z", "by": "x"}', '{"at": "9998-12-31T23:59:59-12:00", "by": "x"}', '{"at": "0044-03-15T00:00:00Z BC", "by": "x"}', '{"at": "2026-01-01T00:00:00Z", "by": "x", "free_revoked_at": "9999-12-31T23:59:59Z"}'])
    WITH ORDINALITY AS l(review, n), pg_temp.refusal(pg_temp.document(format('{"model": "a/b", "review": %s}', l.review))) AS r ORDER BY l.n;
SELECT r.* FROM unnest(ARRAY['{"rule": 1}', '{"rule": 1.5, "tiers": ["pro"]}', '{"rule": 3000000000, "tiers": ["pro"]}', '{"rule": "1", "tiers": ["pro"]}', '{"rule": 1, "tiers": ["pro"], "status": "disabled"}',
    '{"rule": 1, "status": "disabled", "max_usd_per_million": 5}', '{"rule": 1, "tiers": ["pro"], "status": "new"}', '{"rule": 1, "tiers": ["pro"], "pattern": ""}', '{"rule": 1, "tiers": ["pro"], "pattern": "\\"}', '{"rule": 1, "tiers": ["pro"], "max_usd_per_million": -1}',
    '{"override": "u", "allowed": true}', '{"override": "u", "model": "a/b"}', '{"override": "u", "model": "a/b", "provider": "a", "allowed": true}', '{"override": "", "model": "a/b", "allowed": true}',
    '{"override": "u", "model": "a/b", "allowed": true, "starts_at": "now"}', '{"override": "u", "model": "a/b", "allowed": true, "starts_at": "2030-01-01T00:00:00Z", "expires_at": "2030-01-01T00:00:00Z"}',
    '{"setting": "price_alert"}', '{"setting": "price_alert", "value": 3}', '{"setting": "price_alert", "value": "low"}', '{"setting": "colour", "value": "red"}'])
    WITH ORDINALITY AS l(line, n), pg_temp.refusal(pg_temp.document(l.line)) AS r ORDER BY l.n;
SELECT (pg_temp.refusal(pg_temp.document(VARIADIC l.lines))).* FROM (VALUES (ARRAY['{"model": "a/b"}', '', '{"model": "a/b", "note": "x"}']), (ARRAY['{"rule": 1, "tiers": ["pro"]}', '{"rule": 1, "tiers": ["free"]}']),
    (ARRAY['{"setting": "price_alert", "value": "3"}', '{"setting": "price_alert", "value": null}']), (ARRAY['{"override": "u", "model": "a/b", "allowed": true}', '{"override": "u", "allowed": true, "model": "a/b"}'])) AS l(lines);
SELECT * FROM model_access_import_decisions(pg_temp.document(VARIADIC '{}'), false);
SELECT r.code, r.message FROM pg_temp.refusal(pg_temp.document(repeat('x', 16777216))) AS r;
SELECT note FROM model_access WHERE model_id = 'openai/gpt-5';
SELECT * FROM model_access_import_decisions(pg_temp.document('{"model": "openai/gpt-5", "note": "fine"}'), NULL);
-- An override may have any time that PostgreSQL can store, and its export can be imported.
INSERT INTO model_access_override (user_id, model_id, allowed, starts_at, expires_at) VALUES ('far', 'openai/gpt-5', true, '0044-03-15 BC', '20000-01-01');
SELECT count(*) FROM model_access_import_decisions(model_access_export_decisions(overrides => true), true);
DELETE FROM model_access_override WHERE user_id = 'far';
-- Names and texts are only compared and stored.
SELECT id, field, action, old, new FROM model_access_import_decisions(pg_temp.document('{"model": "x''; DROP TABLE model_access; --", "status": "active"}', '{"model": "openai/gpt-5", "note": "''; DROP TABLE model_access; -- \u001b[2J %s $1"}'), false);
SELECT note FROM model_access WHERE model_id = 'openai/gpt-5';
-- Whoever may insert into the view gets no further.
INSERT INTO model_access_action (action, arguments) VALUES ('import', '{"document": "{\"format\": \"model_access_decisions\", \"version\": 1}\n{\"setting\": \"price_alert\", \"value\": \"9\"}"}') RETURNING result;
INSERT INTO model_access_action (action, arguments) VALUES ('import', '{}');
SELECT value FROM model_access_settings WHERE name = 'price_alert';
-- The reviewed columns of a model are the keys of a review.
SELECT k.key FROM _model_access_document_key AS k WHERE k.kind = 'review' AND k.type IS NULL;
SELECT k.key FROM _model_access_document_key AS k WHERE k.kind = 'review' AND (k.type = 'time') <> (_model_access_normal_review(format('{"%s": "2026-01-01T00:00:00Z"}', k.key)::jsonb) ->> k.key <> '2026-01-01T00:00:00Z');
SELECT k.key FROM _model_access_document_key AS k WHERE k.kind = 'review' AND strpos(pg_get_functiondef('_model_access_exported_review'::regproc), format('''%s''', k.key)) = 0;
SELECT s.name FROM unnest(_model_access_stamp_columns()) AS s(name)
WHERE NOT EXISTS (SELECT FROM _model_access_document_key AS k WHERE k.kind = 'review' AND s.name IN (k.key, 'reviewed_' || k.key));
