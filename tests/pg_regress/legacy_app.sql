\set ECHO none
-- A typical application: a list per user in profiles.allowed_models, and objects that use it. Its owner is not a superuser.
CREATE ROLE regress_app;
CREATE ROLE regress_web;
CREATE ROLE regress_analyst;
CREATE SCHEMA reports AUTHORIZATION regress_app;
GRANT CREATE ON SCHEMA public TO regress_app;
GRANT USAGE ON SCHEMA reports TO regress_web, regress_analyst;
SET SESSION AUTHORIZATION regress_app;
CREATE TABLE public.profiles (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email varchar(255) NOT NULL,
    subscription_tier varchar(20) DEFAULT 'free' CHECK (subscription_tier IN ('free', 'pro', 'enterprise')),
    default_model varchar(100) DEFAULT 'deepseek/deepseek-r1-0528:free',
    allowed_models text[] DEFAULT ARRAY['deepseek/deepseek-r1-0528:free'],
    ui_preferences jsonb DEFAULT '{}',
    updated_at timestamptz DEFAULT now());
COMMENT ON COLUMN public.profiles.allowed_models IS 'What the user may pick; filled from the tier';
ALTER TABLE public.profiles ALTER COLUMN allowed_models SET STATISTICS 500;
GRANT SELECT (id, email, allowed_models), UPDATE (allowed_models) ON public.profiles TO regress_web;
GRANT SELECT ON public.profiles TO regress_analyst WITH GRANT OPTION;
ALTER TABLE public.profiles ENABLE ROW LEVEL SECURITY;
CREATE POLICY "Users see themselves" ON public.profiles FOR SELECT TO regress_web USING (email = current_user);
CREATE INDEX profiles_allowed_models_idx ON public.profiles USING gin (allowed_models);
COMMENT ON INDEX public.profiles_allowed_models_idx IS 'Who has this model?';
CREATE INDEX profiles_tier_idx ON public.profiles (subscription_tier);
ALTER TABLE public.profiles ADD CONSTRAINT not_too_many CHECK (cardinality(allowed_models) <= 100) NOT VALID;
CREATE TABLE public.teams (id integer PRIMARY KEY, allowed_models text[]);
CREATE INDEX teams_idx ON public.teams USING gin (allowed_models);
CREATE VIEW public.team_list AS SELECT id, allowed_models FROM public.teams WHERE allowed_models <> '{}';

CREATE FUNCTION public.update_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at = clock_timestamp();
    RETURN NEW;
