//! E-mail by SMTP.

use super::tls::read_certificates;
use super::{Outgoing, SendError, Transport};
use everyframe_config::{EmailSettings, MailTls};
use everyframe_types::hexadecimal::hexadecimal;
use lettre::message::header::ContentType;
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{Message as Mail, SmtpTransport, Transport as _};
use sha2::{Digest as _, Sha256};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// Sends mails by a server. Each mail has a connection of its own.
#[derive(Clone)]
pub struct Email {
    transport: SmtpTransport,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Email {
    /// A channel of a checked configuration whose secrets were read.
    ///
    /// # Errors
    ///
    /// The key that is wrong, and a message for the operator.
    pub fn new(settings: &EmailSettings, timeout: Duration) -> Result<Self, (&'static str, String)> {
        let (host, port) = settings.server.rsplit_once(':').unwrap_or((&settings.server, "25"));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let tls = || parameters(host, settings.ca.as_deref()).map_err(|message| ("email.ca", message));
        let tls = match settings.tls {
            MailTls::Tls => Tls::Wrapper(tls()?),
            MailTls::Starttls => Tls::Required(tls()?),
            MailTls::None => Tls::None,
        };
        let mut builder = SmtpTransport::builder_dangerous(host)
            .port(port.parse().unwrap_or(25))
            .timeout(Some(timeout))
            .tls(tls);
        if let (Some(username), Some(password)) = (&settings.username, &settings.password) {
            let credentials = Credentials::new(username.text().to_owned(), password.text().to_owned());
            builder = builder.credentials(credentials);
        }
        let to = settings.to.iter().map(|address| parse_mailbox(address));
        Ok(Self {
            transport: builder.build(),
            from: parse_mailbox(&settings.from).map_err(|message| ("email.from", message))?,
            to: to.collect::<Result<_, _>>().map_err(|message| ("email.to", message))?,
        })
    }

    fn mail(&self, outgoing: &Outgoing<'_>) -> Result<Mail, SendError> {
        // The same for a repeat, so that mail programs show it once.
        let id = hexadecimal(&Sha256::digest(outgoing.message.id.as_bytes()));
        let mut mail = Mail::builder()
            .from(self.from.clone())
            .subject(&outgoing.title)
            .message_id(Some(format!("<{}@everyframe>", id.get(..32).unwrap_or(&id))))
            .date_now();
        for to in &self.to {
            mail = mail.to(to.clone());
        }
        let text = SinglePart::plain(outgoing.text.clone());
        let mail = match &outgoing.picture {
            None => mail.singlepart(text),
            Some(picture) => {
                let jpeg = ContentType::parse("image/jpeg")
                    .map_err(|error| SendError::Refused(format!("the picture's type: {error}")))?;
                let picture = Attachment::new("alert.jpg".into()).body(picture.to_vec(), jpeg);
                mail.multipart(MultiPart::mixed().singlepart(text).singlepart(picture))
            }
        };
        mail.map_err(|error| SendError::Refused(format!("the mail cannot be written: {error}")))
    }
}

impl Transport for Email {
    fn send(&mut self, outgoing: &Outgoing<'_>) -> Result<(), SendError> {
        let mail = self.mail(outgoing)?;
        match self.transport.send(&mail) {
            Ok(_) => Ok(()),
            // Another password or a right of the sender is the operator's to change; other permanent answers are about the mail.
            Err(error) if error.is_permanent() && !is_about_access(&error) => {
                Err(SendError::Refused(format!("the server refuses the mail: {}", explain(&error))))
            }
            Err(error) => Err(SendError::failed(explain(&error))),
        }
    }
}

fn is_about_access(error: &lettre::transport::smtp::Error) -> bool {
    let code = error.status().map(|code| code.to_string());
    code.is_some_and(|code| matches!(code.as_str(), "530" | "534" | "535" | "538"))
}

/// The error with its causes.
fn explain(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if matches!(kind, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)) {
            return "the server does not answer in time".into();
        }
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text += &format!(": {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn parse_mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|error| format!("`{text}` is not a mail address: {error}"))
}

fn parameters(host: &str, ca: Option<&Path>) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host.to_owned());
    match ca {
        None => builder = builder.certificate_store(CertificateStore::WebpkiRoots),
        Some(file) => {
            builder = builder.certificate_store(CertificateStore::None);
            for certificate in read_certificates(file)? {
                let certificate = Certificate::from_der(certificate.to_vec())
                    .map_err(|error| format!("a certificate of {} is not valid: {error}", file.display()))?;
                builder = builder.add_root_certificate(certificate);
            }
        }
    }
    builder.build_rustls().map_err(|error| format!("TLS cannot be used: {error}"))
}
