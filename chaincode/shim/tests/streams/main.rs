//! The shim on real streams: well-behaved peers, peers that misbehave, and TLS.

#[cfg(test)]
mod a_contract_on_a_peer;
#[cfg(test)]
mod a_peer_that_misbehaves;
#[cfg(test)]
mod a_service_under_load;
#[cfg(test)]
mod beyond_the_public_state;
#[cfg(test)]
mod hooks_of_a_router;
#[cfg(test)]
mod mutual_tls;
#[cfg(test)]
mod running_a_service;
#[cfg(test)]
mod support;
