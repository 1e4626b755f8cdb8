-- Who may do what. Nobody but the owner holds anything until model_access_grant says so.

CREATE TABLE @extschema@.model_access_granted (
    role     name,
    rights   text,
    role_id  oid NOT NULL,
    table_id oid NOT NULL,
    PRIMARY KEY (role, rights)
);
COMMENT ON TABLE @extschema@.model_access_granted IS 'What model_access_grant gave; health compares it with what roles hold, and model_access_repair_privileges puts it back.';
COMMENT ON COLUMN @extschema@.model_access_granted.role IS 'The role, by name: a dump may be restored before its roles exist.';
COMMENT ON COLUMN @extschema@.model_access_granted.rights IS 'user, reader, viewer, admin or job.';
COMMENT ON COLUMN @extschema@.model_access_granted.role_id IS 'Its pg_authid.oid: another role that takes over the name does not take over the rights.';
COMMENT ON COLUMN @extschema@.model_access_granted.table_id IS 'The table model_access as it was then. After a restore that is another number; then the name tells the role.';
CREATE TRIGGER model_access_owner BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON @extschema@.model_access_granted
    FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._model_access_owner_writes();
COMMENT ON TRIGGER model_access_owner ON @extschema@.model_access_granted IS 'Only the owner grants.';

CREATE VIEW @extschema@._model_access_grantee AS
SELECT r.oid AS role_id, r.rolname AS role, g.rights FROM @extschema@.model_access_granted AS g
JOIN pg_roles AS r ON CASE WHEN g.table_id = '@extschema@.model_access'::regclass::oid THEN r.oid = g.role_id ELSE r.rolname = g.role END;
COMMENT ON VIEW @extschema@._model_access_grantee IS 'Internal. The roles of model_access_granted that exist.';

CREATE VIEW @extschema@._model_access_call AS
SELECT DISTINCT coalesce(v.ev_class, d.objid) AS caller, d.refobjid AS callee, d.refclassid = 'pg_proc'::regclass AS is_routine
FROM pg_depend AS d LEFT JOIN pg_rewrite AS v ON v.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
LEFT JOIN pg_proc AS p ON p.oid = d.objid AND d.classid = 'pg_proc'::regclass
JOIN @extschema@._model_access_member AS m ON m.class = d.refclassid AND m.id = d.refobjid
WHERE d.deptype = 'n' AND (v.oid IS NOT NULL AND v.rulename = '_RETURN' OR NOT p.prosecdef);
COMMENT ON VIEW @extschema@._model_access_call IS
    'Internal. What views, and functions with the rights of their caller, use; PostgreSQL does not know what PL/pgSQL uses.';

