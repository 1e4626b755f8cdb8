-- Undo takes back changes, not the time since a moment, and is safe to repeat.
\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
INSERT INTO model_access (model_id, name, provider, last_run_id) VALUES ('a/one', 'One', 'a', 1), ('a/two', 'Two', 'a', 1), ('a/three', 'Three', 'a', 1);
CREATE ROLE regress_anna;
CREATE ROLE regress_bert;
SELECT model_access_grant('regress_anna', 'admin'), model_access_grant('regress_bert', 'admin');
GRANT regress_anna, regress_bert TO :owner;
CREATE VIEW decisions AS
    SELECT model_id, status, is_free AS f, is_pro AS p, is_enterprise AS e, note, reviewed_by, missing_since IS NOT NULL AS missing, status_before_missing AS waits,
        free_revoked_at IS NOT NULL AS revoked, price_guarded_at IS NOT NULL AS guarded, tiers_before, reviewed_highest_prices
    FROM model_access ORDER BY model_id COLLATE "C";
GRANT SELECT ON decisions TO regress_anna, regress_bert;
-- What a sync would write, as another run.
CREATE FUNCTION pg_temp.listed(id text, prices jsonb, missing boolean DEFAULT false) RETURNS void LANGUAGE sql AS $$
    UPDATE model_access SET highest_prices = prices, is_free_of_charge = prices = '{}', missing_since = CASE WHEN missing THEN now() END,
        last_run_id = last_run_id + 1 WHERE model_id = id $$;
CREATE FUNCTION pg_temp.hide_time(refused jsonb) RETURNS text LANGUAGE sql AS
    $$ SELECT regexp_replace(refused::text, ', [A-Z][a-z]{2} [^"]*(?=")', ', THEN', 'g') $$;
SELECT pg_temp.listed(m.model_id, '{"prompt": 1}') FROM model_access AS m;
UPDATE model_access SET status = 'active', is_pro = true;

-- The documented call, run twice: an UPDATE without WHERE, with a note by another admin in between.
SET ROLE regress_anna;
SELECT clock_timestamp() AS oops \gset
UPDATE model_access SET status = 'disabled';
SET ROLE regress_bert;
UPDATE model_access SET note = 'asked for by sales' WHERE model_id = 'a/two';
SET ROLE regress_anna;
CREATE TEMP TABLE dry AS SELECT * FROM model_access_undo(:'oops', actor => 'regress_anna');
CREATE TEMP TABLE really AS SELECT * FROM model_access_undo(:'oops', dry_run => false, actor => 'regress_anna');
SELECT d AS dry, d IS NOT DISTINCT FROM r AS alike FROM dry AS d FULL JOIN really AS r ON r.model_id = d.model_id ORDER BY d.model_id COLLATE "C";
SELECT model_id, status, p, note, reviewed_by, reviewed_highest_prices FROM decisions;
SELECT * FROM model_access_undo(:'oops', dry_run => false, actor => 'regress_anna');
SELECT model_id, status, note FROM decisions;
-- The history says which row took back which.
SELECT h.model_id, h.actor_role, h.new ->> 'status' AS status, h.new ->> 'note' AS note,
    (SELECT string_agg(u.new ->> 'status', ',') FROM model_access_history AS u WHERE u.history_id = ANY (h.undo_of)) AS undid
FROM model_access_history AS h WHERE h.at >= :'oops' ORDER BY h.history_id;

-- Without actor, the changes of everybody. Again a second run finds nothing.
SELECT * FROM model_access_undo(:'oops', dry_run => false);
SELECT * FROM model_access_undo(:'oops', dry_run => false);
SELECT model_id, status, note FROM decisions;
-- An undo is undone if it is named. Then the documented call undoes the change again.
SELECT max(history_id) AS last FROM model_access_history WHERE undo_of IS NOT NULL \gset
SELECT * FROM model_access_undo(history_ids => ARRAY[:last], dry_run => false);
SELECT * FROM model_access_undo(history_ids => ARRAY[:last], dry_run => false);
SELECT model_id, note FROM decisions WHERE note IS NOT NULL;
SELECT * FROM model_access_undo(:'oops', dry_run => false);
SELECT * FROM model_access_undo(:'oops');

