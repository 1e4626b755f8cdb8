\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
\i :abs_srcdir/prices.sql
SELECT outcome, added FROM pg_temp.load(:'catalogue');
-- The first morning: 421 models wait. One rule for a ban, three for tiers, one call of accept, one UPDATE for the rest.
SELECT reason, count(*) FROM model_access_review GROUP BY reason;
INSERT INTO model_access_rule (position, provider, status, note) VALUES (40, 'deepseek', 'disabled', 'legal says no');
INSERT INTO model_access_rule (position, pattern, provider, max_usd_per_million, is_free, is_pro, is_enterprise) VALUES
    (10, '%:free', NULL, 0, true, false, false),
    (20, NULL, NULL, 5, false, true, false),
    (30, NULL, 'anthropic', NULL, false, false, true);
SELECT reason, proposed, count(*) FROM model_access_review GROUP BY 1, 2 ORDER BY 3;
SELECT tiers, count(*) FROM model_access_accept(VARIADIC ARRAY(SELECT model_id FROM model_access_review WHERE proposed IS NOT NULL)) GROUP BY 1 ORDER BY 2;
SELECT reason, count(*) FROM model_access_review GROUP BY reason ORDER BY reason;
UPDATE model_access SET status = 'inactive' WHERE status = 'new' OR status = 'active' AND expires_on <= current_date + 30;
SELECT count(*) FROM model_access_review;
SELECT status, count(*), bool_or(is_free OR is_pro OR is_enterprise) AS tiers FROM model_access WHERE provider = 'deepseek' GROUP BY status;
SELECT status, count(*), count(reviewed_rule) AS by_rule, count(reviewed_at) AS reviewed FROM model_access GROUP BY status ORDER BY status;
SELECT model_id, reviewed_rule FROM model_access WHERE model_id IN ('anthropic/claude-opus-5', 'openai/gpt-5', 'openai/gpt-5-nano', 'z-ai/glm-5.2:free', 'deepseek/deepseek-chat') ORDER BY 1;
-- Most models with a low price per token also charge for a search; a rule says whether it matches them.
UPDATE model_access SET status = 'new' WHERE provider = 'openai';
SELECT proposed, count(*), count(*) FILTER (WHERE charges_per_use) AS per_use FROM model_access_review JOIN model_access USING (model_id) GROUP BY 1 ORDER BY 1;
UPDATE model_access_rule SET per_use = true WHERE position = 20;
SELECT proposed, count(*), count(*) FILTER (WHERE charges_per_use) AS per_use FROM model_access_review JOIN model_access USING (model_id) GROUP BY 1 ORDER BY 1;
SELECT * FROM model_access_accept('openai/gpt-5-nano');
SELECT model_id, usd, also FROM model_access_review WHERE model_id IN ('openai/gpt-5', 'openai/gpt-4', 'openai/gpt-audio', 'openai/gpt-5-image') ORDER BY 1;
-- Tiers are never proposed for a router or an alias, whatever the rules say.
INSERT INTO model_access_rule (position, is_enterprise) VALUES (1, true);
DELETE FROM model_access_rule WHERE status = 'disabled';
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
-- One row for each reason: a price increased, a price became variable, a model stopped being free, one expires, one is in no tier.
UPDATE recorded SET entry = jsonb_set(entry, '{expiration_date}', to_jsonb(current_date + 30)) WHERE model_id = 'openai/gpt-5-pro';
UPDATE recorded SET entry = jsonb_set(entry, '{expiration_date}', to_jsonb(current_date + 31)) WHERE model_id = 'openai/gpt-4o';
SELECT outcome, changed FROM pg_temp.load(pg_temp.all_but(''));
UPDATE model_access SET status = 'active', is_pro = true
WHERE model_id IN ('openai/gpt-5', 'openai/gpt-5-mini', 'openai/gpt-5.1', 'openai/gpt-5-pro', 'openai/gpt-4o', 'openai/gpt-5.2', 'z-ai/glm-5.2:free');
UPDATE model_access SET status = 'active', is_free = true WHERE model_id = 'z-ai/glm-5.2:free';
UPDATE model_access SET status = 'active', is_pro = false WHERE model_id = 'openai/gpt-5-nano';
UPDATE model_access SET status = 'new' WHERE model_id = 'openai/gpt-4.1';
SELECT pg_temp.reprice('openai/gpt-5', '0.00000251', '0.00001'), pg_temp.reprice('openai/gpt-5-mini', '-1', '-1'),
       pg_temp.reprice('openai/gpt-5.1', '0.0000025', '0.00001'), pg_temp.reprice('z-ai/glm-5.2:free', '0.000001', '0');
