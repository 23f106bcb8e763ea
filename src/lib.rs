//! Attaches to a Tokio service over the console-subscriber feed it already serves, works out what is wrong, says where and why.
//!
//! Modules in the order of the data's flow: [`feed`] (where it comes from), [`model`] (what is known), [`evidence`] (what it means),
//! [`detect`] (what is wrong), [`diagnosis`] (these joined for one target), [`fleet`] (several targets), [`compare`](mod@compare) (canary against stable), [`witness`] (one finding, cut out of a recording), [`doctor`] (whether a target can be watched), [`report`] (rows and words for
//! every front end), [`tui`] (show a person), [`alert`] (tell a machine), [`config`] (what the user wants), and [`cli`], [`run`] and
//! [`explain`], which offer it as a command. [`files`], [`panics`], [`paths`], [`playing`], [`secret`], [`wire`], [`words`] and [`spelling`] are leaves that several layers use.

#![forbid(unsafe_code)]

pub mod alert;
pub mod cli;
pub mod compare;
pub mod config;
pub mod detect;
pub mod diagnosis;
pub mod doctor;
pub mod evidence;
pub mod explain;
pub mod feed;
pub mod files;
pub mod fleet;
pub mod model;
pub mod panics;
pub mod paths;
pub mod playing;
pub mod report;
pub mod run;
pub mod secret;
pub mod setup;
pub mod spelling;
pub mod tui;
pub mod wire;
pub mod witness;
pub mod words;
