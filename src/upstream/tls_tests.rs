use std::path::PathBuf;
use std::time::SystemTime;

use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::settings::ClientFiles;
use crate::settings::tls::testing::{Authority, DAY, Issued, write};

/// For a whole connect.
const LIMIT: Duration = Duration::from_secs(10);

const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];

/// Whether a server asks for a client certificate.
#[derive(Clone, Copy)]
enum Asks<'a> {
    Nobody,
    For(&'a Authority),
    ForButNeedsNot(&'a Authority),
}

fn server(issued: &Issued, versions: &[&'static SupportedProtocolVersion], asks: Asks<'_>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients = |authority: &Authority| {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.clone()).unwrap();
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
    };
    let config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .unwrap();
    let config = match asks {
        Asks::Nobody => config.with_no_client_auth(),
        Asks::For(authority) => config.with_client_cert_verifier(clients(authority).build().unwrap()),
        Asks::ForButNeedsNot(authority) => {
            let verifier = clients(authority).allow_unauthenticated().build();
            config.with_client_cert_verifier(verifier.unwrap())
        }
    };
    Arc::new(
        config
            .with_single_cert(vec![issued.certificate.clone()], issued.private_key())
            .unwrap(),
    )
}

/// What a server saw of a client.
#[derive(Debug, PartialEq)]
struct Saw {
    version: ProtocolVersion,
    certificate: Option<CertificateDer<'static>>,
}

/// Lets one client in and echoes five bytes.
async fn serve(config: Arc<ServerConfig>) -> (TcpStream, JoinHandle<io::Result<Saw>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await?;
        let mut stream = TlsAcceptor::from(config).accept(stream).await?;
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).await?;
        stream.write_all(&bytes).await?;
        stream.flush().await?;
        let (_, tls) = stream.get_ref();
        Ok(Saw {
            version: tls.protocol_version().unwrap(),
            certificate: tls.peer_certificates().map(|chain| chain[0].clone()),
        })
    });
    (stream, served)
}

/// One connection with 127.0.0.1, from the handshake to the echo.
async fn meet(side: &Side, config: Arc<ServerConfig>) -> Result<Saw, String> {
    let (tcp, served) = serve(config).await;
    let mut stream = side.handshake(&Host::parse("127.0.0.1").unwrap(), tcp, LIMIT).await?;
    stream.write_all(b"hello").await.unwrap();
    stream.flush().await.unwrap();
    let mut echo = [0; 5];
    stream
        .read_exact(&mut echo)
        .await
        .expect("a refusal is one of the handshake");
    assert_eq!(&echo, b"hello");
    Ok(served.await.unwrap().unwrap())
}

/// Files in a directory of the test's own.
struct Files {
    directory: tempfile::TempDir,
    settings: TlsSettings,
}

impl Files {
    fn of(authority: &Authority) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca_file = Some(write(directory.path(), "ca.pem", &authority.pem));
        let settings = TlsSettings { ca_file, client: None };
        Self { directory, settings }
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        write(self.directory.path(), name, content)
    }

    fn show(mut self, certificate: &Issued) -> Self {
        self.settings.client = Some(ClientFiles {
            certificate: self.write("client.pem", &certificate.pem),
            key: self.write("client.key", &certificate.key_pem()),
        });
        self
    }

    fn tls(&self) -> Tls {
        Tls::new(self.settings.clone(), [])
    }
}

#[tokio::test]
async fn an_authority_of_the_ca_file_is_trusted_with_tls_1_2_and_with_1_3() {
    let authority = Authority::new("own");
    let issued = authority.issue(&["127.0.0.1"]);
    let sides = Files::of(&authority).tls().current(LIMIT).await.unwrap();
    for (versions, version) in [
        (&[&TLS12][..], ProtocolVersion::TLSv1_2),
        (&[&TLS13], ProtocolVersion::TLSv1_3),
        (BOTH, ProtocolVersion::TLSv1_3),
    ] {
        for side in [&sides.service, &sides.proxy] {
            let saw = meet(side, server(&issued, versions, Asks::Nobody)).await.unwrap();
            assert_eq!((saw.version, saw.certificate), (version, None));
        }
    }
}

