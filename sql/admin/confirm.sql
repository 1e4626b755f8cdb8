-- The work of model_access_confirm and model_access_accept.

CREATE FUNCTION @extschema@._model_access_check_ids(ids text[], known text[], message text, hint text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    unknown CONSTANT text[] := ARRAY(
        SELECT coalesce('"' || i.id || '"', 'NULL') FROM unnest(ids) AS i(id)
        WHERE i.id IS NULL OR i.id <> ALL (known) ORDER BY i.id);
BEGIN
    IF unknown <> '{}' THEN
        RAISE EXCEPTION USING MESSAGE = format(message, unknown[1]), ERRCODE = 'no_data_found', HINT = hint,
            DETAIL = CASE WHEN cardinality(unknown) > 1
                THEN format('The same holds for %s. ', array_to_string(unknown[2:], ', ')) ELSE '' END || 'Nothing was changed.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_ids(text[], text[], text, text) IS
    'Internal. Raises error P0002 if an id is not among the known ones; message contains %s in place of the id.';

CREATE FUNCTION @extschema@._model_access_confirm(model_ids text[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    confirmed bigint;
BEGIN
    PERFORM @extschema@._model_access_check_ids(model_ids, ARRAY(SELECT m.model_id FROM @extschema@.model_access AS m),
        'model %s does not exist'::text, 'Use the exact model_id of model_access.'::text);
    -- model_access_decide fills in the rest; an active model that a rule bans is kept in spite of that rule
    UPDATE @extschema@.model_access AS m
    SET absence_confirmed = m.absent_since IS NOT NULL AND m.missing_since IS NULL,
        reviewed_at = clock_timestamp(), reviewed_by = NULL, reviewed_rule = (
            SELECT 'not ' || p.rule FROM @extschema@._model_access_proposal AS p
            WHERE p.model_id = m.model_id AND p.status = 'disabled' AND m.status = 'active')
    WHERE m.model_id = ANY (model_ids);
    GET DIAGNOSTICS confirmed = ROW_COUNT;
    RETURN confirmed;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_confirm(text[]) IS 'Internal. Does the work of model_access_confirm.';

CREATE FUNCTION @extschema@._model_access_accept(model_ids text[])
RETURNS TABLE (model_id text, tiers text, rule text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    accepted jsonb;
BEGIN
    -- under these locks, no ban and no rule changes between the check and the write
    PERFORM @extschema@._model_access_lock();
    LOCK TABLE @extschema@.model_access_rule IN SHARE MODE;
    PERFORM @extschema@._model_access_check_ids(model_ids,
        ARRAY(SELECT w.model_id FROM @extschema@._model_access_waiting AS w WHERE w.proposed IS NOT NULL),
        'no rule proposes anything for model %s'::text,
        'The view model_access_review shows what waits and what is proposed.'::text);
    accepted := (SELECT coalesce(jsonb_agg(to_jsonb(p)), '[]') FROM @extschema@._model_access_proposal AS p
                 WHERE p.model_id = ANY (model_ids));
    -- model_access_decide fills in the rest; a ban leaves the tiers as they are
    PERFORM @extschema@._model_access_update((
        SELECT jsonb_agg(jsonb_build_object('model_id', p.model_id, 'status', p.status,
                'reviewed_at', clock_timestamp(), 'reviewed_by', NULL, 'reviewed_rule', p.rule)
            || CASE p.status WHEN 'active' THEN @extschema@._model_access_flags_of(p.tiers) ELSE '{}' END)
        FROM jsonb_to_recordset(accepted) AS p(model_id text, status text, tiers text[], rule text)));
    RETURN QUERY
        SELECT p.model_id, p.proposed, p.rule FROM jsonb_to_recordset(accepted) AS p(model_id text, proposed text, rule text);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_accept(text[]) IS 'Internal. Does the work of model_access_accept.';
