//! Compares the model catalogue with the stored rows and plans the changes. Nothing here needs PostgreSQL or the
//! network.
//!
//! [`document::parse`] parses a document, [`plan::plan`] decides, and the SQL function `model_access_apply` writes the
//! resulting [`plan::Plan`].

pub mod document;
pub mod entry;
pub mod guard;
pub mod lifecycle;
pub mod plan;
pub mod price;
pub mod problem;
mod scan;
mod shape;
pub mod state;
