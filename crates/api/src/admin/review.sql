-- $1 all: every model, not only those that wait; $2 reason; $3 provider; $4 and $5 least and highest price; $6 modality;
-- $7 yes or no: free of charge; $8 least age in days; $9 text; $10 yes or no: a rule proposes something; $11 most rows
WITH waiting AS MATERIALIZED (
    SELECT row_number() OVER () AS place, v.* FROM {s}.model_access_review AS v),
found AS MATERIALIZED (
    SELECT w.place, w.reason, w.since, m.model_id, m.xmin::text || ':' || coalesce(w.proposed, '') || ':' || m.model_id AS seen,
        m.name, coalesce(trim_scale(round(m.prompt_usd_per_million, 6))::text, '?') AS prompt,
        coalesce(trim_scale(round(m.completion_usd_per_million, 6))::text, '?') AS completion,
        w.old_usd, CASE WHEN w.factor <> 1 THEN w.factor::text END AS factor, w.also, m.context_length AS context, w.reaches,
        concat_ws(' > ', array_to_string(m.input_modalities, ' '), array_to_string(m.output_modalities, ' ')) AS io,
        w.proposed, coalesce(w.overrides, 0) AS overrides, m.status, m.missing_since IS NOT NULL AS missing,
        concat_ws(' ', CASE WHEN m.is_free THEN 'free' END, CASE WHEN m.is_pro THEN 'pro' END,
            CASE WHEN m.is_enterprise THEN 'enterprise' END) AS tiers, m.note
    FROM {s}.model_access AS m LEFT JOIN waiting AS w ON w.model_id = m.model_id
    WHERE ($1 = 'all' OR w.place IS NOT NULL)
      AND ($2 IS NULL OR w.reason = $2)
      AND ($3 IS NULL OR m.provider = $3)
      AND ($4 IS NULL OR m.highest_usd_per_million >= $4::numeric)
      AND ($5 IS NULL OR m.highest_usd_per_million <= $5::numeric)
      AND ($6 IS NULL OR $6 = ANY (m.input_modalities || m.output_modalities))
      AND ($7 IS NULL OR m.is_free_of_charge = ($7 = 'yes'))
      AND ($8 IS NULL OR current_date - w.since >= $8::integer)
      AND ($9 IS NULL OR strpos(lower(concat_ws(' ', m.model_id, m.name)), lower($9)) > 0)
      AND ($10 IS NULL OR (w.proposed IS NOT NULL) = ($10 = 'yes')))
SELECT json_build_object(
    'waiting', (SELECT count(*) FROM waiting),
    'known', (SELECT count(*) FROM {s}.model_access),
    'matching', (SELECT count(*) FROM found),
    'proposed', (SELECT count(*) FROM found WHERE proposed IS NOT NULL),
    'reasons', (
        SELECT coalesce(json_agg(r ORDER BY r.place), '[]')
        FROM (SELECT reason, count(*), min(place) AS place FROM waiting GROUP BY reason) AS r),
    'providers', (
        SELECT coalesce(json_agg(DISTINCT m.provider ORDER BY m.provider), '[]')
        FROM {s}.model_access AS m LEFT JOIN waiting AS w USING (model_id)
        WHERE m.provider IS NOT NULL AND ($1 = 'all' OR w.place IS NOT NULL)),
    'modalities', (
        SELECT coalesce(json_agg(DISTINCT x.modality ORDER BY x.modality), '[]')
        FROM {s}.model_access AS m CROSS JOIN unnest(m.input_modalities || m.output_modalities) AS x(modality)),
    'rows', (
        SELECT coalesce(json_agg(f ORDER BY f.place NULLS LAST, f.model_id), '[]')
        FROM (SELECT * FROM found ORDER BY place NULLS LAST, model_id LIMIT $11::integer) AS f))::text
