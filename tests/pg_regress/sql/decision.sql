\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
\i :abs_srcdir/prices.sql
SET client_min_messages = notice;
CREATE FUNCTION pg_temp.show() RETURNS TABLE (model_id text, status text, before text, tiers text, by text, reviewed text) LANGUAGE sql AS $$
    SELECT model_id, status, status_before_missing, concat_ws(',', CASE WHEN is_free THEN 'free' END, CASE WHEN is_pro THEN 'pro' END, CASE WHEN is_enterprise THEN 'enterprise' END),
           reviewed_by, reviewed_pricing ->> 'prompt'
    FROM model_access ORDER BY model_id COLLATE "C" $$;
CREATE VIEW pg_temp.waits AS SELECT reason, model_id, usd, old_usd FROM model_access_review;
\set cheap '\'{"prompt": "0.000001", "completion": "0.000002"}\''
\set high '\'{"prompt": "0.00005", "completion": "0.0001"}\''
\set free '\'{"prompt": "0", "completion": "0"}\''
SELECT outcome, added FROM pg_temp.load(pg_temp.list(pg_temp.entry('acme/f:free', :free), pg_temp.entry('acme/p', :cheap), pg_temp.entry('acme/q', :cheap)));
UPDATE model_access SET status = 'active', is_free = (model_id LIKE '%:free'), is_pro = true WHERE model_id <> 'acme/q';
SELECT * FROM pg_temp.show();
SELECT outcome, changed, free_revoked FROM pg_temp.load(pg_temp.list(pg_temp.entry('acme/f:free', '{"prompt": "0.000003", "completion": "0.000003"}'), pg_temp.entry('acme/p', :high), pg_temp.entry('acme/q', :cheap)));
SELECT * FROM pg_temp.waits;
-- A program that writes every column back unchanged decides nothing, and gets a NOTICE. A note is not a decision either.
UPDATE model_access SET status = status, is_free = is_free, is_pro = is_pro, is_enterprise = is_enterprise, note = 'ask finance before we keep this';
UPDATE model_access SET status = 'active' WHERE model_id = 'acme/p';
UPDATE model_access SET note = 'asked' WHERE model_id = 'acme/p';
SELECT * FROM pg_temp.waits;
SELECT * FROM pg_temp.show();
-- An UPDATE decides about the rows that it changes, not about the others. Rows that do not wait for review are not counted.
UPDATE model_access SET is_enterprise = true WHERE model_id IN ('acme/p', 'acme/q');
UPDATE model_access SET is_enterprise = true WHERE model_id IN ('acme/p', 'acme/q');
SELECT * FROM pg_temp.waits;
SELECT * FROM pg_temp.show();
-- model_access_confirm keeps a model as it is.
SELECT model_access_confirm('acme/f:free', 'acme/q');
SELECT * FROM pg_temp.waits;
SELECT model_id, reviewed_is_free_of_charge, reviewed_highest_prices, reviewed_highest_prices = highest_prices AS at_these, reviewed_rule FROM model_access ORDER BY 1;
-- Invalid values of status and flags.
UPDATE model_access SET status = NULL WHERE model_id = 'acme/p';
UPDATE model_access SET is_pro = NULL WHERE model_id = 'acme/p';
UPDATE model_access SET status = 'activ' WHERE model_id = 'acme/p';
-- Models that left. Flags, confirming, a note and a program that writes all columns back do not end the wait. A status does, changed or the same.
UPDATE model_access SET status = 'active', is_pro = true;
SELECT outcome, added, changed FROM pg_temp.load(pg_temp.list(VARIADIC ARRAY(SELECT pg_temp.entry('acme/' || x, :cheap) FROM unnest('{a,b,c,d,e,f,g}'::text[]) AS x)
    || ARRAY(SELECT pg_temp.entry(id, :cheap) FROM unnest('{acme/f:free,acme/p,acme/q}'::text[]) AS id)));
