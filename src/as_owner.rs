//! Reads a table as its owner, in a security-restricted operation with its own GUC nest level, as ANALYZE and VACUUM do.
//!
//! Reading a table runs code of its owner with the privileges of the reader: the planner evaluates IMMUTABLE functions in
//! its indexes and statistics. So the table is read as its owner. After an error the end of the (sub)transaction restores
//! the user, the security context and the settings.

#![allow(unsafe_code)] // PostgreSQL's relations, roles and plans

use crate::functions::owner_of_relation;
use pgrx::{PgTryBuilder, pg_sys};
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char};
use std::panic::AssertUnwindSafe;

/// A table that is open and locked, while the current user is its owner.
pub struct Table {
    relation: pg_sys::Relation,
    caller: pg_sys::Oid,
}

/// The quoted name of a column, and its type; the base type if that is a domain.
pub struct Column {
    pub name: String,
    pub base_type: pg_sys::Oid,
}

/// A parameter of a statement.
pub struct Argument {
    pub type_id: pg_sys::Oid,
    pub value: Option<pg_sys::Datum>,
}

/// What a kept plan was made for: the text of the statement and the types of its parameters.
type Statement = (String, Vec<pg_sys::Oid>);

/// The values of a row, converted by the output functions of their types.
pub type Row = Vec<Option<String>>;

/// What happens to the effects of the owner's code that runs during the work.
#[derive(Clone, Copy, PartialEq)]
pub enum Effect {
    /// All effects are rolled back: rows, cursors and locks. Used for reading.
    Undone,
    /// All effects are kept. Used for writing.
    Kept,
}

/// Runs `work` as the owner of a table. `None` if there is no such table, or if it is temporary, neither ordinary nor
/// partitioned, or has a partition of another owner.
pub fn as_owner<T>(table: pg_sys::Oid, effect: Effect, work: impl FnOnce(&Table) -> T) -> Option<T> {
    // SAFETY: the relation is open until it is closed below. Like a SELECT, this takes AccessShareLock until the end of
    // the transaction.
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
    /// Locks a table and all tables that inherit from it, and returns their oids; see catalog/pg_inherits.h.
    fn find_all_inheritors(
        table: pg_sys::Oid,
        lock: pg_sys::LOCKMODE,
        parents: *mut *mut pg_sys::List,
    ) -> *mut pg_sys::List;
}

/// Whether a partitioned table and all its partitions have the same owner. Another owner's code must not run as `owner`.
unsafe fn has_one_owner(table: pg_sys::Oid, owner: pg_sys::Oid) -> bool {
    // SAFETY: the list comes from PostgreSQL.
    unsafe {
        let members = pg_sys::ffi::pg_guard_ffi_boundary(|| {
            find_all_inheritors(table, pg_sys::AccessShareLock as i32, std::ptr::null_mut())
        });
        (0..pg_sys::list_length(members))
            .all(|n| owner_of_relation(pg_sys::list_nth_oid(members, n)) == Some(owner))
    }
}

/// Runs `work` in a subtransaction. A security-restricted operation may open cursors, which another role could read
/// later; the end of the subtransaction closes them.
fn in_subtransaction<T>(effect: Effect, work: impl FnOnce() -> T) -> T {
    // SAFETY: this is how PL/pgSQL runs a block with EXCEPTION. The result is a Rust value, and an error is copied before
    // it is rethrown.
    unsafe {
        let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let restore = move || {
            pg_sys::MemoryContextSwitchTo(context);
            pg_sys::CurrentResourceOwner = owner;
        };
        let result = PgTryBuilder::new(AssertUnwindSafe(work))
            .catch_others(|error| {
                pg_sys::RollbackAndReleaseCurrentSubTransaction();
                restore();
                error.rethrow()
            })
            .execute();
        match effect {
            Effect::Undone => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
            Effect::Kept => pg_sys::ReleaseCurrentSubTransaction(),
        }
        restore();
        result
    }
}

