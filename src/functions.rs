//! Looks up functions, relations and their owners in pg_catalog.

#![allow(unsafe_code)] // lookups in the system cache

use pgrx::pg_sys;

/// The oid of the function that is being called.
pub fn called_function(call: pg_sys::FunctionCallInfo) -> pg_sys::Oid {
    // SAFETY: PostgreSQL sets both before it calls a function.
    unsafe { call.as_ref().and_then(|call| call.flinfo.as_ref()) }
        .map_or(pg_sys::InvalidOid, |info| info.fn_oid)
}

/// The owner of a function; `InvalidOid` if there is no such function.
pub fn owner_of(function: pg_sys::Oid) -> pg_sys::Oid {
    with_pg_proc(function, |entry| entry.proowner).unwrap_or(pg_sys::InvalidOid)
}

/// Whether the current role has the privileges of the owner of the table model_access in the schema of a function.
pub fn caller_has_privileges_of_owner(function: pg_sys::Oid) -> bool {
    let schema = with_pg_proc(function, |entry| entry.pronamespace).unwrap_or(pg_sys::InvalidOid);
    // SAFETY: lookups of relations and roles.
    unsafe {
        let table = pg_sys::get_relname_relid(c"model_access".as_ptr(), schema);
        owner_of_relation(table).is_some_and(|owner| pg_sys::has_privs_of_role(pg_sys::GetUserId(), owner))
    }
}

/// The owner of a relation; `None` if there is no such relation.
pub fn owner_of_relation(relation: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: the row is not used after it is released.
    unsafe {
        let tuple =
            pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::RELOID as i32, pg_sys::Datum::from(relation));
        let class = pg_sys::GETSTRUCT(tuple.as_mut()?).cast::<pg_sys::FormData_pg_class>();
        let owner = class.as_ref().map(|class| class.relowner);
        pg_sys::ReleaseSysCache(tuple);
        owner
    }
}

/// Whether a function takes two texts and returns one text.
pub fn is_text_of_two_texts(function: pg_sys::Oid) -> bool {
    with_pg_proc(function, |entry| {
        // SAFETY: pronargs is the length of proargtypes.
        let types = unsafe { entry.proargtypes.values.as_slice(entry.pronargs as usize) };
        entry.prorettype == pg_sys::TEXTOID && !entry.proretset && types == [pg_sys::TEXTOID, pg_sys::TEXTOID]
    })
    .unwrap_or(false)
}

/// Calls `work` with the row of pg_proc; `None` if there is no such function.
fn with_pg_proc<T>(function: pg_sys::Oid, work: impl FnOnce(&pg_sys::FormData_pg_proc) -> T) -> Option<T> {
    // SAFETY: the row is not used after it is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::PROCOID as i32,
            pg_sys::Datum::from(function),
        );
        let result = pg_sys::GETSTRUCT(tuple.as_mut()?).cast::<pg_sys::FormData_pg_proc>().as_ref().map(work);
        pg_sys::ReleaseSysCache(tuple);
        result
    }
}
