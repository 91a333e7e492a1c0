//! TLS by rustls: what the proxy shows to clients, and what it wants to see of upstreams. Version 1.2 and above.
//! Holds loaded keys, immutable: a reload loads anew and replaces the whole.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::WebPkiClientVerifier,
};
use thiserror::Error;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::certificate;
use crate::config::{ListenerTls, Protocol, ServerIdentity, UpstreamTls};

/// The protocol's name in ALPN: PostgreSQL 17 section 55.2.11.
pub const ALPN: &[u8] = b"postgresql";

/// Both versions that are spoken.
const VERSIONS: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// Why TLS cannot be set up. For administrators: it names files.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A PEM file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A PEM file holds no certificate.
    #[error("no certificate in `{}`", .0.display())]
    Empty(PathBuf),
    /// rustls does not take a certificate or key.
    #[error("`{}` cannot be used: {source}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The roots for client certificates cannot be used.
    #[error("the client CA cannot be used: {0}")]
    ClientCa(#[from] rustls::server::VerifierBuilderError),
    /// rustls does not take the settings as a whole.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
    /// A host name that no certificate can name.
    #[error("`{0}` is not a host name")]
    HostName(String),
}

/// Whether a client must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// It is not asked for one.
    NotAsked,
    /// It must show one that chains to `client_ca` and whose common name is the user's.
    Required,
}

/// The proxy's own side of TLS for one listener.
#[derive(Clone)]
pub struct ServerTls {
    acceptor: TlsAcceptor,
    end_point: Option<Arc<[u8]>>,
    clients: ClientCertificates,
}

impl std::fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerTls").field("clients", &self.clients).finish_non_exhaustive()
    }
}

impl ServerTls {
    /// Loads certificate, key and client roots.
    ///
    /// # Errors
    /// When a file cannot be read, or key and certificate do not belong together.
    pub fn load(identity: &ServerIdentity) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let chain = certificates(&identity.certificate)?;
        let leaf = chain.first().ok_or_else(|| TlsError::Empty(identity.certificate.clone()))?;
        let end_point = certificate::end_point(leaf).map(Arc::from);
        let key = PrivateKeyDer::from_pem_file(&identity.key)
            .map_err(|source| TlsError::Pem { path: identity.key.clone(), source })?;
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(VERSIONS)?;
        let (builder, clients) = match &identity.client_ca {
            None => (builder.with_no_client_auth(), ClientCertificates::NotAsked),
            Some(path) => {
                // A client without a certificate is let through the handshake, and told at login what is missing: an
                // alert alone would leave it guessing.
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(path)?), provider)
                    .allow_unauthenticated()
                    .build()?;
                (builder.with_client_cert_verifier(verifier), ClientCertificates::Required)
            }
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(|source| TlsError::Unusable { path: identity.certificate.clone(), source })?;
        // A client that names protocols must name this one; rustls ends the handshake otherwise.
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), end_point, clients })
    }

    /// Accepts handshakes.
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// The `tls-server-end-point` binding of our certificate, if it has one.
    pub fn end_point(&self) -> Option<Arc<[u8]>> {
        self.end_point.clone()
    }

    /// Whether clients must show a certificate.
    pub fn clients(&self) -> ClientCertificates {
        self.clients
    }
}

/// A listener's TLS, loaded.
#[derive(Clone, Debug)]
pub enum Security {
    /// No TLS: every SSLRequest is answered with N.
    Off,
    /// When the client asks.
    Prefer(Arc<ServerTls>),
    /// Always.
    Require(Arc<ServerTls>),
}

impl Security {
    /// Loads what a listener's configuration names.
    ///
    /// # Errors
    /// As [`ServerTls::load`].
    pub fn load(tls: &ListenerTls) -> Result<Self, TlsError> {
        Ok(match tls {
            ListenerTls::Off => Self::Off,
            ListenerTls::Prefer(identity) => Self::Prefer(Arc::new(ServerTls::load(identity)?)),
            ListenerTls::Require(identity) => Self::Require(Arc::new(ServerTls::load(identity)?)),
        })
    }

    /// The keys, if there are any.
    pub fn keys(&self) -> Option<&Arc<ServerTls>> {
        match self {
            Self::Off => None,
            Self::Prefer(keys) | Self::Require(keys) => Some(keys),
        }
    }
}

/// The proxy's side of TLS towards one upstream.
#[derive(Clone)]
pub enum ClientTls {
    /// Plain text.
    Disable,
    /// TLS to this name.
    Use {
        /// Makes the handshakes.
        connector: TlsConnector,
        /// Whom we want to speak to; checked only in verify-full.
        name: ServerName<'static>,
    },
}

impl std::fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Disable => "ClientTls::Disable",
            Self::Use { .. } => "ClientTls::Use",
        })
    }
}

impl ClientTls {
    /// Loads what a target's configuration names.
    ///
    /// # Errors
    /// When the CA file cannot be read, or `host` can be in no certificate.
    pub fn load(tls: &UpstreamTls, host: &str, protocol: Protocol) -> Result<Self, TlsError> {
        let mut config = match tls {
            UpstreamTls::Disable => return Ok(Self::Disable),
            UpstreamTls::Require => {
                let provider = Arc::new(ring::default_provider());
                ClientConfig::builder_with_provider(provider.clone())
                    .with_protocol_versions(VERSIONS)?
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
                    .with_no_client_auth()
            }
            UpstreamTls::VerifyFull { ca } => verifying(ca.as_deref())?,
        };
        config.alpn_protocols = match protocol {
            Protocol::Postgres => vec![ALPN.to_vec()],
            // MySQL has no name in ALPN.
            Protocol::Mysql => Vec::new(),
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::HostName(host.to_owned()))?;
        Ok(Self::Use { connector: TlsConnector::from(Arc::new(config)), name })
    }
}

/// TLS to a web server that is not an upstream, verified: a webhook's.
///
/// # Errors
/// When `ca` cannot be read, or `host` can be in no certificate.
pub fn https(ca: Option<&Path>, host: &str) -> Result<(TlsConnector, ServerName<'static>), TlsError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::HostName(host.to_owned()))?;
    Ok((TlsConnector::from(Arc::new(verifying(ca)?)), name))
}

/// The client's side of TLS that wants a certificate by `ca`, or by the bundled public roots.
fn verifying(ca: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let roots = match ca {
        Some(path) => roots(path)?,
        None => RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() },
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(builder.with_protocol_versions(VERSIONS)?.with_root_certificates(roots).with_no_client_auth())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Pem { path: path.to_owned(), source };
    let found: Vec<_> =
        CertificateDer::pem_file_iter(path).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    if found.is_empty() { Err(TlsError::Empty(path.to_owned())) } else { Ok(found) }
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|source| TlsError::Unusable { path: path.to_owned(), source })?;
    }
    Ok(store)
}

/// `tls.mode = "require"`: any certificate will do, as libpq's `sslmode=require`, but its holder must have the key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
