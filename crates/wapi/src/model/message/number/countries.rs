//! Country codes, and the lengths of the numbers behind them. Pure.
//!
//! From the data of libphonenumber: fixed lines, mobiles, VoIP, and the toll-free and shared-cost
//! numbers of businesses.

/// The numbering of a country.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NumberingPlan {
    /// The country code.
    pub code: u16,
    /// Least and greatest number of digits behind the code.
    pub digits: (usize, usize),
    /// Whether numbers may begin with a 0 behind the code. In other countries a 0 is only for
    /// domestic dialling, or not used at all.
    pub keeps_zeros: bool,
}

/// Each code, the least and the greatest number of digits behind it, and `z` where these may begin
/// with 0.
const COUNTRIES: &str = "\
    1:10-10 7:10-10 20:8-10 27:5-10 30:10-10 31:5-11 32:8-9 33:9-9 34:9-9 36:8-9 39:6-12z 40:6-9 41:9-9 43:4-13 44:9-10 \
    45:8-8 46:7-9 47:5-8z 48:7-9 49:5-13 51:8-9 52:10-11 53:6-10 54:10-11 55:10-11 56:9-9 57:8-10 58:10-10 60:8-10 61:9-9 \
    62:7-12 63:6-10 64:5-10 65:8-11 66:8-9 81:9-10 82:5-11 84:7-10 86:7-11 90:7-10 91:10-10 92:9-12 93:9-9 94:9-9 95:6-10 \
    98:4-10 211:9-9 212:9-9 213:8-9 216:8-8 218:9-9 220:7-7 221:9-9 222:8-8 223:8-8 224:8-9 225:10-10z 226:8-8z 227:8-8z \
    228:8-8 229:8-10z 230:7-8 231:7-9 232:8-8 233:9-9 234:10-11 235:8-8 236:8-8 237:9-9 238:7-7 239:7-7 240:9-9 241:7-8z \
    242:9-9z 243:7-10 244:9-9 245:7-9 246:7-7 247:5-6z 248:7-7 249:9-9 250:8-9 251:9-9 252:6-9 253:8-8 254:7-9 255:9-9 \
    256:9-9 257:8-8 258:8-9 260:9-9 261:9-9 262:9-9 263:5-10 264:8-9 265:7-9 266:8-8 267:7-8z 268:8-8z 269:7-7 290:4-5 \
    291:7-7 297:7-7 298:6-6 299:6-6 350:8-8 351:9-9 352:4-11 353:7-10 354:7-9 355:8-9 356:8-8 357:8-8 358:5-12 359:6-9 \
    370:8-8 371:8-8 372:7-8 373:8-8 374:8-8 375:9-9 376:6-9 377:8-9 378:8-10z 380:9-9 381:6-12 382:8-8 383:8-12 385:8-9 \
    386:8-8 387:8-9 389:8-8 420:9-9 421:6-9 423:7-9 500:5-5 501:7-7z 502:8-8 503:8-8 504:8-8 505:8-8 506:8-8 507:7-8 \
    508:6-9 509:8-8 590:9-9 591:8-8 592:7-7 593:8-9 594:9-9 595:6-9 596:9-9 597:6-7 598:4-8 599:7-8 670:7-8 672:6-6 \
    673:7-7 674:7-7 675:7-8 676:5-7z 677:5-7 678:5-7 679:7-7z 680:7-7 681:6-6 682:5-5 683:4-7 685:5-10 686:5-8 687:6-6z \
    688:5-7 689:6-8 690:4-7 691:7-7 692:7-7 800:8-8z 808:8-8 850:8-10 852:8-8 853:8-8z 855:8-9 856:8-10 870:9-12 878:12-12 \
    880:6-10 881:9-10z 882:7-12 883:8-12 886:8-11 888:11-11z 960:7-7 961:7-8 962:8-9 963:8-9 964:8-10 965:8-8 966:9-9 \
    967:7-9 968:8-8 970:8-9 971:8-9 972:8-12 973:8-8 974:8-8 975:7-8 976:8-10 977:8-10 979:9-9 992:9-9z 993:8-8 994:9-9 \
    995:9-9 996:9-9 998:9-9";

