-- Settings that decide access or write rows. Only what was changed is stored, so that a restore meets no seed rows.

CREATE TABLE @extschema@.model_access_setting (
    name  text PRIMARY KEY,
    value text NOT NULL
);
COMMENT ON TABLE @extschema@.model_access_setting IS 'Settings that differ from their default; written by model_access_set.';
COMMENT ON COLUMN @extschema@.model_access_setting.name IS 'Name of the setting.';
COMMENT ON COLUMN @extschema@.model_access_setting.value IS 'Its value, as text.';

CREATE VIEW @extschema@.model_access_settings AS
SELECT d.name, coalesce(s.value, d."default") AS value, d."default", d.unit, d.meaning
FROM (VALUES
    ('max_removal_percent', '20', 'percent', 'share of the active models that syncs may take from users within 24 hours, and of other listed ones that one may mark as missing'),
    ('return_window', '7 days', 'interval', 'how long a vanished model''s status and tiers wait for its return'),
    ('free_guard', 'on', 'on or off', 'a model that stops being free leaves the free tier'),
    ('price_guard', 'off', 'factor or off', 'an active model goes back to review above this times its reviewed price'),
    ('price_alert', '2', 'factor or off', 'a price above this times the reviewed one is shown for review, and is not restored on return'),
    ('expiry_notice', '30 days', 'interval', 'how long before it expires a model is shown for review'),
    ('log_retention', '90 days', 'interval', 'how long rows of the run log are kept; those of whole lists at least for return_window and four days'),
    ('sync_interval', '1 day', 'interval', 'how often a sync is due; health alarms when the last success is older, with 90 minutes to spare'),
    ('ignored_keys', 'benchmarks', 'list of keys', 'keys of an entry that upstream fills with measurements: neither kept nor compared')
) AS d(name, "default", unit, meaning)
LEFT JOIN @extschema@.model_access_setting AS s USING (name);
COMMENT ON VIEW @extschema@.model_access_settings IS 'Every setting with its value in force, default, unit and meaning; change one with model_access_set.';
COMMENT ON COLUMN @extschema@.model_access_settings.name IS 'Name of the setting.';
COMMENT ON COLUMN @extschema@.model_access_settings.value IS 'The value in force.';
COMMENT ON COLUMN @extschema@.model_access_settings."default" IS 'The value unless changed.';
COMMENT ON COLUMN @extschema@.model_access_settings.unit IS 'What a value looks like.';
COMMENT ON COLUMN @extschema@.model_access_settings.meaning IS 'What the setting decides.';

CREATE FUNCTION @extschema@._model_access_keys(list text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN btrim(list, E' \t\r\n') = '' THEN ''
        -- these decide: who a model is, what it costs, which model an alias stands for, and what is a router
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
COMMENT ON FUNCTION @extschema@._model_access_keys(text) IS 'Internal. A list of keys in its usual form, each once, separated by a comma and a blank; NULL where it is none: an empty name, one of more than 100 bytes, more than 50 names, or a name that decides.';

CREATE FUNCTION @extschema@._model_access_setting_value(unit text, value text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET intervalstyle = 'postgres' AS $$
BEGIN
    RETURN CASE
        WHEN unit = 'on or off' THEN CASE WHEN value::boolean THEN 'on' ELSE 'off' END
        WHEN unit = 'factor or off' AND lower(value) = 'off' THEN 'off'
        WHEN unit = 'factor or off' AND value::numeric BETWEEN 1 AND 1000000 THEN value::numeric::text
        WHEN unit = 'percent' AND value::numeric BETWEEN 0 AND 100 THEN value::numeric::text
        WHEN unit = 'interval' AND value::interval BETWEEN '0' AND '100 years' THEN value::interval::text
        WHEN unit = 'list of keys' THEN @extschema@._model_access_keys(value)
    END;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_setting_value(text, text) IS 'Internal. A setting''s value in its usual form; NULL where it is not a value of that unit.';

CREATE FUNCTION @extschema@.model_access_set(name text, value text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    setting record;
    usual   text;
BEGIN
    SELECT * INTO setting FROM @extschema@.model_access_settings AS s WHERE s.name = model_access_set.name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unrecognized setting "%"', name
            USING ERRCODE = 'undefined_object', HINT = 'The view model_access_settings lists them.';
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
                      THEN ' At most 50 names, separated by commas; not id, name, pricing, alias_target and architecture,'
                          || ' which decide.' ELSE '' END,
                  HINT = format('The default is %s; NULL sets it.', quote_literal(setting."default"));
    END IF;
    INSERT INTO @extschema@.model_access_setting AS s VALUES (setting.name, usual)
    ON CONFLICT ON CONSTRAINT model_access_setting_pkey DO UPDATE SET value = usual WHERE s.value <> usual;
    RETURN usual;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_set(text, text) IS 'Changes a setting and returns its value; NULL sets the default. Errors: 42704 for an unknown name, 22023 for a bad value. Owner only.';
