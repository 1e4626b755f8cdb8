-- $1 the id of a model
WITH m AS MATERIALIZED (SELECT *, xmin::text AS version FROM {s}.model_access WHERE model_id = $1),
p AS MATERIALIZED (
    -- the prices from each moment on: when it was first seen, and after each change. A row of the history has only what changed
    SELECT x.name, m.first_seen_at AS at, CASE WHEN h.at IS NULL THEN x.now ELSE (h.old ->> x.key)::numeric END AS value
    FROM m CROSS JOIN LATERAL (VALUES ('one', 'prompt_usd_per_million', m.prompt_usd_per_million),
        ('two', 'completion_usd_per_million', m.completion_usd_per_million)) AS x(name, key, now)
    LEFT JOIN LATERAL (
        SELECT * FROM {s}.model_access_history AS h WHERE h.model_id = m.model_id AND h.new ? x.key ORDER BY h.history_id LIMIT 1) AS h ON true
    UNION ALL
    SELECT x.name, h.at, (h.new ->> x.key)::numeric
    FROM {s}.model_access_history AS h CROSS JOIN (VALUES ('one', 'prompt_usd_per_million'), ('two', 'completion_usd_per_million')) AS x(name, key)
    WHERE h.model_id = $1 AND h.new ? x.key),
scale AS (
    SELECT min(p.at) AS first, extract(epoch FROM greatest(clock_timestamp() - min(p.at), interval '1 minute')) AS seconds,
        greatest(max(p.value), max(m.reviewed_prompt_usd_per_million), max(m.reviewed_completion_usd_per_million), 0.000001) AS most
    FROM p CROSS JOIN m),
line AS (
    SELECT v.name, string_agg(format(CASE WHEN v.is_first THEN 'M%1$s %2$s' ELSE 'H%1$sV%2$s' END,
        round(60 + 570 * extract(epoch FROM v.at - s.first) / s.seconds, 1), round(140 - 125 * v.value / s.most, 1)), '' ORDER BY v.at)
        || 'H630' AS path
    FROM (SELECT p.*, row_number() OVER (PARTITION BY p.name ORDER BY p.at) = 1 AS is_first
        FROM p WHERE p.value IS NOT NULL) AS v CROSS JOIN scale AS s
    GROUP BY v.name),
-- each component, as it is and as it was reviewed
charge AS (
    SELECT k.key, k.key IN ('request', 'image', 'web_search') AS per_use, trim_scale((m.highest_prices ->> k.key)::numeric)::text AS now,
        trim_scale((m.reviewed_highest_prices ->> k.key)::numeric)::text AS reviewed, m.highest_prices ? k.key AS is_charged,
        m.reviewed_at IS NOT NULL AS is_reviewed
    FROM m CROSS JOIN LATERAL (
        SELECT jsonb_object_keys(coalesce(m.highest_prices, '{}') || coalesce(m.reviewed_highest_prices, '{}')) AS key) AS k)
SELECT json_build_object(
    'model', (SELECT json_build_object('model_id', m.model_id, 'seen', m.version || '::' || m.model_id, 'status', m.status,
        'tiers', concat_ws(' ', CASE WHEN m.is_free THEN 'free' END, CASE WHEN m.is_pro THEN 'pro' END,
            CASE WHEN m.is_enterprise THEN 'enterprise' END),
        'facts', (SELECT json_agg(f) FROM (VALUES
            ('Name', m.name), ('Provider', m.provider), ('Description', m.description),
            ('Context', m.context_length || ' tokens'), ('Longest completion', m.max_completion_tokens || ' tokens'),
            ('Reads', array_to_string(m.input_modalities, ', ')), ('Writes', array_to_string(m.output_modalities, ', ')),
            ('Parameters', array_to_string(m.supported_parameters, ', ')), ('Stands for', m.alias_of),
            ('Expires on', m.expires_on::text), ('First seen', to_char(m.first_seen_at, 'YYYY-MM-DD HH24:MI')),
            ('Last changed', to_char(m.changed_at, 'YYYY-MM-DD HH24:MI')),
            ('Not listed since', to_char(m.missing_since, 'YYYY-MM-DD HH24:MI')), ('Slug', m.canonical_slug),
            ('Note', m.note), ('Reviewed', to_char(m.reviewed_at, 'YYYY-MM-DD HH24:MI') || ' by ' || m.reviewed_by),
            ('By rule', m.reviewed_rule)) AS f(name, value) WHERE f.value IS NOT NULL)) FROM m),
    'waits', (SELECT json_build_object('reason', r.reason, 'since', r.since, 'proposed', r.proposed)
        FROM {s}.model_access_review AS r WHERE r.model_id = $1),
    'tiers', (SELECT json_agg(json_build_object('tier', t.tier, 'allowed', e.allowed, 'reason', e.reason))
        FROM unnest('{free,pro,enterprise}'::text[]) AS t(tier)
        CROSS JOIN LATERAL {s}.model_access_explain(t.tier, $1) AS e),
    'charges', (SELECT coalesce(json_agg(c ORDER BY c.key NOT IN ('prompt', 'completion'), c.key DESC), '[]') FROM charge AS c),
    'plot', (SELECT json_build_object('most', trim_scale(round(s.most, 6))::text, 'first', to_char(s.first, 'YYYY-MM-DD'),
        'lines', (SELECT coalesce(json_agg(l), '[]') FROM line AS l),
        'reviewed', (SELECT coalesce(json_agg(round(140 - 125 * v.value / s.most, 1)), '[]')
            FROM m CROSS JOIN LATERAL (VALUES (m.reviewed_prompt_usd_per_million), (m.reviewed_completion_usd_per_million)) AS v(value)
            WHERE v.value IS NOT NULL)) FROM scale AS s),
    'overrides', (SELECT coalesce(json_agg(json_build_object('user', o.user_id, 'allowed', o.allowed, 'note', o.note,
            'starts', to_char(o.starts_at, 'YYYY-MM-DD HH24:MI'), 'ends', to_char(o.expires_at, 'YYYY-MM-DD HH24:MI'))
            ORDER BY o.override_id DESC), '[]')
        FROM (SELECT * FROM {s}.model_access_override WHERE model_id = $1 ORDER BY override_id DESC LIMIT 100) AS o),
    'history', (SELECT coalesce(json_agg(json_build_object('at', h.at::text, 'shown', to_char(h.at, 'YYYY-MM-DD HH24:MI:SS'),
            'who', coalesce(h.on_behalf_of, h.actor_role, h.actor), 'run', h.run_id, 'is_undo', h.undo_of IS NOT NULL, 'diff', (
                SELECT json_agg(json_build_object('key', d.key, 'old', left(h.old ->> d.key, 200), 'new', left(h.new ->> d.key, 200)))
                FROM jsonb_object_keys(h.old || h.new) AS d(key)
                WHERE h.old -> d.key IS DISTINCT FROM h.new -> d.key
                  -- written together with another key
                  AND (left(d.key, 9) <> 'reviewed_' OR d.key = 'reviewed_at'))) ORDER BY h.history_id DESC), '[]')
        FROM (SELECT * FROM {s}.model_access_history WHERE model_id = $1 ORDER BY history_id DESC LIMIT 200) AS h))::text
