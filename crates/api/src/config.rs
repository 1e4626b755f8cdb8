//! The configuration: the command line and the environment, and what is made of them.

mod database;
mod options;
mod secret;
mod tls;

pub use options::{LogFormat, LogLevel, Options};
