//! The shim on real streams: well-behaved peers, peers that misbehave, and TLS.

#[cfg(test)]
mod a_contract_on_a_peer;
#[cfg(test)]
mod a_peer_that_misbehaves;
#[cfg(test)]
mod a_service_under_load;
#[cfg(test)]
mod an_answer_that_is_owed;
#[cfg(test)]
mod beyond_the_public_state;
#[cfg(test)]
mod calls_that_call_back;
#[cfg(test)]
mod certificates_in_files;
#[cfg(test)]
mod contracts_that_panic;
#[cfg(test)]
mod faults_on_demand;
#[cfg(test)]
mod hooks_of_a_router;
#[cfg(test)]
mod like_a_simple_model;
#[cfg(test)]
mod messages_of_every_size;
#[cfg(test)]
mod mutual_tls;
#[cfg(test)]
mod nothing_that_differs_between_peers;
#[cfg(test)]
mod reading_what_was_written;
#[cfg(test)]
mod running_a_service;
#[cfg(test)]
mod scans_close_themselves;
#[cfg(test)]
mod support;
