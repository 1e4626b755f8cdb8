-- Users are looked up in a table that the owner of the extension's tables owns too, and so has nothing to fear from.

CREATE FUNCTION @extschema@._model_access_may_bind(owner oid) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.relowner = owner FROM pg_class AS c WHERE c.oid = '@extschema@.model_access_binding'::regclass;
END;
COMMENT ON FUNCTION @extschema@._model_access_may_bind(oid) IS 'Internal. Whether a table of that owner may be bound: one that the owner of the extension''s tables owns.';

CREATE FUNCTION @extschema@._model_access_read(profiles oid, expressions text[], source text) RETURNS SETOF text[]
LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- what it has become since it was bound
    IF (SELECT bool_and(c.relkind IN ('r', 'p') AND @extschema@._model_access_may_bind(c.relowner))
        FROM @extschema@._model_access_tree(profiles) AS t JOIN pg_class AS c ON c.oid = t.id) THEN
        RETURN QUERY EXECUTE format('SELECT ARRAY[%s]::text[] %s', array_to_string(expressions, ', '), source);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_read(oid, text[], text) IS 'Internal. The rows of SELECT expressions FROM …, which reads a table that may be bound.';

CREATE FUNCTION @extschema@._model_access_execute(profiles oid, statement text) RETURNS bigint
LANGUAGE plpgsql VOLATILE STRICT SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    written bigint;
BEGIN
    PERFORM @extschema@._model_access_check_reader(profiles::regclass);
    EXECUTE statement;
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_execute(oid, text) IS 'Internal. Runs a statement that writes what a table which may be bound holds, and gives the number of rows.';

CREATE FUNCTION @extschema@._model_access_printed(relation oid, column_number smallint) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- concat and not a cast, which may be anybody's function; char(n) is padded
    SELECT format(CASE WHEN a.atttypid = 'character'::regtype THEN 'CASE WHEN p.%1$I IS NOT NULL THEN rtrim(concat(p.%1$I)) END'
                       ELSE 'CASE WHEN p.%1$I IS NOT NULL THEN concat(p.%1$I) END' END, a.attname)
    FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attnum = column_number AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION @extschema@._model_access_printed(oid, smallint) IS 'Internal. The expression that gives a column of p as its type prints it.';

CREATE FUNCTION @extschema@._model_access_lookup(profiles oid, id_column smallint, tier_column smallint, user_id text) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id   text := (SELECT quote_ident(a.attname) FROM pg_attribute AS a WHERE a.attrelid = profiles AND a.attnum = id_column AND NOT a.attisdropped);
    tier text := @extschema@._model_access_printed(profiles, tier_column);
    kind text := @extschema@._model_access_key_kind(@extschema@._model_access_column_type(profiles, id_column));
    key  text := CASE
        WHEN kind = 'text' THEN quote_literal(user_id)
        WHEN kind = 'uuid' AND user_id ~ '^([0-9A-Fa-f]{4}-?){7}[0-9A-Fa-f]{4}$' THEN quote_literal(user_id) || '::uuid'
        -- in two steps: what has too many digits must not be read as a number
        WHEN kind = 'integer' AND user_id ~ '^-?[0-9]{1,19}$' THEN
            CASE WHEN user_id::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN quote_literal(user_id) || '::bigint' END
    END;
    found text[];
BEGIN
    IF key IS NOT NULL AND tier IS NOT NULL THEN
        SELECT CASE WHEN count(*) = 1 THEN min(r) END INTO found FROM @extschema@._model_access_read(profiles, ARRAY[format('concat(p.%s)', id), tier]::text[],
            format('FROM %s AS p WHERE p.%s = %s LIMIT 2', profiles::regclass, id, key)) AS r;
    END IF;
    RETURN found;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_lookup(oid, smallint, smallint, text) IS 'Internal. The key of a user as the bound table spells it, and what its tier column holds; NULL for a user that it does not know or has twice, and where it cannot be asked.';

CREATE FUNCTION @extschema@._model_access_unknown_tiers(profiles oid, tier_column smallint, known text[]) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT r FROM @extschema@._model_access_read(profiles, '{sum(t.users) OVER (),t.tier}'::text[], format(
        'FROM (SELECT %1$s AS tier, count(*) AS users FROM %2$s AS p GROUP BY 1) AS t WHERE t.tier <> ALL (%3$L::text[]) ORDER BY t.users DESC, t.tier LIMIT 1',
        @extschema@._model_access_printed(profiles, tier_column), profiles::regclass, known)) AS r), '{0,NULL}');
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_unknown_tiers(oid, smallint, text[]) IS 'Internal. How many users have a tier that is not known, and the most frequent such tier.';

CREATE FUNCTION @extschema@._model_access_as_committed(function regprocedure, user_id text, model_id text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN @extschema@._model_access_refusal(user_id, model_id);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_as_committed(regprocedure, text, text) IS 'Internal. _model_access_refusal. Without the library, a REPEATABLE READ transaction is judged by what it sees.';

CREATE FUNCTION @extschema@._model_access_primary() RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT format('%s port %s', r.sender_host, r.sender_port) FROM pg_stat_wal_receiver AS r WHERE r.sender_host IS NOT NULL;
END;
COMMENT ON FUNCTION @extschema@._model_access_primary() IS 'Internal. Host and port of the primary, on a standby that receives WAL from it, for a role that may see it.';
