SELECT string_agg(e.line, E'\n' ORDER BY e.n)
FROM @extschema@.model_access_export_decisions(true, true) WITH ORDINALITY AS e(line, n)