CREATE VIEW @extschema@._model_access_right AS
WITH RECURSIVE listed AS (
    SELECT r.rights, r.kind, '@extschema@.' || r.name AS name, r.privilege, r.columns, i.id FROM (VALUES
        ('user',   'ROUTINE',  'models_for_me()', 'EXECUTE', NULL::name[]),
        ('reader', 'ROUTINE',  'models_for_tier(text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_allowed(text,text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_explain(text,text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'models_for_user(text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_allowed_for_user(text,text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_explain_for_user(text,text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_user(text)', 'EXECUTE', NULL),
        ('reader', 'ROUTINE',  'model_access_enforce()', 'EXECUTE', NULL),
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
        ('admin',  'TABLE',    'model_access', 'UPDATE', @extschema@._model_access_decided_columns()::name[]),
        ('admin',  'TABLE',    'model_access_action', 'INSERT', '{action,arguments}'),
        ('admin',  'TABLE',    'model_access_action', 'SELECT', '{result}'),
        ('admin',  'ROUTINE',  '_model_access_ask(text,jsonb)', 'EXECUTE', NULL),
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
        ('admin',  'TABLE',    'model_access_override', 'INSERT', '{user_id,model_id,allowed,expires_at,note,provider,starts_at}'),
        ('admin',  'TABLE',    'model_access_override', 'UPDATE', '{user_id,model_id,allowed,expires_at,note,provider,starts_at}'),
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
    -- an install without the library has fewer
    WHERE i.id IS NOT NULL),
-- a view reads its tables as its owner, but calls functions as whoever reads it
used AS (
    SELECT l.rights, l.id, false AS is_routine FROM listed AS l WHERE l.privilege IN ('EXECUTE', 'SELECT')
    UNION
    -- what is listed belongs to the rights that list it, also where a function of others names it
    SELECT u.rights, c.callee, c.is_routine FROM used AS u JOIN @extschema@._model_access_call AS c ON c.caller = u.id
    WHERE c.callee NOT IN (SELECT l.id FROM listed AS l WHERE l.kind = 'ROUTINE'))
SELECT l.* FROM listed AS l
UNION ALL
SELECT u.rights, 'ROUTINE', u.id::regprocedure::text, 'EXECUTE', NULL, u.id FROM used AS u WHERE u.is_routine;
COMMENT ON VIEW @extschema@._model_access_right IS
    'Internal. Which rights give which privilege on what: what is listed here, and the functions that it calls.';

CREATE FUNCTION @extschema@._model_access_included(rights text) RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN CASE rights WHEN 'admin' THEN '{reader,viewer,admin}'::text[] WHEN 'viewer' THEN '{reader,viewer}'::text[] ELSE ARRAY[rights] END;
COMMENT ON FUNCTION @extschema@._model_access_included(text) IS 'Internal. Rights with those that they include.';

CREATE FUNCTION @extschema@._model_access_check_role(role regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.oid = role) THEN
        RAISE EXCEPTION 'role must be given'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name an existing role, as in ''app''::regrole.';
    ELSIF role = (SELECT c.relowner FROM pg_class AS c WHERE c.oid = '@extschema@.model_access'::regclass) THEN
        RAISE EXCEPTION 'role % owns model_access', role
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The owner holds every right; name another role.';
    END IF;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_check_role(regrole) IS 'Internal. Error 22023 where there is no such role, none was given, or it is the owner.';

CREATE FUNCTION @extschema@._model_access_give(role regrole, rights text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item record;
BEGIN
    IF NOT has_schema_privilege(role, '@extschema@'::regnamespace, 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO %s', '@extschema@', role);
    END IF;
    -- a GRANT by someone who may not is only a warning
    IF NOT has_schema_privilege(role, '@extschema@'::regnamespace, 'USAGE') THEN
        RAISE EXCEPTION 'role % has no USAGE on schema %', role, '@extschema@'
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('The owner of the schema must run: GRANT USAGE ON SCHEMA %s TO %s', '@extschema@', role);
    END IF;
    FOR item IN SELECT * FROM @extschema@._model_access_right AS r WHERE r.rights = ANY (@extschema@._model_access_included(_model_access_give.rights)) LOOP
        EXECUTE format('GRANT %s ON %s %s TO %s', item.privilege || coalesce(' (' || array_to_string(item.columns, ', ') || ')', ''),
            item.kind, item.name, role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@._model_access_give(regrole, text) IS 'Internal. Grants what belongs to rights.';

CREATE FUNCTION @extschema@.model_access_grant(role regrole, rights text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF rights NOT IN ('user', 'reader', 'viewer', 'admin', 'job') OR rights IS NULL THEN
        RAISE EXCEPTION 'unknown rights "%"', rights
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The rights are user, reader, viewer, admin and job.';
    END IF;
    PERFORM @extschema@._model_access_check_role(role);
    IF rights = 'job' AND to_regprocedure('@extschema@.model_access_sync_job()') IS NULL THEN
        RAISE EXCEPTION 'there is no job to run where the library is not installed'
            USING ERRCODE = 'feature_not_supported', HINT = 'Let a member of the owning role run model-access push.';
    END IF;
    PERFORM @extschema@._model_access_give(role, rights);
    INSERT INTO @extschema@.model_access_granted AS g (role, rights, role_id, table_id)
    SELECT r.rolname, model_access_grant.rights, r.oid, '@extschema@.model_access'::regclass FROM pg_roles AS r WHERE r.oid = model_access_grant.role
    ON CONFLICT ON CONSTRAINT model_access_granted_pkey DO UPDATE SET role_id = excluded.role_id, table_id = excluded.table_id;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_grant(regrole, text) IS 'Adds rights to those a role has: user (models_for_me only), reader (listing, checking, explaining), viewer (reader, and everything to read), admin (viewer, and deciding, sync) or job (the nightly job only), with USAGE on the schema. Owner only. Error 22023 for unknown rights.';
