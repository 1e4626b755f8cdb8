-- Where rows are written: what a plan rests on, the lock it is made under, and the one function that applies it.

CREATE FUNCTION @extschema@._model_access_state() RETURNS json
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT json_build_object(
        'now', clock_timestamp(),
        'settings', (
            SELECT json_object_agg(s.name, CASE s.unit
                WHEN 'percent' THEN to_json(s.value::numeric)
                WHEN 'interval' THEN to_json(extract(epoch FROM s.value::interval)::bigint)
                WHEN 'on or off' THEN to_json(s.value::boolean)
                WHEN 'list of keys' THEN to_json(string_to_array(s.value, ', '))
                ELSE to_json(nullif(s.value, 'off')::numeric)
            END)
            FROM @extschema@.model_access_settings AS s),
        'complete_days', (
            SELECT coalesce(json_agg(DISTINCT (l.started_at AT TIME ZONE 'UTC')::date), '[]')
            FROM @extschema@.model_access_sync_log AS l WHERE l.complete),
        'rows', (
            SELECT coalesce(json_agg(r), '[]') FROM (
                SELECT m.model_id, m.status, m.is_free, m.is_pro, m.is_enterprise, m.fingerprint, m.missing_since,
                    m.status_before_missing, m.highest_prices, m.reviewed_at, m.reviewed_highest_prices, m.absent_since,
                    m.absence_confirmed, m.price_unreadable_since, m.price_withheld_since, m.free_revoked_at, m.price_guarded_at
                FROM @extschema@.model_access AS m) AS r));
END;
COMMENT ON FUNCTION @extschema@._model_access_state() IS 'Internal. What a plan rests on: {"now", "settings", "complete_days", "rows"}. Intervals are in seconds.';

CREATE FUNCTION @extschema@._model_access_lock() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- readers go on; admins and other runs wait, so no decision falls between plan and apply
    LOCK TABLE @extschema@.model_access IN SHARE ROW EXCLUSIVE MODE;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_lock() IS 'Internal. Takes the lock under which a plan is made and applied.';

CREATE FUNCTION @extschema@._model_access_write(plan jsonb, run bigint) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    INSERT INTO @extschema@.model_access (
        model_id, canonical_slug, name, description, provider, pricing, prompt_usd_per_million,
        completion_usd_per_million, context_length, max_completion_tokens, input_modalities, output_modalities,
        supported_parameters, expires_on, upstream, fingerprint, is_free_of_charge, highest_prices,
        highest_usd_per_million, charges_per_use, alias_of, target_disabled, first_seen_at, changed_at, last_run_id)
    SELECT
        n.model_id, n.canonical_slug, n.name, n.description, n.provider, n.pricing, n.prompt_usd_per_million,
        n.completion_usd_per_million, n.context_length, n.max_completion_tokens, n.input_modalities, n.output_modalities,
        n.supported_parameters, n.expires_on, n.upstream, n.fingerprint, n.is_free_of_charge, n.highest_prices,
        n.highest_usd_per_million, n.charges_per_use, n.alias_of,
        EXISTS (SELECT FROM @extschema@.model_access AS t
            WHERE t.model_id = n.alias_of AND (t.status = 'disabled' OR t.target_disabled)),
        (plan ->> 'at')::timestamptz, (plan ->> 'at')::timestamptz, run
    FROM jsonb_populate_recordset(NULL::@extschema@.model_access, plan -> 'insert') AS n;

    -- a change holds the columns to write; the others are taken from the row as it is
    UPDATE @extschema@.model_access AS m SET
        canonical_slug = n.canonical_slug, name = n.name, description = n.description, provider = n.provider,
        pricing = n.pricing, prompt_usd_per_million = n.prompt_usd_per_million,
        completion_usd_per_million = n.completion_usd_per_million, context_length = n.context_length,
        max_completion_tokens = n.max_completion_tokens, input_modalities = n.input_modalities,
        output_modalities = n.output_modalities, supported_parameters = n.supported_parameters,
        expires_on = n.expires_on, upstream = n.upstream, fingerprint = n.fingerprint, changed_at = n.changed_at,
        is_free_of_charge = n.is_free_of_charge, highest_prices = n.highest_prices,
        highest_usd_per_million = n.highest_usd_per_million, charges_per_use = n.charges_per_use, alias_of = n.alias_of,
        status = n.status, missing_since = n.missing_since, status_before_missing = n.status_before_missing,
        -- a plan can take a tier, and give back what a guard took, but never give one
        is_free = n.is_free AND (m.is_free OR m.free_revoked_at IS NOT NULL), is_pro = m.is_pro AND n.is_pro,
        is_enterprise = m.is_enterprise AND n.is_enterprise,
        returned_at = n.returned_at, free_revoked_at = n.free_revoked_at, tiers_before = n.tiers_before,
        absent_since = n.absent_since, absence_confirmed = n.absence_confirmed,
        price_unreadable_since = n.price_unreadable_since,
        price_withheld_since = n.price_withheld_since, price_guarded_at = n.price_guarded_at,
        last_run_id = run
    FROM jsonb_array_elements(plan -> 'update') AS c(change)
    JOIN @extschema@.model_access AS old ON old.model_id = c.change ->> 'model_id'
    CROSS JOIN LATERAL jsonb_populate_record(old, c.change) AS n
    WHERE m.model_id = old.model_id;
