-- What pg_dump carries: the tables that hold decisions, settings and runs, and the sequence that numbers runs.

SELECT pg_extension_config_dump('@extschema@.model_access', '');
SELECT pg_extension_config_dump('@extschema@.model_access_setting', '');
SELECT pg_extension_config_dump('@extschema@.model_access_sync_log', '');
SELECT pg_extension_config_dump('@extschema@.model_access_sync_log_run_id_seq', '');
