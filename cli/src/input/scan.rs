//! Finds the end of a JSON value by its brackets and quotes, and the first byte that no value can have there.

/// The maximum number of nested brackets, which no parser of this program accepts.
const MAX_DEPTH: usize = 128;

/// The record separator of RFC 7464, which no JSON value contains.
pub const RECORD_SEPARATOR: u8 = 0x1e;

/// The result of scanning a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanEnd {
    /// The brackets and quotes are balanced before this index.
    Complete(usize),
    /// The byte at this index cannot belong to the value, which is cut or malformed.
    Fault(usize),
}

/// Scans one object, list or text. It does not look at what is between brackets and quotes: an invalid value may be complete.
pub struct ValueScanner {
    /// The index of the next byte.
    at: usize,
    state: ScanState,
    /// The brackets that close the open ones.
    closing: Vec<u8>,
    /// The last byte that is not a blank; a quote for a text.
    last: u8,
    /// The number of blanks before the value on its line.
    indent: usize,
    /// The number of blanks since the last line break; `None` after another byte.
    blanks: Option<usize>,
    /// The index of the first later line that is indented no more than the value, and begins with an opening brace or with what no
    /// value contains: the end of the value if it turns out to be cut.
    line_start: Option<usize>,
    is_multi_line: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ScanState {
    Brackets,
    Text,
    /// After the backslash of an escape.
    Escape,
}

impl ValueScanner {
    /// Creates a scanner of a value that is indented by this number of blanks.
    pub fn new(indent: usize) -> Self {
        Self {
            at: 0,
            state: ScanState::Brackets,
            closing: Vec::new(),
            last: 0,
            indent,
            blanks: None,
            line_start: None,
            is_multi_line: false,
        }
    }

    pub fn indent(&self) -> usize {
        self.indent
    }

    /// Returns the index of the line at which the next value begins if this one is cut.
    pub fn line_start(&self) -> Option<usize> {
        self.line_start
    }

    /// Returns whether a line break was found.
    pub fn is_multi_line(&self) -> bool {
        self.is_multi_line
    }

    /// Continues with bytes that follow the scanned ones, which are no longer in front of them.
    pub fn forget_scanned(&mut self) {
        self.at = 0;
        self.line_start = None;
    }

    /// Scans the bytes of the value that were not scanned yet; returns `None` if it may continue after them.
    pub fn advance(&mut self, bytes: &[u8]) -> Option<ScanEnd> {
        while let Some(&byte) = bytes.get(self.at) {
            match self.state {
                ScanState::Escape => {
                    if byte == b'\n' {
                        return Some(ScanEnd::Fault(self.at));
                    }
                    self.state = ScanState::Text;
                    self.at += 1;
                }
                ScanState::Text => {
                    let Some(found) = memchr::memchr3(b'"', b'\\', b'\n', &bytes[self.at..]) else {
                        self.at = bytes.len();
                        return None;
                    };
                    self.at += found;
                    match bytes[self.at] {
                        b'"' => self.state = ScanState::Brackets,
                        b'\\' => self.state = ScanState::Escape,
                        _ => return Some(ScanEnd::Fault(self.at)),
                    }
                    self.at += 1;
                    if self.state == ScanState::Brackets && self.closing.is_empty() {
                        return Some(ScanEnd::Complete(self.at));
                    }
                }
                ScanState::Brackets => {
                    if !self.accepts(byte) {
                        return Some(ScanEnd::Fault(self.at));
                    }
                    self.at += 1;
                    if self.closing.is_empty() && self.state == ScanState::Brackets {
                        return Some(ScanEnd::Complete(self.at));
                    }
                }
            }
        }
        None
    }

    /// Takes a byte outside of texts; returns whether it can belong to the value.
    fn accepts(&mut self, byte: u8) -> bool {
        match byte {
            b'\n' | b'\r' => {
                self.is_multi_line |= byte == b'\n';
                self.blanks = Some(0);
                return true;
            }
            b' ' | b'\t' => {
                self.blanks = self.blanks.map(|blanks| blanks + 1);
                return true;
            }
            b'{' | b'[' => {
                if byte == b'{' && self.is_at_margin() {
                    self.line_start.get_or_insert(self.at);
                }
                let is_expected = match self.closing.last() {
                    None => true,
                    Some(b']') => matches!(self.last, b'[' | b','),
                    Some(_) => self.last == b':',
                };
                if !is_expected || self.closing.len() == MAX_DEPTH {
                    return false;
                }
                self.closing.push(if byte == b'{' { b'}' } else { b']' });
            }
            b'}' | b']' if self.closing.pop() != Some(byte) => return false,
            b'"' => {
                let is_expected = match self.closing.last() {
                    None => true,
                    Some(b']') => matches!(self.last, b'[' | b','),
                    Some(_) => matches!(self.last, b'{' | b',' | b':'),
                };
                if !is_expected {
                    return false;
                }
                self.state = ScanState::Text;
            }
            // No line of a value begins with such a byte: the value was cut before the line.
            _ if self.is_at_margin() && !b"}],:-+.0123456789tfn".contains(&byte) => {
                self.line_start.get_or_insert(self.at);
                return false;
            }
            RECORD_SEPARATOR | 0xef => return false,
            _ => {}
        }
        self.last = byte;
        self.blanks = None;
        true
    }

    /// Returns whether the next byte is the first of its line, and indented no more than the value.
    fn is_at_margin(&self) -> bool {
        self.blanks.is_some_and(|blanks| blanks <= self.indent)
    }
}
