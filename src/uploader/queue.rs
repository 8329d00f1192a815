//! Batches in memory, from first to last, bounded by count and by bytes. Pure: it is told the time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::ledger::Ticket;
use super::store::Record;
use super::user::{Tracked, TrackedEvent, User};
use crate::delivery::Endpoint;
use crate::limits::{MAX_BATCHES_PER_REQUEST, MAX_REQUEST_BYTES};
use crate::seal::{SealedBatch, UserKey};
use crate::time::saturating_add;

/// A batch that waits.
pub(super) struct Entry {
    pub(super) content: Content,
    pub(super) ticket: Ticket,
    pub(super) since: Instant,
}

pub(super) enum Content {
    Sealed(SealedBatch),
    /// Grows as long as it waits and is the last of its user.
    Tracked(Box<Tracked>),
    /// It is in the spool as well.
    Spooled(Box<Record>),
}

impl Content {
    /// The batch, sealed if it was not.
    pub(super) fn into_sealed(self, new_id: impl FnOnce() -> Uuid) -> SealedBatch {
        match self {
            Self::Sealed(batch) => batch,
            Self::Tracked(tracked) => tracked.seal(new_id()),
            Self::Spooled(spooled) => spooled.batch,
        }
    }
}

impl Entry {
    /// The batch, which is sealed from now on.
    pub(super) fn seal(&mut self, new_id: impl FnOnce() -> Uuid) -> SealedBatch {
        let batch = match &self.content {
            Content::Sealed(batch) => return batch.clone(),
            Content::Spooled(spooled) => return spooled.batch.clone(),
            Content::Tracked(tracked) => tracked.seal(new_id()),
        };
        self.content = Content::Sealed(batch.clone());
        batch
    }

    pub(super) fn len(&self) -> usize {
        match &self.content {
            Content::Sealed(batch) => batch.len(),
            Content::Tracked(tracked) => tracked.len(),
            Content::Spooled(spooled) => spooled.batch.len(),
        }
    }

    pub(super) fn user(&self) -> UserKey {
        match &self.content {
            Content::Sealed(batch) => batch.user(),
            Content::Tracked(tracked) => tracked.key(),
            Content::Spooled(spooled) => spooled.batch.user(),
        }
    }

    /// Where it goes, if that is not the uploader's to say.
    fn endpoint(&self) -> Option<Endpoint> {
        match &self.content {
            Content::Spooled(spooled) => Some(spooled.endpoint),
            _ => None,
        }
    }

    /// Whether memory is all that holds it.
    pub(super) fn is_held(&self) -> bool {
        !matches!(self.content, Content::Spooled(_))
    }
}

/// How much may be held in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) batches: usize,
    pub(super) bytes: usize,
}

pub(super) struct Queue {
    bounds: Bounds,
    entries: VecDeque<Entry>,
    /// The number of the first entry. Entries are numbered as they stand.
    head: i64,
    /// The last entry of a user, by its number, if it still takes events.
    open: HashMap<UserKey, i64>,
    /// Users whose batches are on their way. Theirs that come next wait here, so that the order holds.
    busy: HashMap<UserKey, VecDeque<Entry>>,
    bytes: usize,
    parked: usize,
    parked_bytes: usize,
    /// What is held by memory alone, here or on its way.
    held: usize,
    held_bytes: usize,
}

