//! Which certificates are trusted: the public authorities', or those of the `ca` file.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// Reads the certificates of a PEM file.
///
/// # Errors
///
/// A message for the operator.
pub fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = file.display();
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map(|certificates: Vec<CertificateDer<'static>>| certificates);
    match found {
        Err(error) => Err(format!("{shown} cannot be read: {error}")),
        Ok(found) if found.is_empty() => Err(format!("{shown} contains no certificate (PEM)")),
        Ok(found) => Ok(found),
    }
}

/// The configuration of a TLS client.
///
/// # Errors
///
/// A message for the operator.
pub fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => {
            for certificate in read_certificates(file)? {
                roots
                    .add(certificate)
                    .map_err(|error| format!("a certificate of {} is not valid: {error}", file.display()))?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be used: {error}"))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
