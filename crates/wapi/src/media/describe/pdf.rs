//! Page count of a PDF (ISO 32000-1, 7.5), from the root of its page tree. Only the objects on the
//! way there are read, never the whole file, and never more than the limits below, whatever the
//! file claims.

mod syntax;

use std::io::{self, Read, Seek, SeekFrom};

use flate2::read::ZlibDecoder;

use syntax::{Dict, Members, Syntax, Value};

/// Bytes at the start and the end in which the file's header and the offset of its last table are
/// searched.
const HEAD: u64 = 1024;
const TAIL: u64 = 2048;
/// The longest piece of the file that holds one object, in bytes. The list of pages may precede
/// their number.
const OBJECT: u64 = 512 * 1024;
/// Most objects are shorter than this.
const SHORT: u64 = 4096;
/// The longest inflated stream, in bytes: a table of a million objects.
const STREAM: u64 = 8 * 1024 * 1024;
/// Bytes read and inflated in total.
const BUDGET: u64 = 64 * 1024 * 1024;
/// Maximum number of consecutive tables, each an earlier state of the file; of parts per table; and
/// of references in a chain.
const MOST_TABLES: usize = 64;
const MOST_PARTS: usize = 10_000;
const MOST_STEPS: usize = 8;
/// Exact length of a table's entries, in bytes.
const ENTRY: u64 = 20;

/// Returns the number of pages; `None` if this is no PDF, or a damaged one.
pub fn pages(file: &mut (impl Read + Seek)) -> io::Result<Option<u32>> {
    let size = file.seek(SeekFrom::End(0))?;
    let mut pdf = Pdf {
        file,
        size,
        start: 0,
        left: BUDGET,
    };
    Ok(pdf.pages().ok().flatten().filter(|pages| *pages > 0))
}

struct Pdf<'a, F> {
    file: &'a mut F,
    size: u64,
    /// Offset of the actual file: mail programs and printers put data before it.
    start: u64,
    /// Remaining budget.
    left: u64,
}

/// The location of an object.
enum Place {
    At(u64),
    /// In the object stream of this number.
    Within(u32),
}

/// A cross-reference table. Its trailer may refer to a stream with more entries, and to an earlier
/// table.
struct Table {
    trailer: Dict,
    /// The rows of a cross-reference stream, in place of entries in the file.
    rows: Option<Vec<u8>>,
    at: u64,
}

