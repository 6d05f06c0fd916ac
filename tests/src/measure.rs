//! What benchmarks measure with: load, processes, rounds that alternate, blocks that are counted, a table.
//!
//! A benchmark compares sides within one run. Each side gets its turn in every [round](rounds), in turned order, so
//! that a machine that slows down slows all of them; a ratio is taken round by round, and its spread is told with it.

pub mod bar;
pub mod chance;
pub mod contract;
pub mod latency;
pub mod load;
pub mod process;
pub mod rounds;
pub mod run;
pub mod settings;
pub mod shelf;
pub mod table;
pub mod verdicts;
pub mod words;
