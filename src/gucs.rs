//! The configuration parameters (GUCs) of the library. All but `on_behalf_of` control the fetch.

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
/// SQL functions of the history read it. It is defined here because the prefix is reserved.
static ON_BEHALF_OF: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c""));

const USABLE_URL: &CStr = c"Use a URL such as https://openrouter.ai/api/v1/models.";
const USABLE_PROXY: &CStr =
    c"Use a URL such as http://proxy.example:3128. A proxy that needs a password must be set in \
    the server's environment, as HTTPS_PROXY.";

/// The request that the parameters describe. It is plain data, so a future may hold it.
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

/// The limits of an entry that the parameters set.
pub fn limits() -> Limits {
    Limits {
        max_bytes: MAX_ENTRY.get().unsigned_abs() as usize * 1024,
        max_values: MAX_ENTRY_VALUES.get().unsigned_abs() as usize,
    }
}

/// Defines the parameters and reserves their prefix.
#[allow(unsafe_code)] // check hooks, and a function that pgrx does not wrap
pub fn register() {
    // SAFETY: the hooks have the signature that PostgreSQL expects, and do not unwind.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"model_access.url",
            c"Sets the URL from which the sync fetches the model catalogue.",
            c"It must be an https URL, or an http URL of this machine.",
            &URL,
            GucContext::Suset,
            GucFlags::default(),
            Some(check_url_hook),
            None,
            None,
        );
        GucRegistry::define_string_guc_with_hooks(
            c"model_access.proxy",
            c"Sets the proxy that the sync uses.",
            c"It is a URL, \"none\", or empty to use the proxy from the server's environment.",
            &PROXY,
            GucContext::Suset,
            // it reveals parts of the network
            GucFlags::SUPERUSER_ONLY,
            Some(check_proxy_hook),
            None,
            None,
        );
    }
    GucRegistry::define_int_guc(
        c"model_access.timeout",
        c"Sets the maximum duration of a fetch.",
        c"It covers name lookup, connect, TLS, body and further attempts together.",
        &TIMEOUT,
        100,
        600_000,
        GucContext::Suset,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"model_access.max_body",
        c"Sets the maximum size of a catalogue after decompression.",
        c"The run fails if the response is larger.",
        &MAX_BODY,
        1,
        64 * 1024,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"model_access.max_entry",
        c"Sets the maximum size of an entry of the catalogue without its ignored_keys.",
        c"A larger entry is listed as unusable, and its row is not changed.",
        &MAX_ENTRY,
        1,
        16 * 1024,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"model_access.max_entry_values",
        c"Sets the maximum number of JSON values in an entry of the catalogue without its ignored_keys.",
        c"An entry with more values is listed as unusable, and its row is not changed.",
        &MAX_ENTRY_VALUES,
        100,
        1_000_000,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"model_access.on_behalf_of",
        c"Sets the person on whose behalf a service changes decisions.",
        c"The history records it as a claim that is not verified.",
        &ON_BEHALF_OF,
        GucContext::Userset,
        GucFlags::default(),
    );
    // SAFETY: the string is static.
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
