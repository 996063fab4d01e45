//! The table of settings: names, and valid examples for error messages.

/// One setting. Its default and meaning are in `config.default.toml`, under [`Setting::file_key`].
#[derive(Debug)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// A valid value.
    pub example: &'static str,
    /// Never printed.
    pub secret: bool,
}

impl Setting {
    /// Returns the name in a settings file: the variable without its prefix, in lower case.
    pub fn file_key(&self) -> String {
        self.name.trim_start_matches("WAPI_").to_lowercase()
    }

    /// Returns the setting of this variable, if there is one.
    pub fn find_by_name(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }
}

const fn plain_setting(name: &'static str, example: &'static str) -> Setting {
    Setting {
        name,
        example,
        secret: false,
    }
}

const fn secret_setting(name: &'static str, example: &'static str) -> Setting {
    Setting {
        name,
        example,
        secret: true,
    }
}

/// All settings, in the order of `config.default.toml`.
pub static SETTINGS: &[Setting] = &[
    plain_setting(
        "WAPI_GETTING_MESSAGES_WEBHOOK",
        "https://example.com/webhook/",
    ),
    secret_setting(
        "WAPI_WEBHOOK_SECRET",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ),
    plain_setting("WAPI_WEBHOOK_DISABLE_AFTER_HOURS", "72"),
    plain_setting("WAPI_ALLOW_PRIVATE_TARGETS", "10.0.0.0/8,192.168.0.0/16"),
    plain_setting("WAPI_INTERNAL_HOST", "127.0.0.1:8080"),
    plain_setting("WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH", "/var/lib/wapi"),
    secret_setting("WAPI_API_KEY", "wapi_a-long-random-text"),
    plain_setting("WAPI_AUTH", "key"),
    plain_setting("WAPI_HOSTS", "gateway.example.com,wapi"),
    plain_setting("WAPI_TRUSTED_PROXIES", "10.0.0.0/8,127.0.0.1"),
    secret_setting("WAPI_REDIS_HOST", "localhost:6379"),
    secret_setting("WAPI_SENTRY_DSN", "https://key@sentry.example.com/1"),
    plain_setting("WAPI_CERT_FILE_PATH", "/etc/wapi/certificate.pem"),
    plain_setting("WAPI_CERT_KEY_PATH", "/etc/wapi/key.pem"),
    plain_setting("WAPI_ENV", "prod"),
    plain_setting("WAPI_CONNECTIONS_CHECKOUT_DURATION_SECS", "600"),
    plain_setting("WAPI_CONNECTIONS_CHECKOUT_DURATION_MILLISECONDS", "600000"),
    plain_setting("WAPI_WHATSAPP_CONNECTION_TIMEOUT", "20"),
    plain_setting("WAPI_RESTORE_CONCURRENCY", "8"),
    plain_setting("WAPI_RETENTION_DAYS", "30"),
    plain_setting("WAPI_RETENTION_DEAD_DAYS", "90"),
    plain_setting("WAPI_RETENTION_SIZE_MIB", "10240"),
    plain_setting("WAPI_MEDIA_DOWNLOAD", "eager"),
    plain_setting("WAPI_MEDIA_MAX_MIB", "2048"),
    plain_setting("WAPI_MEDIA_RETENTION_DAYS", "30"),
    plain_setting("WAPI_MEDIA_RETENTION_SIZE_MIB", "10240"),
    plain_setting("WAPI_MEDIA_STORAGE", "s3://bucket/prefix"),
    plain_setting("WAPI_MEDIA_S3_ENDPOINT", "https://minio.example.com"),
    plain_setting("WAPI_MEDIA_S3_REGION", "eu-central-1"),
    plain_setting("WAPI_MEDIA_S3_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    secret_setting("WAPI_MEDIA_S3_SECRET_ACCESS_KEY", "a-long-random-text"),
    plain_setting("WAPI_FFMPEG_PATH", "/usr/bin/ffmpeg"),
    plain_setting("WAPI_HEIF_CONVERT_PATH", "/usr/bin/heif-convert"),
    plain_setting("WAPI_HISTORY", "30"),
    plain_setting("WAPI_LOG", "info"),
    plain_setting("WAPI_LOG_FORMAT", "json"),
    plain_setting("WAPI_WHATSAPP_URL", "ws://127.0.0.1:8080/ws/chat"),
    plain_setting("WAPI_WHATSAPP_CA_FILE", "/tmp/simulator-ca.pem"),
];