-- A later change by somebody else stays, and refused names it. What that change does not affect is undone.
UPDATE model_access SET status = 'inactive', note = 'mine' WHERE model_id = 'a/one';
SELECT max(history_id) AS mine FROM model_access_history \gset
SET ROLE regress_bert;
UPDATE model_access SET status = 'disabled' WHERE model_id = 'a/one';
SET ROLE regress_anna;
SELECT model_id, old, new, pg_temp.hide_time(refused) AS refused FROM model_access_undo(history_ids => ARRAY[:mine], dry_run => false);
SELECT model_id, status, note, reviewed_by FROM decisions WHERE model_id = 'a/one';
-- Both changes are undone, one after the other.
SELECT model_id, new, refused FROM model_access_undo(history_ids => ARRAY[:mine, :mine + 1], dry_run => false);
SELECT model_id, status, note, reviewed_by FROM decisions WHERE model_id = 'a/one';

-- An accidental confirm is undone: the reviewed price comes back with its review.
RESET ROLE;
SELECT pg_temp.listed('a/three', '{"prompt": 5}');
SET ROLE regress_anna;
SELECT model_access_confirm('a/three');
SELECT model_id, reviewed_by, reviewed_highest_prices FROM decisions WHERE model_id = 'a/three';
SELECT rows, what, undone FROM model_access_changes LIMIT 1;
SELECT rtrim(undo, ';') AS undo FROM model_access_changes LIMIT 1 \gset
SELECT model_id, new - 'reviewed_at' AS new, new ? 'reviewed_at' AS stamp, refused FROM (:undo) AS u;
SELECT model_id, status, reviewed_by, reviewed_highest_prices FROM decisions WHERE model_id = 'a/three';
SELECT rows, what, undone, undo IS NOT NULL AS undo FROM model_access_changes LIMIT 2;
-- Somebody reviewed the model again in the meantime: that review stays, and the guards use it.
SELECT model_access_confirm('a/three');
SELECT max(history_id) AS confirmed FROM model_access_history \gset
SET ROLE regress_bert;
UPDATE model_access SET is_enterprise = true WHERE model_id = 'a/three';
SET ROLE regress_anna;
SELECT model_id, old - 'reviewed_at' AS old, new, pg_temp.hide_time(refused) AS refused FROM model_access_undo(history_ids => ARRAY[:confirmed], dry_run => false);
SELECT status, e, reviewed_by, reviewed_highest_prices FROM decisions WHERE model_id = 'a/three';
-- By actor: a login, a role, or the person that on_behalf_of names.
BEGIN;
SET LOCAL model_access.on_behalf_of = 'carl@example.com';
UPDATE model_access SET status = 'inactive' WHERE model_id IN ('a/one', 'a/two');
COMMIT;
SET ROLE regress_bert;
UPDATE model_access SET is_free = true WHERE model_id = 'a/one';
SELECT model_id, new FROM model_access_undo('2020-01-01', actor => 'regress_bert', model_ids => '{a/one}');
SELECT model_id, new, refused FROM model_access_undo('2020-01-01', actor => 'carl@example.com', dry_run => false);
SELECT model_id, status, f, reviewed_by FROM decisions;
SELECT * FROM model_access_undo('2020-01-01', actor => 'nobody');
SELECT what, undone, undo IS NULL AS nothing FROM model_access_changes LIMIT 3;
RESET ROLE;

