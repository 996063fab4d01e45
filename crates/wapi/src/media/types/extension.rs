//! Types by file extension, and normalization of type names. Pure.

/// Each type and its extensions; the first is given to files of the type.
const TYPES: &[(&str, &str)] = &[
    ("application/pdf", "pdf"),
    ("application/msword", "doc dot"),
    ("application/vnd.ms-excel", "xls xlt"),
    ("application/vnd.ms-powerpoint", "ppt pps pot"),
    ("application/vnd.ms-outlook", "msg"),
    ("application/vnd.visio", "vsd"),
    ("application/vnd.ms-project", "mpp"),
    ("application/vnd.ms-publisher", "pub"),
    ("application/x-msi", "msi"),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "docx",
    ),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.template",
        "dotx",
    ),
    ("application/vnd.ms-word.document.macroenabled.12", "docm"),
    (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xlsx",
    ),
    (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.template",
        "xltx",
    ),
    ("application/vnd.ms-excel.sheet.macroenabled.12", "xlsm"),
    (
        "application/vnd.ms-excel.sheet.binary.macroenabled.12",
        "xlsb",
    ),
    (
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "pptx",
    ),
    (
        "application/vnd.openxmlformats-officedocument.presentationml.slideshow",
        "ppsx",
    ),
    (
        "application/vnd.openxmlformats-officedocument.presentationml.template",
        "potx",
    ),
    (
        "application/vnd.ms-powerpoint.presentation.macroenabled.12",
        "pptm",
    ),
    ("application/vnd.ms-visio.drawing", "vsdx"),
    ("application/vnd.oasis.opendocument.text", "odt"),
    ("application/vnd.oasis.opendocument.spreadsheet", "ods"),
    ("application/vnd.oasis.opendocument.presentation", "odp"),
    ("application/vnd.oasis.opendocument.graphics", "odg"),
    ("application/epub+zip", "epub"),
    ("application/vnd.apple.pages", "pages"),
    ("application/vnd.apple.numbers", "numbers"),
    ("application/vnd.apple.keynote", "key"),
    ("application/vnd.android.package-archive", "apk"),
    ("application/java-archive", "jar"),
    ("application/vnd.google-earth.kmz", "kmz"),
    ("application/vnd.google-earth.kml+xml", "kml"),
    ("application/zip", "zip"),
    ("application/gzip", "gz tgz"),
    ("application/x-bzip2", "bz2"),
    ("application/x-xz", "xz"),
    ("application/zstd", "zst"),
    ("application/x-7z-compressed", "7z"),
    ("application/vnd.rar", "rar"),
    ("application/x-tar", "tar"),
    ("application/rtf", "rtf"),
    ("application/postscript", "ps eps ai"),
    ("application/json", "json"),
    ("application/geo+json", "geojson"),
    ("application/xml", "xml xsd"),
    ("application/xslt+xml", "xsl xslt"),
    ("application/gpx+xml", "gpx"),
    ("application/yaml", "yaml yml"),
    ("application/sql", "sql"),
    ("application/vnd.sqlite3", "sqlite sqlite3 db"),
    ("application/pkcs7-signature", "p7s sig"),
    ("application/pkcs7-mime", "p7m"),
    ("application/x-pkcs12", "p12 pfx"),
    ("application/x-pem-file", "pem crt"),
    ("application/vnd.microsoft.portable-executable", "exe dll"),
    ("application/x-bittorrent", "torrent"),
    ("application/acad", "dwg"),
    ("application/octet-stream", "bin"),
    ("text/plain", "txt text log ini conf"),
    ("text/csv", "csv"),
    ("text/tab-separated-values", "tsv"),
    ("text/html", "html htm"),
    ("text/markdown", "md markdown"),
    ("text/css", "css"),
    ("text/javascript", "js mjs"),
    ("text/calendar", "ics"),
    ("text/vcard", "vcf vcard"),
    ("message/rfc822", "eml"),
    ("image/jpeg", "jpg jpeg jpe jfif"),
    ("image/png", "png"),
    ("image/apng", "apng"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("image/heic", "heic"),
    ("image/heif", "heif"),
    ("image/avif", "avif"),
    ("image/bmp", "bmp"),
    ("image/tiff", "tif tiff"),
    ("image/svg+xml", "svg"),
    ("image/x-icon", "ico"),
    ("image/jxl", "jxl"),
    ("image/vnd.adobe.photoshop", "psd"),
    ("image/vnd.dxf", "dxf"),
    ("video/mp4", "mp4 m4v"),
    ("video/quicktime", "mov qt"),
    ("video/3gpp", "3gp"),
    ("video/3gpp2", "3g2"),
    ("video/webm", "webm"),
    ("video/x-matroska", "mkv"),
    ("video/x-msvideo", "avi"),
    ("video/mpeg", "mpg mpeg"),
    ("video/x-ms-wmv", "wmv"),
    ("video/x-flv", "flv"),
    ("audio/mpeg", "mp3"),
    ("audio/mp4", "m4a m4b"),
    ("audio/aac", "aac"),
    ("audio/amr", "amr"),
    ("audio/ogg", "ogg oga opus"),
    ("audio/wav", "wav"),
    ("audio/flac", "flac"),
    ("audio/webm", "weba"),
    ("audio/midi", "mid midi"),
    ("audio/aiff", "aif aiff"),
    ("audio/x-ms-wma", "wma"),
];

