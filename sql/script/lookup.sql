-- Users are looked up in a table of the role that owns the tables of model_access: its code can do no more than that role.

CREATE FUNCTION @extschema@._model_access_may_bind(owner oid) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.relowner = owner FROM pg_class AS c WHERE c.oid = '@extschema@.model_access_binding'::regclass;
END;
COMMENT ON FUNCTION @extschema@._model_access_may_bind(oid) IS
    'Internal. Tells whether a table of that owner may be bound: the owner must own the table model_access_binding too.';

CREATE FUNCTION @extschema@._model_access_is_readable(profiles oid) RETURNS boolean
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- the table may have changed since it was bound
    SELECT bool_and(c.relkind IN ('r', 'p') AND @extschema@._model_access_may_bind(c.relowner))
    FROM @extschema@._model_access_tree(profiles) AS t JOIN pg_class AS c ON c.oid = t.id;
END;
COMMENT ON FUNCTION @extschema@._model_access_is_readable(oid) IS
    'Internal. Tells whether a table may be bound, with its partitions; NULL if it does not exist.';

CREATE FUNCTION @extschema@._model_access_read(profiles oid, expressions text[], source text) RETURNS SETOF text[]
LANGUAGE plpgsql STABLE STRICT SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF @extschema@._model_access_is_readable(profiles) THEN
        RETURN QUERY EXECUTE format('SELECT ARRAY[%s]::text[] %s', array_to_string(expressions, ', '), source);
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_read(oid, text[], text) IS
    'Internal. Runs SELECT expressions FROM …, if the table may be bound.';

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
COMMENT ON FUNCTION @extschema@._model_access_execute(oid, text) IS
    'Internal. Runs a statement that copies rows of a table, if the table may be bound, and gives the number of rows.';

CREATE FUNCTION @extschema@._model_access_printed(relation oid, column_number smallint) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- concat and not a cast, because any role can make a cast; char(n) is padded
    SELECT format('CASE WHEN p.%1$I IS NOT NULL THEN %2$s END', a.attname,
        format(CASE WHEN a.atttypid = 'character'::regtype THEN 'rtrim(concat(p.%I))' ELSE 'concat(p.%I)' END, a.attname))
    FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attnum = column_number AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION @extschema@._model_access_printed(oid, smallint) IS
    'Internal. Gives the expression for a column of p as its type prints it.';

CREATE FUNCTION @extschema@._model_access_lookup(profiles oid, id_column smallint, tier_column smallint, user_id text)
RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    id    text := (SELECT quote_ident(a.attname) FROM pg_attribute AS a
                   WHERE a.attrelid = profiles AND a.attnum = id_column AND NOT a.attisdropped);
    tier  text := @extschema@._model_access_printed(profiles, tier_column);
    kind  text := @extschema@._model_access_key_kind(@extschema@._model_access_column_type(profiles, id_column));
    key   text := CASE
        WHEN kind = 'text' THEN quote_literal(user_id)
        WHEN kind = 'uuid' AND user_id ~ '^([0-9A-Fa-f]{4}-?){7}[0-9A-Fa-f]{4}$' THEN quote_literal(user_id) || '::uuid'
        -- in two steps: what has too many digits must not be read as a number
        WHEN kind = 'integer' AND user_id ~ '^-?[0-9]{1,19}$' THEN
            CASE WHEN user_id::numeric BETWEEN -9223372036854775808 AND 9223372036854775807
                 THEN quote_literal(user_id) || '::bigint' END
    END;
    found text[];
BEGIN
    IF kind IS NULL OR tier IS NULL OR @extschema@._model_access_is_readable(profiles) IS NOT TRUE THEN
        RETURN NULL;
    ELSIF key IS NOT NULL THEN
        EXECUTE format('SELECT CASE WHEN count(*) = 1 THEN min(r) END FROM ('
            'SELECT ARRAY[concat(p.%2$s), %3$s]::text[] AS r FROM %1$s AS p WHERE p.%2$s = %4$s LIMIT 2) AS l',
            profiles::regclass, id, tier, key) INTO found;
    END IF;
    RETURN coalesce(found, '{}');
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_lookup(oid, smallint, smallint, text) IS
    'Internal. Gives the key and the tier of a user from the bound table; no values without exactly one row, NULL if unreadable.';

CREATE FUNCTION @extschema@._model_access_unknown_tiers(profiles oid, tier_column smallint, known text[]) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    counted text := format('(SELECT %s AS tier, count(*) AS users FROM %s AS p GROUP BY 1)',
        @extschema@._model_access_printed(profiles, tier_column), profiles::regclass);
BEGIN
    RETURN coalesce((SELECT r FROM @extschema@._model_access_read(profiles, '{sum(t.users) OVER (),t.tier}'::text[],
        format('FROM %s AS t WHERE t.tier <> ALL (%L::text[]) ORDER BY t.users DESC, t.tier LIMIT 1', counted, known)) AS r),
        '{0,NULL}');
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_unknown_tiers(oid, smallint, text[]) IS
    'Internal. Gives the number of users in unknown tiers and the most frequent such tier.';

CREATE FUNCTION @extschema@._model_access_as_committed(function regprocedure, user_id text, model_id text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- without the library, a REPEATABLE READ transaction is judged by its snapshot
    RETURN @extschema@._model_access_refusal(user_id, model_id);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_as_committed(regprocedure, text, text) IS 'Internal. Calls _model_access_refusal.';

CREATE FUNCTION @extschema@._model_access_primary() RETURNS text
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT format('%s port %s', r.sender_host, r.sender_port) FROM pg_stat_wal_receiver AS r WHERE r.sender_host IS NOT NULL;
END;
COMMENT ON FUNCTION @extschema@._model_access_primary() IS
    'Internal. Gives host and port of the primary, on a standby that receives WAL from it, to a role that may see them.';
