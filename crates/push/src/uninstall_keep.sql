SELECT @extschema@.model_access_export_decisions(true, true)
