//! This shim beside the official one for Go.

#[cfg(test)]
#[path = "../../examples/every_operation/contract.rs"]
mod every_operation;
#[cfg(test)]
mod the_official_go_shim;
