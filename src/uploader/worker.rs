//! The worker: takes what is ready, has it delivered, and accounts for what became of it.
//!
//! [`run`] is an async function over a road, tokio's clock and a source of random numbers. [`start`] is the shell around it:
//! a thread with a runtime of its own, in which the client makes an HTTP client of its own. So it works beside any runtime
//! and without one, and never waits for a caller's.

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Uploader;
use super::ledger::Place;
use super::outcome::{Fate, Outcome};
use super::queue::{Content, Entry};
use super::settings::Settings;
use super::shared::{Phase, Shared, Wake};
use super::spooling::Spooling;
use super::store::Store;
use super::telemetry::Narrator;
use crate::client::HttpTransport;
use crate::delivery::{
    self, AdaptiveConfig, AdaptiveLimiter, ClientLimiter, Deliverer, Endpoint, Fate as Delivery, Permit, RetryPolicy,
    Transport,
};
use crate::error::Error;
use crate::generated::types::ApiError;
use crate::limits::MAX_BATCHES_PER_REQUEST;
use crate::seal::{SealedBatch, UserKey};
use crate::time::saturating_add;

/// How long to wait before reading from a spool again that could not be read.
const READ_DELAY: Duration = Duration::from_secs(1);

/// How many bytes are written again at the end before it waits until the disk has confirmed them.
const REWRITE_BYTES: usize = 1 << 20;

/// Starts the thread.
pub(super) fn start(
    deliverer: Deliverer<HttpTransport, ClientLimiter>,
    settings: Settings,
    store: Option<Arc<dyn Store>>,
) -> Result<Uploader, Error> {
    let refused = |error| Error::config("no thread can be had to send from").with_source(error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
    {
        // The HTTP client of this runtime, so that one that cannot be made is found now.
        let _inside = runtime.enter();
        deliverer.transport.prepare()?;
    }
    let shared = Arc::new(Shared::new(settings, store));
    let worker = run(Arc::clone(&shared), deliverer);
    let thread = thread::Builder::new().name("mparticle-uploader".into());
    let serve = move || {
        runtime.block_on(worker);
        // A name that is being looked up for a request that was broken off is not waited for.
        runtime.shutdown_background();
    };
    let thread = thread.spawn(serve).map_err(refused)?;
    Ok(Uploader::new(shared, Some(thread)))
}

/// However the worker ends, nobody waits for it after that.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Delivers until the uploader is shut down.
pub(super) async fn run<R: Transport + Clone + 'static>(shared: Arc<Shared>, client: Deliverer<R, ClientLimiter>) {
    let _end = End(Arc::clone(&shared));
    let Settings { rates, max_probe_interval, .. } = shared.settings;
    let limiter = AdaptiveLimiter::new(AdaptiveConfig { rates, max_probe_interval }, &client.limiter);
    let limiter = Arc::clone(shared.limiter.get_or_init(|| Arc::new(limiter)));
    // What can succeed later is sent again for as long as it takes: the limiter keeps an outage from being made worse.
    let Deliverer { transport, observer, .. } = client;
    let deliverer = Deliverer { transport, limiter, policy: RetryPolicy::unlimited(), observer };
    let (flights, under_way) = (JoinSet::new(), HashMap::new());
    let mut worker = Worker { shared, deliverer, flights, under_way, read_again: None, narrator: Narrator::default() };
    worker.work().await;
    worker.end().await;
}

struct Worker<R> {
    shared: Arc<Shared>,
    deliverer: Deliverer<R, Arc<AdaptiveLimiter>>,
    flights: JoinSet<delivery::Outcome>,
    under_way: HashMap<Id, Flight>,
    /// When to read from the spool again, after it failed.
    read_again: Option<Instant>,
    narrator: Narrator,
}

/// A request on its way.
struct Flight {
    endpoint: Endpoint,
    entries: Vec<Entry>,
    batches: Arc<Vec<SealedBatch>>,
}

