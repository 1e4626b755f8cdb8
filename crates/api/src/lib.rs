//! The service behind `/api/models`: a bearer token says who asks, PostgreSQL says which models that user may use.
//!
//! A request is authenticated in [`auth`] with the keys of [`keys`], answered in [`http`] from [`models`], which
//! asks [`database`] once and keeps the answer in [`cache`] while [`listener`] hears every change.

pub mod auth;
pub mod cache;
pub mod conditional;
pub mod config;
pub mod database;
pub mod filter;
pub mod http;
pub mod keys;
pub mod list;
pub mod listener;
pub mod metrics;
pub mod models;
pub mod problem;
pub mod server;
