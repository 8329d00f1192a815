//! Remembers the batches of a run, and finds those that the service would drop because another batch has their id.

use std::hash::BuildHasher;
use std::path::Path;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use mparticle::diagnostics::{Code, Diagnostic};
use serde_json::Value;

use super::position::{FilePosition, LineIndex, locate};
use super::validate::{CheckedText, LocatedDiagnostic};
use crate::text::{path_string, printable};

/// The number of ids that are remembered. Their table takes 35 MiB.
pub const MAX_IDS: usize = 1_000_000;

/// The ids, the contents and the places of the last batches, as hashes.
pub struct SeenBatches {
    hasher: RandomState,
    /// The last batches. Once there are `max` of them, `oldest` is replaced next.
    batches: Vec<SeenBatch>,
    oldest: usize,
    max: usize,
    /// The indexes of the batches by their id.
    index: HashTable<u32>,
    /// The names of the files so far.
    files: Vec<String>,
    has_reported_time: bool,
    repeated: RepeatedBatches,
    forgotten: u64,
}

/// The numbers of batches that the service would drop because of an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepeatedBatches {
    /// Batches with the id of a different batch.
    pub ids: u64,
    /// Batches that get the id of an equal one, since their events have no times.
    pub batches: u64,
}

/// A batch, in 24 bytes.
#[derive(Clone, Copy)]
struct SeenBatch {
    id: u64,
    content: u32,
    file: u32,
    line: u32,
    column: u32,
}

impl Default for SeenBatches {
    fn default() -> Self {
        Self::with_max(MAX_IDS)
    }
}

impl SeenBatches {
    fn with_max(max: usize) -> Self {
        Self {
            hasher: RandomState::default(),
            batches: Vec::with_capacity(max),
            oldest: 0,
            max,
            index: HashTable::new(),
            files: Vec::new(),
            has_reported_time: false,
            repeated: RepeatedBatches::default(),
            forgotten: 0,
        }
    }

    /// Adds a warning to a batch if it is the first of its file with an event without a time, or if the service would drop it because
    /// of an earlier batch. Remembers it if it would be sent.
    pub fn check(&mut self, path: &Path, checked: &mut CheckedText) {
        self.enter_file(path);
        let Some(batch) = &checked.value else { return };
        let id = batch["source_request_id"].as_str().filter(|id| !id.is_empty());
        let timeless = first_event_without_time(batch);
        let repeated = match id {
            _ if checked.has_errors() => None,
            Some(id) => self.check_id(id, checked),
            None => timeless.and_then(|_| self.check_place(checked)),
        };
        if let Some(event) = timeless
            && !self.has_reported_time
            && !has_code(checked, Code::HistoricalWithoutTime)
        {
            self.has_reported_time = true;
            let message = "an event without a time; the service takes the time of receipt (reported once per file)";
            add(checked, &format!("/events/{event}/data"), Code::WithoutTime, message);
        }
        if let Some((pointer, code, message)) = repeated {
            match code {
                Code::RepeatedId => self.repeated.ids += 1,
                _ => self.repeated.batches += 1,
            }
            add(checked, pointer, code, &message);
        }
    }

    /// Returns the numbers of batches that the service would drop because of an earlier one, since the last call.
    pub fn take_repeated(&mut self) -> RepeatedBatches {
        std::mem::take(&mut self.repeated)
    }

