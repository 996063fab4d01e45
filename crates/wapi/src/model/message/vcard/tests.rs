//! Tests of vCards: the examples of their specifications, and the output of programs.

use crate::model::message::vcard::*;

/// Returns the name, and each phone with its account.
fn read(card: &str) -> (Option<String>, Vec<(String, Option<String>)>) {
    let VCard { name, phones } = VCard::parse(&card.replace('\n', "\r\n"));
    (
        name,
        phones
            .into_iter()
            .map(|phone| (phone.phone, phone.wa_id))
            .collect(),
    )
}

fn is(card: &str, name: Option<&str>, phones: &[&str]) {
    let (found, numbers) = read(card);
    assert_eq!(found.as_deref(), name, "{card}");
    let numbers: Vec<_> = numbers.iter().map(|(phone, _)| phone.as_str()).collect();
    assert_eq!(numbers, phones, "{card}");
}

#[test]
fn the_documents_examples_are_read() {
    // versit, 2.1.
    is(
        "BEGIN:VCARD\nVERSION:2.1\nN:Gump;Forrest;;Mr.\nFN:Forrest Gump\nORG:Bubba Gump Shrimp Co.\nTITLE:Shrimp Man\n\
         PHOTO;GIF:http://www.example.com/dir_photos/my_photo.gif\nTEL;WORK;VOICE:(111) 555-1212\nTEL;HOME;VOICE:(404) 555-1212\n\
         LABEL;WORK;PREF;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:100 Waters Edge=0D=\n=0ABaytown\\, LA 30314=0D=0AUnited States\n\
         EMAIL:forrestgump@example.com\nREV:20080424T195243Z\nEND:VCARD",
        Some("Forrest Gump"),
        &["(111) 555-1212", "(404) 555-1212"],
    );
    // RFC 2426, 7.
    let two = "BEGIN:vCard\nVERSION:3.0\nFN:Frank Dawson\nORG:Lotus Development Corporation\n\
               ADR;TYPE=WORK,POSTAL,PARCEL:;;6544 Battleford Drive\n ;Raleigh;NC;27613-3502;U.S.A.\n\
               TEL;TYPE=VOICE,MSG,WORK:+1-919-676-9515\nTEL;TYPE=FAX,WORK:+1-919-676-9564\n\
               EMAIL;TYPE=INTERNET,PREF:Frank_Dawson@Lotus.com\nURL:http://home.earthlink.net/~fdawson\nEND:vCard\n\n\
               BEGIN:vCard\nVERSION:3.0\nFN:Tim Howes\nORG:Netscape Communications Corp.\n\
               TEL;TYPE=VOICE,MSG,WORK:+1-415-937-3419\nTEL;TYPE=FAX,WORK:+1-415-528-4164\nEND:vCard\n";
    let cards = split_cards(two);
    assert_eq!(cards.len(), 2);
    is(
        &cards[0],
        Some("Frank Dawson"),
        &["+1-919-676-9515", "+1-919-676-9564"],
    );
    is(
        &cards[1],
        Some("Tim Howes"),
        &["+1-415-937-3419", "+1-415-528-4164"],
    );
    is(
        two,
        Some("Frank Dawson"),
        &["+1-919-676-9515", "+1-919-676-9564"],
    );
    // RFC 6350, 8.
    is(
        "BEGIN:VCARD\nVERSION:4.0\nFN:Simon Perreault\nN:Perreault;Simon;;;ing. jr,M.Sc.\nBDAY:--0203\nGENDER:M\n\
         LANG;PREF=1:fr\nORG;TYPE=work:Viagenie\nADR;TYPE=work:;Suite D2-630;2875 Laurier;Quebec;QC;G1V 2M2;Canada\n\
         TEL;VALUE=uri;TYPE=\"work,voice\";PREF=1:tel:+1-418-656-9254;ext=102\n\
         TEL;VALUE=uri;TYPE=\"work,cell,voice,video,text\":tel:+1-418-262-6501\nGEO;TYPE=work:geo:46.772673,-71.282945\n\
         KEY;TYPE=work;VALUE=uri:http://www.viagenie.ca/simon.perreault/simon.asc\nEND:VCARD",
        Some("Simon Perreault"),
        &["+1-418-656-9254 ext. 102", "+1-418-262-6501"],
    );
    // RFC 6350, 6.4.1 and 3.3; RFC 6868, 3.2.
    is(
        "TEL;VALUE=uri;PREF=1;TYPE=\"voice,home\":tel:+1-555-555-5555;ext=5555",
        Some("+1-555-555-5555 ext. 5555"),
        &["+1-555-555-5555 ext. 5555"],
    );
    is(
        "TEL;X-NOTE=\"a:b;c^'d\";waid=1:+1 23\nFN;SORT-AS=\"Harten:R;x\":Rene van der Harten",
        Some("Rene van der Harten"),
        &["+1 23"],
    );
}

