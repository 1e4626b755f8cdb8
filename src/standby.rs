//! Which server a standby follows: `pg_stat_wal_receiver` shows it only to roles that the extension's owner is not.

use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::CStr;

/// Host and port of the primary; `None` where no WAL is being received.
#[pg_extern(sql = false)]
#[allow(unsafe_code)] // shared memory
fn _model_access_primary() -> Option<String> {
    // SAFETY: shared memory that lives as long as the server. A value that is being written just now would be a
    // misleading hint, and no more: the arrays are read within their bounds.
    unsafe {
        let receiver = pg_sys::WalRcv.as_ref().filter(|receiver| receiver.ready_to_display)?;
        let host = receiver.sender_host.map(|byte| byte as u8);
        let host = CStr::from_bytes_until_nul(&host).ok()?.to_str().ok()?;
        (!host.is_empty()).then(|| format!("{host} port {}", receiver.sender_port))
    }
}
