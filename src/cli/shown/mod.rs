//! How `status` and `top` show the daemon's status: the same words, figures and columns in both; `shape` has its texts made fit here too.
//!
//! | module | does |
//! | --- | --- |
//! | [`text`] | makes texts fit for a terminal: without control characters, cut or wrapped to a width |
//! | [`figures`] | lengths of time, bytes, rates, and a curve |
//! | [`columns`] | which columns fit into a width |
//! | [`rows`] | one row for each connection |
//! | [`table`] | these rows laid out |
//! | [`matters`] | what stands in the way, Kafka, journals and the last reload, a line each |
//!
//! Promise: pure.

pub(super) mod columns;
pub(super) mod figures;
#[cfg(test)]
pub(super) mod made_up;
pub(super) mod matters;
pub(super) mod rows;
pub(super) mod table;
pub(super) mod text;
