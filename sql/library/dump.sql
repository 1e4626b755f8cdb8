-- Tells pg_dump what to include: the tables that hold decisions, their history, settings and runs, and the sequences behind them.

SELECT pg_extension_config_dump('@extschema@.model_access', '');
SELECT pg_extension_config_dump('@extschema@.model_access_setting', '');
SELECT pg_extension_config_dump('@extschema@.model_access_rule', '');
SELECT pg_extension_config_dump('@extschema@.model_access_sync_log', '');
SELECT pg_extension_config_dump('@extschema@.model_access_sync_log_run_id_seq', '');
SELECT pg_extension_config_dump('@extschema@.model_access_history', '');
SELECT pg_extension_config_dump('@extschema@.model_access_history_history_id_seq', '');
SELECT pg_extension_config_dump('@extschema@.model_access_binding', '');
SELECT pg_extension_config_dump('@extschema@.model_access_granted', '');
SELECT pg_extension_config_dump('@extschema@.model_access_override', '');
SELECT pg_extension_config_dump('@extschema@.model_access_override_override_id_seq', '');
SELECT pg_extension_config_dump('@extschema@.model_access_retired', '');
