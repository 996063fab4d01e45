//! Phone numbers: the ways to write one, and what is none.

use super::*;

fn read(text: &str) -> Result<String, NoNumber> {
    let text = visible(text);
    linked(&text).unwrap_or_else(|| parse(&text))
}

#[test]
fn one_number_is_written_in_many_ways() {
    for text in [
        "375447034810",
        "+375447034810",
        "+375 44 703-48-10",
        "375 (44) 703 48 10",
        "+(375) 44 7034810",
        "(+375) 44 703.48.10",
        "[375] 44 703-48-10",
        "00375447034810",
        "00 375 44 703 48 10",
        "(00375) 44 703-48-10",
        "+375 (0)44 703-48-10",
        "+375(0) 44 7034810",
        "+375-(0)-44-703-48-10",
        "00375 (0) 447034810",
        "+375.447034810",
        "+375 - 44 - 703 - 48 - 10",
        "\u{a0}+375\u{202f}44\u{2009}703\u{2011}48\u{2010}10\u{3000}",
        "\u{202a}+375 44 703\u{2013}48\u{2014}10\u{202c}",
        "\u{2066}375447034810\u{2069}",
        "\u{200e}+375 44 703−48−10\u{200f}",
        "\u{feff}375447034810\r\n",
        "+3754470\u{ad}34810\u{200b}\u{200d}\u{2060}\u{61c}",
        "＋３７５　４４　７０３－４８－１０",
        "（３７５）４４・７０３ー４８ー１０",
        "tel:+375-44-703-48-10",
        "TEL:+375447034810",
        "tel:%2B375447034810",
        "tel:+375(44)703.48.10",
        "callto://+375447034810",
        "sms:+375447034810",
        "whatsapp:+375447034810",
        "wa.me/375447034810",
        "WA.me/+375447034810/",
        "https://wa.me/375447034810",
        "http://www.wa.me/375447034810?text=me%40home",
        "https://wa.me/375447034810?text=me@home",
        "https://wa.me/%2B375%2044%20703-48-10",
        "https://api.whatsapp.com/send?phone=375447034810&text=hi",
        "https://api.whatsapp.com/send/?text=hi&phone=%2B375447034810",
        "web.whatsapp.com/send?phone=+375447034810",
        "whatsapp://send?phone=375447034810",
        "whatsapp://send/?phone=+375447034810&text=",
    ] {
        assert_eq!(read(text).as_deref(), Ok("375447034810"), "{text:?}");
    }
}

#[test]
fn numbers_of_other_countries_are_numbers() {
    for (text, number) in [
        ("+1 (202) 555.0123", "12025550123"),
        ("1-202-555-0123", "12025550123"),
        ("+44 (0)20 7946 0000", "442079460000"),
        ("+44(0)7911 123456", "447911123456"),
        ("+49 (0) 151 12345678", "4915112345678"),
        ("+33 (0)6 12 34 56 78", "33612345678"),
        ("+33.6.12.34.56.78", "33612345678"),
        ("+61 (2) 9374 4000", "61293744000"),
        ("+39 06 6982 1234", "390669821234"),
        ("+39 333 123 4567", "393331234567"),
        ("+225 07 07 12 34 56", "2250707123456"),
        ("+229 01 97 12 34 56", "2290197123456"),
        ("+242 06 612 3456", "242066123456"),
        ("+7 (912) 345-67-89", "79123456789"),
        ("+52 1 55 1234 5678", "5215512345678"),
        ("+54 9 11 2345-6789", "5491123456789"),
        ("+55 (11) 96123-4567", "5511961234567"),
        ("+91 98765 43210", "919876543210"),
        ("+299 22 12 34", "299221234"),
        ("+247 40123", "24740123"),
    ] {
        assert_eq!(read(text).as_deref(), Ok(number), "{text:?}");
    }
}

#[test]
fn digits_of_every_script_are_digits() {
    const ZEROS: &str = "0٠۰߀०০੦૦୦௦౦೦൦๐໐༠၀០᠐꩐０𑁦𝟎🯰";
    for zero in ZEROS.chars() {
        let national = |ascii: char| char::from_u32(u32::from(zero) + ascii.to_digit(10).unwrap()).unwrap();
        let number: String = "375447034810".chars().map(national).collect();
        assert_eq!(read(&number).as_deref(), Ok("375447034810"), "{number}");
        assert_eq!(read(&format!("+{number}")).as_deref(), Ok("375447034810"), "{number}");
    }
    // All that Unicode has come in tens, in order.
    let points = 0..=u32::from(char::MAX);
    let all: Vec<_> = points.filter_map(|point| char::from_u32(point).and_then(digit)).collect();
    assert!(all.len() >= 600);
    assert!(all.chunks(10).all(|ten| ten.iter().collect::<String>() == "0123456789"));
}

