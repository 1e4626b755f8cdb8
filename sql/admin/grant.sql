-- Defines what each role may do. Only the owner has rights until model_access_grant gives rights to other roles.

CREATE TABLE @extschema@.model_access_granted (
    role      name,
    rights    text,
    role_id   oid NOT NULL,
    table_id  oid NOT NULL,
    system_id bigint NOT NULL,
    PRIMARY KEY (role, rights)
);
COMMENT ON TABLE @extschema@.model_access_granted IS 'The rights that model_access_grant gave to each role.';
COMMENT ON COLUMN @extschema@.model_access_granted.role IS 'The name of the role; the role does not need to exist.';
COMMENT ON COLUMN @extschema@.model_access_granted.rights IS 'The rights: user, reader, viewer, admin or job.';
COMMENT ON COLUMN @extschema@.model_access_granted.role_id IS 'The oid of the role when the rights were granted.';
COMMENT ON COLUMN @extschema@.model_access_granted.table_id IS
    'The oid of the table model_access when the rights were granted.';
COMMENT ON COLUMN @extschema@.model_access_granted.system_id IS
    'The identifier of the database cluster when the rights were granted.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_granted
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_granted IS 'Lets only the owner record granted rights.';

CREATE FUNCTION @extschema@._model_access_system() RETURNS bigint
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT c.system_identifier FROM pg_control_system() AS c;
END;
COMMENT ON FUNCTION @extschema@._model_access_system() IS 'Internal. Gives the identifier of the database cluster.';

CREATE VIEW @extschema@._model_access_grantee AS
SELECT r.oid AS role_id, r.rolname AS role, g.rights, g.is_here
FROM (
    SELECT g.*, g.table_id = '@extschema@.model_access'::regclass::oid AND g.system_id = s.id AS is_here
    FROM @extschema@.model_access_granted AS g CROSS JOIN @extschema@._model_access_system() AS s(id)) AS g
-- a restore gives the table another oid, or is in another cluster; only then is the role found by its name
JOIN pg_roles AS r ON CASE WHEN g.is_here THEN r.oid = g.role_id ELSE r.rolname = g.role END;
COMMENT ON VIEW @extschema@._model_access_grantee IS 'Internal. The roles of model_access_granted that exist.';

CREATE VIEW @extschema@._model_access_call AS
SELECT DISTINCT CASE WHEN v.oid IS NULL THEN 'pg_proc'::regclass ELSE 'pg_class'::regclass END AS caller_class,
    coalesce(v.ev_class, d.objid) AS caller, d.refclassid::regclass AS callee_class, d.refobjid AS callee
FROM pg_depend AS d LEFT JOIN pg_rewrite AS v ON v.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
LEFT JOIN pg_proc AS p ON p.oid = d.objid AND d.classid = 'pg_proc'::regclass
JOIN @extschema@._model_access_member AS m ON m.class = d.refclassid AND m.id = d.refobjid
WHERE d.deptype = 'n' AND (v.oid IS NOT NULL AND v.rulename = '_RETURN' OR NOT p.prosecdef);
COMMENT ON VIEW @extschema@._model_access_call IS
    'Internal. Lists what views and SECURITY INVOKER functions use, from pg_depend, which does not record what PL/pgSQL uses.';

