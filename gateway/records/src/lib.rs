//! Typed record, consent, access and audit calls over a Fabric channel; sealing, vault and index
