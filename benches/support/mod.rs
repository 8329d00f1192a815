//! The load of all benches, as types of this crate and as minimal structs that write the same JSON, and the comparison of two costs.
#![allow(dead_code)]

pub mod peer;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::mem;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::DateTime;
use cpu_time::ThreadTime;
use mparticle::{Batch, CustomEvent, CustomEventType, Environment, Event};
use serde::Serialize;
use uuid::Uuid;

/// The number of batches of one request.
const BATCHES: i64 = 100;
const EVENTS: i64 = 5;
const START_MS: i64 = 1_767_225_600_000;

/// Returns 100 batches of 5 custom events with 5 attributes each, as types of this crate.
pub fn batches() -> Vec<Batch> {
    batches_of(0..BATCHES)
}

/// Returns a batch of 5 custom events with 5 attributes each for each of these users, as types of this crate.
pub fn batches_of(users: Range<i64>) -> Vec<Batch> {
    users
        .map(|user| {
            Batch::new(Environment::Production).customer_id(customer_id(user)).events((0..EVENTS).map(|n| {
                CustomEvent::new(name(n), CustomEventType::Navigation)
                    .timestamp(DateTime::from_timestamp_millis(time(user, n)).expect("a time"))
                    .attribute("screen", screen(user))
                    .attribute("button", button(n))
                    .attribute("position", n)
                    .attribute("signed_in", true)
                    .attribute("scroll_depth", depth(user))
            }))
        })
        .collect()
}

/// Returns the same batches as minimal structs.
pub fn minimal() -> Vec<MinimalBatch> {
    minimal_of(0..BATCHES)
}

/// Returns the batches of these users as minimal structs.
pub fn minimal_of(users: Range<i64>) -> Vec<MinimalBatch> {
    users
        .map(|user| MinimalBatch {
            environment: "production",
            events: (0..EVENTS)
                .map(|n| MinimalEvent {
                    event_type: "custom_event",
                    data: MinimalData {
                        custom_attributes: BTreeMap::from([
                            ("screen".to_owned(), MinimalValue::String(screen(user))),
                            ("button".to_owned(), MinimalValue::String(button(n))),
                            ("position".to_owned(), MinimalValue::Integer(n)),
                            ("signed_in".to_owned(), MinimalValue::Boolean(true)),
                            ("scroll_depth".to_owned(), MinimalValue::Number(depth(user))),
                        ]),
                        custom_event_type: "navigation",
                        event_name: name(n),
                        source_message_id: None,
                        timestamp_unixtime_ms: time(user, n),
                    },
                })
                .collect(),
            source_request_id: None,
            user_identities: MinimalIdentities { customer_id: customer_id(user) },
        })
        .collect()
}

fn customer_id(user: i64) -> String {
    format!("customer-{user:06}")
}

fn name(n: i64) -> String {
    format!("Opened Product Page {n}")
}

fn screen(user: i64) -> String {
    format!("Category {user} / New Arrivals")
}

fn button(n: i64) -> String {
    format!("primary-action-{n}")
}

#[allow(clippy::cast_precision_loss)]
fn depth(user: i64) -> f64 {
    user as f64 / 128.0
}

fn time(user: i64, n: i64) -> i64 {
    START_MS + user * 1000 + n
}

#[derive(Clone, Serialize)]
pub struct MinimalBatch {
    environment: &'static str,
    events: Vec<MinimalEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_request_id: Option<String>,
    user_identities: MinimalIdentities,
}

#[derive(Clone, Serialize)]
struct MinimalIdentities {
    customer_id: String,
}

#[derive(Clone, Serialize)]
struct MinimalEvent {
    event_type: &'static str,
    data: MinimalData,
}

#[derive(Clone, Serialize)]
struct MinimalData {
    custom_attributes: BTreeMap<String, MinimalValue>,
    custom_event_type: &'static str,
    event_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_message_id: Option<String>,
    timestamp_unixtime_ms: i64,
}

