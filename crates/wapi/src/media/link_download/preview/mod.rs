//! Link previews from pages' metadata. Parts that do not arrive within seconds are left out.

mod charset;
mod links;
mod page;

use std::time::Duration;

use futures_util::StreamExt;
use page::PageMetadata;
use reqwest::header::CONTENT_TYPE;
use url::Url;

use super::{FetchError, FetchRequester, FileFetcher, parse_web_address, unreachable_error};
use crate::media::types::type_essence;
use crate::model::message::MediaKind;

/// Time limit for the page and its image together, during which the message waits.
const PREVIEW_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes read of a page. The metadata precedes the body, but may follow long scripts.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Maximum number of a text's links that are tried.
const MAX_LINKS_TRIED: usize = 3;
/// Maximum lengths on phones, in characters.
const MAX_TITLE: usize = 300;
const MAX_DESCRIPTION: usize = 600;

/// The preview of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkPreview {
    /// The link as it appears in the text.
    pub link: String,
    pub title: String,
    pub description: Option<String>,
    /// A small JPEG.
    pub thumbnail: Option<Vec<u8>>,
}

impl FileFetcher {
    /// Returns the preview of the first link in a text whose page has a title. `None` if none of
    /// the first few has.
    pub async fn fetch_preview(&self, session: &str, text: &str) -> Option<LinkPreview> {
        let started = self.clock.uptime();
        let time_left =
            || PREVIEW_TIMEOUT.saturating_sub(self.clock.uptime().saturating_sub(started));
        let links = first_links(text);
        for (tried, (link, url)) in links.iter().enumerate() {
            // Each link gets a share of the time, in case an earlier one does not answer.
            let share = time_left() / u32::try_from(links.len() - tried).unwrap_or(1);
            let page = match self
                .clock
                .timeout(share, self.fetch_page(session, url.clone()))
                .await
            {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a page has no preview");
                    continue;
                }
                Err(_) => {
                    tracing::debug!("a page did not arrive in time for its preview");
                    continue;
                }
            };
            let PageMetadata {
                title: Some(title),
                description,
                picture,
            } = page
            else {
                continue;
            };
            let thumbnail = match picture {
                Some(picture) => self
                    .clock
                    .timeout(time_left(), self.fetch_thumbnail(session, &picture))
                    .await
                    .ok()
                    .flatten(),
                None => None,
            };
            let description = description.map(|text| shorten_text(&text, MAX_DESCRIPTION));
            let link = link.clone();
            return Some(LinkPreview {
                link,
                title: shorten_text(&title, MAX_TITLE),
                description,
                thumbnail,
            });
        }
        None
    }

    async fn fetch_page(&self, session: &str, url: Url) -> Result<PageMetadata, FetchError> {
        let answer = self.clients.get(session, url).await?;
        if !answer.status().is_success() {
            return Err(FetchError::Status(answer.status().as_u16()));
        }
        let declared = answer
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        if !matches!(
            type_essence(&declared).as_str(),
            "text/html" | "application/xhtml+xml"
        ) {
            return Ok(PageMetadata::default());
        }
        let base = answer.url().clone();
        let (mut html, mut pieces) = (Vec::new(), answer.bytes_stream());
        while html.len() < MAX_PAGE_BYTES
            && let Some(piece) = pieces.next().await
        {
            html.extend_from_slice(&piece.map_err(unreachable_error)?);
        }
        html.truncate(MAX_PAGE_BYTES);
        Ok(page::read_metadata(
            &charset::decode_page(&html, &declared),
            &base,
        ))
    }

    /// Fetches an image and makes its thumbnail.
    async fn fetch_thumbnail(&self, session: &str, picture: &str) -> Option<Vec<u8>> {
        let file = self
            .fetch_file(
                FetchRequester::for_sender(session),
                picture,
                MediaKind::Image,
                None,
            )
            .await
            .ok()?;
        file.into_displayable()
            .await
            .ok()?
            .all_properties()
            .await
            .thumbnail
    }
}

/// Returns the first links of a text, as written and parsed.
fn first_links(text: &str) -> Vec<(String, Url)> {
    let mut found: Vec<(String, Url)> = Vec::new();
    for link in links::find_links(text) {
        if let Ok(url) = parse_web_address(link)
            && !found.iter().any(|(_, known)| *known == url)
        {
            found.push((link.to_owned(), url));
        }
        if found.len() == MAX_LINKS_TRIED {
            break;
        }
    }
    found
}

fn shorten_text(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}
