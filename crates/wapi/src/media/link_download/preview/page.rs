//! Metadata of a page: Open Graph, and older forms. Pure.

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Token, Tokenizer};
use url::Url;

/// The metadata of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PageMetadata {
    pub title: Option<String>,
    pub description: Option<String>,
    /// The address of its image.
    pub picture: Option<String>,
}

/// Values found, by preference: Open Graph, then Twitter's, then plain HTML.
#[derive(Default)]
struct MetadataCandidates {
    title: [Option<String>; 3],
    description: [Option<String>; 3],
    picture: [Option<String>; 2],
}

/// Reads the metadata of a page at `base`, up to the start of its body.
pub(crate) fn read_metadata(html: &str, base: &Url) -> PageMetadata {
    let mut found = MetadataCandidates::default();
    let mut title: Option<String> = None;
    // Drawings and formulas have titles of their own.
    let mut drawings = 0_usize;
    let mut emitter = DefaultEmitter::default();
    // The content of scripts and styles is not HTML.
    emitter.naively_switch_states(true);
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(token) = token;
        match token {
            Token::StartTag(tag) => match &**tag.name {
                b"meta" => {
                    let attribute = |name: &[u8]| {
                        let value = tag
                            .attributes
                            .iter()
                            .find(|(key, _)| ***key == *name)
                            .map(|(_, value)| value);
                        value.map(|value| String::from_utf8_lossy(value).trim().to_owned())
                    };
                    let name = attribute(b"property").or_else(|| attribute(b"name"));
                    if let (Some(name), Some(content)) = (name, attribute(b"content")) {
                        found.add_candidate(&name.to_ascii_lowercase(), content);
                    }
                }
                b"svg" | b"math" if !tag.self_closing => drawings += 1,
                b"title" if found.title[2].is_none() && drawings == 0 => {
                    title = Some(String::new())
                }
                b"body" => break,
                _ => {}
            },
            Token::String(text) => {
                if let Some(title) = &mut title {
                    title.push_str(&String::from_utf8_lossy(&text));
                }
            }
            Token::EndTag(tag) => match &**tag.name {
                b"title" => {
                    if let Some(title) = title.take() {
                        set_once(&mut found.title[2], title);
                    }
                }
                b"svg" | b"math" => drawings = drawings.saturating_sub(1),
                _ => {}
            },
            _ => {}
        }
    }
    let MetadataCandidates {
        title,
        description,
        picture,
    } = found;
    let first = |all: &[Option<String>]| all.iter().flatten().next().cloned();
    let picture = first(&picture)
        .and_then(|address| base.join(&address).ok())
        .map(String::from);
    PageMetadata {
        title: first(&title),
        description: first(&description),
        picture,
    }
}

impl MetadataCandidates {
    fn add_candidate(&mut self, name: &str, content: String) {
        match name {
            "og:title" => set_once(&mut self.title[0], content),
            "twitter:title" => set_once(&mut self.title[1], content),
            "og:description" => set_once(&mut self.description[0], content),
            "twitter:description" => set_once(&mut self.description[1], content),
            "description" => set_once(&mut self.description[2], content),
            "og:image" | "og:image:url" | "og:image:secure_url" => {
                set_once(&mut self.picture[0], content)
            }
            "twitter:image" | "twitter:image:src" => set_once(&mut self.picture[1], content),
            _ => {}
        }
    }
}

/// Sets a value unless it is set. Line breaks and runs of blanks become one blank, as in a rendered
/// page.
fn set_once(target: &mut Option<String>, text: String) {
    let text = text
        .replace(char::REPLACEMENT_CHARACTER, "")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    if target.is_none() && !text.is_empty() {
        *target = Some(text);
    }
}

#[cfg(test)]
mod tests {
    use crate::media::link_download::preview::page::*;

    fn page(html: &str) -> PageMetadata {
        read_metadata(html, &Url::parse("https://example.com/a/b").unwrap())
    }

    #[test]
    fn open_graph_says_it_best() {
        let found = page(
            "<html><head><title>plain</title><meta name=description content=plain>\
             <META property='og:title' content='Tea &amp;\n cake'><meta property=og:image content='../c.png'>\
             <meta property=og:description content=well></head><body><meta property=og:title content=no>",
        );
        let expected = PageMetadata {
            title: Some("Tea & cake".to_owned()),
            description: Some("well".to_owned()),
            picture: Some("https://example.com/c.png".to_owned()),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn only_the_title_of_the_page_is_its_title() {
        for html in [
            "<script>document.write('<title>no</title>')</script><title>yes</title>",
            "<script>var a = \"<meta property=og:title content=no>\";</script><title>yes</title>",
            "<style>/* <title>no</title> */</style><title>yes</title>",
            "<!-- <title>no</title> --><title>yes</title>",
            "<svg><title>no</title></svg><title>yes</title>",
            "<svg><g><title>no</title></g><svg/></svg><math><title>no</title></math><title>yes</title>",
            "<textarea><title>no</title></textarea><title>yes</title>",
            "<noscript><meta name=x content=y></noscript><title>yes</title><title>no</title>",
            "<title>ye&#xFFFD;s&#0;</title>",
            "<title>ye<!-- -->s</title>",
        ] {
            let expected = if html.contains("<!-- -->") {
                "ye<!-- -->s"
            } else {
                "yes"
            };
            assert_eq!(page(html).title.as_deref(), Some(expected), "{html}");
        }
    }

    #[test]
    fn without_it_there_is_plain_html_or_nothing() {
        let found = page(
            "<title>\n a &lt; b </title><meta name=description content=' '><svg><title>no</title></svg>",
        );
        assert_eq!(
            found,
            PageMetadata {
                title: Some("a < b".to_owned()),
                ..PageMetadata::default()
            }
        );
        assert_eq!(page("no html <"), PageMetadata::default());
        assert_eq!(page(""), PageMetadata::default());
    }
}