#[derive(Clone, Serialize)]
#[serde(untagged)]
enum MinimalValue {
    String(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
}

/// Sets the ids that sealing would set.
pub fn stamp(batch: &mut Batch) {
    batch.source_request_id = Some(Uuid::new_v4().to_string());
    for event in &mut batch.events {
        if let Event::CustomEvent(event) = event {
            event.source_message_id = Some(Uuid::new_v4().to_string());
        }
    }
}

/// 200 different values in rotation. The 100 values that [`next`](Self::next) returns were cloned at the call before, so that they
/// are no longer in the fastest caches.
pub struct Rotation<T> {
    values: Vec<T>,
    start: usize,
    prepared: Vec<T>,
}

impl<T: Clone> Rotation<T> {
    const USERS: Range<i64> = 0..2 * BATCHES;

    fn new(values: Vec<T>) -> Self {
        let prepared = values[..values.len() / 2].to_vec();
        Self { values, start: 0, prepared }
    }

    /// Returns clones of 100 values, and prepares those of the next call.
    pub fn next(&mut self) -> Vec<T> {
        let half = self.values.len() / 2;
        // One more than a half, so that a later round has another set of values.
        self.start = (self.start + half + 1) % self.values.len();
        let next = self.values.iter().cycle().skip(self.start).take(half).cloned().collect();
        mem::replace(&mut self.prepared, next)
    }
}

impl Rotation<Batch> {
    /// Creates a rotation of batches without ids.
    pub fn batches() -> Self {
        Self::new(batches_of(Self::USERS))
    }

    /// Creates a rotation of batches that have ids.
    pub fn batches_with_ids() -> Self {
        let mut values = batches_of(Self::USERS);
        values.iter_mut().for_each(stamp);
        Self::new(values)
    }
}

impl Rotation<MinimalBatch> {
    /// Creates a rotation of minimal structs without ids.
    pub fn minimal() -> Self {
        Self::new(minimal_of(Self::USERS))
    }

    /// Creates a rotation of minimal structs that have ids.
    pub fn minimal_with_ids() -> Self {
        let mut values = minimal_of(Self::USERS);
        values.iter_mut().for_each(MinimalBatch::stamp);
        Self::new(values)
    }
}

impl MinimalBatch {
    /// Assigns random ids and writes the JSON.
    pub fn seal(mut self) -> Vec<u8> {
        self.stamp();
        serde_json::to_vec(&self).expect("JSON")
    }

