-- Reads a document of decisions and refuses it whole if a line is wrong. What passes here cannot raise an error later in a
-- view, a trigger or a run.

CREATE VIEW @extschema@._model_access_document_key AS
SELECT k.kind, k.key, k.type, k.required, k.nullable FROM (VALUES
    ('model', 'model', 'string', true, false), ('model', 'status', 'string', false, false),
    ('model', 'tiers', 'list', false, false), ('model', 'note', 'string', false, true),
    ('model', 'review', 'object', false, true),
    ('rule', 'rule', 'number', true, false), ('rule', 'pattern', 'string', false, true),
    ('rule', 'provider', 'string', false, true), ('rule', 'max_usd_per_million', 'price', false, true),
    ('rule', 'per_use', 'boolean', false, true), ('rule', 'modality', 'string', false, true),
    ('rule', 'status', 'string', false, true), ('rule', 'tiers', 'list', false, true),
    ('rule', 'note', 'string', false, true),
    ('override', 'override', 'string', true, false), ('override', 'model', 'string', false, true),
    ('override', 'provider', 'string', false, true), ('override', 'allowed', 'boolean', true, false),
    ('override', 'starts_at', 'time or infinity', false, true), ('override', 'expires_at', 'time or infinity', false, true),
    ('override', 'note', 'string', false, true),
    ('setting', 'setting', 'string', true, false), ('setting', 'value', 'string', true, true)
) AS k(kind, key, type, required, nullable)
UNION ALL
SELECT 'review', @extschema@._model_access_review_key(a.attname::text),
    CASE a.atttypid WHEN 'timestamptz'::regtype THEN 'time' WHEN 'numeric'::regtype THEN 'price'
        WHEN 'boolean'::regtype THEN 'boolean' WHEN 'text[]'::regtype THEN 'list' WHEN 'text'::regtype THEN 'string'
        WHEN 'jsonb'::regtype THEN CASE a.attname WHEN 'reviewed_highest_prices' THEN 'prices' ELSE 'object' END END,
    -- a stamp without them would be completed with the present price
    a.attname IN ('reviewed_at', 'reviewed_by'), a.attname NOT IN ('reviewed_at', 'reviewed_by')
FROM pg_attribute AS a
WHERE a.attrelid = '@extschema@.model_access'::regclass AND a.attname = ANY (@extschema@._model_access_stamp_columns());
COMMENT ON VIEW @extschema@._model_access_document_key IS
    'Internal. The keys of each kind of line in a document of decisions, and of the review of a model.';

