//! `model-access install`, `upgrade`, `version` and `uninstall`, without the library and as a role that is not a superuser.

#![allow(clippy::unwrap_used, clippy::panic)] // a test ends there
