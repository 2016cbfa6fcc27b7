//! Compressed bytes in, whole records out (protocol notes, section 5).
//!
//! | module | holds |
//! | --- | --- |
//! | [`gzip`] | [`Gunzip`]: inflates step by step, over any number of gzip members, and holds nothing back |
//! | [`records`] | [`RecordSplitter`]: cuts the inflated bytes into runs of whole records, without parsing one |
//!
//! Both are fed by their caller and know no socket, clock or runtime. Memory is bounded whatever comes in.

pub mod gzip;
mod gzip_header;
pub mod records;

pub use gzip::{CorruptGzip, Gunzip, Step};
pub use records::{Piece, RecordSplitter, TooLong};
