//! What several views are made of.

pub mod chart;
pub mod line;
pub mod page;
pub mod rows;
pub mod sparkline;
pub mod table;
pub mod text;
