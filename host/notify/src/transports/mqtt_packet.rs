//! The packets of MQTT 3.1.1 and 5 that a client needs to publish with quality of service 1. Pure.
//!
//! <https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html>

use everyframe_config::MqttVersion;
use std::io::{Error, ErrorKind, Read};

/// The longest packet that is read, bytes: a broker only sends short answers.
const MAX_ANSWER: usize = 64 << 10;
/// The longest packet of the protocol, bytes after its fixed header.
const MAX_LENGTH: usize = 268_435_455;

/// What a client says of itself.
pub struct Connect<'a> {
    /// The version of the protocol.
    pub version: MqttVersion,
    /// The client's id.
    pub client: &'a str,
    /// The user.
    pub username: Option<&'a str>,
    /// Its password.
    pub password: Option<&'a str>,
}

/// A message.
pub struct Publish<'a> {
    /// The version of the protocol.
    pub version: MqttVersion,
    /// The topic.
    pub topic: &'a str,
    /// The number by which it is acknowledged, not 0.
    pub id: u16,
    /// The broker keeps it for clients that subscribe later.
    pub is_retained: bool,
    /// The content.
    pub payload: &'a [u8],
}

/// What a broker answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a connection; 0 is accepted.
    Connected(u8),
    /// To a message: its number, and the reason; from 128 on it is refused.
    Acknowledged(u16, u8),
    /// The broker ends the connection, for this reason.
    Disconnected(u8),
    /// Something that a publisher need not know.
    Other,
}

impl Connect<'_> {
    /// The packet. None if a text is too long for the protocol.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        put_text(&mut body, "MQTT")?;
        body.push(if self.version == MqttVersion::V5 { 5 } else { 4 });
        let clean_start = 0x02;
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        body.push(clean_start | flag(self.username.is_some(), 0x80) | flag(self.password.is_some(), 0x40));
        // No keep-alive: each message is acknowledged, so a dead connection is noticed by the next one.
        body.extend([0, 0]);
        put_no_properties(&mut body, self.version);
        put_text(&mut body, self.client)?;
        for text in [self.username, self.password].into_iter().flatten() {
            put_text(&mut body, text)?;
        }
        packet(0x10, &body)
    }
}

impl Publish<'_> {
    /// The packet. None if the message is too long for the protocol.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut body = Vec::with_capacity(self.payload.len() + self.topic.len() + 8);
        put_text(&mut body, self.topic)?;
        body.extend(self.id.to_be_bytes());
        put_no_properties(&mut body, self.version);
        body.extend(self.payload);
        let quality_of_service_1 = 0x02;
        packet(0x30 | quality_of_service_1 | u8::from(self.is_retained), &body)
    }
}

/// The packet that ends a connection in good order.
pub const DISCONNECT: [u8; 2] = [0xe0, 0];

/// Reads the next answer.
///
/// # Errors
///
/// The connection ended or was silent for too long, or the broker does not speak MQTT.
pub fn read_answer(from: &mut impl Read) -> Result<Answer, Error> {
    let mut kind = [0];
    from.read_exact(&mut kind)?;
    let mut body = vec![0; read_length(from)?];
    from.read_exact(&mut body)?;
    let byte = |place: usize| body.get(place).copied().unwrap_or(0);
    let broken = || Error::new(ErrorKind::InvalidData, "the broker does not speak MQTT as expected");
    match kind[0] >> 4 {
        2 if body.len() >= 2 => Ok(Answer::Connected(byte(1))),
        // A missing reason is success.
        4 if body.len() >= 2 => Ok(Answer::Acknowledged(u16::from_be_bytes([byte(0), byte(1)]), byte(2))),
        14 => Ok(Answer::Disconnected(byte(0))),
        2 | 4 => Err(broken()),
        0 | 15 => Err(broken()),
        _ => Ok(Answer::Other),
    }
}

fn read_length(from: &mut impl Read) -> Result<usize, Error> {
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    if length > MAX_ANSWER {
        return Err(Error::new(ErrorKind::InvalidData, "the broker's answer is too long for MQTT"));
    }
    Ok(length)
}

fn put_text(body: &mut Vec<u8>, text: &str) -> Option<()> {
    body.extend(u16::try_from(text.len()).ok()?.to_be_bytes());
    body.extend(text.as_bytes());
    Some(())
}

fn put_no_properties(body: &mut Vec<u8>, version: MqttVersion) {
    if version == MqttVersion::V5 {
        body.push(0);
    }
}

fn packet(kind: u8, body: &[u8]) -> Option<Vec<u8>> {
    let mut length = Some(body.len()).filter(|length| *length <= MAX_LENGTH)?;
    let mut packet = Vec::with_capacity(body.len() + 5);
    packet.push(kind);
    loop {
        let more = length > 0x7f;
        packet.push((length & 0x7f) as u8 | if more { 0x80 } else { 0 });
        length >>= 7;
        if !more {
            break;
        }
    }
    packet.extend(body);
    Some(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_opened_as_the_standard_says() {
        let connect = |version| Connect { version, client: "a", username: Some("u"), password: Some("p") };
        let old = connect(MqttVersion::V3).encode().unwrap();
        assert_eq!(old, b"\x10\x13\0\x04MQTT\x04\xc2\0\0\0\x01a\0\x01u\0\x01p");
        let new = connect(MqttVersion::V5).encode().unwrap();
        assert_eq!(new, b"\x10\x14\0\x04MQTT\x05\xc2\0\0\0\0\x01a\0\x01u\0\x01p");
        let long = "a".repeat(70_000);
        assert!(Connect { client: &long, ..connect(MqttVersion::V5) }.encode().is_none());
    }

    #[test]
    fn a_message_has_its_length_in_up_to_four_bytes() {
        let publish = |payload: &[u8]| {
            let message = Publish { version: MqttVersion::V3, topic: "t", id: 7, is_retained: true, payload };
            message.encode().unwrap()
        };
        assert_eq!(publish(b"hi"), b"\x33\x07\0\x01t\0\x07hi");
        assert_eq!(publish(&[0; 200])[..3], [0x33, 0xcd, 0x01]);
        assert_eq!(publish(&[0; 20_000])[..4], [0x33, 0xa5, 0x9c, 0x01]);
    }

    #[test]
    fn answers_are_read() {
        let read = |mut bytes: &[u8]| read_answer(&mut bytes).ok();
        assert_eq!(read(b"\x20\x02\0\x05"), Some(Answer::Connected(5)));
        assert_eq!(read(b"\x20\x03\0\0\0"), Some(Answer::Connected(0)));
        assert_eq!(read(b"\x40\x02\x01\x02"), Some(Answer::Acknowledged(0x102, 0)));
        assert_eq!(read(b"\x40\x04\0\x01\x87\0"), Some(Answer::Acknowledged(1, 0x87)));
        assert_eq!(read(b"\xe0\x02\x8b\0"), Some(Answer::Disconnected(0x8b)));
        assert_eq!(read(b"\xd0\0"), Some(Answer::Other));
        for broken in [&b""[..], b"\x20", b"\x20\x01\0", b"\x40\xff\xff\xff\x7f", b"HTTP/1.1 400", b"\0\0"] {
            assert_eq!(read(broken), None, "{broken:?}");
        }
    }
}
