//! Detection of links in texts of any language. Pure.

/// Returns the links of a text that browsers would open, in order, as written.
pub(crate) fn find_links(text: &str) -> Vec<&str> {
    let mut links = Vec::new();
    let mut from = 0;
    while let Some(start) = next_scheme(text, from) {
        let behind = start + text[start..].find("://").map_or(0, |at| at + 3);
        let link = &text[start..link_end(text, behind)];
        if start + link.len() > behind && has_host(&text[behind..start + link.len()]) {
            links.push(link);
        }
        from = (start + link.len()).max(behind);
    }
    links
}

/// Finds the next `http://` or `https://`, in any case, that does not end another word.
fn next_scheme(text: &str, from: usize) -> Option<usize> {
    let mut from = from;
    loop {
        let at = from + text[from..].find("://")?;
        let scheme = ["https", "http"].into_iter().find_map(|scheme| {
            let start = at.checked_sub(scheme.len())?;
            text.get(start..at)
                .filter(|word| word.eq_ignore_ascii_case(scheme))
                .map(|_| start)
        });
        let is_word = |start: &usize| {
            !text[..*start]
                .ends_with(|sign: char| sign.is_ascii_alphanumeric() || "+-".contains(sign))
        };
        match scheme.filter(is_word) {
            Some(start) => return Some(start),
            None => from = at + 3,
        }
    }
}

/// Returns the end of a link whose scheme ends at `from`.
fn link_end(text: &str, from: usize) -> usize {
    let (mut end, mut open) = (from, Vec::new());
    let mut before = '/';
    for (at, sign) in text[from..].char_indices() {
        match sign {
            _ if is_link_end(sign) || is_other_word(before, sign) => break,
            '(' | '[' | '{' => open.push(sign),
            // A bracket opened before the link closes after it.
            ')' | ']' | '}' if open.pop() != Some(opening_bracket(sign)) => break,
            _ => {}
        }
        // Punctuation that ends a sentence around a link is not part of it, unless the link
        // continues.
        if !matches!(
            sign,
            '.' | ',' | ':' | ';' | '!' | '?' | '*' | '_' | '~' | '\'' | '(' | '[' | '{'
        ) {
            end = from + at + sign.len_utf8();
        }
        before = sign;
    }
    end
}

fn opening_bracket(sign: char) -> char {
    match sign {
        ')' => '(',
        ']' => '[',
        _ => '{',
    }
}

/// Whether a character never occurs in links: blanks, invisible characters, quotes, and the
/// punctuation of other scripts.
fn is_link_end(sign: char) -> bool {
    sign.is_whitespace()
        || sign.is_control()
        || matches!(sign, '<' | '>' | '"' | '`' | '|' | '\\' | '^')
        || matches!(sign, '\u{ab}' | '\u{bb}' | '\u{ad}' | '\u{bf}' | '\u{a1}')
        // Widths, directions, dashes, quotes, dots.
        || matches!(sign, '\u{2000}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{ffff}')
        // Chinese, Japanese and Korean punctuation; full-width and half-width ASCII.
        || matches!(sign, '\u{3000}'..='\u{3004}' | '\u{3008}'..='\u{3020}' | '\u{30fb}' | '\u{fe10}'..='\u{fe6f}')
        || matches!(sign, '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff40}' | '\u{ff5b}'..='\u{ff65}')
        // Full stops, commas and question marks of other scripts.
        || matches!(sign, '\u{60c}' | '\u{61b}' | '\u{61f}' | '\u{6d4}' | '\u{964}' | '\u{965}' | '\u{104a}' | '\u{104b}' | '\u{17d4}')
}

/// Whether a word of a script without blanks directly follows a link that ends in ASCII, such as a
/// host name.
fn is_other_word(before: char, sign: char) -> bool {
    let has_no_blanks = matches!(sign,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{1100}'..='\u{11ff}'
        | '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{9fff}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3ffff}');
    has_no_blanks && before.is_ascii_alphanumeric()
}

/// Whether the text after a scheme begins with a host.
fn has_host(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let is_letter = |sign: char| sign.is_alphanumeric() || sign == '[';
    host.starts_with(is_letter) && !host.contains("..")
}

#[cfg(test)]
mod tests {
    use crate::media::link_download::preview::links::*;