impl<F: Read + Seek> Pdf<'_, F> {
    fn pages(&mut self) -> io::Result<Option<u32>> {
        let head = self.piece(0, HEAD)?;
        let Some(start) = head.windows(5).position(|word| word == b"%PDF-") else {
            return Ok(None);
        };
        self.start = start as u64;
        let whole = self.size - self.start;
        let tail = self.piece(whole.saturating_sub(TAIL), TAIL)?;
        let word = b"startxref";
        let Some(at) = tail.windows(word.len()).rposition(|found| found == word) else {
            return Ok(None);
        };
        let Some(first) = Syntax::new(&tail[at + word.len()..]).number() else {
            return Ok(None);
        };
        let Some(trailer) = self.table(first)?.map(|table| table.trailer) else {
            return Ok(None);
        };
        let Some(catalog) = self.followed(first, trailer.get("Root"))? else {
            return Ok(None);
        };
        let Some(tree) = self.followed(first, catalog.get("Pages"))? else {
            return Ok(None);
        };
        Ok(self
            .followed(first, tree.get("Count"))?
            .and_then(|count| count.number())
            .and_then(|n| u32::try_from(n).ok()))
    }

    /// Resolves a value through references.
    fn followed(&mut self, first: u64, value: Option<&Value>) -> io::Result<Option<Value>> {
        let mut value = value.cloned();
        for _ in 0..MOST_STEPS {
            let Some(Value::Reference(number)) = value else {
                return Ok(value);
            };
            value = self.object(first, number)?;
        }
        Ok(None)
    }

    fn object(&mut self, first: u64, number: u32) -> io::Result<Option<Value>> {
        match self.place(first, number)? {
            Some(Place::At(at)) => Ok(self
                .at(at)?
                .and_then(|(found, value, _)| (found == number).then_some(value))),
            Some(Place::Within(stream)) => {
                let Some(Place::At(at)) = self.place(first, stream)? else {
                    return Ok(None);
                };
                let Some((_, Value::Dict(dict), Some(bytes))) = self.at(at)? else {
                    return Ok(None);
                };
                Ok(self
                    .inflated(&dict, bytes)?
                    .and_then(|bytes| packed(&dict, &bytes, number)))
            }
            None => Ok(None),
        }
    }

    /// Reads an object at an offset: its number, its value, and the offset of its stream, if it has
    /// one.
    fn at(&mut self, at: u64) -> io::Result<Option<(u32, Value, Option<u64>)>> {
        self.read_at(at, |syntax| {
            let (number, value) = syntax.object()?;
            Some((
                number,
                value,
                syntax.stream().map(|offset| at + offset as u64),
            ))
        })
    }

    /// Reads something that is usually short.
    fn read_at<T>(
        &mut self,
        at: u64,
        read: impl Fn(&mut Syntax) -> Option<T>,
    ) -> io::Result<Option<T>> {
        for most in [SHORT, OBJECT] {
            let piece = self.piece(at, most)?;
            let mut syntax = Syntax::new(&piece);
            let found = read(&mut syntax);
            // A value near the end of the piece may continue after it.
            let is_whole = (piece.len() as u64) < most || syntax.offset() + 32 < piece.len();
            if is_whole && (found.is_some() || most == OBJECT || (piece.len() as u64) < most) {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Finds an object in the newest table that contains it.
    fn place(&mut self, first: u64, number: u32) -> io::Result<Option<Place>> {
        let mut waiting = vec![first];
        for _ in 0..MOST_TABLES {
            let Some(at) = waiting.pop() else { break };
            let Some(table) = self.table(at)? else {
                return Ok(None);
            };
            let found = match &table.rows {
                Some(rows) => row(&table.trailer, rows, number),
                None => self.entry(table.at, number)?,
            };
            if found.is_some() {
                return Ok(found);
            }
            // Entries hidden from programs older than 2003 are in a stream beside the table.
            let next =
                ["Prev", "XRefStm"].map(|name| table.trailer.get(name).and_then(Value::number));
            waiting.extend(next.into_iter().flatten());
        }
        Ok(None)
    }

    fn table(&mut self, at: u64) -> io::Result<Option<Table>> {
        let piece = self.piece(at, 64)?;
        let mut syntax = Syntax::new(&piece);
        if !syntax.word(b"xref") {
            let Some((_, Value::Dict(trailer), Some(bytes))) = self.at(at)? else {
                return Ok(None);
            };
            let rows = self.inflated(&trailer, bytes)?;
            return Ok(rows.map(|rows| Table {
                trailer,
                rows: Some(rows),
                at,
            }));
        }
        let mut end = at + syntax.offset() as u64;
        for _ in 0..MOST_PARTS {
            let piece = self.piece(end, 64)?;
            let mut syntax = Syntax::new(&piece);
            if syntax.word(b"trailer") {
                let trailer = self.read_at(end, |syntax| {
                    syntax.word(b"trailer").then(|| syntax.value())?
                })?;
                let Some(Value::Dict(trailer)) = trailer else {
                    return Ok(None);
                };
                return Ok(Some(Table {
                    trailer,
                    rows: None,
                    at,
                }));
            }
            let Some((_, count, offset)) = part(&mut syntax) else {
                return Ok(None);
            };
            end = end
                .saturating_add(offset)
                .saturating_add(count.saturating_mul(ENTRY));
        }
        Ok(None)
    }

    /// Looks up an object in the table at `at`.
    fn entry(&mut self, at: u64, number: u32) -> io::Result<Option<Place>> {
        let mut end = at;
        for index in 0..MOST_PARTS {
            let piece = self.piece(end, 64)?;
            let mut syntax = Syntax::new(&piece);
            if index == 0 {
                syntax.word(b"xref");
            }
            let Some((first, count, offset)) = part(&mut syntax) else {
                return Ok(None);
            };
            end = end.saturating_add(offset);
            if let Some(index) = u64::from(number)
                .checked_sub(first)
                .filter(|index| *index < count)
            {
                let entry = self.piece(end.saturating_add(index.saturating_mul(ENTRY)), ENTRY)?;
                let is_used = entry.get(17) == Some(&b'n');
                let place = Syntax::new(&entry).number().map(Place::At);
                return Ok(place.filter(|_| is_used));
            }
            end = end.saturating_add(count.saturating_mul(ENTRY));
        }
        Ok(None)
    }

    /// Decodes a stream; `None` for filters that tables and objects do not use.
    fn inflated(&mut self, dict: &Dict, at: u64) -> io::Result<Option<Vec<u8>>> {
        let filter = match dict.get("Filter") {
            None => None,
            Some(Value::Array(filters)) if filters.len() > 1 => return Ok(None),
            Some(Value::Array(filters)) => filters.first().and_then(Value::name),
            Some(filter) => filter.name(),
        };
        let most = self.left.min(STREAM);
        self.file
            .seek(SeekFrom::Start(self.start.saturating_add(at)))?;
        let mut bytes = Vec::new();
        match filter {
            Some(b"FlateDecode") => {
                let mut packed = ZlibDecoder::new((&mut *self.file).take(most));
                (&mut packed).take(most).read_to_end(&mut bytes)?;
                // Much input may become no output, and little input much output.
                let read = packed.total_in();
                self.spend(read)?;
            }
            None => {
                let length = dict
                    .get("Length")
                    .and_then(Value::number)
                    .unwrap_or_default();
                (&mut *self.file)
                    .take(length.min(most))
                    .read_to_end(&mut bytes)?;
            }
            _ => return Ok(None),
        }
        self.spend(bytes.len() as u64)?;
        Ok(unpredicted(dict, bytes))
    }

    /// Reads up to `most` bytes from an offset.
    fn piece(&mut self, at: u64, most: u64) -> io::Result<Vec<u8>> {
        self.file
            .seek(SeekFrom::Start(self.start.saturating_add(at)))?;
        let mut piece = Vec::new();
        (&mut *self.file).take(most).read_to_end(&mut piece)?;
        self.spend(piece.len() as u64)?;
        Ok(piece)
    }

    fn spend(&mut self, bytes: u64) -> io::Result<()> {
        self.left = self
            .left
            .checked_sub(bytes.max(1))
            .ok_or_else(|| io::Error::other("it leads nowhere"))?;
        Ok(())
    }
}

/// Reads the header of a table's part: its first number, its count, and the offset of its entries.
fn part(syntax: &mut Syntax) -> Option<(u64, u64, u64)> {
    let (first, count) = (syntax.number()?, syntax.number()?);
    syntax.blanks();
    Some((first, count, syntax.offset() as u64))
}

/// Looks up an object in the rows of a cross-reference stream.
fn row(dict: &Dict, rows: &[u8], number: u32) -> Option<Place> {
    let widths: Vec<usize> = dict
        .get("W")?
        .numbers()?
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
    let size = dict.get("Size").and_then(Value::number).unwrap_or_default();
    let parts = dict
        .get("Index")
        .and_then(Value::numbers)
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
            1 => Some(Place::At(number(&row[kind..kind + second]))),
            2 => Some(Place::Within(
                u32::try_from(number(&row[kind..kind + second])).ok()?,
            )),
            _ => None,
        };
    }
    None
}

