//! Reads a table as its owner, in a security-restricted operation with a GUC level of its own: what ANALYZE and VACUUM do.
//!
//! Whoever reads a table runs code of its owner: the planner evaluates IMMUTABLE calls in its indexes and statistics with
//! the rights of the reader. So nobody but the owner reads it here. An error leaves the user, the security context and
//! the settings to the end of the (sub)transaction, which puts them back.

#![allow(unsafe_code)] // relations, roles and plans are PostgreSQL's own

use crate::functions::owner_of_relation;
use pgrx::{PgTryBuilder, pg_sys};
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char};
use std::panic::AssertUnwindSafe;

/// A table that is open and locked while the rights of its owner are in force.
pub struct Table {
    relation: pg_sys::Relation,
    caller: pg_sys::Oid,
}

/// A column as a statement names it, and its type; of a domain its base type.
pub struct Column {
    pub name: String,
    pub base_type: pg_sys::Oid,
}

/// A value that a statement is given.
pub struct Argument {
    pub type_id: pg_sys::Oid,
    pub value: Option<pg_sys::Datum>,
}

/// What a kept plan is of: a text, and the types of its arguments.
type Statement = (String, Vec<pg_sys::Oid>);

/// The values of a row, as their types print them.
pub type Row = Vec<Option<String>>;

/// What becomes of what code of the owner did meanwhile.
#[derive(Clone, Copy, PartialEq)]
pub enum Effect {
    /// Nothing stays, neither rows nor cursors nor locks: reading has no effects.
    Undone,
    /// All stays: the statement was to write.
    Kept,
}

/// Runs `work` as the owner of an ordinary or partitioned table that is not temporary, and whose partitions belong to the
/// same role; `None` if there is no such table.
pub fn as_owner<T>(table: pg_sys::Oid, effect: Effect, work: impl FnOnce(&Table) -> T) -> Option<T> {
    // SAFETY: the relation is open and locked until it is closed below; AccessShareLock is what any SELECT takes, and
    // lasts to the end of the transaction as that does.
    unsafe {
        let relation = pg_sys::try_relation_open(table, pg_sys::AccessShareLock as i32);
        let class = relation.as_ref()?.rd_rel.as_ref()?;
        let (mut caller, mut context) = (pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&mut caller, &mut context);
        let is_readable = class.relpersistence as u8 != pg_sys::RELPERSISTENCE_TEMP
            && match class.relkind as u8 {
                pg_sys::RELKIND_RELATION => true,
                pg_sys::RELKIND_PARTITIONED_TABLE => has_one_owner(table, class.relowner),
                _ => false,
            };
        let result = is_readable.then(|| {
            in_subtransaction(effect, || {
                let restricted = pg_sys::SECURITY_RESTRICTED_OPERATION
                    | pg_sys::SECURITY_LOCAL_USERID_CHANGE
                    | pg_sys::SECURITY_NOFORCE_RLS;
                pg_sys::SetUserIdAndSecContext(class.relowner, context | restricted as i32);
                let guc_level = pg_sys::NewGUCNestLevel();
                pin_search_path();
                let result = work(&Table { relation, caller });
                pg_sys::AtEOXact_GUC(false, guc_level);
                pg_sys::SetUserIdAndSecContext(caller, context);
                result
            })
        });
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
        result
    }
}

unsafe extern "C-unwind" {
    /// A table and all that inherits from it, locked; catalog/pg_inherits.h.
    fn find_all_inheritors(
        table: pg_sys::Oid,
        lock: pg_sys::LOCKMODE,
        parents: *mut *mut pg_sys::List,
    ) -> *mut pg_sys::List;
}

/// Whether a partitioned table and all its partitions are of one role: code of a partition's owner is no code of the table's.
unsafe fn has_one_owner(table: pg_sys::Oid, owner: pg_sys::Oid) -> bool {
    // SAFETY: PostgreSQL's own list.
    unsafe {
        let members = pg_sys::ffi::pg_guard_ffi_boundary(|| {
            find_all_inheritors(table, pg_sys::AccessShareLock as i32, std::ptr::null_mut())
        });
        (0..pg_sys::list_length(members))
            .all(|n| owner_of_relation(pg_sys::list_nth_oid(members, n)) == Some(owner))
    }
}

