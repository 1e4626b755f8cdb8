\getenv abs_srcdir PG_ABS_SRCDIR
\i :abs_srcdir/setup.sql
\i :abs_srcdir/legacy_app.sql
\i :abs_srcdir/catalogue.sql
-- The dry run lists everything that touches the column, and the steps. It changes nothing.
SELECT step, object, action, why FROM model_access_retire_allowed_models('public.profiles');
TABLE pg_temp.changed;
-- A manual row has the lines that mention the column, and the script stops there.
\pset format unaligned
SELECT ddl FROM model_access_retire_allowed_models('public.profiles') WHERE object ~ 'user_allowed_models|complete_profile|trigger fill' ORDER BY step;
\pset format aligned
SELECT model_access_retire_allowed_models('public.profiles', dry_run => false);
TABLE pg_temp.changed;
-- One object is changed, the others are accepted: triggers are disabled, functions and views stay as they are.
CREATE OR REPLACE FUNCTION public.update_user_preferences(user_uuid uuid, preference_type varchar, preferences jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE public.profiles SET default_model = coalesce(preferences ->> 'default_model', default_model) WHERE id = user_uuid;
    RETURN FOUND;
END
$$;
CREATE FUNCTION pg_temp.accepted() RETURNS text[] LANGUAGE sql AS
    $$ SELECT array_agg(object) FROM model_access_retire_allowed_models('public.profiles') WHERE action = 'manual' $$;
SELECT pg_temp.remember();
SELECT step, object, action FROM model_access_retire_allowed_models('public.profiles', accept => pg_temp.accepted(), dry_run => false) WHERE action <> 'keep';
-- A second run has nothing to do.
SELECT step, action, why ~ '^retired at .* by postgres; it is called allowed_models_retired$' AS why FROM model_access_retire_allowed_models('public.profiles', dry_run => false);
-- Objects that PostgreSQL knows to use the column still work; code that names the column fails.
SELECT "E-Mail", models, subscription_tier FROM reports."Users by Model" ORDER BY 1;
SELECT * FROM reports.users_by_tier ORDER BY 1;
SELECT email, allowed_models FROM list_users() ORDER BY 1;
REFRESH MATERIALIZED VIEW reports.nightly;
SELECT reports.user_allowed_models(NULL);
-- The application still works: users are added, tiers change.
INSERT INTO public.profiles (email) VALUES ('later@example.org');
UPDATE public.profiles SET subscription_tier = 'pro' WHERE email = 'free@example.org' RETURNING subscription_tier, updated_at > now() AS touched;
SELECT update_user_preferences(id, 'model', '{"default_model": "x/y"}') FROM public.profiles WHERE email = 'later@example.org';
SELECT profiles, column_name, retired_name, retired_by, defaults, relations, triggers, states FROM model_access_retired;
-- Restore: a dry run, then the restore itself. It says how many rows were written since, and which UPDATE lets the triggers fill them.
SELECT step, object, action, why, regexp_replace(ddl, '''\d{2,}''', '''XID''') AS ddl FROM model_access_restore_allowed_models('public.profiles');
SELECT step, action FROM model_access_restore_allowed_models('public.profiles', dry_run => false);
SELECT action FROM model_access_restore_allowed_models('public.profiles', dry_run => false);
DELETE FROM public.profiles WHERE email = 'later@example.org';
SELECT what, object, detail FROM pg_temp.changed WHERE object !~ '^row of' ORDER BY 1, 2, 3;
SELECT what, detail::jsonb ->> 'email' AS email, detail::jsonb ->> 'subscription_tier' AS tier FROM pg_temp.changed WHERE object = 'row of profiles' ORDER BY 1 DESC;
SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'public.profiles'::regclass AND attnum > 0 AND NOT attisdropped;
-- The triggers fire again.
UPDATE public.profiles SET allowed_models = '{b/Pro,a/free,A/Free}' WHERE email = 'free@example.org' RETURNING allowed_models;
-- The ddl of the dry run is the script: run by itself, it does the same.
SELECT pg_temp.remember();
BEGIN;
SELECT ddl FROM model_access_retire_allowed_models('public.profiles', accept => pg_temp.accepted()) ORDER BY step
\set ECHO none
\o /dev/null
\gexec
\o
\set ECHO all
COMMIT;
SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'public.profiles'::regclass AND attnum > 0 AND NOT attisdropped;
-- Drop: what uses the column is replaced or must be accepted.
SELECT step, object, action, why FROM model_access_drop_retired_column('public.profiles');
SELECT model_access_drop_retired_column('public.profiles', dry_run => false);
\pset format unaligned
-- up to PostgreSQL 15, the text of a view has the table in front of each column
SELECT regexp_replace(ddl, '( |^)profiles\.', '\1', 'gn') AS ddl FROM model_access_drop_retired_column('public.profiles') WHERE object ~ 'view|table profiles|values' ORDER BY step;
\pset format aligned
SELECT object, action FROM model_access_drop_retired_column('public.profiles',
    accept => '{function public.fill_allowed_models(),materialized view reports.nightly}', dry_run => false);
-- The accepted trigger is gone. Views keep their columns, options and grants. The values are kept for the owner.
SELECT tgname FROM pg_trigger WHERE tgrelid = 'public.profiles'::regclass AND NOT tgisinternal ORDER BY 1;
SELECT what, object FROM pg_temp.changed WHERE object !~ '^row of|^comment' ORDER BY object COLLATE "C", what;
SELECT "E-Mail", models, subscription_tier FROM reports."Users by Model" ORDER BY 1 LIMIT 2;
SELECT email, allowed_models FROM list_users() ORDER BY 1 LIMIT 2;
SELECT p.email, k.allowed_models FROM public.profiles_allowed_models AS k JOIN public.profiles AS p USING (id) ORDER BY 1;
SELECT relowner::regrole, relacl FROM pg_class WHERE oid = 'public.profiles_allowed_models'::regclass;
SELECT model_access_drop_retired_column('public.profiles');
SELECT model_access_restore_allowed_models('public.profiles');
SELECT count(*) FROM model_access_retired;
SELECT current_setting('role') AS role, current_setting('lock_timeout') AS lock_timeout;
DROP OWNED BY regress_app, regress_web, regress_analyst CASCADE;
DROP ROLE regress_app, regress_web, regress_analyst;
