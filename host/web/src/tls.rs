//! TLS for the listener, by rustls.

use everyframe_config::TlsSettings;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not what it should be.
    #[error("[web.tls] {file}: {reason}")]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it; never its content.
        reason: String,
    },
    /// The key does not fit the certificate.
    #[error("[web.tls] certificate and key cannot be used together: {0}")]
    Pair(rustls::Error),
}

/// Reads certificate and key.
///
/// # Errors
///
/// The operator must give other files.
pub fn acceptor(settings: &TlsSettings) -> Result<TlsAcceptor, TlsError> {
    let failed = |file: &Path, reason: String| TlsError::File { file: file.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(&settings.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(&settings.certificate, error.to_string()))?;
    if certificates.is_empty() {
        return Err(failed(&settings.certificate, "has no certificate in PEM format".into()));
    }
    let key = PrivateKeyDer::from_pem_file(&settings.key)
        .map_err(|error| failed(&settings.key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
