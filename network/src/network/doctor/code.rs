//! The known failures: each with its code, what is seen, what it is, and what helps.

use std::fmt;

use serde::{Serialize, Serializer};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something does not work.
    Error,
    /// It works, and will not for long, or not after the next start.
    Warning,
}

/// What is known of a failure, whichever node has it.
struct Known {
    code: &'static str,
    severity: Severity,
    symptom: &'static str,
    cause: &'static str,
    /// `{command}` stands for the operator's command, `{node}` for whom it concerns, `{folder}` for the state folder.
    fix: &'static str,
}

macro_rules! codes {
    ($($(#[$section:meta])* $variant:ident $severity:ident $code:literal: $symptom:literal, $cause:literal, $fix:literal;)*) => {
        /// A known failure; its text is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $symptom] $variant,)*
        }

        impl Code {
            /// Every known failure, in the order in which causes come before what they cause.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            const fn known(self) -> Known {
                match self {
                    $(Code::$variant => Known {
                        code: $code,
                        severity: Severity::$severity,
                        symptom: $symptom,
                        cause: $cause,
                        fix: $fix,
                    },)*
                }
            }
        }
    };
}

codes! {
    // The folder and the machine.
    FolderLocked Warning "folder-locked":
        "another command is at work in the state folder",
        "two operators, or a timer and an operator, work on the same network at once; one of them has to wait",
        "wait until the process that is named ends, then: {command} doctor";
    SpecInvalid Error "spec-invalid":
        "the spec's file cannot be used",
        "a value in it is none that Fabric or this program takes",
        "mend the field that is named, then: {command} doctor --spec FILE";
    SpecEdited Error "spec-edited":
        "the spec says something else than the network in the folder is",
        "the spec was edited under a running network; `up` never changes who takes part",
        "put the field back, or: {command} plan --spec FILE && {command} apply --spec FILE";
    ApplyUnfinished Warning "apply-unfinished":
        "a step of an apply is half done",
        "an `apply` was interrupted; until it is finished no other spec is taken",
        "{command} apply";
    RenewalUnfinished Warning "renewal-unfinished":
        "a renewed certificate waits for its place",
        "a renewal was interrupted between issuing the certificate and restarting its node",
        "{command} certificates renew {node}";
    DiskAlmostFull Error "disk-almost-full":
        "the disk of the state folder is almost full",
        "ledgers and logs grow; a node that cannot write its ledger ends",
        "free space, or move the folder to a larger disk; what takes it: du -sh {folder}/*";
    ProcessOrphaned Error "process-orphaned":
        "a process belongs to this folder, and nothing in the folder knows it",
        "the folder was removed or replaced while its network ran",
        "{command} down";
    PortsForeign Error "ports-foreign":
        "the file of ports names a port on which another network's process listens",
        "`ports.json` was copied from another network, or that network was stood up while this one was down",
        "stop the other network, whose folder is named, or restore this folder's own ports.json";
    PortTaken Error "port-taken":
        "a node's port is taken by a process that is not the network's",
        "something else on this machine listens there, so that the node cannot start",
        "end the process that is named: kill PID; then: {command} up";
    ProfileStale Warning "profile-stale":
        "an organisation's connection profile is not what the network is",
        "it was copied, edited, or written before addresses or packages changed; clients that use it call in vain",
        "{command} up";
    // Programs.
    ProgramsMissing Error "programs-missing":
        "Fabric's programs are nowhere and cannot be built",
        "neither a folder with them nor a Go toolchain is on this machine",
        "install Go 1.24 or newer, or: {command} up --fabric-bin FOLDER";
    VersionWrong Error "version-wrong":
        "Fabric's programs are of another version than the spec's",
        "a folder that was named, or PATH, holds another release; a network of mixed releases behaves as neither",
        "{command} up --fabric-bin FOLDER, with the programs of the release that the spec names";
    BuilderMissing Error "builder-missing":
        "the program that builds chaincode packages for a peer is gone",
        "the program that stood the network up was moved or removed; the peer calls it whenever it builds a package",
        "{command} up";
    // Keys and certificates.
    CertificateUnreadable Error "certificate-unreadable":
        "a certificate or its key is missing or cannot be read",
        "the file was damaged, removed, or belongs to another user",
        "restore the file that is named from a backup";
    KeyMismatch Error "key-mismatch":
        "a private key does not belong to the certificate beside it",
        "one of the two was copied from elsewhere, or a renewal replaced only one of them",
        "restore the pair from a backup; what the file is: openssl x509 -in FILE -noout -text";
    CertificateExpired Error "certificate-expired":
        "a certificate has expired",
        "it was not renewed in time; a node does not start again with it, and others refuse it",
        "{command} certificates renew {node}";
    CertificateNotYetValid Error "certificate-not-yet-valid":
        "a certificate is not valid yet",
        "it was issued on a machine whose clock is ahead, or this machine's clock is behind",
        "check both clocks: timedatectl; then: {command} certificates renew {node}";
    CertificateEndsSoon Warning "certificate-ends-soon":
        "a certificate is about to expire",
        "nobody has renewed it yet",
        "{command} certificates renew {node}";
    AuthorityEndsSoon Warning "authority-ends-soon":
        "an organisation's authority is about to expire, or has",
        "nobody has brought another one beside it yet; whatever it issued ends with it",
        "{command} certificates renew-authority {node}; one made elsewhere: {command} change propose FILE --title TEXT --add-authority MSPID=FILE, then issue from that";
    SanMismatch Error "san-mismatch":
        "a TLS certificate does not name the host at which its node is called",
        "it was issued for another host name or address",
        "issue it anew for the host and address that are named; what it names now: openssl x509 -in FILE -noout -ext subjectAltName";
    KeyExposed Warning "key-exposed":
        "a private key can be read by others than its owner",
        "its file was copied or restored without its permissions",
        "chmod 600 the file that is named";
    MspIdWrong Error "msp-id-wrong":
        "a node or organisation uses an MSP id that is not its own on the channel",
        "the MSP id was mistyped, or the node's configuration was copied from another organisation's",
        "put the MSP id of the channel into the spec or the file that is named, then: {command} up";
    MspRootWrong Error "msp-root-wrong":
        "an identity is not issued by the authorities that the channel knows of its organisation",
        "it is of another CA: another organisation's, or one that was made anew after the channel",
        "issue it by the organisation's CA, or bring its authority onto the channel: {command} change propose FILE --title TEXT --add-authority MSPID=FILE";
    TlsRootForeign Error "tls-root-foreign":
        "a TLS certificate is not issued by its organisation's TLS authority",
        "files of another organisation were put in its place; nobody who knows this one trusts it",
        "restore the node's tls folder from a backup, then: {command} up";
    AdminWithoutOu Error "admin-without-ou":
        "an organisation's admin is none on the channel",
        "its certificate has no organisational unit `admin`, by which the channel tells admins",
        "issue it with the unit `admin` (node_ou = \"admin\" in the spec)";
    CertificateRevoked Warning "certificate-revoked":
        "a certificate that is in use here is revoked on the channel",
        "its organisation revoked it, and it still lies in the folder: every peer refuses it",
        "issue another identity for whoever needs one, and remove the folder of {node}";
    RevocationNotOnChannel Error "revocation-not-on-channel":
        "a certificate is revoked by its CA, and not on the channel",
        "the revocation list was not carried through to the channel's configuration: peers still take the certificate",
        "{command} certificates revoke NAME --org {node}";
    // Ledgers and configuration.
    GenesisForeign Error "genesis-foreign":
        "the channel's first block in the folder is another channel's",
        "the file was copied from another network; a node that joins by it joins another channel",
        "restore channel/ from a backup, or fetch block 0 from a peer of the channel";
    LedgerForeign Error "ledger-foreign":
        "a node's ledger is of another node or organisation",
        "the data folder was copied or restored into the wrong place",
        "move the folder that is named away and restore the node's own, or let it fetch the ledger: {command} up";
    SettingOff Error "setting-off":
        "a peer's configuration switches something off that the network needs",
        "a key is missing in core.yaml; Fabric takes an absent key for off, and says nothing",
        "{command} up, which writes core.yaml anew from the release's own";
    // Processes.
    NetworkStopped Warning "network-stopped":
        "nothing of the network runs",
        "it was stopped, or this machine was started anew",
        "{command} up";
    OrdererDown Error "orderer-down":
        "an orderer does not run",
        "it ended or was stopped; the end of its log says why",
        "{command} up";
    PeerDown Error "peer-down":
        "a peer does not run",
        "it ended or was stopped: its organisation endorses and approves nothing by it",
        "{command} up";
    ServiceDown Error "service-down":
        "a further service of the network does not run",
        "it ended by itself; the end of its log says why",
        "look at its log: {command} logs {node}";
    LogPanic Error "log-panic":
        "a process ended by a panic",
        "Fabric panics on what it cannot go on with: a damaged folder, a missing file, a faulty setting",
        "read the lines before it: {command} logs {node}; mend what they name, then: {command} up";
    LogDiskFull Error "log-disk-full":
        "a process could not write because its disk was full",
        "the disk, a quota, or a file system that it writes to has no space left",
        "free space, then: {command} up";
    NodeUnreachable Error "node-unreachable":
        "a node runs and does not answer",
        "it is stopped (SIGSTOP), overloaded, or hangs",
        "{command} up, which lets a stopped one go on; one that hangs is ended first: kill -KILL PID; its log: {command} logs {node}";
    OperationsUnreachable Error "operations-unreachable":
        "a node's operations endpoint does not answer",
        "it listens on another port than the file of ports says, or its TLS files are others than its callers'",
        "{command} up; then see its log: {command} logs {node}";
    ClockSkew Error "clock-skew":
        "a node's clock is more than two seconds off this machine's",
        "a machine's clock is not kept by NTP; peers refuse proposals whose time is off",
        "on both machines: timedatectl set-ntp true";
    // Ordering.
    BftTooFew Error "bft-too-few":
        "BFT ordering has fewer than four nodes",
        "of fewer than four nodes, BFT bears no faulty one",
        "name four consenters or more in the spec, or use raft";
    NoQuorum Error "no-quorum":
        "too few orderers live for the ordering service to take a transaction",
        "more nodes are lost than its protocol bears: Raft needs more than half, BFT more than two thirds",
        "{command} up; a node that is lost for good: {command} apply --spec FILE, without it";
    NoLeader Error "no-leader":
        "enough orderers live, and none of them leads",
        "they do not reach or do not trust each other",
        "look for what their logs say of each other: {command} logs --grep 'leader|TLS|consenter'";
    OrdererNotJoined Error "orderer-not-joined":
        "an orderer runs and has not joined the channel",
        "a step that joins it was interrupted, or its ledger is lost",
        "{command} up, which lets it join if it never took part; one that lost its ledger is removed, and another one added: \
         {command} apply --spec FILE";
    OrdererBehind Error "orderer-behind":
        "an orderer has fewer blocks than the others, and does not catch up",
        "it does not reach the other orderers, or they do not trust its certificate",
        "{command} logs {node} --grep 'TLS|replicat|consenter'";
    ConsenterCertificateDiffers Error "consenter-certificate-differs":
        "an orderer uses another TLS key than the channel knows of it",
        "its certificate was replaced without changing the channel's configuration first; the other orderers refuse it",
        "restore its tls folder, then: {command} up; replace keys only by way of the channel";
    // Peers and the channel.
    PeerNotJoined Error "peer-not-joined":
        "a peer runs and has not joined the channel",
        "it was started with an empty ledger, or a step that joins it was interrupted",
        "{command} up";
    PeerBehind Error "peer-behind":
        "a peer has fewer blocks than the others, and does not catch up",
        "it reaches no orderer: their addresses changed, or it does not trust their TLS authority",
        "{command} logs {node} --grep 'deliver|orderer'";
    AnchorPeersMissing Warning "anchor-peers-missing":
        "an organisation has no anchor peer on the channel",
        "they were never set, or removed; after a restart the other organisations' peers do not find its peers",
        "{command} change propose anchors.json --title anchors --anchor-peers {node}=HOST:PORT; then sign and submit it";
    GossipAlone Error "gossip-alone":
        "a peer knows fewer peers of the channel than run",
        "no anchor peer, bootstrap peer or external endpoint leads them to each other; without, the gateway finds no endorsers",
        "check the channel's anchor peers and peer.gossip.externalEndpoint: {command} logs {node} --grep gossip";
    PolicyUnsatisfiable Error "policy-unsatisfiable":
        "a policy of the channel cannot be satisfied by the peers that live",
        "peers of organisations whose endorsement it wants are down or do not answer",
        "bring them back: {command} up; or, by agreement, change the policy: {command} change propose FILE --title TEXT --policy RULE";
    // Chaincode.
    ChaincodeDown Error "chaincode-down":
        "an organisation's chaincode service does not run",
        "it ended or was stopped; the end of its log says why",
        "{command} up";
    ChaincodeTlsMismatch Error "chaincode-tls-mismatch":
        "the peers and the chaincode service of an organisation do not trust each other",
        "the service was started with another certificate than the peers' builder values name, or the reverse",
        "{command} up, which starts the service with the organisation's own certificates";
    ChaincodeSilent Error "chaincode-silent":
        "a peer gets no answer of its chaincode service",
        "the service hangs, or listens elsewhere than the peer was told when it built the package",
        "{command} logs {node}; then: {command} up";
    PackageNotInstalled Error "package-not-installed":
        "the chaincode's package is not installed on a peer",
        "the peer is new or was restored without it, or the spec names another package",
        "{command} up";
    ApprovalDiffers Error "approval-differs":
        "an organisation approved another package than its peers have to run, or none",
        "an approval was made by hand, or an upgrade was not finished: its peers endorse nothing",
        "{command} up";
    DefinitionDiffers Error "definition-differs":
        "the chaincode's definition on the channel is another than the spec's",
        "the spec was changed and not brought onto the channel, or others committed a newer definition",
        "write the sequence that is named into the spec, then: {command} up";
    ServedDiffers Error "served-differs":
        "a chaincode service serves another package id than its organisation's peers call",
        "it was not started anew after an upgrade, or by hand with another CHAINCODE_ID",
        "{command} up";
    BuildStale Error "build-stale":
        "a peer's cached build of a package says something else than the organisation's values now",
        "address or certificates of the service changed; a peer never builds a package that it has built",
        "rm -r the folder that is named, then: {command} up";
}

