-- No function waits for a lock without a limit: 5 s in a run, otherwise lock_timeout if the caller has set it, else 5 s. The
-- session that holds the lock is looked up with the rights of the caller, so that the message says no more than the caller may
-- see; a run looks it up as the owner.

CREATE FUNCTION @extschema@._model_access_limit_locks() RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine text := current_setting('lock_timeout');
BEGIN
    -- this lasts until the caller restores the value; if an error is raised, the rollback restores it
    IF mine = '0' THEN
        PERFORM set_config('lock_timeout', '5s', true);
    END IF;
    RETURN mine;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_limit_locks() IS
    'Internal. Sets lock_timeout to 5 s if it is 0, and returns the value to restore.';

CREATE FUNCTION @extschema@._model_access_in_slices(script text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine  text        := @extschema@._model_access_limit_locks();
    ends  timestamptz := clock_timestamp() + current_setting('lock_timeout')::interval;
    slice integer     := 100;
BEGIN
    -- a later session waits behind this one only for a slice; slices grow, because transactions may take longer than the
    -- first one, and because PostgreSQL cancels an autovacuum that holds the lock only after deadlock_timeout
    LOOP
        BEGIN
            PERFORM set_config('lock_timeout', greatest(1, least(slice,
                1000 * extract(epoch FROM ends - clock_timestamp())))::integer::text, true);
            EXECUTE script;
            PERFORM set_config('lock_timeout', mine, true);
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            -- the failed attempt has released all its locks
            IF clock_timestamp() > ends THEN
                RAISE;
            END IF;
        END;
        PERFORM pg_sleep(0.02);
        slice := least(2 * slice, 1600);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_in_slices(text) IS
    'Internal. Runs a script, and repeats it while it does not get its locks, until lock_timeout has passed.';

CREATE FUNCTION @extschema@._model_access_lock_holders(
    written oid[], locked oid[], OUT relation regclass, OUT holders text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    -- pg_stat_activity shows anybody the role and the application of a session, and the rest only to those who may see it
    WITH every AS MATERIALIZED (SELECT * FROM pg_locks),
    lock AS (
        SELECT DISTINCT ON (l.pid, l.virtualtransaction) l.* FROM every AS l
        WHERE l.locktype = 'relation' AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
          AND (l.relation = ANY (written) AND l.mode <> 'AccessShareLock' OR l.relation = ANY (locked))
          AND l.pid IS DISTINCT FROM pg_backend_pid()
        ORDER BY l.pid, l.virtualtransaction, l.granted DESC, array_position(locked || written, l.relation)),
    holder AS (
        SELECT l.relation::regclass AS relation, row_number() OVER (ORDER BY l.granted DESC, a.xact_start, l.pid) AS n,
            concat(CASE WHEN l.pid IS NULL THEN 'Prepared transaction ' || quote_literal(p.gid)
                ELSE format('Process %s (%s)', l.pid, concat_ws(', ', 'role ' || quote_ident(a.usename),
                    'application ' || quote_literal(nullif(a.application_name, '')), nullif(a.backend_type, 'client backend'),
                    a.state, 'in a transaction since ' || date_trunc('second', a.xact_start))) END,
                CASE WHEN l.granted THEN ' holds' ELSE ' waits for' END, ' a lock on ', l.relation::regclass, '.') AS text
        FROM lock AS l
        LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
        LEFT JOIN every AS x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
            AND x.virtualtransaction = l.virtualtransaction
        LEFT JOIN pg_prepared_xacts AS p ON p.transaction = x.transactionid)
    SELECT (array_agg(h.relation ORDER BY h.n))[1], string_agg(h.text, ' ' ORDER BY h.n) FILTER (WHERE h.n <= 3)
        || CASE WHEN count(*) > 3 THEN format(' So do %s more.', count(*) - 3) ELSE '' END
    FROM holder AS h
$$;
COMMENT ON FUNCTION @extschema@._model_access_lock_holders(oid[], oid[]) IS
    'Internal. Says who keeps others from writing the first relations, or from locking the second ones against readers, or NULL.';

CREATE FUNCTION @extschema@._model_access_not_locked(written oid[], locked oid[], mine text, cause text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found record := @extschema@._model_access_lock_holders(written, locked);
BEGIN
    RAISE EXCEPTION USING
        -- without a holder, the lock was released since, or code of somebody else did not get another lock
        MESSAGE = CASE WHEN found.relation IS NULL THEN cause
            ELSE format('could not lock %s within %s', found.relation, coalesce(nullif(mine, '0'), '5s')) END,
        ERRCODE = 'lock_not_available', DETAIL = 'Nothing was changed.',
        HINT = coalesce(found.holders || ' Wait until no such transaction is open, or end it.', 'Try again.');
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_not_locked(oid[], oid[], text, text) IS
    'Internal. Raises error 55P03 with who holds the lock; mine is what _model_access_limit_locks returned, cause is SQLERRM.';
