//! Mends a batch where nothing has to be guessed: by changing bytes of its text, so that every other byte stays.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use mparticle::diagnostics::Fix;
use serde_json::Value;

use crate::input::{FilePosition, LineIndex, Validator, locate};
use crate::text::shorten;

/// Mending can bring more to light: a field that now has its right name may hold a number where text is expected. And only
/// the first thousand faults of a text are listed. So it is looked at again, but not without end.
const MAX_ROUNDS: usize = 20;

/// A batch after mending.
#[derive(Debug)]
pub struct FixedBatch {
    pub text: Vec<u8>,
    pub changes: Vec<AppliedFix>,
    /// More could be mended.
    pub unfinished: bool,
}

/// What was done at one place of the file that was read.
#[derive(Debug, PartialEq, Eq)]
pub struct AppliedFix {
    pub position: FilePosition,
    pub pointer: String,
    pub message: String,
}

impl fmt::Display for AppliedFix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}  {}", self.position, shorten(&self.pointer), shorten(&self.message))
    }
}

/// Mends a text that stands at this place of its file, and puts it on one line if it is JSON.
pub fn fix(validator: &Validator, text: Vec<u8>, position: FilePosition) -> FixedBatch {
    let mut fixed = FixedBatch { text, changes: Vec::new(), unfinished: false };
    let is_json = fix_repeatedly(validator, &mut fixed, position);
    // In JSON a line break is white space, and no part of anything.
    if is_json && fixed.text.contains(&b'\n') {
        fixed.text.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    }
    fixed
}

/// Gives whether it is JSON at all.
fn fix_repeatedly(validator: &Validator, fixed: &mut FixedBatch, position: FilePosition) -> bool {
    let mut fix_repeatedly: Vec<Vec<Edit>> = Vec::new();
    let original = fixed.text.clone();
    let lines = LineIndex::new(&original, position);
    loop {
        let Some((value, fixes)) = validator.fixes(&fixed.text) else { return false };
        let Ok(text) = str::from_utf8(&fixed.text) else { return false };
        let edits = edits(text, &value, fixes);
        fixed.unfinished = !edits.is_empty() && fix_repeatedly.len() == MAX_ROUNDS;
        if edits.is_empty() || fixed.unfinished {
            return true;
        }
        let changed = apply(text, &edits);
        for Edit { range, pointer, message, .. } in &edits {
            let at = fix_repeatedly.iter().rev().fold(range.start, |at, edits| original_offset(edits, at));
            fixed.changes.push(AppliedFix {
                position: lines.position(at),
                pointer: pointer.clone(),
                message: message.clone(),
            });
        }
        fixed.text = changed.into_bytes();
        fix_repeatedly.push(edits);
    }
}

/// Other bytes instead of these.
#[derive(Debug)]
struct Edit {
    range: Range<usize>,
    with: String,
    pointer: String,
    message: String,
}

/// The edits of one round, in their order, none of which touches another.
fn edits(text: &str, value: &Value, fixes: Vec<(String, Fix)>) -> Vec<Edit> {
    let located = fixes.into_iter().map(|(pointer, fix)| (locate(text, &pointer), pointer, fix));
    let mut located: Vec<_> = located.collect();
    located.sort_by_key(|(member, ..)| member.value.start);
    let mut taken = BTreeSet::new();
    let mut edits: Vec<_> = located
        .into_iter()
        .filter_map(|(member, pointer, fix)| {
            let raw = &text[member.value.clone()];
            let (range, with, message) = match fix {
                Fix::Rename(name) => {
                    let (parent, _) = pointer.rsplit_once('/')?;
                    let is_there = value.pointer(parent)?.get(&name).is_some();
                    if is_there || !taken.insert((parent.to_owned(), name.clone())) {
                        return None;
                    }
                    let name = Value::from(name).to_string();
                    let message = format!("renamed to {name}");
                    (member.key?, name, message)
                }
                Fix::Quote => (member.value, format!("\"{raw}\""), format!("{raw} put into quotes")),
                Fix::Milliseconds => {
                    let with = format!("{raw}000");
                    let message = format!("{raw} seconds written as {with} milliseconds");
                    (member.value, with, message)
                }
                Fix::Remove => {
                    let start = member.key.map_or(member.value.start, |key| key.start);
                    (without_comma(text, start..member.value.end), String::new(), "null taken away".into())
                }
                _ => return None,
            };
            Some(Edit { range, with, pointer, message })
        })
        .collect();
    let mut end = 0;
    edits.retain(|edit| {
        let is_apart = edit.range.start >= end;
        if is_apart {
            end = edit.range.end;
        }
        is_apart
    });
    edits
}

/// A member with the comma that parts it from the next one, or from the one before.
fn without_comma(text: &str, member: Range<usize>) -> Range<usize> {
    let rest = text[member.end..].trim_ascii_start();
    if let Some(rest) = rest.strip_prefix(',') {
        return member.start..text.len() - rest.trim_ascii_start().len();
    }
    let head = text[..member.start].trim_ascii_end();
    head.strip_suffix(',').map_or(member.start, str::len)..member.end
}

fn apply(text: &str, edits: &[Edit]) -> String {
    let mut changed = String::with_capacity(text.len() + 16 * edits.len());
    let mut done = 0;
    for Edit { range, with, .. } in edits {
        changed.push_str(&text[done..range.start]);
        changed.push_str(with);
        done = range.end;
    }
    changed.push_str(&text[done..]);
    changed
}

/// Where a byte stood before these edits.
fn original_offset(edits: &[Edit], after: usize) -> usize {
    let mut shift = 0_isize;
    for Edit { range, with, .. } in edits {
        let start = range.start.saturating_add_signed(shift);
        if after < start {
            break;
        }
        if after < start + with.len() {
            return range.start;
        }
        shift += with.len().cast_signed() - range.len().cast_signed();
    }
    after.saturating_add_signed(-shift)
}