-- What a sync took comes back only where the list agrees again. The flag of a model that stopped being free:
SELECT pg_temp.listed('a/one', '{}');
UPDATE model_access SET status = 'active', is_free = true, is_pro = false WHERE model_id = 'a/one';
SELECT clock_timestamp() AS wrong_list \gset
UPDATE model_access SET is_free = false, free_revoked_at = now(), highest_prices = '{"prompt": 3}', is_free_of_charge = false, last_run_id = last_run_id + 1 WHERE model_id = 'a/one';
SELECT model_id, old, new, regexp_replace(refused::text, '\d+', 'N') AS refused FROM model_access_undo(:'wrong_list');
SELECT pg_temp.listed('a/one', '{"request": 0.01}');
SELECT new FROM model_access_undo(:'wrong_list');
SELECT pg_temp.listed('a/one', '{}', missing => true);
SELECT new FROM model_access_undo(:'wrong_list');
SELECT pg_temp.listed('a/one', '{}');
SELECT * FROM model_access_undo(:'wrong_list', actor => 'postgres');
SELECT rtrim(undo, ';') AS undo FROM model_access_changes WHERE what LIKE 'is_free: true -> false%' LIMIT 1 \gset
SELECT model_id, old, new, refused FROM (:undo) AS u;
SELECT model_id, status, f, revoked, reviewed_by FROM decisions WHERE model_id = 'a/one';
SELECT * FROM model_access_undo(:'wrong_list', dry_run => false);
-- The status, taken because of the price. The mistake of an admin on top of it is undone in any case.
SELECT clock_timestamp() AS wrong_list \gset
UPDATE model_access SET status = 'new', price_guarded_at = now(), highest_prices = '{"prompt": 9}', last_run_id = last_run_id + 1 WHERE model_id = 'a/two';
SELECT model_id, old, new, regexp_replace(refused::text, '\d+', 'N') AS refused FROM model_access_undo(:'wrong_list');
UPDATE model_access SET status = 'disabled' WHERE model_id = 'a/two';
SELECT model_id, old, new, refused FROM model_access_undo(:'wrong_list', dry_run => false);
SELECT model_id, status, guarded, reviewed_highest_prices FROM decisions WHERE model_id = 'a/two';
SELECT pg_temp.listed('a/two', '{"prompt": 1}');
SELECT model_id, old, new, refused FROM model_access_undo(:'wrong_list', dry_run => false);
SELECT model_id, status, guarded, reviewed_highest_prices FROM decisions WHERE model_id = 'a/two';
-- A late return took status and flags.
SELECT clock_timestamp() AS wrong_list \gset
UPDATE model_access SET status = 'inactive', status_before_missing = 'active', missing_since = now(), last_run_id = last_run_id + 1 WHERE model_id = 'a/two';
SELECT * FROM model_access_undo(:'wrong_list');
UPDATE model_access SET status = 'new', status_before_missing = NULL, missing_since = NULL, is_pro = false, tiers_before = '{pro}', returned_at = now(),
    highest_prices = '{"prompt": 2}', last_run_id = last_run_id + 1 WHERE model_id = 'a/two';
SELECT old, new, regexp_replace(refused::text, '\d+', 'N', 'g') AS refused FROM model_access_undo(:'wrong_list');
SELECT pg_temp.listed('a/two', '{"prompt": 1}');
SELECT old, new, refused FROM model_access_undo(:'wrong_list', dry_run => false);
SELECT model_id, status, p, tiers_before, missing FROM decisions WHERE model_id = 'a/two';
-- If a sync took something and gave it back, the change before it is undone as if neither had happened.
UPDATE model_access SET note = 'x', status = 'inactive' WHERE model_id = 'a/two';
UPDATE model_access SET status = 'active' WHERE model_id = 'a/two';
SELECT max(history_id) AS approved FROM model_access_history \gset
UPDATE model_access SET status = 'new', price_guarded_at = now(), last_run_id = last_run_id + 1 WHERE model_id = 'a/two';
SELECT clock_timestamp() AS guarded \gset
UPDATE model_access SET status = 'active', price_guarded_at = NULL, last_run_id = last_run_id + 1 WHERE model_id = 'a/two';
SELECT * FROM model_access_undo(:'guarded');
SELECT old, new, refused FROM model_access_undo(history_ids => ARRAY[:approved]);
-- Undo never puts a model into the free tier that costs money now and was free when it was reviewed.
UPDATE model_access SET is_pro = true, is_free = false WHERE model_id = 'a/one';
SELECT max(history_id) AS not_free FROM model_access_history \gset
SELECT pg_temp.listed('a/one', '{"request": 0.01}');
SELECT old, new, refused FROM model_access_undo(history_ids => ARRAY[:not_free], dry_run => false);
SELECT model_id, f, p FROM decisions WHERE model_id = 'a/one';

