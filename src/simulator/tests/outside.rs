//! What is seen from outside the process: TLS, `/_sim`, the ledger's file, planned faults.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::*;
use super::client::{decode, ended, open, quiet, send, stream_request};

async fn ask(simulator: &Handle, method: &str, target: &str, body: &str) -> (u16, serde_json::Value) {
    let length = body.len();
    let request = format!("{method} {target} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}");
    let reply = send(simulator.addr(), request.as_bytes()).await.unwrap();
    (
        reply.status,
        serde_json::from_str(&reply.text().await).unwrap_or_default(),
    )
}

#[tokio::test]
async fn a_person_with_curl_can_cause_trouble_and_read_the_ledger() {
    let simulator = quiet(|_| {}).await;
    let mut stream = open(&simulator).await;
    assert_eq!(ask(&simulator, "POST", "/_sim/burst?stream=s&hits=5", "").await.0, 200);
    stream.records(5).await;
    assert_eq!(
        ask(&simulator, "POST", "/_sim/rate", r#"{"stream":"s","rate":"max"}"#)
            .await
            .0,
        200
    );
    stream.records(50).await;
    assert_eq!(
        ask(&simulator, "POST", "/_sim/fault", r#"{"stream":"s","fault":"close"}"#)
            .await
            .0,
        200
    );
    let body = stream.body().await;
    assert!(ended(&simulator, 1).await.ended_cleanly());

    let (status, sums) = ask(&simulator, "GET", "/_sim/ledger", "").await;
    assert_eq!((status, sums["total"]["clean_ends"].as_u64()), (200, Some(1)));
    assert_eq!(sums["streams"]["s"]["made"].as_u64(), Some(body.records.len() as u64));
    let records = send(simulator.addr(), b"GET /_sim/ledger/records?stream=s HTTP/1.1\r\n\r\n")
        .await
        .unwrap()
        .text()
        .await;
    let lines: Vec<serde_json::Value> = records
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let fingerprints: Vec<_> = lines
        .iter()
        .map(|line| line["fingerprint"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        fingerprints,
        body.fingerprints()
            .iter()
            .map(|it| format!("{it:016x}"))
            .collect::<Vec<_>>()
    );
    assert!(
        lines
            .iter()
            .all(|line| line["whole"] == true && line["clean"] == true && line["kind"] == "hit")
    );
    let accepts = send(simulator.addr(), b"GET /_sim/ledger/accepts HTTP/1.1\r\n\r\n")
        .await
        .unwrap()
        .text()
        .await;
    let accept: serde_json::Value = serde_json::from_str(accepts.lines().next().unwrap()).unwrap();
    assert_eq!(
        (accept["status"].as_u64(), accept["early"].as_bool()),
        (Some(200), Some(false))
    );
    assert_eq!(accept["end"]["by"]["fault"], "close");
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_a_reason() {
    let simulator = quiet(|_| {}).await;
    for (target, reason) in [
        ("/_sim/fault?stream=s", "parameter fault is missing"),
        ("/_sim/fault?stream=s&fault=melt", "unknown fault \"melt\""),
        ("/_sim/fault?stream=t&fault=cut", "there is no stream \"t\""),
        ("/_sim/rate?stream=s&rate=fast", "rate cannot be \"fast\""),
        ("/_sim/burst?stream=s&hits=-1", "hits cannot be \"-1\""),
        (
            "/_sim/token-fault?fault=cut",
            "unknown fault \"cut\" of the token endpoint",
        ),
    ] {
        let (status, answer) = ask(&simulator, "POST", target, "").await;
        assert_eq!(status, 400, "{target}");
        assert!(
            answer["error_description"].as_str().unwrap().starts_with(reason),
            "{target}: {answer}"
        );
    }
    assert_eq!(ask(&simulator, "GET", "/_sim/nothing", "").await.0, 404);
    assert_eq!(ask(&simulator, "GET", "/_sim", "").await.0, 200);
    for _ in 0..1_024 {
        simulator.fault("s", StreamFault::Cut).unwrap();
    }
    assert!(simulator.fault("s", StreamFault::Cut).is_err(), "orders are bounded");
}

#[tokio::test]
async fn the_ledger_file_holds_what_a_client_holds_while_the_simulator_still_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.ndjson");
    let simulator = quiet(|settings| settings.ledger_file = Some(path.clone())).await;
    let mut stream = open(&simulator).await;
    simulator.burst("s", 30).unwrap();
    let records = stream.records(30).await;
    let lines = |kind: &str| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["type"] == kind).collect()
    };
    let written: Vec<_> = lines("record")
        .iter()
        .map(|line| line["fingerprint"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        written,
        records
            .iter()
            .map(|it| format!("{:016x}", fingerprint(it)))
            .collect::<Vec<_>>()
    );
    simulator.fault("s", StreamFault::Close { trailer: true }).unwrap();
    stream.body().await;
    ended(&simulator, 1).await;
    open(&simulator).await;
    simulator.stop().await;
    assert_eq!(lines("whole").last().unwrap()["records"], 30);
    assert_eq!(lines("end")[0]["by"]["fault"], "close");
    assert_eq!(lines("taken")[0]["taken"], true);
    let accepts = lines("accept");
    assert_eq!(
        (accepts[1]["early"].as_bool(), accepts[1]["stream"].as_str()),
        (Some(true), Some("s"))
    );
    assert_eq!(lines("status")[1]["status"], 409);
}

#[tokio::test]
async fn planned_faults_come_by_themselves() {
    let fault = Fault::from(StreamFault::Close { trailer: true });
    let planned = PlannedFault {
        at: Duration::from_millis(1),
        stream: None,
        fault,
    };
    let simulator = quiet(|settings| settings.planned = vec![planned]).await;
    open(&simulator).await.body().await;
    assert_eq!(ended(&simulator, 1).await.end.unwrap().by, EndedBy::Fault("close"));
}

#[tokio::test]
async fn tls_carries_a_stream_to_a_clean_end_and_into_a_cut() {
    let identity = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = CertificateDer::from(identity.cert.der().to_vec());
    let chain = vec![certificate.to_vec()];
    let key = identity.signing_key.serialize_der();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    for fault in [
        StreamFault::Close { trailer: true },
        StreamFault::Cut,
        StreamFault::Reset,
    ] {
        let simulator = quiet(|settings| {
            settings.public_host = Some("localhost".to_owned());
            settings.tls = Some(TlsIdentity::Der {
                chain: chain.clone(),
                key: key.clone(),
            });
        })
        .await;
        assert!(simulator.url("s").starts_with("https://localhost:"));
        let tcp = tokio::net::TcpStream::connect(simulator.addr()).await.unwrap();
        let mut tls = connector
            .connect(ServerName::try_from("localhost").unwrap(), tcp)
            .await
            .unwrap();
        tls.write_all(stream_request("/api/1/stream/s", &simulator.issue_token()).as_bytes())
            .await
            .unwrap();
        simulator.burst("s", 20).unwrap();
        let whole = |ledger: &Ledger| ledger.accept(1).filter(|accept| accept.whole == 20);
        simulator.ledger().wait_until(whole).await;
        simulator.fault("s", fault.clone()).unwrap();
        let mut bytes = Vec::new();
        let end = tls.read_to_end(&mut bytes).await;
        drop(tls);
        let accept = ended(&simulator, 1).await;
        assert!(accept.tls);
        assert_eq!(end.is_ok(), fault == StreamFault::Close { trailer: true });
        assert_eq!(accept.ended_cleanly(), fault == StreamFault::Close { trailer: true });
        if fault != StreamFault::Reset {
            let head = bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
            assert_eq!(decode(&bytes[head..], true).records.len(), 20);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_at_the_start() {
    let fails = async |change: fn(&mut SimulatorSettings)| {
        let mut settings = SimulatorSettings::with_stream(SimulatedStream::new("s"));
        change(&mut settings);
        Simulator::start(settings).await.unwrap_err().to_string()
    };
    assert!(
        fails(|it| it.streams.push(SimulatedStream::new("s")))
            .await
            .contains("there twice")
    );
    assert!(
        fails(|it| it.streams[0].name = "a/b".to_owned())
            .await
            .starts_with("stream \"a/b\"")
    );
    assert!(
        fails(|it| it.streams[0].rate = Rate::PerSecond(f64::NAN))
            .await
            .contains("rate")
    );
    let pem = fails(|it| {
        it.tls = Some(TlsIdentity::Pem {
            certificate: "/no/cert".into(),
            key: "/no/key".into(),
        });
    })
    .await;
    assert!(pem.starts_with("/no/cert: "), "{pem}");
}