SELECT outcome, free_revoked FROM pg_temp.load(pg_temp.all_but('openai/gpt-5.2'));
SELECT pg_temp.days_pass(8);
SELECT outcome, returned FROM pg_temp.load(pg_temp.all_but(''));
SELECT reason, model_id, usd, old_usd, factor FROM model_access_review ORDER BY model_id COLLATE "C";
-- The most urgent reason comes first.
SELECT string_agg(reason, ', ') FROM (SELECT reason FROM model_access_review) AS r;
-- Confirming keeps a model as it is, at its present price.
SELECT model_access_confirm('openai/gpt-5', 'openai/gpt-5-mini', 'z-ai/glm-5.2:free');
SELECT reason, model_id FROM model_access_review ORDER BY model_id COLLATE "C";
SELECT model_id, status, is_free, is_pro, reviewed_by, reviewed_pricing = pricing AS at_this_price FROM model_access
WHERE model_id IN ('openai/gpt-5', 'z-ai/glm-5.2:free') ORDER BY 1;
-- Settings change the limits.
SELECT model_access_set('price_alert', '1.5'), model_access_set('expiry_notice', '31 days');
SELECT reason, model_id FROM model_access_review WHERE reason IN ('price_up', 'expiring') ORDER BY model_id COLLATE "C";
SELECT model_access_set('price_alert', 'off');
SELECT count(*) FROM model_access_review WHERE reason = 'price_up';
-- A rule that can match nothing, or proposes nothing or two things, is refused.
INSERT INTO model_access_rule (position, status, is_pro) VALUES (1, 'disabled', true);
INSERT INTO model_access_rule (position, status, provider, max_usd_per_million) VALUES (1, 'disabled', 'openai', 5);
INSERT INTO model_access_rule (position, status, is_pro) VALUES (1, 'inactive', true);
INSERT INTO model_access_rule (position, status, provider) VALUES (1, 'active', 'openai');
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
-- Every price counts: models that charge by image, request or search are not free of charge.
TRUNCATE model_access, model_access_rule;
SELECT model_access_set('price_alert', NULL), model_access_set('expiry_notice', NULL);
\set free '\'{"prompt": "0", "completion": "0"}\''
\set cheap '\'{"prompt": "0.000001", "completion": "0.000002"}\''
\set fillers 'pg_temp.entry(\'filler/m1\', :cheap), pg_temp.entry(\'filler/m2\', :cheap)'
SELECT outcome FROM pg_temp.load(pg_temp.list(
    pg_temp.entry('studio/picture-1', '{"prompt": "0", "completion": "0", "image": "0.04"}'), pg_temp.entry('studio/per-call', '{"prompt": "0", "completion": "0", "request": "0.05"}'),
    pg_temp.entry('studio/searcher', '{"prompt": "0", "completion": "0", "web_search": "0.02"}'), pg_temp.entry('studio/painter', '{"prompt": "0", "completion": "0", "image_output": "0.00007186"}'),
    pg_temp.entry('studio/varies', '{"prompt": "0", "completion": "0", "request": "-1"}'), pg_temp.entry('studio/unpriced', NULL), pg_temp.entry('studio/really-free', :free),
    pg_temp.entry('studio/by-size', '{"prompt": "0", "completion": "0", "overrides": [{"min_prompt_tokens": 128000, "prompt": "0.000001"}]}'),
    pg_temp.entry('studio/much', '{"prompt": "0.00001", "completion": "0.00002", "request": "0.01", "image": "0.123456789", "web_search": "-1", "audio": "0.00009", "internal_reasoning": "0.00003", "input_cache_read": "0.000001"}'), :fillers));
