//! Type detection for files whose first bytes are not enough: ZIP archives, old Office files, MP4
//! without video, animated PNG. Blocks; reads a little of each file, whatever its size.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::probe::mp4;

/// Bytes that are read of a ZIP's central directory.
const MAX_LIST_BYTES: u64 = 1024 * 1024;
/// Size of the end record of a ZIP, and of the comment after it.
const END_RECORD_BYTES: u64 = 22;
const MAX_COMMENT_BYTES: u64 = u16::MAX as u64;
/// Maximum number of directory sectors of an Office file, and of chunks of a PNG.
const MAX_SECTORS: usize = 64;
const MAX_CHUNKS: usize = 1_000;

/// Names of the first box of videos and audio files.
const FIRST_BOXES: [&[u8; 4]; 7] = [
    b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot",
];

/// Returns the type that the content shows. `None` if the content does not show it, or cannot be
/// read.
pub fn inspect_file(path: &Path) -> Option<&'static str> {
    let mut file = BufReader::new(File::open(path).ok()?);
    inspect_content(&mut file).ok().flatten()
}

pub(super) fn inspect_content(file: &mut (impl Read + Seek)) -> io::Result<Option<&'static str>> {
    let mut head = [0; 12];
    file.read_exact(&mut head)?;
    match head {
        [b'P', b'K', ..] => inspect_zip(file),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => inspect_compound(file),
        [0x89, b'P', b'N', b'G', ..] => inspect_png(file),
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] if is_image_brand(&brand) => Ok(None),
        [_, _, _, _, name @ .., _, _, _, _] if FIRST_BOXES.contains(&&name) => inspect_mp4(file),
        _ => Ok(None),
    }
}

fn is_image_brand(brand: &[u8]) -> bool {
    [b"mif1", b"msf1"]
        .into_iter()
        .any(|picture| picture == brand)
}

/// Detects the type from the names in a ZIP's central directory.
fn inspect_zip(file: &mut (impl Read + Seek)) -> io::Result<Option<&'static str>> {
    let length = file.seek(SeekFrom::End(0))?;
    let start = length.saturating_sub(END_RECORD_BYTES + MAX_COMMENT_BYTES);
    let tail = read_range(file, start, END_RECORD_BYTES + MAX_COMMENT_BYTES)?;
    let Some(end) = tail.windows(4).rposition(|sign| sign == b"PK\x05\x06") else {
        return Ok(None);
    };
    let number = |at: usize| {
        tail.get(end + at..end + at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_le_bytes)
    };
    let (Some(size), Some(offset)) = (number(12), number(16)) else {
        return Ok(None);
    };
    let list = read_range(file, offset.into(), u64::from(size).min(MAX_LIST_BYTES))?;
    let names = zip_names(&list);
    let has = |start: &str| names.iter().any(|name| name.starts_with(start.as_bytes()));
    Ok(Some(match () {
        () if has("[Content_Types].xml") && has("word/") => {
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
        }
        () if has("xl/workbook.bin") => "application/vnd.ms-excel.sheet.binary.macroenabled.12",
        () if has("[Content_Types].xml") && has("xl/") => {
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        }
        () if has("[Content_Types].xml") && has("ppt/") => {
            "application/vnd.openxmlformats-officedocument.presentationml.presentation"
        }
        () if has("[Content_Types].xml") && has("visio/") => "application/vnd.ms-visio.drawing",
        () if has("AndroidManifest.xml") => "application/vnd.android.package-archive",
        () if has("META-INF/MANIFEST.MF") => "application/java-archive",
        () if has("doc.kml") => "application/vnd.google-earth.kmz",
        () => return Ok(None),
    }))
}

