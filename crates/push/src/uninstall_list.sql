-- What an uninstall removes, as JSON: contents, and dependents, which belong to the application.
WITH RECURSIVE member AS (SELECT m.class, m.id FROM @extschema@._model_access_member AS m WHERE m.id <> 0),
-- an object of the catalog, and the table, view or function that it is a part of
reached AS (
    SELECT m.class, m.id, 0 AS sub FROM member AS m
    UNION
    SELECT n.class, n.id, n.sub FROM reached AS r
    JOIN pg_depend AS d ON d.refclassid = r.class AND d.refobjid = r.id AND r.sub IN (0, d.refobjsubid)
        AND d.deptype IN ('n', 'a', 'i')
    LEFT JOIN pg_rewrite AS v ON d.classid = 'pg_rewrite'::regclass AND v.oid = d.objid
    -- views depend through their rules
    CROSS JOIN LATERAL (VALUES (d.classid, d.objid, d.objsubid), ('pg_class'::regclass::oid, v.ev_class, 0)) AS n(class, id, sub)
    WHERE n.id IS NOT NULL),
part AS (
    SELECT r.class, r.id, r.sub, coalesce(i.indrelid, c.conrelid, t.tgrelid, v.ev_class, a.adrelid, p.polrelid, y.typrelid, e.typrelid,
        r.id) AS whole, t.tgfoid
    FROM reached AS r
    LEFT JOIN pg_index AS i ON r.class = 'pg_class'::regclass AND i.indexrelid = r.id
    LEFT JOIN pg_constraint AS c ON r.class = 'pg_constraint'::regclass AND c.oid = r.id
    LEFT JOIN pg_trigger AS t ON r.class = 'pg_trigger'::regclass AND t.oid = r.id
    LEFT JOIN pg_rewrite AS v ON r.class = 'pg_rewrite'::regclass AND v.oid = r.id
    LEFT JOIN pg_attrdef AS a ON r.class = 'pg_attrdef'::regclass AND a.oid = r.id
    LEFT JOIN pg_policy AS p ON r.class = 'pg_policy'::regclass AND p.oid = r.id
    LEFT JOIN pg_type AS y ON r.class = 'pg_type'::regclass AND y.oid = r.id
    LEFT JOIN pg_type AS e ON r.class = 'pg_type'::regclass AND e.oid = y.typelem),
dependent AS (
    SELECT DISTINCT pg_describe_object(p.class, p.id, p.sub) AS name FROM part AS p
    LEFT JOIN pg_trigger AS t ON p.class = 'pg_trigger'::regclass AND t.oid = p.id
    LEFT JOIN pg_proc AS f ON f.oid = p.tgfoid
    WHERE NOT EXISTS (SELECT FROM member AS m WHERE m.id = p.whole)
      -- without parts of other dependents, and without the triggers that binding made
      AND p.class NOT IN ('pg_rewrite'::regclass, 'pg_type'::regclass) AND t.tgisinternal IS NOT TRUE
      AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = p.whole AND c.relnamespace = 'pg_toast'::regnamespace)
      AND (f.oid IS NULL OR f.proname NOT LIKE '\_model\_access%')),
content AS (
    SELECT 1 AS n, format('%s tables, views, sequences and functions', count(*)) AS line FROM member
    UNION ALL
    SELECT 2, format('%s models, %s of them with a decision', count(*),
        count(*) FILTER (WHERE m.reviewed_at IS NOT NULL OR m.status <> 'new'))
    FROM @extschema@.model_access AS m
    UNION ALL SELECT 3, format('%s overrides', count(*)) FROM @extschema@.model_access_override
    UNION ALL SELECT 4, format('%s rules', count(*)) FROM @extschema@.model_access_rule
    UNION ALL SELECT 5, format('%s settings', count(*)) FROM @extschema@.model_access_setting
    UNION ALL SELECT 6, format('%s changes in the history', count(*)) FROM @extschema@.model_access_history
    UNION ALL SELECT 7, format('%s runs in the log', count(*)) FROM @extschema@.model_access_sync_log
    UNION ALL SELECT 8, format('the binding to %s', b.profiles) FROM @extschema@.model_access_binding AS b
    UNION ALL SELECT 9, format('the record of %s retired columns, which cannot be restored then', count(*))
    FROM @extschema@.model_access_retired HAVING count(*) > 0)
SELECT json_build_object(
    'contents', (SELECT json_agg(c.line ORDER BY c.n) FROM content AS c),
    'dependents', (SELECT json_agg(d.name ORDER BY d.name) FROM dependent AS d))::text
