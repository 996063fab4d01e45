//! What the program says before it serves: wrong settings, taken ports, certificates.

use std::net::TcpListener;

use crate::harness::{Setup, TestClient, TestReceiver, Wapi, free_address, options};

#[tokio::test]
async fn missing_settings_are_all_named_at_once() {
    let told = Wapi::new()
        .unset("WAPI_GETTING_MESSAGES_WEBHOOK")
        .unset("WAPI_INTERNAL_HOST")
        .unset("WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH")
        .set("WAPI_ENV", "test")
        .refusal()
        .await;
    for name in [
        "WAPI_GETTING_MESSAGES_WEBHOOK is missing",
        "WAPI_INTERNAL_HOST is missing",
        "WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH is missing",
        "WAPI_ENV is `test`",
        "WAPI_ENV=prod",
    ] {
        assert!(told.contains(name), "{name} is not in {told}");
    }
}

#[tokio::test]
async fn an_open_listener_on_all_addresses_is_refused() {
    let told = Wapi::new()
        .set("WAPI_INTERNAL_HOST", "0.0.0.0:0")
        .refusal()
        .await;
    assert!(
        told.contains("WAPI_API_KEY") && told.contains("WAPI_AUTH=none"),
        "{told}"
    );
}

#[tokio::test]
async fn a_whatsapp_that_is_not_on_this_machine_is_refused() {
    let told = Wapi::new()
        .set("WAPI_WHATSAPP_URL", "ws://192.0.2.1/ws/chat")
        .refusal()
        .await;
    assert!(
        told.contains("WAPI_WHATSAPP_URL") && told.contains("must be on this machine"),
        "{told}"
    );
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let told = Wapi::new()
        .set("WAPI_INTERNAL_HOST", address)
        .refusal()
        .await;
    assert!(
        told.contains(&format!(
            "WAPI_INTERNAL_HOST is {address}, which cannot be listened on"
        )),
        "{told}"
    );
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_made_is_named() {
    let wapi = Wapi::new();
    let file = wapi.folder().join("file");
    std::fs::write(&file, b"").unwrap();
    let told = wapi
        .set("WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH", file.display())
        .refusal()
        .await;
    assert!(
        told.contains("WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH"),
        "{told}"
    );
}

#[tokio::test]
async fn certificates_that_cannot_work_are_named() {
    let told = Wapi::new()
        .set("WAPI_CERT_FILE_PATH", "/nowhere/c.pem")
        .refusal()
        .await;
    assert!(told.contains("WAPI_CERT_KEY_PATH is missing"), "{told}");
    let told = Wapi::new()
        .set("WAPI_CERT_FILE_PATH", "/nowhere/c.pem")
        .set("WAPI_CERT_KEY_PATH", "/nowhere/k.pem")
        .refusal()
        .await;
    assert!(
        told.contains("WAPI_CERT_FILE_PATH names /nowhere/c.pem, which cannot be read"),
        "{told}"
    );
    let wapi = Wapi::new();
    let junk = wapi.folder().join("junk.pem");
    std::fs::write(&junk, b"junk").unwrap();
    let told = wapi
        .set("WAPI_CERT_FILE_PATH", junk.display())
        .set("WAPI_CERT_KEY_PATH", junk.display())
        .refusal()
        .await;
    assert!(
        told.contains("are not a PEM certificate and its key"),
        "{told}"
    );
}

#[tokio::test]
async fn with_a_certificate_the_gateway_speaks_https() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let app = Setup::new()
        .set("WAPI_CERT_FILE_PATH", certificate.display())
        .set("WAPI_CERT_KEY_PATH", key.display())
        .start()
        .await;
    let trusted = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let http = reqwest::Client::builder()
        .tls_certs_only([trusted])
        .build()
        .unwrap();
    let client = TestClient::at(app.base().replace("http://", "https://"), http);
    client.get("/health/live").await.expect(200);
    client.register("shop").await.expect(202);
    app.finish_without_events().await;
}

