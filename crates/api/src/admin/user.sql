-- $1 a user; $2 a model
SELECT json_build_object(
    'user', (SELECT json_build_object('known', u.known, 'bound', u.bound, 'tier', u.tier, 'until', to_char(u.valid_until, 'YYYY-MM-DD HH24:MI'))
        FROM {s}.model_access_user($1) AS u WHERE $1 IS NOT NULL),
    'models', (SELECT coalesce(json_agg(json_build_object('model_id', m.model_id,
            'prompt', coalesce(trim_scale(m.prompt_usd_per_million)::text, '?'),
            'completion', coalesce(trim_scale(m.completion_usd_per_million)::text, '?')) ORDER BY m.model_id), '[]')
        FROM {s}.models_for_user($1) AS m WHERE $1 IS NOT NULL),
    'explained', (SELECT json_build_object('allowed', e.allowed, 'reason', e.reason)
        FROM {s}.model_access_explain_for_user($1, $2) AS e WHERE $1 IS NOT NULL AND $2 IS NOT NULL),
    'overrides', (SELECT coalesce(json_agg(json_build_object('id', o.override_id, 'user', o.user_id, 'model_id', o.model_id, 'provider', o.provider,
            'allowed', o.allowed, 'starts', to_char(o.starts_at, 'YYYY-MM-DD HH24:MI'), 'ends', to_char(o.expires_at, 'YYYY-MM-DD HH24:MI'),
            'note', o.note, 'by', o.created_by, 'is_over', coalesce(o.expires_at <= clock_timestamp(), false)) ORDER BY o.override_id DESC), '[]')
        FROM (SELECT * FROM {s}.model_access_override AS o WHERE $1 IS NULL OR o.user_id = $1 ORDER BY o.override_id DESC LIMIT 200) AS o))::text