/// Alternative names of types, and their usual names.
const OTHER_NAMES: [(&str, &str); 18] = [
    ("image/jpg", "image/jpeg"),
    ("image/pjpeg", "image/jpeg"),
    ("image/x-png", "image/png"),
    ("image/x-ms-bmp", "image/bmp"),
    ("image/vnd.microsoft.icon", "image/x-icon"),
    ("audio/mp3", "audio/mpeg"),
    ("audio/x-mpeg", "audio/mpeg"),
    ("audio/x-m4a", "audio/mp4"),
    ("audio/m4a", "audio/mp4"),
    ("audio/x-wav", "audio/wav"),
    ("audio/wave", "audio/wav"),
    ("audio/vnd.wave", "audio/wav"),
    ("audio/x-flac", "audio/flac"),
    ("application/x-pdf", "application/pdf"),
    ("application/x-zip-compressed", "application/zip"),
    ("application/x-gzip", "application/gzip"),
    ("application/x-rar-compressed", "application/vnd.rar"),
    ("text/x-vcard", "text/vcard"),
];

/// Types that describe only an arbitrary file.
const UNSPECIFIC_TYPES: [&str; 8] = [
    "application/octet-stream",
    "binary/octet-stream",
    "application/binary",
    "application/force-download",
    "application/x-download",
    "application/download",
    "application/unknown",
    "application/x-www-form-urlencoded",
];

/// Returns the type of an extension.
pub fn type_by_extension(extension: &str) -> Option<&'static str> {
    TYPES
        .iter()
        .find(|(_, endings)| endings.split(' ').any(|ending| ending == extension))
        .map(|(name, _)| *name)
}

/// Returns the usual extension of a type.
pub fn extension_of(mime_type: &str) -> Option<&'static str> {
    TYPES
        .iter()
        .find(|(name, _)| *name == mime_type)
        .and_then(|(_, endings)| endings.split(' ').next())
}

/// Normalizes a declared type: without parameters, and under its usual name. `None` if it is
/// invalid or describes any file.
pub fn normalize_type(text: &str) -> Option<String> {
    let essence = type_essence(text);
    let is_token = |part: &str| {
        let signs = b"!#$&-^_.+*";
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || signs.contains(&byte))
    };
    let is_type = essence
        .split_once('/')
        .is_some_and(|(kind, name)| is_token(kind) && is_token(name) && name != "*");
    let usual = OTHER_NAMES
        .iter()
        .find(|(other, _)| *other == essence)
        .map(|(_, usual)| (*usual).to_owned());
    Some(usual.unwrap_or(essence))
        .filter(|essence| is_type && !UNSPECIFIC_TYPES.contains(&essence.as_str()))
}

/// Returns a media type without its parameters, in lower case.
pub fn type_essence(mime_type: &str) -> String {
    mime_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use crate::media::types::extension::*;

    #[test]
    fn no_ending_stands_for_two_types() {
        let mut endings: Vec<_> = TYPES
            .iter()
            .flat_map(|(_, endings)| endings.split(' '))
            .collect();
        endings.sort_unstable();
        assert!(
            endings.windows(2).all(|two| two[0] != two[1]),
            "{endings:?}"
        );
        assert!(
            TYPES
                .iter()
                .all(|(name, _)| normalize_type(name).is_some() || UNSPECIFIC_TYPES.contains(name))
        );
    }

    #[test]
    fn what_is_said_is_a_type_or_nothing() {
        for (text, meant) in [
            ("Application/PDF; charset=binary", Some("application/pdf")),
            (" text/csv ;header=present", Some("text/csv")),
            ("image/jpg", Some("image/jpeg")),
            ("binary/octet-stream", None),
            ("application/octet-stream", None),
            ("", None),
            ("pdf", None),
            ("a/b/c", None),
            ("*/*", None),
            ("text/<x>", None),
        ] {
            assert_eq!(normalize_type(text).as_deref(), meant, "{text}");
        }
    }
}
