//! The daemon of a hospital: release of record versions on committed decisions