    /// Returns the number of batches that are not remembered any more.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn enter_file(&mut self, path: &Path) {
        let name = path.as_os_str().as_encoded_bytes();
        if self.files.last().is_none_or(|last| last.as_bytes() != name) {
            self.files.push(path_string(path));
            self.has_reported_time = false;
        }
    }

    /// Remembers a batch with an id, and compares it with the first batch that has the same one.
    fn check_id(&mut self, id: &str, checked: &CheckedText) -> Option<(&'static str, Code, String)> {
        let first = self.remember(self.hasher.hash_one(id), checked)?;
        let content = self.content(checked);
        if first.content == content {
            return None;
        }
        let message = format!(
            "a different batch has this id, at {}; the service accepts the first one and drops the other",
            self.place(&first)
        );
        Some(("/source_request_id", Code::RepeatedId, message))
    }

    /// Remembers a batch that gets its id from its bytes and its place, and has an event without a time.
    fn check_place(&mut self, checked: &CheckedText) -> Option<(&'static str, Code, String)> {
        let id = self.hasher.hash_one((checked.position.offset, checked.text.as_slice()));
        let first = self.remember(id, checked)?;
        let message = format!(
            "the same batch without a time is at {}; both get the same id, so the service drops the second one",
            self.place(&first)
        );
        Some(("", Code::RepeatedBatch, message))
    }

    /// Remembers a batch. Returns the first one with the same id instead, if it is remembered.
    fn remember(&mut self, id: u64, checked: &CheckedText) -> Option<SeenBatch> {
        if let Some(first) = self.index.find(id, |&index| self.batches[index as usize].id == id) {
            return Some(self.batches[*first as usize]);
        }
        let FilePosition { line, column, .. } = checked.position;
        let saturated = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let file = saturated(self.files.len().saturating_sub(1) as u64);
        let batch =
            SeenBatch { id, content: self.content(checked), file, line: saturated(line), column: saturated(column) };
        let index = if self.batches.len() < self.max {
            self.batches.push(batch);
            self.batches.len() - 1
        } else {
            let replaced = self.oldest;
            let former = std::mem::replace(&mut self.batches[replaced], batch).id;
            if let Ok(entry) = self.index.find_entry(former, |&index| index as usize == replaced) {
                entry.remove();
            }
            self.forgotten += 1;
            self.oldest = (replaced + 1) % self.max;
            replaced
        };
        let batches = &self.batches;
        self.index.insert_unique(id, saturated(index as u64), |&index| batches[index as usize].id);
        None
    }

    fn content(&self, checked: &CheckedText) -> u32 {
        // The JSON value, since the layout and the order of members make no other batch.
        let hash = self.hasher.hash_one(&checked.value);
        #[expect(clippy::cast_possible_truncation, reason = "any 32 bits of a hash are one")]
        let hash = hash as u32;
        hash
    }

    fn place(&self, batch: &SeenBatch) -> String {
        let file = self.files.get(batch.file as usize).map_or("", String::as_str);
        format!("{}:{}:{}", printable(file), batch.line, batch.column)
    }
}

/// Returns the index of the first event without a time.
fn first_event_without_time(batch: &Value) -> Option<usize> {
    let mut events = batch["events"].as_array()?.iter();
    events.position(|event| event["data"]["timestamp_unixtime_ms"].is_null())
}

fn has_code(checked: &CheckedText, code: Code) -> bool {
    checked.diagnostics.iter().any(|located| located.diagnostic.code == code)
}

