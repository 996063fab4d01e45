//! Style, scripts, and icon of the pages, part of the program, under an address that changes with
//! their content.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use crate::http::error::Problem;
use crate::model::ids;

struct EmbeddedAsset {
    name: &'static str,
    media_type: &'static str,
    content: &'static str,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// All files. Scripts import each other by name, so they share one version.
static ASSETS: [EmbeddedAsset; 9] = [
    EmbeddedAsset {
        name: "style.css",
        media_type: "text/css; charset=utf-8",
        content: include_str!("assets/style.css"),
    },
    EmbeddedAsset {
        name: "icon.svg",
        media_type: "image/svg+xml",
        content: include_str!("assets/icon.svg"),
    },
    EmbeddedAsset {
        name: "main.js",
        media_type: SCRIPT,
        content: include_str!("assets/main.js"),
    },
    EmbeddedAsset {
        name: "live.js",
        media_type: SCRIPT,
        content: include_str!("assets/live.js"),
    },
    EmbeddedAsset {
        name: "parts.js",
        media_type: SCRIPT,
        content: include_str!("assets/parts.js"),
    },
    EmbeddedAsset {
        name: "times.js",
        media_type: SCRIPT,
        content: include_str!("assets/times.js"),
    },
    EmbeddedAsset {
        name: "login.js",
        media_type: SCRIPT,
        content: include_str!("assets/login.js"),
    },
    EmbeddedAsset {
        name: "questions.js",
        media_type: SCRIPT,
        content: include_str!("assets/questions.js"),
    },
    EmbeddedAsset {
        name: "chat.js",
        media_type: SCRIPT,
        content: include_str!("assets/chat.js"),
    },
];

/// Hash of all files, in hexadecimal.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for asset in &ASSETS {
        hash.update((asset.content.len() as u64).to_be_bytes());
        hash.update(asset.content);
    }
    ids::to_hex(&hash.finalize()[..8])
});

/// Returns the address of a file.
pub fn asset_path(name: &str) -> String {
    format!("/dashboard/assets/{}/{name}", *VERSION)
}

/// `GET /dashboard/assets/{version}/{name}`: a file, for ever the same under its address.
pub async fn serve_asset(
    Path((version, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    let asset = asset
        .filter(|_| version == *VERSION)
        .ok_or(Problem::NoRoute)?;
    let headers = [
        (header::CONTENT_TYPE, asset.media_type),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, asset.content).into_response())
}
