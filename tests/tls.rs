//! TLS and proxies: which certificates are trusted, which are not, and what the error says.

#![allow(clippy::unwrap_used)] // a test ends there

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::PathBuf;
use std::sync::Arc;
use tests::{Cluster, eras, sync};
use upstream::Upstream;

/// A certificate authority that only these tests trust.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Its certificate, in a file for the server.
    file: PathBuf,
}

impl Authority {
    fn new(test: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority for tests");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = PathBuf::from(format!("/tmp/model_access.{test}.{}.pem", std::process::id()));
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// An upstream with a certificate for these names.
    fn upstream(&self, names: &[&str], last_year: i32) -> Upstream {
        let (params, key) = certificate(names, last_year);
        serve(params.signed_by(&key, &self.issuer).unwrap().der().clone(), &key)
    }

    fn environment(&self) -> [(&str, &str); 2] {
        [("SSL_CERT_FILE", self.file.to_str().unwrap()), ("SSL_CERT_DIR", "/nonexistent")]
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.file));
    }
}

fn certificate(names: &[&str], last_year: i32) -> (CertificateParams, KeyPair) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(last_year, 1, 1);
    (params, KeyPair::generate().unwrap())
}

fn serve(certificate: CertificateDer<'static>, key: &KeyPair) -> Upstream {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    Upstream::start_tls("127.0.0.1:0", eras(), Arc::new(config)).unwrap()
}

#[test]
fn only_a_certificate_that_is_trusted_valid_and_for_this_host_is_accepted() {
    let authority = Authority::new("trust");
    let cluster =
        Cluster::start_beside(authority.upstream(&["127.0.0.1"], 2100), &[], &authority.environment());
    let mut client = cluster.connect();
    assert_eq!(sync(&mut client).unwrap().outcome, "applied");

    let (params, key) = certificate(&["127.0.0.1"], 2100);
    let self_signed = serve(params.self_signed(&key).unwrap().der().clone(), &key);
    let expired = authority.upstream(&["127.0.0.1"], 2021);
    let elsewhere = authority.upstream(&["elsewhere.example"], 2100);
    for (upstream, words) in
        [(self_signed, "UnknownIssuer"), (expired, "expired"), (elsewhere, "not valid for name")]
    {
        let url = upstream.url("");
        client.batch_execute(&format!("SET model_access.url = '{url}'")).unwrap();
        let run = sync(&mut client).unwrap();
        let error = run.error.unwrap_or_default();
        assert_eq!((run.outcome.as_str(), run.error_code.as_deref()), ("failed", Some("08004")), "{error}");
        assert!(
            error.contains(words) && error.contains(&url) && error.contains("Check the certificate"),
            "{error}"
        );
        assert_eq!(upstream.requests(), 0);
    }
}

#[test]
fn a_server_without_a_ca_store_says_which_package_to_install() {
    let authority = Authority::new("store");
    let nothing = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
    let cluster = Cluster::start_beside(authority.upstream(&["127.0.0.1"], 2100), &[], &nothing);
    let run = sync(&mut cluster.connect()).unwrap();
    assert_eq!((run.outcome.as_str(), run.error_code.as_deref()), ("failed", Some("08004")));
    assert!(run.error.as_deref().unwrap_or_default().contains("ca-certificates"), "{:?}", run.error);
}

#[test]
fn a_proxy_comes_from_the_setting_or_from_the_environment() {
    let authority = Authority::new("proxy");
    let upstream = authority.upstream(&["catalogue.example"], 2100);
    let proxy = format!("http://{}", upstream.address());
    let [file, dir] = authority.environment();
    let settings = ["model_access.url=https://catalogue.example/api/v1/models"];
    let cluster = Cluster::start_beside(upstream, &settings, &[file, dir, ("HTTPS_PROXY", &proxy)]);
    let mut client = cluster.connect();
    assert_eq!(sync(&mut client).unwrap().outcome, "applied", "by HTTPS_PROXY");
    client.batch_execute("SET model_access.proxy = 'none'").unwrap();
    let run = sync(&mut client).unwrap();
    assert_eq!(
        (run.outcome.as_str(), run.error_code.as_deref()),
        ("failed", Some("08001")),
        "no such host without one"
    );
    client.batch_execute(&format!("SET model_access.proxy = '{proxy}'")).unwrap();
    assert_eq!(sync(&mut client).unwrap().outcome, "unchanged", "by the setting");
    // any role could read the value of a placeholder, so it must hold no secret
    let refused =
        client.batch_execute("SET model_access.proxy = 'http://user:secret@127.0.0.1:1'").unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "22023");
    client.batch_execute("SET model_access.proxy = 'http://127.0.0.1:1'").unwrap();
    let error = sync(&mut client).unwrap().error.unwrap_or_default();
    assert!(error.contains("proxy"), "{error}");
}
