//! The primary of a standby. `pg_stat_wal_receiver` would not show it to the owner of the extension, who lacks the
//! privileges of `pg_read_all_stats`.

use pgrx::pg_sys;
use pgrx::prelude::*;
use std::ffi::CStr;

/// Host and port of the primary; `None` if this server receives no WAL.
#[pg_extern(sql = false)]
#[allow(unsafe_code)] // shared memory
fn _model_access_primary() -> Option<String> {
    // SAFETY: the shared memory lives as long as the server, and the arrays are read within their bounds. A value that
    // is being written at this moment may be wrong, which only makes a hint wrong.
    unsafe {
        let receiver = pg_sys::WalRcv.as_ref().filter(|receiver| receiver.ready_to_display)?;
        let host = receiver.sender_host.map(|byte| byte as u8);
        let host = CStr::from_bytes_until_nul(&host).ok()?.to_str().ok()?;
        (!host.is_empty()).then(|| format!("{host} port {}", receiver.sender_port))
    }
}
