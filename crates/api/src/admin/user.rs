//! User: the tier, the list, why a model is in it or not, and the overrides.

use super::page::{Outcome, Visit, see, show, template};
use serde_json::Value;
use std::sync::Arc;

template!(User, "user.html", user: &'a str, model: &'a str);

/// The page.
pub async fn user(visit: Arc<Visit>) -> Outcome {
    let (user, model) = (visit.query.get("id"), visit.query.get("model"));
    if let Some(form) = &visit.form {
        let transaction = visit.write().await?;
        let field = |name| form.get(name);
        let _: Value = if let Some(id) = field("remove") {
            let remove = "WITH gone AS (DELETE FROM {s}.model_access_override WHERE override_id = $1::bigint RETURNING 1)
                SELECT count(*)::text FROM gone";
            transaction.json(remove, &[Some(id)]).await?
        } else {
            let [provider, allowed, until, note] = ["provider", "allowed", "until", "note"].map(field);
            let parameters = [user, field("model_id"), provider, allowed, until, note];
            transaction.json(include_str!("override.sql"), &parameters).await?
        };
        transaction.commit().await?;
        return Ok(see(&visit.target));
    }
    let transaction = visit.read().await?;
    let data: Value = transaction.json(include_str!("user.sql"), &[user, model]).await?;
    let frame = visit.frame("Users", &transaction);
    transaction.commit().await?;
    let (user, model) = (user.unwrap_or_default(), model.unwrap_or_default());
    show(&User { frame, data: (&data).into(), user, model })
}
