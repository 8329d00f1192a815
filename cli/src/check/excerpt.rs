//! The part of a line that a diagnostic is about, cut to the width of a terminal.

use std::ops::Range;

use unicode_width::UnicodeWidthChar;

/// The maximum width of an excerpt, of the part before the mark, and of the mark, in columns.
const COLUMNS: usize = 100;
const COLUMNS_BEFORE: usize = 40;
const COLUMNS_MARKED: usize = 50;

/// The maximum number of bytes examined for a piece. Only hostile text has more bytes in so few columns.
const BYTES: usize = 1024;

#[derive(Debug, PartialEq, Eq)]
pub struct Excerpt {
    pub line: String,
    /// The number of columns before the mark.
    pub before: usize,
    /// The width of the mark, in columns.
    pub width: usize,
}

/// Returns the excerpt around a range, within its first line; `None` for an empty text.
pub fn excerpt(text: &[u8], range: Range<usize>) -> Option<Excerpt> {
    if text.is_empty() {
        return None;
    }
    let line_start = memchr::memrchr(b'\n', &text[..range.start]).map_or(0, |at| at + 1);
    let line_end = memchr::memchr(b'\n', &text[range.start..]).map_or(text.len(), |at| range.start + at);
    let range = range.start..range.end.clamp(range.start, line_end);

    let start = floor_char_boundary(text, line_start.max(range.start.saturating_sub(BYTES)));
    let mut before = printable_characters(&text[start..range.start]);
    let fitting = before.iter().rev().scan(0, |sum, (_, width)| add_within(sum, *width, COLUMNS_BEFORE)).count();
    let is_cut = start > line_start || fitting < before.len();
    before.drain(..before.len() - fitting);
    let before = Piece { printable_characters: before, is_cut };

    let marked = Piece::first(&text[range.clone()], COLUMNS_MARKED);
    let after = if marked.is_cut {
        Piece { printable_characters: Vec::new(), is_cut: false }
    } else {
        let rest = text[range.end..line_end].trim_ascii_end();
        Piece::first(rest, COLUMNS.saturating_sub(before.width() + marked.width()))
    };
    let ellipsis = |is_cut| if is_cut { "…" } else { "" };
    Some(Excerpt {
        line: [
            ellipsis(before.is_cut),
            &before.text(),
            &marked.text(),
            ellipsis(marked.is_cut),
            &after.text(),
            ellipsis(after.is_cut),
        ]
        .concat(),
        before: before.width() + usize::from(before.is_cut),
        width: marked.width().max(1),
    })
}

/// Characters with the width of each, in columns.
struct Piece {
    printable_characters: Vec<(char, usize)>,
    is_cut: bool,
}

impl Piece {
    fn first(bytes: &[u8], columns: usize) -> Self {
        let end = floor_char_boundary(bytes, bytes.len().min(BYTES));
        let mut printable_characters = printable_characters(&bytes[..end]);
        let fitting = printable_characters.iter().scan(0, |sum, (_, width)| add_within(sum, *width, columns)).count();
        let is_cut = end < bytes.len() || fitting < printable_characters.len();
        printable_characters.truncate(fitting);
        Self { printable_characters, is_cut }
    }

    fn width(&self) -> usize {
        self.printable_characters.iter().map(|(_, width)| width).sum()
    }

    fn text(&self) -> String {
        self.printable_characters.iter().map(|(character, _)| character).collect()
    }
}

/// Adds a width to the sum, for `scan`; returns `None` once the sum exceeds `columns`.
#[allow(clippy::unnecessary_wraps)]
fn add_within(sum: &mut usize, width: usize, columns: usize) -> Option<()> {
    *sum += width;
    (*sum <= columns).then_some(())
}

/// Replaces characters that could control a terminal or change the direction of text.
fn printable_characters(bytes: &[u8]) -> Vec<(char, usize)> {
    let to_printable = |character: char| match character {
        '\t' => (' ', 1),
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => ('\u{fffd}', 1),
        character => character.width().map_or(('\u{fffd}', 1), |width| (character, width)),
    };
    String::from_utf8_lossy(bytes).chars().map(to_printable).collect()
}

/// Returns the character boundary at or before this byte.
fn floor_char_boundary(bytes: &[u8], at: usize) -> usize {
    let is_border = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0b1100_0000 != 0b1000_0000);
    (at.saturating_sub(3)..=at).rev().find(is_border).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the line and the mark under it.
    fn render(text: &[u8], range: Range<usize>) -> (String, String) {
        let Excerpt { line, before, width } = excerpt(text, range).expect("a text");
        (line, format!("{}{}", " ".repeat(before), "^".repeat(width)))
    }

    #[test]
    fn shows_a_short_line_whole() {
        let (line, mark) = render(b"{\"a\":1,\"b\":x}", 11..12);
        assert_eq!((line.as_str(), mark.as_str()), ("{\"a\":1,\"b\":x}", "           ^"));
        assert_eq!(render(b"{\"a\":", 5..5), ("{\"a\":".into(), "     ^".into()));
        assert_eq!(excerpt(b"", 0..0), None);
    }

    #[test]
    fn shows_the_line_of_the_range_among_several_lines() {
        let text = b"{\n  \"a\": {\n \"b\": 1 }\r\n}";
        assert_eq!(render(text, 9..20), ("  \"a\": {".into(), "       ^".into()));
        assert_eq!(render(text, 17..18), (" \"b\": 1 }".into(), "      ^".into()));
    }

    #[test]
    fn cuts_a_long_line_on_both_sides() {
        let text = format!("{}MARK{}", "a".repeat(100_000), "b".repeat(100_000));
        let (line, mark) = render(text.as_bytes(), 100_000..100_004);
        assert_eq!(line, format!("…{}MARK{}…", "a".repeat(40), "b".repeat(56)));
        assert_eq!(mark, format!("{}^^^^", " ".repeat(41)));
        let (line, mark) = render(text.as_bytes(), 0..200_004);
        assert_eq!((line, mark), (format!("{}…", "a".repeat(50)), "^".repeat(50)));
    }

    #[test]
    fn aligns_the_mark_under_wide_and_combining_characters() {
        // Characters of two columns, then one with a combining accent.
        assert_eq!(render("日本 e\u{301}X".as_bytes(), 10..11), ("日本 e\u{301}X".into(), "      ^".into()));
        assert_eq!(render("a日本".as_bytes(), 1..7), ("a日本".into(), " ^^^^".into()));
        let wide = "日".repeat(10_000);
        let (line, mark) = render(wide.as_bytes(), 15_000..15_003);
        assert_eq!((line.chars().count(), mark.len()), (1 + 20 + 1 + 29 + 1, 43));
    }

    #[test]
    fn replaces_control_characters_and_accepts_any_bytes() {
        let (line, mark) = render("\u{1b}[31m\t\u{202e}\u{85}X".as_bytes(), 11..12);
        assert_eq!((line.as_str(), mark.as_str()), ("\u{fffd}[31m \u{fffd}\u{fffd}X", "        ^"));
        let bytes: Vec<u8> = (0..=255).map(|byte: u8| byte.wrapping_mul(7)).cycle().take(5_000).collect();
        for start in (0..5_000).step_by(7) {
            let Excerpt { line, before, width } = excerpt(&bytes, start..start + 1).expect("a text");
            assert!(line.chars().count() <= 200 && before <= 41 && width == 1, "{line}");
        }
        // Many accents on one character.
        let accents = "\u{301}".repeat(100_000);
        assert!(excerpt(accents.as_bytes(), 50_000..50_002).expect("a text").line.len() <= 3 * BYTES + 6);
    }
}