#[tokio::test]
async fn the_listing_of_settings_masks_secrets_and_names_sources() {
    let wapi = Wapi::new().set("WAPI_API_KEY", "wapi_hush");
    std::fs::write(
        wapi.folder().join(".env"),
        "WAPI_ENV=dev\nWAPI_WHATSAPP_CONNECTION_TIMEOUT=7\n",
    )
    .unwrap();
    let ended = wapi.run(&["config"]).await;
    assert!(ended.success, "{ended:?}");
    assert!(!ended.stdout.contains("wapi_hush"), "{}", ended.stdout);
    for (name, value, source) in [
        ("WAPI_API_KEY", "********", "environment"),
        ("WAPI_ENV", "dev", ".env"),
        ("WAPI_WHATSAPP_CONNECTION_TIMEOUT", "7", ".env"),
        ("WAPI_AUTH", "key", "default"),
    ] {
        let line = ended
            .stdout
            .lines()
            .find(|line| line.split_whitespace().next() == Some(name))
            .unwrap();
        assert!(
            line.ends_with(&format!("= {value}    [{source}]")),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_settings_file_is_read_and_its_mistakes_are_named() {
    let wapi = Wapi::new().set("WAPI_CONFIG", "wapi.toml");
    std::fs::write(
        wapi.folder().join("wapi.toml"),
        "env = \"dev\"\nwhatsapp_connection_timeout = 9\n",
    )
    .unwrap();
    let listed = wapi.run(&["config"]).await.stdout;
    assert!(listed.contains("= 9    [wapi.toml]"), "{listed}");
    std::fs::write(wapi.folder().join("wapi.toml"), "colour = \"red\"\n").unwrap();
    let told = wapi.refusal().await;
    assert!(
        told.contains("WAPI_COLOUR (from wapi.toml) is not a setting"),
        "{told}"
    );
}

#[tokio::test]
async fn the_version_is_told() {
    let ended = Wapi::new().run(&["--version"]).await;
    assert_eq!(
        ended.stdout,
        format!("wapi {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[tokio::test]
async fn the_program_serves_until_it_is_asked_to_end() {
    let simulator = wapi_simulator::Simulator::start(options()).await.unwrap();
    let address = free_address();
    let wapi = Wapi::new()
        .set("WAPI_INTERNAL_HOST", address)
        .set("WAPI_WHATSAPP_URL", simulator.ws_url());
    let (running, client) = wapi.serves(address).await;
    client.register("shop").await.expect(202);
    let ended = running.terminate().await;
    assert!(ended.success, "{ended:?}");
    assert!(
        ended.stdout.contains("session shop"),
        "no QR code was printed: {ended:?}"
    );
    assert!(!ended.stderr.contains("shop@"), "{ended:?}");
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn failed_restores_are_reported_to_sentry() {
    let (reports, mut received) = tokio::sync::mpsc::unbounded_channel::<String>();
    let take = |axum::extract::State(reports): axum::extract::State<
        tokio::sync::mpsc::UnboundedSender<String>,
    >,
                body: axum::body::Bytes| async move {
        reports
            .send(String::from_utf8_lossy(&body).into_owned())
            .unwrap();
    };
    let router = axum::Router::new().fallback(take).with_state(reports);
    let sentry = TestReceiver::serve(TcpListener::bind("127.0.0.1:0").unwrap(), router);

    let address = free_address();
    let dsn = sentry.replace("http://", "http://key@") + "/1";
    let wapi = Wapi::new()
        .set("WAPI_INTERNAL_HOST", address)
        .set("WAPI_SENTRY_DSN", dsn);
    let sessions = wapi.folder().join("data/sessions");
    std::fs::create_dir_all(&sessions).unwrap();
    std::fs::write(sessions.join("broken.session"), b"dear diary").unwrap();
    let (running, client) = wapi.serves(address).await;
    client.until("broken", "failed").await;
    let report = received.recv().await.unwrap();
    assert!(
        report.contains("failed to open the session") && report.contains("broken"),
        "{report}"
    );
    running.terminate().await;
}

#[tokio::test]
async fn who_asks_it_to_end_while_it_starts_is_heard() {
    let wapi = Wapi::new()
        .set("WAPI_INTERNAL_HOST", free_address())
        .set("WAPI_WHATSAPP_URL", "ws://127.0.0.1:9");
    let mut running = wapi.launch();
    // The first line of its log; the database is not open yet.
    running.logs("open files and connections").await;
    let ended = running.terminate().await;
    assert!(ended.success, "{ended:?}");
}

#[tokio::test]
async fn a_machine_that_knows_no_authorities_is_enough() {
    let simulator = wapi_simulator::Simulator::start(Default::default())
        .await
        .unwrap();
    let (address, wapi) = (free_address(), Wapi::new());
    let empty = wapi.folder().join("empty.pem");
    std::fs::write(&empty, b"").unwrap();
    let wapi = wapi
        .set("SSL_CERT_FILE", empty.display())
        .set("WAPI_INTERNAL_HOST", address)
        .set("WAPI_WHATSAPP_URL", simulator.ws_url())
        .set("WAPI_SENTRY_DSN", "https://key@127.0.0.1:9/1")
        .set("WAPI_MEDIA_STORAGE", "s3://files")
        .set("WAPI_MEDIA_S3_ENDPOINT", "https://127.0.0.1:9")
        .set("WAPI_MEDIA_S3_ACCESS_KEY_ID", "id")
        .set("WAPI_MEDIA_S3_SECRET_ACCESS_KEY", "secret");
    let (running, client) = wapi.serves(address).await;
    client.register("shop").await.expect(202);
    let ended = running.terminate().await;
    assert!(ended.success, "{ended:?}");
    assert_eq!(
        ended
            .stderr
            .matches("using those that come with the program")
            .count(),
        1,
        "{ended:?}"
    );
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn dotenv_is_read_as_it_stands_and_what_is_wrong_with_it_is_named_by_its_line() {
    let wapi = Wapi::new();
    std::fs::write(
        wapi.folder().join(".env"),
        "\u{feff}WAPI_API_KEY=abc$def$2b$12\nWAPI_LOG='debug'\n",
    )
    .unwrap();
    let simulator = wapi_simulator::Simulator::start(Default::default())
        .await
        .unwrap();
    let address = free_address();
    let wapi = wapi
        .set("WAPI_INTERNAL_HOST", address)
        .set("WAPI_WHATSAPP_URL", simulator.ws_url());
    let (running, client) = wapi.serves(address).await;
    client.get("/v1/sessions").await.expect(401);
    client
        .with_key("abc$def$2b$12")
        .get("/v1/sessions")
        .await
        .expect(200);
    assert!(running.terminate().await.success);
    for (text, words) in [
        ("WAPI_API_KEY=hush\nWAPI_API_KEY=hush2\n", "lines 1 and 2"),
        ("WAPI_API_KEY=\"hush\n", "line 1 (WAPI_API_KEY)"),
        ("hush\n", "line 1"),
        ("WAPI_API_KEY=\n", "WAPI_API_KEY (from .env) is empty"),
        ("WAPI_APIKEY=hush\n", "did you mean `WAPI_API_KEY`?"),
    ] {
        std::fs::write(wapi.folder().join(".env"), text).unwrap();
        let told = wapi.refusal().await;
        assert!(told.contains(words) && !told.contains("hush"), "{told}");
    }
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_at_a_hangup_and_a_wrong_one_changes_nothing() {
    let make = || {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    };
    let trusts = |certificate: &str, base: String| {
        let trusted = reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap();
        let http = reqwest::Client::builder()
            .tls_certs_only([trusted])
            .pool_max_idle_per_host(0)
            .build()
            .unwrap();
        async move { http.get(base + "/health/live").send().await.is_ok() }
    };
    let (first, second) = (make(), make());
    let address = free_address();
    let wapi = Wapi::new().set("WAPI_INTERNAL_HOST", address);
    let (certificate, key) = (wapi.folder().join("c.pem"), wapi.folder().join("k.pem"));
    let writes = |pair: &(String, String)| {
        std::fs::write(&certificate, &pair.0).unwrap();
        std::fs::write(&key, &pair.1).unwrap();
    };
    writes(&first);
    let wapi = wapi
        .set("WAPI_CERT_FILE_PATH", certificate.display())
        .set("WAPI_CERT_KEY_PATH", key.display());
    let simulator = wapi_simulator::Simulator::start(Default::default())
        .await
        .unwrap();
    let wapi = wapi.set("WAPI_WHATSAPP_URL", simulator.ws_url());
    let (mut running, _) = wapi.serves(address).await;
    let base = format!("https://{address}");
    assert!(trusts(&first.0, base.clone()).await);
    std::fs::write(&certificate, &second.0).unwrap();
    running.hang_up().await;
    running.logs("failed to load the new certificate").await;
    assert!(
        trusts(&first.0, base.clone()).await,
        "half of a pair changes nothing"
    );
    writes(&second);
    running.hang_up().await;
    running.logs("serving a new certificate").await;
    assert!(trusts(&second.0, base.clone()).await && !trusts(&first.0, base).await);
    assert!(running.terminate().await.success);
    simulator.finish().await.unwrap();
}
