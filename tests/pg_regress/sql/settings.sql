\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
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