/// Reads an object from an object stream.
fn packed(dict: &Dict, bytes: &[u8], number: u32) -> Option<Value> {
    let first = usize::try_from(dict.get("First")?.number()?).ok()?;
    let mut head = Syntax::new(bytes.get(..first)?);
    while let (Some(found), Some(offset)) = (head.number(), head.number()) {
        if found == u64::from(number) {
            let at = first.checked_add(usize::try_from(offset).ok()?)?;
            return Syntax::new(bytes.get(at..)?).value();
        }
    }
    None
}

/// Reverses PNG prediction, which most tables use.
fn unpredicted(dict: &Dict, bytes: Vec<u8>) -> Option<Vec<u8>> {
    let parameters = match dict.get("DecodeParms") {
        Some(Value::Array(parameters)) => parameters.first(),
        parameters => parameters,
    };
    let number = |name| {
        parameters
            .and_then(|parameters| parameters.get(name))
            .and_then(Value::number)
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
        let mut left = 0u8;
        for (index, byte) in row[1..].iter().enumerate() {
            let guess = match row[0] {
                0 => 0,
                1 => left,
                2 => above[index],
                // Other predictors are not used by any program that writes tables.
                _ => return None,
            };
            left = byte.wrapping_add(guess);
            above[index] = left;
        }
        plain.extend_from_slice(&above);
    }
    Some(plain)
}

#[cfg(test)]
mod tests;
