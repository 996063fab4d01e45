//! Page count of a PDF (ISO 32000-1, 7.5), from the root of its page tree. Only the objects on the
//! way there are read, never the whole file, and never more than the limits below, whatever the
//! file claims.

mod syntax;

use std::io::{self, Read, Seek, SeekFrom};

use flate2::read::ZlibDecoder;
use syntax::{DictAccess, PdfDict, PdfParser, PdfValue};

/// Bytes at the start and the end in which the file's header and the offset of its last table are
/// searched.
const HEAD_BYTES: u64 = 1024;
const TAIL_BYTES: u64 = 2048;
/// The longest piece of the file that holds one object, in bytes. The list of pages may precede
/// their number.
const MAX_OBJECT_BYTES: u64 = 512 * 1024;
/// Most objects are shorter than this.
const SHORT_OBJECT_BYTES: u64 = 4096;
/// The longest inflated stream, in bytes: a table of a million objects.
const MAX_STREAM_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes read and inflated in total.
const READ_BUDGET: u64 = 64 * 1024 * 1024;
/// Maximum number of consecutive tables, each an earlier state of the file; of parts per table; and
/// of references in a chain.
const MAX_TABLES: usize = 64;
const MAX_PARTS: usize = 10_000;
const MAX_STEPS: usize = 8;
/// Exact length of a table's entries, in bytes.
const ENTRY_BYTES: u64 = 20;

/// Returns the number of pages; `None` if this is no PDF, or a damaged one.
pub fn count_pages(file: &mut (impl Read + Seek)) -> io::Result<Option<u32>> {
    let size = file.seek(SeekFrom::End(0))?;
    let mut pdf = PdfReader {
        file,
        size,
        start: 0,
        remaining: READ_BUDGET,
    };
    Ok(pdf.count_pages().ok().flatten().filter(|pages| *pages > 0))
}

struct PdfReader<'a, F> {
    file: &'a mut F,
    size: u64,
    /// Offset of the actual file: mail programs and printers put data before it.
    start: u64,
    /// Remaining budget.
    remaining: u64,
}

/// The location of an object.
enum ObjectLocation {
    Offset(u64),
    /// In the object stream of this number.
    InStream(u32),
}

/// A cross-reference table. Its trailer may refer to a stream with more entries, and to an earlier
/// table.
struct XrefTable {
    trailer: PdfDict,
    /// The rows of a cross-reference stream, in place of entries in the file.
    rows: Option<Vec<u8>>,
    at: u64,
}

