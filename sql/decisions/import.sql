-- Writes the decisions of a document in one transaction, as one change in the history. A dry run shows what would be written.

CREATE FUNCTION @extschema@._model_access_write_rules(rules jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    keys CONSTANT text[] := ARRAY(SELECT jsonb_object_keys(rules -> 0));
BEGIN
    IF keys <> '{}' THEN
        EXECUTE 'UPDATE @extschema@.model_access_rule AS r SET ' || @extschema@._model_access_columns(keys, '%1$I = n.%1$I') || '
            FROM jsonb_populate_recordset(NULL::@extschema@.model_access_rule, $1) AS n
            WHERE r.position = n.position' USING rules;
        EXECUTE 'INSERT INTO @extschema@.model_access_rule (' || @extschema@._model_access_columns(keys, '%I') || ')
            SELECT ' || @extschema@._model_access_columns(keys, 'n.%I') || '
            FROM jsonb_populate_recordset(NULL::@extschema@.model_access_rule, $1) AS n
            WHERE n.position NOT IN (SELECT r.position FROM @extschema@.model_access_rule AS r)' USING rules;
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_write_rules(jsonb) IS
    'Internal. Changes or adds rules: an array of objects with the same columns.';

CREATE FUNCTION @extschema@._model_access_write_overrides(overrides jsonb) RETURNS void
LANGUAGE sql VOLATILE
BEGIN ATOMIC
    DELETE FROM @extschema@.model_access_override AS o USING jsonb_to_recordset(overrides) AS c(override_id bigint)
    WHERE o.override_id = c.override_id;
    INSERT INTO @extschema@.model_access_override (
        user_id, model_id, provider, allowed, starts_at, expires_at, note, created_by)
    SELECT n.user_id, n.model_id, n.provider, n.allowed, n.starts_at, n.expires_at, n.note, @extschema@._model_access_actor()
    FROM jsonb_populate_recordset(NULL::@extschema@.model_access_override, overrides) AS n WHERE n.override_id IS NULL;
END;
COMMENT ON FUNCTION @extschema@._model_access_write_overrides(jsonb) IS
    'Internal. Deletes the overrides of which an array has the number, and inserts the others.';

CREATE FUNCTION @extschema@._model_access_import(
    document text, OUT kind text, OUT id text, OUT field text, OUT action text, OUT old jsonb, OUT new jsonb, OUT why text)
RETURNS SETOF record
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET enable_nestloop = off AS $$
DECLARE
    plan  jsonb;
    after bigint;
BEGIN
    -- nobody changes anything between the comparison and the writing
    PERFORM @extschema@._model_access_lock();
    LOCK TABLE @extschema@.model_access_rule, @extschema@.model_access_override IN SHARE ROW EXCLUSIVE MODE;
    plan := (SELECT jsonb_agg(to_jsonb(c)) FROM @extschema@._model_access_compare_document(document) AS c
             WHERE c.kind <> 'setting');
    after := (SELECT coalesce(max(h.history_id), 0) FROM @extschema@.model_access_history AS h);
    PERFORM @extschema@._model_access_update((SELECT jsonb_agg(p.columns)
        FROM jsonb_to_recordset(plan) AS p(kind text, columns jsonb) WHERE p.kind = 'model' AND p.columns IS NOT NULL));
    PERFORM @extschema@._model_access_write_rules((SELECT jsonb_agg(p.columns)
        FROM jsonb_to_recordset(plan) AS p(kind text, columns jsonb) WHERE p.kind = 'rule'));
    PERFORM @extschema@._model_access_write_overrides((SELECT jsonb_agg(p.columns)
        FROM jsonb_to_recordset(plan) AS p(kind text, action text, columns jsonb)
        WHERE p.kind = 'override' AND p.action <> 'skip'));
    -- one change, with one undo; under the locks nobody else has written such rows
    UPDATE @extschema@.model_access_history AS h SET at = f.at
    FROM (SELECT min(i.at) FROM @extschema@.model_access_history AS i WHERE i.history_id > after) AS f(at)
    WHERE h.history_id > after AND h.at <> f.at;
    RETURN QUERY SELECT p.* FROM jsonb_to_recordset(plan)
        AS p(kind text, id text, field text, action text, old jsonb, new jsonb, why text);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_import(text) IS
    'Internal. Writes the models, rules and overrides of a document, and gives what it changed or left out.';

CREATE FUNCTION @extschema@.model_access_import_decisions(
    document text, dry_run boolean DEFAULT true,
    OUT kind text, OUT id text, OUT field text, OUT action text, OUT old jsonb, OUT new jsonb, OUT why text)
RETURNS SETOF record
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    plan     jsonb;
    settings jsonb;
BEGIN
    IF document IS NULL OR dry_run IS NULL THEN
        RAISE EXCEPTION '% must not be null', CASE WHEN document IS NULL THEN 'document' ELSE 'dry_run' END
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the text of an export, and dry_run true or false.';
    END IF;
    IF dry_run THEN
        plan := (SELECT jsonb_agg(to_jsonb(c)) FROM @extschema@._model_access_compare_document(document) AS c);
    ELSE
        settings := (SELECT coalesce(jsonb_agg(to_jsonb(c)), '[]') FROM @extschema@._model_access_compare_settings(
            @extschema@._model_access_document_lines(document)) AS c);
        IF settings <> '[]' AND NOT pg_has_role(current_user, (
            SELECT c.relowner FROM pg_class AS c WHERE c.oid = '@extschema@.model_access_setting'::regclass), 'USAGE')
        THEN
            RAISE EXCEPTION 'permission denied to change settings'
                USING ERRCODE = 'insufficient_privilege',
                      DETAIL = format('The document changes setting %s. Nothing was changed.', settings #>> '{0,id}'),
                      HINT = 'Import as the owner, or remove the lines of settings from the document.';
        END IF;
        plan := coalesce(@extschema@._model_access_ask('import'::text, jsonb_build_object('document', document)), '[]')
            || settings;
        -- an admin may not call the function, even for no setting
        IF settings <> '[]' THEN
            PERFORM @extschema@.model_access_set(s.id, CASE WHEN s.why IS NULL THEN s.new END)
            FROM jsonb_to_recordset(settings) AS s(id text, new text, why text);
        END IF;
    END IF;
    RETURN QUERY SELECT p.* FROM jsonb_to_recordset(plan)
        AS p(kind text, id text, field text, action text, old jsonb, new jsonb, why text)
        ORDER BY array_position('{model,rule,override,setting}'::text[], p.kind),
            CASE p.kind WHEN 'rule' THEN p.id::integer END, p.id COLLATE "C", p.action = 'change',
            array_position('{status,tiers,note,review}'::text[], p.field), p.new;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_import_decisions(text, boolean) IS
    'Compares a document of model_access_export_decisions with the rows, and writes what differs if dry_run is false.';
