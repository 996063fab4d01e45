//! Duration of MP4 and 3GP files, and dimensions of their video (ISO/IEC 14496-12).

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

/// Maximum number of boxes read per container box.
const MAX_BOXES: usize = 1_000;
/// Bytes that are read of an item property association list.
const MAX_LIST_BYTES: u64 = 256 * 1024;

/// The properties in the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mp4Info {
    /// Rounded up.
    pub seconds: u32,
    /// Width and height in pixels, if there is video.
    pub frame: Option<(u32, u32)>,
}

/// Reads the properties. `None` if this is no such file.
pub fn read_info(file: &mut (impl Read + Seek)) -> io::Result<Option<Mp4Info>> {
    let length = file.seek(SeekFrom::End(0))?;
    let Some(movie) = boxes_named(file, 0..length, b"moov")?.pop() else {
        return Ok(None);
    };
    let Some(header) = boxes_named(file, movie.clone(), b"mvhd")?.pop() else {
        return Ok(None);
    };
    let Some(seconds) = parse_duration(&read_start(file, header)?) else {
        return Ok(None);
    };
    let mut frame = None;
    for track in boxes_named(file, movie, b"trak")? {
        for header in boxes_named(file, track, b"tkhd")? {
            frame = frame.or(parse_size(&read_start(file, header)?));
        }
    }
    Ok(Some(Mp4Info { seconds, frame }))
}