END;
COMMENT ON FUNCTION @extschema@._model_access_write(jsonb, bigint) IS 'Internal. One INSERT for the new rows of a plan, one UPDATE for all others.';

CREATE FUNCTION @extschema@._model_access_changed_key(plan jsonb, changed integer, known integer) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF changed <= 10 OR 2 * changed <= known THEN
        RETURN NULL;
    END IF;
    RETURN (
        -- as it is repeated in messages
        SELECT regexp_replace(left(k.key, 100), '[[:cntrl:]]', ' ', 'g')
        FROM jsonb_array_elements(plan -> 'update') AS c(change)
        JOIN @extschema@.model_access AS m ON m.model_id = c.change ->> 'model_id'
        CROSS JOIN LATERAL (
            SELECT key FROM jsonb_each(m.upstream) AS was FULL JOIN jsonb_each(c.change -> 'upstream') AS is_now USING (key)
            WHERE was.value IS DISTINCT FROM is_now.value) AS k
        WHERE c.change ? 'upstream'
          -- it went because it is ignored from now on
          AND k.key <> ALL (string_to_array(
              (SELECT s.value FROM @extschema@.model_access_settings AS s WHERE s.name = 'ignored_keys'), ', '))
        GROUP BY k.key HAVING 2 * count(*) > known
        ORDER BY count(*) DESC, k.key LIMIT 1);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_changed_key(jsonb, integer, integer) IS 'Internal. Before a plan is written that changes so many of the models that are known and listed: the key that changed in most of them, and in more than half; NULL where there is none. Looks only at a plan that changes more than half, and more than ten.';

CREATE FUNCTION @extschema@.model_access_apply(plan jsonb) RETURNS @extschema@.model_access_sync_log
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    run     @extschema@.model_access_sync_log;
    problem jsonb := nullif(plan -> 'problem', 'null');
BEGIN
    run := jsonb_populate_record(NULL::@extschema@.model_access_sync_log,
        '{"listed": 0, "added": 0, "changed": 0, "missing": 0, "returned": 0, "free_revoked": 0, "withheld": 0,
            "unusable": [], "complete": false}'
        || plan);
    run.run_id := nextval('@extschema@.model_access_sync_log_run_id_seq');
    IF run.outcome = 'unchanged' THEN
        PERFORM FROM @extschema@._model_access_alias_in_doubt;
    END IF;
    IF FOUND OR plan -> 'insert' <> '[]' OR plan -> 'update' <> '[]' THEN
        PERFORM @extschema@._model_access_lock();
        -- a sequence that was set back would make a run look like the one that wrote a row before
        IF run.run_id <= (SELECT max(last_run_id) FROM @extschema@.model_access) THEN
            run.run_id := setval('@extschema@.model_access_sync_log_run_id_seq',
                (SELECT max(last_run_id) + 1 FROM @extschema@.model_access));
        END IF;
        run.changed_key := @extschema@._model_access_changed_key(plan, run.changed, run.listed - run.added);
        PERFORM @extschema@._model_access_write(plan, run.run_id);
        PERFORM @extschema@._model_access_mend_aliases(run.run_id);
    END IF;
    PERFORM @extschema@._model_access_refresh_binding();
    run.error := concat_ws('. ', problem ->> 'message', rtrim(problem ->> 'detail', '.'), problem ->> 'hint');
    run.error := nullif(run.error, '');
    run.error_code := problem ->> 'code';
    run.run_by := @extschema@._model_access_actor();
    run.duration_ms := round(1000 * extract(epoch FROM clock_timestamp() - run.started_at), 3);
    INSERT INTO @extschema@.model_access_sync_log SELECT run.*;
    RETURN run;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_apply(jsonb) IS 'Writes a plan and its run row, mends what is wrong about aliases, and returns the run row. The plan must rest on the rows as they are: made under the lock that this takes, in the same transaction. Owner only.';
