//! How long an MP4 or 3GP file is, and how large its pictures are (ISO/IEC 14496-12).

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Boxes in one box that are looked at.
const MOST_BOXES: usize = 1_000;

/// What its head says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Film {
    /// Rounded up.
    pub seconds: u32,
    /// Width and height in pixels, if it has pictures.
    pub frame: Option<(u32, u32)>,
}

/// `None` for what is no such file.
pub fn read(file: &mut (impl Read + Seek)) -> io::Result<Option<Film>> {
    let length = file.seek(SeekFrom::End(0))?;
    let Some(movie) = boxes(file, 0..length, b"moov")?.pop() else { return Ok(None) };
    let Some(header) = boxes(file, movie.clone(), b"mvhd")?.pop() else { return Ok(None) };
    let Some(seconds) = seconds(&bytes(file, header)?) else { return Ok(None) };
    let mut frame = None;
    for track in boxes(file, movie, b"trak")? {
        for header in boxes(file, track, b"tkhd")? {
            frame = frame.or(size(&bytes(file, header)?));
        }
    }
    Ok(Some(Film { seconds, frame }))
}

/// How the pictures and sounds of a film are coded, by the words of its sample descriptions.
pub fn codecs(file: &mut (impl Read + Seek)) -> io::Result<Vec<[u8; 4]>> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut codecs = Vec::new();
    for track in within(file, 0..length, &[b"moov", b"trak", b"mdia"])? {
        let Some(handler) = boxes(file, track.clone(), b"hdlr")?.pop() else { continue };
        let handler = bytes(file, handler)?;
        if !matches!(handler.get(8..12), Some(b"vide" | b"soun")) {
            continue;
        }
        for description in within(file, track, &[b"minf", b"stbl", b"stsd"])? {
            codecs.extend(bytes(file, description)?.get(12..16).and_then(|codec| <[u8; 4]>::try_from(codec).ok()));
        }
    }
    Ok(codecs)
}

/// How large a picture of HEIC or AVIF is, with all its tiles (ISO/IEC 23008-12).
pub fn picture(file: &mut (impl Read + Seek)) -> io::Result<Option<(u32, u32)>> {
    let length = file.seek(SeekFrom::End(0))?;
    let Some(meta) = boxes(file, 0..length, b"meta")?.pop() else { return Ok(None) };
    // A version and flags come first.
    let inside = meta.start.saturating_add(4).min(meta.end)..meta.end;
    let mut largest = None;
    for extents in within(file, inside, &[b"iprp", b"ipco", b"ispe"])? {
        let extents = bytes(file, extents)?;
        let size = short(&extents, 4).zip(short(&extents, 8));
        largest = largest.max(size.map(|(width, height)| (u64::from(width) * u64::from(height), width, height)));
    }
    Ok(largest.map(|(_, width, height)| (width, height)))
}

/// The content of each box at the end of a path of names.
fn within(file: &mut (impl Read + Seek), range: Range<u64>, path: &[&[u8; 4]]) -> io::Result<Vec<Range<u64>>> {
    let mut found = vec![range];
    for name in path {
        let mut inner = Vec::new();
        for range in found {
            inner.extend(boxes(file, range, name)?);
            inner.truncate(MOST_BOXES);
        }
        found = inner;
    }
    Ok(found)
}

/// The content of each box of this name within a range.
fn boxes(file: &mut (impl Read + Seek), within: Range<u64>, name: &[u8; 4]) -> io::Result<Vec<Range<u64>>> {
    let mut found = Vec::new();
    let mut start = within.start;
    for _ in 0..MOST_BOXES {
        if start + 8 > within.end {
            break;
        }
        file.seek(SeekFrom::Start(start))?;
        let mut head = [0; 8];
        file.read_exact(&mut head)?;
        let [a, b, c, d, kind @ ..] = head;
        let (size, head) = match u32::from_be_bytes([a, b, c, d]) {
            0 => (within.end - start, 8),
            1 => {
                let mut size = [0; 8];
                file.read_exact(&mut size)?;
                (u64::from_be_bytes(size), 16)
            }
            size => (u64::from(size), 8),
        };
        let end = start.saturating_add(size).min(within.end);
        if size < head {
            break;
        }
        if kind == *name {
            found.push(start + head..end);
        }
        start = end;
    }
    Ok(found)
}

/// The beginning of a box; those that are read have no more than this.
fn bytes(file: &mut (impl Read + Seek), at: Range<u64>) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at.start))?;
    let mut bytes = Vec::new();
    file.take((at.end - at.start).min(256)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn seconds(mvhd: &[u8]) -> Option<u32> {
    let (scale, duration) = match mvhd.first()? {
        0 => (short(mvhd, 12)?, u64::from(short(mvhd, 16)?)),
        _ => (short(mvhd, 20)?, u64::from_be_bytes(mvhd.get(24..32)?.try_into().ok()?)),
    };
    u32::try_from(duration.checked_div(u64::from(scale))? + u64::from(duration % u64::from(scale) > 0)).ok()
}

/// Width and height are the last two numbers, with 16 bits behind the point. Phones film upright with pictures that lie on their side,
/// which the matrix before them sets up again.
fn size(tkhd: &[u8]) -> Option<(u32, u32)> {
    let at = if *tkhd.first()? == 0 { 76 } else { 88 };
    let (width, height) = (short(tkhd, at)? >> 16, short(tkhd, at + 4)? >> 16);
    let matrix = |index: usize| short(tkhd, at - 36 + 4 * index);
    let is_turned = (matrix(0)?, matrix(4)?) == (0, 0) && matrix(1)? != 0 && matrix(3)? != 0;
    let (width, height) = if is_turned { (height, width) } else { (width, height) };
    (width > 0 && height > 0).then_some((width, height))
}

fn short(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes()[..], name, content].concat()
    }

    #[test]
    fn its_head_says_how_long_and_how_large_it_is() {
        let mut mvhd = vec![0; 100];
        mvhd[12..16].copy_from_slice(&600u32.to_be_bytes());
        mvhd[16..20].copy_from_slice(&3_001u32.to_be_bytes());
        let sound = vec![0; 84];
        let mut picture = vec![0; 84];
        picture[76..80].copy_from_slice(&(640u32 << 16).to_be_bytes());
        picture[80..84].copy_from_slice(&(360u32 << 16).to_be_bytes());
        let tracks = [&sound, &picture].map(|tkhd| boxed(b"trak", &boxed(b"tkhd", tkhd))).concat();
        let movie = boxed(b"moov", &[boxed(b"mvhd", &mvhd), tracks].concat());
        let whole = [boxed(b"ftyp", b"isom"), boxed(b"mdat", &[0; 99]), movie].concat();
        let film = read(&mut io::Cursor::new(whole)).unwrap();
        assert_eq!(film, Some(Film { seconds: 6, frame: Some((640, 360)) }));
        (picture[47], picture[55]) = (1, 1);
        assert_eq!(size(&picture), Some((360, 640)), "it was filmed upright");
    }

    #[test]
    fn a_file_that_lies_about_itself_is_read_to_an_end() {
        for bytes in [&[0; 64][..], b"\0\0\0\x01moov\0\0\0\0\0\0\0\0", b"\xff\xff\xff\xffmoov", b"\0\0\0\x08moov"] {
            assert_eq!(read(&mut io::Cursor::new(bytes)).ok().flatten(), None);
        }
    }
}
