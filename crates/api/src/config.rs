//! The configuration: the command line and the environment, and what is made of them.

mod admin;
mod conninfo;
mod database;
mod options;
mod passfile;
mod secret;
mod tls;
mod token;

pub use admin::Admin;
pub use options::{Arguments, Command, LogFormat, LogLevel, Options};
pub use token::Token;