CREATE VIEW @extschema@._model_access_right AS
WITH RECURSIVE listed AS (
    SELECT r.rights, r.kind, '@extschema@.' || r.name AS name, r.privilege, r.columns, i.id FROM (VALUES
        ('user',   'ROUTINE',  'models_for_me()', 'EXECUTE', NULL::name[]),
        ('reader', 'ROUTINE',  'models_for_tier(text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_allowed(text,text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_explain(text,text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'models_for_user(text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_entries_for_user(text,text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_allowed_for_user(text,text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_explain_for_user(text,text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_user(text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_enforce()', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_version()', 'EXECUTE', NULL),
        ('reader', 'TABLE',    '_model_access_active', 'SELECT', NULL),
        ('reader', 'TABLE',    'model_access_visible', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_review', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_history', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_price_history', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_changes', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_sync_log', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_settings', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_rule', 'SELECT', NULL),
        ('viewer', 'TABLE',    'model_access_override', 'SELECT', NULL),
        ('viewer', 'ROUTINE',  'models_for_tier_as_of(text,timestamptz)', 'EXECUTE', NULL),
        ('viewer', 'ROUTINE',  'model_access_health()', 'EXECUTE', NULL),
        ('viewer', 'ROUTINE',  'model_access_export_decisions(boolean,boolean)', 'EXECUTE', NULL),
        ('viewer', 'ROUTINE',  'model_access_import_decisions(text,boolean)', 'EXECUTE', NULL),
        ('viewer', 'ROUTINE',  '_model_access_compare_document(text)', 'EXECUTE', NULL),
        ('admin',  'TABLE',    'model_access', 'UPDATE', @extschema@._model_access_decided_columns()::name[]),
        ('admin',  'TABLE',    'model_access_action', 'INSERT', '{action,arguments}'),
        ('admin',  'TABLE',    'model_access_action', 'SELECT', '{result}'),
        ('admin',  'ROUTINE',  '_model_access_ask(text,jsonb)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_limit_locks()', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_not_locked(oid[],oid[],text,text)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_lock_holders(oid[],oid[])', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  'model_access_accept(text[])', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  'model_access_confirm(text[])', 'EXECUTE', NULL),
        ('admin',  'TABLE',    '_model_access_undo_subject', 'SELECT', NULL),
        ('admin',  'ROUTINE',  'model_access_undo(timestamptz,boolean,text[],text,bigint[],boolean,boolean)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_undo(timestamptz,boolean,text[],text,bigint[],boolean,boolean)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_undo_check(timestamptz,boolean,text[],bigint[],boolean,boolean)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_undo_steps(timestamptz,text[],text,bigint[],boolean,boolean)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_undo_models(jsonb)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_undo_others(jsonb)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_check_ids(text[],text[],text,text)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  'model_access_preview(text,integer)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  '_model_access_preview_fetched(integer)', 'EXECUTE', NULL),
        ('admin',  'ROUTINE',  'model_access_sync(integer)', 'EXECUTE', NULL),
        ('admin',  'TABLE',    'model_access_rule', 'INSERT', NULL),
        ('admin',  'TABLE',    'model_access_rule', 'UPDATE', NULL),
        ('admin',  'TABLE',    'model_access_rule', 'DELETE', NULL),
        ('admin',  'TABLE',    'model_access_override', 'DELETE', NULL),
        ('admin',  'TABLE',    'model_access_override', 'INSERT',
            '{user_id,model_id,allowed,expires_at,note,provider,starts_at}'),
        ('admin',  'TABLE',    'model_access_override', 'UPDATE',
            '{user_id,model_id,allowed,expires_at,note,provider,starts_at}'),
        ('admin',  'SEQUENCE', 'model_access_override_override_id_seq', 'USAGE', NULL),
        ('job',    'ROUTINE',  'model_access_sync_job()', 'EXECUTE', NULL),
        ('job',    'ROUTINE',  '_model_access_sync_as_job()', 'EXECUTE', NULL),
        ('job',    'ROUTINE',  '_model_access_prune()', 'EXECUTE', NULL),
        ('job',    'ROUTINE',  '_model_access_bad(@extschema@.model_access_sync_log)', 'EXECUTE', NULL)
    ) AS r(rights, kind, name, privilege, columns)
    CROSS JOIN LATERAL (SELECT CASE r.kind
        WHEN 'ROUTINE' THEN to_regprocedure('@extschema@.' || r.name)::oid
        ELSE to_regclass('@extschema@.' || r.name)::oid
    END) AS i(id)
    -- some functions do not exist without the library
    WHERE i.id IS NOT NULL),
-- a view reads its tables with the rights of its owner, but calls functions with the rights of the role that reads it
used AS (
    SELECT l.rights, CASE l.kind WHEN 'ROUTINE' THEN 'pg_proc'::regclass ELSE 'pg_class'::regclass END AS class, l.id
    FROM listed AS l WHERE l.privilege IN ('EXECUTE', 'SELECT')
    UNION
    -- a function that is listed belongs only to the rights that list it, even if a function of other rights calls it
    SELECT u.rights, c.callee_class, c.callee FROM used AS u
    JOIN @extschema@._model_access_call AS c ON c.caller_class = u.class AND c.caller = u.id
    WHERE NOT EXISTS (
        SELECT FROM listed AS l WHERE l.kind = 'ROUTINE' AND c.callee_class = 'pg_proc'::regclass AND l.id = c.callee))
SELECT l.* FROM listed AS l
UNION ALL
SELECT u.rights, 'ROUTINE', u.id::regprocedure::text, 'EXECUTE', NULL, u.id FROM used AS u
WHERE u.class = 'pg_proc'::regclass AND NOT EXISTS (SELECT FROM listed AS l WHERE l.kind = 'ROUTINE' AND l.id = u.id);
COMMENT ON VIEW @extschema@._model_access_right IS
    'Internal. The privileges that belong to each of the rights: those listed here, and EXECUTE on what these call.';

CREATE FUNCTION @extschema@._model_access_included(rights text) RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN CASE rights
    WHEN 'admin' THEN '{reader,viewer,admin}'::text[]
    WHEN 'viewer' THEN '{reader,viewer}'::text[]
    ELSE ARRAY[rights]
END;
COMMENT ON FUNCTION @extschema@._model_access_included(text) IS 'Internal. Gives these rights and those that they include.';

CREATE FUNCTION @extschema@._model_access_check_role(role regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF role IS NULL THEN
        RAISE EXCEPTION 'role must not be null'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name an existing role, such as ''app''::regrole.';
    ELSIF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = role) THEN
        RAISE EXCEPTION 'role with OID % does not exist', role::oid
            USING ERRCODE = 'undefined_object', HINT = 'Name an existing role, such as ''app''::regrole.';
    ELSIF role = (SELECT c.relowner FROM pg_class AS c WHERE c.oid = '@extschema@.model_access'::regclass) THEN
        RAISE EXCEPTION 'role % owns model_access', role
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The owner has all rights. Name another role.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_role(regrole) IS
    'Internal. Raises error 22004 for NULL, 42704 for a role that does not exist, 22023 for the owner of model_access.';

CREATE FUNCTION @extschema@._model_access_give(role regrole, rights text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item record;
BEGIN
    IF NOT has_schema_privilege(role, '@extschema@'::regnamespace, 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO %s', '@extschema@', role);
    END IF;
    -- a GRANT without the right to grant raises only a warning
    IF NOT has_schema_privilege(role, '@extschema@'::regnamespace, 'USAGE') THEN
        RAISE EXCEPTION 'role % has no USAGE on schema %', role, '@extschema@'
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('The owner of the schema must run: GRANT USAGE ON SCHEMA %s TO %s', '@extschema@', role);
    END IF;
    FOR item IN
        SELECT * FROM @extschema@._model_access_right AS r
        WHERE r.rights = ANY (@extschema@._model_access_included(_model_access_give.rights))
    LOOP
        EXECUTE format('GRANT %s ON %s %s TO %s',
            item.privilege || coalesce(' (' || array_to_string(item.columns, ', ') || ')', ''), item.kind, item.name, role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_give(regrole, text) IS 'Internal. Grants the privileges that belong to the rights.';

CREATE FUNCTION @extschema@.model_access_grant(role regrole, rights text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF rights NOT IN ('user', 'reader', 'viewer', 'admin', 'job') OR rights IS NULL THEN
        RAISE EXCEPTION 'unknown rights "%"', rights
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The rights are user, reader, viewer, admin and job.';
    END IF;
    PERFORM @extschema@._model_access_check_role(role);
    IF rights = 'job' AND to_regprocedure('@extschema@.model_access_sync_job()') IS NULL THEN
        RAISE EXCEPTION 'cannot grant rights "job" without the library'
            USING ERRCODE = 'feature_not_supported', DETAIL = 'The job is a procedure of the library.',
                  HINT = 'Run model-access push as a member of the role that owns model_access.';
    END IF;
    PERFORM @extschema@._model_access_give(role, rights);
    INSERT INTO @extschema@.model_access_granted AS g (role, rights, role_id, table_id, system_id)
    SELECT r.rolname, model_access_grant.rights, r.oid, '@extschema@.model_access'::regclass, @extschema@._model_access_system()
    FROM pg_roles AS r WHERE r.oid = model_access_grant.role
    ON CONFLICT ON CONSTRAINT model_access_granted_pkey DO UPDATE
    SET role_id = excluded.role_id, table_id = excluded.table_id, system_id = excluded.system_id;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_grant(regrole, text) IS
    'Gives a role the rights user, reader, viewer, admin or job, in addition to those that it has, and USAGE on the schema.';