    pub fn stamp(&mut self) {
        self.source_request_id = Some(Uuid::new_v4().to_string());
        for event in &mut self.events {
            event.data.source_message_id = Some(Uuid::new_v4().to_string());
        }
    }
}

/// Runs both in turn and prints the ratio of their CPU times, without the time to make their inputs.
pub fn compare<A, B, X, Y>(
    name: &str,
    limit: Option<f64>,
    rounds: usize,
    mut ours: (impl FnMut() -> A, impl FnMut(A) -> X),
    mut rival: (impl FnMut() -> B, impl FnMut(B) -> Y),
) {
    let ours = || {
        let input = (ours.0)();
        seconds(|| (ours.1)(input))
    };
    let rival = || {
        let input = (rival.0)();
        seconds(|| (rival.1)(input))
    };
    compare_seconds(name, limit, rounds, ours, rival);
}

/// Runs both in turn and prints the ratio of the times that they return, in seconds.
pub fn compare_seconds(
    name: &str,
    limit: Option<f64>,
    rounds: usize,
    ours: impl FnMut() -> f64,
    rival: impl FnMut() -> f64,
) {
    let measured = measure(rounds, ours, rival);
    let Measured { ratio, ours, rival } = measured;
    println!("{name}");
    println!(
        "  ratio {ratio:.3} (median of {rounds}), {:.3} (shortest of each); {}",
        ours / rival,
        limit_text(ratio, limit)
    );
    println!("  ours {:.1} us, rival {:.1} us of CPU (shortest)", ours * 1e6, rival * 1e6);
}

/// The result of a comparison.
pub struct Measured {
    /// The median ratio of all rounds.
    pub ratio: f64,
    /// The shortest run, in seconds.
    pub ours: f64,
    /// The shortest run of the rival, in seconds.
    pub rival: f64,
}

/// Runs both in turn and returns the ratio of the times that they return, in seconds. Each round runs both once, in
/// alternating order.
pub fn measure(rounds: usize, mut ours: impl FnMut() -> f64, mut rival: impl FnMut() -> f64) -> Measured {
    let mut times = Vec::with_capacity(rounds);
    for round in 0..rounds + rounds / 10 {
        let pair = if round % 2 == 0 {
            let ours = ours();
            (ours, rival())
        } else {
            let rival = rival();
            (ours(), rival)
        };
        // The first tenth warms up.
        if round >= rounds / 10 {
            times.push(pair);
        }
    }
    let mut ratios: Vec<_> = times.iter().map(|(ours, rival)| ours / rival).collect();
    ratios.sort_by(f64::total_cmp);
    let shortest = |side: fn(&(f64, f64)) -> f64| times.iter().map(side).fold(f64::INFINITY, f64::min);
    Measured { ratio: ratios[ratios.len() / 2], ours: shortest(|pair| pair.0), rival: shortest(|pair| pair.1) }
}

/// Prints a ratio and its limit.
#[allow(dead_code)]
pub fn check_limit(name: &str, ratio: f64, limit: f64) {
    println!("{name}\n  ratio {ratio:.3}; {}", limit_text(ratio, Some(limit)));
}

fn limit_text(ratio: f64, limit: Option<f64>) -> String {
    match limit {
        None => "no limit is set".to_owned(),
        Some(limit) if keep_limit(ratio, limit) => format!("at most {limit}: kept"),
        Some(limit) => format!("at most {limit}: EXCEEDED"),
    }
}

/// Returns whether a ratio is within its limit. If it is not, the bench fails.
pub fn keep_limit(ratio: f64, limit: f64) -> bool {
    if ratio > limit {
        EXCEEDED.store(true, Ordering::Relaxed);
    }
    ratio <= limit
}

static EXCEEDED: AtomicBool = AtomicBool::new(false);

/// Returns the exit code of a bench: 0 if all limits so far were kept.
pub fn exit_code() -> ExitCode {
    if EXCEEDED.load(Ordering::Relaxed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Returns the resident memory of this process in bytes, if the system has /proc.
pub fn resident_bytes() -> Option<f64> {
    memory("VmRSS:")
}

/// Returns the peak resident memory of this process in bytes, if the system has /proc.
pub fn peak_bytes() -> Option<f64> {
    memory("VmHWM:")
}

fn memory(key: &str) -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix(key))?.trim().strip_suffix(" kB")?;
    kilobytes.parse().ok().map(|kilobytes: f64| kilobytes * 1024.0)
}

/// Returns the CPU seconds that this thread needs for `work`, including the release of the memory that it frees.
pub fn seconds<T>(work: impl FnOnce() -> T) -> f64 {
    settle();
    let start = ThreadTime::now();
    let result = counted(work);
    let elapsed = start.elapsed();
    // Dropping the result is not measured.
    drop(black_box(result));
    elapsed.as_secs_f64()
}

/// Runs `work`, in a function of its own, so that callgrind can count its instructions alone: `--toggle-collect='*counted*'`.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> T) -> T {
    let result = work();
    settle();
    result
}

/// Makes the allocator finish what it has deferred: glibc merges small freed blocks with their neighbours only at the next large
/// allocation. Each side thus pays for all that it frees, whether it allocates afterwards or not, and for nothing else.
fn settle() {
    drop(black_box(Vec::<u8>::with_capacity(4096)));
}
