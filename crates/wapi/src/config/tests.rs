use super::*;
use crate::system::master_key::EXAMPLE_KEYS;

fn layers(values: &[(&str, &str)]) -> ConfigSources {
    let values = values
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    ConfigSources::from_defaults().with_values(values, ValueSource::Environment)
}

/// Reads the minimum of settings, with changes.
fn read(changes: &[(&str, &str)], build: BuildKind) -> Result<Config, ConfigErrors> {
    let mut values = vec![
        (
            "WAPI_GETTING_MESSAGES_WEBHOOK",
            "https://example.com/webhook",
        ),
        ("WAPI_INTERNAL_HOST", "127.0.0.1:8080"),
        ("WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH", "/var/lib/wapi"),
    ];
    values.extend_from_slice(changes);
    Config::read(&layers(&values), build)
}

/// Returns the error for a change that must not be accepted.
fn refusal(changes: &[(&str, &str)], build: BuildKind) -> String {
    read(changes, build)
        .expect_err("these settings were accepted")
        .to_string()
}

/// The file is for copying: as a settings file it would change nothing.
#[test]
fn the_file_of_defaults_has_the_defaults_of_the_table() {
    let defaults: toml::Table = toml::from_str(include_str!("../../config.default.toml")).unwrap();
    assert_eq!(defaults.len(), SETTINGS.len());
    for setting in SETTINGS {
        let written = defaults[&setting.file_key()].as_str().unwrap();
        assert_eq!(written, setting.default_value().unwrap_or_default());
    }
}

#[test]
fn a_dashboard_that_others_reach_needs_a_key_as_the_api_does() {
    let far = ("WAPI_DASHBOARD_LISTEN", "0.0.0.0:8081");
    let told = refusal(&[far], BuildKind::Release);
    assert!(
        told.contains("WAPI_DASHBOARD_LISTEN can be reached"),
        "{told}"
    );
    let short = refusal(&[far, ("WAPI_API_KEY", "short")], BuildKind::Release);
    assert!(short.contains("fewer than 16"), "{short}");
    for access in [
        ("WAPI_API_KEY", "wapi_0123456789ab"),
        ("WAPI_AUTH", "none"),
        ("WAPI_DASHBOARD", "off"),
    ] {
        read(&[far, access], BuildKind::Release).unwrap();
    }
    read(
        &[("WAPI_DASHBOARD_LISTEN", "127.0.0.1:8081")],
        BuildKind::Release,
    )
    .unwrap();
}

/// An error message shows the example as the remedy.
#[test]
fn the_examples_of_all_settings_are_accepted() {
    let all = SETTINGS
        .iter()
        .map(|setting| (setting.name, setting.example));
    // A master key is in one place at a time. Those of the examples would be everybody's.
    let (places, rest): (Vec<_>, Vec<_>) = all
        .filter(|(_, example)| !EXAMPLE_KEYS.contains(example))
        .partition(|(name, _)| name.contains("MASTER_KEY"));
    for place in &places {
        let mut examples = rest.clone();
        examples.extend(place.0.contains("_OLD").then(|| places[0]));
        examples.push(*place);
        read(&examples, BuildKind::Sandbox).unwrap();
    }
}

#[test]
fn the_least_that_works() {
    let config = read(&[], BuildKind::Release).unwrap();
    assert_eq!(config.webhook.as_str(), "https://example.com/webhook/");
    assert_eq!(config.check_every, Duration::from_secs(600));
    assert_eq!(config.whatsapp_timeout, Duration::from_secs(20));
    assert_eq!(config.whatsapp, WhatsappAddress::Real);
    assert!(matches!(config.access, AccessMode::Loopback));
}

#[test]
fn all_mistakes_are_told_at_once_each_with_a_right_value() {
    let refused = Config::read(&layers(&[("WAPI_ENV", "test")]), BuildKind::Release)
        .unwrap_err()
        .to_string();
    for line in [
        "WAPI_GETTING_MESSAGES_WEBHOOK is missing; for example WAPI_GETTING_MESSAGES_WEBHOOK=https://example.com/webhook/",
        "WAPI_INTERNAL_HOST is missing; for example WAPI_INTERNAL_HOST=127.0.0.1:8080",
        "WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH is missing; for example WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH=/var/lib/wapi",
        "WAPI_ENV is `test`; it can be dev or prod; for example WAPI_ENV=prod",
    ] {
        assert!(refused.contains(line), "{line:?} is not in:\n{refused}");
    }
}

