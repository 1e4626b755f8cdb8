//! The PostgreSQL side, thin: what needs a backend is here, what decides is in the crate `catalog`, and
//! what writes and answers is SQL. The files of `sql/` are the rest of the extension, in reading order.

mod fetch;
mod plan;
mod settings;

use pgrx::prelude::*;

pgrx::pg_module_magic!();

extension_sql_file!("../sql/000_checks.sql", name = "checks", bootstrap);
extension_sql_file!("../sql/010_model_access.sql", name = "model_access", requires = ["checks"]);
extension_sql_file!("../sql/020_settings.sql", name = "settings", requires = ["model_access"]);
extension_sql_file!("../sql/030_sync_log.sql", name = "sync_log", requires = ["settings"]);
extension_sql_file!("../sql/040_decision.sql", name = "decision", requires = ["sync_log"]);
extension_sql_file!("../sql/045_history.sql", name = "history", requires = ["decision"]);
extension_sql_file!("../sql/050_apply.sql", name = "apply", requires = ["history"]);
extension_sql_file!("../sql/060_run.sql", name = "run", requires = ["apply"]);
extension_sql_file!("../sql/065_sync.sql", name = "sync", requires = ["run"]);
extension_sql_file!("../sql/066_schedule.sql", name = "schedule", requires = ["sync"]);
extension_sql_file!("../sql/067_preview.sql", name = "preview", requires = ["schedule"]);
extension_sql_file!("../sql/070_access.sql", name = "access", requires = ["preview"]);
extension_sql_file!("../sql/071_profiles.sql", name = "profiles", requires = ["access"]);
extension_sql_file!("../sql/072_override.sql", name = "override", requires = ["profiles"]);
extension_sql_file!("../sql/073_users.sql", name = "users", requires = ["override"]);
extension_sql_file!("../sql/074_enforce.sql", name = "enforce", requires = ["users"]);
extension_sql_file!("../sql/075_as_of.sql", name = "as_of", requires = ["enforce"]);
extension_sql_file!("../sql/077_rule.sql", name = "rule", requires = ["as_of"]);
extension_sql_file!("../sql/078_review.sql", name = "review", requires = ["rule"]);
extension_sql_file!("../sql/079_undo.sql", name = "undo", requires = ["review"]);
extension_sql_file!("../sql/080_mentions.sql", name = "mentions", requires = ["undo"]);
extension_sql_file!("../sql/081_health.sql", name = "health", requires = ["mentions"]);
extension_sql_file!("../sql/082_ddl.sql", name = "ddl", requires = ["health"]);
extension_sql_file!("../sql/083_dependents.sql", name = "dependents", requires = ["ddl"]);
extension_sql_file!("../sql/083_retire.sql", name = "retire", requires = ["dependents"]);
extension_sql_file!("../sql/084_restore.sql", name = "restore", requires = ["retire"]);
extension_sql_file!("../sql/084_import.sql", name = "import", requires = ["restore"]);
extension_sql_file!("../sql/085_grant.sql", name = "grant", requires = ["import"]);
extension_sql_file!("../sql/090_privileges.sql", name = "privileges", requires = ["grant"]);
extension_sql_file!("../sql/095_dump.sql", name = "dump", requires = ["privileges"], finalize);

/// Called once by each backend that loads the library.
#[pg_guard]
#[allow(unsafe_code, non_snake_case)] // exported under the name that PostgreSQL looks up
pub extern "C-unwind" fn _PG_init() {
    settings::register();
}
