//! End-to-end tests of Caretrail on real Fabric processes
