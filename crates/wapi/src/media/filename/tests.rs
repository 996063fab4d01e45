//! File names from headers, as in the RFCs and as programs write them, and from URLs.

use super::*;

fn filename(header: &str) -> Option<String> {
    ContentDisposition::parse(header.as_bytes()).filename
}

#[test]
fn headers_name_files_in_many_ways() {
    for (header, name) in [
        // RFC 6266, 5.
        ("Attachment; filename=example.html", "example.html"),
        (r#"INLINE; FILENAME= "an example.html""#, "an example.html"),
        ("attachment; filename*= UTF-8''%e2%82%ac%20rates", "€ rates"),
        (
            r#"attachment; filename="EURO rates"; filename*=utf-8''%e2%82%ac%20rates"#,
            "€ rates",
        ),
        (
            r#"attachment; filename*=utf-8''%e2%82%ac%20rates; filename="EURO rates""#,
            "€ rates",
        ),
        // RFC 8187, 3.2.3.
        ("attachment; filename*=iso-8859-1'en'%A3%20rates", "£ rates"),
        (
            "attachment; filename*=UTF-8''%c2%a3%20and%20%e2%82%ac%20rates",
            "£ and € rates",
        ),
        ("attachment; filename*=\"UTF-8''%e4%b8%ad.pdf\"", "中.pdf"),
        (
            "attachment; filename*=windows-1251''%ef%f0%e8.pdf",
            "при.pdf",
        ),
        // Undecodable values are ignored.
        (
            r#"attachment; filename*=UTF-8''%ff%fe.txt; filename="b.txt""#,
            "b.txt",
        ),
        (
            r#"attachment; filename*=''b.txt; filename="a.txt""#,
            "a.txt",
        ),
        (
            r#"attachment; filename*=x-unknown''b.txt; filename=a.txt"#,
            "a.txt",
        ),
        // RFC 2231.
        (
            r#"attachment; filename*0="foo."; filename*1="html""#,
            "foo.html",
        ),
        (
            "attachment; filename*0*=UTF-8''foo-%c3%a4; filename*1=\".html\"",
            "foo-ä.html",
        ),
        (
            "attachment; filename*0*=UTF-8'en'%e4%b8; filename*1*=%ad.pdf",
            "中.pdf",
        ),
        // RFC 2047.
        (
            "attachment; filename=\"=?utf-8?B?0YHRh9GR0YIucGRm?=\"",
            "счёт.pdf",
        ),
        (
            "attachment; filename==?UTF-8?Q?a=5Fb_c=C3=A9.pdf?=",
            "a_b cé.pdf",
        ),
        (
            "attachment; filename=\"=?iso-8859-1?q?caf=E9?= =?utf-8?b?w6kucGRm?=\"",
            "caféé.pdf",
        ),
        ("attachment; filename=\"=?utf-8*de?B?w6Q?=.pdf\"", "ä.pdf"),
        (
            "attachment; filename=\"=?is no word.pdf\"",
            "=?is no word.pdf",
        ),
        // One character split over two words.
        (
            "attachment; filename=\"=?utf-8?B?0YHRh9E=?= =?utf-8?B?kdGCLnBkZg==?=\"",
            "счёт.pdf",
        ),
        (
            "attachment; filename=\"=?utf-8?B?0YHRh9E?==?UTF-8*ru?b?kdGCLnBkZg?=\"",
            "счёт.pdf",
        ),
        (
            "attachment; filename=\"=?utf-8?Q?=D1=81=D1?=\t=?utf-8?B?h9GR0YI=?= =?utf-8?Q?.pdf?=\"",
            "счёт.pdf",
        ),
        (
            "attachment; filename=\"a =?gbk?B?1g==?= =?gbk?Q?=D0?= b.pdf\"",
            "a 中 b.pdf",
        ),
        (
            "attachment; filename=\"=?utf-8?Q?=D1?= =?iso-8859-1?q?caf=E9?=.pdf\"",
            "=?utf-8?Q?=D1?=café.pdf",
        ),
        (
            "attachment; filename=\"=?utf-8?Q?a?= b =?utf-8?Q?c?=\"",
            "a b c",
        ),
        // RFC 7578 and browsers.
        (
            r#"form-data; name="file"; filename="a b;c.txt""#,
            "a b;c.txt",
        ),
        (r#"form-data; NAME="file"; FileName="a.txt""#, "a.txt"),
        (r#"form-data; name="file"; filename="a\"b.txt""#, "a\"b.txt"),
        (
            r#"form-data; name="file"; filename="a%22b.txt""#,
            "a\"b.txt",
        ),
        (
            r#"form-data; name="file"; filename="100%25 off.pdf""#,
            "100%25 off.pdf",
        ),
        (r#"form-data; name="file"; filename="%D0%B8.pdf""#, "и.pdf"),
        (
            r#"form-data; name="file"; filename="отчёт за май.pdf""#,
            "отчёт за май.pdf",
        ),
        ("form-data ; name=file;filename = a.txt ; x", "a.txt"),
        // Ungrammatical, but unambiguous.
        ("attachment; filename=foo[1](2).html", "foo[1](2).html"),
        ("attachment; filename=a b.html", "a b.html"),
        ("attachment; ;filename=foo", "foo"),
        ("filename=foo.html", "foo.html"),
        (
            r#"attachment; foo="a;filename=x"; filename="b.html"#,
            "b.html",
        ),
        ("attachment; filename='a.html'", "'a.html'"),
        // Folders are removed.
        (
            r#"form-data; name="file"; filename="C:\Users\me\inv.pdf""#,
            "inv.pdf",
        ),
        (
            r#"form-data; name="file"; filename="C:\\Users\\me\\inv.pdf""#,
            "inv.pdf",
        ),
        (r#"attachment; filename="../../etc/passwd""#, "passwd"),
        (
            "attachment; filename*=UTF-8''..%2f..%5cfoo.html",
            "foo.html",
        ),
        (r#"attachment; filename="\\server\share\a.doc""#, "a.doc"),
        // Invisible characters, and those that make `exe.pdf` look like `fdp.exe`.
        (
            "attachment; filename*=UTF-8''%e2%80%aea%00b%0d%0a.pdf",
            "ab.pdf",
        ),
        (
            "attachment; filename*=UTF-8''%ef%bb%bfa%e2%80%8b.csv%e2%80%8b",
            "a.csv",
        ),
        (
            "attachment; filename*=UTF-8''a%c2%ad%e2%81%a0.csv%e2%80%8d%20",
            "a.csv",
        ),
        (
            "attachment; filename*=UTF-8''%d9%85%db%8c%e2%80%8c%d8%b1.pdf",
            "می\u{200c}ر.pdf",
        ),
        (
            "attachment; filename*=UTF-8''%f0%9f%91%a9%e2%80%8d%f0%9f%9a%80%e2%9d%a4%ef%b8%8f.pdf",
            "👩\u{200d}🚀❤\u{fe0f}.pdf",
        ),
        // Trailing dots, which some systems remove.
        ("attachment; filename=\"invoice.pdf.\"", "invoice.pdf"),
        ("attachment; filename=\"invoice.pdf . ..\"", "invoice.pdf"),
        ("attachment; filename=\".env\"", ".env"),
    ] {
        assert_eq!(filename(header).as_deref(), Some(name), "{header}");
    }
    assert_eq!(
        ContentDisposition::parse(b"attachment; filename=caf\xe9.pdf")
            .filename
            .as_deref(),
        Some("café.pdf")
    );
}

#[test]
fn what_names_no_file_names_none() {
    for header in [
        "",
        "inline",
        "attachment",
        "attachment; name=x",
        "attachment; filename",
        "attachment; filename=",
        r#"attachment; filename="""#,
        r#"attachment; filename="..""#,
        r#"attachment; filename=" ... ""#,
        "attachment; filename*=UTF-8''%e2%80%8b%ef%bb%bf",
        r#"attachment; filename="/""#,
        r#"attachment; filename="a/..""#,
        "attachment; filename*=UTF-8''%00",
        "attachment; xfilename=a",
        r#"attachment; x="filename=a""#,
    ] {
        assert_eq!(filename(header), None, "{header}");
    }
    let field = ContentDisposition::parse(b"form-data; NAME=\"file\"; filename=\"\"");
    assert_eq!(
        (field.name.as_deref(), field.filename),
        (Some("file"), None)
    );
}

#[test]
fn a_long_name_keeps_its_ending() {
    let long = base_name(&format!("{}.pdf", "я".repeat(300))).unwrap();
    assert_eq!(long.chars().count(), MAX_NAME_LENGTH);
    assert!(long.ends_with("я.pdf"));
}

#[test]
fn addresses_name_files() {
    for (address, name) in [
        (
            "https://example.com/a/inv%20oice.pdf?x=/b.txt#c",
            Some("inv oice.pdf"),
        ),
        ("https://example.com/%D0%B8.pdf", Some("и.pdf")),
        ("https://example.com/caf%E9.pdf", Some("café.pdf")),
        ("https://example.com/download.php?id=5", Some("download")),
        (
            "https://example.com/a/..%2f..%2fetc%2fpasswd",
            Some("passwd"),
        ),
        ("https://example.com/files/", Some("files")),
        ("https://example.com/", None),
        ("https://example.com", None),
        ("https://example.com/.php", Some(".php")),
    ] {
        assert_eq!(
            name_from_url(&Url::parse(address).unwrap()).as_deref(),
            name,
            "{address}"
        );
    }
}

#[test]
fn a_document_has_a_name_that_phones_can_open() {
    for (name, mime_type, expected) in [
        (Some("a.pdf"), "application/pdf", "a.pdf"),
        (Some("a"), "application/pdf", "a.pdf"),
        (Some("a"), "Text/CSV; charset=utf-8", "a.csv"),
        (Some("v1.2"), "application/pdf", "v1.2.pdf"),
        (Some("v1.2b"), "application/pdf", "v1.2b.pdf"),
        (
            Some("Отчет 12.2025"),
            "application/pdf",
            "Отчет 12.2025.pdf",
        ),
        (
            Some("Отчет за 01.12.25"),
            "text/csv",
            "Отчет за 01.12.25.csv",
        ),
        (Some("invoice.pdf."), "application/pdf", "invoice.pdf"),
        (Some("invoice."), "application/pdf", "invoice.pdf"),
        (Some(". ."), "application/pdf", "document.pdf"),
        (Some("a.7z"), "application/octet-stream", "a.7z"),
        (Some("a.3gp"), "video/mp4", "a.3gp"),
        (Some("a.mp3"), "application/octet-stream", "a.mp3"),
        (Some("a.zip.001"), "application/octet-stream", "a.zip.001"),
        (Some("main.rs"), "text/plain", "main.rs"),
        (None, "application/pdf", "document.pdf"),
        (None, "image/jpeg", "document.jpg"),
        (None, "application/octet-stream", "document.bin"),
        (None, "application/x-unheard-of", "document"),
    ] {
        assert_eq!(
            complete_name(name, mime_type),
            expected,
            "{name:?} {mime_type}"
        );
    }
}

#[test]
fn a_name_in_any_number_of_pieces_is_read_at_once() {
    let pieces = |count: usize| {
        (0..count)
            .map(|piece| format!("; filename*{piece}=a"))
            .collect::<String>()
    };
    let clock = crate::system::clock::Clock::system();
    let began = clock.uptime();
    let name = filename(&format!("attachment{}", pieces(200_000))).unwrap();
    assert_eq!(name.len(), MAX_NAME_LENGTH);
    let took = clock.uptime() - began;
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");
    for (header, name) in [
        ("attachment; filename*1=b; filename*0=a", Some("ab")),
        (
            "attachment; filename*0=a; filename*0=c; filename*1=b",
            Some("ab"),
        ),
        (
            "attachment; filename*0=a; filename*0*=utf-8''c; filename*1=b",
            Some("cb"),
        ),
        ("attachment; filename*0=a; filename*2=b", Some("a")),
        (
            "attachment; filename*00=a; filename*01=b; filename*+0=c",
            None,
        ),
        ("attachment; filename*99999999999999999999999=a", None),
        ("attachment; filename*1=a", None),
    ] {
        assert_eq!(filename(header).as_deref(), name, "{header}");
    }
}
