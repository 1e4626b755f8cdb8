-- $1 max_removals
WITH p AS MATERIALIZED (SELECT * FROM {s}.model_access_preview(NULL::text, $1::integer)),
kinds AS (
    SELECT * FROM (VALUES
        (1, 'failed', 'The list cannot be used. Nothing would be written.'),
        (2, 'held', 'A guard withholds removals. The rest would be written.'),
        (3, 'withhold', 'Removals that are withheld. They need max_removals, or the same list on three days.'),
        (4, 'missing', 'Models that left the list. They would not be offered any more.'),
        (5, 'free_revoked', 'Models that cost money now. They would leave the tier free.'),
        (6, 'review', 'Models that would go back to review.'),
        (7, 'give_back', 'Models that would be offered again, because the reason to take them is gone.'),
        (8, 'return', 'Models that are listed again.'),
        (9, 'add', 'New models. They would wait for review.'),
        (10, 'change', 'Models with new values.')) AS k(place, action, meaning))
SELECT json_build_object(
    'seen', (SELECT coalesce(json_agg(p.action || ' ' || p.model_id), '[]') FROM p WHERE p.model_id IS NOT NULL),
    'problem', (SELECT json_build_object('action', p.action, 'message', p.detail ->> 'message', 'detail', p.detail ->> 'detail', 'hint', p.detail ->> 'hint')
        FROM p WHERE p.model_id IS NULL LIMIT 1),
    'groups', (SELECT coalesce(json_agg(json_build_object('action', k.action, 'meaning', k.meaning, 'rows', (
        SELECT json_agg(json_build_object('model_id', p.model_id, 'name', p.detail ->> 'name', 'usd', CASE WHEN k.action = 'add'
                THEN concat(coalesce(p.detail ->> 'prompt_usd_per_million', '?'), ' / ', coalesce(p.detail ->> 'completion_usd_per_million', '?')) END,
            'diff', CASE WHEN k.action NOT IN ('add', 'withhold') THEN (
                SELECT json_agg(json_build_object('key', d.key, 'old', left(d.value ->> 'old', 160), 'new', left(d.value ->> 'new', 160)))
                FROM jsonb_each(p.detail) AS d WHERE d.key <> 'changed_at') END) ORDER BY p.model_id)
        FROM p WHERE p.action = k.action)) ORDER BY k.place), '[]')
        FROM kinds AS k WHERE k.action IN (SELECT p.action FROM p WHERE p.model_id IS NOT NULL)))::text
