\set SHOW_CONTEXT never
CREATE EXTENSION model_access;
SELECT * FROM model_access_settings ORDER BY name;
-- Only what differs from a default is stored, in its usual form.
SELECT model_access_set('return_window', '2 weeks'), model_access_set('free_guard', 'false'), model_access_set('price_guard', '3.0'),
       model_access_set('price_alert', 'OFF'), model_access_set('max_removal_percent', '12.5');
SELECT * FROM model_access_setting ORDER BY name;
SELECT model_access_set('return_window', NULL);
SELECT name, value FROM model_access_settings WHERE value <> "default" ORDER BY name;
-- Errors say what would do.
SELECT model_access_set('retrun_window', '2 weeks');
SELECT model_access_set('return_window', 'a fortnight');
SELECT model_access_set('return_window', '-1 day');
SELECT model_access_set('max_removal_percent', '101');
SELECT model_access_set('max_removal_percent', 'NaN');
SELECT model_access_set('price_guard', '0.5');
SELECT model_access_set('free_guard', 'maybe');
-- Those that steer the fetch are configuration parameters, and checked as such.
SELECT outcome FROM model_access_load('');
SELECT name, setting, unit, context FROM pg_settings WHERE name LIKE 'model\_access.%' ORDER BY name;
SET model_access.url = 'http://openrouter.ai/api/v1/models';
SET model_access.url = 'https://user:secret@openrouter.ai/api/v1/models';
SET model_access.timeout = '10ms';
SET model_access.max_body = '1GB';
SET model_access.proxy = 'proxy:3128';
SET model_access.tiemout = '10s';
DROP EXTENSION model_access;
