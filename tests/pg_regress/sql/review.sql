\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
SELECT outcome, added FROM model_access_load(:'catalogue');
-- Your first morning: 421 models wait. Three rules, one acceptance, one word for the rest.
SELECT reason, count(*) FROM model_access_review GROUP BY reason;
INSERT INTO model_access_rule (position, pattern, provider, max_usd_per_million, is_free, is_pro, is_enterprise) VALUES
    (10, '%:free', NULL, 0, true, false, false),
    (20, NULL, NULL, 5, false, true, false),
    (30, NULL, 'anthropic', NULL, false, false, true);
SELECT reason, proposed, count(*) FROM model_access_review GROUP BY 1, 2 ORDER BY 3;
SELECT tiers, count(*) FROM model_access_accept(VARIADIC ARRAY(SELECT model_id FROM model_access_review WHERE proposed IS NOT NULL)) GROUP BY 1 ORDER BY 2;
SELECT reason, count(*) FROM model_access_review GROUP BY reason ORDER BY reason;
UPDATE model_access SET status = 'inactive' WHERE status = 'new' OR expires_on <= current_date + 30;
SELECT count(*) FROM model_access_review;
SELECT status, count(*), count(reviewed_rule) AS by_rule, count(reviewed_at) AS reviewed FROM model_access GROUP BY status ORDER BY status;
SELECT model_id, reviewed_rule FROM model_access WHERE model_id IN ('anthropic/claude-opus-5', 'openai/gpt-5', 'openai/gpt-5-nano', 'z-ai/glm-5.2:free') ORDER BY 1;
-- A router or an alias is never proposed, whatever the rules say.
INSERT INTO model_access_rule (position, is_enterprise) VALUES (1, true);
UPDATE model_access SET status = 'new';
SELECT regexp_replace(reaches, '^> .*', '> some') AS reaches, count(*), count(proposed) AS proposed FROM model_access_review GROUP BY 1 ORDER BY 1;
SELECT model_id, usd, io, reaches, proposed FROM model_access_review
WHERE model_id IN ('openrouter/auto', '~anthropic/claude-opus-latest', 'google/gemini-3.1-pro-preview') ORDER BY model_id COLLATE "C";
SELECT model_access_accept('openrouter/auto');
SELECT model_access_accept('openai/gpt-5', 'nobody/nothing', NULL);
SELECT model_access_confirm('nobody/nothing');
SELECT count(*) FROM model_access WHERE status <> 'new';
DELETE FROM model_access_rule;
UPDATE model_access SET status = 'disabled';
-- One row of each reason. A price up, one gone variable, one that was free, one that expires, one in no tier.
UPDATE recorded SET entry = jsonb_set(entry, '{expiration_date}', to_jsonb(current_date + 30)) WHERE model_id = 'openai/gpt-5-pro';
UPDATE recorded SET entry = jsonb_set(entry, '{expiration_date}', to_jsonb(current_date + 31)) WHERE model_id = 'openai/gpt-4o';
SELECT outcome, changed FROM model_access_load(pg_temp.all_but(''));
UPDATE model_access SET status = 'active', is_pro = true
WHERE model_id IN ('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5.1', 'openai/gpt-5-pro', 'openai/gpt-4o', 'openai/gpt-5.2', 'z-ai/glm-5.2:free');
UPDATE model_access SET status = 'active', is_free = true WHERE model_id = 'z-ai/glm-5.2:free';
UPDATE model_access SET status = 'active', is_pro = false WHERE model_id = 'openai/gpt-5-nano';
UPDATE model_access SET status = 'new' WHERE model_id = 'openai/gpt-4.1';
SELECT pg_temp.reprice('openai/gpt-5', '0.00000251', '0.00001'), pg_temp.reprice('openai/gpt-5-mini', '-1', '-1'),
       pg_temp.reprice('openai/gpt-5.1', '0.0000025', '0.00001'), pg_temp.reprice('z-ai/glm-5.2:free', '0.000001', '0');
SELECT outcome, free_revoked FROM model_access_load(pg_temp.all_but('openai/gpt-5.2'));
UPDATE model_access SET missing_since = missing_since - interval '8 days';
SELECT outcome, returned FROM model_access_load(pg_temp.all_but(''));
SELECT reason, model_id, usd, was, factor FROM model_access_review ORDER BY model_id COLLATE "C";
-- The order is that of urgency.
SELECT string_agg(reason, ', ') FROM (SELECT reason FROM model_access_review) AS r;
-- Confirming keeps a model as it is, at its present price.
SELECT model_access_confirm('openai/gpt-5', 'openai/gpt-5-mini', 'z-ai/glm-5.2:free');
SELECT reason, model_id FROM model_access_review ORDER BY model_id COLLATE "C";
SELECT model_id, status, is_free, is_pro, reviewed_by, reviewed_pricing = pricing AS at_this_price FROM model_access
WHERE model_id IN ('openai/gpt-5', 'z-ai/glm-5.2:free') ORDER BY 1;
-- Settings move the lines.
SELECT model_access_set('price_alert', '1.5'), model_access_set('expiry_notice', '31 days');
SELECT reason, model_id FROM model_access_review WHERE reason IN ('price_up', 'expiring') ORDER BY model_id COLLATE "C";
SELECT model_access_set('price_alert', 'off');
SELECT count(*) FROM model_access_review WHERE reason = 'price_up';
-- A rule that can match nothing or propose nothing is refused.
INSERT INTO model_access_rule (position, pattern) VALUES (1, '%');
INSERT INTO model_access_rule (position, max_usd_per_million, is_pro) VALUES (1, -1, true);
INSERT INTO model_access_rule (position, provider, is_pro) VALUES (1, '', true);
INSERT INTO model_access_rule (position, pattern, is_pro) VALUES (1, 'openai/\', true);
-- Decisions by MERGE and by UPDATE … FROM are decisions too.
UPDATE model_access SET reviewed_at = NULL, reviewed_by = NULL;
CREATE TEMP TABLE wanted (model_id text, status text);
INSERT INTO wanted VALUES ('openai/gpt-5', 'disabled'), ('openai/gpt-4o', 'inactive');
UPDATE model_access SET status = NULL WHERE model_id = 'openai/gpt-5';
UPDATE model_access AS m SET status = w.status FROM wanted AS w WHERE w.model_id = m.model_id;
MERGE INTO model_access AS m USING (VALUES ('openai/gpt-5-pro')) AS w(model_id) ON m.model_id = w.model_id
WHEN MATCHED THEN UPDATE SET status = 'inactive', note = 'merged';
SELECT model_id, status, reviewed_by FROM model_access WHERE reviewed_at IS NOT NULL ORDER BY 1;
