//! PDFs as programs write them, and as nobody should.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::syntax::PdfParser;
use super::{READ_BUDGET, count_pages};

/// A PDF under construction, and the offsets of its objects.
struct PdfDraft {
    bytes: Vec<u8>,
    places: Vec<(u32, usize)>,
}

impl PdfDraft {
    fn new() -> Self {
        Self {
            bytes: b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec(),
            places: Vec::new(),
        }
    }

    fn object(mut self, number: u32, content: impl AsRef<[u8]>) -> Self {
        self.places.push((number, self.bytes.len()));
        self.bytes.extend(
            [
                format!("{number} 0 obj\n").as_bytes(),
                content.as_ref(),
                b"\nendobj\n",
            ]
            .concat(),
        );
        self
    }

    /// Adds the catalog and the page tree of a document with so many pages.
    fn of_pages(self, count: u32) -> Self {
        let kids: String = (0..count)
            .map(|page| format!("{} 0 R ", page + 100))
            .collect();
        self.object(
            1,
            "<</Type/Catalog /Names (a \\) (b) c) /Pages 2 0 R>> % the root",
        )
        .object(
            2,
            format!("<< /Type /Pages /Kids [{kids}] /Box [0 -1.5 .5 <AB>] /Count {count} >>"),
        )
    }

    /// Adds a table of all objects since the last one, with `more` in its trailer. Returns its
    /// offset.
    fn table(&mut self, more: &str) -> usize {
        let at = self.bytes.len();
        self.bytes.extend(b"xref\n0 1\n0000000000 65535 f \n");
        for (number, place) in std::mem::take(&mut self.places) {
            self.bytes
                .extend(format!("{number} 1\n{place:010} 00000 n \n").into_bytes());
        }
        self.bytes.extend(
            format!("trailer\n<</Size 9/Root 1 0 R{more}>>\nstartxref\n{at}\n%%EOF\n").into_bytes(),
        );
        at
    }
}

fn stream(head: &str, content: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(content).unwrap();
    let packed = packed.finish().unwrap();
    let head = format!(
        "<<{head}/Filter/FlateDecode/Length {}>>\nstream\r\n",
        packed.len()
    );
    [head.as_bytes(), &packed, b"\nendstream"].concat()
}

fn counted(bytes: &[u8]) -> Option<u32> {
    count_pages(&mut Cursor::new(bytes)).unwrap()
}

#[test]
fn the_page_tree_says_how_many_pages_there_are() {
    for count in [1, 3, 20_000] {
        let mut draft = PdfDraft::new().of_pages(count);
        draft.table("");
        assert_eq!(counted(&draft.bytes), Some(count));
        // Some programs put data before or after the file.
        assert_eq!(
            counted(&[b"junk\n", draft.bytes.as_slice(), &[b'\n'; 500]].concat()),
            Some(count)
        );
    }
}

#[test]
fn the_newest_state_of_a_file_counts() {
    let mut draft = PdfDraft::new().of_pages(3);
    let first = draft.table("");
    let mut draft = draft
        .object(2, "<</Type/Pages/Kids[]/Count 8 0 R>>")
        .object(8, "4");
    draft.table(&format!("/Prev {first}"));
    assert_eq!(counted(&draft.bytes), Some(4));
}

/// A PDF as since version 1.5: tables are streams, and objects are packed into others.
fn packed(count: u32, predictor: bool) -> Vec<u8> {
    let root = "<</Type/Catalog/Pages 2 0 R>>";
    let tree = format!("<</Type/Pages/Kids[3 0 R]/Count {count}>>");
    let head = format!("1 0 2 {} ", root.len() + 1);
    let objects = format!("/Type/ObjStm/N 2/First {}", head.len());
    let mut draft = PdfDraft::new().object(
        5,
        stream(&objects, format!("{head}{root} {tree}").as_bytes()),
    );
    let (place, at) = (draft.places[0].1 as u16, draft.bytes.len());
    let [high, low] = place.to_be_bytes();
    let rows = [[2, 0, 5, 0], [2, 0, 5, 1], [1, high, low, 0]];
    let mut above = [0u8; 4];
    let mut content = Vec::new();
    for row in rows {
        match predictor {
            true => content.extend(
                [2].into_iter()
                    .chain((0..4).map(|index| row[index].wrapping_sub(above[index]))),
            ),
            false => content.extend(row),
        }
        above = row;
    }
    let predictor = if predictor {
        "/DecodeParms<</Predictor 12/Columns 4>>"
    } else {
        ""
    };
    let dict = format!("/Type/XRef/W[1 2 1]/Index[1 2 5 1]/Size 7/Root 1 0 R{predictor}");
    draft = draft.object(6, stream(&dict, &content));
    draft
        .bytes
        .extend(format!("startxref\n{at}\n%%EOF").into_bytes());
    draft.bytes
}