/// Whether there is a video track, whatever the header says about its dimensions.
pub fn has_video(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let length = file.seek(SeekFrom::End(0))?;
    for handler in find_boxes(file, 0..length, &[b"moov", b"trak", b"mdia", b"hdlr"])? {
        if read_start(file, handler)?.get(8..12) == Some(b"vide") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the codecs of the video and audio tracks, from their sample descriptions.
pub fn read_codecs(file: &mut (impl Read + Seek)) -> io::Result<Vec<[u8; 4]>> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut codecs = Vec::new();
    for track in find_boxes(file, 0..length, &[b"moov", b"trak", b"mdia"])? {
        let Some(handler) = boxes_named(file, track.clone(), b"hdlr")?.pop() else {
            continue;
        };
        let handler = read_start(file, handler)?;
        if !matches!(handler.get(8..12), Some(b"vide" | b"soun")) {
            continue;
        }
        for description in find_boxes(file, track, &[b"minf", b"stbl", b"stsd"])? {
            codecs.extend(
                read_start(file, description)?
                    .get(12..16)
                    .and_then(|codec| <[u8; 4]>::try_from(codec).ok()),
            );
        }
    }
    Ok(codecs)
}

/// Returns the dimensions of the primary image of a HEIC or AVIF file, with all its tiles and
/// without the padding of its last blocks (ISO/IEC 14496-12 and 23008-12). If the file does not
/// name one, returns those of the largest image.
pub fn primary_image_size(file: &mut (impl Read + Seek)) -> io::Result<Option<(u32, u32)>> {
    let length = file.seek(SeekFrom::End(0))?;
    let Some(meta) = boxes_named(file, 0..length, b"meta")?.pop() else {
        return Ok(None);
    };
    // A version and flags come first.
    let inside = meta.start.saturating_add(4).min(meta.end)..meta.end;
    let mut properties = Vec::new();
    for container in find_boxes(file, inside.clone(), &[b"iprp", b"ipco"])? {
        properties.extend(all_boxes(file, container)?);
        properties.truncate(MAX_BOXES);
    }
    let mut shown = None;
    for index in primary_properties(file, inside)? {
        let Some((name, at)) = index
            .checked_sub(1)
            .and_then(|index| properties.get(index))
            .cloned()
        else {
            continue;
        };
        match &name {
            b"ispe" => shown = parse_extents(&read_start(file, at)?).or(shown),
            b"clap" => shown = parse_crop(&read_start(file, at)?).or(shown),
            _ => {}
        }
    }
    let mut largest = None;
    for (_, at) in properties.into_iter().filter(|(name, _)| name == b"ispe") {
        let size = parse_extents(&read_start(file, at)?);
        largest = largest
            .max(size.map(|(width, height)| (u64::from(width) * u64::from(height), width, height)));
    }
    Ok(shown.or(largest.map(|(_, width, height)| (width, height))))
}

/// Returns the indexes of the primary image's properties among all properties, counted from 1, in
/// the order of their application.
fn primary_properties(file: &mut (impl Read + Seek), meta: Range<u64>) -> io::Result<Vec<usize>> {
    let Some(primary) = boxes_named(file, meta.clone(), b"pitm")?.pop() else {
        return Ok(Vec::new());
    };
    let primary = read_start(file, primary)?;
    let Some(primary) = read_number(&primary, 4, if primary.first() == Some(&0) { 2 } else { 4 })
    else {
        return Ok(Vec::new());
    };
    let mut indices = Vec::new();
    for associations in find_boxes(file, meta, &[b"iprp", b"ipma"])? {
        let associations = read_up_to(file, associations, MAX_LIST_BYTES)?;
        indices.extend(associated_properties(&associations, primary).unwrap_or_default());
    }
    Ok(indices)
}

/// Returns the property indexes of an item from an `ipma` box. `None` if there are none, or the box
/// is truncated.
fn associated_properties(ipma: &[u8], item: u32) -> Option<Vec<usize>> {
    let (version, is_wide) = (*ipma.first()?, ipma.get(3)? & 1 == 1);
    let (id, width) = (
        if version == 0 { 2 } else { 4 },
        if is_wide { 2 } else { 1 },
    );
    let mut at = 8;
    for _ in 0..read_u32(ipma, 4)? {
        let (found, count) = (read_number(ipma, at, id)?, usize::from(*ipma.get(at + id)?));
        at += id + 1;
        if found == item {
            // The first bit marks essential properties.
            let mask = (1_u32 << (8 * width - 1)) - 1;
            let indices =
                (0..count).map_while(|index| read_number(ipma, at + index * width, width));
            return Some(indices.map(|number| (number & mask) as usize).collect());
        }
        at += count * width;
    }
    None
}

fn parse_extents(ispe: &[u8]) -> Option<(u32, u32)> {
    read_u32(ispe, 4).zip(read_u32(ispe, 8))
}

/// Returns the dimensions of a cropped image, which are two fractions.
fn parse_crop(clap: &[u8]) -> Option<(u32, u32)> {
    let whole = |at: usize| {
        read_u32(clap, at)?
            .checked_div(read_u32(clap, at + 4)?)
            .filter(|side| *side > 0)
    };
    whole(0).zip(whole(8))
}

/// Returns the content of each box at the end of a path of names.
fn find_boxes(
    file: &mut (impl Read + Seek),
    range: Range<u64>,
    path: &[&[u8; 4]],
) -> io::Result<Vec<Range<u64>>> {
    let mut found = vec![range];
    for name in path {
        let mut inner = Vec::new();
        for range in found {
            inner.extend(boxes_named(file, range, name)?);
            inner.truncate(MAX_BOXES);
        }
        found = inner;
    }
    Ok(found)
}

/// Returns the content of each box of this name within a range.
fn boxes_named(
    file: &mut (impl Read + Seek),
    within: Range<u64>,
    name: &[u8; 4],
) -> io::Result<Vec<Range<u64>>> {
    let found = all_boxes(file, within)?
        .into_iter()
        .filter(|(kind, _)| kind == name);
    Ok(found.map(|(_, content)| content).collect())
}

/// Returns the name and content of each box within a range.
fn all_boxes(
    file: &mut (impl Read + Seek),
    within: Range<u64>,
) -> io::Result<Vec<([u8; 4], Range<u64>)>> {
    let mut found = Vec::new();
    let mut start = within.start;
    for _ in 0..MAX_BOXES {
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
        found.push((kind, start + head..end));
        start = end;
    }
    Ok(found)
}

/// Reads the beginning of a box; most of the boxes needed are no longer than that.
fn read_start(file: &mut (impl Read + Seek), at: Range<u64>) -> io::Result<Vec<u8>> {
    read_up_to(file, at, 256)
}

fn read_up_to(file: &mut (impl Read + Seek), at: Range<u64>, most: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at.start))?;
    let mut bytes = Vec::new();
    file.take(at.end.saturating_sub(at.start).min(most))
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse_duration(mvhd: &[u8]) -> Option<u32> {
    let (scale, duration) = match mvhd.first()? {
        0 => (read_u32(mvhd, 12)?, u64::from(read_u32(mvhd, 16)?)),
        _ => (
            read_u32(mvhd, 20)?,
            u64::from_be_bytes(mvhd.get(24..32)?.try_into().ok()?),
        ),
    };
    u32::try_from(
        duration.checked_div(u64::from(scale))? + u64::from(duration % u64::from(scale) > 0),
    )
    .ok()
}

/// Reads the dimensions, which are the last two numbers, with 16 fractional bits. Phones record
/// upright videos with frames on their side, and the matrix before the dimensions rotates them.
fn parse_size(tkhd: &[u8]) -> Option<(u32, u32)> {
    let at = if *tkhd.first()? == 0 { 76 } else { 88 };
    let (width, height) = (read_u32(tkhd, at)? >> 16, read_u32(tkhd, at + 4)? >> 16);
    let matrix = |index: usize| read_u32(tkhd, at - 36 + 4 * index);
    let is_turned = (matrix(0)?, matrix(4)?) == (0, 0) && matrix(1)? != 0 && matrix(3)? != 0;
    let (width, height) = if is_turned {
        (height, width)
    } else {
        (width, height)
    };
    (width > 0 && height > 0).then_some((width, height))
}

