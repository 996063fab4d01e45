//! Previews of links: what a page says of itself to those who point at it. What cannot be had in a few seconds is left out.

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

/// For the page and its picture together: a message waits so long at most.
const DEADLINE: Duration = Duration::from_secs(5);
/// What a page says of itself stands in front of its body, behind scripts that may be long. Bytes.
const BEGINNING: usize = 4 * 1024 * 1024;
/// Links of a text that are tried.
const TRIES: usize = 3;
/// What phones show, in characters.
const LONGEST_TITLE: usize = 300;
const LONGEST_DESCRIPTION: usize = 600;

/// What phones show of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The link as it stands in the text.
    pub link: String,
    pub title: String,
    pub description: Option<String>,
    /// A small JPEG.
    pub thumbnail: Option<Vec<u8>>,
}

impl Fetcher {
    /// Looks at the page that the first link of a text leads to that has one with a title. `None`: there is none of the first few.
    pub async fn preview(&self, session: &str, text: &str) -> Option<Preview> {
        let started = self.clock.uptime();
        let left = || DEADLINE.saturating_sub(self.clock.uptime().saturating_sub(started));
        let links = links(text);
        for (tried, (link, url)) in links.iter().enumerate() {
            // Those that come behind have their share, should this one not answer.
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

    /// A picture made small.
    async fn small(&self, session: &str, picture: &str) -> Option<Vec<u8>> {
        let file = self
            .file(Whose::sender(session), picture, MediaKind::Image, None)
            .await
            .ok()?;
        file.into_shown().await.ok()?.described().await.thumbnail
    }
}

/// The first links of a text, as they stand there, and what they mean.
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