/// Lists the names in a ZIP's central directory.
fn zip_names(mut list: &[u8]) -> Vec<&[u8]> {
    const HEAD: usize = 46;
    let mut names = Vec::new();
    while list.starts_with(b"PK\x01\x02") {
        let short = |at: usize| {
            list.get(at..at + 2)
                .map(|bytes| usize::from(bytes[0]) | usize::from(bytes[1]) << 8)
        };
        let (Some(name), Some(extra), Some(comment)) = (short(28), short(30), short(32)) else {
            break;
        };
        names.extend(list.get(HEAD..HEAD + name));
        list = list
            .get(HEAD + name + extra + comment..)
            .unwrap_or_default();
    }
    names
}

/// Detects the type from the names in the directory of a compound file (MS-CFB).
fn inspect_compound(file: &mut (impl Read + Seek)) -> io::Result<Option<&'static str>> {
    const ENTRY: usize = 128;
    const LARGEST_SECTOR: u32 = 12;
    let head = read_range(file, 0, 512)?;
    let number = |bytes: &[u8], at: usize| {
        bytes
            .get(at..at + 4)
            .and_then(|it| it.try_into().ok())
            .map(u32::from_le_bytes)
    };
    let shift = head
        .get(30)
        .copied()
        .map(u32::from)
        .filter(|shift| (9..=LARGEST_SECTOR).contains(shift));
    let (Some(shift), Some(mut sector)) = (shift, number(&head, 48)) else {
        return Ok(None);
    };
    let (size, sector_offset) = (1u64 << shift, |sector: u32| {
        (u64::from(sector) + 1) << shift
    });
    let mut found = None;
    for _ in 0..MAX_SECTORS {
        let folder = read_range(file, sector_offset(sector), size)?;
        for entry in folder.chunks_exact(ENTRY) {
            let letters = entry[..64]
                .chunks_exact(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            let name = String::from_utf16_lossy(
                &letters
                    .take_while(|letter| *letter != 0)
                    .collect::<Vec<_>>(),
            );
            found = found.or(match name.as_str() {
                "WordDocument" => Some("application/msword"),
                "Workbook" | "Book" => Some("application/vnd.ms-excel"),
                "PowerPoint Document" => Some("application/vnd.ms-powerpoint"),
                "VisioDocument" => Some("application/vnd.visio"),
                "__properties_version1.0" => Some("application/vnd.ms-outlook"),
                _ => None,
            });
        }
        // The number of the next sector is in a table, and the header names that table's own
        // sectors.
        let per_table = 1u32 << (shift - 2);
        let table = usize::try_from(sector / per_table)
            .ok()
            .and_then(|table| number(&head, 76 + 4 * table));
        let (Some(table), None) = (table.filter(|table| *table < 0xffff_fffa), found) else {
            break;
        };
        let next = read_range(
            file,
            sector_offset(table) + u64::from(sector % per_table) * 4,
            4,
        )?;
        match number(&next, 0).filter(|next| *next < 0xffff_fffa) {
            Some(next) => sector = next,
            None => break,
        }
    }
    Ok(found)
}

/// An animated PNG declares itself before its first frame. One that declares a single frame is a
/// still image.
fn inspect_png(file: &mut (impl Read + Seek)) -> io::Result<Option<&'static str>> {
    file.seek(SeekFrom::Start(8))?;
    for _ in 0..MAX_CHUNKS {
        let mut head = [0; 8];
        file.read_exact(&mut head)?;
        let [a, b, c, d, kind @ ..] = head;
        match &kind {
            b"acTL" => {
                // The number of frames comes first.
                let mut pictures = [0; 4];
                file.read_exact(&mut pictures)?;
                return Ok((u32::from_be_bytes(pictures) > 1).then_some("image/apng"));
            }
            b"IDAT" | b"IEND" => return Ok(None),
            _ => file.seek(SeekFrom::Current(
                i64::from(u32::from_be_bytes([a, b, c, d])) + 4,
            ))?,
        };
    }
    Ok(None)
}

/// A file without video is audio.
fn inspect_mp4(file: &mut (impl Read + Seek)) -> io::Result<Option<&'static str>> {
    let video = mp4::read_info(file)?;
    let has_sound_alone =
        video.is_some_and(|video| video.frame.is_none()) && !mp4::has_video(file)?;
    Ok(has_sound_alone.then_some("audio/mp4"))
}

