//! The members of the consumer group.

use crate::client::{self, TIMEOUT};
use crate::error::BrokerError;
use crate::reader::Quiet;
use crate::standalone_consumer::StandaloneConsumer;
use everyframe_config::KafkaSettings;
use rdkafka::consumer::Consumer as _;

/// A member of the group: a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// The member's id, which the broker chose.
    pub id: String,
    /// The client's id.
    pub client: String,
    /// The address from which it is connected.
    pub address: String,
}

/// Lists the members of the group, without joining it.
///
/// # Errors
///
/// The brokers do not answer, or refuse this user.
pub fn list_group_members(settings: &KafkaSettings) -> Result<Vec<GroupMember>, BrokerError> {
    let failed = |error| BrokerError::from_rdkafka(error, &settings.brokers);
    let consumer = StandaloneConsumer::new(&client::consumer(settings, &[]), Quiet).map_err(failed)?;
    let list = consumer.fetch_group_list(Some(&settings.group), TIMEOUT).map_err(failed)?;
    let members = list.groups().iter().flat_map(|group| group.members());
    let member = |member: &rdkafka::groups::GroupMemberInfo| GroupMember {
        id: member.id().to_owned(),
        client: member.client_id().to_owned(),
        address: member.client_host().trim_start_matches('/').to_owned(),
    };
    Ok(members.map(member).collect())
}