-- Between changes of one admin, a change of another that was undone does not stop an undo. Once it applies again, it does.
SET ROLE regress_anna;
SELECT status AS first FROM decisions WHERE model_id = 'a/three';
SELECT clock_timestamp() AS anna \gset
UPDATE model_access SET status = 'inactive' WHERE model_id = 'a/three';
SET ROLE regress_bert;
UPDATE model_access SET status = 'disabled' WHERE model_id = 'a/three';
SELECT max(history_id) AS bert FROM model_access_history \gset
SELECT new FROM model_access_undo(history_ids => ARRAY[:bert], dry_run => false);
SELECT max(history_id) AS undo FROM model_access_history \gset
SET ROLE regress_anna;
UPDATE model_access SET status = 'new' WHERE model_id = 'a/three';
SELECT old, new, refused FROM model_access_undo(:'anna', actor => 'regress_anna');
SELECT new FROM model_access_undo(:'anna', actor => 'regress_anna', dry_run => false);
SET ROLE regress_bert;
SELECT new, pg_temp.hide_time(refused) AS refused FROM model_access_undo(history_ids => ARRAY[:undo], dry_run => false);
SELECT status FROM decisions WHERE model_id = 'a/three';
SET ROLE regress_anna;
UPDATE model_access SET status = 'new' WHERE model_id = 'a/three';
SELECT new, refused FROM model_access_undo(:'anna', actor => 'regress_anna', dry_run => false);
RESET ROLE;
-- What a decision cleared comes back with its stamp, but not if somebody has reviewed the model since. The price of that review is not lost.
UPDATE model_access SET status = 'active', is_free = false, is_pro = false, is_enterprise = false, pricing = '{"prompt": "1"}' WHERE model_id = 'a/three';
UPDATE model_access SET free_revoked_at = now(), last_run_id = last_run_id + 1 WHERE model_id = 'a/three';
SET ROLE regress_anna;
UPDATE model_access SET is_pro = true WHERE model_id = 'a/three';
SELECT max(history_id) AS anna FROM model_access_history \gset
SELECT new FROM model_access_undo(history_ids => ARRAY[:anna], dry_run => false);
SELECT p, revoked FROM decisions WHERE model_id = 'a/three';
UPDATE model_access SET is_pro = true WHERE model_id = 'a/three';
SELECT max(history_id) AS anna FROM model_access_history \gset
SET ROLE regress_bert;
UPDATE model_access SET is_enterprise = true WHERE model_id = 'a/three';
RESET ROLE;
UPDATE model_access SET pricing = '{"prompt": "2"}', last_run_id = last_run_id + 1 WHERE model_id = 'a/three';
SET ROLE regress_anna;
SELECT new, refused FROM model_access_undo(history_ids => ARRAY[:anna], dry_run => false);
RESET ROLE;
SELECT is_pro, is_enterprise, free_revoked_at, reviewed_by, reviewed_pricing FROM model_access WHERE model_id = 'a/three';

-- Overrides and rules are undone if asked for.
SET ROLE regress_anna;
INSERT INTO model_access_override (user_id, model_id, allowed, note) VALUES ('u1', 'a/one', true, 'for u1'), ('u2', 'a/two', false, NULL);
INSERT INTO model_access_rule (position, pattern, is_pro) VALUES (10, 'a/%', true), (20, 'b/%', true);
SELECT clock_timestamp() AS oops \gset
DELETE FROM model_access_override;
UPDATE model_access_rule SET is_free = true WHERE position = 10;
UPDATE model_access_rule SET position = 15 WHERE position = 20;
INSERT INTO model_access_override (user_id, provider, allowed) VALUES ('u3', 'a', true);
SELECT rows, what, undone, regexp_replace(undo, '\d+', 'N', 'g') AS undo FROM model_access_changes WHERE at >= :'oops';
SELECT * FROM model_access_undo(:'oops');
SELECT model_id, old -> 'override' -> 'user_id' AS old, new -> 'override' -> 'user_id' AS new, refused FROM model_access_undo(:'oops', overrides => true);
SELECT count(*) FROM model_access_undo(:'oops', overrides => true, rules => true, dry_run => false);
SELECT * FROM model_access_undo(:'oops', overrides => true, rules => true, dry_run => false);
SELECT user_id, model_id, provider, allowed, note, created_by, override_id FROM model_access_override ORDER BY override_id;
SELECT position, pattern, is_free, is_pro FROM model_access_rule ORDER BY 1;
SELECT rows, what, undone, regexp_replace(undo, '\d+', 'N', 'g') AS undo FROM model_access_changes WHERE at >= :'oops';
SELECT user_id, rule, old ? 'override' AS old, new ? 'override' AS new, undo_of IS NOT NULL AS undo FROM model_access_history WHERE at >= :'oops' ORDER BY history_id;
-- The statement in model_access_changes undoes them, and the undo is undone the same way.
SELECT replace(undo, 'SELECT *', 'SELECT count(*)') AS undo FROM model_access_changes LIMIT 1 \gset
:undo
SELECT user_id, provider FROM model_access_override;
SELECT position, is_free FROM model_access_rule ORDER BY 1;
SELECT what, undone FROM model_access_changes LIMIT 2;
\set ECHO none
SELECT replace(undo, 'SELECT *', 'SELECT count(*)') FROM model_access_changes LIMIT 1 \gexec
\set ECHO all
SELECT user_id, provider FROM model_access_override ORDER BY override_id;
-- Changes of another admin stay. An override or a rule that can match nothing now is not put back.
UPDATE model_access_override SET note = 'anna' WHERE user_id = 'u1';
SELECT max(history_id) AS noted FROM model_access_history \gset
SET ROLE regress_bert;
UPDATE model_access_override SET allowed = false WHERE user_id = 'u1';
SELECT model_id, new, pg_temp.hide_time(refused) AS refused FROM model_access_undo(history_ids => ARRAY[:noted], overrides => true, dry_run => false);
RESET ROLE;
DELETE FROM model_access_override WHERE user_id = 'u2';
DELETE FROM model_access WHERE model_id = 'a/two';
SELECT model_id, new, refused FROM model_access_undo(history_ids => ARRAY(SELECT max(history_id) FROM model_access_history), overrides => true, dry_run => false);
-- TRUNCATE is in the history too.
SELECT clock_timestamp() AS emptied \gset
TRUNCATE model_access_override, model_access_rule;
SELECT count(*) FROM model_access_undo(:'emptied', overrides => true, rules => true, dry_run => false);
SELECT (SELECT count(*) FROM model_access_override) AS overrides, (SELECT count(*) FROM model_access_rule) AS rules;
-- Only the owner sets when a rule was made or changed, so every change of a rule is in the history.
SET ROLE regress_anna;
INSERT INTO model_access_rule (position, is_pro, created_at, changed_at) VALUES (30, true, '2020-01-01', '2030-01-01') RETURNING created_at > '2020-01-02' AS now, changed_at = created_at AS made_now;
UPDATE model_access_rule SET created_at = '2020-01-01', changed_at = '2020-01-01' WHERE position = 30 RETURNING created_at > '2020-01-02' AS now, changed_at = created_at AS unchanged;
UPDATE model_access_rule SET note = 'later', changed_at = '2020-01-01' WHERE position = 30 RETURNING changed_at > created_at AS changed_now;
INSERT INTO model_access_override (user_id, provider, allowed, created_at) VALUES ('u4', 'a', true, '2020-01-01');
SELECT what FROM model_access_changes LIMIT 2;