impl Queue {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            entries: VecDeque::new(),
            head: 0,
            open: HashMap::new(),
            busy: HashMap::new(),
            bytes: 0,
            parked: 0,
            parked_bytes: 0,
            held: 0,
            held_bytes: 0,
        }
    }

    /// How many batches wait and are on no way.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What waits, also behind batches of the same user that are on their way.
    pub(super) fn waiting(&self) -> Bounds {
        Bounds { batches: self.entries.len() + self.parked, bytes: self.bytes + self.parked_bytes }
    }

    /// What memory alone holds, here or on its way.
    pub(super) fn held(&self) -> Bounds {
        Bounds { batches: self.held, bytes: self.held_bytes }
    }

    /// Whether batches of so many bytes together may be held as well.
    pub(super) fn has_room(&self, batches: usize, bytes: usize) -> bool {
        self.held + batches <= self.bounds.batches && self.held_bytes + bytes <= self.bounds.bytes
    }

    /// Whether a batch of this user still takes events.
    pub(super) fn is_open(&self, user: UserKey) -> bool {
        self.open.contains_key(&user)
    }

    /// Puts a batch last. It is held from now on, unless the spool has it.
    pub(super) fn push(&mut self, entry: Entry) {
        self.hold(&entry);
        let user = entry.user();
        let number = self.head + i64::try_from(self.entries.len()).unwrap_or(i64::MAX);
        if matches!(entry.content, Content::Tracked(_)) {
            self.open.insert(user, number);
        } else {
            // An event that is tracked later has to stay behind this batch.
            self.open.remove(&user);
        }
        self.bytes += entry.len();
        self.entries.push_back(entry);
    }

    /// Puts batches first, in their order. What has to be held is held already.
    pub(super) fn put_back(&mut self, entries: impl DoubleEndedIterator<Item = Entry>) {
        for entry in entries.rev() {
            self.bytes += entry.len();
            self.head -= 1;
            self.entries.push_front(entry);
        }
    }

    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.len();
        if self.open.get(&entry.user()) == Some(&self.head) {
            self.open.remove(&entry.user());
        }
        self.head += 1;
        Some(entry)
    }

    /// Adds an event to the last batch of its user, if that takes it and there is room. Gives the batch's ticket.
    pub(super) fn grow(&mut self, user: &User, event: &TrackedEvent) -> Option<&mut Ticket> {
        let number = *self.open.get(&user.key())?;
        let growth = Tracked::growth(event);
        if !self.has_room(0, growth) {
            return None;
        }
        let place = usize::try_from(number - self.head).ok()?;
        let entry = self.entries.get_mut(place)?;
        let Content::Tracked(tracked) = &mut entry.content else { return None };
        if !tracked.takes(user, event) {
            return None;
        }
        tracked.add(event);
        self.bytes += growth;
        self.held_bytes += growth;
        Some(&mut entry.ticket)
    }

    /// No batch takes events any more: what is tracked from now on goes later.
    pub(super) fn close_all(&mut self) {
        self.open.clear();
    }

    /// Takes the oldest batch that is held and on no way, to give it up.
    pub(super) fn evict(&mut self) -> Option<Entry> {
        // What the spool has takes no room here.
        let place = self.entries.iter().position(Entry::is_held);
        let since = |place: usize| self.entries[place].since;
        let parked = self.busy.iter().filter_map(|(user, behind)| Some((behind.front()?, *user)));
        let parked =
            parked.filter(|(entry, _)| entry.is_held()).map(|(entry, user)| (entry.since, user)).min_by_key(|it| it.0);
        if let Some((parked_since, user)) = parked
            && place.is_none_or(|place| parked_since <= since(place))
        {
            let entry = self.busy.get_mut(&user)?.pop_front()?;
            self.parked -= 1;
            self.parked_bytes -= entry.len();
            self.let_go(&entry);
            return Some(entry);
        }
        let place = place?;
        if place > 0 {
            let before: Vec<_> = (0..place).filter_map(|_| self.pop()).collect();
            let entry = self.pop();
            self.put_back(before.into_iter());
            return entry.inspect(|entry| self.let_go(entry));
        }
        self.pop().inspect(|entry| self.let_go(entry))
    }

    /// Takes all that waits here, as when the spool is to have it.
    pub(super) fn take_all(&mut self) -> Vec<Entry> {
        std::iter::from_fn(|| self.pop()).collect()
    }

    /// Returns what waits here, from the first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// It is held from now on, unless the spool has it.
    pub(super) fn hold(&mut self, entry: &Entry) {
        if entry.is_held() {
            self.held += 1;
            self.held_bytes += entry.len();
        }
    }

    /// It is not held any more.
    pub(super) fn let_go(&mut self, entry: &Entry) {
        if entry.is_held() {
            self.held -= 1;
            self.held_bytes -= entry.len();
        }
    }

    /// How many batches are ready, or when they will be: a full request is at once, and all are when the first has lingered.
    pub(super) fn ready(&self, now: Instant, linger: Duration) -> Result<usize, Option<Instant>> {
        let Some(first) = self.entries.front() else {
            return Err(None);
        };
        let due = saturating_add(first.since, linger);
        if self.is_full_request() || due <= now { Ok(self.entries.len()) } else { Err(Some(due)) }
    }

    pub(super) fn is_full_request(&self) -> bool {
        self.entries.len() >= MAX_BATCHES_PER_REQUEST || self.bytes >= MAX_REQUEST_BYTES
    }

    /// Takes the batches of one request, from the first: at most so many, of one endpoint, and none of a user who has
    /// others on their way. Those are parked.
    pub(super) fn take(&mut self, most: usize, endpoint: Endpoint) -> (Endpoint, Vec<Entry>) {
        let mut taken: Vec<Entry> = Vec::new();
        let mut bytes = 1;
        let mut goes_to = None;
        let mut users = HashSet::new();
        while let Some(next) = self.entries.front() {
            let user = next.user();
            if self.busy.contains_key(&user) {
                let entry = self.pop();
                let behind = self.busy.entry(user).or_default();
                self.parked += usize::from(entry.is_some());
                self.parked_bytes += entry.as_ref().map_or(0, Entry::len);
                behind.extend(entry);
                continue;
            }
            let its = next.endpoint().unwrap_or(endpoint);
            // One that no request can carry goes alone: its fate is found on the way.
            let fits = taken.is_empty() || (taken.len() < most && bytes + next.len() < MAX_REQUEST_BYTES);
            if !fits || *goes_to.get_or_insert(its) != its {
                break;
            }
            bytes += next.len() + 1;
            users.insert(user);
            taken.extend(self.pop());
        }
        for user in users {
            self.busy.insert(user, VecDeque::new());
        }
        (goes_to.unwrap_or(endpoint), taken)
    }

    /// The batches of these users are on no way any more. What was parked behind them comes first.
    pub(super) fn landed(&mut self, users: impl Iterator<Item = UserKey>) {
        for user in users {
            if let Some(behind) = self.busy.remove(&user) {
                self.parked -= behind.len();
                self.parked_bytes -= behind.iter().map(Entry::len).sum::<usize>();
                self.put_back(behind.into_iter());
            }
        }
    }
}
