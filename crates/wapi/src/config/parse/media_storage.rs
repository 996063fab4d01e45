//! Storage of media files. Pure.

use secrecy::SecretString;
use url::Url;

use super::SettingReader;
use crate::config::{S3Config, StorageConfig};

const STORAGE: &str = "WAPI_MEDIA_STORAGE";
/// Further settings of a bucket.
const BUCKET_SETTINGS: [&str; 4] = [
    "WAPI_MEDIA_S3_ENDPOINT",
    "WAPI_MEDIA_S3_REGION",
    "WAPI_MEDIA_S3_ACCESS_KEY_ID",
    "WAPI_MEDIA_S3_SECRET_ACCESS_KEY",
];
const DEFAULT_REGION: &str = "us-east-1";

/// Reads the storage. A bucket needs its keys; the data folder needs nothing.
pub fn read_media_storage(reader: &mut SettingReader) -> Option<StorageConfig> {
    let [endpoint, region, access_key_id, secret_access_key] = BUCKET_SETTINGS;
    if reader.sources.setting_value(STORAGE).is_none() {
        let idle: Vec<_> = BUCKET_SETTINGS
            .into_iter()
            .filter(|name| reader.sources.setting_value(name).is_some())
            .collect();
        for name in idle {
            reader.errors.add(
                name,
                "is set, but WAPI_MEDIA_STORAGE, which names the bucket, is not",
            );
        }
        return Some(StorageConfig::Disk);
    }
    let at = reader.read_optional(STORAGE, parse_bucket);
    let is_given = reader.sources.setting_value(endpoint).is_some();
    let endpoint = reader.read_optional(endpoint, parse_server);
    let region = reader
        .read_optional(region, parse_word)
        .or_else(|| Some(DEFAULT_REGION.to_owned()));
    let access_key_id = reader.read_required(access_key_id, parse_word);
    let secret_access_key = reader
        .read_required(secret_access_key, parse_word)
        .map(SecretString::from);
    let (bucket, prefix) = at?;
    Some(StorageConfig::S3(S3Config {
        bucket,
        prefix,
        endpoint: if is_given { Some(endpoint?) } else { None },
        region: region?,
        access_key_id: access_key_id?,
        secret_access_key: secret_access_key?,
    }))
}

/// Parses the bucket and the prefix of `s3://bucket/prefix`.
fn parse_bucket(text: &str) -> Result<(String, String), String> {
    let wrong = || {
        format!(
            "is `{text}`; it must be s3://bucket or s3://bucket/prefix, or be left out for the data folder"
        )
    };
    let (bucket, prefix) = text
        .strip_prefix("s3://")
        .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
        .ok_or_else(wrong)?;
    let is_plain = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte))
    };
    let prefix = prefix.trim_end_matches('/');
    let is_path = prefix.is_empty()
        || prefix
            .split('/')
            .all(|part| !matches!(part, "" | "." | ".."));
    let fits = !bucket.is_empty() && is_plain(bucket) && is_plain(prefix) && is_path;
    if fits {
        Ok((bucket.to_owned(), prefix.to_owned()))
    } else {
        Err(wrong())
    }
}

/// Parses the address of a server, without a path.
fn parse_server(text: &str) -> Result<Url, String> {
    let fits = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.path() == "/"
            && url.query().is_none()
    };
    let without_user = |url: &Url| url.username().is_empty() && url.password().is_none();
    match Url::parse(text) {
        Ok(url) if fits(&url) && without_user(&url) => Ok(url),
        _ => Err("is not the address of a server; it must be http:// or https:// with a host and nothing behind it"
            .to_owned()),
    }
}

fn parse_word(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("has spaces or characters that keys and regions cannot have".to_owned())
    }
}
