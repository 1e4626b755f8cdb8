-- The answers for a user. The tier is read from the bound table of users, and overrides change what it allows.

CREATE FUNCTION @extschema@._model_access_lookup_restored(user_id text) RETURNS text[]
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT @extschema@._model_access_lookup(b.profiles::oid, b.id_number, b.tier_number, _model_access_lookup_restored.user_id)
    FROM @extschema@._model_access_bound AS b;
END;
COMMENT ON FUNCTION @extschema@._model_access_lookup_restored(text) IS
    'Internal. Looks up a user in the bound table by _model_access_lookup, also after a restore.';

CREATE FUNCTION @extschema@._model_access_user(user_id text) RETURNS TABLE (user_key text, tier text, bound boolean)
-- SQL without SET, so that PostgreSQL inlines it. user_key is the user as the bound table spells it, and NULL for an unknown
-- user. tier is NULL for an unknown user and for an unknown tier.
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT l.found[1],
        CASE WHEN l.tier_map IS NOT NULL THEN l.tier_map ->> l.found[2]
             WHEN l.found[2] = ANY (@extschema@._model_access_tiers()) THEN l.found[2] END,
        l.found IS NOT NULL
    FROM (
        -- as in _model_access_bound, but without the costly part for a restored binding
        SELECT b.tier_map, CASE WHEN b.profiles::oid = b.table_id
            THEN @extschema@._model_access_lookup(b.profiles::oid, b.id_number, b.tier_number, _model_access_user.user_id)
            ELSE @extschema@._model_access_lookup_restored(_model_access_user.user_id) END AS found
        FROM @extschema@.model_access_binding AS b
        -- the table has at most one row; LIMIT makes PostgreSQL look up the user once, and not for each use of found
        LIMIT 1) AS l;
END;
COMMENT ON FUNCTION @extschema@._model_access_user(text) IS
    'Internal. Gives the key and the tier of a user, NULL if unknown, and whether the table can be read; no row without a table.';