    #[test]
    fn links_are_found_where_they_begin_and_end() {
        for (text, found) in [
            ("http://example.org", &["http://example.org"][..]),
            (
                "Http://Example.org and HTTPS://example.org/A",
                &["Http://Example.org", "HTTPS://example.org/A"],
            ),
            (
                "see https://example.com/a?b=c, and http://b/",
                &["https://example.com/a?b=c", "http://b/"],
            ),
            (
                "http://one.org/ http://two.org/",
                &["http://one.org/", "http://two.org/"],
            ),
            (
                "http://one.org/ : http://two.org/",
                &["http://one.org/", "http://two.org/"],
            ),
            (
                "(http://one.org/)(http://two.org/)",
                &["http://one.org/", "http://two.org/"],
            ),
            // At the end of a sentence.
            ("http://example.org.", &["http://example.org"]),
            ("http://example.org...", &["http://example.org"]),
            ("http://example.org,", &["http://example.org"]),
            ("http://example.org: x", &["http://example.org"]),
            ("http://example.org?", &["http://example.org"]),
            ("http://example.org/!?", &["http://example.org/"]),
            ("http://example.org…", &["http://example.org"]),
            ("http://example.org/a…", &["http://example.org/a"]),
            (
                "*http://example.org/a* _http://example.org/b_ ~http://example.org/c~",
                &[
                    "http://example.org/a",
                    "http://example.org/b",
                    "http://example.org/c",
                ],
            ),
            (
                "http://example.org/a.b;c,d",
                &["http://example.org/a.b;c,d"],
            ),
            (
                "http://example.org/foo---bar---",
                &["http://example.org/foo---bar---"],
            ),
            ("http://example.org/a/", &["http://example.org/a/"]),
            ("http://example.org//", &["http://example.org//"]),
            // Brackets and quotes.
            ("(http://example.org)", &["http://example.org"]),
            ("[http://example.org]", &["http://example.org"]),
            ("<http://example.org>", &["http://example.org"]),
            ("{http://example.org}", &["http://example.org"]),
            ("http://example.org/a(b)", &["http://example.org/a(b)"]),
            ("http://example.org/a[b]", &["http://example.org/a[b]"]),
            ("(http://example.org/a(b))", &["http://example.org/a(b)"]),
            ("[(http://example.org/a(b))]", &["http://example.org/a(b)"]),
            ("((http://example.org))", &["http://example.org"]),
            ("(see http://example.org).", &["http://example.org"]),
            ("(http://example.org/a (b", &["http://example.org/a"]),
            ("http://example.org/a)b", &["http://example.org/a"]),
            ("http://example.org/a(", &["http://example.org/a"]),
            ("a(http://example.org)", &["http://example.org"]),
            ("[a](http://example.org/b)", &["http://example.org/b"]),
            ("\"http://example.org\"", &["http://example.org"]),
            ("'http://example.org'", &["http://example.org"]),
            (
                "“http://example.org/a” ‘http://b.c’ «http://d.e» „http://f.g“",
                &[
                    "http://example.org/a",
                    "http://b.c",
                    "http://d.e",
                    "http://f.g",
                ],
            ),
            (
                "<a href=\"http://example.org/a\">",
                &["http://example.org/a"],
            ),
            // Invisible characters.
            (
                "\u{200b}http://example.org/a\u{200b}",
                &["http://example.org/a"],
            ),
            ("http://example.org/a\u{200b}b", &["http://example.org/a"]),
            (
                "\u{2066}http://example.org\u{2069}",
                &["http://example.org"],
            ),
            ("http://example.org\u{a0}b", &["http://example.org"]),
            ("http://example.org\u{202f}b", &["http://example.org"]),
            ("http://example.org/a\u{feff}", &["http://example.org/a"]),
            ("http://example.org\nb", &["http://example.org"]),
            // Other languages.
            (
                "请看https://example.com/a，谢谢",
                &["https://example.com/a"],
            ),
            ("请看https://example.com谢谢", &["https://example.com"]),
            (
                "请看https://example.com/路径。谢谢",
                &["https://example.com/路径"],
            ),
            (
                "（https://example.com/a）「https://example.com/b」",
                &["https://example.com/a", "https://example.com/b"],
            ),
            ("https://example.com/aを見て", &["https://example.com/a"]),
            ("https://example.com/a에서", &["https://example.com/a"]),
            (
                "https://zh.wikipedia.org/wiki/茶_(飲料)",
                &["https://zh.wikipedia.org/wiki/茶_(飲料)"],
            ),
            (
                "https://ru.wikipedia.org/wiki/Чай, и",
                &["https://ru.wikipedia.org/wiki/Чай"],
            ),
            ("Чай:https://example.com/a", &["https://example.com/a"]),
            ("https://例え.テスト/ぺ", &["https://例え.テスト/ぺ"]),
            ("http://üñîçøðé.com/ä", &["http://üñîçøðé.com/ä"]),
            ("https://example.com/a؟ نعم", &["https://example.com/a"]),
            ("https://example.com/a। हाँ", &["https://example.com/a"]),
            // Hosts of all kinds.
            ("http://localhost:8080/a", &["http://localhost:8080/a"]),
            ("http://[2001:db8::1]/a", &["http://[2001:db8::1]/a"]),
            (
                "http://me:secret@example.org/a@b",
                &["http://me:secret@example.org/a@b"],
            ),
            ("http://127.0.0.1/", &["http://127.0.0.1/"]),
            // No links.
            ("example.com is no link, nor is https://", &[]),
            ("http://", &[]),
            ("http://.", &[]),
            ("http:// example.org", &[]),
            ("http:///a", &[]),
            ("http://?a", &[]),
            ("http://a..b", &[]),
            ("ftp://example.org file:///a ://a xhttp://a.b", &[]),
            ("svn+http://a.b", &[]),
            ("", &[]),
        ] {
            assert_eq!(find_links(text), found, "{text}");
        }
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        for sign in ['a', '(', ')', '/', ':', '茶', '\u{200b}', 'h'] {
            let text = format!("http://{}http://{}", sign.to_string().repeat(5_000), sign);
            for link in find_links(&text) {
                assert!(text.contains(link));
            }
        }
    }
}
