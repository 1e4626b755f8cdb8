//! TLS to the database: which certificates are trusted, and which is sent.

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;
use std::fmt::Display;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What TLS to the database needs.
#[derive(Debug, PartialEq, Eq)]
pub struct Trust {
    /// The certificates that verify the certificate of the server.
    pub roots: Roots,
    /// Whether the certificate must be for the name of the host.
    pub verify_name: bool,
    /// The files of the certificate that the service sends, and of its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Where the trusted certificates come from.
#[derive(Debug, PartialEq, Eq)]
pub enum Roots {
    /// From the system.
    System,
    /// From a PEM file.
    File(PathBuf),
}

/// Verifies everything but the name, for `sslmode=verify-ca`.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

/// The TLS configuration of a connection.
///
/// # Errors
/// Fails if a file cannot be read or is unsuitable.
pub fn client(trust: &Trust) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &trust.roots {
        Roots::System => builder.with_platform_verifier().map_err(|error| error.to_string())?,
        Roots::File(file) if trust.verify_name => builder.with_root_certificates(roots(file)?),
        Roots::File(file) => {
            let verifier = WebPkiServerVerifier::builder_with_provider(roots(file)?.into(), provider)
                .build()
                .map_err(|error| unusable(file, &error))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(verifier)))
        }
    };
    let Some((certificate, key)) = &trust.identity else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(certificate)?;
    let metadata = std::fs::metadata(key).map_err(|error| unusable(key, &error))?;
    // the rule of libpq
    if metadata.mode() & if metadata.uid() == 0 { 0o037 } else { 0o077 } != 0 {
        return Err(unusable(key, &"the key must not be accessible to group or others; chmod 600"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    builder.with_client_auth_cert(chain, private).map_err(|error| unusable(key, &error))
}

fn roots(file: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| unusable(file, &error))?;
    }
    Ok(roots)
}

/// The certificates of a PEM file, at least one.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| unusable(file, &error))?;
    if certificates.is_empty() {
        return Err(unusable(file, &"the file contains no certificate"));
    }
    Ok(certificates)
}

fn unusable(file: &Path, error: &dyn Display) -> String {
    format!("{}: {error}", file.display())
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // this verifier verifies the name last
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
