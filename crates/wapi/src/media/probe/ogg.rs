//! Duration of Ogg files with Opus (RFC 7845).

use std::io::{self, Read, Seek, SeekFrom};

/// The sample rate of all Opus positions, whatever was recorded.
const SAMPLE_RATE: u64 = 48_000;
/// A page has at most 65,307 bytes, so the last one begins within this many.
const TAIL_BYTES: u64 = 65_536;
/// Offset of a page's position: the number of samples up to its end.
const POSITION_OFFSET: usize = 6;

/// Returns the duration in seconds, rounded up; `None` if this is not Ogg with Opus.
pub fn read_duration(file: &mut (impl Read + Seek)) -> io::Result<Option<u32>> {
    let mut head = Vec::new();
    file.by_ref().take(TAIL_BYTES).read_to_end(&mut head)?;
    let Some(opus) = find_bytes(&head, b"OpusHead") else {
        return Ok(None);
    };
    let skipped =
        read_array::<2>(&head, opus + 10).map_or(0, |bytes| u64::from(u16::from_le_bytes(bytes)));
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    let last = tail.windows(4).rposition(|window| window == b"OggS");
    let samples = last
        .and_then(|last| read_array::<8>(&tail, last + POSITION_OFFSET))
        .map(u64::from_le_bytes);
    // All bits set: no packet ends on this page.
    let samples = samples
        .filter(|samples| *samples != u64::MAX)
        .map(|samples| samples.saturating_sub(skipped));
    Ok(samples.and_then(|samples| u32::try_from(samples.div_ceil(SAMPLE_RATE)).ok()))
}

fn find_bytes(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn read_array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use crate::media::probe::ogg::*;

    fn page(position: u64, content: &[u8]) -> Vec<u8> {
        [b"OggS\0\0", &position.to_le_bytes()[..], &[0; 13], content].concat()
    }

    #[test]
    fn the_last_page_says_how_long_it_is() {
        let head = [b"OpusHead\x01\x01", &312u16.to_le_bytes()[..], &[0; 7]].concat();
        let whole = [
            page(0, &head),
            page(48_000, &[1; 70_000]),
            page(48_000 * 7 + 312, b"end"),
        ]
        .concat();
        assert_eq!(read_duration(&mut io::Cursor::new(whole)).unwrap(), Some(7));
        let vorbis = page(0, b"\x01vorbis");
        assert_eq!(read_duration(&mut io::Cursor::new(vorbis)).unwrap(), None);
    }

    #[test]
    fn lies_about_the_length_are_survived() {
        let head = [b"OpusHead\x01\x01", &312u16.to_le_bytes()[..], &[0; 7]].concat();
        let claims = [
            // Less than a millisecond.
            (313, Some(1)),
            // Less than the decoder skips.
            (1, Some(0)),
            (u64::MAX - 1, None),
            (u64::MAX, None),
        ];
        for (position, seconds) in claims {
            let whole = [page(0, &head), page(position, b"end")].concat();
            let found = read_duration(&mut io::Cursor::new(whole)).unwrap();
            assert_eq!(found, seconds, "{position}");
        }
    }
}
