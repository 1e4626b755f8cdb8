-- Compares the lines of a document of decisions with the rows. Nothing here writes.

CREATE FUNCTION @extschema@._model_access_normal_review(review jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT jsonb_object_agg(r.key,
        CASE WHEN r.key ~ '(^|_)at$' THEN to_jsonb((r.value #>> '{}')::timestamptz) ELSE r.value END)
    FROM jsonb_each(nullif(review, 'null')) AS r WHERE r.value <> 'null';
END;
COMMENT ON FUNCTION @extschema@._model_access_normal_review(jsonb) IS
    'Internal. Gives the review in a line as an export writes it: its times, and without keys that are null; NULL = no review.';

CREATE FUNCTION @extschema@._model_access_wanted(have jsonb, item jsonb) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    -- what a line does not name stays as it is
    SELECT have || (item - 'review'::text)
        || CASE WHEN item ? 'tiers' THEN jsonb_build_object('tiers', @extschema@._model_access_flagged(
            @extschema@._model_access_flags_of(ARRAY(SELECT jsonb_array_elements_text(item -> 'tiers'))))) ELSE '{}' END
        || CASE WHEN item ->> 'review' IS NULL THEN '{}'
            ELSE jsonb_build_object('review', @extschema@._model_access_normal_review(item -> 'review')) END;
END;
COMMENT ON FUNCTION @extschema@._model_access_wanted(jsonb, jsonb) IS
    'Internal. Gives what an export would write of a model after the import of a line, from what it would write now.';

CREATE FUNCTION @extschema@._model_access_imported_columns(
    model @extschema@.model_access, have jsonb, want jsonb, carries_review boolean) RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT CASE
            WHEN have -> 'status' = want -> 'status' THEN '{}'
            -- as a model that left the list after its approval: a return within return_window restores the status
            WHEN carries_review AND (model).missing_since IS NOT NULL AND want ->> 'status' IN ('new', 'active')
            THEN jsonb_build_object('status', 'inactive', 'status_before_missing', want -> 'status')
            ELSE jsonb_build_object('status', want -> 'status', 'status_before_missing', NULL)
                -- the triggers take this for no decision: the status of the row stays the same
                || CASE WHEN NOT carries_review AND (model).status = want ->> 'status' THEN jsonb_build_object(
                    'reviewed_at', clock_timestamp(), 'reviewed_by', NULL, 'reviewed_rule', NULL) ELSE '{}' END END
        || CASE WHEN have -> 'tiers' = want -> 'tiers' THEN '{}'
            ELSE @extschema@._model_access_flags_of(ARRAY(SELECT jsonb_array_elements_text(want -> 'tiers'))) END
        || CASE WHEN have -> 'note' = want -> 'note' THEN '{}' ELSE jsonb_build_object('note', want -> 'note') END
        || CASE WHEN have -> 'review' IS NOT DISTINCT FROM want -> 'review' THEN '{}' ELSE (
            SELECT jsonb_object_agg(s.name, want -> 'review' -> @extschema@._model_access_review_key(s.name))
            FROM unnest(@extschema@._model_access_stamp_columns()) AS s(name)) END;
END;
COMMENT ON FUNCTION @extschema@._model_access_imported_columns(@extschema@.model_access, jsonb, jsonb, boolean) IS
    'Internal. Gives the columns that make a model as an import wants it: have and want are in the form of an export.';

CREATE FUNCTION @extschema@._model_access_compare_model(model @extschema@.model_access, item jsonb)
RETURNS TABLE (field text, action text, old jsonb, new jsonb, why text, columns jsonb)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    have    CONSTANT jsonb := @extschema@._model_access_exported(model)::jsonb;
    carries CONSTANT boolean := item ->> 'review' IS NOT NULL;
    want    jsonb := @extschema@._model_access_wanted(have, item);
    here    CONSTANT timestamptz := have #>> '{review,at}';
    stamp   CONSTANT timestamptz := want #>> '{review,at}';
    decides boolean;
BEGIN
    IF carries AND want -> 'tiers' ? 'free' AND NOT have -> 'tiers' ? 'free' AND NOT model.is_free_of_charge
        AND want #> '{review,is_free_of_charge}' = 'true'
    THEN
        RETURN QUERY SELECT 'tiers', 'skip', have -> 'tiers', want -> 'tiers', 'no longer free of charge', NULL::jsonb;
        want := want || jsonb_build_object('tiers', (want -> 'tiers') - 'free', 'review', want -> 'review'
            || jsonb_strip_nulls(jsonb_build_object('free_revoked_at', have #> '{review,free_revoked_at}')));
    END IF;
    decides := have -> 'status' <> want -> 'status' OR have -> 'tiers' <> want -> 'tiers';
    IF NOT decides AND here >= stamp AND (have -> 'review') - '{at,by}'::text[] = (want -> 'review') - '{at,by}'::text[] THEN
        -- whoever reviewed the same here later stays, so that an import can be repeated
        want := want || jsonb_build_object('review', have -> 'review');
    ELSIF carries AND here = stamp AND (decides OR have -> 'review' <> want -> 'review') THEN
        -- one review cannot stand for two decisions: the line was edited, so somebody decides now, at the price in the line
        want := jsonb_set(want, '{review}', want -> 'review'
            || jsonb_build_object('at', clock_timestamp(), 'by', @extschema@._model_access_actor()));
    END IF;
    IF want = have THEN
        RETURN;
    END IF;
    why := nullif(concat_ws('; ', CASE WHEN NOT carries AND decides THEN 'reviewed at the present price'
            WHEN here > stamp THEN 'decided here later, by ' || (have #>> '{review,by}') END,
        CASE WHEN model.missing_since IS NOT NULL THEN 'not listed here now' END), '');
    columns := @extschema@._model_access_imported_columns(model, have, want, carries);
    -- one row for each field; the first has the columns
    RETURN QUERY SELECT k.field, 'change', CASE WHEN k.field <> 'review' THEN have -> k.field WHEN have ? 'review' THEN d.old END,
        CASE k.field WHEN 'review' THEN d.new ELSE want -> k.field END,
        CASE WHEN k.field <> 'note' THEN why END, CASE row_number() OVER () WHEN 1 THEN columns END
    FROM unnest('{status,tiers,note,review}'::text[]) AS k(field)
    CROSS JOIN (
        SELECT jsonb_object_agg(r.key, have -> 'review' -> r.key) AS old,
            jsonb_object_agg(r.key, want -> 'review' -> r.key) AS new
        FROM jsonb_object_keys(coalesce(have -> 'review', '{}') || coalesce(want -> 'review', '{}')) AS r(key)
        WHERE have -> 'review' -> r.key IS DISTINCT FROM want -> 'review' -> r.key) AS d
    WHERE have -> k.field IS DISTINCT FROM want -> k.field;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_compare_model(@extschema@.model_access, jsonb) IS
    'Internal. Gives what a line changes or leaves out in a model, one row a field, the first with the columns to write.';

CREATE FUNCTION @extschema@._model_access_compare_models(items jsonb)
RETURNS TABLE (kind text, id text, field text, action text, old jsonb, new jsonb, why text, columns jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT 'model', i.id, c.field, c.action, c.old, c.new, c.why, c.columns || jsonb_build_object('model_id', i.id)
    FROM jsonb_to_recordset(items) AS i(kind text, id text, item jsonb)
    JOIN @extschema@.model_access AS m ON m.model_id = i.id
    CROSS JOIN LATERAL @extschema@._model_access_compare_model(m, i.item) AS c
    WHERE i.kind = 'model'
    UNION ALL
    SELECT 'model', i.id, NULL, 'skip', NULL, i.item - 'model', 'not in this catalogue', NULL
    FROM jsonb_to_recordset(items) AS i(kind text, id text, item jsonb)
    WHERE i.kind = 'model' AND NOT EXISTS (SELECT FROM @extschema@.model_access AS m WHERE m.model_id = i.id);
END;
COMMENT ON FUNCTION @extschema@._model_access_compare_models(jsonb) IS
    'Internal. Gives what an import changes or leaves out in models.';

CREATE FUNCTION @extschema@._model_access_imported_rule(item jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_build_object(
        'position', item -> 'rule', 'pattern', item -> 'pattern', 'provider', item -> 'provider',
        'max_usd_per_million', item -> 'max_usd_per_million', 'modality', item -> 'modality',
        'per_use', coalesce(nullif(item -> 'per_use', 'null'), 'false'), 'status', item -> 'status', 'note', item -> 'note')
        || @extschema@._model_access_flags_of(ARRAY(SELECT jsonb_array_elements_text(nullif(item -> 'tiers', 'null'))));
END;
COMMENT ON FUNCTION @extschema@._model_access_imported_rule(jsonb) IS 'Internal. Gives the columns of the rule in a line.';

CREATE FUNCTION @extschema@._model_access_compare_rules(items jsonb)
RETURNS TABLE (kind text, id text, field text, action text, old jsonb, new jsonb, why text, columns jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH line AS (
        SELECT i.id::integer AS position, i.id, @extschema@._model_access_imported_rule(i.item) AS columns
        FROM jsonb_to_recordset(items) AS i(kind text, id text, item jsonb) WHERE i.kind = 'rule'),
    compared AS (
        SELECT l.id, l.columns, @extschema@._model_access_exported(n)::jsonb AS want, (
            SELECT @extschema@._model_access_exported(r)::jsonb FROM @extschema@.model_access_rule AS r
            WHERE r.position = l.position) AS have
        FROM line AS l
        CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.model_access_rule, l.columns) AS n)
    SELECT 'rule', c.id, NULL, CASE WHEN c.have IS NULL THEN 'add' ELSE 'change' END, c.have, c.want, NULL, c.columns
    FROM compared AS c WHERE c.have IS DISTINCT FROM c.want;
END;
COMMENT ON FUNCTION @extschema@._model_access_compare_rules(jsonb) IS 'Internal. Gives what an import changes in rules.';

CREATE FUNCTION @extschema@._model_access_imported_override(item jsonb, OUT columns jsonb, OUT why text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.columns, @extschema@._model_access_override_problem(c.columns)
    FROM (SELECT jsonb_build_object(
        'user_id', coalesce(@extschema@._model_access_user_key(item ->> 'override'), item ->> 'override'),
        'model_id', item -> 'model', 'provider', item -> 'provider', 'allowed', item -> 'allowed',
        'starts_at', item -> 'starts_at', 'expires_at', item -> 'expires_at', 'note', item -> 'note') OFFSET 0) AS c(columns);
END;
COMMENT ON FUNCTION @extschema@._model_access_imported_override(jsonb) IS
    'Internal. Gives the columns of the override in a line, with its user as the bound table spells it, and why it cannot match.';

CREATE FUNCTION @extschema@._model_access_compare_overrides(items jsonb)
RETURNS TABLE (kind text, id text, field text, action text, old jsonb, new jsonb, why text, columns jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH line AS MATERIALIZED (
        SELECT @extschema@._model_access_exported(n)::jsonb AS want, l.columns, l.why, n.user_id,
            concat_ws(' ', 'model ' || n.model_id, 'provider ' || n.provider) AS subject
        FROM jsonb_to_recordset(items) AS i(kind text, id text, item jsonb)
        CROSS JOIN LATERAL @extschema@._model_access_imported_override(i.item) AS l
        CROSS JOIN LATERAL jsonb_populate_record(NULL::@extschema@.model_access_override, l.columns) AS n
        WHERE i.kind = 'override'),
    -- the overrides of one user for one model or provider are one decision
    here AS MATERIALIZED (
        SELECT @extschema@._model_access_exported(o)::jsonb AS have, o.user_id, o.override_id
        FROM @extschema@.model_access_override AS o
        WHERE (o.user_id, concat_ws(' ', 'model ' || o.model_id, 'provider ' || o.provider)) IN (
            SELECT l.user_id, l.subject FROM line AS l))
    SELECT 'override', l.user_id, NULL, CASE WHEN l.why IS NULL THEN 'add' ELSE 'skip' END, NULL, l.want, l.why, l.columns
    FROM line AS l WHERE l.want NOT IN (SELECT h.have FROM here AS h)
    UNION ALL
    SELECT 'override', h.user_id, NULL, 'remove', h.have, NULL, NULL, jsonb_build_object('override_id', h.override_id)
    FROM here AS h WHERE h.have NOT IN (SELECT l.want FROM line AS l);
END;
COMMENT ON FUNCTION @extschema@._model_access_compare_overrides(jsonb) IS
    'Internal. Gives what an import changes or refuses in overrides.';

CREATE FUNCTION @extschema@._model_access_imported_setting(unit text, value text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
RETURN @extschema@._model_access_setting_value(unit, value);
COMMENT ON FUNCTION @extschema@._model_access_imported_setting(text, text) IS
    'Internal. Gives the value of a setting in a line in the usual form of its unit.';

CREATE FUNCTION @extschema@._model_access_compare_settings(items jsonb)
RETURNS TABLE (kind text, id text, field text, action text, old jsonb, new jsonb, why text, columns jsonb)
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT 'setting', s.name, NULL, 'change', to_jsonb(s.value), to_jsonb(u.value),
        CASE WHEN i.item ->> 'value' IS NULL THEN 'the default' END, NULL::jsonb
    FROM jsonb_to_recordset(items) AS i(kind text, id text, item jsonb)
    JOIN @extschema@.model_access_settings AS s ON s.name = i.id
    CROSS JOIN LATERAL (SELECT @extschema@._model_access_imported_setting(
        s.unit, coalesce(i.item ->> 'value', s."default"))) AS u(value)
    WHERE i.kind = 'setting' AND s.value <> u.value;
END;
COMMENT ON FUNCTION @extschema@._model_access_compare_settings(jsonb) IS 'Internal. Gives what an import changes in settings.';

CREATE FUNCTION @extschema@._model_access_document_lines(document text) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
RETURN @extschema@._model_access_unique_items(
    @extschema@._model_access_document_items(document, @extschema@._model_access_document_keys()));
COMMENT ON FUNCTION @extschema@._model_access_document_lines(text) IS
    'Internal. Gives the lines of a document, as _model_access_document_items does, after all checks.';

CREATE FUNCTION @extschema@._model_access_compare_document(document text)
RETURNS TABLE (kind text, id text, field text, action text, old jsonb, new jsonb, why text, columns jsonb)
-- enable_nestloop: the planner cannot know the number of lines. jit: compiling takes longer than comparing
LANGUAGE sql STABLE SET timezone = 'UTC' SET jit = off SET enable_nestloop = off
BEGIN ATOMIC
    WITH d AS MATERIALIZED (SELECT @extschema@._model_access_document_lines(document) AS items)
    SELECT c.* FROM d CROSS JOIN LATERAL @extschema@._model_access_compare_models(d.items) AS c
    UNION ALL SELECT c.* FROM d CROSS JOIN LATERAL @extschema@._model_access_compare_rules(d.items) AS c
    UNION ALL SELECT c.* FROM d CROSS JOIN LATERAL @extschema@._model_access_compare_overrides(d.items) AS c
    UNION ALL SELECT c.* FROM d CROSS JOIN LATERAL @extschema@._model_access_compare_settings(d.items) AS c;
END;
COMMENT ON FUNCTION @extschema@._model_access_compare_document(text) IS
    'Internal. Gives what an import of a document would change or leave out, and the columns that it would write.';
