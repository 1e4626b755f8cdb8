-- $1 user; $2 model; $3 provider; $4 allowed; $5 its last day; $6 note
WITH made AS (
    INSERT INTO {s}.model_access_override (user_id, model_id, provider, allowed, expires_at, note)
    VALUES ($1, $2, $3, $4::boolean, ($5::date + 1)::timestamptz, $6) RETURNING 1)
SELECT count(*)::text FROM made