#[test]
fn what_programs_write_is_read() {
    const RUSSIAN: &str = "=D0=98=D0=B2=D0=B0=D0=BD";
    for (card, name, phones) in [
        // Android.
        (
            format!(
                "VERSION:2.1\nN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:;{RUSSIAN};;;\nFN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:{RUSSIAN}\nTEL;CELL:+375447034810"
            ),
            "Иван",
            "+375447034810",
        ),
        (format!("FN;QUOTED-PRINTABLE;CHARSET=utf-8:{}=\n{}", &RUSSIAN[..12], &RUSSIAN[12..]), "Иван", ""),
        (format!("FN;ENCODING=QUOTED-PRINTABLE:{}=\n {}", &RUSSIAN[..12], &RUSSIAN[12..]), "Иван", ""),
        // The soft break of 2.1 is not followed by folding blanks: all of the next line is content.
        ("VERSION:2.1\nFN;ENCODING=QUOTED-PRINTABLE:Anna=\n Smith".to_owned(), "Anna Smith", ""),
        ("VERSION:2.1\nFN;QUOTED-PRINTABLE:Anna=\n\tSmith".to_owned(), "Anna\tSmith", ""),
        ("VERSION:2.1\nN;ENCODING=QUOTED-PRINTABLE:;Anna=\n Maria=\n  Smith;;;".to_owned(), "Anna Maria Smith", ""),
        (format!("VERSION:2.1\nFN;ENCODING=QUOTED-PRINTABLE:A=\n {RUSSIAN}"), "A Иван", ""),
        ("FN;ENCODING=QUOTED-PRINTABLE:Anna=\n Smith".to_owned(), "Anna Smith", ""),
        ("VERSION:3.0\nFN;ENCODING=QUOTED-PRINTABLE:An=\n na".to_owned(), "Anna", ""),
        ("FN;CHARSET=windows-1251;ENCODING=QUOTED-PRINTABLE:=C8=E2=E0=ED".to_owned(), "Иван", ""),
        ("FN;ENCODING=QUOTED-PRINTABLE:Ren=E9 100%25".to_owned(), "René 100%25", ""),
        ("FN;ENCODING=b:SXZhbg==".to_owned(), "Ivan", ""),
        // A byte order mark, lower-case names, groups, folded lines.
        (
            "\u{feff}begin:vcard\nversion:3.0\nfn:Ann\nitem1.tel;type=cell;waid=1\n 2345:+1 23\n 45\nend:vcard"
                .to_owned(),
            "Ann",
            "+1 2345",
        ),
        // No FN.
        ("N:Public;John;Quinlan;Mr.;Esq.".to_owned(), "Mr. John Quinlan Public Esq.", ""),
        (
            "N:Stevenson;John;Philip,Paul;Dr.;Jr.,M.D.,A.C.P.".to_owned(),
            "Dr. John Philip Paul Stevenson Jr. M.D. A.C.P.",
            "",
        ),
        ("FN:\nN:;;;;\nNICKNAME:Robbie".to_owned(), "Robbie", ""),
        ("N:;;;;\nORG:ABC\\, Inc.;North American Division".to_owned(), "ABC, Inc.", ""),
        ("EMAIL:a@example.com\nTEL:1".to_owned(), "a@example.com", "1"),
        ("TEL:+1 23".to_owned(), "+1 23", "+1 23"),
        // Escapes.
        ("FN:a\\;b\\, c\\\\d\\ne".to_owned(), "a;b, c\\d\ne", ""),
        // A quote that is never closed.
        ("FN;X=\"a:Ann".to_owned(), "Ann", ""),
        // A nested card.
        ("BEGIN:VCARD\nFN:Ann\nAGENT:\nBEGIN:VCARD\nFN:Bob\nTEL:2\nEND:VCARD\nTEL:1\nEND:VCARD".to_owned(), "Ann", "1"),
    ] {
        let phones: Vec<_> = Some(phones).filter(|phone| !phone.is_empty()).into_iter().collect();
        is(&card, Some(name), &phones);
    }
    for nothing in [
        "",
        "BEGIN:VCARD\nEND:VCARD",
        "FN:",
        "no card",
        "TEL:",
        ":",
        ";;:x",
    ] {
        is(nothing, None, &[]);
    }
}

#[test]
fn a_text_is_parted_into_its_cards() {
    let card = |name: &str| format!("BEGIN:VCARD\r\nFN:{name}\r\nEND:VCARD");
    assert_eq!(
        split_cards(&format!("\u{feff}{}\r\n{}\r\n", card("Ann"), card("Bob"))),
        [card("Ann"), card("Bob")]
    );
    assert_eq!(
        split_cards(&format!(
            "words before\n{}\nand between\n{}",
            card("Ann"),
            card("Bob")
        )),
        [card("Ann"), card("Bob")]
    );
    let within = "BEGIN:VCARD\nAGENT:\nBEGIN:VCARD\nEND:VCARD\nEND:VCARD";
    assert_eq!(split_cards(within), [within]);
    assert_eq!(split_cards("BEGIN:VCARD\nFN:cut"), ["BEGIN:VCARD\nFN:cut"]);
    assert_eq!(split_cards("FN:Ann"), [""; 0]);
}