-- Many rows of the history are named by ranges.
RESET ROLE;
SELECT _model_access_undo_statement(ARRAY(SELECT generate_series(1, 50)) || ARRAY(SELECT generate_series(60, 90)), false, true);
-- Invalid arguments.
SELECT model_access_undo();
SELECT model_access_undo(history_ids => '{-1,NULL}');
SELECT model_access_undo(history_ids => ARRAY(SELECT max(history_id) FROM model_access_history), dry_run => false);
SELECT * FROM model_access_undo(history_ids => '{}');
-- A role that may read sees what was done. A role that may not decide undoes nothing.
CREATE ROLE regress_viewer;
SELECT model_access_grant('regress_viewer', 'viewer');
SET ROLE regress_viewer;
SELECT count(*) > 10 AS changes, count(undo) > 3 AS undo, bool_or(undone) AS undone FROM model_access_changes;
SELECT model_access_undo('2020-01-01', dry_run => false);
RESET ROLE;

-- A price is compared with the reviewed one component by component.
SELECT n AS now, r AS reviewed, _model_access_is_above(n::jsonb, r::jsonb, 2) AS above FROM (VALUES
    ('{"prompt": 2}', '{"prompt": 1}'), ('{"prompt": 2.01}', '{"prompt": 1}'), ('{"prompt": 1, "request": 0.1}', '{"prompt": 1}'),
    ('{"prompt": 1, "request": 0}', '{"prompt": 1}'), ('{}', '{"prompt": 1}'), ('{"prompt": 0.1}', '{"prompt": 0.0}'),
    ('{"prompt": null}', '{"prompt": 1}'), ('{"prompt": null}', '{}'), ('{"prompt": null}', '{"prompt": null}'),
    ('{"prompt": 1}', '{"prompt": null}'), ('{"prompt": 0}', '{"prompt": null}'), (NULL, '{}'), ('{"prompt": 1}', NULL),
    ('{"prompt": 0, "image": null}', NULL), (NULL, NULL)) AS v(n, r);

-- After any changes, in any order: a second run changes nothing, and an undo of an undo brings the changes back, if asked for.
DO $$
DECLARE
    began timestamptz; before text; changed text; undone text; first bigint; last bigint;
