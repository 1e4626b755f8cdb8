-- Users are looked up in the bound table as its owner, in a security-restricted operation: src/as_owner.rs.

CREATE FUNCTION @extschema@._model_access_lookup(profiles oid, id_column smallint, tier_column smallint, user_id text) RETURNS text[]
LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', '_model_access_lookup_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_lookup(oid, smallint, smallint, text) IS 'Internal. The key of a user as the bound table spells it, and what its tier column holds; NULL for a user that it does not know or has twice, and where it cannot be asked.';

CREATE FUNCTION @extschema@._model_access_unknown_tiers(profiles oid, tier_column smallint, known text[]) RETURNS text[]
LANGUAGE c STABLE PARALLEL UNSAFE AS 'MODULE_PATHNAME', '_model_access_unknown_tiers_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_unknown_tiers(oid, smallint, text[]) IS 'Internal. How many users have a tier that is not known, and the most frequent such tier; NULL where the table cannot be asked.';

CREATE FUNCTION @extschema@._model_access_read(profiles oid, expressions text[], source text) RETURNS SETOF text[]
LANGUAGE c STABLE PARALLEL UNSAFE STRICT AS 'MODULE_PATHNAME', '_model_access_read_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_read(oid, text[], text) IS 'Internal. The rows of SELECT expressions FROM …, run as the owner of a table, for a role that may act as that owner; else error 42501.';

CREATE FUNCTION @extschema@._model_access_execute(profiles oid, statement text) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT AS 'MODULE_PATHNAME', '_model_access_execute_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_execute(oid, text) IS 'Internal. Runs a statement as the owner of a table, for a role that may act as that owner, and gives the number of rows; else error 42501.';

CREATE FUNCTION @extschema@._model_access_may_bind(owner oid) RETURNS boolean
LANGUAGE sql STABLE
RETURN pg_has_role(current_user, owner, 'USAGE');
COMMENT ON FUNCTION @extschema@._model_access_may_bind(oid) IS 'Internal. Whether the role that acts may have a table of that owner read as its owner.';

CREATE FUNCTION @extschema@._model_access_as_committed(function regprocedure, user_id text, model_id text) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', '_model_access_as_committed_wrapper';
COMMENT ON FUNCTION @extschema@._model_access_as_committed(regprocedure, text, text) IS 'Internal. What a STABLE function says of what is committed by now, also in a REPEATABLE READ transaction.';
