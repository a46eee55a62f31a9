//! Certificates for one run: an authority, and what it signs for 127.0.0.1.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate and its key, as PEM and as rustls wants them.
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key.
    pub key_pem: String,
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Authority {
    /// Makes an authority.
    pub fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).expect("no names");
        parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key pair");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(parameters, key), certificate }
    }

    /// Returns the authority's own certificate.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Makes a certificate for `localhost`, `db.example.com` and 127.0.0.1.
    pub fn identity(&self) -> Identity {
        self.sign(parameters(true))
    }

    /// Makes a certificate that is not for 127.0.0.1.
    pub fn identity_of_another_host(&self) -> Identity {
        self.sign(parameters(false))
    }

    /// Makes a certificate that has expired.
    pub fn expired_identity(&self) -> Identity {
        let mut parameters = parameters(true);
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2020, 2, 1);
        self.sign(parameters)
    }

    fn sign(&self, mut parameters: CertificateParams) -> Identity {
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "localhost");
        let key = KeyPair::generate().expect("a key pair");
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        Identity {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            certificate: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
        }
    }

    /// Returns the configuration of a client that trusts this authority and no other.
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("a certificate");
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("protocol versions")
                .with_root_certificates(roots)
                .with_no_client_auth();
        Arc::new(config)
    }
}

/// Returns parameters for `localhost`, `db.example.com` and, if `loopback` is set, 127.0.0.1.
fn parameters(loopback: bool) -> CertificateParams {
    let names = vec!["localhost".to_owned(), "db.example.com".to_owned()];
    let mut parameters = CertificateParams::new(names).expect("a host name");
    if loopback {
        parameters.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
    }
    parameters
}

impl Identity {
    /// Makes a self-signed certificate. With `is_ca` it is as `openssl req -x509` makes it, unless
    /// told CA:FALSE.
    pub fn self_signed(is_ca: bool) -> Self {
        let mut parameters = parameters(true);
        let constraints = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.is_ca = if is_ca { constraints } else { IsCa::ExplicitNoCa };
        let key = KeyPair::generate().expect("a key pair");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        Self {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            certificate: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()),
        }
    }

    /// Returns the certificate as DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    /// Returns the configuration of a server that presents this certificate.
    pub fn server(&self) -> Arc<ServerConfig> {
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .expect("protocol versions")
                .with_no_client_auth()
                .with_single_cert(vec![self.certificate.clone()], PrivateKeyDer::Pkcs8(self.key.clone_key()))
                .expect("a certificate");
        Arc::new(config)
    }
}
