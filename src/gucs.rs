//! The parameters of the library: `model_access.url`, `timeout`, `max_body`, `max_entry`, `max_entry_values` and `proxy` steer
//! the fetch, `on_behalf_of` is a claim for the history.

use catalog::entry::{Limits, MAX_ENTRY_BYTES, MAX_VALUES};
use fetch::{Request, check_proxy, check_url};
use pgrx::pg_sys;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};
use std::ffi::{CStr, CString, c_char, c_void};
use std::time::Duration;

static URL: GucSetting<Option<CString>> =
    GucSetting::<Option<CString>>::new(Some(c"https://openrouter.ai/api/v1/models"));
static TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(30_000);
static MAX_BODY: GucSetting<i32> = GucSetting::<i32>::new(16 * 1024);
static MAX_ENTRY: GucSetting<i32> = GucSetting::<i32>::new((MAX_ENTRY_BYTES / 1024) as i32);
static MAX_ENTRY_VALUES: GucSetting<i32> = GucSetting::<i32>::new(MAX_VALUES as i32);
static PROXY: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));
/// Read by the history in SQL; defined here because the prefix is reserved.
static ON_BEHALF_OF: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

const USABLE_URL: &CStr = c"Use a URL such as https://openrouter.ai/api/v1/models.";
const USABLE_PROXY: &CStr =
    c"Use a URL such as http://proxy.example:3128. A proxy that needs a password must be set in \
    the server's environment, as HTTPS_PROXY.";

/// The fetch that the parameters ask for.
pub fn fetch_request() -> Request {
    let text = |setting: &GucSetting<Option<CString>>| {
        setting.get().map(|value| value.to_string_lossy().into_owned()).unwrap_or_default()
    };
    Request {
        url: text(&URL),
        user_agent: concat!("model_access/", env!("CARGO_PKG_VERSION")),
        timeout: Duration::from_millis(TIMEOUT.get().unsigned_abs().into()),
        max_body: MAX_BODY.get().unsigned_abs() as usize * 1024,
        proxy: text(&PROXY),
    }
}

/// What an entry of the catalogue may hold.
pub fn limits() -> Limits {
    Limits {
        max_bytes: MAX_ENTRY.get().unsigned_abs() as usize * 1024,
        max_values: MAX_ENTRY_VALUES.get().unsigned_abs() as usize,
    }
}

/// Defines the settings and reserves their prefix.
#[allow(unsafe_code)] // check hooks, and a call that pgrx does not wrap
pub fn register() {
    // SAFETY: the hooks have the signature that PostgreSQL expects, and do not unwind.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"model_access.url",
            c"Where the sync fetches the model catalogue.",
            c"An https URL; http is accepted for this machine itself.",
            &URL,
            GucContext::Suset,
            GucFlags::default(),
            Some(check_url_hook),
            None,
            None,
        );
        GucRegistry::define_string_guc_with_hooks(
            c"model_access.proxy",
            c"The proxy that the sync goes through.",
            c"A URL, none, or empty for what the server's environment says.",
            &PROXY,
            GucContext::Suset,
            // it tells of the network
            GucFlags::SUPERUSER_ONLY,
            Some(check_proxy_hook),
            None,
            None,
        );
    }
    GucRegistry::define_int_guc(
        c"model_access.timeout",
        c"How long a fetch may take, with everything that belongs to it.",
        c"One deadline over name lookup, connect, TLS, body and further attempts.",
        &TIMEOUT,
        100,
        600_000,
        GucContext::Suset,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"model_access.max_body",
        c"The largest catalogue that is read, after decompression.",
        c"A larger answer is refused.",
        &MAX_BODY,
        1,
        64 * 1024,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"model_access.max_entry",
        c"The largest entry of a catalogue that is read, without its ignored_keys.",
        c"A larger entry is named in unusable; its row stays as it is.",
        &MAX_ENTRY,
        1,
        16 * 1024,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"model_access.max_entry_values",
        c"The most JSON values within an entry of a catalogue that is read, without its ignored_keys.",
        c"An entry with more is named in unusable; its row stays as it is.",
        &MAX_ENTRY_VALUES,
        100,
        1_000_000,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"model_access.on_behalf_of",
        c"For whom a service changes decisions, as the history records it.",
        c"A claim of the session, not checked: set it with SET LOCAL, in the transaction that changes something.",
        &ON_BEHALF_OF,
        GucContext::Userset,
        GucFlags::default(),
    );
    // SAFETY: a plain call with a static string.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"model_access".as_ptr()) };
}

#[allow(unsafe_code)] // called by PostgreSQL
unsafe extern "C-unwind" fn check_url_hook(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes the address of a string or of NULL.
    unsafe { check(value, |text| check_url(text).map(drop), USABLE_URL) }
}

#[allow(unsafe_code)] // called by PostgreSQL
unsafe extern "C-unwind" fn check_proxy_hook(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: as above.
    unsafe { check(value, check_proxy, USABLE_PROXY) }
}

/// Checks a value; if it is invalid, sets DETAIL and HINT of PostgreSQL's own error message.
#[allow(unsafe_code)] // the pointer is PostgreSQL's, and so are the two globals
unsafe fn check(
    value: *mut *mut c_char,
    valid: impl Fn(&str) -> Result<(), fetch::Error>,
    hint: &CStr,
) -> bool {
    // SAFETY: the caller passes what PostgreSQL gave; the strings are copied into its memory.
    unsafe {
        if (*value).is_null() {
            return true;
        }
        let Err(error) = valid(&CStr::from_ptr(*value).to_string_lossy()) else { return true };
        let detail = error.detail.and_then(|detail| CString::new(detail).ok());
        pg_sys::GUC_check_errdetail_string =
            detail.map_or(std::ptr::null_mut(), |detail| pg_sys::pstrdup(detail.as_ptr()));
        pg_sys::GUC_check_errhint_string = pg_sys::pstrdup(hint.as_ptr());
        false
    }
}
