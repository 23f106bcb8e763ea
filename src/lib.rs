//! Attaches to a Tokio service over the console-subscriber feed it already serves, works out what is wrong, says where and why.
//!
//! Modules in reading order; data flows down the list:
//! [`feed`] (where it comes from), [`model`] (what is known), [`detect`] (what is wrong), [`diagnosis`] (the three joined for one target),
//! then the two front ends [`tui`] (show a person) and [`alert`] (tell a machine), and [`cli`] and [`run`], which wire one to the other.

pub mod detect;
pub mod diagnosis;
pub mod feed;
pub mod model;