#[test]
fn what_is_not_surely_one_number_is_refused() {
    for text in [
        // Tables' doing.
        "375440000002.0",
        "375440000002.00",
        "375440000002,0",
        "375,440,000,002",
        "375.440.000.002,00",
        "+375 44 000 00 02.0",
        "491701234567.0",
        "4917012345678.5",
        "3.75440000002E+11",
        "3,75E11",
        "375440000002e0",
        "-375440000002",
        "375440000002-",
        "'375440000002",
        "=375440000002",
        // Zeros that are dialled inside a country.
        "+3750447034810",
        "+375 044 703-48-10",
        "+375 (044) 703-48-10",
        "+375 44 (0) 703-48-10",
        "+44 07911 123456",
        "+49 0151 12345678",
        "+39 (0)6 6982 1234",
        "+225 (0)7 07 12 34 56",
        "80447034810",
        "8 044 703-48-10",
        "+375 (80) 44 703-48-10",
        "8 (912) 345-67-89",
        "8 800 555-35-35",
        "0447034810",
        "(044) 703-48-10",
        "0 44 703 48 10",
        "+0375447034810",
        "+00375447034810",
        // More than one, or more than a number.
        "+375447034810 +375447034811",
        "375447034810, 375447034811",
        "375447034810;375447034811",
        "375447034810/11",
        "375447034810\n375447034811",
        "375447034810\t1",
        "+375 44 703-48-10 1",
        "+375 44 703-48-10 x12",
        "+375 44 703-48-10 ext. 12",
        "tel:+375447034810;ext=12",
        "tel:703-48-10;phone-context=+375",
        "+1 202 555 0123 #4",
        "375447034810p1",
        "*375447034810",
        // Signs where none can be.
        "++375447034810",
        "375+447034810",
        "375447034810+",
        "375--447034810",
        "375..447034810",
        "(375 44 703-48-10",
        "375) 44 703-48-10",
        "((375)) 44 703-48-10",
        "375 () 447034810",
        "~375447034810",
        "37544703481O",
        "3754470348l0",
        "³⁷⁵447034810",
        "³75447034810",
        "①②③④⑤⑥⑦⑧⑨",
        "三七五",
        "",
        " ",
        "+",
        "()",
        "\u{200b}",
        // Of no country, or too short or too long for it.
        "1234",
        "123456",
        "+375 44 703-48-1",
        "+375 44 703-48-100",
        "+1 202 555 012",
        "+1 202 555 01234",
        "+210 123456789",
        "+999 123456789",
        "1234567890123456",
        // Links that name none.
        "https://wa.me/",
        "https://wa.me/message/ABCDEFGH1234",
        "https://wa.me/qr/ABCDEFGH1234",
        "https://wa.me/c/375447034810",
        "https://wa.me/375447034810/375447034811",
        "https://wa.me/0447034810",
        "https://api.whatsapp.com/send?text=hi",
        "https://example.com/375447034810",
        "whatsapp://send?text=hi",
        "tel:",
        "tel:abc",
        "mailto:375447034810",
    ] {
        let read = read(text);
        assert!(read.is_err(), "{text:?} was taken for {read:?}");
    }
}

#[test]
fn whoever_is_refused_learns_why() {
    for (text, why) in [
        ("375440000002.0", "it looks like a decimal or a cut number, since 0 stands alone at its end"),
        ("0447034810", "it begins with 0, so it lacks the country's code"),
        (
            "+375 044 703-48-10",
            "behind the country's code 375 stands a 0 that is dialled inside the country alone; leave it out",
        ),
        ("+375 44 703 481", "numbers of 375 have 9 digits behind that, and it has 8"),
        ("+44 1", "numbers of 44 have 9 to 10 digits behind that, and it has 1"),
        ("375447034810 ext 5", "`e` does not belong to a number there"),
        ("+999 1", "no country's code begins it"),
    ] {
        assert_eq!(read(text).unwrap_err().to_string(), why, "{text}");
    }
}
