\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
-- Every place that names all tiers, all visible columns or all review reasons. A row names a place that lacks one.
CREATE VIEW pg_temp.tier AS
SELECT t.tier, 'is_' || t.tier AS flag, t.rank, jsonb_populate_record(NULL::model_access, flags || jsonb_build_object('is_' || t.tier, true)) AS model
FROM unnest(_model_access_tiers()) WITH ORDINALITY AS t(tier, rank), _model_access_flags_of('{}') AS flags;
CREATE VIEW pg_temp.nothing AS SELECT jsonb_populate_record(NULL::model_access, _model_access_flags_of('{}')) AS model;
SELECT t.tier, p.place FROM pg_temp.tier AS t CROSS JOIN pg_temp.nothing AS n CROSS JOIN LATERAL (VALUES
    ('_model_access_rank(text)', _model_access_rank(t.tier) = t.rank),
    ('_model_access_rank(model_access)', _model_access_rank(t.model) = t.rank),
    ('view _model_access_active: rank', pg_get_viewdef('_model_access_active'::regclass) LIKE format('%%%s THEN %s%%', t.flag, t.rank)),
    ('_model_access_tiers_of', _model_access_tiers_of(t.model) = ARRAY[t.tier]),
    ('_model_access_decision', _model_access_decision(t.model) <> _model_access_decision(n.model)),
    ('_model_access_owner_writes_columns', (SELECT p.prosrc ~ ('\m' || t.flag || '\M') FROM pg_proc AS p WHERE p.proname = '_model_access_owner_writes_columns')),
    ('trigger model_access_decide', (SELECT pg_get_triggerdef(g.oid) LIKE format('%%new.%1$s IS DISTINCT FROM old.%1$s%%', t.flag) FROM pg_trigger AS g WHERE g.tgname = 'model_access_decide')),
    ('trigger model_access_named', (SELECT pg_get_triggerdef(g.oid) ~ ('UPDATE OF.*\m' || t.flag || '\M.* ON') FROM pg_trigger AS g WHERE g.tgname = 'model_access_named')),
    ('_model_access_check_rule: has_tier', (SELECT p.prosrc ~ ('NEW\.' || t.flag || '\M') FROM pg_proc AS p WHERE p.proname = '_model_access_check_rule')),
    ('CHECK of model_access_rule', EXISTS (SELECT FROM pg_constraint AS c WHERE c.conrelid = 'model_access_rule'::regclass AND pg_get_constraintdef(c.oid) ~ ('disabled.*\m' || t.flag || '\M')))
) AS p(place, is_there) WHERE p.is_there IS NOT TRUE;
SELECT t.tier, c.relation AS place FROM pg_temp.tier AS t CROSS JOIN (VALUES ('model_access'::regclass), ('model_access_rule')) AS c(relation)
WHERE NOT EXISTS (
    SELECT FROM pg_attribute AS a JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.relation AND a.attname = t.flag AND a.atttypid = 'boolean'::regtype AND a.attnotnull AND pg_get_expr(d.adbin, d.adrelid) = 'false');
-- The tiers in action: each holds the models of every lower tier.
INSERT INTO model_access (model_id) SELECT 'in/' || tier FROM pg_temp.tier;
SELECT _model_access_update(jsonb_agg(_model_access_flags_of(ARRAY[tier]) || jsonb_build_object('model_id', 'in/' || tier, 'status', 'active'))) FROM pg_temp.tier;
SELECT t.tier, m.tier AS "wrong about models of tier" FROM pg_temp.tier AS t CROSS JOIN pg_temp.tier AS m
WHERE model_allowed(t.tier, 'in/' || m.tier) <> (m.rank <= t.rank)
   OR EXISTS (SELECT FROM models_for_tier(t.tier) WHERE model_id = 'in/' || m.tier) <> (m.rank <= t.rank);
-- No other function or view has a list of tiers: none names the highest one.
SELECT o.name AS "has a list of tiers" FROM (
    SELECT p.proname, pg_get_functiondef(p.oid) FROM pg_proc AS p JOIN pg_class AS c ON c.oid = 'model_access'::regclass AND p.pronamespace = c.relnamespace
    WHERE p.prokind IN ('f', 'p') AND p.proname LIKE '%model\_%'
    UNION ALL
    SELECT v.relname, pg_get_viewdef(v.oid) FROM pg_class AS v JOIN pg_class AS c ON c.oid = 'model_access'::regclass AND v.relnamespace = c.relnamespace
    WHERE v.relkind = 'v') AS o(name, definition), _model_access_tiers() AS t
WHERE o.definition ~ ('[''"{,]' || t[cardinality(t)] || '[''"},]') AND o.name NOT IN ('_model_access_tiers', '_model_access_rank', '_model_access_tiers_of');
-- What callers see: the columns of the view are those of _model_access_active, but for the rank.
SELECT a.attname AS "column", count(*), min(a.attrelid::regclass::text) AS place FROM pg_attribute AS a
WHERE a.attrelid IN ('_model_access_active'::regclass, 'model_access_visible'::regclass) AND a.attnum > 0 AND a.attname <> 'rank'
GROUP BY a.attname HAVING count(*) <> 2;
-- Each reason has its urgency, and the day since which a model waits for it.
CREATE VIEW pg_temp.given AS SELECT DISTINCT m[1] AS reason FROM regexp_matches(pg_get_viewdef('_model_access_waiting'::regclass), 'THEN ''(\w+)''', 'g') AS m;
CREATE VIEW pg_temp.dated AS SELECT m[1] AS reason FROM regexp_matches(pg_get_viewdef('_model_access_waiting_since'::regclass), 'WHEN ''(\w+)''', 'g') AS m;
SELECT r.reason, p.place FROM (SELECT unnest(_model_access_reasons()) UNION TABLE pg_temp.given UNION TABLE pg_temp.dated) AS r(reason) CROSS JOIN LATERAL (VALUES
    ('_model_access_reasons', r.reason = ANY (_model_access_reasons())),
    ('_model_access_waiting', r.reason IN (TABLE pg_temp.given)),
    ('_model_access_waiting_since', r.reason IN (TABLE pg_temp.dated)),
    ('COMMENT of model_access_review.reason', (SELECT col_description(a.attrelid, a.attnum) ~ ('\m' || r.reason || '\M') FROM pg_attribute AS a WHERE a.attrelid = 'model_access_review'::regclass AND a.attname = 'reason'))
) AS p(place, is_there) WHERE p.is_there IS NOT TRUE;
SELECT count(*) > 5 AS enough FROM pg_temp.given;
-- No table of the extension refers to another one: a parallel restore fills them in any order.
SELECT c.conrelid::regclass AS "table", pg_get_constraintdef(c.oid) AS refers FROM pg_constraint AS c
JOIN pg_class AS t ON t.oid = c.conrelid JOIN pg_class AS m ON m.oid = 'model_access'::regclass AND m.relnamespace = t.relnamespace
WHERE c.contype = 'f' ORDER BY 1, 2;
