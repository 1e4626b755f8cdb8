\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
\i :abs_srcdir/legacy_app.sql
\i :abs_srcdir/catalogue.sql
-- The dry run lists everything that touches the column, in the order in which it would act. It changes nothing.
SELECT step, object, action FROM model_access_retire_allowed_models('public.profiles');
TABLE pg_temp.changed;
-- What needs an eye comes with the lines that mention the column and with its definition; the script stops there.
\pset format unaligned
SELECT ddl FROM model_access_retire_allowed_models('public.profiles') WHERE action = 'keep' OR object ~ 'user_allowed_models' ORDER BY step;
-- The others are DDL, such as a view on a view. (Later servers name columns without their table, and know one privilege more.)
SELECT regexp_replace(ddl, '\ms\.| MAINTAIN,', '', 'g') AS ddl FROM model_access_retire_allowed_models('public.profiles') WHERE object = 'view reports."Users by Model"' OR object ~ '^column' ORDER BY step;
\pset format aligned
SELECT model_access_retire_allowed_models('public.profiles', dry_run => false);
-- One is changed, one is accepted as it is.
CREATE OR REPLACE FUNCTION public.update_user_preferences(user_uuid uuid, preference_type varchar, preferences jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE public.profiles SET default_model = coalesce(preferences ->> 'default_model', default_model) WHERE id = user_uuid;
    RETURN FOUND;
END
$$;
SELECT model_access_retire_allowed_models('public.profiles', dry_run => false);
SELECT pg_temp.remember();
SELECT step, object, action FROM model_access_retire_allowed_models('public.profiles', accept => '{"function reports.user_allowed_models(uuid)"}', dry_run => false);
-- Gone is what existed for the column only; the rest is as it was, and works.
SELECT what, object FROM pg_temp.changed WHERE object !~ '^row of' ORDER BY object COLLATE "C", what;
SELECT "E-Mail", subscription_tier FROM reports."Users by Model" ORDER BY 1;
SELECT * FROM reports.users_by_tier ORDER BY 1;
SELECT email, default_model FROM list_users() ORDER BY 1;
INSERT INTO public.profiles (email) VALUES ('later@example.org');
UPDATE public.profiles SET subscription_tier = 'pro' WHERE email = 'later@example.org' RETURNING subscription_tier, updated_at > now() AS touched;
SELECT update_user_preferences(id, 'model', '{"default_model": "x/y"}') FROM public.profiles WHERE email = 'later@example.org';
SELECT reports.user_allowed_models(NULL);
-- The archive.
SELECT profiles, column_name, column_type, retired_by, restored_at, jsonb_array_length(objects) AS objects FROM model_access_retired;
SELECT p.email, v.value FROM model_access_retired_value AS v LEFT JOIN public.profiles AS p ON p.id::text = v.key ORDER BY 1;
-- A second run has nothing to do.
SELECT step, object, action, ddl ~ '^--   retired at .* by postgres\n$' AS ddl FROM model_access_retire_allowed_models('public.profiles', dry_run => false);
-- And back. Whatever was there before is as it was, down to updated_at; a user who came since has the default.
SELECT step, object, action FROM model_access_restore_allowed_models('public.profiles');
SELECT allowed_models FROM public.profiles WHERE email = 'later@example.org';
DELETE FROM public.profiles WHERE email = 'later@example.org';
TABLE pg_temp.changed;
-- But for its place.
SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'public.profiles'::regclass AND attnum > 0 AND NOT attisdropped;
SELECT step, object, action, ddl ~ '^--   restored at .* by postgres\n$' AS ddl FROM model_access_restore_allowed_models('public.profiles');
-- Its triggers fire again.
UPDATE public.profiles SET allowed_models = '{b/Pro,a/free,A/Free}' WHERE email = 'free@example.org' RETURNING allowed_models;
-- The text of the dry run is the script: run by itself it does the same.
SELECT pg_temp.remember();
BEGIN;
SELECT ddl FROM model_access_retire_allowed_models('public.profiles', accept => '{"function reports.user_allowed_models(uuid)"}') ORDER BY step
\set ECHO none
\o /dev/null
\gexec
\o
\set ECHO all
COMMIT;
SELECT count(*), count(*) FILTER (WHERE restored_at IS NULL) AS open FROM model_access_retired;
SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'public.profiles'::regclass AND attnum > 0 AND NOT attisdropped;
SELECT count(*) > 10 AS steps FROM model_access_restore_allowed_models('public.profiles', dry_run => true);
SELECT count(*) > 10 AS steps FROM model_access_restore_allowed_models('public.profiles');
TABLE pg_temp.changed;
SELECT current_setting('role') AS role, current_setting('lock_timeout') AS lock_timeout, current_setting('check_function_bodies') AS bodies;
DROP OWNED BY regress_app, regress_web, regress_analyst CASCADE;
DROP ROLE regress_app, regress_web, regress_analyst;
