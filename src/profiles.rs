//! Reads the bound table of users: the tier of a user, and how many users have an unknown tier.

use crate::as_owner::{Argument, Column, Effect, Row, Table, as_owner};
use crate::functions::{called_function, caller_has_privileges_of_owner};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{IntoDatum, PgSqlErrorCode, Uuid, pg_sys};

/// The key and the tier of a user as the bound table stores them. An empty row if the table has no such user or has it
/// more than once. `None` if users cannot be looked up: the table or a column has a kind or type that cannot be bound.
#[pg_extern(sql = false)]
fn _model_access_lookup(
    profiles: Option<pg_sys::Oid>,
    id_column: Option<i16>,
    tier_column: Option<i16>,
    user_id: Option<&str>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Option<Row>, ErrorReport> {
    check_caller(call)?;
    Ok(lookup(profiles, id_column, tier_column, user_id))
}

fn lookup(
    profiles: Option<pg_sys::Oid>,
    id_column: Option<i16>,
    tier_column: Option<i16>,
    user_id: Option<&str>,
) -> Option<Row> {
    let (id_column, tier_column) = (id_column?, tier_column?);
    let rows = as_owner(profiles?, Effect::Undone, |table| {
        let (id, tier) = (table.column(id_column)?, table.column(tier_column)?);
        if !can_hold_keys(&id) || !can_hold_tiers(&tier) {
            return None;
        }
        let Some(key) = user_id.and_then(|user_id| key(&id, user_id)) else { return Some(Vec::new()) };
        let statement = format!(
            "SELECT p.{id}, {} FROM {} AS p WHERE p.{id} OPERATOR(pg_catalog.=) $1",
            unpadded(&tier),
            table.source(),
            id = id.name
        );
        table.read_by_kept_plan(&statement, &[key], 2)
    })??;
    match <[Row; 1]>::try_from(rows) {
        Ok([row]) => Some(row),
        Err(_) => Some(Row::new()),
    }
}

/// How many users have a tier that is not in `known`, and the most frequent such tier. `None` if the table or the column
/// cannot be bound.
#[pg_extern(sql = false)]
fn _model_access_unknown_tiers(
    profiles: Option<pg_sys::Oid>,
    tier_column: Option<i16>,
    known: Vec<String>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Option<Row>, ErrorReport> {
    check_caller(call)?;
    Ok(unknown_tiers(profiles, tier_column, known))
}

fn unknown_tiers(profiles: Option<pg_sys::Oid>, tier_column: Option<i16>, known: Vec<String>) -> Option<Row> {
    let tier_column = tier_column?;
    as_owner(profiles?, Effect::Undone, |table| {
        let tier = table.column(tier_column).filter(can_hold_tiers)?;
        let statement = format!(
            "SELECT sum(t.users) OVER (), t.tier FROM (SELECT concat({}) AS tier, count(*) AS users FROM {} AS p \
             WHERE p.{} IS NOT NULL GROUP BY 1) AS t WHERE t.tier <> ALL ($1) ORDER BY t.users DESC, t.tier LIMIT 1",
            unpadded(&tier),
            table.source(),
            tier.name
        );
        let known = Argument { type_id: pg_sys::TEXTARRAYOID, value: known.into_datum() };
        Some(table.read(&statement, &[known]).pop().unwrap_or_else(|| vec![Some("0".into()), None]))
    })?
}

/// Runs `SELECT expressions source` as the owner of a table, if the caller has the privileges of that owner.
#[pg_extern(sql = false)]
fn _model_access_read(
    profiles: pg_sys::Oid,
    expressions: Vec<String>,
    source: &str,
) -> Result<SetOfIterator<'static, Row>, ErrorReport> {
    let statement = format!("SELECT {} {source}", expressions.join(", "));
    for_the_owner(profiles, Effect::Undone, |table| table.read(&statement, &[])).map(SetOfIterator::new)
}

/// Runs a statement that writes as the owner of a table, if the caller has the privileges of that owner.
#[pg_extern(sql = false)]
fn _model_access_execute(profiles: pg_sys::Oid, statement: &str) -> Result<i64, ErrorReport> {
    for_the_owner(profiles, Effect::Kept, |table| table.execute(statement))
}

/// Checks that the caller has the privileges of the owner of model_access. EXECUTE alone must not be enough: it may be
/// granted on all functions of a schema.
fn check_caller(call: pg_sys::FunctionCallInfo) -> Result<(), ErrorReport> {
    if caller_has_privileges_of_owner(called_function(call)) {
        return Ok(());
    }
    Err(report(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        "must have privileges of the owner of model_access",
    ))
}

fn for_the_owner<T>(
    profiles: pg_sys::Oid,
    effect: Effect,
    work: impl FnOnce(&Table) -> T,
) -> Result<T, ErrorReport> {
    match as_owner(profiles, effect, |table| table.caller_has_privileges_of_owner().then(|| work(table))) {
        Some(Some(result)) => Ok(result),
        Some(None) => Err(report(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "must have privileges of the owner of the table",
        )),
        None => Err(report(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            "relation is not an ordinary or partitioned table with one owner",
        )),
    }
}

fn report(code: PgSqlErrorCode, message: &'static str) -> ErrorReport {
    ErrorReport::new(code, message, function_name!())
}

/// The key of a user in the type of the column, so that the index can be used. `None` if the text is not valid for it.
fn key(column: &Column, user_id: &str) -> Option<Argument> {
    let (type_id, value) = match column.base_type {
        pg_sys::TEXTOID | pg_sys::VARCHAROID => (pg_sys::TEXTOID, user_id.into_datum()),
        pg_sys::UUIDOID => (pg_sys::UUIDOID, uuid(user_id)?.into_datum()),
        pg_sys::INT8OID | pg_sys::INT4OID | pg_sys::INT2OID => {
            (pg_sys::INT8OID, integer(user_id)?.into_datum())
        }
        _ => return None,
    };
    Some(Argument { type_id, value })
}

/// Parses a UUID: groups of four hexadecimal digits, with or without hyphens between them.
fn uuid(text: &str) -> Option<Uuid> {
    let groups: String = text.split('-').map(|part| if part.len() % 4 == 0 { part } else { "?" }).collect();
    let is_written = !text.starts_with('-') && !text.ends_with('-') && !text.contains("--");
    let digits = u128::from_str_radix(&groups, 16).ok();
    let is_hexadecimal = groups.len() == 32 && groups.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.filter(|_| is_written && is_hexadecimal).map(|digits| Uuid::from_bytes(digits.to_be_bytes()))
}

fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_written = digits.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_written)
}

/// The tier column as an expression; a char(n) without its trailing blanks.
fn unpadded(tier: &Column) -> String {
    if tier.base_type == pg_sys::BPCHAROID {
        format!("rtrim(p.{})", tier.name)
    } else {
        format!("p.{}", tier.name)
    }
}

/// Whether the type of a column can hold keys of users.
fn can_hold_keys(column: &Column) -> bool {
    let types = [
        pg_sys::TEXTOID,
        pg_sys::VARCHAROID,
        pg_sys::UUIDOID,
        pg_sys::INT8OID,
        pg_sys::INT4OID,
        pg_sys::INT2OID,
    ];
    types.contains(&column.base_type)
}

/// Whether the type of a column can hold tiers.
fn can_hold_tiers(column: &Column) -> bool {
    let is_text = [pg_sys::TEXTOID, pg_sys::VARCHAROID, pg_sys::BPCHAROID].contains(&column.base_type);
    #[allow(unsafe_code)] // a lookup in the system cache
    // SAFETY: the type belongs to a column, so it exists.
    let is_enum = || unsafe { pg_sys::type_is_enum(column.base_type) };
    is_text || is_enum()
}
