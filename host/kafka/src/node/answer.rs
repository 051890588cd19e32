//! Checks whether a node answers.

use crate::client::consumer;
use crate::reader::Quiet;
use crate::standalone_consumer::StandaloneConsumer;
use everyframe_config::KafkaSettings;
use rdkafka::consumer::Consumer as _;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

/// How long an answer may take: the node is on this machine.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// True if the node serves requests. It opens its port some moments earlier, so a connection alone proves nothing.
pub(super) fn is_there(address: &str) -> bool {
    let Ok(mut addresses) = address.to_socket_addrs() else { return false };
    // Much less work than a client, which is made anew each time: one that was refused waits before it tries again.
    if !addresses.any(|at| TcpStream::connect_timeout(&at, ANSWER_TIMEOUT).is_ok()) {
        return false;
    }
    let settings = KafkaSettings { brokers: address.to_owned(), ..KafkaSettings::default() };
    let Ok(client) = StandaloneConsumer::new(&consumer(&settings, &[]), Quiet) else {
        return false;
    };
    client.fetch_metadata(None, ANSWER_TIMEOUT).is_ok_and(|metadata| !metadata.brokers().is_empty())
}