#[test]
fn malformed_values_are_refused() {
    for (name, value) in [
        ("WAPI_INTERNAL_HOST", "8080"),
        ("WAPI_INTERNAL_HOST", ":8080"),
        ("WAPI_INTERNAL_HOST", "localhost:http"),
        ("WAPI_INTERNAL_HOST", "::1:80"),
        ("WAPI_GETTING_MESSAGES_WEBHOOK", "example.com/webhook"),
        ("WAPI_GETTING_MESSAGES_WEBHOOK", "ftp://example.com/"),
        (
            "WAPI_GETTING_MESSAGES_WEBHOOK",
            "https://example.com/?session=",
        ),
        ("WAPI_REDIS_HOST", "http://localhost:6379"),
        ("WAPI_SENTRY_DSN", "sentry"),
        ("WAPI_CONNECTIONS_CHECKOUT_DURATION_SECS", "ten"),
        ("WAPI_CONNECTIONS_CHECKOUT_DURATION_SECS", "0"),
        ("WAPI_WHATSAPP_CONNECTION_TIMEOUT", "-1"),
        ("WAPI_AUTH", "basic"),
        ("WAPI_API_KEY", "two words"),
        ("WAPI_LOG", "wapi=loud"),
        ("WAPI_LOG", "verbose"),
        ("WAPI_LOG", "info,whatsapp_rust"),
        (
            "WAPI_GETTING_MESSAGES_WEBHOOK",
            "https://example.com/{session}/",
        ),
        (
            "WAPI_GETTING_MESSAGES_WEBHOOK",
            "https://example.com/:session/",
        ),
        ("WAPI_HOSTS", "gateway.example:80"),
        ("WAPI_HOSTS", "a,,b"),
        ("WAPI_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("WAPI_TRUSTED_PROXIES", "proxy.example"),
        ("WAPI_LOG_FORMAT", "xml"),
    ] {
        let refused = refusal(&[(name, value)], BuildKind::Release);
        assert!(refused.contains(name), "{name}={value} gave:\n{refused}");
    }
}

#[test]
fn a_secret_is_never_repeated() {
    for name in ["WAPI_API_KEY", "WAPI_REDIS_HOST", "WAPI_SENTRY_DSN"] {
        let refused = refusal(&[(name, "hush hush://")], BuildKind::Release);
        assert!(
            refused.contains(name) && !refused.contains("hush"),
            "{refused}"
        );
    }
}

#[test]
fn an_open_listener_must_be_loopback_or_wanted() {
    let refused = refusal(&[("WAPI_INTERNAL_HOST", "0.0.0.0:443")], BuildKind::Release);
    assert!(
        refused.contains("set WAPI_API_KEY, or WAPI_AUTH=none"),
        "{refused}"
    );
    let open = read(
        &[("WAPI_INTERNAL_HOST", "0.0.0.0:443"), ("WAPI_AUTH", "none")],
        BuildKind::Release,
    )
    .unwrap();
    assert!(matches!(open.access, AccessMode::Open));
    let keyed = read(
        &[
            ("WAPI_INTERNAL_HOST", "0.0.0.0:443"),
            ("WAPI_API_KEY", "wapi_0123456789a"),
        ],
        BuildKind::Release,
    )
    .unwrap();
    assert!(matches!(keyed.access, AccessMode::Key(_)));
    for far in [
        ("WAPI_INTERNAL_HOST", "0.0.0.0:443"),
        ("WAPI_TRUSTED_PROXIES", "127.0.0.1"),
    ] {
        let weak = refusal(
            &[far, ("WAPI_API_KEY", "wapi_0123456789")],
            BuildKind::Release,
        );
        assert!(
            weak.contains("fewer than 16") && !weak.contains("0123456789;"),
            "{weak}"
        );
    }
    assert!(matches!(
        read(&[("WAPI_API_KEY", "short")], BuildKind::Release)
            .unwrap()
            .access,
        AccessMode::Key(_)
    ));
    let both = refusal(
        &[("WAPI_API_KEY", "wapi_k"), ("WAPI_AUTH", "none")],
        BuildKind::Release,
    );
    assert!(both.contains("set one of the two"), "{both}");
}

#[test]
fn https_needs_both_files() {
    let refused = refusal(&[("WAPI_CERT_FILE_PATH", "/c.pem")], BuildKind::Release);
    assert!(
        refused.contains("WAPI_CERT_KEY_PATH is missing"),
        "{refused}"
    );
    let refused = refusal(&[("WAPI_CERT_KEY_PATH", "/k.pem")], BuildKind::Release);
    assert!(
        refused.contains("WAPI_CERT_FILE_PATH is missing"),
        "{refused}"
    );
}

#[test]
fn the_period_can_be_given_in_milliseconds() {
    let config = read(
        &[("WAPI_CONNECTIONS_CHECKOUT_DURATION_MILLISECONDS", "1500")],
        BuildKind::Release,
    )
    .unwrap();
    assert_eq!(config.check_every, Duration::from_millis(1500));
}

#[test]
fn redis_is_named_by_host_or_by_address() {
    use secrecy::ExposeSecret;
    for (given, meant) in [
        ("localhost:6379", "redis://localhost:6379"),
        ("rediss://u:p@r:1/2", "rediss://u:p@r:1/2"),
    ] {
        let config = read(&[("WAPI_REDIS_HOST", given)], BuildKind::Release).unwrap();
        assert_eq!(config.redis.unwrap().expose_secret(), meant);
    }
    assert!(
        read(&[("WAPI_REDIS_HOST", "")], BuildKind::Release)
            .unwrap()
            .redis
            .is_none()
    );
}

#[test]
fn a_release_build_cannot_be_pointed_at_a_simulator() {
    for name in ["WAPI_WHATSAPP_URL", "WAPI_WHATSAPP_CA_FILE"] {
        let refused = refusal(&[(name, "ws://127.0.0.1:1/ws/chat")], BuildKind::Release);
        assert!(
            refused.contains("builds with the `sandbox` feature only"),
            "{refused}"
        );
    }
}

#[test]
fn a_simulator_must_be_on_this_machine() {
    for url in [
        "ws://192.168.0.1/ws",
        "wss://web.whatsapp.com/ws/chat",
        "ws://localhost.example.com/",
        "http://127.0.0.1/",
    ] {
        let refused = refusal(&[("WAPI_WHATSAPP_URL", url)], BuildKind::Sandbox);
        assert!(refused.contains("WAPI_WHATSAPP_URL"), "{refused}");
    }
    for url in [
        "ws://127.0.0.1:9/ws/chat",
        "wss://[::1]:9/ws/chat",
        "wss://localhost:9/ws/chat",
    ] {
        read(&[("WAPI_WHATSAPP_URL", url)], BuildKind::Sandbox).unwrap();
    }
}

#[test]
fn the_listing_masks_secrets_and_says_where_values_come_from() {
    let text = list_settings(&layers(&[
        ("WAPI_API_KEY", "wapi_hush"),
        ("WAPI_ENV", "dev"),
        ("WAPI_WEBHOK", "x"),
    ]));
    assert!(
        text.contains("WAPI_WEBHOK is not a setting    [environment]"),
        "{text}"
    );
    assert!(
        text.contains("********    [environment]") && !text.contains("wapi_hush"),
        "{text}"
    );
    let line = text
        .lines()
        .find(|line| line.starts_with("WAPI_ENV "))
        .unwrap();
    assert!(line.ends_with("= dev    [environment]"), "{line}");
}

#[test]
fn a_password_in_an_address_is_never_shown() {
    let values = [
        (
            "WAPI_GETTING_MESSAGES_WEBHOOK",
            "https://me:hush@example.com/in",
        ),
        ("WAPI_LOG", "info"),
    ];
    let text = list_settings(&layers(&values));
    assert!(
        text.contains("https://me:********@example.com/in") && !text.contains("hush"),
        "{text}"
    );
    for wrong in [
        "https://me:hush@example.com/?a",
        "ftp://me:hush@example.com/",
        "//me:hush@example.com/{a}",
    ] {
        let refused = refusal(
            &[("WAPI_GETTING_MESSAGES_WEBHOOK", wrong)],
            BuildKind::Release,
        );
        assert!(!refused.contains("hush"), "{refused}");
    }
}

#[test]
fn files_are_kept_in_the_data_folder_or_in_a_bucket_with_its_keys() {
    use crate::config::StorageConfig;
    use secrecy::ExposeSecret;
    assert!(matches!(
        read(&[], BuildKind::Release).unwrap().media_storage,
        StorageConfig::Disk
    ));
    let keys = [
        ("WAPI_MEDIA_S3_ACCESS_KEY_ID", "id"),
        ("WAPI_MEDIA_S3_SECRET_ACCESS_KEY", "hush"),
    ];
    let with = |storage: &'static str, endpoint: &'static str| {
        let place = [
            ("WAPI_MEDIA_STORAGE", storage),
            ("WAPI_MEDIA_S3_ENDPOINT", endpoint),
        ];
        [place, keys].concat()
    };
    let config = read(
        &with("s3://files/of/wapi/", "http://127.0.0.1:9000"),
        BuildKind::Release,
    )
    .unwrap();
    let StorageConfig::S3(at) = &config.media_storage else {
        panic!("{:?}", config.media_storage)
    };
    assert_eq!(
        (at.bucket.as_str(), at.prefix.as_str(), at.region.as_str()),
        ("files", "of/wapi", "us-east-1")
    );
    assert_eq!(at.secret_access_key.expose_secret(), "hush");
    assert!(!format!("{config:?}").contains("hush"));
    assert!(!list_settings(&layers(&keys)).contains("hush"));
    for storage in [
        "files",
        "gs://files",
        "s3://",
        "s3:///a",
        "s3://files/../a",
        "s3://files//a",
        "s3://fi les",
    ] {
        assert!(
            refusal(&with(storage, ""), BuildKind::Release).contains("it must be s3://bucket"),
            "{storage}"
        );
    }
    for endpoint in [
        "minio:9000",
        "ftp://minio",
        "http://minio/files",
        "http://me:hush@minio",
    ] {
        let refused = refusal(&with("s3://files", endpoint), BuildKind::Release);
        assert!(
            refused.contains("WAPI_MEDIA_S3_ENDPOINT is not the address")
                && !refused.contains("hush"),
            "{refused}"
        );
    }
    let refused = refusal(&[("WAPI_MEDIA_STORAGE", "s3://files")], BuildKind::Release);
    assert!(
        refused.contains("WAPI_MEDIA_S3_ACCESS_KEY_ID is missing"),
        "{refused}"
    );
    assert!(
        refused.contains("WAPI_MEDIA_S3_SECRET_ACCESS_KEY is missing"),
        "{refused}"
    );
    assert!(
        refusal(&keys, BuildKind::Release)
            .contains("but WAPI_MEDIA_STORAGE, which names the bucket, is not")
    );
}

#[test]
fn unknown_names_are_refused_wherever_they_stand_with_the_nearest_right_one() {
    for (name, meant) in [
        ("WAPI_APIKEY", "did you mean `WAPI_API_KEY`?"),
        ("WAPI_REDIS", "(from environment) is not a setting"),
        (
            "WAPI_GETTING_MESSAGE_WEBHOOK",
            "did you mean `WAPI_GETTING_MESSAGES_WEBHOOK`?",
        ),
        ("WAPI_TRUSTED_PROXY", "did you mean `WAPI_TRUSTED_PROXIES`?"),
    ] {
        let refused = refusal(&[(name, "hush")], BuildKind::Release);
        assert!(
            refused.contains(name) && refused.contains(meant) && !refused.contains("hush"),
            "{refused}"
        );
    }
    read(
        &[
            ("WAPI_SERVICE_HOST", "10.0.0.1"),
            ("WAPI_PORT", "tcp://10.0.0.1:80"),
            ("WAPI_TESTS_SEED", "1"),
        ],
        BuildKind::Release,
    )
    .unwrap();
    let refused = refusal(&[("WAPI_LOG", "dbug")], BuildKind::Release);
    assert!(refused.contains("did you mean `debug`?"), "{refused}");
}

#[test]
fn a_secret_that_is_set_to_nothing_is_a_mistake() {
    for name in [
        "WAPI_API_KEY",
        "WAPI_WEBHOOK_SECRET",
        "WAPI_MEDIA_S3_SECRET_ACCESS_KEY",
    ] {
        for value in ["", " "] {
            let refused = refusal(&[(name, value)], BuildKind::Release);
            assert!(
                refused.contains(&format!("{name} (from environment) is empty")),
                "{refused}"
            );
        }
    }
}

#[test]
fn targets_are_open_only_on_a_machine_of_ones_own() {
    let all = crate::net::egress::EgressPolicy::parse("none").unwrap();
    let near = url::Url::parse("http://127.0.0.1/").unwrap();
    assert!(all.check_url(&near).is_err());
    let is_open = |changes: &[(&str, &str)]| {
        read(changes, BuildKind::Release)
            .unwrap()
            .allowed_targets
            .check_url(&near)
            .is_ok()
    };
    let key = ("WAPI_API_KEY", "wapi_0123456789abcdef");
    assert!(
        is_open(&[])
            && is_open(&[("WAPI_AUTH", "none")])
            && is_open(&[key, ("WAPI_ALLOW_PRIVATE_TARGETS", "all")])
    );
    for changes in [
        &[key][..],
        &[("WAPI_TRUSTED_PROXIES", "127.0.0.1")],
        &[("WAPI_AUTH", "none"), ("WAPI_TRUSTED_PROXIES", "127.0.0.1")],
        &[("WAPI_AUTH", "none"), ("WAPI_INTERNAL_HOST", "0.0.0.0:80")],
        &[
            ("WAPI_ENV", "dev"),
            ("WAPI_INTERNAL_HOST", "0.0.0.0:80"),
            key,
        ],
    ] {
        assert!(!is_open(changes), "{changes:?}");
    }
    let config = read(&[("WAPI_ENV", "dev"), key], BuildKind::Release).unwrap();
    assert!(
        config.targets_were_open,
        "webhooks of before may keep theirs"
    );
    assert!(
        !read(
            &[("WAPI_ALLOW_PRIVATE_TARGETS", "none")],
            BuildKind::Release
        )
        .unwrap()
        .targets_were_open
    );
}
