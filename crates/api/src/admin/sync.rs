//! Next sync: what it would do, and the run, with what differed from what was shown.

use super::page::{Outcome, Visit, show, template};
use serde_json::Value;
use std::sync::Arc;

template!(Sync, "sync.html", max_removals: &'a str, is_done: bool);

/// The page.
pub async fn sync(visit: Arc<Visit>) -> Outcome {
    let fields = visit.form.as_ref().unwrap_or(&visit.query);
    let (max_removals, is_done) = (fields.get("max_removals"), visit.form.is_some());
    let transaction = if is_done { visit.write().await? } else { visit.read().await? };
    let frame = visit.frame("Next sync", &transaction);
    let mut data = Value::Null;
    if is_done {
        let run = "SELECT run_id::text FROM {s}.model_access_sync($1::integer)";
        let run: Value = transaction.json(run, &[max_removals]).await?;
        let parameters = [Some(run.to_string()), Some(fields.json("seen"))];
        data = transaction
            .json(include_str!("compare.sql"), &parameters.each_ref().map(Option::as_deref))
            .await?;
    } else if frame.has_library && frame.may_decide {
        data = transaction.json(include_str!("preview.sql"), &[max_removals]).await?;
    }
    transaction.commit().await?;
    show(&Sync { frame, data: (&data).into(), max_removals: max_removals.unwrap_or_default(), is_done })
}
