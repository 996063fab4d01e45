//! PDF syntax (ISO 32000-1, 7.2 and 7.3): numbers, names, arrays, dictionaries. Pure.

/// Maximum depth of nested values; deeper ones are not read.
const DEEPEST: usize = 32;
/// Maximum number of values per piece; pieces with more are rejected. The longest is a list of
/// pages.
const MOST_VALUES: usize = 100_000;

/// A dictionary, in the order of the file.
pub type Dict = Vec<(Vec<u8>, Value)>;

/// A value in a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(u64),
    Name(Vec<u8>),
    /// A reference to the object of this number.
    Reference(u32),
    Array(Vec<Value>),
    Dict(Dict),
    /// Strings, fractions, negative numbers, `true`, `null`.
    Other,
}

/// Access to a dictionary's entries.
pub trait Members {
    fn get(&self, name: &str) -> Option<&Value>;
}

impl Members for Dict {
    fn get(&self, name: &str) -> Option<&Value> {
        self.iter()
            .find(|(found, _)| found == name.as_bytes())
            .map(|(_, value)| value)
    }
}

impl Value {
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Dict(dict) => Members::get(dict, name),
            _ => None,
        }
    }

    pub fn number(&self) -> Option<u64> {
        if let Self::Number(number) = self {
            Some(*number)
        } else {
            None
        }
    }

    pub fn numbers(&self) -> Option<Vec<u64>> {
        if let Self::Array(values) = self {
            values.iter().map(Self::number).collect()
        } else {
            None
        }
    }

    pub fn name(&self) -> Option<&[u8]> {
        if let Self::Name(name) = self {
            Some(name)
        } else {
            None
        }
    }
}

/// A parser of a piece of a file.
pub struct Syntax<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Values that may still be read.
    left: usize,
}

impl<'a> Syntax<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            left: MOST_VALUES,
        }
    }

    /// Returns the number of bytes read so far.
    pub fn offset(&self) -> usize {
        self.at
    }

    pub fn blanks(&mut self) {
        while let Some(byte) = self.bytes.get(self.at) {
            match byte {
                0 | b'\t' | b'\n' | 0x0c | b'\r' | b' ' => self.at += 1,
                b'%' => self.skip(|byte| !matches!(byte, b'\r' | b'\n')),
                _ => break,
            }
        }
    }

    /// Reads this word, if it comes next. Returns whether it did.
    pub fn word(&mut self, word: &[u8]) -> bool {
        self.blanks();
        let is_next = self.rest().starts_with(word);
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    /// Reads an unsigned integer.
    pub fn number(&mut self) -> Option<u64> {
        self.blanks();
        let start = self.at;
        self.skip(|byte| byte.is_ascii_digit());
        std::str::from_utf8(&self.bytes[start..self.at])
            .ok()?
            .parse()
            .ok()
    }

    /// Reads `12 0 obj` and the value after it.
    pub fn object(&mut self) -> Option<(u32, Value)> {
        let number = u32::try_from(self.number()?).ok()?;
        self.number()?;
        self.word(b"obj")
            .then(|| self.value())?
            .map(|value| (number, value))
    }

    /// Returns the offset of the stream after a dictionary.
    pub fn stream(&mut self) -> Option<usize> {
        if !self.word(b"stream") {
            return None;
        }
        self.at += usize::from(self.rest().starts_with(b"\r"));
        self.at += usize::from(self.rest().starts_with(b"\n"));
        Some(self.at)
    }

    pub fn value(&mut self) -> Option<Value> {
        self.value_within(0)
    }

    fn value_within(&mut self, depth: usize) -> Option<Value> {
        self.blanks();
        self.left = self.left.checked_sub(1)?;
        if depth > DEEPEST {
            return None;
        }
        match self.rest() {
            [b'<', b'<', ..] => self.dict(depth).map(Value::Dict),
            [b'[', ..] => self.array(depth).map(Value::Array),
            [b'/', ..] => Some(Value::Name(self.name())),
            [b'(', ..] => self.text(),
            [b'<', ..] => {
                self.skip(|byte| byte != b'>');
                self.at += 1;
                Some(Value::Other)
            }
            [b'0'..=b'9', ..] => self.number_or_reference(),
            [] | [b']' | b'>' | b')' | b'{' | b'}', ..] => None,
            _ => {
                self.skip(is_regular);
                Some(Value::Other)
            }
        }
    }

    fn dict(&mut self, depth: usize) -> Option<Dict> {
        self.at += 2;
        let mut members = Dict::new();
        loop {
            if self.word(b">>") {
                return Some(members);
            }
            if self.rest().first() != Some(&b'/') {
                return None;
            }
            let name = self.name();
            members.push((name, self.value_within(depth + 1)?));
        }
    }

    fn array(&mut self, depth: usize) -> Option<Vec<Value>> {
        self.at += 1;
        let mut values = Vec::new();
        while !self.word(b"]") {
            values.push(self.value_within(depth + 1)?);
        }
        Some(values)
    }

    /// Reads a name. None of the names needed contains an escape with `#`.
    fn name(&mut self) -> Vec<u8> {
        self.at += 1;
        let start = self.at;
        self.skip(is_regular);
        self.bytes[start..self.at].to_vec()
    }

    fn text(&mut self) -> Option<Value> {
        let mut open = 0usize;
        loop {
            match self.bytes.get(self.at)? {
                b'\\' => self.at += 1,
                b'(' => open += 1,
                b')' => open -= 1,
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return Some(Value::Other);
            }
        }
    }

    fn number_or_reference(&mut self) -> Option<Value> {
        let Some(number) = self.number().filter(|_| !self.rest().starts_with(b".")) else {
            self.skip(is_regular);
            return Some(Value::Other);
        };
        let after = self.at;
        if self.number().is_some()
            && self.word(b"R")
            && !self.rest().first().is_some_and(|byte| is_regular(*byte))
        {
            return Some(u32::try_from(number).map_or(Value::Other, Value::Reference));
        }
        self.at = after;
        Some(Value::Number(number))
    }

    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) {
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
