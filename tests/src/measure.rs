//! What benchmarks measure with: load, processes, rounds that alternate, a table.
//!
//! A benchmark compares sides within one run. Each side gets its turn in every [round](rounds), in turned order, so
//! that a machine that slows down slows all of them; a ratio is taken round by round, and its spread is told with it.

pub mod latency;
pub mod load;
pub mod process;
pub mod rounds;
pub mod table;