UPDATE model_access SET status = 'active', is_pro = true WHERE length(model_id) = 6;
SELECT outcome, missing FROM pg_temp.load(pg_temp.list(pg_temp.entry('acme/f:free', :cheap), pg_temp.entry('acme/p', :cheap), pg_temp.entry('acme/q', :cheap)), 10);
SELECT model_id, reason FROM pg_temp.waits;
UPDATE model_access SET is_free = true WHERE model_id = 'acme/a';
SELECT model_access_confirm('acme/b');
UPDATE model_access SET note = 'gone?' WHERE model_id = 'acme/c';
UPDATE model_access SET status = status, is_free = is_free, note = 'gone!' WHERE model_id = 'acme/c';
UPDATE model_access SET status = 'inactive' WHERE model_id = 'acme/d';
UPDATE model_access SET status = 'disabled' WHERE model_id = 'acme/e';
MERGE INTO model_access AS m USING (VALUES ('acme/f')) AS w(id) ON m.model_id = w.id WHEN MATCHED THEN UPDATE SET status = 'inactive';
SELECT * FROM pg_temp.show() WHERE length(model_id) = 6;
SELECT model_id, reason FROM pg_temp.waits;
SELECT outcome, returned FROM pg_temp.load(pg_temp.list(VARIADIC ARRAY(SELECT pg_temp.entry('acme/' || x, :cheap) FROM unnest('{a,b,c,d,e,f,g}'::text[]) AS x)
    || ARRAY(SELECT pg_temp.entry(id, :cheap) FROM unnest('{acme/f:free,acme/p,acme/q}'::text[]) AS id)));
SELECT * FROM pg_temp.show() WHERE length(model_id) = 6;
-- A trigger of the application runs after the stamp. A change that it reverts was not decided; a change that it makes was. Each change writes a row once.
SELECT outcome, changed FROM pg_temp.load(pg_temp.list(VARIADIC ARRAY(SELECT pg_temp.entry('acme/' || x, :high) FROM unnest('{a,b,c,d,e,f,g}'::text[]) AS x)
    || ARRAY(SELECT pg_temp.entry(id, :cheap) FROM unnest('{acme/f:free,acme/p,acme/q}'::text[]) AS id)));
CREATE FUNCTION pg_temp.meddle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.note = 'frozen' THEN
        NEW.status := OLD.status;
    ELSIF NEW.note = 'banned' THEN
        NEW.status := 'disabled';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER zz_meddle BEFORE UPDATE ON model_access FOR EACH ROW EXECUTE FUNCTION pg_temp.meddle();
