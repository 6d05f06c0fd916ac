//! Hyperledger Fabric's wire messages and services for [`prost`] and [`tonic`].
//!
//! One module per protobuf package, named as on the wire:
//!
//! | module | holds |
//! |---|---|
//! | [`common`] | envelopes, headers, blocks, channel configuration, policies, principals |
//! | [`msp`] | serialised identities and an organisation's membership rules |
//! | [`orderer`], [`etcdraft`] | broadcast, block streams, consensus settings |
//! | [`protos`] | proposals, transactions, the endorser, block events, the chaincode stream |
//! | [`gateway`] | the gateway service of a peer |
//! | [`lifecycle`] | arguments and results of the `_lifecycle` system chaincode |
//! | [`rwset`], [`kvrwset`], [`queryresult`] | read and write sets, query results |
//! | [`google`] | `google.rpc.Status`, the details of a failed call |
//!
//! Fields that hold another serialised message stay `Vec<u8>`: what somebody signed or hashed is
//! passed on byte for byte and never encoded again. Maps are ordered by key, so one message
//! value always has one encoding.
//!
//! Clients and servers are generated for every service, for example
//! [`gateway::gateway_client::GatewayClient`] and [`protos::chaincode_server::ChaincodeServer`].
//!
//! ```
//! use hlf_protos::msp::SerializedIdentity;
//! use prost::Message as _;
//!
//! let identity = SerializedIdentity { mspid: "NorthMSP".into(), id_bytes: b"PEM".to_vec() };
//! let bytes = identity.encode_to_vec();
//! assert_eq!(SerializedIdentity::decode(bytes.as_slice())?, identity);
//! # Ok::<(), prost::DecodeError>(())
//! ```

pub use prost;
pub use prost_types;

/// Declares the module of one protobuf package from its generated source.
macro_rules! package {
    ($(#[$docs:meta])* $name:ident, $file:literal $(, $child:item)?) => {
        $(#[$docs])*
        // Generated: every message carries the schema's comment, its fields speak by their names.
        #[allow(missing_docs, unreachable_pub, clippy::all)]
        pub mod $name {
            include!(concat!(env!("OUT_DIR"), "/", $file, ".rs"));
            $($child)?
        }
    };
}

package! {
    /// Envelopes, headers, blocks, channel configuration, policies and principals.
    common, "common"
}
package! {
    /// Serialised identities and an organisation's membership rules.
    msp, "msp"
}
package! {
    /// Broadcast to orderers, block streams and consensus settings.
    orderer, "orderer",
    /// Settings of BFT consensus.
    pub mod smartbft {
        include!(concat!(env!("OUT_DIR"), "/orderer.smartbft.rs"));
    }
}
package! {
    /// Members and settings of Raft consensus.
    etcdraft, "etcdraft"
}
package! {
    /// The peer: proposals, transactions, block events and the chaincode stream.
    protos, "protos"
}
package! {
    /// The gateway service of a peer.
    gateway, "gateway"
}
package! {
    /// Arguments and results of the `_lifecycle` system chaincode.
    lifecycle, "lifecycle"
}
package! {
    /// Read and write sets by namespace.
    rwset, "rwset"
}
package! {
    /// Read and write sets of one namespace.
    kvrwset, "kvrwset"
}
package! {
    /// Results of scans, queries and histories.
    queryresult, "queryresult"
}

/// Google's own packages that Fabric relies on.
pub mod google {
    package! {
        /// The status of a failed call, as `grpc-status-details-bin` carries it.
        rpc, "google.rpc"
    }
}