impl<R: Transport + Clone + 'static> Worker<R> {
    async fn work(&mut self) {
        let (shared, limiter) = (Arc::clone(&self.shared), Arc::clone(&self.deliverer.limiter));
        loop {
            // Made before the look at what there is to do, so that nothing new is missed.
            let (work, changed) = (shared.work.notified(), limiter.changed.notified());
            self.read_ahead();
            let look_again = self.look();
            shared.warn();
            let look_again = self.narrate().map_or(look_again, |due| look_again.min(due));
            if self.is_over() {
                return;
            }
            tokio::select! {
                Some(landed) = self.flights.join_next_with_id() => self.land(landed),
                () = confirmed(&shared) => {}
                () = work => {}
                () = changed => {}
                () = sleep_until(look_again) => {}
            }
        }
    }

    /// Does what is to be done now, and tells when to look again at the latest.
    fn look(&mut self) -> Instant {
        let now = Instant::now();
        let far = saturating_add(now, Duration::from_secs(3600));
        let shared = Arc::clone(&self.shared);
        let settings = &shared.settings;
        let mut state = shared.lock();
        state.admit_waiters(settings, now);
        let mut look_again = [state.waiters_until(), self.read_again].into_iter().flatten().fold(far, Instant::min);
        for flush in &state.flushes {
            look_again = look_again.min(flush.until);
        }
        let hurry = !state.flushes.is_empty() || state.phase != Phase::Running;
        let linger = if hurry { Duration::ZERO } else { settings.linger };
        if let Some(spooling) = &mut state.spooling {
            match spooling.intake.ready(now, linger) {
                Ok(_) => spooling.write_intake(settings),
                Err(due) => look_again = look_again.min(due.unwrap_or(far)),
            }
        }
        state.wake = Wake::Never;
        while state.stopped.is_none() && self.flights.len() < settings.concurrency {
            let ready = match state.queue.ready(now, linger) {
                Ok(ready) => ready,
                Err(due) => {
                    state.wake = if due.is_some() { Wake::WhenFull } else { Wake::AtOnce };
                    look_again = look_again.min(due.unwrap_or(far));
                    break;
                }
            };
            match self.deliverer.limiter.poll_ready(ready) {
                Ok(room) => {
                    let (endpoint, entries) = state.queue.take(room.min(MAX_BATCHES_PER_REQUEST), settings.endpoint);
                    if entries.is_empty() {
                        // All that waited is parked behind batches on their way. Whatever comes next is new.
                        state.wake = Wake::AtOnce;
                        break;
                    }
                    let permit = self.deliverer.limiter.begin(entries.len());
                    self.launch(endpoint, entries, permit);
                }
                Err(until) => {
                    look_again = look_again.min(until.unwrap_or(far));
                    break;
                }
            }
        }
        look_again
    }

    fn launch(&mut self, endpoint: Endpoint, mut entries: Vec<Entry>, permit: Permit) {
        let new_id = || self.shared.settings.new_id();
        let batches: Arc<Vec<_>> = Arc::new(entries.iter_mut().map(|entry| entry.seal(new_id)).collect());
        let (deliverer, sent) = (self.deliverer.clone(), Arc::clone(&batches));
        let flight = self.flights.spawn(async move { deliverer.deliver_with(endpoint, &sent, Some(permit)).await });
        self.under_way.insert(flight.id(), Flight { endpoint, entries, batches });
    }

    /// Accounts for a request that has ended.
    fn land(&mut self, landed: Result<(Id, delivery::Outcome), JoinError>) {
        let (id, outcome) = match landed {
            Ok((id, outcome)) => (id, Ok(outcome)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(Flight { endpoint, entries, batches }) = self.under_way.remove(&id) else { return };
        let unread_responses = outcome.as_ref().map_or(0, |outcome| outcome.unread_responses);
        let (fates, accepted, stopped) = match outcome {
            Ok(outcome) => (outcome.fates, outcome.accepted, outcome.stopped),
            // Nobody's road should panic. If one does, nothing is known of its batches, and their ids make sending safe.
            Err(error) => {
                let stopped = Error::config("the sending broke off").with_source(error);
                (entries.iter().map(|_| None).collect(), None, Some(stopped))
            }
        };
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut unsent = Vec::new();
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        if let Some(accepted) = accepted {
            state.rate_limit_used = accepted.rate_limit_used();
        }
        state.ledger.add_unread_responses(unread_responses);
        state.queue.landed(entries.iter().map(Entry::user));
        for ((entry, batch), fate) in entries.into_iter().zip(batches.iter()).zip(fates) {
            let Some(fate) = fate else {
                unsent.push(entry);
                continue;
            };
            let number = match &entry.content {
                Content::Spooled(spooled) => Some(spooled.number),
                _ => None,
            };
            let from = if number.is_some() { Place::Spool } else { Place::Memory };
            let store = state.spooling.as_ref().map(|spooling| &spooling.store);
            let (to, fate) = match fate {
                Delivery::Delivered => {
                    if let (Some(store), Some(number)) = (store, number) {
                        store.acknowledge(number);
                    }
                    (Place::Delivered, Fate::Delivered)
                }
                Delivery::Rejected(error) => {
                    if let Some(store) = store {
                        store.bury(endpoint, batch, &why(&error), number);
                    }
                    (Place::Rejected, Fate::Rejected(error))
                }
            };
            state.ledger.moved(entry.ticket, from, to);
            state.queue.let_go(&entry);
            outcomes.push(Outcome::new(batch.clone(), entry.ticket.submissions(), fate));
        }
        state.queue.put_back(unsent.into_iter());
        // Who waits for the room that there is now comes before whoever asks for it next.
        state.admit_waiters(&self.shared.settings, Instant::now());
        if let Some(error) = &stopped {
            state.stopped = Some(error.clone());
        }
        self.shared.unlock(guard);
        if let Some(error) = stopped {
            tracing::error!(%error, "the uploader has stopped sending and keeps everything: check the key and the base URL, then call resume() or restart");
        }
        self.shared.teller.tell(outcomes);
    }

    /// Tells the counts to who listens, or when to tell them. Without the lock: what a subscriber does is its author's.
    fn narrate(&mut self) -> Option<Instant> {
        if !Narrator::is_heard() {
            return None;
        }
        let measures = self.shared.lock().measures();
        self.narrator.tell(measures, Instant::now())
    }

    /// Reads from the spool what can soon be sent, and accounts for what the spool gave up.
    fn read_ahead(&mut self) {
        let store = match &self.shared.lock().spooling {
            Some(spooling) => Arc::clone(&spooling.store),
            None => return,
        };
        self.account_for_given_up(store.as_ref());
        if self.read_again.is_some_and(|at| Instant::now() < at) {
            return;
        }
        self.read_again = None;
        loop {
            {
                let mut guard = self.shared.lock();
                let state = &mut *guard;
                let Some(spooling) = &mut state.spooling else { return };
                spooling.queue_failed(&mut state.queue);
                if !spooling.wants_record(&state.queue) || state.stopped.is_some() {
                    return;
                }
                spooling.reading = true;
            }
            // Without the lock: this reads from the disk.
            let record = store.next();
            let mut guard = self.shared.lock();
            let state = &mut *guard;
            let Some(spooling) = &mut state.spooling else { return };
            match record {
                Ok(Some(record)) => spooling.read(record, &mut state.ledger, &mut state.queue),
                Ok(None) => return spooling.end_reading(&mut state.queue),
                Err(error) => {
                    spooling.end_reading(&mut state.queue);
                    drop(guard);
                    tracing::warn!(%error, "the spool could not be read");
                    self.read_again = Some(saturating_add(Instant::now(), READ_DELAY));
                    return;
                }
            }
        }
    }

    fn account_for_given_up(&self, store: &dyn Store) {
        let given_up = store.given_up();
        if !given_up.is_empty() {
            let mut guard = self.shared.lock();
            let state = &mut *guard;
            let told = state.spooling.as_mut().map(|spooling| spooling.give_up(given_up, &mut state.ledger));
            self.shared.unlock(guard);
            self.shared.teller.tell(told.unwrap_or_default());
        }
    }

    /// Answers those whose flush is over. Whether that was the end.
    fn is_over(&self) -> bool {
        let now = Instant::now();
        let idle = self.flights.is_empty();
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        let stuck = state.stopped.is_some() && idle;
        let mut ended = false;
        for flush in mem::take(&mut state.flushes) {
            let over = stuck || flush.until <= now || state.ledger.is_over(flush.epoch);
            ended |= over && flush.closes;
            if over && !flush.closes {
                flush.promise.complete(state.ledger.counts());
            } else {
                state.flushes.push(flush);
            }
        }
        ended
    }

    /// The time is over, or everything is done. What is on its way is broken off, and stays where it can be found.
    async fn end(&mut self) {
        self.flights.abort_all();
        {
            let mut guard = self.shared.lock();
            let state = &mut *guard;
            for (_, Flight { entries, .. }) in self.under_way.drain() {
                state.queue.landed(entries.iter().map(Entry::user));
                state.queue.put_back(entries.into_iter());
            }
        }
        self.spool_what_is_left().await;
        let measures = self.shared.lock().measures();
        self.narrator.tell_now(measures, Instant::now());
    }

    /// At the end: hands to the disk what memory alone holds, and has it note what is done.
    async fn spool_what_is_left(&self) {
        let Some(store) = self.shared.lock().spooling.as_ref().map(|spooling| Arc::clone(&spooling.store)) else {
            return;
        };
        // A disk that takes longer gets no more time: what it has not confirmed counts as pending.
        let until = saturating_add(Instant::now(), self.shared.lock().grace);
        let looking = Arc::clone(&store);
        // On a thread of its own: a disk that hangs is not waited for.
        let _ = timeout_at(until, spawn_blocking(move || looking.find_vanished())).await;
        self.account_for_given_up(store.as_ref());
        if self.shared.lock().has_older() {
            // What the disk was handed before may be newer, and comes before what follows.
            let _ = timeout_at(until, all_confirmed(&self.shared)).await;
        }
        let last = store.last();
        loop {
            let users = self.shared.lock().spool_all(&self.shared.settings);
            self.spool_failed(store.as_ref(), last, users, until).await;
            let confirmed = timeout_at(until, all_confirmed(&self.shared)).await.is_ok();
            // A full spool may have given up others for these.
            self.account_for_given_up(store.as_ref());
            if !confirmed || !self.shared.lock().has_given_up() {
                break;
            }
        }
        {
            let mut state = self.shared.lock();
            state.recall_given_up();
            if let Some(spooling) = &mut state.spooling {
                spooling.end_rewriting();
            }
        }
        if let Some(saved) = store.checkpoint() {
            // The program may end without dropping the uploader.
            let _ = timeout_at(until, saved).await;
        }
    }

    /// At the end: hands to the disk what it failed to write, each batch behind its older records. Newer records of these
    /// users up to `last` are written again behind it, so that each user's order holds, as far as the time suffices.
    async fn spool_failed(&self, store: &dyn Store, last: Option<u64>, mut users: HashSet<UserKey>, until: Instant) {
        let has_failed = self.shared.lock().spooling.as_ref().is_some_and(Spooling::has_failed);
        if has_failed || !users.is_empty() {
            while let Some(unconfirmed) = self.rewrite_next(store, last, &mut users) {
                if unconfirmed > REWRITE_BYTES {
                    let _ = timeout_at(until, all_confirmed(&self.shared)).await;
                }
                if Instant::now() >= until {
                    if let Some(spooling) = &mut self.shared.lock().spooling {
                        spooling.fail_rewriting();
                    }
                    break;
                }
            }
        }
        if let Some(spooling) = &mut self.shared.lock().spooling {
            spooling.append_failed_before(u64::MAX, &self.shared.settings, &mut users);
        }
    }

    /// Reads the next record up to `last`, and writes it once more if it is of one of these users. Returns how many bytes the
    /// disk has not confirmed, and nothing when there is no such record.
    fn rewrite_next(&self, store: &dyn Store, last: Option<u64>, users: &mut HashSet<UserKey>) -> Option<usize> {
        let record = store.next();
        let mut state = self.shared.lock();
        let spooling = state.spooling.as_mut()?;
        let Ok(record) = record else {
            spooling.fail_rewriting();
            return None;
        };
        let record = record.filter(|record| Some(record.number) <= last)?;
        spooling.append_failed_before(record.number, &self.shared.settings, users);
        if users.contains(&record.batch.user()) {
            spooling.rewrite(&record);
        }
        Some(spooling.unconfirmed_bytes())
    }
}

/// Waits until the disk has confirmed, or failed to write, everything that was handed to it.
async fn all_confirmed(shared: &Shared) {
    while shared.lock().spooling.as_ref().is_some_and(|spooling| !spooling.is_settled()) {
        confirmed(shared).await;
    }
}

/// Waits until the disk has confirmed something.
async fn confirmed(shared: &Shared) {
    poll_fn(|context| {
        let mut guard = shared.lock();
        let state = &mut *guard;
        let Some(spooling) = &mut state.spooling else { return Poll::Pending };
        let settled = spooling.settle(context, &mut state.ledger, &mut state.queue);
        if settled.is_ready() {
            shared.unlock(guard);
        }
        settled
    })
    .await;
}

/// The words for a person who looks into the dead letters.
fn why(error: &Error) -> String {
    let words = |error: &ApiError| match (error.code.as_str(), error.message.as_str()) {
        ("", "") => String::new(),
        (words, "") | ("", words) => format!("; {words}"),
        (code, message) => format!("; {code}: {message}"),
    };
    std::iter::once(error.message().to_owned()).chain(error.api_errors().iter().map(words)).collect()
}