impl<F: Read + Seek> PdfReader<'_, F> {
    fn count_pages(&mut self) -> io::Result<Option<u32>> {
        let head = self.read_piece(0, HEAD_BYTES)?;
        let Some(start) = head.windows(5).position(|word| word == b"%PDF-") else {
            return Ok(None);
        };
        self.start = start as u64;
        let whole = self.size - self.start;
        let tail = self.read_piece(whole.saturating_sub(TAIL_BYTES), TAIL_BYTES)?;
        let word = b"startxref";
        let Some(at) = tail.windows(word.len()).rposition(|found| found == word) else {
            return Ok(None);
        };
        let Some(first) = PdfParser::new(&tail[at + word.len()..]).parse_number() else {
            return Ok(None);
        };
        let Some(trailer) = self.read_table(first)?.map(|table| table.trailer) else {
            return Ok(None);
        };
        let Some(catalog) = self.resolve_value(first, trailer.get("Root"))? else {
            return Ok(None);
        };
        let Some(tree) = self.resolve_value(first, catalog.get("Pages"))? else {
            return Ok(None);
        };
        Ok(self
            .resolve_value(first, tree.get("Count"))?
            .and_then(|count| count.as_number())
            .and_then(|n| u32::try_from(n).ok()))
    }

    /// Resolves a value through references.
    fn resolve_value(
        &mut self,
        first: u64,
        value: Option<&PdfValue>,
    ) -> io::Result<Option<PdfValue>> {
        let mut value = value.cloned();
        for _ in 0..MAX_STEPS {
            let Some(PdfValue::Reference(number)) = value else {
                return Ok(value);
            };
            value = self.read_object(first, number)?;
        }
        Ok(None)
    }

    fn read_object(&mut self, first: u64, number: u32) -> io::Result<Option<PdfValue>> {
        match self.locate_object(first, number)? {
            Some(ObjectLocation::Offset(at)) => Ok(self
                .read_object_at(at)?
                .and_then(|(found, value, _)| (found == number).then_some(value))),
            Some(ObjectLocation::InStream(stream)) => {
                let Some(ObjectLocation::Offset(at)) = self.locate_object(first, stream)? else {
                    return Ok(None);
                };
                let Some((_, PdfValue::Dict(dict), Some(bytes))) = self.read_object_at(at)? else {
                    return Ok(None);
                };
                Ok(self
                    .inflate_stream(&dict, bytes)?
                    .and_then(|bytes| read_packed(&dict, &bytes, number)))
            }
            None => Ok(None),
        }
    }

    /// Reads an object at an offset: its number, its value, and the offset of its stream, if it has
    /// one.
    fn read_object_at(&mut self, at: u64) -> io::Result<Option<(u32, PdfValue, Option<u64>)>> {
        self.parse_at(at, |syntax| {
            let (number, value) = syntax.parse_object()?;
            Some((
                number,
                value,
                syntax.stream_offset().map(|offset| at + offset as u64),
            ))
        })
    }

    /// Reads something that is usually short.
    fn parse_at<T>(
        &mut self,
        at: u64,
        read: impl Fn(&mut PdfParser) -> Option<T>,
    ) -> io::Result<Option<T>> {
        for limit in [SHORT_OBJECT_BYTES, MAX_OBJECT_BYTES] {
            let piece = self.read_piece(at, limit)?;
            let mut syntax = PdfParser::new(&piece);
            let found = read(&mut syntax);
            // A value near the end of the piece may continue after it.
            let is_whole = (piece.len() as u64) < limit || syntax.offset() + 32 < piece.len();
            if is_whole
                && (found.is_some() || limit == MAX_OBJECT_BYTES || (piece.len() as u64) < limit)
            {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Finds an object in the newest table that contains it.
    fn locate_object(&mut self, first: u64, number: u32) -> io::Result<Option<ObjectLocation>> {
        let mut waiting = vec![first];
        for _ in 0..MAX_TABLES {
            let Some(at) = waiting.pop() else { break };
            let Some(table) = self.read_table(at)? else {
                return Ok(None);
            };
            let found = match &table.rows {
                Some(rows) => find_row(&table.trailer, rows, number),
                None => self.find_entry(table.at, number)?,
            };
            if found.is_some() {
                return Ok(found);
            }
            // Entries hidden from programs older than 2003 are in a stream beside the table.
            let next = ["Prev", "XRefStm"]
                .map(|name| table.trailer.get(name).and_then(PdfValue::as_number));
            waiting.extend(next.into_iter().flatten());
        }
        Ok(None)
    }

    fn read_table(&mut self, at: u64) -> io::Result<Option<XrefTable>> {
        let piece = self.read_piece(at, 64)?;
        let mut syntax = PdfParser::new(&piece);
        if !syntax.take_word(b"xref") {
            let Some((_, PdfValue::Dict(trailer), Some(bytes))) = self.read_object_at(at)? else {
                return Ok(None);
            };
            let rows = self.inflate_stream(&trailer, bytes)?;
            return Ok(rows.map(|rows| XrefTable {
                trailer,
                rows: Some(rows),
                at,
            }));
        }
        let mut end = at + syntax.offset() as u64;
        for _ in 0..MAX_PARTS {
            let piece = self.read_piece(end, 64)?;
            let mut syntax = PdfParser::new(&piece);
            if syntax.take_word(b"trailer") {
                let trailer = self.parse_at(end, |syntax| {
                    syntax.take_word(b"trailer").then(|| syntax.parse_value())?
                })?;
                let Some(PdfValue::Dict(trailer)) = trailer else {
                    return Ok(None);
                };
                return Ok(Some(XrefTable {
                    trailer,
                    rows: None,
                    at,
                }));
            }
            let Some((_, count, offset)) = parse_part(&mut syntax) else {
                return Ok(None);
            };
            end = end
                .saturating_add(offset)
                .saturating_add(count.saturating_mul(ENTRY_BYTES));
        }
        Ok(None)
    }

    /// Looks up an object in the table at `at`.
    fn find_entry(&mut self, at: u64, number: u32) -> io::Result<Option<ObjectLocation>> {
        let mut end = at;
        for index in 0..MAX_PARTS {
            let piece = self.read_piece(end, 64)?;
            let mut syntax = PdfParser::new(&piece);
            if index == 0 {
                syntax.take_word(b"xref");
            }
            let Some((first, count, offset)) = parse_part(&mut syntax) else {
                return Ok(None);
            };
            end = end.saturating_add(offset);
            if let Some(index) = u64::from(number)
                .checked_sub(first)
                .filter(|index| *index < count)
            {
                let entry = self.read_piece(
                    end.saturating_add(index.saturating_mul(ENTRY_BYTES)),
                    ENTRY_BYTES,
                )?;
                let is_used = entry.get(17) == Some(&b'n');
                let location = PdfParser::new(&entry)
                    .parse_number()
                    .map(ObjectLocation::Offset);
                return Ok(location.filter(|_| is_used));
            }
            end = end.saturating_add(count.saturating_mul(ENTRY_BYTES));
        }
        Ok(None)
    }

    /// Decodes a stream; `None` for filters that tables and objects do not use.
    fn inflate_stream(&mut self, dict: &PdfDict, at: u64) -> io::Result<Option<Vec<u8>>> {
        let filter = match dict.get("Filter") {
            None => None,
            Some(PdfValue::Array(filters)) if filters.len() > 1 => return Ok(None),
            Some(PdfValue::Array(filters)) => filters.first().and_then(PdfValue::as_name),
            Some(filter) => filter.as_name(),
        };
        let limit = self.remaining.min(MAX_STREAM_BYTES);
        self.file
            .seek(SeekFrom::Start(self.start.saturating_add(at)))?;
        let mut bytes = Vec::new();
        match filter {
            Some(b"FlateDecode") => {
                let mut packed = ZlibDecoder::new((&mut *self.file).take(limit));
                (&mut packed).take(limit).read_to_end(&mut bytes)?;
                // Much input may become no output, and little input much output.
                let read = packed.total_in();
                self.spend_budget(read)?;
            }
            None => {
                let length = dict
                    .get("Length")
                    .and_then(PdfValue::as_number)
                    .unwrap_or_default();
                (&mut *self.file)
                    .take(length.min(limit))
                    .read_to_end(&mut bytes)?;
            }
            _ => return Ok(None),
        }
        self.spend_budget(bytes.len() as u64)?;
        Ok(undo_prediction(dict, bytes))
    }

    /// Reads up to `limit` bytes from an offset.
    fn read_piece(&mut self, at: u64, limit: u64) -> io::Result<Vec<u8>> {
        self.file
            .seek(SeekFrom::Start(self.start.saturating_add(at)))?;
        let mut piece = Vec::new();
        (&mut *self.file).take(limit).read_to_end(&mut piece)?;
        self.spend_budget(piece.len() as u64)?;
        Ok(piece)
    }

    fn spend_budget(&mut self, bytes: u64) -> io::Result<()> {
        self.remaining = self
            .remaining
            .checked_sub(bytes.max(1))
            .ok_or_else(|| io::Error::other("it leads nowhere"))?;
        Ok(())
    }
}

/// Reads the header of a table's part: its first number, its count, and the offset of its entries.
fn parse_part(syntax: &mut PdfParser) -> Option<(u64, u64, u64)> {
    let (first, count) = (syntax.parse_number()?, syntax.parse_number()?);
    syntax.skip_blanks();
    Some((first, count, syntax.offset() as u64))
}

/// Looks up an object in the rows of a cross-reference stream.
fn find_row(dict: &PdfDict, rows: &[u8], number: u32) -> Option<ObjectLocation> {
    let widths: Vec<usize> = dict
        .get("W")?
        .as_numbers()?
        .into_iter()
        .map(usize::try_from)
        .collect::<Result<_, _>>()
        .ok()?;
    let &[kind, second, third] = widths.as_slice() else {
        return None;
    };
    if widths.iter().any(|width| *width > 8) {
        return None;
    }
    let size = dict
        .get("Size")
        .and_then(PdfValue::as_number)
        .unwrap_or_default();
    let parts = dict
        .get("Index")
        .and_then(PdfValue::as_numbers)
        .unwrap_or_else(|| vec![0, size]);
    let mut before = 0u64;
    for part in parts.chunks_exact(2) {
        let Some(index) = u64::from(number)
            .checked_sub(part[0])
            .filter(|index| *index < part[1])
        else {
            before = before.saturating_add(part[1]);
            continue;
        };
        let width = kind + second + third;
        let at = usize::try_from(before.saturating_add(index))
            .ok()?
            .checked_mul(width)?;
        let row = rows.get(at..at.checked_add(width)?)?;
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte))
        };
        return match if kind == 0 { 1 } else { number(&row[..kind]) } {
            1 => Some(ObjectLocation::Offset(number(&row[kind..kind + second]))),
            2 => Some(ObjectLocation::InStream(
                u32::try_from(number(&row[kind..kind + second])).ok()?,
            )),
            _ => None,
        };
    }
    None
}

