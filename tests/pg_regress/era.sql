\set catalogue `zcat "$PG_ABS_SRCDIR"/../catalogues/eras/:'era'.json.gz`
SELECT outcome, listed, jsonb_array_length(unusable) AS unusable FROM model_access_load(:'catalogue', max_removals => 1000);
SELECT * FROM pg_temp.compare(:'catalogue');