INSERT INTO model_access_rule (position, max_usd_per_million, is_free, note) VALUES (10, 0, true, 'free of charge');
SELECT model_id, usd, also, proposed FROM model_access_review WHERE model_id LIKE 'studio/%' ORDER BY 1;
UPDATE model_access_rule SET per_use = true;
SELECT model_id, proposed FROM model_access_review WHERE proposed IS NOT NULL ORDER BY 1;
SELECT * FROM model_access_accept('studio/picture-1');
-- Prices of one component: 0 before, a hundred times as high, new, unknown before, unknown now.
UPDATE model_access SET status = 'active', is_pro = true WHERE provider = 'studio';
SELECT outcome, changed FROM pg_temp.load(pg_temp.list(
    pg_temp.entry('studio/picture-1', '{"prompt": "0", "completion": "0", "image": "4"}'), pg_temp.entry('studio/per-call', '{"prompt": "0", "completion": "0", "request": "0.1"}'),
    pg_temp.entry('studio/searcher', '{"prompt": "0", "completion": "0", "web_search": "0.02", "image": "0.01"}'), pg_temp.entry('studio/painter', '{"prompt": "0", "completion": "0", "image_output": "-1"}'),
    pg_temp.entry('studio/varies', '{"prompt": "0", "completion": "0", "request": "0.01"}'), pg_temp.entry('studio/unpriced', '{"prompt": "0.000075", "completion": "0.00015"}'), pg_temp.entry('studio/really-free', :free),
    pg_temp.entry('studio/by-size', '{"prompt": "0", "completion": "0", "overrides": [{"min_prompt_tokens": 128000, "prompt": "0.000003"}]}'),
    pg_temp.entry('studio/much', '{"prompt": "0.00001", "completion": "0.00002"}'), :fillers));
SELECT reason, model_id, usd, old_usd, factor, also FROM model_access_review WHERE model_id LIKE 'studio/%';
SELECT n, r, _model_access_is_above(n::jsonb, r::jsonb, 2) AS above FROM (VALUES ('{"a": 2}', '{"a": 1}'), ('{"a": 2.01}', '{"a": 1}'), ('{"a": 0.1}', '{"a": 0}'), ('{"a": 0.1}', '{}'), ('{"a": 0}', '{}'), ('{}', '{"a": 1}'),
    ('{"a": null}', '{"a": 1}'), ('{"a": null}', '{}'), ('{"a": null}', '{"a": null}'), ('{"a": 1}', '{"a": null}'), ('{"a": 0}', '{"a": null}'), ('{"a": 1}', NULL), ('{"a": 0}', NULL), ('{"a": null}', NULL), (NULL, '{"a": null}'), (NULL, '{}'), (NULL, NULL), ('{}', NULL)) AS v(n, r);
-- price_guard sent the model back, by a factor below price_alert: it waits because of its price.
UPDATE model_access SET status = 'new', price_guarded_at = now(), last_run_id = 0 WHERE model_id = 'studio/really-free';
SELECT reason, proposed FROM model_access_review WHERE model_id = 'studio/really-free';
UPDATE model_access SET status = 'active' WHERE model_id = 'studio/really-free';
SELECT price_guarded_at FROM model_access WHERE model_id = 'studio/really-free';
-- A ban of a whole provider comes before all other rules, and accepting many proposals applies it.
TRUNCATE model_access, model_access_rule;
SELECT outcome, added FROM pg_temp.load(pg_temp.list(pg_temp.entry('deepsea/chat', :cheap), pg_temp.entry('deepsea/coder', :cheap), :fillers));
INSERT INTO model_access_rule (position, pattern, max_usd_per_million, is_free, is_pro) VALUES (10, '%:free', 0, true, false), (20, NULL, 5, false, true);
INSERT INTO model_access_rule (position, provider, status) VALUES (30, 'deepsea', 'disabled');
UPDATE model_access SET status = 'disabled', note = 'legal says no' WHERE provider = 'deepsea';
SELECT outcome, added FROM pg_temp.load(pg_temp.list(pg_temp.entry('deepsea/chat', :cheap), pg_temp.entry('deepsea/coder', :cheap), pg_temp.entry('deepsea/chat-v2', :cheap), pg_temp.entry('deepsea/chat:free', :free),
    pg_temp.entry('~author/chat-latest', :cheap, 'deepsea/chat-v2'), pg_temp.entry('~deepsea/chat-latest', :cheap, 'filler/m1'), pg_temp.entry('~deepsea/old-latest', :cheap),
    pg_temp.entry('deepsea/cruise', :cheap) || '{"architecture": {"input_modalities": ["text"], "output_modalities": ["text"], "tokenizer": "Router"}}', :fillers));
