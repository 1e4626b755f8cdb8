//! The service behind `/api/models`: a bearer token says who asks, PostgreSQL says which models that user may use.
//!
//! [`routes`] answers a request: [`auth`] checks its token with the [`keys`], [`lookup`] finds the user's [`list`] in
//! the [`cache`] or asks the [`database`], and [`filter`] chooses from it. [`listener`] clears the cache at every change.
//! [`admin`] is another process: the page on which admins decide.

pub mod admin;
pub mod answer;
pub mod auth;
pub mod cache;
pub mod client;
pub mod code;
pub mod config;
pub mod cors;
pub mod database;
pub mod descriptors;
pub mod error_chain;
pub mod filter;
pub mod keys;
pub mod list;
pub mod listener;
pub mod lookup;
pub mod metrics;
pub mod middleware;
pub mod model;
pub mod pool;
pub mod problem;
pub mod routes;
pub mod server;