#[test]
fn tables_and_objects_may_be_packed() {
    assert_eq!(
        (counted(&packed(7, false)), counted(&packed(7, true))),
        (Some(7), Some(7))
    );
}

#[test]
fn a_file_that_lies_about_itself_is_read_to_an_end() {
    let mut round = PdfDraft::new()
        .object(1, "<</Pages 1 0 R>>")
        .object(2, "2 0 R");
    let at = round.table("");
    round.table(&format!("/Prev {at}/XRefStm {at}"));
    let ends = |text: &str| [b"%PDF-1.4\n", text.as_bytes()].concat();
    let deep = format!("<</Root {}", "[".repeat(100_000));
    let bomb = stream(
        "/W[1 2 1]/Size 9999999/Root 1 0 R",
        &vec![0; 200 * 1024 * 1024],
    );
    let bomb = [b"%PDF-1.5\n5 0 obj\n", bomb.as_slice(), b"\nstartxref\n9\n"].concat();
    let endless = format!("xref\n{}", "0 0\n".repeat(200_000));
    for bytes in [
        round.bytes,
        bomb,
        ends("startxref\n9\n"),
        ends("startxref\n18446744073709551615\n"),
        ends(&format!("trailer{deep}\nstartxref\n9\n")),
        ends(&format!("xref\ntrailer{deep}\nstartxref\n9\n")),
        ends(&format!("{endless}\nstartxref\n9\n")),
        ends("xref\n0 18446744073709551615\nstartxref\n9\n"),
        ends("5 0 obj<</W[8 8 8]/Index[0 18446744073709551615]/Root 1 0 R>>stream\nstartxref\n9\n"),
        b"%PDF-".to_vec(),
        Vec::new(),
    ] {
        assert_eq!(counted(&bytes), None);
    }
    // Truncated anywhere, or with any byte changed, it must not cause a panic.
    let whole = packed(7, false);
    for at in 0..whole.len() {
        let _ = counted(&whole[..at]);
        let mut changed = whole.clone();
        changed[at] ^= 0x11;
        let _ = counted(&changed);
    }
}

/// A file that counts the bytes read from it.
struct CountingFile(Cursor<Vec<u8>>, u64);

impl Read for CountingFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1 += read as u64;
        Ok(read)
    }
}

impl Seek for CountingFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn what_becomes_nothing_is_not_read_without_end() {
    // A table of empty blocks only (RFC 1951, 3.2.4), which refers to itself as the previous one.
    let blocks = [0, 0, 0, 0xff, 0xff].repeat(1_500_000);
    let empty = [
        &[0x78, 0x9c],
        blocks.as_slice(),
        &[1, 0, 0, 0xff, 0xff, 0, 0, 0, 1],
    ];
    let head =
        b"%PDF-1.5\n5 0 obj\n<</W[1 2 1]/Size 0/Root 1 0 R/Prev 9/Filter/FlateDecode>>stream\n";
    let bytes = [
        head.as_slice(),
        &empty.concat(),
        b"\nendstream\nstartxref\n9\n",
    ]
    .concat();
    let mut file = CountingFile(Cursor::new(bytes), 0);
    assert_eq!(count_pages(&mut file).unwrap(), None);
    assert!(
        (READ_BUDGET / 2..READ_BUDGET * 2).contains(&file.1),
        "{} bytes were read",
        file.1
    );
}

#[test]
fn a_list_is_not_read_without_end() {
    let list =
        |count: usize| PdfParser::new(format!("[{}]", "/a".repeat(count)).as_bytes()).parse_value();
    assert!(list(90_000).is_some() && list(100_000).is_none());
}
