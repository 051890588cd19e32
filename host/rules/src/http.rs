//! `wasi:http`, as far as a rule is granted it: so many requests to the hosts that are named, and no others.

use everyframe_config::Grants;
use everyframe_types::redact::redact_address;
use http::uri::{Authority, Scheme};
use http::{Method, Request, Response, Uri};
use std::sync::Arc;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpHooks, default_hooks};

/// Bytes of one set of headers; the host keeps them.
const HEADER_BYTES: usize = 32 << 10;

/// Bytes of a request's body that the host keeps before the peer takes them.
const BODY_BYTES: usize = 64 << 10;

/// A host that a rule may call.
#[derive(Debug, Clone, PartialEq, Eq)]
struct GrantedHost {
    /// In lower case; an IPv6 address in brackets.
    name: String,
    /// None: the scheme's own.
    port: Option<u16>,
}

/// The hosts that a rule may call.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosts(Arc<[GrantedHost]>);

impl Hosts {
    /// Those of a grant; the first entry that names none, and what is right.
    pub(super) fn of(grants: &Grants) -> Result<Self, String> {
        let entries = grants.http.iter().flatten();
        let hosts: Result<Vec<GrantedHost>, String> = entries.map(|entry| granted(entry)).collect();
        Ok(Self(hosts?.into()))
    }

    /// True if a request may go there.
    fn have(&self, uri: &Uri) -> bool {
        let standard = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => 80,
            Some(scheme) if *scheme == Scheme::HTTPS => 443,
            _ => return false,
        };
        let Some(called) = uri.authority().and_then(parse) else { return false };
        self.0.iter().any(|host| {
            host.name == called.name && host.port.unwrap_or(standard) == called.port.unwrap_or(standard)
        })
    }
}

fn granted(entry: &str) -> Result<GrantedHost, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let authority = entry.parse::<Authority>().ok().filter(|_| entry.chars().all(legal));
    authority.as_ref().and_then(parse).ok_or_else(|| {
        format!(
            "`{}` is no host; name each as `hooks.example.org` or `127.0.0.1:8080`, without scheme, path or `*`",
            super::limits::presentable(&redact_address(entry), 100)
        )
    })
}

/// Host and port, if there is nothing else: no user, no port that is none.
fn parse(authority: &Authority) -> Option<GrantedHost> {
    let (name, port) = (authority.host(), authority.port_u16());
    let whole = port.map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
    (!name.is_empty() && authority.as_str() == whole)
        .then(|| GrantedHost { name: name.to_ascii_lowercase(), port })
}

/// Makes a call's requests, and counts them.
pub(super) struct Caller {
    hosts: Hosts,
    left: usize,
    /// Requests that were not made.
    pub(super) refused: u64,
}

impl Caller {
    pub(super) fn new(hosts: &Hosts, requests: usize) -> Self {
        Self { hosts: hosts.clone(), left: requests, refused: 0 }
    }

    fn check(&mut self, method: &Method, uri: &Uri) -> Result<(), Error> {
        if !self.hosts.have(uri) {
            return Err(Error::HttpRequestDenied);
        }
        // It would make a proxy of the host that is called.
        if *method == Method::CONNECT {
            return Err(Error::HttpRequestMethodInvalid);
        }
        self.left = self.left.checked_sub(1).ok_or(Error::ConnectionLimitReached)?;
        Ok(())
    }
}

/// What the host keeps of a call's requests.
pub(super) fn context() -> WasiHttpCtx {
    let mut context = WasiHttpCtx::new();
    context.set_field_size_limit(HEADER_BYTES);
    context
}

type Working = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sending = Box<dyn Future<Output = Result<(Response<WasiBody>, Working), Error>> + Send>;

impl WasiHttpHooks for Caller {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        done: Working,
    ) -> Sending {
        match self.check(request.method(), request.uri()) {
            // It follows no redirect: where one leads is another request, and checked.
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

    // The rule is told; a warning for each would let it flood the operator's log.
    fn p2_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode {
        tracing::debug!(target: "everyframe::rule", "a request failed: {error}");
        ErrorCode::HttpProtocolError
    }

    fn p2_error_from_connect(&mut self, error: &std::io::Error) -> ErrorCode {
        tracing::debug!(target: "everyframe::rule", "no connection: {error}");
        ErrorCode::ConnectionRefused
    }

    fn p2_error_from_tls(&mut self, error: &std::io::Error) -> ErrorCode {
        tracing::debug!(target: "everyframe::rule", "no secure connection: {error}");
        ErrorCode::TlsProtocolError
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(entries: &[&str]) -> Result<Hosts, String> {
        let http = Some(entries.iter().map(ToString::to_string).collect());
        Hosts::of(&Grants { http, ..Grants::default() })
    }

    #[test]
    fn a_request_goes_to_the_hosts_that_are_named_and_no_others() {
        let hosts = hosts(&["Hooks.example.org", "127.0.0.1:8080", "[::1]:80"]).unwrap();
        let have = |uri: &str| hosts.have(&uri.parse().unwrap());
        for granted in [
            "https://hooks.example.org/a?b",
            "http://hooks.example.org/",
            "https://HOOKS.example.org:443/",
            "http://127.0.0.1:8080/",
            "https://127.0.0.1:8080/",
            "http://[::1]/",
        ] {
            assert!(have(granted), "{granted}");
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
            assert!(!other.parse::<Uri>().is_ok_and(|uri| hosts.have(&uri)), "{other}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
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
            let said = hosts(&[entry]).unwrap_err();
            assert!(said.contains("is no host") && !said.contains("hunter2"), "{entry}: {said}");
        }
    }

    #[test]
    fn a_call_makes_so_many_requests() {
        let mut caller = Caller::new(&hosts(&["a.example"]).unwrap(), 2);
        let uri = "https://a.example/".parse().unwrap();
        assert!(caller.check(&Method::CONNECT, &uri).is_err());
        assert!(caller.check(&Method::POST, &uri).is_ok() && caller.check(&Method::GET, &uri).is_ok());
        assert!(matches!(caller.check(&Method::GET, &uri), Err(Error::ConnectionLimitReached)));
    }
}
