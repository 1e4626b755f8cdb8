SELECT json_build_object(
    'rules', (SELECT coalesce(json_agg(json_build_object('position', r.position, 'pattern', r.pattern, 'provider', r.provider,
            'max', trim_scale(r.max_usd_per_million)::text, 'modality', r.modality, 'per_use', r.per_use, 'note', r.note, 'seen', r.changed_at::text,
            'status', r.status, 'free', r.is_free, 'pro', r.is_pro, 'enterprise', r.is_enterprise,
            'proposes', concat_ws(' ', CASE WHEN r.status = 'disabled' THEN 'a ban' END, CASE WHEN r.is_free THEN 'free' END,
                CASE WHEN r.is_pro THEN 'pro' END, CASE WHEN r.is_enterprise THEN 'enterprise' END)) ORDER BY r.position), '[]')
        FROM {s}.model_access_rule AS r),
    'proposed', (SELECT coalesce(json_agg(json_build_object('proposed', p.proposed, 'count', p.count) ORDER BY p.proposed), '[]')
        FROM (SELECT proposed, count(*) FROM {s}.model_access_review WHERE proposed IS NOT NULL GROUP BY proposed) AS p))::text