/// Toll-free and shared-cost numbers of other lengths: a code, then each prefix behind it with the
/// possible numbers of digits behind the code.
const PAID_FOR: &str = "\
    7 8108:14; 30 800:11,12; 44 8001:7; 46 20:6; 48 800:10; 55 300:8 400:8 4020:8 4370:8 4864:8 800:9; 56 1230:11 \
    600:10,11; 57 1800:11; 61 13:6 1300:10,12 1345:8 1800:10 1802:7; 63 1800:11,12,13; 66 1800:10; 86 1080:12 \
    2180:12; 90 800:12,13; 91 1800:8,9,11,12,13 1803:13 1860:11; 92 800:8; 230 802:10; 233 800:8; 234 800:12; 237 \
    88:8; 254 800:10; 267 0800:10 800:10; 355 800:7 808:6; 372 8000:10; 375 800:6,7,8,10 801:10 803:10 820:11; 380 \
    800:10; 382 809:9; 385 80:7; 386 80:6,7; 501 0800:11; 502 180:11 181:11; 503 800:7,11 801:7; 504 8002:11; 506 \
    800:10; 507 800:10; 591 8001:9; 593 1700:10 1800:10,11; 595 9800:10,11; 679 0800:11; 681 80:9; 689 80:9; 852 \
    800:9; 853 0800:7; 855 1800:10; 960 800:10; 965 18:7; 966 800:10; 968 500:7 8007:9; 970 1700:10 1800:10; 971 \
    800:5,6,7,10,11,12; 972 1255:7; 974 800:7,9; 977 1660:11 1800:11; 996 800:10";

impl NumberingPlan {
    /// Returns the country whose code begins a number; no code begins another one.
    pub fn find_by_number(number: &str) -> Option<Self> {
        COUNTRIES
            .split(' ')
            .filter_map(Self::parse)
            .find(|country| number.starts_with(&country.code.to_string()))
    }

    /// Returns whether a number of this country, without the code, can have this many digits.
    pub fn is_valid_national(&self, national: &str) -> bool {
        (self.digits.0..=self.digits.1).contains(&national.len()) || self.is_toll_free(national)
    }

    fn is_toll_free(&self, national: &str) -> bool {
        let length = national.len().to_string();
        let of_it = |entry: &&str| {
            entry
                .split_once(' ')
                .is_some_and(|(code, _)| code == self.code.to_string())
        };
        let beginnings = PAID_FOR
            .split("; ")
            .filter(of_it)
            .flat_map(|entry| entry.split(' ').skip(1));
        beginnings
            .filter_map(|beginning| beginning.split_once(':'))
            .any(|(start, lengths)| {
                national.starts_with(start) && lengths.split(',').any(|possible| possible == length)
            })
    }

    fn parse(entry: &str) -> Option<Self> {
        let (code, digits) = entry.split_once(':')?;
        let (least, most) = digits.trim_end_matches('z').split_once('-')?;
        let digits = (least.parse().ok()?, most.parse().ok()?);
        Some(Self {
            code: code.parse().ok()?,
            digits,
            keeps_zeros: entry.ends_with('z'),
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::model::message::number::countries::*;

    #[test]
    fn every_entry_is_a_country_and_no_code_begins_another() {
        let entries: Vec<_> = COUNTRIES.split(' ').collect();
        let countries: Vec<_> = entries
            .iter()
            .map(|entry| NumberingPlan::parse(entry).expect(entry))
            .collect();
        for country in &countries {
            let code = country.code.to_string();
            assert_eq!(
                NumberingPlan::find_by_number(&format!("{code}5")),
                Some(*country)
            );
            assert!(
                country.digits.0 <= country.digits.1 && code.len() + country.digits.1 <= 15,
                "{code}"
            );
        }
        assert!(countries.len() > 200);
        for entry in PAID_FOR.split("; ") {
            let (code, beginnings) = entry.split_once(' ').expect(entry);
            let country = countries
                .iter()
                .find(|country| country.code.to_string() == code)
                .expect(entry);
            for beginning in beginnings.split(' ') {
                let (start, lengths) = beginning.split_once(':').expect(beginning);
                for length in lengths
                    .split(',')
                    .map(|length| length.parse::<usize>().expect(beginning))
                {
                    assert!(code.len() + length <= 15 && start.len() < length, "{entry}");
                    assert!(
                        country.is_valid_national(&format!("{start:5<length$}")),
                        "{entry}"
                    );
                    assert!(!start.starts_with('0') || country.keeps_zeros, "{entry}");
                }
            }
        }
        assert_eq!(NumberingPlan::find_by_number("80447034810"), None);
    }
}
