\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
SELECT * FROM model_access_settings ORDER BY name;
-- Each default is a valid value of its unit, in the usual form. A unit without a rule is an error.
SELECT name, unit, "default", _model_access_setting_value(unit, "default") AS usual
FROM model_access_settings WHERE _model_access_setting_value(unit, "default") IS DISTINCT FROM "default";
SELECT _model_access_setting_value('furlong', '1');
\echo :SQLSTATE
SELECT _model_access_setting_json('furlong', '1');
\echo :SQLSTATE
SELECT s.key, s.value AS as_planned FROM json_each(_model_access_state()::json -> 'settings') AS s ORDER BY s.key;
-- Only values that differ from the default are stored, in a normal form.
SELECT model_access_set('return_window', '2 weeks'), model_access_set('free_guard', 'false'), model_access_set('price_guard', '3.0'),
       model_access_set('price_alert', 'OFF'), model_access_set('max_removal_percent', '12.5');
SELECT * FROM model_access_setting ORDER BY name;
SELECT model_access_set('return_window', NULL);
SELECT name, value FROM model_access_settings WHERE value <> "default" ORDER BY name;
-- Errors say which values are valid.
SELECT model_access_set('retrun_window', '2 weeks');
SELECT model_access_set('return_window', 'a fortnight');
SELECT model_access_set('return_window', '-1 day');
SELECT model_access_set('max_removal_percent', '101');
SELECT model_access_set('max_removal_percent', 'NaN');
SELECT model_access_set('price_guard', '0.5');
SELECT model_access_set('free_guard', 'maybe');
-- A list of keys is stored in a normal form, each key once. An empty list ignores nothing.
SELECT model_access_set('ignored_keys', ' endpoints,benchmarks , endpoints,' || E'\n' || 'uptime 30 days ');
SELECT model_access_set('ignored_keys', ' ');
SELECT _model_access_state()::json #> '{settings,ignored_keys}' AS as_planned;
SELECT model_access_set('ignored_keys', 'ключ, Benchmarks');
SELECT _model_access_state()::json #> '{settings,ignored_keys}' AS as_planned;
SELECT model_access_set('ignored_keys', 'benchmarks,,endpoints');
SELECT model_access_set('ignored_keys', 'benchmarks,');
SELECT model_access_set('ignored_keys', 'benchmarks, pricing');
SELECT k AS refused, _model_access_keys(k) FROM unnest('{id,name,pricing,alias_target,architecture}'::text[]) AS k;
SELECT _model_access_keys(repeat('x', 100)) IS NULL AS at_most_100, _model_access_keys(repeat('x', 101)) IS NULL AS longer,
       _model_access_keys(E'a\x1bb') IS NULL AS control;
SELECT count(_model_access_keys((SELECT string_agg('k' || i, ',') FROM generate_series(1, n) AS i))) AS of_two FROM unnest('{50,51}'::integer[]) AS n;
SELECT model_access_set('ignored_keys', NULL);
SELECT _model_access_state()::json #> '{settings,ignored_keys}' AS as_planned;