CREATE FUNCTION @extschema@._model_access_terms(user_id text, OUT rank integer, OUT models jsonb, OUT providers jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    u record;
BEGIN
    SELECT p.*, EXISTS (SELECT FROM @extschema@.model_access_override AS o WHERE o.user_id = p.user_key) AS has_overrides
    INTO u FROM @extschema@._model_access_user(_model_access_terms.user_id) AS p;
    rank := @extschema@._model_access_rank(u.tier);
    -- most users have no overrides
    IF u.has_overrides THEN
        -- deny beats allow: false comes last, and the last value of a key stays
        SELECT jsonb_object_agg(o.model_id, o.allowed ORDER BY o.allowed DESC) FILTER (WHERE o.model_id IS NOT NULL),
            jsonb_object_agg(o.provider, o.allowed ORDER BY o.allowed DESC) FILTER (WHERE o.provider IS NOT NULL)
        INTO models, providers FROM @extschema@._model_access_override_in_force AS o WHERE o.user_id = u.user_key;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_terms(text) IS
    'Internal. Gives the rank of the tier of a user, and whether overrides allow or deny each model and provider; NULL for none.';

CREATE FUNCTION @extschema@.models_for_user(user_id text) RETURNS SETOF @extschema@.model_access_visible
-- SQL without SET, so that PostgreSQL inlines it and need not store the list
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT v.*
    FROM @extschema@._model_access_terms(models_for_user.user_id) AS u
    CROSS JOIN @extschema@._model_access_active AS m CROSS JOIN LATERAL @extschema@._model_access_shown(m) AS v
    -- false if an override denies, NULL if there is none
    WHERE coalesce(
        (u.models -> m.model_id)::boolean AND (u.providers -> m.provider)::boolean,
        (u.models -> m.model_id)::boolean, (u.providers -> m.provider)::boolean, m.rank <= u.rank);
END;
COMMENT ON FUNCTION @extschema@.models_for_user(text) IS
    'Lists the models that a user may use, by the tier in the bound table and the overrides of the user.';

CREATE FUNCTION @extschema@.model_access_entries_for_user(user_id text, only_model text DEFAULT NULL)
    RETURNS TABLE (model_id text, provider text, entry jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    WITH allowed AS MATERIALIZED (
        SELECT v.model_id, v.provider, v.name, v.pricing
        FROM @extschema@.models_for_user(model_access_entries_for_user.user_id) AS v)
    SELECT a.model_id, a.provider, CASE
            WHEN m.upstream IS NULL THEN jsonb_build_object('id', a.model_id, 'name', a.name, 'pricing', a.pricing)
            -- the row still has the last price that could be read
            WHEN m.price_unreadable_since IS NOT NULL THEN e.entry || jsonb_build_object('pricing', a.pricing)
            ELSE e.entry END
    FROM allowed AS a JOIN @extschema@.model_access AS m ON m.model_id = a.model_id
    -- an alias names its target only to those who may use the target
    CROSS JOIN LATERAL (SELECT CASE
        WHEN m.upstream ? 'alias_target' AND NOT EXISTS (SELECT FROM allowed AS t WHERE t.model_id = m.alias_of)
        THEN m.upstream - 'alias_target' ELSE m.upstream END) AS e(entry)
    WHERE only_model IS NULL OR a.model_id = only_model;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_entries_for_user(text, text) IS
    'Lists the upstream entries of the models that a user may use, or of one of them, for clients of OpenRouter.';

CREATE FUNCTION @extschema@.model_allowed_for_user(user_id text, model_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- the rule of models_for_user for one model, in one statement that looks up three indexes
    PERFORM FROM @extschema@._model_access_user(model_allowed_for_user.user_id) AS u
    CROSS JOIN @extschema@._model_access_active AS m
    WHERE m.model_id = model_allowed_for_user.model_id AND coalesce(
        (SELECT o.allowed FROM @extschema@._model_access_override_in_force AS o
         WHERE o.user_id = u.user_key AND (o.model_id = m.model_id OR o.provider = m.provider)
         -- false, which denies, sorts first
         ORDER BY o.allowed LIMIT 1),
        m.rank <= @extschema@._model_access_rank(u.tier));
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION @extschema@.model_allowed_for_user(text, text) IS
    'Tells whether a user may use a model, by the rule of models_for_user.';

CREATE FUNCTION @extschema@.model_access_explain_for_user(user_id text, model_id text, OUT allowed boolean, OUT reason text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET datestyle = 'ISO' AS $$
DECLARE
    u        record;
    override record;
BEGIN
    SELECT * INTO u FROM @extschema@._model_access_user(model_access_explain_for_user.user_id);
    allowed := @extschema@.model_allowed_for_user(user_id, model_id);
    SELECT o.allowed, o.expires_at INTO override
    FROM @extschema@._model_access_active AS m
    JOIN @extschema@._model_access_override_in_force AS o ON o.model_id = m.model_id OR o.provider = m.provider
    WHERE m.model_id = model_access_explain_for_user.model_id AND o.user_id = u.user_key
    ORDER BY o.allowed, o.expires_at DESC NULLS FIRST LIMIT 1;
    reason := CASE
        WHEN u.user_key IS NULL THEN coalesce('unknown user: ' || @extschema@._model_access_binding_error(), 'unknown user')
        WHEN FOUND THEN concat(CASE WHEN override.allowed THEN 'allowed' ELSE 'denied' END, ' to this user',
            ' until ' || nullif(date_trunc('second', override.expires_at), 'infinity'))
        ELSE @extschema@._model_access_reason(u.tier, model_id)
    END;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_explain_for_user(text, text) IS
    'Tells whether a user may use a model, and why, as a text for people.';

CREATE FUNCTION @extschema@.model_access_user(
    user_id text, OUT known boolean, OUT tier text, OUT valid_until timestamptz, OUT bound boolean, OUT bucket integer)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    u record;
BEGIN
    SELECT * INTO u FROM @extschema@._model_access_user(model_access_user.user_id);
    known := u.user_key IS NOT NULL;
    tier := u.tier;
    bound := u.bound IS TRUE;
    bucket := @extschema@._model_access_bucket(u.user_key);
    valid_until := (
        SELECT least(min(o.starts_at) FILTER (WHERE o.starts_at > clock_timestamp() AND isfinite(o.starts_at)),
                     min(o.expires_at) FILTER (WHERE o.expires_at > clock_timestamp() AND isfinite(o.expires_at)))
        FROM @extschema@.model_access_override AS o WHERE o.user_id = u.user_key);
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_user(text) IS
    'Tells whether a user is known, the tier, when an override of the user next starts or ends, whether users can be looked up '
    'at all, and the bucket by which notifications name the user.';

CREATE FUNCTION @extschema@._model_access_me() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    claims text := nullif(current_setting('request.jwt.claims', true), '');
BEGIN
    -- older releases of PostgREST set one parameter for each claim; request.jwt.claims counts if it is set
    RETURN nullif(CASE WHEN claims IS NULL THEN current_setting('request.jwt.claim.sub', true)
        ELSE claims::jsonb ->> 'sub' END, '');
EXCEPTION WHEN data_exception OR statement_too_complex THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_me() IS
    'Internal. Gives the claim sub of the request, as PostgREST sets it; NULL if the request has none.';

CREATE FUNCTION @extschema@.models_for_me() RETURNS SETOF @extschema@.model_access_visible
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT * FROM @extschema@.models_for_user(@extschema@._model_access_me());
END
$$;
COMMENT ON FUNCTION @extschema@.models_for_me() IS
    'Lists the models that the user of a PostgREST request may use; the claim sub names the user.';
