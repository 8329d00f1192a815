//! Fixes a batch where the fix is unambiguous, by editing its text, so that all other bytes stay the same.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use mparticle::diagnostics::Fix;
use serde_json::Value;

use super::export_form::ConvertedBatch;
use super::position::{FilePosition, LineIndex, locate};
use super::validate::Validator;
use crate::text::{printable, shorten};

/// The maximum number of rounds. A fix can reveal another problem, for example in the value of a renamed field, and only the
/// first thousand diagnostics of a text are listed, so the text is checked again after each round.
const MAX_ROUNDS: usize = 20;

/// A batch after fixing.
#[derive(Debug)]
pub struct FixedBatch {
    pub text: Vec<u8>,
    pub changes: Vec<AppliedFix>,
    /// Set if fixes are left after the last round.
    pub has_more: bool,
}

/// A fix at a position of the input file.
#[derive(Debug, PartialEq, Eq)]
pub struct AppliedFix {
    pub position: FilePosition,
    pub pointer: String,
    pub description: String,
}

impl fmt::Display for AppliedFix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}  {}", self.position, shorten(&self.pointer), printable(&self.description))
    }
}

/// Fixes a text that starts at this position of its file, and joins its lines if it is JSON.
pub fn fix_batch(validator: &Validator, text: Vec<u8>, position: FilePosition) -> FixedBatch {
    let mut fixed = FixedBatch { text, changes: Vec::new(), has_more: false };
    let is_json = fix_repeatedly(validator, &mut fixed, position);
    // In JSON, line breaks occur only as white space.
    if is_json && fixed.text.contains(&b'\n') {
        fixed.text.retain(|byte| !matches!(byte, b'\n' | b'\r'));
    }
    fixed
}

/// Fixes the batch to which a text was converted from the form of an export. The positions are those of the original text:
/// the start of the batch for what is fixed after converting.
pub fn fix_export(validator: &Validator, text: &[u8], position: FilePosition, converted: ConvertedBatch) -> FixedBatch {
    let pointer = "/user_identities";
    let range = locate(&String::from_utf8_lossy(text), pointer).value;
    let at = LineIndex::new(text, position).position(range.start);
    let change = AppliedFix { position: at, pointer: pointer.into(), description: converted.to_string() };
    let mut fixed = fix_batch(validator, converted.text, position);
    fixed.changes.iter_mut().for_each(|change| change.position = position);
    fixed.changes.insert(0, change);
    fixed
}

/// Returns whether the text is JSON.
fn fix_repeatedly(validator: &Validator, fixed: &mut FixedBatch, position: FilePosition) -> bool {
    let mut rounds: Vec<Vec<Edit>> = Vec::new();
    let original = fixed.text.clone();
    let lines = LineIndex::new(&original, position);
    loop {
        let Some((value, available)) = validator.fixes(&fixed.text) else { return false };
        let Ok(text) = str::from_utf8(&fixed.text) else { return false };
        let edits = plan_edits(text, &value, available);
        fixed.has_more = !edits.is_empty() && rounds.len() == MAX_ROUNDS;
        if edits.is_empty() || fixed.has_more {
            return true;
        }
        let changed = apply_edits(text, &edits);
        for Edit { range, pointer, description, .. } in &edits {
            let at = rounds.iter().rev().fold(range.start, |at, edits| original_offset(edits, at));
            fixed.changes.push(AppliedFix {
                position: lines.position(at),
                pointer: pointer.clone(),
                description: description.clone(),
            });
        }
        fixed.text = changed.into_bytes();
        rounds.push(edits);
    }
}

/// A replacement of a range of bytes.
#[derive(Debug)]
struct Edit {
    range: Range<usize>,
    replacement: String,
    pointer: String,
    description: String,
}

/// Returns the edits of one round in order, without overlaps.
fn plan_edits(text: &str, value: &Value, fixes: Vec<(String, Fix)>) -> Vec<Edit> {
    let located = fixes.into_iter().map(|(pointer, fix)| (locate(text, &pointer), pointer, fix));
    let mut located: Vec<_> = located.collect();
    located.sort_by_key(|(member, ..)| member.value.start);
    let mut taken = BTreeSet::new();
    let mut edits: Vec<_> = located
        .into_iter()
        .filter_map(|(member, pointer, fix)| {
            let raw = &text[member.value.clone()];
            let (range, replacement, description) = match fix {
                Fix::Rename(name) => {
                    let (parent, _) = pointer.rsplit_once('/')?;
                    let is_there = value.pointer(parent)?.get(&name).is_some();
                    if is_there || !taken.insert((parent.to_owned(), name.clone())) {
                        return None;
                    }
                    let name = Value::from(name).to_string();
                    let description = format!("renamed to {name}");
                    (member.key?, name, description)
                }
                Fix::Quote => (member.value, format!("\"{raw}\""), format!("{raw} quoted")),
                Fix::Milliseconds => {
                    let replacement = format!("{raw}000");
                    let description = format!("{raw} seconds converted to {replacement} milliseconds");
                    (member.value, replacement, description)
                }
                Fix::Remove => {
                    let start = member.key.map_or(member.value.start, |key| key.start);
                    (range_with_comma(text, start..member.value.end), String::new(), "null removed".into())
                }
                Fix::Replace(replacement) => {
                    let description = format!("{raw} replaced by {replacement}");
                    (member.value, replacement, description)
                }
                _ => return None,
            };
            Some(Edit { range, replacement, pointer, description: shorten(&description) })
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

/// Returns the range of a member with the comma after it, or else before it.
fn range_with_comma(text: &str, member: Range<usize>) -> Range<usize> {
    let rest = text[member.end..].trim_ascii_start();
    if let Some(rest) = rest.strip_prefix(',') {
        return member.start..text.len() - rest.trim_ascii_start().len();
    }
    let head = text[..member.start].trim_ascii_end();
    head.strip_suffix(',').map_or(member.start, str::len)..member.end
}

fn apply_edits(text: &str, edits: &[Edit]) -> String {
    let mut changed = String::with_capacity(text.len() + 16 * edits.len());
    let mut done = 0;
    for Edit { range, replacement, .. } in edits {
        changed.push_str(&text[done..range.start]);
        changed.push_str(replacement);
        done = range.end;
    }
    changed.push_str(&text[done..]);
    changed
}

/// Returns the offset that a byte had before these edits.
fn original_offset(edits: &[Edit], after: usize) -> usize {
    let mut shift = 0_isize;
    for Edit { range, replacement, .. } in edits {
        let start = range.start.saturating_add_signed(shift);
        if after < start {
            break;
        }
        if after < start + replacement.len() {
            return range.start;
        }
        shift += replacement.len().cast_signed() - range.len().cast_signed();
    }
    after.saturating_add_signed(-shift)
}
