//! MQTT, with quality of service 1: a message is delivered when the broker has acknowledged it.

use super::home_assistant::{HomeAssistant, Published};
use super::mqtt_packet::{Answer, Connect, DISCONNECT, Publish, read_answer};
use super::tls::client_config;
use super::{Outgoing, SendError, Transport};
use everyframe_config::{MqttSettings, MqttVersion};
use everyframe_types::machine::unix_ms;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::collections::BTreeSet;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Publishes to a broker. It keeps its connection open.
pub struct Mqtt {
    settings: MqttSettings,
    topics: HomeAssistant,
    tls: Option<Arc<ClientConfig>>,
    timeout: Duration,
    connection: Option<Connection>,
}

/// Why a packet was not exchanged.
enum Fault {
    /// The connection broke: another one may work.
    Broken(Error),
    /// The broker says no.
    Refused(SendError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

impl Mqtt {
    /// A channel of a checked configuration whose secrets were read.
    ///
    /// # Errors
    ///
    /// The key that is wrong, and a message for the operator.
    pub fn new(settings: &MqttSettings, timeout: Duration) -> Result<Self, (&'static str, String)> {
        let tls = settings.tls.then(|| client_config(settings.ca.as_deref())).transpose();
        Ok(Self {
            settings: settings.clone(),
            topics: HomeAssistant::new(settings),
            tls: tls.map_err(|message| ("mqtt.ca", message))?,
            timeout,
            connection: None,
        })
    }

    /// The same broker, without a connection.
    pub fn unconnected(&self) -> Self {
        let Self { settings, tls, timeout, .. } = self;
        let topics = HomeAssistant::new(settings);
        Self { settings: settings.clone(), topics, tls: tls.clone(), timeout: *timeout, connection: None }
    }

    fn publish_all(&mut self, outgoing: &Outgoing<'_>, deadline: Instant) -> Result<(), Fault> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect(deadline)?,
        };
        for Published { topic, payload, is_retained } in self.topics.publications(outgoing) {
            // Descriptions of devices stay: once for each connection is enough.
            if is_retained && connection.described.contains(&topic) {
                continue;
            }
            connection.publish(&topic, &payload, is_retained, deadline)?;
            if is_retained {
                connection.described.insert(topic);
            }
        }
        self.connection = Some(connection);
        Ok(())
    }

    fn connect(&self, deadline: Instant) -> Result<Connection, Fault> {
        let stream = connect_within(&self.settings.server, deadline)?;
        stream.set_nodelay(true)?;
        let host = self.settings.server.rsplit_once(':').map_or("", |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let stream = match &self.tls {
            None => Stream::Plain(stream),
            Some(config) => {
                let invalid = |error| Error::new(ErrorKind::InvalidInput, error);
                let name = ServerName::try_from(host).map_err(|error| invalid(error.to_string()))?;
                let session = ClientConnection::new(config.clone(), name)
                    .map_err(|error| invalid(error.to_string()))?;
                Stream::Tls(Box::new(StreamOwned::new(session, stream)))
            }
        };
        let version = self.settings.version;
        let mut connection = Connection { stream, version, next_id: 1, described: BTreeSet::new() };
        // Two clients of one id would end each other's connections.
        let client = format!("everyframe-{:x}-{:x}", std::process::id(), unix_ms());
        let text =
            |value: &Option<everyframe_config::Property>| value.as_ref().map(|it| it.text().to_owned());
        let (username, password) = (text(&self.settings.username), text(&self.settings.password));
        let connect = Connect {
            version,
            client: &client,
            username: username.as_deref(),
            password: password.as_deref(),
        };
        connection.open(&connect, deadline)?;
        Ok(connection)
    }
}

impl Transport for Mqtt {
    fn send(&mut self, outgoing: &Outgoing<'_>) -> Result<(), SendError> {
        let deadline = Instant::now() + self.timeout;
        let was_connected = self.connection.is_some();
        let sent = match self.publish_all(outgoing, deadline) {
            // The broker may have ended an idle connection: a new one tells.
            Err(Fault::Broken(_)) if was_connected => self.publish_all(outgoing, deadline),
            sent => sent,
        };
        sent.map_err(|fault| match fault {
            Fault::Refused(error) => error,
            Fault::Broken(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                SendError::failed("the broker does not answer in time")
            }
            Fault::Broken(error) => SendError::failed(format!("no connection to the broker: {error}")),
        })
    }
}

/// A connection that the broker has accepted.
struct Connection {
    stream: Stream,
    version: MqttVersion,
    next_id: u16,
    /// The topics of the devices that were described.
    described: BTreeSet<String>,
}

impl Connection {
    fn open(&mut self, connect: &Connect<'_>, deadline: Instant) -> Result<(), Fault> {
        self.write(connect.encode(), deadline)?;
        match self.read(deadline)? {
            Answer::Connected(0) => Ok(()),
            Answer::Connected(code) => Err(Fault::Refused(SendError::failed(format!(
                "the broker refuses the connection: {}",
                reason(code)
            )))),
            other => Err(unexpected(&other)),
        }
    }

    fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        is_retained: bool,
        deadline: Instant,
    ) -> Result<(), Fault> {
        let id = self.next_id;
        self.next_id = id.checked_add(1).unwrap_or(1);
        self.write(Publish { version: self.version, topic, id, is_retained, payload }.encode(), deadline)?;
        loop {
            match self.read(deadline)? {
                Answer::Acknowledged(acknowledged, code) if acknowledged == id && code < 0x80 => {
                    return Ok(());
                }
                Answer::Acknowledged(acknowledged, code) if acknowledged == id => {
                    let text = format!("the broker refuses the message: {}", reason(code));
                    // Rights and quotas can change; a topic or payload cannot.
                    let is_final = matches!(code, 0x90 | 0x95 | 0x99);
                    return Err(Fault::Refused(if is_final {
                        SendError::Refused(text)
                    } else {
                        SendError::failed(text)
                    }));
                }
                Answer::Disconnected(code) => {
                    return Err(Fault::Refused(SendError::failed(format!(
                        "the broker ended the connection: {}",
                        reason(code)
                    ))));
                }
                Answer::Acknowledged(..) | Answer::Other => {}
                other @ Answer::Connected(_) => return Err(unexpected(&other)),
            }
        }
    }

    fn write(&mut self, packet: Option<Vec<u8>>, deadline: Instant) -> Result<(), Fault> {
        let Some(packet) = packet else {
            return Err(Fault::Refused(SendError::Refused("the message is too long for MQTT".into())));
        };
        self.stream.limit(deadline)?;
        self.stream.write_all(&packet)?;
        self.stream.flush()?;
        Ok(())
    }

    fn read(&mut self, deadline: Instant) -> Result<Answer, Error> {
        self.stream.limit(deadline)?;
        read_answer(&mut self.stream)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Best effort: the broker notices the end of the connection, too.
        let _ = self.stream.socket().set_write_timeout(Some(Duration::from_millis(100)));
        let _ = self.stream.write_all(&DISCONNECT);
        let _ = self.stream.flush();
    }
}

/// A TCP connection, encrypted or not.
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref(),
        }
    }

    /// Limits how long the next calls may wait.
    fn limit(&self, deadline: Instant) -> Result<(), Error> {
        let left = time_left(deadline)?;
        self.socket().set_read_timeout(Some(left))?;
        self.socket().set_write_timeout(Some(left))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> Result<usize, Error> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

fn connect_within(server: &str, deadline: Instant) -> Result<TcpStream, Error> {
    let mut last = Error::new(ErrorKind::NotFound, "the broker's name is not known");
    for address in server.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, time_left(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn time_left(deadline: Instant) -> Result<Duration, Error> {
    let left = deadline.saturating_duration_since(Instant::now());
    // A timeout of zero would mean none.
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn unexpected(answer: &Answer) -> Fault {
    Fault::Broken(Error::new(
        ErrorKind::InvalidData,
        format!("an unexpected answer of the broker: {answer:?}"),
    ))
}

/// The reason of a code of either version.
fn reason(code: u8) -> String {
    let text = match code {
        1 | 0x84 => "it does not speak this version of MQTT",
        2 | 0x85 => "it does not accept the client's id",
        3 | 0x88 => "it is not available",
        4 | 0x86 => "the user or the password is wrong",
        5 | 0x87 => "this user may not do that",
        0x8b => "it shuts down",
        0x8e => "another client has the same id",
        0x90 => "the topic is not allowed",
        0x95 => "the message is too large",
        0x97 => "a quota is used up",
        0x99 => "the format of the content is not allowed",
        _ => "no reason that is known here",
    };
    format!("{text} (code {code})")
}