fn pin_search_path() {
    const PINNED: &CStr = c"pg_catalog, pg_temp";
    // SAFETY: the strings are static, and namespace_search_path is always set. The GUC nest level of the caller restores
    // the setting.
    unsafe {
        // the calling functions usually SET it already, and setting it again would slow down each lookup
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
    /// Whether the calling role has the privileges of the owner.
    pub fn caller_has_privileges_of_owner(&self) -> bool {
        // SAFETY: the relation is open.
        unsafe { pg_sys::has_privs_of_role(self.caller, (*(*self.relation).rd_rel).relowner) }
    }

    /// The table for a FROM clause: with its partitions if it is partitioned, otherwise ONLY the table itself.
    pub fn source(&self) -> String {
        // SAFETY: the relation is open, and the strings are copied before their memory is reset.
        unsafe {
            let class = &*(*self.relation).rd_rel;
            let schema = pg_sys::get_namespace_name(class.relnamespace);
            let name = text(pg_sys::quote_qualified_identifier(schema, class.relname.data.as_ptr()));
            if class.relkind as u8 == pg_sys::RELKIND_RELATION { format!("ONLY {name}") } else { name }
        }
    }

    /// A column by its number; `None` if it does not exist.
    pub fn column(&self, number: i16) -> Option<Column> {
        // SAFETY: the relation is open; these are lookups in the system cache.
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

    /// Runs a statement that reads only this table, and returns at most `limit` rows. The plan is kept for the next call.
    /// `None` if the names in the statement now refer to another table.
    pub fn read_by_kept_plan(&self, statement: &str, arguments: &[Argument], limit: i64) -> Option<Vec<Row>> {
        thread_local! {
            static KEPT: RefCell<Option<(Statement, pg_sys::SPIPlanPtr)>> = const { RefCell::new(None) };
            static DEPTH: Cell<u32> = const { Cell::new(0) };
        }
        /// Decreases DEPTH when the call ends, also by an error.
        struct Depth;
        impl Drop for Depth {
            fn drop(&mut self) {
                DEPTH.set(DEPTH.get() - 1);
            }
        }
        DEPTH.set(DEPTH.get() + 1);
        let _depth = Depth;
        // SAFETY: SPI is connected meanwhile. Code of the table's owner may call this function while its statement runs,
        // so a plan is kept and freed at depth 1 only, where no other call can be running it.
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
            let is_only_table = self.is_only_table_of(plan);
            pg_sys::SPI_finish();
            is_only_table.then_some(rows)
        }
    }

    /// Runs a statement that reads, without keeping its plan.
    pub fn read(&self, statement: &str, arguments: &[Argument]) -> Vec<Row> {
        // SAFETY: SPI is connected meanwhile.
        unsafe {
            pg_sys::SPI_connect();
            let rows = self.run(prepare(statement, arguments), arguments, 0, true);
            pg_sys::SPI_finish();
            rows
        }
    }

    /// Runs a statement that writes, and returns the number of rows that it wrote.
    pub fn execute(&self, statement: &str) -> i64 {
        // SAFETY: SPI is connected meanwhile.
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
        // SAFETY: the plan has as many parameters as there are values and nulls; the rows live until SPI_finish.
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

    /// Whether a plan refers to this table and to no other.
    unsafe fn is_only_table_of(&self, plan: pg_sys::SPIPlanPtr) -> bool {
        // SAFETY: the plan of one statement has one source.
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
    // SAFETY: SPI copies the types and the text.
    unsafe { pg_sys::SPI_prepare(statement.as_ptr(), types.len() as i32, types.as_mut_ptr()) }
}

/// A copy of a string from PostgreSQL. The encoding of the database is UTF8.
unsafe fn text(string: *const c_char) -> String {
    // SAFETY: the string ends with NUL and lives during the call.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}