END
$$;
CREATE TRIGGER update_profiles_updated_at BEFORE UPDATE ON public.profiles FOR EACH ROW EXECUTE FUNCTION public.update_updated_at();
CREATE FUNCTION public.models_of(tier text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE tier WHEN 'free' THEN ARRAY['a/free'] ELSE ARRAY['a/free', 'b/Pro', 'b/Pro'] END
$$;
CREATE FUNCTION public.fill_allowed_models() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- allowed_models follows the tier
    IF TG_OP = 'INSERT' OR NEW.subscription_tier IS DISTINCT FROM OLD.subscription_tier THEN
        NEW.allowed_models := public.models_of(NEW.subscription_tier);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER fill_allowed_models BEFORE INSERT OR UPDATE OF subscription_tier ON public.profiles
    FOR EACH ROW EXECUTE FUNCTION public.fill_allowed_models();
COMMENT ON TRIGGER fill_allowed_models ON public.profiles IS 'Every tier has its models';
CREATE FUNCTION public.normalise_allowed_models() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT coalesce(array_agg(DISTINCT lower(m) ORDER BY lower(m)), '{}') INTO NEW.allowed_models FROM unnest(NEW.allowed_models) AS m;
    RETURN NEW;
END
$$;
CREATE TRIGGER normalise_allowed_models BEFORE UPDATE OF allowed_models ON public.profiles
    FOR EACH ROW WHEN (NEW.allowed_models IS NOT NULL) EXECUTE FUNCTION public.normalise_allowed_models();
ALTER TABLE public.profiles ENABLE ALWAYS TRIGGER normalise_allowed_models;

CREATE VIEW public.api_user_summary WITH (security_barrier) AS
    SELECT id, email, subscription_tier, default_model, allowed_models, updated_at FROM public.profiles;
COMMENT ON VIEW public.api_user_summary IS 'What the admin pages show';
COMMENT ON COLUMN public.api_user_summary.allowed_models IS 'The list';
COMMENT ON COLUMN public.api_user_summary.email IS 'The address';
GRANT SELECT ON public.api_user_summary TO regress_analyst WITH GRANT OPTION;
GRANT SELECT (id, allowed_models) ON public.api_user_summary TO regress_web;
SET SESSION AUTHORIZATION regress_analyst;
GRANT SELECT ON public.api_user_summary TO regress_web;
SET SESSION AUTHORIZATION regress_app;
CREATE VIEW reports."Users by Model" WITH (security_invoker) AS
    SELECT s.email AS "E-Mail", s.allowed_models AS models, s.subscription_tier FROM public.api_user_summary AS s
    WHERE s.email LIKE '%@%' WITH LOCAL CHECK OPTION;
GRANT SELECT, UPDATE ON reports."Users by Model" TO regress_web;
CREATE VIEW reports.users_by_tier AS SELECT subscription_tier, count(*) AS users FROM reports."Users by Model" GROUP BY 1;
CREATE MATERIALIZED VIEW reports.nightly AS SELECT id, allowed_models, subscription_tier FROM public.profiles WITH NO DATA;
CREATE UNIQUE INDEX nightly_idx ON reports.nightly (id);
COMMENT ON INDEX reports.nightly_idx IS 'For REFRESH … CONCURRENTLY';
CREATE FUNCTION public.list_users() RETURNS SETOF public.api_user_summary LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = public AS 'SELECT * FROM api_user_summary';
REVOKE EXECUTE ON FUNCTION public.list_users() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.list_users() TO regress_web;
COMMENT ON FUNCTION public.list_users() IS 'The admin pages call it';

CREATE FUNCTION public.update_user_preferences(user_uuid uuid, preference_type varchar, preferences jsonb) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE public.profiles SET
        default_model = coalesce(preferences ->> 'default_model', default_model),
        allowed_models = coalesce(ARRAY(SELECT jsonb_array_elements_text(preferences -> 'allowed_models')), allowed_models)
    WHERE id = user_uuid;
    RETURN FOUND;
END
$$;
CREATE FUNCTION reports.user_allowed_models(user_uuid uuid) RETURNS TABLE (model text) LANGUAGE sql STABLE AS $$
    SELECT unnest(p.allowed_models) FROM public.profiles AS p WHERE p.id = user_uuid
$$;
CREATE FUNCTION public.get_user_complete_profile(user_uuid uuid) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    -- without allowed_models since the tiers came
    RETURN (SELECT jsonb_build_object('id', id, 'preferences', ui_preferences - 'allowed_models') FROM public.profiles WHERE id = user_uuid);
END
$$;
CREATE FUNCTION public.count_users() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM public.profiles /* not allowed_models */';
CREATE VIEW public.whole_rows AS SELECT to_jsonb(p) AS profile FROM public.profiles AS p;

INSERT INTO public.profiles (email, subscription_tier) VALUES ('free@example.org', 'free'), ('pro@example.org', 'pro'),
    ('null@example.org', 'free'), ('empty@example.org', 'free'), ('odd@example.org', 'enterprise');
ALTER TABLE public.profiles DISABLE TRIGGER USER;
UPDATE public.profiles SET allowed_models = NULL WHERE email = 'null@example.org';
UPDATE public.profiles SET allowed_models = '{}' WHERE email = 'empty@example.org';
UPDATE public.profiles SET allowed_models = ARRAY['quoted "x"', NULL, '', 'back\slash', '{}', 'é'] WHERE email = 'odd@example.org';
ALTER TABLE public.profiles ENABLE TRIGGER update_profiles_updated_at, ENABLE TRIGGER fill_allowed_models, ENABLE ALWAYS TRIGGER normalise_allowed_models;
-- names that only look similar
CREATE TEMP TABLE allowed_models (allowed_models text);
CREATE TEMP TABLE profiles (id integer, allowed_models text);
RESET SESSION AUTHORIZATION;
\set ECHO all
