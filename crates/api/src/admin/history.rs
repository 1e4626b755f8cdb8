//! History: what each statement changed, and its undo, which is shown before it is done.

use super::data::Data;
use super::fault::Fault;
use super::page::{Outcome, Visit, show, template};
use axum::http::StatusCode;
use serde_json::Value;
use std::sync::Arc;

template!(History, "history.html");

template!(Change, "change.html", undo: Data<'a>, at: &'a str, is_done: bool, has_changed: bool);

/// The page.
pub async fn history(visit: Arc<Visit>) -> Outcome {
    let at = visit.query.get("at");
    let plan = visit.form.as_ref().map(|form| form.text("plan"));
    let transaction = if plan.is_some() { visit.write().await? } else { visit.read().await? };
    let frame = visit.frame("History", &transaction);
    let Some(at) = at else {
        let before = visit.query.get("before");
        let data: Value = transaction.json(include_str!("history.sql"), &[before]).await?;
        transaction.commit().await?;
        return show(&History { frame, data: (&data).into() });
    };
    let change: Value = transaction.json(include_str!("change.sql"), &[Some(at)]).await?;
    let data = Data::from(&change);
    if !data.at("ids").is_set() {
        return Err(Fault::new(
            StatusCode::NOT_FOUND,
            "There is no such change.",
            "Choose one from History.",
        ));
    }
    let (ids, overrides, rules) =
        (data.at("ids").to_string(), data.at("overrides").to_string(), data.at("rules").to_string());
    let mut undo = Value::Null;
    let mut is_done = false;
    if plan.is_some() || frame.may_decide {
        let tried = if plan.is_some() { "false" } else { "true" };
        let parameters = [Some(ids.as_str()), Some(&overrides), Some(&rules), Some(tried)];
        undo = transaction.json(include_str!("undo.sql"), &parameters).await?;
        is_done = plan.is_some_and(|plan| Data::from(&undo).at("digest").is(plan));
    }
    let has_changed = plan.is_some() && !is_done;
    if has_changed {
        transaction.rollback().await?;
    } else {
        transaction.commit().await?;
    }
    show(&Change { frame, data, undo: Data::from(&undo), at, is_done, has_changed })
}
