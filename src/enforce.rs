//! Functions for the triggers on an application's tables.

use crate::as_owner::Row;
use crate::functions::{called_function, is_text_of_two_texts, owner_of};
use pgrx::heap_tuple::PgHeapTuple;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{AnyElement, FromDatum, IntoDatum, PgSqlErrorCode, pg_sys};
use std::ffi::CStr;

/// Calls a STABLE function of a user and a model with the latest snapshot, so that it sees what is committed now even in
/// a REPEATABLE READ transaction.
#[pg_extern(sql = false)]
#[allow(unsafe_code)] // snapshots
fn _model_access_as_committed(
    function: pg_sys::Oid,
    user_id: Option<&str>,
    model_id: Option<&str>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Option<String>, ErrorReport> {
    let (Some(user_id), Some(model_id)) = (user_id.into_datum(), model_id.into_datum()) else {
        return Ok(None);
    };
    if !is_text_of_two_texts(function) || owner_of(function) != owner_of(called_function(call)) {
        return Err(ErrorReport::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "function does not belong to model_access",
            function_name!(),
        ));
    }
    // SAFETY: the function takes two texts and returns a text, and those of model_access never return NULL. An error
    // ends the (sub)transaction, which pops the snapshot.
    unsafe {
        pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
        let result = pg_sys::OidFunctionCall2Coll(function, pg_sys::InvalidOid, user_id, model_id);
        let result = String::from_datum(result, false);
        pg_sys::PopActiveSnapshot();
        Ok(result)
    }
}

/// The values of two columns of the row that is the only column of `row`, converted by the output functions of their types.
/// Casts are not used, because any role may have defined them. `None` if a trigger at that moment (BEFORE, AFTER) cannot
/// read them: if there are not two columns, if the row lacks one, or if one is generated after this moment.
#[pg_extern(sql = false)]
#[allow(unsafe_code)] // values of any type
fn _model_access_values(row: AnyElement, moment: &str, columns: Vec<String>) -> Option<Row> {
    if columns.len() != 2 || !["BEFORE", "AFTER"].contains(&moment) {
        return None;
    }
    // SAFETY: SQL calls this with rows of one row only; the header lives as long as the argument.
    let (tuple, header) = unsafe {
        let outer = pg_sys::pg_detoast_datum(row.datum().cast_mut_ptr());
        let mut is_null = false;
        let inner = pg_sys::GetAttributeByNum(outer.cast(), 1, &mut is_null);
        if is_null {
            return None;
        }
        let header = pg_sys::pg_detoast_datum(inner.cast_mut_ptr());
        (
            PgHeapTuple::from_composite_datum(pg_sys::Datum::from(header)),
            header.cast::<pg_sys::HeapTupleHeaderData>(),
        )
    };
    let value = |name: &String| {
        let (number, attribute) =
            tuple.get_attribute_by_name(name).filter(|(_, found)| !found.attisdropped)?;
        // before the row is stored, a generated column holds what an earlier trigger wrote there
        if moment == "BEFORE" && attribute.attgenerated != 0 {
            return None;
        }
        // SAFETY: the row has the column, and pg_catalog has its type.
        unsafe {
            let (mut is_null, mut is_varlena, mut output) = (false, false, pg_sys::InvalidOid);
            let datum = pg_sys::GetAttributeByNum(header, number.get() as i16, &mut is_null);
            if is_null {
                return Some(None);
            }
            pg_sys::getTypeOutputInfo(attribute.atttypid, &mut output, &mut is_varlena);
            let text = pg_sys::OidOutputFunctionCall(output, datum);
            Some(Some(CStr::from_ptr(text).to_string_lossy().into_owned()))
        }
    };
    columns.iter().map(value).collect()
}
