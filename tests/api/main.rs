//! `model-access-api` as a process, over HTTP: who has access, what the service answers, and what a change does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test ends there

mod admin;
mod browser;
mod changes;
mod clients;
mod connections;
mod crowds;
mod document;
mod ends;
mod identity;
mod installs;
mod keys;
mod lists;
mod matrix;
mod outages;
mod poolers;
mod service;
mod tokens;
