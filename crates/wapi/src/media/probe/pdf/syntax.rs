//! PDF syntax (ISO 32000-1, 7.2 and 7.3): numbers, names, arrays, dictionaries. Pure.

/// Maximum depth of nested values; deeper ones are not read.
const MAX_DEPTH: usize = 32;
/// Maximum number of values per piece; pieces with more are rejected. The longest is a list of
/// pages.
const MAX_VALUES: usize = 100_000;

/// A dictionary, in the order of the file.
pub type PdfDict = Vec<(Vec<u8>, PdfValue)>;

/// A value in a file.
#[derive(Debug, Clone, PartialEq)]
pub enum PdfValue {
    Number(u64),
    Name(Vec<u8>),
    /// A reference to the object of this number.
    Reference(u32),
    Array(Vec<PdfValue>),
    Dict(PdfDict),
    /// Strings, fractions, negative numbers, `true`, `null`.
    Other,
}

/// Access to a dictionary's entries.
pub trait DictAccess {
    fn get(&self, name: &str) -> Option<&PdfValue>;
}

impl DictAccess for PdfDict {
    fn get(&self, name: &str) -> Option<&PdfValue> {
        self.iter()
            .find(|(found, _)| found == name.as_bytes())
            .map(|(_, value)| value)
    }
}

impl PdfValue {
    pub fn get(&self, name: &str) -> Option<&PdfValue> {
        match self {
            Self::Dict(dict) => DictAccess::get(dict, name),
            _ => None,
        }
    }

    pub fn as_number(&self) -> Option<u64> {
        if let Self::Number(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    pub fn as_numbers(&self) -> Option<Vec<u64>> {
        if let Self::Array(values) = self {
            values.iter().map(Self::as_number).collect()
        } else {
            None
        }
    }

    pub fn as_name(&self) -> Option<&[u8]> {
        if let Self::Name(name) = self {
            Some(name)
        } else {
            None
        }
    }
}

/// A parser of a piece of a file.
pub struct PdfParser<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Values that may still be read.
    remaining: usize,
}

impl<'a> PdfParser<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            remaining: MAX_VALUES,
        }
    }

    /// Returns the number of bytes read so far.
    pub fn offset(&self) -> usize {
        self.at
    }

    pub fn skip_blanks(&mut self) {
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                0 | b'\t' | b'\n' | 0x0c | b'\r' | b' ' => self.at += 1,
                b'%' => self.skip_while(|byte| !matches!(byte, b'\r' | b'\n')),
                _ => break,
            }
        }
    }

    /// Reads this word, if it comes next. Returns whether it did.
    pub fn take_word(&mut self, word: &[u8]) -> bool {
        self.skip_blanks();
        let is_next = self.rest().starts_with(word);
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    /// Reads an unsigned integer.
    pub fn parse_number(&mut self) -> Option<u64> {
        self.skip_blanks();
        let start = self.at;
        self.skip_while(|byte| byte.is_ascii_digit());
        std::str::from_utf8(&self.bytes[start..self.at])
            .ok()?
            .parse()
            .ok()
    }

    /// Reads `12 0 obj` and the value after it.
    pub fn parse_object(&mut self) -> Option<(u32, PdfValue)> {
        let number = u32::try_from(self.parse_number()?).ok()?;
        self.parse_number()?;
        self.take_word(b"obj")
            .then(|| self.parse_value())?
            .map(|value| (number, value))
    }

    /// Returns the offset of the stream after a dictionary.
    pub fn stream_offset(&mut self) -> Option<usize> {
        if !self.take_word(b"stream") {
            return None;
        }
        self.at += usize::from(self.rest().starts_with(b"\r"));
        self.at += usize::from(self.rest().starts_with(b"\n"));
        Some(self.at)
    }

    pub fn parse_value(&mut self) -> Option<PdfValue> {
        self.parse_nested(0)
    }

    fn parse_nested(&mut self, depth: usize) -> Option<PdfValue> {
        self.skip_blanks();
        self.remaining = self.remaining.checked_sub(1)?;
        if depth > MAX_DEPTH {
            return None;
        }
        match self.rest() {
            [b'<', b'<', ..] => self.parse_dict(depth).map(PdfValue::Dict),
            [b'[', ..] => self.parse_array(depth).map(PdfValue::Array),
            [b'/', ..] => Some(PdfValue::Name(self.parse_name())),
            [b'(', ..] => self.skip_text(),
            [b'<', ..] => {
                self.skip_while(|byte| byte != b'>');
                self.at += 1;
                Some(PdfValue::Other)
            }
            [b'0'..=b'9', ..] => self.parse_number_or_reference(),
            [] | [b']' | b'>' | b')' | b'{' | b'}', ..] => None,
            _ => {
                self.skip_while(is_regular);
                Some(PdfValue::Other)
            }
        }
    }

    fn parse_dict(&mut self, depth: usize) -> Option<PdfDict> {
        self.at += 2;
        let mut members = PdfDict::new();
        loop {
            if self.take_word(b">>") {
                return Some(members);
            }
            if self.rest().first() != Some(&b'/') {
                return None;
            }
            let name = self.parse_name();
            members.push((name, self.parse_nested(depth + 1)?));
        }
    }

    fn parse_array(&mut self, depth: usize) -> Option<Vec<PdfValue>> {
        self.at += 1;
        let mut values = Vec::new();
        while !self.take_word(b"]") {
            values.push(self.parse_nested(depth + 1)?);
        }
        Some(values)
    }

    /// Reads a name. None of the names needed contains an escape with `#`.
    fn parse_name(&mut self) -> Vec<u8> {
        self.at += 1;
        let start = self.at;
        self.skip_while(is_regular);
        self.bytes[start..self.at].to_vec()
    }

    fn skip_text(&mut self) -> Option<PdfValue> {
        let mut depth = 0usize;
        loop {
            match self.bytes.get(self.at)? {
                b'\\' => self.at += 1,
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(PdfValue::Other);
            }
        }
    }

    fn parse_number_or_reference(&mut self) -> Option<PdfValue> {
        let Some(number) = self
            .parse_number()
            .filter(|_| !self.rest().starts_with(b"."))
        else {
            self.skip_while(is_regular);
            return Some(PdfValue::Other);
        };
        let after = self.at;
        if self.parse_number().is_some()
            && self.take_word(b"R")
            && !self.rest().first().is_some_and(|byte| is_regular(*byte))
        {
            return Some(u32::try_from(number).map_or(PdfValue::Other, PdfValue::Reference));
        }
        self.at = after;
        Some(PdfValue::Number(number))
    }

    fn skip_while(&mut self, is_skipped: impl Fn(u8) -> bool) {
        let end = self.rest().iter().position(|byte| !is_skipped(*byte));
        self.at = end.map_or(self.bytes.len(), |end| self.at + end);
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }
}

/// Whether a byte is neither a blank nor a delimiter.
fn is_regular(byte: u8) -> bool {
    !matches!(
        byte,
        0 | b'\t'
            | b'\n'
            | 0x0c
            | b'\r'
            | b' '
            | b'('
            | b')'
            | b'<'
            | b'>'
            | b'['
            | b']'
            | b'{'
            | b'}'
    ) && !matches!(byte, b'/' | b'%')
}
