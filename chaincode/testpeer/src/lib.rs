//! An in-memory Fabric peer that speaks the real chaincode stream, for contract tests
