-- Users are looked up in the bound table as its owner, in a security-restricted operation: src/as_owner.rs.

CREATE FUNCTION @extschema@._model_access_lookup(profiles oid, id_column smallint, tier_column smallint, user_id text)
RETURNS text[]
LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', '_model_access_lookup_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_lookup(oid, smallint, smallint, text) IS
    'Internal. Gives the key and the tier of a user from the bound table; no values without exactly one row, NULL if unreadable.';

CREATE FUNCTION @extschema@._model_access_unknown_tiers(profiles oid, tier_column smallint, known text[]) RETURNS text[]
LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', '_model_access_unknown_tiers_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_unknown_tiers(oid, smallint, text[]) IS
    'Internal. Gives the number of users in unknown tiers and the most frequent such tier; NULL if the table cannot be read.';

CREATE FUNCTION @extschema@._model_access_read(profiles oid, expressions text[], source text) RETURNS SETOF text[]
LANGUAGE c STABLE PARALLEL UNSAFE STRICT AS 'MODULE_PATHNAME', '_model_access_read_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_read(oid, text[], text) IS
    'Internal. Runs SELECT expressions FROM … as the owner of a table; error 42501 if the caller may not act as that owner.';

CREATE FUNCTION @extschema@._model_access_execute(profiles oid, statement text) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT AS 'MODULE_PATHNAME', '_model_access_execute_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_execute(oid, text) IS
    'Internal. Runs a statement as the owner of a table and gives the number of rows; error 42501 as for _model_access_read.';

CREATE FUNCTION @extschema@._model_access_may_bind(owner oid) RETURNS boolean
LANGUAGE sql STABLE
RETURN pg_has_role(current_user, owner, 'USAGE');
COMMENT ON FUNCTION @extschema@._model_access_may_bind(oid) IS
    'Internal. Tells whether the current role may have a table of that owner read as its owner.';

CREATE FUNCTION @extschema@._model_access_as_committed(function regprocedure, user_id text, model_id text) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', '_model_access_as_committed_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_as_committed(regprocedure, text, text) IS
    'Internal. Calls a STABLE function on what is committed now, also in a REPEATABLE READ transaction.';