impl Code {
    /// Its text, such as `peer-down`.
    pub const fn as_str(self) -> &'static str {
        self.known().code
    }

    /// How bad it is.
    pub const fn severity(self) -> Severity {
        self.known().severity
    }

    /// What is seen, without the names.
    pub const fn symptom(self) -> &'static str {
        self.known().symptom
    }

    /// What it comes from.
    pub const fn cause(self) -> &'static str {
        self.known().cause
    }

    /// What helps, with `{command}`, `{node}` and `{folder}` where they belong.
    pub const fn fix(self) -> &'static str {
        self.known().fix
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// All known failures as a Markdown table, for an operator whose command is named.
pub fn catalogue(command: &str) -> String {
    let mut text =
        String::from("| code | severity | what is seen | what it is | what helps |\n|---|---|---|---|---|\n");
    for code in Code::ALL {
        let cell = |words: &str| {
            words
                .replace("{command}", command)
                .replace("{node}", "NODE")
                .replace("{folder}", "FOLDER")
                .replace('|', "\\|")
        };
        let (symptom, cause, fix) = (cell(code.symptom()), cell(code.cause()), cell(code.fix()));
        text.push_str(&format!("| `{code}` | {} | {symptom} | {cause} | {fix} |\n", code.severity()));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_stable_words_and_each_says_what_helps() {
        let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(codes.len(), Code::ALL.len(), "no code stands twice");
        assert!(codes.len() >= 30);
        for code in Code::ALL {
            assert!(code.as_str().chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{code}");
            for words in [code.symptom(), code.cause(), code.fix()] {
                assert!(!words.is_empty() && !words.ends_with('.'), "{code}: {words}");
            }
        }
    }
}
