//! The caretrail command line