BEGIN
    PERFORM setseed(0.5);
    FOR round IN 1 .. 20 LOOP
        before := (SELECT string_agg(m::text, ' ' ORDER BY model_id) FROM (SELECT model_id, status, is_free, is_pro, is_enterprise, note, reviewed_at FROM model_access) AS m);
        began := clock_timestamp();
        FOR step IN 1 .. 5 LOOP
            UPDATE model_access SET status = (ARRAY['new', 'active', 'inactive', 'disabled'])[ceil(random() * 4)], is_pro = random() > 0.5 WHERE random() > 0.5;
            UPDATE model_access SET note = round || ' ' || step WHERE random() > 0.5;
            -- undone in between, at random
            IF random() > 0.7 THEN
                PERFORM model_access_undo(began, dry_run => false, model_ids => '{a/one}');
            END IF;
        END LOOP;
        changed := (SELECT string_agg(m::text, ' ' ORDER BY model_id) FROM (SELECT model_id, status, is_free, is_pro, is_enterprise, note, reviewed_at FROM model_access) AS m);
        first := (SELECT max(history_id) + 1 FROM model_access_history);
        PERFORM model_access_undo(began, dry_run => false);
        last := (SELECT max(history_id) FROM model_access_history);
        undone := (SELECT string_agg(m::text, ' ' ORDER BY model_id) FROM (SELECT model_id, status, is_free, is_pro, is_enterprise, note, reviewed_at FROM model_access) AS m);
        ASSERT undone = before, format('round %s: %s became %s', round, before, undone);
        PERFORM model_access_undo(began, dry_run => false);
        ASSERT last = (SELECT max(history_id) FROM model_access_history), format('round %s: a second run wrote', round);
        IF last >= first THEN
            PERFORM model_access_undo(history_ids => ARRAY(SELECT generate_series(first, last)), dry_run => false);
        END IF;
        undone := (SELECT string_agg(m::text, ' ' ORDER BY model_id) FROM (SELECT model_id, status, is_free, is_pro, is_enterprise, note, reviewed_at FROM model_access) AS m);
        ASSERT undone = changed, format('round %s: %s came back as %s', round, changed, undone);
    END LOOP;