/// A security-restricted operation may still open and close cursors of the session: whoever reads them later is somebody
/// else. What a subtransaction opened ends with it.
fn in_subtransaction<T>(effect: Effect, work: impl FnOnce() -> T) -> T {
    // SAFETY: as PL/pgSQL runs a block with EXCEPTION; the result is Rust's own, and an error is copied before it goes on.
    unsafe {
        let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let back = move || {
            pg_sys::MemoryContextSwitchTo(context);
            pg_sys::CurrentResourceOwner = owner;
        };
        let result = PgTryBuilder::new(AssertUnwindSafe(work))
            .catch_others(|error| {
                pg_sys::RollbackAndReleaseCurrentSubTransaction();
                back();
                error.rethrow()
            })
            .execute();
        match effect {
            Effect::Undone => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
            Effect::Kept => pg_sys::ReleaseCurrentSubTransaction(),
        }
        back();
        result
    }
}

fn pin_search_path() {
    const PINNED: &CStr = c"pg_catalog, pg_temp";
    // SAFETY: static strings, and one of PostgreSQL's that is there from its start; the GUC level of the caller undoes it.
    unsafe {
        // functions that SET it so look users up, and setting it again would be felt in each lookup
        if CStr::from_ptr(pg_sys::namespace_search_path) == PINNED {
            return;
        }
        pg_sys::set_config_option(
            c"search_path".as_ptr(),
            PINNED.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
    }
}

impl Table {
    /// Whether the role that asked could act as the owner by itself.
    pub fn caller_may_act_as_owner(&self) -> bool {
        // SAFETY: the relation is open.
        unsafe { pg_sys::has_privs_of_role(self.caller, (*(*self.relation).rd_rel).relowner) }
    }

    /// The table as FROM names it: a partitioned one with its partitions, another without what inherits from it.
    pub fn source(&self) -> String {
        // SAFETY: the relation is open, and the strings are copied before their memory is reset.
        unsafe {
            let class = &*(*self.relation).rd_rel;
            let schema = pg_sys::get_namespace_name(class.relnamespace);
            let name = text(pg_sys::quote_qualified_identifier(schema, class.relname.data.as_ptr()));
            if class.relkind as u8 == pg_sys::RELKIND_RELATION { format!("ONLY {name}") } else { name }
        }
    }

    /// A column by its number; `None` if it was dropped.
    pub fn column(&self, number: i16) -> Option<Column> {
        // SAFETY: lookups in the system cache of a relation that is open.
        unsafe {
            let table = (*self.relation).rd_id;
            let type_id = pg_sys::get_atttype(table, number);
            let name = pg_sys::get_attname(table, number, true);
            (type_id != pg_sys::InvalidOid && !name.is_null()).then(|| Column {
                name: text(pg_sys::quote_identifier(name)),
                base_type: pg_sys::getBaseType(type_id),
            })
        }
    }

    /// Runs a statement that reads nothing but this table, by a plan that is kept for the next time; at most `limit`
    /// rows. `None` if the names in it mean another table by now.
    pub fn read_by_kept_plan(&self, statement: &str, arguments: &[Argument], limit: i64) -> Option<Vec<Row>> {
        thread_local! {
            static KEPT: RefCell<Option<(Statement, pg_sys::SPIPlanPtr)>> = const { RefCell::new(None) };
            static DEPTH: Cell<u32> = const { Cell::new(0) };
        }
        struct Depth;
        impl Drop for Depth {
            fn drop(&mut self) {
                DEPTH.set(DEPTH.get() - 1);
            }
        }
        DEPTH.set(DEPTH.get() + 1);
        let _depth = Depth;
        // SAFETY: SPI is connected around all of it, and a plan is freed only where nothing can be running it: code of the
        // table's owner may come back here while its statement runs.
        unsafe {
            pg_sys::SPI_connect();
            let types: Vec<pg_sys::Oid> = arguments.iter().map(|argument| argument.type_id).collect();
            let kept = KEPT.with_borrow(|kept| {
                kept.as_ref()
                    .filter(|((text, of), _)| text == statement && *of == types)
                    .map(|(_, plan)| *plan)
            });
            let plan = match kept {
                Some(plan) => plan,
                None => {
                    let plan = prepare(statement, arguments);
                    if DEPTH.get() == 1 {
                        pg_sys::SPI_keepplan(plan);
                        if let Some((_, old)) = KEPT.replace(Some(((statement.to_owned(), types), plan))) {
                            pg_sys::SPI_freeplan(old);
                        }
                    }
                    plan
                }
            };
            let rows = self.run(plan, arguments, limit, true);
            let means_this = self.is_all_that(plan);
            pg_sys::SPI_finish();
            means_this.then_some(rows)
        }
    }

    /// Runs a statement once, whatever it reads.
    pub fn read(&self, statement: &str, arguments: &[Argument]) -> Vec<Row> {
        // SAFETY: SPI is connected around all of it.
        unsafe {
            pg_sys::SPI_connect();
            let rows = self.run(prepare(statement, arguments), arguments, 0, true);
            pg_sys::SPI_finish();
            rows
        }
    }

    /// Runs a statement that writes; the number of rows that it wrote.
    pub fn execute(&self, statement: &str) -> i64 {
        // SAFETY: SPI is connected around all of it.
        unsafe {
            pg_sys::SPI_connect();
            self.run(prepare(statement, &[]), &[], 0, false);
            let written = pg_sys::SPI_processed;
            pg_sys::SPI_finish();
            written.try_into().unwrap_or(i64::MAX)
        }
    }

    unsafe fn run(
        &self,
        plan: pg_sys::SPIPlanPtr,
        arguments: &[Argument],
        limit: i64,
        read_only: bool,
    ) -> Vec<Row> {
        let mut values: Vec<pg_sys::Datum> =
            arguments.iter().map(|argument| argument.value.unwrap_or(pg_sys::Datum::from(0))).collect();
        let nulls: Vec<c_char> = arguments
            .iter()
            .map(|argument| if argument.value.is_some() { b' ' } else { b'n' } as c_char)
            .collect();
        // SAFETY: as many values and marks as the plan has parameters; the rows live until SPI_finish.
        unsafe {
            pg_sys::SPI_execute_plan(plan, values.as_mut_ptr(), nulls.as_ptr(), read_only, limit);
            let Some(rows) = pg_sys::SPI_tuptable.as_ref() else { return Vec::new() };
            let columns = (*rows.tupdesc).natts;
            let value = |row, column| {
                let value = pg_sys::SPI_getvalue(row, rows.tupdesc, column);
                (!value.is_null()).then(|| text(value))
            };
            let tuples = std::slice::from_raw_parts(rows.vals, pg_sys::SPI_processed as usize);
            tuples.iter().map(|row| (1..=columns).map(|column| value(*row, column)).collect()).collect()
        }
    }

    /// Whether this table is all that a plan's statement names.
    unsafe fn is_all_that(&self, plan: pg_sys::SPIPlanPtr) -> bool {
        // SAFETY: a plan of one statement has one source.
        unsafe {
            let sources = pg_sys::SPI_plan_get_plan_sources(plan);
            let source = pg_sys::list_nth(sources, 0).cast::<pg_sys::CachedPlanSource>();
            let tables = (*source).relationOids;
            pg_sys::list_length(tables) == 1 && pg_sys::list_nth_oid(tables, 0) == (*self.relation).rd_id
        }
    }
}

unsafe fn prepare(statement: &str, arguments: &[Argument]) -> pg_sys::SPIPlanPtr {
    let statement = CString::new(statement).unwrap_or_default();
    let mut types: Vec<pg_sys::Oid> = arguments.iter().map(|argument| argument.type_id).collect();
    // SAFETY: as many types as said; SPI copies them and the text.
    unsafe { pg_sys::SPI_prepare(statement.as_ptr(), types.len() as i32, types.as_mut_ptr()) }
}

/// A copy of a string of PostgreSQL's; the database is UTF8.
unsafe fn text(string: *const c_char) -> String {
    // SAFETY: a NUL-terminated string that lives through the call.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}
