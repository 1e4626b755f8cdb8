-- $1 rows of the history; $2 and $3 whether they are of overrides and of rules; $4 whether it is only tried. The digest is the
-- same if the same is done.
SELECT json_build_object('rows', coalesce(json_agg(r ORDER BY r.n), '[]'), 'does', coalesce(bool_or(r.diff IS NOT NULL), false),
    'digest', md5(string_agg(r::text, ' ' ORDER BY r.n)))::text
FROM (
    SELECT row_number() OVER (ORDER BY u.model_id, u.old::text) AS n, u.model_id,
        (SELECT string_agg(concat(x.key, ': ', x.value), '; ') FROM jsonb_each_text(u.refused) AS x) AS refused, (
        SELECT json_agg(json_build_object('key', d.key, 'old', left(u.old ->> d.key, 200), 'new', left(u.new ->> d.key, 200)))
        FROM jsonb_object_keys(u.new) AS d(key)) AS diff
    FROM {s}.model_access_undo(NULL::timestamptz, $4::boolean, NULL::text[], NULL::text,
        ARRAY(SELECT jsonb_array_elements_text($1::jsonb)::bigint), $2::boolean, $3::boolean) AS u) AS r
