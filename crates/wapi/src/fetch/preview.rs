//! Link previews from pages' metadata. Parts that do not arrive within seconds are left out.

mod charset;
mod links;
mod page;

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::CONTENT_TYPE;
use url::Url;

use super::{Fetcher, NoFile, Whose, unreachable, web_address};
use crate::media::types::essence;
use crate::message::MediaKind;
use page::Page;

/// Time limit for the page and its image together, during which the message waits.
const DEADLINE: Duration = Duration::from_secs(5);
/// Bytes read of a page. The metadata precedes the body, but may follow long scripts.
const BEGINNING: usize = 4 * 1024 * 1024;
/// Maximum number of a text's links that are tried.
const TRIES: usize = 3;
/// Maximum lengths on phones, in characters.
const LONGEST_TITLE: usize = 300;
const LONGEST_DESCRIPTION: usize = 600;

/// The preview of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The link as it appears in the text.
    pub link: String,
    pub title: String,
    pub description: Option<String>,
    /// A small JPEG.
    pub thumbnail: Option<Vec<u8>>,
}

impl Fetcher {
    /// Returns the preview of the first link in a text whose page has a title. `None` if none of
    /// the first few has.
    pub async fn preview(&self, session: &str, text: &str) -> Option<Preview> {
        let started = self.clock.uptime();
        let left = || DEADLINE.saturating_sub(self.clock.uptime().saturating_sub(started));
        let links = links(text);
        for (tried, (link, url)) in links.iter().enumerate() {
            // Each link gets a share of the time, in case an earlier one does not answer.
            let share = left() / u32::try_from(links.len() - tried).unwrap_or(1);
            let page = match self.clock.timeout(share, self.page(url.clone())).await {
                Ok(Ok(page)) => page,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a page has no preview");
                    continue;
                }
                Err(_) => {
                    tracing::debug!("a page did not come in time for its preview");
                    continue;
                }
            };
            let Page {
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
                    .timeout(left(), self.small(session, &picture))
                    .await
                    .ok()
                    .flatten(),
                None => None,
            };
            let description = description.map(|text| shortened(&text, LONGEST_DESCRIPTION));
            let link = link.clone();
            return Some(Preview {
                link,
                title: shortened(&title, LONGEST_TITLE),
                description,
                thumbnail,
            });
        }
        None
    }

    async fn page(&self, url: Url) -> Result<Page, NoFile> {
        self.allowed.check(&url).map_err(NoFile::Forbidden)?;
        let answer = self
            .clients
            .now()
            .get(url)
            .send()
            .await
            .map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(NoFile::Status(answer.status().as_u16()));
        }
        let said = answer
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        if !matches!(
            essence(&said).as_str(),
            "text/html" | "application/xhtml+xml"
        ) {
            return Ok(Page::default());
        }
        let base = answer.url().clone();
        let (mut html, mut pieces) = (Vec::new(), answer.bytes_stream());
        while html.len() < BEGINNING
            && let Some(piece) = pieces.next().await
        {
            html.extend_from_slice(&piece.map_err(unreachable)?);
        }
        html.truncate(BEGINNING);
        Ok(page::read(&charset::decoded(&html, &said), &base))
    }

    /// Fetches an image and makes its thumbnail.
    async fn small(&self, session: &str, picture: &str) -> Option<Vec<u8>> {
        let file = self
            .file(Whose::sender(session), picture, MediaKind::Image, None)
            .await
            .ok()?;
        file.into_shown().await.ok()?.described().await.thumbnail
    }
}

/// Returns the first links of a text, as written and parsed.
fn links(text: &str) -> Vec<(String, Url)> {
    let mut found: Vec<(String, Url)> = Vec::new();
    for link in links::links(text) {
        if let Ok(url) = web_address(link)
            && !found.iter().any(|(_, known)| *known == url)
        {
            found.push((link.to_owned(), url));
        }
        if found.len() == TRIES {
            break;
        }
    }
    found
}

fn shortened(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}