#[tokio::test]
async fn a_certificate_that_is_refused_is_explained_with_what_to_mend() {
    let (known, unknown) = (Authority::new("known"), Authority::new("unknown"));
    let now = SystemTime::now();
    let sides = Files::of(&known).tls().current(LIMIT).await.unwrap();
    for (issued, says) in [
        (
            known.issue_for(&["127.0.0.1"], now - 90 * DAY, now - DAY),
            ["its certificate has expired on ", "clock of this machine"],
        ),
        (
            known.issue_for(&["127.0.0.1"], now + DAY, now + 90 * DAY),
            ["its certificate is not valid yet, but from ", "clock of this machine"],
        ),
        (
            unknown.issue(&["127.0.0.1"]),
            [
                "an authority that this machine does not know",
                "set upstream.tls.ca_file",
            ],
        ),
        (
            known.issue(&["a.example", "*.b.example", "127.0.0.9"]),
            [
                "its certificate is for another host: ",
                "a.example, *.b.example, 127.0.0.9",
            ],
        ),
    ] {
        for versions in [&[&TLS12][..], &[&TLS13]] {
            let error = meet(&sides.service, server(&issued, versions, Asks::Nobody))
                .await
                .unwrap_err();
            assert!(says.iter().all(|words| error.contains(words)), "{error}");
        }
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_the_service_that_asks_and_to_no_proxy() {
    let (authority, clients) = (Authority::new("own"), Authority::new("clients"));
    let issued = authority.issue(&["127.0.0.1"]);
    let ours = clients.issue(&["us.example"]);
    let with = Files::of(&authority).show(&ours).tls().current(LIMIT).await.unwrap();
    let without = Files::of(&authority).tls().current(LIMIT).await.unwrap();
    let stranger = Files::of(&authority).show(&authority.issue(&["us.example"])).tls();
    let stranger = stranger.current(LIMIT).await.unwrap();
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let asking = || server(&issued, versions, Asks::For(&clients));
        let saw = meet(&with.service, asking()).await.unwrap();
        assert_eq!(saw.certificate.as_ref(), Some(&ours.certificate));
        let missing = meet(&without.service, asking()).await.unwrap_err();
        assert!(
            missing.contains("it requires a client certificate")
                && missing.contains("set upstream.tls.client_certificate_file"),
            "{missing}"
        );
        let refused = meet(&stranger.service, asking()).await.unwrap_err();
        assert!(
            refused.contains("it does not accept our client certificate (it said "),
            "{refused}"
        );
        let proxy = meet(&with.proxy, asking()).await.unwrap_err();
        assert!(proxy.contains("which is shown to no proxy"), "{proxy}");
        let polite = server(&issued, versions, Asks::ForButNeedsNot(&clients));
        assert_eq!(meet(&without.service, polite).await.unwrap().certificate, None);
        let indifferent = server(&issued, versions, Asks::Nobody);
        assert_eq!(meet(&with.service, indifferent).await.unwrap().certificate, None);
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_to_a_certificate_is_taken_to_accept_it() {
    let authority = Authority::new("own");
    let issued = authority.issue(&["127.0.0.1"]);
    let mut config = server(&issued, &[&TLS13], Asks::For(&authority));
    // No ticket would tell that all is well.
    Arc::get_mut(&mut config).unwrap().send_tls13_tickets = 0;
    let sides = Files::of(&authority).show(&authority.issue(&["us.example"])).tls();
    meet(&sides.current(LIMIT).await.unwrap().service, config)
        .await
        .unwrap();
}

#[tokio::test]
async fn files_that_change_are_used_from_the_next_connection_on_and_broken_ones_are_not() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (first, second) = (old.issue(&["us.example"]), new.issue(&["us.example"]));
    let files = Files::of(&old).show(&first);
    let tls = files.tls();
    let meet = async |authority: &Authority| {
        let issued = authority.issue(&["127.0.0.1"]);
        let config = server(&issued, BOTH, Asks::For(authority));
        let met = meet(&tls.current(LIMIT).await.unwrap().service, config).await;
        met.map(|saw| saw.certificate.unwrap())
    };
    assert_eq!(meet(&old).await.as_ref(), Ok(&first.certificate));
    assert!(meet(&new).await.unwrap_err().contains("does not know"), "not yet");

    files.write("ca.pem", &format!("{}{}", old.pem, new.pem));
    assert!(
        meet(&new)
            .await
            .unwrap_err()
            .contains("does not accept our client certificate")
    );
    // In the middle of a rotation certificate and key do not fit.
    files.write("client.pem", &second.pem);
    assert_eq!(meet(&old).await.as_ref(), Ok(&first.certificate));
    files.write("client.key", &second.key_pem());
    assert_eq!(meet(&new).await.as_ref(), Ok(&second.certificate));

    for broken in ["", "-----BEGIN CERTIFICATE-----\n", &new.pem[..new.pem.len() / 2]] {
        files.write("ca.pem", broken);
        assert_eq!(meet(&new).await.as_ref(), Ok(&second.certificate), "{broken:?}");
    }
    std::fs::remove_file(files.directory.path().join("client.key")).unwrap();
    assert_eq!(meet(&new).await.as_ref(), Ok(&second.certificate), "gone");
    assert_eq!(tls.fault(), None);
}

#[tokio::test]
async fn what_is_unchanged_is_not_made_again() {
    let authority = Authority::new("own");
    let files = Files::of(&authority);
    let tls = files.tls();
    let first = tls.current(LIMIT).await.unwrap();
    files.write("ca.pem", &authority.pem);
    assert!(Arc::ptr_eq(&first, &tls.current(LIMIT).await.unwrap()));
    files.write("ca.pem", &format!("# a comment\n{}", authority.pem));
    assert!(!Arc::ptr_eq(&first, &tls.current(LIMIT).await.unwrap()));
}

#[tokio::test]
async fn who_reads_the_files_for_long_holds_up_no_connect() {
    let authority = Authority::new("own");
    let tls = Files::of(&authority).tls();
    let _hangs = tls.reader.hang().await;
    let began = std::time::Instant::now();
    assert!(tls.current(LIMIT).await.is_ok(), "with what was read before");
    assert!(began.elapsed() < 10 * LONGEST_READING, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_that_is_too_old_or_no_server_of_tls_is_told_apart() {
    let sides = Files::of(&Authority::new("own")).tls().current(LIMIT).await.unwrap();
    for (answer, says) in [
        // The alert protocol_version, as who knows TLS 1.1 at the most sends it.
        (&b"\x15\x03\x02\x00\x02\x02\x46"[..], "must offer TLS 1.2 or newer"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS"),
        (b"", "the connection was closed in its midst"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The whole hello first, or the close would be a reset.
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).await.unwrap();
            let mut rest = vec![0; usize::from(u16::from_be_bytes([hello[3], hello[4]]))];
            stream.read_exact(&mut rest).await.unwrap();
            stream.write_all(answer).await.unwrap();
        });
        let host = Host::parse("127.0.0.1").unwrap();
        let error = sides.service.handshake(&host, tcp, LIMIT).await.unwrap_err();
        assert!(error.contains(says), "{error}");
        server.await.unwrap();
    }
}

#[tokio::test]
async fn an_authority_that_shows_itself_as_a_server_is_explained() {
    let authority = Authority::self_signed_server("127.0.0.1");
    let config = server(&authority, BOTH, Asks::Nobody);
    let directory = tempfile::tempdir().unwrap();
    let ca_file = Some(write(directory.path(), "ca.pem", &authority.pem));
    let tls = Tls::new(TlsSettings { ca_file, client: None }, []);
    let error = meet(&tls.current(LIMIT).await.unwrap().service, config)
        .await
        .unwrap_err();
    assert!(error.contains("is one of an authority (CA:TRUE)"), "{error}");
}
