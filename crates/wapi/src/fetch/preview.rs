//! Previews of links: what a page says of itself to those who point at it. What cannot be had in a few seconds is left out.

mod page;

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::CONTENT_TYPE;
use url::Url;

use super::{Fetcher, NoFile, Whose, unreachable, web_address};
use crate::message::MediaKind;
use page::Page;

/// For the page and its picture together: a message waits so long at most.
const DEADLINE: Duration = Duration::from_secs(5);
/// What a page says of itself stands at its beginning. Bytes.
const BEGINNING: usize = 512 * 1024;
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
    /// Looks at the page that the first link of a text leads to. `None`: there is no link, or the page cannot be had, or has no title.
    pub async fn preview(&self, session: &str, text: &str) -> Option<Preview> {
        let (link, url) = first_link(text)?;
        let started = self.clock.uptime();
        let page = self.clock.timeout(DEADLINE, self.page(url)).await.ok()?;
        let Page { title, description, picture } = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::debug!(%error, "a page has no preview");
                return None;
            }
        };
        let left = DEADLINE.saturating_sub(self.clock.uptime().saturating_sub(started));
        let thumbnail = match picture {
            Some(picture) => self.clock.timeout(left, self.small(session, &picture)).await.ok().flatten(),
            None => None,
        };
        let description = description.map(|text| shortened(&text, LONGEST_DESCRIPTION));
        Some(Preview { link, title: shortened(&title?, LONGEST_TITLE), description, thumbnail })
    }

    async fn page(&self, url: Url) -> Result<Page, NoFile> {
        self.allowed.check(&url).map_err(NoFile::Forbidden)?;
        let answer = self.clients.now().get(url).send().await.map_err(unreachable)?;
        if !answer.status().is_success() {
            return Err(NoFile::Status(answer.status().as_u16()));
        }
        let said = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !said.starts_with("text/html") && !said.starts_with("application/xhtml+xml") {
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
        Ok(page::read(&String::from_utf8_lossy(&html), &base))
    }

    /// A picture made small.
    async fn small(&self, session: &str, picture: &str) -> Option<Vec<u8>> {
        self.file(Whose::sender(session), picture, MediaKind::Image, None).await.ok()?.described().await.thumbnail
    }
}

/// The first link of a text, as it stands there, and what it means.
fn first_link(text: &str) -> Option<(String, Url)> {
    text.split_whitespace().find_map(|word| {
        let start = word.find("http://").into_iter().chain(word.find("https://")).min()?;
        // What closes a sentence around a link is not part of it.
        let link =
            word[start..].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '}', '>', '"', '\'', '*', '_']);
        web_address(link).ok().map(|url| (link.to_owned(), url))
    })
}

fn shortened(text: &str, longest: usize) -> String {
    text.chars().take(longest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_link_is_found_without_what_stands_around_it() {
        for (text, link) in [
            ("see https://example.com/a?b=c, and http://b/", Some("https://example.com/a?b=c")),
            ("(http://example.com/).", Some("http://example.com/")),
            ("example.com is no link, nor is https://", None),
            ("", None),
        ] {
            assert_eq!(first_link(text).map(|found| found.0).as_deref(), link, "{text}");
        }
    }
}
