-- covers: FUNCTION @extschema@._model_access_plan_now(document anyelement, max_removals integer)
-- covers: FUNCTION @extschema@._model_access_run(document anyelement, run jsonb)
-- generated
DROP FUNCTION @extschema@._model_access_run(anyelement, jsonb);
DROP FUNCTION @extschema@._model_access_plan_now(anyelement, integer);