SELECT model_id, reason, proposed, reaches FROM model_access_review ORDER BY model_id COLLATE "C";
SELECT * FROM model_access_accept(VARIADIC ARRAY(SELECT model_id FROM model_access_review WHERE proposed IS NOT NULL)) ORDER BY model_id COLLATE "C";
SELECT model_id FROM models_for_tier('enterprise') ORDER BY 1;
SELECT model_id, status, is_pro, reviewed_by, reviewed_rule FROM model_access WHERE status = 'disabled' ORDER BY model_id COLLATE "C";
-- A ban of active models: aliases and routers too, by pattern and modality; the tiers stay. Models that were rejected already are not proposed.
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id ~ 'chat|cruise';
UPDATE model_access SET status = 'inactive' WHERE model_id = 'deepsea/coder';
DELETE FROM model_access_rule;
SELECT count(*) FROM model_access_review;
INSERT INTO model_access_rule (position, pattern, modality, status) VALUES (5, 'deepsea/c%', 'text', 'disabled'), (6, '%', 'video', 'disabled');
INSERT INTO model_access_rule (position, provider, status, is_enterprise) VALUES (1, 'deepsea', 'active', true);
SELECT reason, since = current_date AS today, model_id, proposed FROM model_access_review ORDER BY model_id COLLATE "C";
SELECT "check", ok, regexp_replace(detail, '\d{4}-\d\d-\d\d', 'DAY') AS detail FROM model_access_health() WHERE "check" = 'review';
SELECT * FROM model_access_accept('deepsea/chat', '~author/chat-latest') ORDER BY 1;
SELECT model_id, status, is_pro FROM model_access WHERE model_id IN ('deepsea/chat', '~author/chat-latest') ORDER BY 1;
-- Confirming keeps a model in spite of that rule, whatever else it waits for later. Another rule proposes the ban again.
SELECT model_access_confirm('deepsea/chat-v2');
SELECT model_id, reviewed_rule FROM model_access WHERE model_id = 'deepsea/chat-v2';
UPDATE model_access SET expires_on = current_date, last_run_id = 0 WHERE model_id = 'deepsea/chat-v2';
SELECT reason, model_id, proposed FROM model_access_review ORDER BY model_id COLLATE "C";
SELECT model_access_accept('deepsea/chat-v2');
SELECT changed_at AS before FROM model_access_rule WHERE position = 5 \gset
UPDATE model_access_rule SET pattern = 'deepsea/%' WHERE position = 5;
SELECT reason, model_id, proposed FROM model_access_review ORDER BY model_id COLLATE "C";
SELECT changed_at > :'before' AS later FROM model_access_rule WHERE position = 5;
-- left: an approved model waits until it returns, is confirmed after it left, or is decided. overrides counts its users with an override.
TRUNCATE model_access, model_access_rule;
SELECT outcome, added FROM pg_temp.load(pg_temp.list(VARIADIC ARRAY(SELECT pg_temp.entry('gone/' || x, :cheap) FROM unnest('{a,b,c,d,e,f}'::text[]) AS x) || ARRAY[pg_temp.entry('~gone/latest', :cheap, 'gone/a'), :fillers]));
UPDATE model_access SET status = 'active', is_pro = true WHERE model_id <> 'gone/f';
INSERT INTO model_access_override (user_id, model_id, provider, allowed, expires_at) VALUES ('alice', 'gone/a', NULL, true, NULL), ('alice', 'gone/a', NULL, true, now() + interval '1 day'), ('bob', 'gone/a', NULL, false, NULL), ('carol', NULL, 'gone', true, NULL);
INSERT INTO model_access_override (user_id, model_id, allowed, starts_at, expires_at) VALUES ('dave', 'gone/a', true, now() - interval '2 days', now() - interval '1 day');
SELECT outcome, missing FROM pg_temp.load(pg_temp.list(:fillers), 10);
SELECT reason, since = current_date AS today, model_id, usd, old_usd, reaches, overrides FROM model_access_review ORDER BY model_id COLLATE "C";
SELECT "check", ok, regexp_replace(detail, '\d{4}-\d\d-\d\d', 'DAY') AS detail FROM model_access_health() WHERE "check" = 'review';
SELECT model_access_confirm('gone/b');
UPDATE model_access SET status = 'disabled' WHERE model_id = 'gone/c';
UPDATE model_access SET status = 'inactive' WHERE model_id = 'gone/d';
SELECT outcome, returned FROM pg_temp.load(pg_temp.list(pg_temp.entry('gone/e', :cheap), :fillers));
SELECT reason, model_id FROM model_access_review ORDER BY model_id COLLATE "C";
UPDATE model_access SET missing_since = missing_since - interval '9 days', reviewed_at = reviewed_at - interval '9 days' WHERE missing_since IS NOT NULL;
SELECT "check", ok FROM model_access_health() WHERE "check" = 'review';