fn read_range(file: &mut (impl Read + Seek), start: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use crate::media::content_inspection::*;

    /// A ZIP that contains only names.
    fn zip(names: &[&str]) -> Vec<u8> {
        let local = b"PK\x03\x04 what is packed here does not matter".to_vec();
        let mut list = Vec::new();
        for name in names {
            let mut entry = [0; 46];
            entry[..4].copy_from_slice(b"PK\x01\x02");
            entry[28] = name.len() as u8;
            list.extend_from_slice(&entry);
            list.extend_from_slice(name.as_bytes());
        }
        let mut end = [0; 22];
        end[..4].copy_from_slice(b"PK\x05\x06");
        end[12..16].copy_from_slice(&(list.len() as u32).to_le_bytes());
        end[16..20].copy_from_slice(&(local.len() as u32).to_le_bytes());
        [local, list, end.to_vec(), b"a comment".to_vec()].concat()
    }

    /// A compound file whose directory has these names, in two sectors.
    fn compound(names: &[&str]) -> Vec<u8> {
        let mut head = [0; 512];
        head[..4].copy_from_slice(&[0xd0, 0xcf, 0x11, 0xe0]);
        head[30] = 9;
        head[48..52].copy_from_slice(&1u32.to_le_bytes());
        // The table is sector 0; sector 1 is followed by sector 2, which is the last.
        let mut table = [0xff; 512];
        table[4..8].copy_from_slice(&2u32.to_le_bytes());
        table[8..12].copy_from_slice(&0xffff_fffe_u32.to_le_bytes());
        let mut folder = vec![0; 1024];
        for (sector_offset, name) in names.iter().enumerate() {
            for (at, letter) in name.encode_utf16().enumerate() {
                folder[sector_offset * 128 + at * 2..][..2].copy_from_slice(&letter.to_le_bytes());
            }
        }
        [&head[..], &table, &folder].concat()
    }

    /// A PNG each of whose chunks begins with the number of frames.
    fn png(chunks: &[&[u8; 4]], pictures: u32) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        for chunk in chunks {
            file.extend_from_slice(
                &[
                    &8u32.to_be_bytes()[..],
                    *chunk,
                    &pictures.to_be_bytes(),
                    b"abcd",
                    b"crc!",
                ]
                .concat(),
            );
        }
        file
    }

    fn inspect_file(bytes: Vec<u8>) -> Option<&'static str> {
        inspect_content(&mut Cursor::new(bytes)).ok().flatten()
    }

    #[test]
    fn what_is_inside_says_what_a_file_is() {
        const TYPES: &str = "[Content_Types].xml";
        for (names, found) in [
            (
                &[TYPES, "_rels/.rels", "word/document.xml"][..],
                Some("wordprocessingml.document"),
            ),
            (
                &["xl/workbook.xml", "word.txt", TYPES],
                Some("spreadsheetml.sheet"),
            ),
            (&[TYPES, "xl/workbook.bin"], Some("binary.macroenabled")),
            (
                &[TYPES, "ppt/presentation.xml"],
                Some("presentationml.presentation"),
            ),
            (
                &["META-INF/MANIFEST.MF", "AndroidManifest.xml"],
                Some("android.package-archive"),
            ),
            (&["META-INF/MANIFEST.MF", "a.class"], Some("java-archive")),
            (&["doc.kml"], Some("kmz")),
            (&["a/word/b.txt", TYPES], None),
            (&["word/a.txt"], None),
            (&[], None),
        ] {
            let seen = inspect_file(zip(names));
            assert!(
                seen.is_some() == found.is_some()
                    && found.is_none_or(|it| seen.unwrap().contains(it)),
                "{names:?}: {seen:?}"
            );
        }
        for (names, found) in [
            (
                &["Root Entry", "WordDocument"][..],
                Some("application/msword"),
            ),
            (
                &["Root Entry", "1", "2", "3", "4", "Workbook"],
                Some("application/vnd.ms-excel"),
            ),
            (
                &["Root Entry", "PowerPoint Document"],
                Some("application/vnd.ms-powerpoint"),
            ),
            (
                &["Root Entry", "__properties_version1.0"],
                Some("application/vnd.ms-outlook"),
            ),
            (&["Root Entry", "EncryptedPackage"], None),
        ] {
            assert_eq!(inspect_file(compound(names)), found, "{names:?}");
        }
        assert_eq!(
            inspect_file(png(&[b"IHDR", b"iCCP", b"acTL", b"IDAT"], 2)),
            Some("image/apng")
        );
        for pictures in [0, 1] {
            assert_eq!(
                inspect_file(png(&[b"IHDR", b"acTL", b"IDAT"], pictures)),
                None,
                "it stands still"
            );
        }
        assert_eq!(inspect_file(png(&[b"IHDR", b"IDAT", b"acTL"], 2)), None);
    }

    fn boxed(name: &[u8], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes()[..], name, content].concat()
    }

    /// A file of three seconds that begins with this box, and has tracks of these handlers and
    /// pixel widths.
    fn video(name: &[u8], content: &[u8], tracks: &[(&[u8; 4], u32)]) -> Vec<u8> {
        let mut mvhd = vec![0; 100];
        (mvhd[15], mvhd[19]) = (1, 3);
        let track = |(handler, width): &(&[u8; 4], u32)| {
            let mut tkhd = vec![0; 84];
            tkhd[76..80].copy_from_slice(&(width << 16).to_be_bytes());
            tkhd[80..84].copy_from_slice(&(width << 16).to_be_bytes());
            let hdlr = [&[0; 8][..], *handler, &[0; 12]].concat();
            boxed(
                b"trak",
                &[
                    boxed(b"tkhd", &tkhd),
                    boxed(b"mdia", &boxed(b"hdlr", &hdlr)),
                ]
                .concat(),
            )
        };
        let tracks: Vec<u8> = tracks.iter().flat_map(track).collect();
        [
            boxed(name, content),
            boxed(b"moov", &[boxed(b"mvhd", &mvhd), tracks].concat()),
        ]
        .concat()
    }

    #[test]
    fn what_has_no_pictures_is_a_sound_whatever_its_brand() {
        let brands = [b"isom", b"3gp4", b"3g2a", b"qt  ", b"M4A "]
            .map(|brand| (&b"ftyp"[..], [&brand[..], &[0; 4]].concat()));
        let old = [&b"wide"[..], b"free", b"mdat"].map(|name| (name, Vec::new()));
        for (name, content) in brands.into_iter().chain(old) {
            for (tracks, found) in [
                (&[(b"soun", 0)][..], Some("audio/mp4")),
                (&[(b"soun", 0), (b"text", 0)], Some("audio/mp4")),
                (&[(b"soun", 0), (b"vide", 320)], None),
                (&[(b"vide", 320)], None),
                // Some programs leave out the dimensions of the video.
                (&[(b"soun", 0), (b"vide", 0)], None),
            ] {
                assert_eq!(
                    inspect_file(video(name, &content, tracks)),
                    found,
                    "{} {tracks:?}",
                    content.escape_ascii()
                );
            }
        }
    }

    #[test]
    fn what_is_cut_or_lies_is_read_to_an_end() {
        let whole = [
            zip(&["[Content_Types].xml", "word/a"]),
            compound(&["WordDocument"]),
            png(&[b"IHDR", b"acTL"], 2),
        ];
        for bytes in whole {
            for length in 0..bytes.len() {
                inspect_file(bytes[..length].to_vec());
            }
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] = 0xff;
                inspect_file(changed);
            }
        }
        // A directory whose sectors form a cycle.
        let mut circle = compound(&[]);
        circle[512 + 4..512 + 8].copy_from_slice(&1u32.to_le_bytes());
        assert_eq!(inspect_file(circle), None);
    }
}
