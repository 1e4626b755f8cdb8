-- Who may do what. Nobody but the owner holds anything until model_access_grant says so.

CREATE VIEW @extschema@._model_access_object AS
SELECT o.kind, '@extschema@.' || o.name AS name, i.id, o.rights, o.privilege FROM (VALUES
        ('ROUTINE', 'models_for_tier(text)', 'reader', 'EXECUTE'),
        ('ROUTINE', 'model_allowed(text,text)', 'reader', 'EXECUTE'),
        ('ROUTINE', 'model_access_explain(text,text)', 'reader', 'EXECUTE'),
        ('ROUTINE', 'models_for_user(text)', 'reader', 'EXECUTE'),
        ('ROUTINE', 'model_allowed_for_user(text,text)', 'reader', 'EXECUTE'),
        ('ROUTINE', 'model_access_explain_for_user(text,text)', 'reader', 'EXECUTE'),
        ('ROUTINE', 'model_access_user(text)', 'reader', 'EXECUTE'),
        ('ROUTINE', 'model_access_enforce()', 'reader', 'EXECUTE'),
        ('ROUTINE', 'models_for_me()', 'user', 'EXECUTE'),
        ('ROUTINE', '_model_access_tier(text)', 'reader', 'EXECUTE'),
        ('ROUTINE', '_model_access_in_tier(text,boolean,boolean,boolean)', 'reader', 'EXECUTE'),
        ('TABLE', '_model_access_active', 'reader', 'SELECT'),
        ('TABLE', 'model_access_visible', 'reader', 'SELECT'),
        ('TABLE', 'model_access', 'admin', 'SELECT, UPDATE (status, is_free, is_pro, is_enterprise, note)'),
        ('TABLE', 'model_access_sync_log', 'admin', 'SELECT'),
        ('TABLE', 'model_access_settings', 'admin', 'SELECT'),
        ('TABLE', 'model_access_history', 'admin', 'SELECT'),
        ('TABLE', 'model_access_review', 'admin', 'SELECT'),
        ('TABLE', 'model_access_rule', 'admin', 'SELECT, INSERT, UPDATE, DELETE'),
        ('TABLE', 'model_access_override', 'admin', 'SELECT, DELETE, INSERT (user_id, model_id, allowed, expires_at, note, provider, starts_at), UPDATE (user_id, model_id, allowed, expires_at, note, provider, starts_at)'),
        ('SEQUENCE', 'model_access_override_override_id_seq', 'admin', 'USAGE'),
        ('ROUTINE', 'model_access_accept(text[])', 'admin', 'EXECUTE'),
        ('ROUTINE', 'model_access_confirm(text[])', 'admin', 'EXECUTE'),
        ('ROUTINE', 'model_access_undo(timestamptz,boolean,text[])', 'admin', 'EXECUTE'),
        ('ROUTINE', 'model_access_preview(text,integer)', 'admin', 'EXECUTE'),
        ('ROUTINE', 'model_access_health()', 'admin', 'EXECUTE'),
        ('TABLE', 'model_access_price_history', 'admin', 'SELECT'),
        ('ROUTINE', 'models_for_tier_as_of(text,timestamptz)', 'admin', 'EXECUTE'),
        ('ROUTINE', 'model_access_sync(integer)', 'admin', 'EXECUTE'),
        ('ROUTINE', 'model_access_sync(integer)', 'job', 'EXECUTE'),
        ('ROUTINE', 'model_access_sync_job()', 'job', 'EXECUTE'),
        ('ROUTINE', '_model_access_prune()', 'job', 'EXECUTE'),
        ('ROUTINE', '_model_access_bad(@extschema@.model_access_sync_log)', 'job', 'EXECUTE'),
        ('ROUTINE', 'model_access_load(text,integer)', 'owner', NULL),
        ('ROUTINE', 'model_access_apply(jsonb)', 'owner', NULL),
        ('ROUTINE', 'model_access_set(text,text)', 'owner', NULL),
        ('ROUTINE', 'model_access_grant(regrole,text)', 'owner', NULL),
        ('ROUTINE', 'model_access_revoke(regrole)', 'owner', NULL),
        ('ROUTINE', 'model_access_schedule(text,regrole)', 'owner', NULL),
        ('ROUTINE', 'model_access_unschedule()', 'owner', NULL),
        ('ROUTINE', 'model_access_bind_profiles(regclass,name,name)', 'owner', NULL),
        ('ROUTINE', 'model_access_unbind_profiles()', 'owner', NULL),
        ('TABLE', 'model_access_binding', 'owner', NULL),
        ('TABLE', 'model_access_setting', 'owner', NULL),
        ('SEQUENCE', 'model_access_sync_log_run_id_seq', 'owner', NULL),
        ('SEQUENCE', 'model_access_history_history_id_seq', 'owner', NULL),
        ('ROUTINE', 'model_access_import_allowed_models(regclass,name,name,name,timestamptz,boolean)', 'owner', NULL),
        ('ROUTINE', 'model_access_restore_allowed_models(regclass,boolean,text[])', 'owner', NULL),
        ('ROUTINE', 'model_access_retire_allowed_models(regclass,name,text[],boolean)', 'owner', NULL),
        ('TABLE', 'model_access_retired', 'owner', NULL),
        ('TABLE', 'model_access_retired_value', 'owner', NULL),
        ('SEQUENCE', 'model_access_retired_retired_id_seq', 'owner', NULL),
        ('ROUTINE', '_model_access_actor()', 'owner', NULL),
        ('ROUTINE', '_model_access_announce()', 'owner', NULL),
        ('ROUTINE', '_model_access_announce_always()', 'owner', NULL),
        ('ROUTINE', '_model_access_as_of(timestamptz)', 'owner', NULL),
        ('ROUTINE', '_model_access_ask_profile(text)', 'owner', NULL),
        ('ROUTINE', '_model_access_ask_tiers()', 'owner', NULL),
        ('ROUTINE', '_model_access_begin(integer)', 'owner', NULL),
        ('ROUTINE', '_model_access_changed_since(jsonb,text[])', 'owner', NULL),
        ('ROUTINE', '_model_access_check_function(regprocedure)', 'owner', NULL),
        ('ROUTINE', '_model_access_check_ids(text[],text[],text,text)', 'owner', NULL),
        ('ROUTINE', '_model_access_check_isolation()', 'owner', NULL),
        ('ROUTINE', '_model_access_check_mark(regclass,name,text[],text)', 'owner', NULL),
        ('ROUTINE', '_model_access_check_override()', 'owner', NULL),
        ('ROUTINE', '_model_access_check_profiles(regclass,name,name)', 'owner', NULL),
        ('ROUTINE', '_model_access_check_retire(regclass,name)', 'owner', NULL),
        ('ROUTINE', '_model_access_check_role(regrole)', 'owner', NULL),
        ('ROUTINE', '_model_access_check_rule()', 'owner', NULL),
        ('ROUTINE', '_model_access_code(text,boolean,boolean)', 'owner', NULL),
        ('ROUTINE', '_model_access_column_parts(oid,name)', 'owner', NULL),
        ('ROUTINE', '_model_access_column_type(regclass,name)', 'owner', NULL),
        ('ROUTINE', '_model_access_comment_length(text)', 'owner', NULL),
        ('ROUTINE', '_model_access_comment_out(text)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl(oid,oid,integer)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_archive(oid,name,jsonb)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_as(text,text)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_column(oid,name)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_comment(text,oid,oid,integer)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_constraint(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_drop_column(oid,name)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_forced(oid,text)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_function(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_grants(text,name,oid,aclitem[])', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_index(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_index_settings(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_key(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_needs_you(text,text,text,text)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_now(text)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_policy(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_prepare(oid,name)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_publication(oid,name)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_rule(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_statistics(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_trigger(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_triggers_back(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_triggers_off(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_values(oid,oid,@extschema@.model_access_retired)', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_view(oid,text,text[])', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_view_columns(oid,text[])', 'owner', NULL),
        ('ROUTINE', '_model_access_ddl_view_parts(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_decide()', 'owner', NULL),
        ('ROUTINE', '_model_access_dependents(oid,name)', 'owner', NULL),
        ('ROUTINE', '_model_access_depend_on_extension(regclass)', 'owner', NULL),
        ('ROUTINE', '_model_access_fetch()', 'owner', NULL),
        ('ROUTINE', '_model_access_fillers(oid,name)', 'owner', NULL),
        ('ROUTINE', '_model_access_for(text,text)', 'owner', NULL),
        ('ROUTINE', '_model_access_had(regclass,name,name,name)', 'owner', NULL),
        ('ROUTINE', '_model_access_health_of_profiles()', 'owner', NULL),
        ('ROUTINE', '_model_access_health_of_runs()', 'owner', NULL),
        ('ROUTINE', '_model_access_is_bound(text)', 'owner', NULL),
        ('ROUTINE', '_model_access_is_fixed(oid,oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_is_free(jsonb)', 'owner', NULL),
        ('ROUTINE', '_model_access_is_part(oid,oid,integer)', 'owner', NULL),
        ('ROUTINE', '_model_access_job()', 'owner', NULL),
        ('ROUTINE', '_model_access_key_columns(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_key_kind(regtype)', 'owner', NULL),
        ('ROUTINE', '_model_access_lock()', 'owner', NULL),
        ('ROUTINE', '_model_access_locked(text,text)', 'owner', NULL),
        ('ROUTINE', '_model_access_mark(oid,name,jsonb)', 'owner', NULL),
        ('ROUTINE', '_model_access_me()', 'owner', NULL),
        ('ROUTINE', '_model_access_mentioning(text,text)', 'owner', NULL),
        ('ROUTINE', '_model_access_mentions(text,text,text)', 'owner', NULL),
        ('ROUTINE', '_model_access_names(text)', 'owner', NULL),
        ('ROUTINE', '_model_access_notify()', 'owner', NULL),
        ('TABLE', '_model_access_object', 'owner', NULL),
        ('ROUTINE', '_model_access_only_fills(oid,name)', 'owner', NULL),
        ('ROUTINE', '_model_access_only_of(oid,oid,text,text[])', 'owner', NULL),
        ('ROUTINE', '_model_access_only_reads(oid,integer)', 'owner', NULL),
        ('TABLE', '_model_access_override_in_force', 'owner', NULL),
        ('ROUTINE', '_model_access_plan(bytea,text,integer)', 'owner', NULL),
        ('ROUTINE', '_model_access_plan_now(bytea,integer)', 'owner', NULL),
        ('ROUTINE', '_model_access_preview(jsonb)', 'owner', NULL),
        ('ROUTINE', '_model_access_profile_ddl(regclass,name,name)', 'owner', NULL),
        ('TABLE', '_model_access_proposal', 'owner', NULL),
        ('ROUTINE', '_model_access_reason(text,text)', 'owner', NULL),
        ('ROUTINE', '_model_access_record()', 'owner', NULL),
        ('ROUTINE', '_model_access_record_override()', 'owner', NULL),
        ('ROUTINE', '_model_access_refs(oid,oid,integer)', 'owner', NULL),
        ('ROUTINE', '_model_access_require_pg_cron(text)', 'owner', NULL),
        ('ROUTINE', '_model_access_respell_overrides()', 'owner', NULL),
        ('ROUTINE', '_model_access_restore_plan(oid,@extschema@.model_access_retired)', 'owner', NULL),
        ('ROUTINE', '_model_access_retire_bodies(oid,name,text[],oid[],jsonb)', 'owner', NULL),
        ('ROUTINE', '_model_access_retire_objects(oid,name,text[])', 'owner', NULL),
        ('ROUTINE', '_model_access_retire_plan(oid,name,text[])', 'owner', NULL),
        ('ROUTINE', '_model_access_revoke_all(text)', 'owner', NULL),
        ('ROUTINE', '_model_access_rewrite_view(oid,text[])', 'owner', NULL),
        ('ROUTINE', '_model_access_revoke_default(regprocedure)', 'owner', NULL),
        ('ROUTINE', '_model_access_row_holders(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_run(bytea,jsonb)', 'owner', NULL),
        ('ROUTINE', '_model_access_run_script(oid,text[])', 'owner', NULL),
        ('ROUTINE', '_model_access_setting_value(text,text)', 'owner', NULL),
        ('ROUTINE', '_model_access_shell(text)', 'owner', NULL),
        ('ROUTINE', '_model_access_source(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_state()', 'owner', NULL),
        ('ROUTINE', '_model_access_tier_writers()', 'owner', NULL),
        ('ROUTINE', '_model_access_tokens(text)', 'owner', NULL),
        ('ROUTINE', '_model_access_tree(oid)', 'owner', NULL),
        ('ROUTINE', '_model_access_undo_plan(timestamptz,text[])', 'owner', NULL),
        ('ROUTINE', '_model_access_undo_write(timestamptz,jsonb)', 'owner', NULL),
        ('ROUTINE', '_model_access_user(text)', 'owner', NULL),
        ('ROUTINE', '_model_access_user_key(text)', 'owner', NULL),
        ('ROUTINE', '_model_access_verdict(oid,oid,integer,name,text[],oid[],oid[])', 'owner', NULL),
        ('ROUTINE', '_model_access_view_without(text,text[])', 'owner', NULL),
        ('ROUTINE', '_model_access_warn(jsonb)', 'owner', NULL),
        ('ROUTINE', '_model_access_write(jsonb,bigint)', 'owner', NULL)
    ) AS o(kind, name, rights, privilege)
    CROSS JOIN LATERAL (SELECT CASE o.kind
        WHEN 'ROUTINE' THEN to_regprocedure('@extschema@.' || o.name)::oid
        ELSE to_regclass('@extschema@.' || o.name)::oid
    END) AS i(id)
    -- an install without the library has fewer
    WHERE i.id IS NOT NULL;
COMMENT ON VIEW @extschema@._model_access_object IS 'Internal. Every relation and routine, and which rights give which privilege on it; admin includes reader, owner is never granted.';

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

CREATE FUNCTION @extschema@.model_access_grant(role regrole, rights text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item record;
BEGIN
    IF rights NOT IN ('user', 'reader', 'admin', 'job') OR rights IS NULL THEN
        RAISE EXCEPTION 'unknown rights "%"', rights
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The rights are user, reader, admin and job.';
    END IF;
    PERFORM @extschema@._model_access_check_role(role);
    IF rights = 'job' AND to_regprocedure('@extschema@.model_access_sync_job()') IS NULL THEN
        RAISE EXCEPTION 'there is no job to run where the library is not installed'
            USING ERRCODE = 'feature_not_supported', HINT = 'Let a member of the owning role run model-access push.';
    ELSIF NOT has_schema_privilege(role, '@extschema@'::regnamespace, 'USAGE') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA @extschema@ TO %s', role);
    END IF;
    -- a GRANT by someone who may not is only a warning
    IF NOT has_schema_privilege(role, '@extschema@'::regnamespace, 'USAGE') THEN
        RAISE EXCEPTION 'role % has no USAGE on schema %', role, '@extschema@'
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('The owner of the schema must run: GRANT USAGE ON SCHEMA %s TO %s', '@extschema@', role);
    END IF;
    FOR item IN
        SELECT o.kind, o.name, o.privilege FROM @extschema@._model_access_object AS o
        WHERE o.rights = model_access_grant.rights OR (o.rights = 'reader' AND model_access_grant.rights = 'admin')
    LOOP
        EXECUTE format('GRANT %s ON %s %s TO %s', item.privilege, item.kind, item.name, role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_grant(regrole, text) IS 'Adds rights to those a role has: user (models_for_me only), reader (listing, checking, explaining), admin (reader, and deciding, log, sync) or job (the nightly sync only), with USAGE on the schema. Owner only. Error 22023 for unknown rights.';

CREATE FUNCTION @extschema@.model_access_revoke(role regrole) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    item record;
BEGIN
    PERFORM @extschema@._model_access_check_role(role);
    FOR item IN SELECT DISTINCT o.kind, o.name FROM @extschema@._model_access_object AS o LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %s CASCADE', item.kind, item.name, role);
    END LOOP;
END
$$;
COMMENT ON FUNCTION @extschema@.model_access_revoke(regrole) IS 'Takes every right that a role was given on the extension''s objects, and what it passed on; USAGE on the schema stays. Owner only.';
