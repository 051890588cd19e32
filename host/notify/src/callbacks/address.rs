//! Which addresses may be called back. Pure.

use ureq::http::Uri;

/// An address, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    scheme: String,
    host: String,
    port: u16,
    path: String,
}

impl Address {
    /// Parses an address.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const NONE: &str = "is not an address that begins with http:// or https://";
        if text.contains(['#', '\\']) {
            return Err("must not contain `#` or `\\`");
        }
        let uri: Uri = text.parse().map_err(|_| NONE)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(NONE) };
        let port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return Err(NONE),
        };
        if authority.as_str().contains('@') {
            return Err("must not contain a user or a password");
        }
        if authority.host().is_empty() {
            return Err(NONE);
        }
        // Servers take `/a/../b` and `/a/%2e%2e/b` for `/b`, which the list may not allow.
        let path = uri.path().to_ascii_lowercase();
        let is_plain = !["%2e", "%2f", "%5c"].iter().any(|code| path.contains(code))
            && !path.split('/').any(|part| matches!(part, "." | ".."));
        if !is_plain {
            return Err("must not contain `.` or `..` as a part of its path, or %2e, %2f or %5c");
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            host: authority.host().to_ascii_lowercase(),
            port: uri.port_u16().unwrap_or(port),
            path: uri.path().to_owned(),
        })
    }

    /// True if this address of the list allows `other`: the same one, with any query; or, if it ends with `/`, one below it.
    pub fn allows(&self, other: &Self) -> bool {
        let server = |it: &Self| (it.scheme.clone(), it.host.clone(), it.port);
        let is_below = self.path.ends_with('/') && other.path.starts_with(&self.path);
        server(self) == server(other) && (self.path == other.path || is_below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(listed: &str, wanted: &str) -> bool {
        let listed = Address::parse(listed).unwrap();
        Address::parse(wanted).is_ok_and(|wanted| listed.allows(&wanted))
    }

    #[test]
    fn an_address_allows_itself_with_any_query() {
        assert!(allows("https://a.example/done", "https://a.example/done"));
        assert!(allows("https://a.example/done", "https://A.example:443/done?order=7"));
        for other in [
            "http://a.example/done",
            "https://a.example:8443/done",
            "https://b.example/done",
            "https://a.example.evil/done",
            "https://a.example/done/more",
            "https://a.example/donee",
            "https://a.example/",
        ] {
            assert!(!allows("https://a.example/done", other), "{other}");
        }
    }

    #[test]
    fn an_address_that_ends_with_a_slash_allows_what_is_below() {
        assert!(allows("http://10.0.0.7:9000/hooks/", "http://10.0.0.7:9000/hooks/orders?id=7"));
        assert!(allows("http://a.example", "http://a.example/everything"));
        for other in ["http://10.0.0.7:9000/hooks", "http://10.0.0.7:9000/other", "http://10.0.0.7/hooks/a"] {
            assert!(!allows("http://10.0.0.7:9000/hooks/", other), "{other}");
        }
    }

    #[test]
    fn an_address_that_leads_elsewhere_is_refused() {
        for text in [
            "http://a.example/hooks/../admin",
            "http://a.example/hooks/%2e%2E/admin",
            "http://a.example/hooks/..%2fadmin",
            "http://a.example/hooks/..\\admin",
            "http://a.example@b.example/hooks/",
            "http://user:secret@a.example/hooks/",
            "http://a.example/hooks/#b",
            "ftp://a.example/hooks/",
            "/hooks/",
            "a.example/hooks/",
            "http:///hooks/",
            "",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