fn add(checked: &mut CheckedText, pointer: &str, code: Code, message: &str) {
    let range = str::from_utf8(&checked.text).map_or(0..0, |text| locate(text, pointer).value);
    let position = LineIndex::new(&checked.text, checked.position).position(range.start);
    let diagnostic = Diagnostic::new(code, pointer, message);
    let at = checked.diagnostics.partition_point(|located| located.range.start <= range.start);
    checked.diagnostics.insert(at, LocatedDiagnostic { diagnostic, position, range });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Frame, Validator};

    fn batch(id: &str, name: &str) -> String {
        format!(
            r#"{{"environment":"development","mpid":1,"source_request_id":"{id}","events":[{{"event_type":"screen_view","data":{{"screen_name":"{name}","timestamp_unixtime_ms":1767225600000}}}}]}}"#
        )
    }

    /// Returns the codes and the messages of the warnings.
    fn warnings(seen: &mut SeenBatches, file: &str, line: u64, text: &str) -> Vec<(Code, String)> {
        let position = FilePosition { offset: line * 1_000, line, column: 1 };
        let mut checked = Validator::default().check(Frame::Text { position, text: text.into() });
        seen.check(Path::new(file), &mut checked);
        checked.diagnostics.into_iter().map(|found| (found.diagnostic.code, found.diagnostic.message)).collect()
    }

    #[test]
    fn warns_of_one_id_for_different_batches_with_the_place_of_the_first() {
        let mut seen = SeenBatches::default();
        assert_eq!(warnings(&mut seen, "a", 1, &batch("u-1", "Home")), []);
        assert_eq!(warnings(&mut seen, "a", 2, &batch("u-2", "Home")), []);
        let found = warnings(&mut seen, "b", 7, &batch("u-1", "Cart"));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, Code::RepeatedId);
        assert!(found[0].1.contains("at a:1:1;"), "{}", found[0].1);
        // The same content is a repeat.
        assert_eq!(warnings(&mut seen, "b", 8, &format!(" {}\n", batch("u-1", "Home"))), []);
        assert_eq!(seen.take_repeated(), RepeatedBatches { ids: 1, batches: 0 });
        assert_eq!((seen.take_repeated(), seen.forgotten()), (RepeatedBatches::default(), 0));
    }

    #[test]
    fn layout_escapes_and_order_of_members_make_no_different_batch() {
        let text = batch("u-1", "Café");
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let pretty = serde_json::to_string_pretty(&value).expect("JSON");
        let moved = text.replacen(r#""environment":"development","#, "", 1);
        let moved = format!(r#"{},"environment":"development"}}"#, moved.strip_suffix('}').expect("an object"));
        let mut seen = SeenBatches::default();
        for (line, text) in (1..).zip([&text, &pretty, &moved, &text.replace('é', "\\u00e9")]) {
            assert_eq!(warnings(&mut seen, "a", line, text), [], "{text}");
        }
        assert_eq!(warnings(&mut seen, "a", 9, &text.replace("\"mpid\":1", "\"mpid\":2")).len(), 1);
    }

    #[test]
    fn the_table_of_ids_takes_less_than_40_mib() {
        let index = HashTable::<u32>::with_capacity(MAX_IDS).allocation_size();
        let bytes = size_of::<SeenBatch>() * MAX_IDS + index;
        assert!(bytes < 40 << 20, "{bytes}");
    }

    #[test]
    fn an_invalid_batch_takes_no_id() {
        let mut seen = SeenBatches::default();
        let invalid = batch("u-1", "Home").replace("development", "test");
        assert_eq!(warnings(&mut seen, "a", 1, &invalid).len(), 1, "its environment");
        assert_eq!(warnings(&mut seen, "a", 2, &batch("u-1", "Home")), []);
    }

    #[test]
    fn forgets_the_oldest_ids_and_counts_them() {
        let mut seen = SeenBatches::with_max(3);
        for (line, id) in (1..).zip(["1", "2", "3", "1", "4", "5"]) {
            assert_eq!(warnings(&mut seen, "a", line, &batch(id, "Home")), [], "{id}");
        }
        assert_eq!(seen.forgotten(), 2);
        // 3, 4 and 5 are left; 1 takes the place of 3.
        assert_eq!(warnings(&mut seen, "a", 7, &batch("1", "Cart")), []);
        assert_eq!(warnings(&mut seen, "a", 8, &batch("5", "Cart")).len(), 1);
        assert_eq!(warnings(&mut seen, "a", 9, &batch("1", "Home")).len(), 1);
        assert_eq!(warnings(&mut seen, "a", 10, &batch("3", "Cart")), []);
        assert_eq!((seen.forgotten(), seen.take_repeated().ids), (4, 2));
    }

    #[test]
    fn warns_once_per_file_of_events_without_a_time_and_of_their_repetition() {
        let timeless = batch("", "Home").replace(r#","timestamp_unixtime_ms":1767225600000"#, "");
        let mut seen = SeenBatches::default();
        let codes = |found: Vec<(Code, String)>| found.into_iter().map(|(code, _)| code).collect::<Vec<_>>();
        assert_eq!(codes(warnings(&mut seen, "a", 1, &timeless)), [Code::WithoutTime]);
        assert_eq!(codes(warnings(&mut seen, "a", 2, &timeless)), []);
        // The same bytes at the same place of another file get the same id.
        let found = warnings(&mut seen, "b", 2, &timeless);
        assert!(found.iter().any(|(code, message)| *code == Code::RepeatedBatch && message.contains("at a:2:1;")));
        assert_eq!(codes(found), [Code::RepeatedBatch, Code::WithoutTime]);
        assert_eq!(seen.take_repeated(), RepeatedBatches { ids: 0, batches: 1 });
        // With a time it is a repeat, and with an id it has that one.
        let timed = batch("", "Home");
        assert_eq!(warnings(&mut seen, "a", 1, &timed), []);
        assert_eq!(warnings(&mut seen, "b", 1, &timed), []);
    }
}