END $$;
-- Lists as a sync reads them: t/m1 to t/m10, at one dollar per million tokens unless another price is given.
DELETE FROM model_access;
CREATE FUNCTION pg_temp.doc(without text[] DEFAULT '{}', dollars jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
    SELECT jsonb_build_object('data', jsonb_agg(jsonb_build_object('id', id, 'name', id,
        'pricing', jsonb_build_object('prompt', (coalesce((dollars ->> id)::numeric, 1) / 1000000)::text, 'completion', '0'))))::text
    FROM generate_series(1, 10) AS i, format('t/m%s', i) AS id WHERE id <> ALL (without) $$;
CREATE FUNCTION pg_temp.stands(id text) RETURNS TABLE (status text, waits text, f boolean, p boolean, missing boolean, returned boolean, tiers_before text[]) LANGUAGE sql AS $$
    SELECT status, status_before_missing, is_free, is_pro, missing_since IS NOT NULL, returned_at IS NOT NULL, tiers_before FROM model_access WHERE model_id = id $$;
SELECT outcome, added FROM model_access_load(pg_temp.doc());
UPDATE model_access SET status = 'active', is_pro = true;
-- An UPDATE without WHERE sets a status for missing models that would hold when they return. Undo takes that status away.
UPDATE model_access SET status = 'new' WHERE model_id = 't/m2';
SELECT outcome, missing FROM model_access_load(pg_temp.doc('{t/m1,t/m2}'), max_removals => 2);
SELECT clock_timestamp() AS oops \gset
UPDATE model_access SET status = 'active';
SELECT * FROM pg_temp.stands('t/m1');
SELECT * FROM model_access_undo(:'oops', dry_run => false);
SELECT * FROM model_access_undo(:'oops', dry_run => false);
SELECT * FROM pg_temp.stands('t/m1');
-- The undo of that undo brings back the decision that holds when the model returns.
SELECT max(history_id) AS last FROM model_access_history WHERE model_id = 't/m1' \gset
SELECT old, new FROM model_access_undo(history_ids => ARRAY[:last], dry_run => false);
SELECT * FROM pg_temp.stands('t/m1');
SELECT clock_timestamp() AS oops \gset
UPDATE model_access SET status = 'disabled' WHERE model_id = 't/m1';
SELECT old, new FROM model_access_undo(:'oops', dry_run => false);
SELECT * FROM pg_temp.stands('t/m1');
-- The model returned and left again: after the undo, it waits for its return.
SELECT clock_timestamp() AS oops \gset
UPDATE model_access SET status = 'disabled' WHERE model_id = 't/m1';
SELECT outcome, returned FROM model_access_load(pg_temp.doc('{t/m2}'));
SELECT outcome, missing FROM model_access_load(pg_temp.doc('{t/m1,t/m2}'), max_removals => 1);
SELECT old, new FROM model_access_undo(:'oops', dry_run => false);
-- Somebody has decided since: refused says that the row differs.
UPDATE model_access SET status = 'active' WHERE model_id = 't/m1';
SELECT max(history_id) AS mistake FROM model_access_history \gset
UPDATE model_access SET status = 'new' WHERE model_id = 't/m1';
SELECT old, new, pg_temp.hide_time(refused) AS refused FROM model_access_undo(history_ids => ARRAY[:mistake]);
SELECT old, new, refused FROM model_access_undo(history_ids => ARRAY[:mistake, :mistake + 1], dry_run => false);
-- A model that left after the change waits for its return. A model that came back after the change waits for review.
SELECT outcome, returned FROM model_access_load(pg_temp.doc());
SELECT clock_timestamp() AS oops \gset
UPDATE model_access SET status = 'disabled' WHERE model_id = 't/m1';
SELECT outcome, missing FROM model_access_load(pg_temp.doc('{t/m1}'), max_removals => 1);
SELECT old, new FROM model_access_undo(:'oops', dry_run => false);
SELECT clock_timestamp() AS oops \gset
UPDATE model_access SET status = 'active' WHERE model_id = 't/m1';
SELECT outcome, returned FROM model_access_load(pg_temp.doc());
SELECT old, new FROM model_access_undo(:'oops', dry_run => false);
SELECT * FROM pg_temp.stands('t/m1');
-- Lists lack a model for longer than return_window, then have it at the reviewed price: status and tiers come back.
UPDATE model_access SET status = 'active', is_free = true, is_pro = true;
SELECT clock_timestamp() AS approved \gset
SELECT outcome, missing FROM model_access_load(pg_temp.doc('{t/m1}'), max_removals => 1);
SELECT pg_temp.days_pass(10);
SELECT outcome, returned FROM model_access_load(pg_temp.doc());
SELECT * FROM pg_temp.stands('t/m1');
SELECT old, new, refused FROM model_access_undo(:'approved', dry_run => false, model_ids => '{t/m1}');
SELECT * FROM model_access_undo(:'approved', dry_run => false, model_ids => '{t/m1}');
SELECT * FROM pg_temp.stands('t/m1');
-- Undone in the order in which they were made: at the end, the price that was reviewed before them is back, with the reason for a review.
CREATE VIEW reviewed AS SELECT is_free AS f, is_enterprise AS e, reviewed_highest_prices -> 'prompt' AS reviewed, reviewed_by, free_revoked_at IS NOT NULL AS revoked,
    (SELECT array_agg(r.reason) FROM model_access_review AS r WHERE r.model_id = m.model_id) AS reasons FROM model_access AS m WHERE model_id = 't/m3';
GRANT SELECT ON reviewed TO regress_anna, regress_bert;
UPDATE model_access SET is_free = false WHERE model_id = 't/m3';
UPDATE model_access SET free_revoked_at = now(), last_run_id = last_run_id + 1 WHERE model_id = 't/m3';
SELECT outcome, changed FROM model_access_load(pg_temp.doc(dollars => '{"t/m3": 5}'));
SELECT * FROM reviewed;
SET ROLE regress_anna;
UPDATE model_access SET is_free = true WHERE model_id = 't/m3';
SELECT rtrim(undo, ';') AS anna FROM model_access_changes LIMIT 1 \gset
SET ROLE regress_bert;
UPDATE model_access SET is_enterprise = true WHERE model_id = 't/m3';
SELECT rtrim(undo, ';') AS bert FROM model_access_changes LIMIT 1 \gset
SELECT * FROM reviewed;
SELECT old, new, refused FROM (:anna) AS u;
SELECT * FROM reviewed;
SELECT what, undone FROM model_access_changes LIMIT 3;
SELECT old, new, refused FROM (:bert) AS u;
SELECT * FROM reviewed;
SELECT what, undone FROM model_access_changes LIMIT 4;
SELECT old, new, refused FROM (:anna) AS u;
SELECT old, new, refused FROM (:bert) AS u;
-- Undo of the second undo alone, by its own row: that decision and its price are back, and the first decision stays undone.
SELECT rtrim(undo, ';') AS again FROM model_access_changes LIMIT 1 \gset
SELECT old, new, refused FROM (:again) AS u;
SELECT * FROM reviewed;
SELECT old, new, refused FROM (:bert) AS u;
SELECT * FROM reviewed;
-- A note does not bring back a review that waits until another decision is undone.
UPDATE model_access SET is_free = true WHERE model_id = 't/m3';
SELECT rtrim(undo, ';') AS first FROM model_access_changes LIMIT 1 \gset
UPDATE model_access SET is_enterprise = true WHERE model_id = 't/m3';
SELECT old, new, refused FROM (:first) AS u;
UPDATE model_access SET note = 'x' WHERE model_id = 't/m3';
SELECT rtrim(undo, ';') AS noted FROM model_access_changes LIMIT 1 \gset
SELECT old, new, refused FROM (:noted) AS u;
SELECT * FROM reviewed;
RESET ROLE;
-- The same with a price that increased, with the statement run by one admin.
UPDATE model_access SET is_free = false, is_enterprise = false WHERE model_id = 't/m4';
SELECT outcome, changed FROM model_access_load(pg_temp.doc(dollars => '{"t/m3": 5, "t/m4": 5}'));
SELECT reason FROM model_access_review WHERE model_id = 't/m4';
UPDATE model_access SET is_free = true WHERE model_id = 't/m4';
SELECT rtrim(undo, ';') AS first FROM model_access_changes LIMIT 1 \gset
UPDATE model_access SET is_enterprise = true WHERE model_id = 't/m4';
SELECT rtrim(undo, ';') AS second FROM model_access_changes LIMIT 1 \gset
SELECT old, new, refused FROM (:first) AS u;
SELECT old, new, refused FROM (:second) AS u;
SELECT reason FROM model_access_review WHERE model_id = 't/m4';
-- An undo since a moment skips models that no longer exist.
SELECT count(*) > 0 AS found FROM model_access_undo('2020-01-01');
-- Changes that cancel each other out are undone too, and an undo of that brings them back.
SELECT clock_timestamp() AS oops \gset
UPDATE model_access SET is_free = false, note = 'x' WHERE model_id = 't/m6';
UPDATE model_access SET is_free = true WHERE model_id = 't/m6';
SELECT old ? 'note' AS note, old ? 'is_free' AS f, refused FROM model_access_undo(:'oops', dry_run => false);
SELECT what, undone, undo IS NOT NULL AS undo FROM model_access_changes LIMIT 3;
SELECT rtrim(undo, ';') AS undo FROM model_access_changes LIMIT 1 \gset
SELECT old ? 'note' AS note, refused FROM (:undo) AS u;
SELECT what, undone FROM model_access_changes LIMIT 4;
-- Single changes are undone in any order until none is left: the state is that before them, at the price of that review.
DO $$
DECLARE
    price numeric := 1; before text; after text; ids bigint[]; id bigint; since bigint;
BEGIN
    PERFORM setseed(0.25);
    FOR round IN 1 .. 4 LOOP
        before := (SELECT (status, is_free, is_pro, is_enterprise, note, reviewed_highest_prices, free_revoked_at, price_guarded_at)::text FROM model_access WHERE model_id = 't/m5');
        since := (SELECT max(history_id) FROM model_access_history);
        FOR step IN 1 .. 5 LOOP
            price := price + 1;
            UPDATE model_access SET highest_prices = jsonb_build_object('prompt', price), last_run_id = last_run_id + 1 WHERE model_id = 't/m5';
            UPDATE model_access SET status = (ARRAY['new', 'active', 'disabled'])[ceil(random() * 3)], is_pro = random() > 0.5, is_free = random() > 0.5, note = ceil(random() * 3) WHERE model_id = 't/m5';
            IF random() > 0.7 THEN
                PERFORM model_access_confirm('t/m5');
            END IF;
            IF random() > 0.7 THEN
                id := (SELECT h.history_id FROM model_access_history AS h WHERE h.history_id > since AND h.run_id IS NULL ORDER BY random() LIMIT 1);
                PERFORM model_access_undo(history_ids => ARRAY[id], dry_run => false);
            END IF;
        END LOOP;
        ids := ARRAY(SELECT h.history_id FROM model_access_history AS h WHERE h.history_id > since AND h.run_id IS NULL AND h.undo_of IS NULL ORDER BY random());
        FOR pass IN 1 .. cardinality(ids) LOOP
            FOREACH id IN ARRAY ids LOOP
                PERFORM model_access_undo(history_ids => ARRAY[id], dry_run => false);
            END LOOP;
        END LOOP;
        after := (SELECT (status, is_free, is_pro, is_enterprise, note, reviewed_highest_prices, free_revoked_at, price_guarded_at)::text FROM model_access WHERE model_id = 't/m5');
        ASSERT after = before, format('round %s: %s became %s', round, before, after);
    END LOOP;
END $$;
SELECT model_access_revoke('regress_anna'), model_access_revoke('regress_bert'), model_access_revoke('regress_viewer');
DROP OWNED BY regress_anna, regress_bert;
DROP ROLE regress_anna, regress_bert, regress_viewer;
