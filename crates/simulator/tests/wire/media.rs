//! The media host as a client's HTTP library sees it: TLS by the simulator's CA, uploads that go on, ranges.

use reqwest::{Certificate, Client, StatusCode};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use wapi_simulator::{Simulator, SimulatorOptions};

/// An HTTP client that trusts only the simulator's CA.
pub fn https(simulator: &Simulator) -> Client {
    // Fails when another test of this process was first, which is as good.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let ca = Certificate::from_pem(simulator.ca_pem().as_bytes()).unwrap();
    Client::builder()
        .tls_certs_only([ca])
        .no_proxy()
        .build()
        .unwrap()
}

fn base(simulator: &Simulator) -> String {
    simulator
        .wss_url()
        .replace("wss://", "https://")
        .replace("/ws/chat", "")
}

#[tokio::test]
async fn a_file_is_uploaded_and_downloaded_in_pieces() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let (http, base) = (https(&simulator), base(&simulator));
    let upload = format!("{base}/mms/image/tok-1?auth=a&token=tok-1");
    let nothing: Value = http
        .post(format!("{upload}&resume=1"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(nothing.get("resume"), None);
    let answer: Value = http
        .post(&upload)
        .body("0123456789")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(
        answer["direct_path"].as_str().unwrap().contains('?'),
        "one client appends to the query blindly"
    );
    assert!(answer["url"].as_str().unwrap().starts_with(&base));
    let known: Value = http
        .post(format!("{upload}&resume=1"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(known["resume"], "complete");
    assert_eq!(known["direct_path"], answer["direct_path"]);

    let url = answer["url"].as_str().unwrap();
    assert_eq!(
        http.get(url).send().await.unwrap().text().await.unwrap(),
        "0123456789"
    );
    let part = http
        .get(url)
        .header("range", "bytes=4-6")
        .send()
        .await
        .unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.headers()["content-range"], "bytes 4-6/10");
    assert_eq!(part.text().await.unwrap(), "456");
    let beyond = http
        .get(url)
        .header("range", "bytes=10-")
        .send()
        .await
        .unwrap();
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let missing = http
        .get(format!("{base}/v/t62/nothing"))
        .send()
        .await
        .unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn an_upload_that_broke_off_goes_on_where_it_stopped() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let (http, base) = (https(&simulator), base(&simulator));
    let address = simulator
        .ws_url()
        .replace("ws://", "")
        .replace("/ws/chat", "");
    let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = "POST /mms/image/tok-2?auth=a&token=tok-2 HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n";
    socket
        .write_all(format!("{head}01234").as_bytes())
        .await
        .unwrap();
    socket.flush().await.unwrap();
    let probe = format!("{base}/mms/image/tok-2?auth=a&token=tok-2");
    let half_there = async {
        loop {
            let known: Value = http
                .post(format!("{probe}&resume=1"))
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            if known["resume"] == "5" {
                break;
            }
        }
    };
    tokio::time::timeout(crate::companion::PATIENCE, half_there)
        .await
        .expect("five bytes have arrived");
    drop(socket);
    let rest = http
        .post(format!("{probe}&file_offset=5"))
        .body("56789")
        .send()
        .await
        .unwrap();
    let answer: Value = rest.json().await.unwrap();
    let url = answer["url"].as_str().unwrap();
    assert_eq!(
        http.get(url).send().await.unwrap().text().await.unwrap(),
        "0123456789"
    );
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn an_upload_without_authorization_is_refused() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let upload = format!("{}/mms/image/tok?token=tok", base(&simulator));
    let answer = https(&simulator)
        .post(upload)
        .body("x")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_file_that_nobody_needs_any_more_is_removed() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let (http, base) = (https(&simulator), base(&simulator));
    for (uploaded, removed) in [("tok-3", "tok-3"), ("tok-4", "tok-4=")] {
        let upload = format!("{base}/mms/md-msg-hist/{uploaded}?auth=a&token={uploaded}");
        let answer: Value = http
            .post(&upload)
            .body("history")
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let url = answer["url"].as_str().unwrap();
        let remove = format!("{base}/mms/md-msg-hist/{removed}?token={removed}&d_md=L3Y");
        assert_eq!(
            http.delete(&remove).send().await.unwrap().status(),
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(http.get(url).send().await.unwrap().status(), StatusCode::OK);
        assert_eq!(
            http.delete(format!("{remove}&auth=a"))
                .send()
                .await
                .unwrap()
                .status(),
            StatusCode::OK
        );
        assert_eq!(
            http.get(url).send().await.unwrap().status(),
            StatusCode::NOT_FOUND
        );
        assert_eq!(
            http.delete(format!("{remove}&auth=a"))
                .send()
                .await
                .unwrap()
                .status(),
            StatusCode::NOT_FOUND
        );
    }
    simulator.finish().await.unwrap();
}