CREATE FUNCTION @extschema@._model_access_is_of_type(value jsonb, type text) RETURNS boolean
-- not LANGUAGE sql, which would begin a query for each value
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given CONSTANT text := jsonb_typeof(value);
BEGIN
    CASE type
    WHEN 'price' THEN
        -- the length keeps products of prices in the range of numeric
        RETURN CASE WHEN given = 'number' AND length(value::text) <= 200 THEN (value #>> '{}')::numeric >= 0 ELSE false END;
    WHEN 'prices' THEN
        RETURN CASE given WHEN 'object' THEN NOT EXISTS (
            SELECT FROM jsonb_each(value) AS p
            WHERE p.value <> 'null' AND NOT @extschema@._model_access_is_of_type(p.value, 'price'::text))
            ELSE false END;
    WHEN 'list' THEN
        RETURN given = 'array' AND NOT value @? 'strict $[*] ? (@.type() != "string")';
    WHEN 'time', 'time or infinity' THEN
        -- only a whole time in ISO 8601: words such as "tomorrow" mean something else each day
        RETURN given = 'string' AND (type = 'time or infinity' AND value IN ('"infinity"', '"-infinity"')
            OR value #>> '{}' ~ '^\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d(:\d\d)?)( BC)?$');
    ELSE
        RETURN given = type;
    END CASE;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_is_of_type(jsonb, text) IS
    'Internal. Tells whether a value of a document has the type that _model_access_document_key names.';

CREATE FUNCTION @extschema@._model_access_document_keys() RETURNS jsonb
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT jsonb_object_agg(k.kind, k.keys) FROM (
        SELECT d.kind, jsonb_object_agg(d.key, to_jsonb(d)) AS keys
        FROM @extschema@._model_access_document_key AS d GROUP BY d.kind) AS k;
END;
COMMENT ON FUNCTION @extschema@._model_access_document_keys() IS
    'Internal. Gives _model_access_document_key as one object, because a query for each line would take most of the time.';

CREATE FUNCTION @extschema@._model_access_keys_problem(known jsonb, item jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item_key text;
    value    jsonb;
    rule     jsonb;
BEGIN
    FOR item_key, value IN SELECT i.key, i.value FROM jsonb_each(item) AS i LOOP
        rule := known -> item_key;
        IF rule IS NULL THEN
            RETURN format('key "%s" is not known', item_key);
        ELSIF NOT ((value = 'null' AND (rule -> 'nullable')::boolean)
            OR coalesce(@extschema@._model_access_is_of_type(value, (rule ->> 'type')::text), false)) THEN
            RETURN format('the type of key "%s" must be: %s', item_key, rule ->> 'type');
        END IF;
    END LOOP;
    RETURN (SELECT format('key "%s" is missing', k.key) FROM jsonb_each(known) AS k
            WHERE (k.value -> 'required')::boolean AND NOT item ? k.key ORDER BY k.key LIMIT 1);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_keys_problem(jsonb, jsonb) IS
    'Internal. Says which key of an object is unknown, missing or of another type than its kind of line requires; NULL = none.';

CREATE FUNCTION @extschema@._model_access_item_problem(known jsonb, kind text, item jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    review CONSTANT jsonb := nullif(item -> 'review', 'null');
    tiers  CONSTANT text[] := ARRAY(SELECT jsonb_array_elements_text(nullif(item -> 'tiers', 'null')));
BEGIN
    IF NOT tiers <@ @extschema@._model_access_tiers() THEN
        RETURN format('tiers must be some of: %s', array_to_string(@extschema@._model_access_tiers(), ', '));
    ELSIF kind = 'model' THEN
        IF item ->> 'status' NOT IN ('new', 'active', 'inactive', 'disabled') THEN
            RETURN format('status "%s" is not known', item ->> 'status');
        END IF;
        -- the cast raises an error if a time does not exist, such as February 30; a run cannot read years after 9999 or before 1
        RETURN 'review: ' || coalesce(@extschema@._model_access_keys_problem(known -> 'review', review), (
            SELECT format('the time of key "%s" is not in the years 2 to 9998', min(r.key)) FROM jsonb_each(review) AS r
            WHERE CASE WHEN known #>> ARRAY['review', r.key, 'type'] = 'time' THEN
                (r.value #>> '{}')::timestamptz NOT BETWEEN '0002-01-01T00:00:00Z' AND '9998-12-31T23:59:59Z' END
            HAVING count(*) > 0));
    ELSIF kind = 'rule' THEN
        -- what _model_access_check_rule refuses, so that a dry run refuses it too
        PERFORM (item ->> 'rule')::integer;
        RETURN CASE WHEN item ->> 'status' NOT IN ('active', 'disabled')
                THEN format('status "%s" is not known', item ->> 'status')
            WHEN (item ->> 'status' IS NOT DISTINCT FROM 'disabled') = (tiers <> '{}')
                THEN 'a rule must propose either tiers or a ban'
            WHEN item ->> 'status' = 'disabled' AND item ->> 'max_usd_per_million' IS NOT NULL
                THEN 'a rule that proposes a ban must not have max_usd_per_million'
            WHEN '' IN (item ->> 'pattern', item ->> 'provider', item ->> 'modality') THEN 'a condition must not be empty'
            WHEN (length(item ->> 'pattern') - length(rtrim(item ->> 'pattern', chr(92)))) % 2 = 1
                THEN 'a pattern must not end with a backslash that escapes nothing' END;
    ELSIF kind = 'override' THEN
        RETURN CASE WHEN item ->> 'override' = '' THEN 'the user must not be empty'
            WHEN num_nonnulls(item ->> 'model', item ->> 'provider') <> 1
                THEN 'an override must name either a model or a provider'
            WHEN (item ->> 'expires_at')::timestamptz <= (item ->> 'starts_at')::timestamptz
                THEN 'an override must not expire before it starts' END;
    ELSE
        RETURN (
            SELECT CASE WHEN count(*) = 0 THEN format('setting "%s" is not known', item ->> 'setting')
                WHEN bool_or(@extschema@._model_access_setting_value(s.unit, coalesce(item ->> 'value', s."default")) IS NULL)
                THEN format('value "%s" is not valid for setting "%s"', item ->> 'value', item ->> 'setting') END
            FROM @extschema@.model_access_settings AS s WHERE s.name = item ->> 'setting');
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_item_problem(jsonb, text, jsonb) IS
    'Internal. Says why a line of a document cannot be imported, or raises an error of class 22; NULL = it can be.';

CREATE FUNCTION @extschema@._model_access_line_problem(known jsonb, kind text, item jsonb, line text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_unique boolean;
BEGIN
    IF kind IS NULL THEN
        RETURN 'it must be an object with one of the keys model, rule, override and setting';
    END IF;
    WITH RECURSIVE part(object) AS (
        SELECT line::json
        UNION ALL
        SELECT e.value FROM part AS p CROSS JOIN LATERAL json_each(p.object) AS e WHERE json_typeof(e.value) = 'object')
    SELECT bool_and((SELECT count(*) = count(DISTINCT k.key) FROM json_object_keys(p.object) AS k(key)))
    INTO is_unique FROM part AS p;
    RETURN CASE
        -- jsonb takes the last of two equal keys, and a reader may take the first
        WHEN NOT is_unique THEN 'a key appears twice'
        ELSE coalesce(@extschema@._model_access_keys_problem(known -> kind, item),
            @extschema@._model_access_item_problem(known, kind, item)) END;
EXCEPTION WHEN data_exception THEN
    RETURN SQLERRM;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_line_problem(jsonb, text, jsonb, text) IS
    'Internal. Says why a line of a document cannot be imported; NULL = it can be.';

CREATE FUNCTION @extschema@._model_access_parse_line(line text, number bigint) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    why text;
BEGIN
    RETURN line::jsonb;
EXCEPTION WHEN data_exception OR statement_too_complex OR program_limit_exceeded THEN
    GET STACKED DIAGNOSTICS why = PG_EXCEPTION_DETAIL;
    RAISE EXCEPTION 'line % of the document is not valid JSON', number
        USING ERRCODE = 'invalid_text_representation', DETAIL = coalesce(nullif(why, ''), SQLERRM || '.'),
              HINT = 'Each line must be one JSON object, as model_access_export_decisions writes it.';
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_parse_line(text, bigint) IS
    'Internal. Parses a line of a document; raises error 22P02 with its number if it is not JSON.';

CREATE FUNCTION @extschema@._model_access_check_format(item jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF item ->> 'format' IS DISTINCT FROM 'model_access_decisions' OR jsonb_typeof(item -> 'version') IS DISTINCT FROM 'number'
        OR item -> 'version' < '1'
    THEN
        RAISE EXCEPTION 'document is not an export of decisions'
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'Its first line must be {"format": "model_access_decisions", "version": 1}.',
                  HINT = 'Import what model_access_export_decisions wrote.';
    ELSIF item -> 'version' <> '1' THEN
        RAISE EXCEPTION 'document has version % of the format', item -> 'version'
            USING ERRCODE = 'feature_not_supported', DETAIL = 'This version of model_access reads version 1.',
                  HINT = 'Upgrade model_access here.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_format(jsonb) IS
    'Internal. Raises 22023 if a first line does not name the format of an export, and 0A000 if it names a later version.';

CREATE FUNCTION @extschema@._model_access_unique_items(items jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    twice CONSTANT text := (
        SELECT format('lines %s of the document decide about the same %s', string_agg(i.line::text, ', ' ORDER BY i.line), i.kind)
        FROM jsonb_to_recordset(items) AS i(line bigint, kind text, id text, item jsonb)
        GROUP BY i.kind, i.id, CASE i.kind WHEN 'override' THEN i.item END HAVING count(*) > 1 ORDER BY min(i.line) LIMIT 1);
BEGIN
    IF twice IS NOT NULL THEN
        RAISE EXCEPTION USING MESSAGE = twice, ERRCODE = 'invalid_parameter_value', DETAIL = 'Nothing was changed.',
            HINT = 'Keep one of the lines.';
    END IF;
    RETURN items;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_unique_items(jsonb) IS
    'Internal. Gives lines of a document, or raises 22023 if two decide about the same model, rule or setting, or are equal.';

CREATE FUNCTION @extschema@._model_access_document_items(document text, known jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    items    jsonb[] := '{}';
    is_first boolean := true;
    item     jsonb;
    kind     text;
    problem  text;
    line     text;
    number   bigint;
BEGIN
    IF octet_length(document) > 16777216 THEN
        RAISE EXCEPTION 'document is larger than 16 MB'
            USING ERRCODE = 'program_limit_exceeded', HINT = 'Import it in parts, each with the first line.';
    END IF;
    FOR line, number IN
        SELECT btrim(l.line, e' \t\r'), l.number FROM string_to_table(document, e'\n') WITH ORDINALITY AS l(line, number)
    LOOP
        CONTINUE WHEN line = '';
        item := @extschema@._model_access_parse_line(line, number);
        IF is_first THEN
            PERFORM @extschema@._model_access_check_format(item);
            is_first := false;
            CONTINUE;
        END IF;
        kind := CASE WHEN jsonb_typeof(item) <> 'object' THEN NULL WHEN item ? 'override' THEN 'override'
            WHEN item ? 'rule' THEN 'rule' WHEN item ? 'setting' THEN 'setting' WHEN item ? 'model' THEN 'model' END;
        problem := @extschema@._model_access_line_problem(known, kind, item, line);
        IF problem IS NOT NULL THEN
            RAISE EXCEPTION 'line % of the document cannot be imported: %', number, problem
                USING ERRCODE = 'invalid_parameter_value', DETAIL = 'Nothing was changed.',
                      HINT = 'Correct the line. The notes to model_access_import_decisions say what a line may have.';
        END IF;
        items := array_append(items, jsonb_build_object('line', number, 'kind', kind, 'id', item ->> kind, 'item', item));
    END LOOP;
    IF is_first THEN
        PERFORM @extschema@._model_access_check_format(NULL::jsonb);
    END IF;
    RETURN to_jsonb(items);
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_document_items(text, jsonb) IS
    'Internal. Gives the lines of a document, each with its number, kind and id; raises an error if one cannot be imported.';