SELECT max(history_id) AS before FROM model_access_history \gset
UPDATE model_access SET note = 'frozen', status = 'inactive' WHERE model_id = 'acme/a';
UPDATE model_access SET note = 'banned' WHERE model_id = 'acme/b';
UPDATE model_access SET note = 'neither', status = 'inactive' WHERE model_id = 'acme/c';
SELECT * FROM pg_temp.show() WHERE model_id IN ('acme/a', 'acme/b', 'acme/c');
SELECT model_id, array(SELECT key FROM jsonb_object_keys(new) AS key WHERE key !~ '^reviewed_[hicp]' ORDER BY 1) AS changed FROM model_access_history WHERE history_id > :before ORDER BY history_id;
SELECT reason, model_id FROM pg_temp.waits WHERE model_id = 'acme/a';
SELECT model_access_confirm('acme/a');
SELECT reason, model_id FROM pg_temp.waits WHERE model_id = 'acme/a';
-- The history has the old values, through all of this.
SELECT model_id, status FROM _model_access_as_of((SELECT at FROM model_access_history WHERE history_id = :before)) AS m WHERE model_id IN ('acme/a', 'acme/b', 'acme/c') ORDER BY 1;
DROP TRIGGER zz_meddle ON model_access;
-- The stamp takes into account what a trigger that runs before it changed.
CREATE TRIGGER aa_meddle BEFORE UPDATE ON model_access FOR EACH ROW EXECUTE FUNCTION pg_temp.meddle();
UPDATE model_access SET note = 'frozen', status = 'inactive' WHERE model_id = 'acme/g';
SELECT reason, model_id FROM pg_temp.waits WHERE model_id = 'acme/g';
UPDATE model_access SET note = 'banned' WHERE model_id = 'acme/g';
SELECT * FROM pg_temp.show() WHERE model_id = 'acme/g';
DROP TRIGGER aa_meddle ON model_access;
-- Accept, undo and a sync raise no NOTICE. reviewed_rule names the rule of a model that was accepted.
UPDATE model_access SET status = 'new' WHERE model_id IN ('acme/p', 'acme/q');
INSERT INTO model_access_rule (position, provider, is_pro) VALUES (10, 'acme', true);
SELECT * FROM model_access_accept('acme/p', 'acme/q');
SELECT model_id, reviewed_by, reviewed_rule, reviewed_highest_prices = highest_prices AS at_these FROM model_access WHERE reviewed_rule IS NOT NULL ORDER BY 1;
SELECT reviewed_at AS accepted FROM model_access WHERE model_id = 'acme/p' \gset
UPDATE model_access SET status = 'disabled' WHERE model_id = 'acme/p';
SELECT model_id, new FROM model_access_undo((SELECT max(at) FROM model_access_history), dry_run => false);
SELECT model_id, status, reviewed_rule, reviewed_at = :'accepted' AS as_it_was FROM model_access WHERE model_id = 'acme/p';
-- An admin who is not the owner: the same, whatever the session sets the extension's own note to.
CREATE ROLE regress_decider;
SELECT model_access_grant('regress_decider', 'admin');
UPDATE model_access SET status = 'new' WHERE model_id = 'acme/p';
SET ROLE regress_decider;
UPDATE model_access SET status = 'new' WHERE model_id = 'acme/p';
BEGIN;
SET LOCAL _model_access.named = '1 0.5';
UPDATE model_access SET note = 'forged' WHERE model_id = 'acme/p';
SET LOCAL _model_access.named = 'anything';
UPDATE model_access SET status = 'disabled' WHERE model_id = 'acme/p';
COMMIT;
SELECT * FROM pg_temp.show() WHERE model_id = 'acme/p';
UPDATE model_access SET reviewed_at = now() WHERE model_id = 'acme/p';
RESET ROLE;
SELECT model_access_revoke('regress_decider');
DROP ROLE regress_decider;
-- A program of the owner that writes every column back, including the stamp: the same. A stamp that the owner sets is kept.
UPDATE model_access SET status = 'new' WHERE model_id = 'acme/p';
SELECT reviewed_at AS stamped FROM model_access WHERE model_id = 'acme/p' \gset
\set whole 'is_free = is_free, is_pro = is_pro, is_enterprise = is_enterprise, reviewed_at = reviewed_at, reviewed_by = reviewed_by, reviewed_rule = reviewed_rule'
UPDATE model_access SET status = status, note = 'saved', :whole WHERE model_id = 'acme/p';
CREATE TRIGGER zz_meddle BEFORE UPDATE ON model_access FOR EACH ROW EXECUTE FUNCTION pg_temp.meddle();
UPDATE model_access SET status = 'inactive', note = 'frozen', :whole WHERE model_id = 'acme/p';
DROP TRIGGER zz_meddle ON model_access;
SELECT status, note, reviewed_at = :'stamped' AS as_it_was FROM model_access WHERE model_id = 'acme/p';
UPDATE model_access SET status = status, reviewed_at = '2026-01-01', reviewed_by = 'import', reviewed_rule = 'by hand' WHERE model_id = 'acme/p';
SELECT status, reviewed_at = '2026-01-01' AS as_given, reviewed_by, reviewed_rule FROM model_access WHERE model_id = 'acme/p';
UPDATE model_access SET status = 'active', note = 'decided', :whole WHERE model_id = 'acme/p';
SELECT * FROM pg_temp.show() WHERE model_id = 'acme/p';
-- Undoing a confirm leaves the model waiting as it was, and raises no NOTICE. A later statement in that transaction raises one.
UPDATE model_access SET status = 'new' WHERE model_id = 'acme/p';
SELECT reason, model_id FROM pg_temp.waits WHERE model_id = 'acme/p';
BEGIN;
SELECT model_access_confirm('acme/p');
SELECT model_id, new - 'reviewed_at' AS new FROM model_access_undo(history_ids => ARRAY(SELECT max(history_id) FROM model_access_history), dry_run => false);
UPDATE model_access SET note = 'later' WHERE model_id = 'acme/p';
SELECT reason, model_id FROM pg_temp.waits WHERE model_id = 'acme/p';
UPDATE model_access SET status = status WHERE model_id = 'acme/p';
COMMIT;
-- A proposed ban that an admin rejected is not proposed again when flags change, but is when the status changes.
INSERT INTO model_access_rule (position, pattern, status) VALUES (5, 'acme/q', 'disabled');
SELECT reason, model_id FROM pg_temp.waits WHERE model_id = 'acme/q';
SELECT model_access_confirm('acme/q');
UPDATE model_access SET is_enterprise = true WHERE model_id = 'acme/q';
SELECT status, reviewed_rule, (SELECT reason FROM pg_temp.waits AS w WHERE w.model_id = m.model_id) AS waits FROM model_access AS m WHERE model_id = 'acme/q';
UPDATE model_access SET status = 'inactive' WHERE model_id = 'acme/q';
UPDATE model_access SET status = 'active' WHERE model_id = 'acme/q';
SELECT status, reviewed_rule, (SELECT reason FROM pg_temp.waits AS w WHERE w.model_id = m.model_id) AS waits FROM model_access AS m WHERE model_id = 'acme/q';
