//! What the model catalogue means for the rows already known, as plain values.
//!
//! A document enters through [`document::parse`], the decision is made by [`plan::plan`], and a
//! [`plan::Plan`] is all that the SQL function `model_access_apply` needs to write it. Nothing here
//! knows PostgreSQL, so everything here can be tested, fuzzed and run outside it.

pub mod document;
pub mod entry;
pub mod guard;
pub mod lifecycle;
pub mod plan;
pub mod price;
pub mod problem;
pub mod state;