/// Reads an object from an object stream.
fn read_packed(dict: &PdfDict, bytes: &[u8], number: u32) -> Option<PdfValue> {
    let first = usize::try_from(dict.get("First")?.as_number()?).ok()?;
    let mut head = PdfParser::new(bytes.get(..first)?);
    while let (Some(found), Some(offset)) = (head.parse_number(), head.parse_number()) {
        if found == u64::from(number) {
            let at = first.checked_add(usize::try_from(offset).ok()?)?;
            return PdfParser::new(bytes.get(at..)?).parse_value();
        }
    }
    None
}

/// Reverses PNG prediction, which most tables use.
fn undo_prediction(dict: &PdfDict, bytes: Vec<u8>) -> Option<Vec<u8>> {
    let parameters = match dict.get("DecodeParms") {
        Some(PdfValue::Array(parameters)) => parameters.first(),
        parameters => parameters,
    };
    let number = |name| {
        parameters
            .and_then(|parameters| parameters.get(name))
            .and_then(PdfValue::as_number)
    };
    match number("Predictor").unwrap_or(1) {
        1 => return Some(bytes),
        10..=15 => {}
        _ => return None,
    }
    let columns = usize::try_from(number("Columns").unwrap_or(1))
        .ok()
        .filter(|columns| (1..=64).contains(columns))?;
    let mut above = vec![0u8; columns];
    let mut plain = Vec::with_capacity(bytes.len());
    for row in bytes.chunks_exact(columns + 1) {
        let mut remaining = 0u8;
        for (index, byte) in row[1..].iter().enumerate() {
            let guess = match row[0] {
                0 => 0,
                1 => remaining,
                2 => above[index],
                // Other predictors are not used by any program that writes tables.
                _ => return None,
            };
            remaining = byte.wrapping_add(guess);
            above[index] = remaining;
        }
        plain.extend_from_slice(&above);
    }
    Some(plain)
}

#[cfg(test)]
mod tests;
