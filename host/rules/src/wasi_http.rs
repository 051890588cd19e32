//! `wasi:http` for one call: a limited number of requests to the granted hosts, and none to others.

use everyframe_config::Grants;
use everyframe_types::redact::redact_address;
use http::uri::{Authority, Scheme};
use http::{Method, Request, Response, Uri};
use std::sync::Arc;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpHooks, default_hooks};

/// The most bytes of one set of headers; the host stores them.
const HEADER_BYTES: usize = 32 << 10;

/// The most bytes of a request's body that the host buffers before the peer reads them.
const BODY_BYTES: usize = 64 << 10;

/// One host that a rule may send requests to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GrantedHost {
    /// In lower case; an IPv6 address in brackets.
    name: String,
    /// None: the scheme's default port.
    port: Option<u16>,
}

/// The hosts that a rule may send requests to.
#[derive(Debug, Clone, Default)]
pub(super) struct GrantedHosts(Arc<[GrantedHost]>);

impl GrantedHosts {
    /// Parses the entries of `grants.http`.
    ///
    /// # Errors
    ///
    /// The first entry that is not a host, and how to write one.
    pub(super) fn parse(grants: &Grants) -> Result<Self, String> {
        let entries = grants.http.iter().flatten();
        let hosts: Result<Vec<GrantedHost>, String> = entries.map(|entry| parse_entry(entry)).collect();
        Ok(Self(hosts?.into()))
    }

    /// True if a request to this address is granted.
    fn allow(&self, uri: &Uri) -> bool {
        let standard = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => 80,
            Some(scheme) if *scheme == Scheme::HTTPS => 443,
            _ => return false,
        };
        let Some(requested) = uri.authority().and_then(parse_authority) else { return false };
        self.0.iter().any(|host| {
            host.name == requested.name && host.port.unwrap_or(standard) == requested.port.unwrap_or(standard)
        })
    }
}

fn parse_entry(entry: &str) -> Result<GrantedHost, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let authority = entry.parse::<Authority>().ok().filter(|_| entry.chars().all(legal));
    authority.as_ref().and_then(parse_authority).ok_or_else(|| {
        format!(
            "`{}` is not a host; write each as `hooks.example.org` or `127.0.0.1:8080`, without scheme, path or `*`",
            super::limits::presentable(&redact_address(entry), 100)
        )
    })
}

/// Host and port; none if the authority has anything else, such as a user or an invalid port.
fn parse_authority(authority: &Authority) -> Option<GrantedHost> {
    let (name, port) = (authority.host(), authority.port_u16());
    let expected = port.map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
    (!name.is_empty() && authority.as_str() == expected)
        .then(|| GrantedHost { name: name.to_ascii_lowercase(), port })
}

/// Sends the requests of one call, and limits their number.
pub(super) struct HttpClient {
    hosts: GrantedHosts,
    left: usize,
    /// Requests that were not granted or above the limit, and were not sent.
    pub(super) refused: u64,
}

impl HttpClient {
    pub(super) fn new(hosts: &GrantedHosts, requests: usize) -> Self {
        Self { hosts: hosts.clone(), left: requests, refused: 0 }
    }

    fn check(&mut self, method: &Method, uri: &Uri) -> Result<(), Error> {
        if !self.hosts.allow(uri) {
            return Err(Error::HttpRequestDenied);
        }
        // It would turn the granted host into a proxy.
        if *method == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        self.left = self.left.checked_sub(1).ok_or(Error::ConnectionLimitReached)?;
        Ok(())
    }
}

/// The `wasi:http` context of one call.
pub(super) fn http_context() -> WasiHttpCtx {
    let mut context = WasiHttpCtx::new();
    context.set_field_size_limit(HEADER_BYTES);
    context
}

type Connection = Box<dyn Future<Output = Result<(), Error>> + Send>;
type ResponseFuture = Box<dyn Future<Output = Result<(Response<WasiBody>, Connection), Error>> + Send>;

impl WasiHttpHooks for HttpClient {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        done: Connection,
    ) -> ResponseFuture {
        match self.check(request.method(), request.uri()) {
            // Redirects are not followed: following one is another request of the guest, which is checked again.
            Ok(()) => default_hooks().send_request(request, options, done),
            Err(error) => {
                self.refused += 1;
                Box::new(async move { Err(error) })
            }
        }
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_BYTES
    }

    // The guest gets the error. A warning for each would let the rule flood the operator's log.
    fn p2_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode {
        tracing::debug!(target: "everyframe::rule", "HTTP request failed: {error}");
        ErrorCode::HttpProtocolError
    }

    fn p2_error_from_connect(&mut self, error: &std::io::Error) -> ErrorCode {
        tracing::debug!(target: "everyframe::rule", "HTTP connection failed: {error}");
        ErrorCode::ConnectionRefused
    }

    fn p2_error_from_tls(&mut self, error: &std::io::Error) -> ErrorCode {
        tracing::debug!(target: "everyframe::rule", "TLS connection failed: {error}");
        ErrorCode::TlsProtocolError
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(entries: &[&str]) -> Result<GrantedHosts, String> {
        let http = Some(entries.iter().map(ToString::to_string).collect());
        GrantedHosts::parse(&Grants { http, ..Grants::default() })
    }

    #[test]
    fn only_requests_to_granted_hosts_are_allowed() {
        let hosts = hosts(&["Hooks.example.org", "127.0.0.1:8080", "[::1]:80"]).unwrap();
        let allowed = |uri: &str| hosts.allow(&uri.parse().unwrap());
        for granted in [
            "https://hooks.example.org/a?b",
            "http://hooks.example.org/",
            "https://HOOKS.example.org:443/",
            "http://127.0.0.1:8080/",
            "https://127.0.0.1:8080/",
            "http://[::1]/",
        ] {
            assert!(allowed(granted), "{granted}");
        }
        for other in [
            "https://hooks.example.org:8443/",
            "https://hooks.example.org:80/",
            "https://example.org/",
            "https://a.hooks.example.org/",
            "https://hooks.example.org.evil.net/",
            "https://hooks.example.org./",
            "https://hooks.example.org@evil.net/",
            "https://evil.net@hooks.example.org/",
            "http://127.0.0.1/",
            "http://127.0.0.2:8080/",
            "http://2130706433:8080/",
            "ftp://127.0.0.1:8080/",
            "//127.0.0.1:8080",
            "/a",
        ] {
            assert!(!other.parse::<Uri>().is_ok_and(|uri| hosts.allow(&uri)), "{other}");
        }
    }

    #[test]
    fn entries_that_are_not_hosts_are_refused() {
        for entry in [
            "",
            "https://a.example",
            "a.example/path",
            "*.example.org",
            "a@b",
            "a:b",
            "a:",
            "a:99999",
            "ä",
            "https://me:hunter2@a.example",
            "me:hunter2@a.example",
            "a.example/?token=hunter2",
        ] {
            let message = hosts(&[entry]).unwrap_err();
            assert!(message.contains("is not a host") && !message.contains("hunter2"), "{entry}: {message}");
        }
    }

    #[test]
    fn a_call_sends_a_limited_number_of_requests() {
        let mut client = HttpClient::new(&hosts(&["a.example"]).unwrap(), 2);
        let uri = "https://a.example/".parse().unwrap();
        assert!(client.check(&Method::CONNECT, &uri).is_err());
        assert!(client.check(&Method::POST, &uri).is_ok() && client.check(&Method::GET, &uri).is_ok());
        assert!(matches!(client.check(&Method::GET, &uri), Err(Error::ConnectionLimitReached)));
    }
}
