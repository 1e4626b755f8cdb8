-- The settings decide about access and about rows. Only values that were set are stored: CREATE EXTENSION inserts no row, so a
-- restored dump cannot conflict with one.

CREATE TABLE @extschema@.model_access_setting (
    name  text PRIMARY KEY,
    value text NOT NULL
);
COMMENT ON TABLE @extschema@.model_access_setting IS
    'The settings that differ from their default; written by model_access_set.';
COMMENT ON COLUMN @extschema@.model_access_setting.name IS 'The name of the setting.';
COMMENT ON COLUMN @extschema@.model_access_setting.value IS 'The value of the setting, as text.';

CREATE VIEW @extschema@.model_access_settings AS
SELECT d.name, coalesce(s.value, d."default") AS value, d."default", d.unit, d.meaning
-- a new setting is one row here; a new unit also needs a branch in _model_access_setting_value and _model_access_setting_json
FROM (VALUES
    ('max_removal_percent', '20', 'percent',
     'largest share of the active models that syncs may take from users within 24 hours, '
     'and of the other listed models that one sync may mark as missing'),
    ('return_window', '7 days', 'interval', 'how long the status and tiers of a missing model wait for its return'),
    ('free_guard', 'on', 'on or off', 'whether a model that stops being free of charge leaves the free tier'),
    ('price_guard', 'off', 'factor or off',
     'an active model goes back to review when its price exceeds its reviewed price times this factor'),
    ('price_alert', '2', 'factor or off',
     'a model whose price exceeds its reviewed price times this factor is shown for review, and is not restored when it returns'),
    ('expiry_notice', '30 days', 'interval', 'how long before it expires a model is shown for review'),
    ('log_retention', '90 days', 'interval',
     'how long rows of the run log are kept; rows of complete lists are kept for at least return_window plus four days'),
    ('sync_interval', '1 day', 'interval',
     'how often a sync is due; health reports a problem when the last success is older than this plus 90 minutes'),
    ('ignored_keys', 'benchmarks', 'list of keys',
     'keys of an entry that are neither stored nor compared, because upstream fills them with measurements')
) AS d(name, "default", unit, meaning)
LEFT JOIN @extschema@.model_access_setting AS s USING (name);
COMMENT ON VIEW @extschema@.model_access_settings IS 'Every setting with its present value, default, unit and meaning.';
COMMENT ON COLUMN @extschema@.model_access_settings.name IS 'The name of the setting.';
COMMENT ON COLUMN @extschema@.model_access_settings.value IS 'The present value.';
COMMENT ON COLUMN @extschema@.model_access_settings."default" IS 'The value of the setting while nobody has set another.';
COMMENT ON COLUMN @extschema@.model_access_settings.unit IS 'The form of a valid value.';
COMMENT ON COLUMN @extschema@.model_access_settings.meaning IS 'What the setting decides.';

CREATE FUNCTION @extschema@._model_access_keys(list text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN btrim(list, E' \t\r\n') = '' THEN ''
        -- these keys decide the identity of a model, its price, the target of an alias, and whether it is a router
        WHEN bool_and(k.key <> '' AND octet_length(k.key) <= 100 AND k.key !~ '[[:cntrl:]]'
                      AND k.key <> ALL ('{id,name,pricing,alias_target,architecture}'))
             AND count(DISTINCT k.key) <= 50
        THEN string_agg(k.key, ', ' ORDER BY k.position) FILTER (WHERE k.is_first)
    END
    FROM (
        SELECT p.key, p.position, row_number() OVER (PARTITION BY p.key ORDER BY p.position) = 1 AS is_first
        FROM (
            SELECT btrim(t.part, E' \t\r\n'), t.position
            FROM string_to_table(list, ',') WITH ORDINALITY AS t(part, position)) AS p(key, position)) AS k
$$;
COMMENT ON FUNCTION @extschema@._model_access_keys(text) IS
    'Internal. Gives a list of keys in its usual form: each key once, separated by ", "; NULL if the list is not valid.';

CREATE FUNCTION @extschema@._model_access_key_array(list text) RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN string_to_array(list, ', ');
COMMENT ON FUNCTION @extschema@._model_access_key_array(text) IS
    'Internal. Gives the keys of a list in its usual form, which _model_access_keys returns.';

CREATE FUNCTION @extschema@._model_access_setting_value(unit text, value text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = 'postgres' AS $$
BEGIN
    CASE unit
    WHEN 'on or off' THEN
        RETURN CASE WHEN value::boolean THEN 'on' ELSE 'off' END;
    WHEN 'factor or off' THEN
        RETURN CASE WHEN lower(value) = 'off' THEN 'off'
                    WHEN value::numeric BETWEEN 1 AND 1000000 THEN value::numeric::text END;
    WHEN 'percent' THEN
        RETURN CASE WHEN value::numeric BETWEEN 0 AND 100 THEN value::numeric::text END;
    WHEN 'interval' THEN
        RETURN CASE WHEN value::interval BETWEEN '0' AND '100 years' THEN value::interval::text END;
    WHEN 'list of keys' THEN
        RETURN @extschema@._model_access_keys(value);
    ELSE
        RAISE EXCEPTION 'no rule for unit "%"', unit
            USING ERRCODE = 'internal_error', HINT = 'Add a branch for this unit to _model_access_setting_value.';
    END CASE;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_setting_value(text, text) IS
    'Internal. Gives the value of a setting in the usual form of its unit; NULL if the value is not valid.';

CREATE FUNCTION @extschema@.model_access_set(name text, value text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    setting record;
    usual   text;
BEGIN
    SELECT * INTO setting FROM @extschema@.model_access_settings AS s WHERE s.name = model_access_set.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unrecognized setting "%"', name
            USING ERRCODE = 'undefined_object', HINT = 'Look up the names in the view model_access_settings.';
    END IF;
    IF value IS NULL THEN
        DELETE FROM @extschema@.model_access_setting AS s WHERE s.name = setting.name;
        RETURN setting."default";
    END IF;
    usual := @extschema@._model_access_setting_value(setting.unit, value);
    IF usual IS NULL THEN
        RAISE EXCEPTION 'invalid value for setting "%": "%"', name, value
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = format('The unit of this setting is: %s.', setting.unit) || CASE setting.unit WHEN 'list of keys'
                      THEN ' A list has at most 50 names of at most 100 bytes, separated by commas,'
                          || ' and none of id, name, pricing, alias_target and architecture.' ELSE '' END,
                  HINT = format('Use NULL to set the default, %s.', quote_literal(setting."default"));
    END IF;
    INSERT INTO @extschema@.model_access_setting AS s VALUES (setting.name, usual)
    ON CONFLICT ON CONSTRAINT model_access_setting_pkey DO UPDATE SET value = usual WHERE s.value <> usual;
    RETURN usual;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_set(text, text) IS
    'Changes a setting and returns its new value; NULL sets the default.';