/// Reads a big-endian number of up to four bytes.
fn read_number(bytes: &[u8], at: usize, length: usize) -> Option<u32> {
    Some(
        bytes
            .get(at..at + length)?
            .iter()
            .fold(0, |number, byte| number << 8 | u32::from(*byte)),
    )
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use crate::media::probe::mp4::*;

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
        let tracks = [&sound, &picture]
            .map(|tkhd| boxed(b"trak", &boxed(b"tkhd", tkhd)))
            .concat();
        let movie = boxed(b"moov", &[boxed(b"mvhd", &mvhd), tracks].concat());
        let whole = [boxed(b"ftyp", b"isom"), boxed(b"mdat", &[0; 99]), movie].concat();
        let video = read_info(&mut io::Cursor::new(whole)).unwrap();
        assert_eq!(
            video,
            Some(Mp4Info {
                seconds: 6,
                frame: Some((640, 360))
            })
        );
        (picture[47], picture[55]) = (1, 1);
        assert_eq!(
            parse_size(&picture),
            Some((360, 640)),
            "it was filmed upright"
        );
    }

    fn numbers(numbers: &[u32]) -> Vec<u8> {
        numbers
            .iter()
            .flat_map(|number| number.to_be_bytes())
            .collect()
    }

    /// An image with these properties, some of which belong to item 258, the primary one.
    fn heif(
        properties: &[(&[u8; 4], &[u32])],
        of_primary: &[u16],
        version: u8,
        is_wide: bool,
    ) -> Vec<u8> {
        let item = |id: u16| {
            if version == 0 {
                id.to_be_bytes().to_vec()
            } else {
                u32::from(id).to_be_bytes().to_vec()
            }
        };
        let index = |index: u16| {
            if is_wide {
                (index | 0x8000).to_be_bytes().to_vec()
            } else {
                vec![index as u8 | 0x80]
            }
        };
        let entry = |id: u16, indices: &[u16]| {
            let indices: Vec<_> = indices.iter().flat_map(|it| index(*it)).collect();
            [
                item(id),
                vec![(indices.len() / if is_wide { 2 } else { 1 }) as u8],
                indices,
            ]
            .concat()
        };
        let ipma = [
            vec![version, 0, 0, u8::from(is_wide)],
            numbers(&[2]),
            entry(1, &[1, 1, 1]),
            entry(258, of_primary),
        ];
        let ipco: Vec<_> = properties
            .iter()
            .flat_map(|(name, content)| boxed(name, &numbers(content)))
            .collect();
        let iprp = boxed(
            b"iprp",
            &[boxed(b"ipco", &ipco), boxed(b"ipma", &ipma.concat())].concat(),
        );
        let pitm = boxed(b"pitm", &[vec![version, 0, 0, 0], item(258)].concat());
        let meta = boxed(
            b"meta",
            &[vec![0; 4], boxed(b"hdlr", &[0; 20]), pitm, iprp].concat(),
        );
        [boxed(b"ftyp", b"heic"), meta, boxed(b"mdat", &[0; 99])].concat()
    }

    /// A box name of four letters, and the box's numbers.
    type BoxProperty = (&'static [u8; 4], &'static [u32]);

    #[test]
    fn a_picture_is_as_large_as_what_is_shown_of_it() {
        const TILE: BoxProperty = (b"ispe", &[0, 512, 512]);
        const WHOLE: BoxProperty = (b"ispe", &[0, 802, 604]);
        const LARGER: BoxProperty = (b"ispe", &[0, 9_000, 9_000]);
        const CLIP: BoxProperty = (b"clap", &[801, 1, 1_206, 2, 0, 1, 0, 1]);
        const TURNED: BoxProperty = (b"irot", &[0]);
        type ShownCase<'a> = (&'a [BoxProperty], &'a [u16], (u32, u32));
        let list: [ShownCase<'_>; 6] = [
            (&[TILE, TURNED, WHOLE], &[3, 2], (802, 604)),
            (&[TILE, TURNED, WHOLE, CLIP], &[3, 2, 4], (801, 603)),
            // Properties of other images do not matter.
            (&[LARGER, WHOLE, CLIP], &[2], (802, 604)),
            (&[LARGER, WHOLE, CLIP], &[2, 3], (801, 603)),
            // There is no primary image, or its dimensions are missing.
            (&[TILE, WHOLE, CLIP], &[], (802, 604)),
            (&[TILE, WHOLE, CLIP], &[3, 9, 0], (801, 603)),
        ];
        for (properties, of_primary, size) in list {
            for (version, is_wide) in [(0, false), (0, true), (1, false), (1, true)] {
                let file = heif(properties, of_primary, version, is_wide);
                let found = primary_image_size(&mut io::Cursor::new(&file)).unwrap();
                assert_eq!(found, Some(size), "{of_primary:?} {version} {is_wide}");
                for length in 0..file.len() {
                    let _ = primary_image_size(&mut io::Cursor::new(&file[..length]));
                }
            }
        }
    }

    #[test]
    fn a_file_that_lies_about_itself_is_read_to_an_end() {
        for bytes in [
            &[0; 64][..],
            b"\0\0\0\x01moov\0\0\0\0\0\0\0\0",
            b"\xff\xff\xff\xffmoov",
            b"\0\0\0\x08moov",
        ] {
            assert_eq!(read_info(&mut io::Cursor::new(bytes)).ok().flatten(), None);
        }
    }
}
