//! TLS with a certificate authority that is created at the start.

use std::io;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::transport::Transport;

/// Names in every certificate.
const LOOPBACK: [&str; 2] = ["127.0.0.1", "localhost"];

/// The server's side of TLS.
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    /// The authority's certificate, for clients to trust.
    pub(crate) ca_pem: String,
}

impl Tls {
    /// Creates an authority and a certificate for 127.0.0.1, localhost and `names`.
    pub(crate) fn new(names: &[&str]) -> Self {
        let mut ca = CertificateParams::default();
        ca.distinguished_name.push(DnType::CommonName, "the faulty upstream's authority");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = Issuer::new(ca.clone(), KeyPair::generate().expect("a key"));
        let ca_pem = ca.self_signed(issuer.key()).expect("a certificate").pem();

        let names = LOOPBACK.iter().chain(names).map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut server = CertificateParams::new(names).expect("valid DNS names");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = server.signed_by(&key, &issuer).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key in PKCS #8");

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions that ring supports")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate that matches its key");
        Self { acceptor: TlsAcceptor::from(Arc::new(config)), ca_pem }
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(self.acceptor.accept(stream).await?))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Transport for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}
