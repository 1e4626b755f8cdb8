//! `model-access-api` as a process, over HTTP: who is let in, what is answered, and what a change does to it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test ends there

mod changes;
mod clients;
mod document;
mod ends;
mod installs;
mod keys;
mod lists;
mod service;
mod tokens;
