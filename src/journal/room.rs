//! How much may be appended: a bound for each stream, and one for all of them together.
//!
//! A stream takes from a small part that is its own before it takes from what all share, so that a stream whose backlog grows and
//! grows leaves the others room to work in. Who waits is served in turn.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, TryAcquireError};

/// Bytes that may be taken, and are given back.
#[derive(Debug)]
pub struct Room {
    bytes: u64,
    free: Semaphore,
    /// What is given back before anything is free again: more was held at a start than there is room for now.
    debt: Mutex<u64>,
}

/// The room is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl Room {
    /// Room for `bytes`, at least one, of which `held` are taken. That may be more than all.
    pub fn new(bytes: u64, held: u64) -> Self {
        let bytes = bytes.clamp(1, Semaphore::MAX_PERMITS as u64);
        Self {
            bytes,
            free: Semaphore::new(bytes.saturating_sub(held) as usize),
            debt: Mutex::new(held.saturating_sub(bytes)),
        }
    }

    /// What taking room for `size` takes: never more than there is, so that what is larger gets in when all is free.
    const fn share_of(&self, size: u64) -> u32 {
        let most = if self.bytes < u32::MAX as u64 {
            self.bytes
        } else {
            u32::MAX as u64
        };
        if size < most { size as u32 } else { most as u32 }
    }

    /// Takes room for `size` if there is some, and nobody was here before.
    pub fn try_take(&self, size: u64) -> Result<Option<u64>, Closed> {
        let share = self.share_of(size);
        match self.free.try_acquire_many(share) {
            Ok(permit) => {
                permit.forget();
                Ok(Some(u64::from(share)))
            }
            Err(TryAcquireError::NoPermits) => Ok(None),
            Err(TryAcquireError::Closed) => Err(Closed),
        }
    }

    /// Waits for room for `size`, and says what was taken. Nothing is if the future is dropped.
    pub async fn take(&self, size: u64) -> Result<u64, Closed> {
        let share = self.share_of(size);
        let permit = self.free.acquire_many(share).await.map_err(|_| Closed)?;
        permit.forget();
        Ok(u64::from(share))
    }

    /// Takes `bytes` that are held already, whether there is room for them or not.
    pub fn force(&self, bytes: u64) {
        let mut debt = self.debt();
        let taken = self.free.forget_permits(usize::try_from(bytes).unwrap_or(usize::MAX));
        *debt += bytes - taken as u64;
    }

    /// Gives back what was taken.
    pub fn give_back(&self, bytes: u64) {
        let mut debt = self.debt();
        let paid = bytes.min(*debt);
        *debt -= paid;
        self.free.add_permits((bytes - paid) as usize);
    }

    /// Wakes all who wait, and lets nobody in any more.
    pub fn close(&self) {
        self.free.close();
    }

    fn debt(&self) -> MutexGuard<'_, u64> {
        // Nothing panics while it holds the lock, so a poisoned one is as good as any.
        self.debt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What something takes up of each room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    /// Of all that the stream may hold.
    pub stream: u64,
    /// Of the stream's own part.
    pub own: u64,
    /// Of what all share.
    pub shared: u64,
}

impl Charge {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            stream: self.stream + other.stream,
            own: self.own + other.own,
            shared: self.shared + other.shared,
        }
    }
}

/// The rooms of one stream.
#[derive(Debug)]
pub struct StreamRoom {
    stream: Room,
    own: Room,
    own_bytes: u64,
    shared: Arc<Room>,
    /// Has no permits, and is there to be closed.
    open: Semaphore,
}

impl StreamRoom {
    /// Room for `most` bytes, of which `own` are the stream's own, and the others come out of `shared`.
    pub fn new(most: u64, own: u64, shared: Arc<Room>) -> Self {
        Self {
            stream: Room::new(most, 0),
            own: Room::new(own, 0),
            own_bytes: own,
            shared,
            open: Semaphore::new(0),
        }
    }

    /// The charge for `bytes` that are on disk already, of which `of_own` are charged to the stream's own part so far.
    pub fn charge_for_held(&self, bytes: u64, of_own: u64) -> Charge {
        let own = bytes.min(self.own_bytes.saturating_sub(of_own));
        let charge = Charge {
            stream: bytes,
            own,
            shared: bytes - own,
        };
        self.stream.force(charge.stream);
        self.own.force(charge.own);
        self.shared.force(charge.shared);
        charge
    }

    /// Takes room for `size` if there is some at once.
    pub fn try_take(&self, size: u64) -> Result<Option<Charge>, Closed> {
        let Some(stream) = self.stream.try_take(size)? else {
            return Ok(None);
        };
        let part = Part { room: self, stream };
        if let Some(charge) = part.try_rest(size)? {
            return Ok(Some(part.complete(charge)));
        }
        Ok(None)
    }

    /// Waits for room for `size`.
    pub async fn take(&self, size: u64) -> Result<Charge, Closed> {
        let stream = self.stream.take(size).await?;
        // Given back if this future is dropped.
        let part = Part { room: self, stream };
        if let Some(charge) = part.try_rest(size)? {
            return Ok(part.complete(charge));
        }
        let own = async {
            if size > self.own_bytes {
                // Never granted: only ends when the room is closed.
                let _ = self.open.acquire().await;
                return Err(Closed);
            }
            self.own.take(size).await
        };
        let rest = tokio::select! {
            own = own => Charge { own: own?, ..Charge::default() },
            shared = self.shared.take(size) => Charge { shared: shared?, ..Charge::default() },
        };
        Ok(part.complete(rest))
    }

    /// Gives back what was taken.
    pub fn give_back(&self, charge: Charge) {
        self.shared.give_back(charge.shared);
        self.own.give_back(charge.own);
        self.stream.give_back(charge.stream);
    }

    /// Wakes all of the stream who wait, and lets nobody in any more.
    pub fn close(&self) {
        self.stream.close();
        self.own.close();
        self.open.close();
    }
}

/// Room in the stream, while room for the same is still wanted elsewhere.
struct Part<'r> {
    room: &'r StreamRoom,
    stream: u64,
}

impl Part<'_> {
    fn try_rest(&self, size: u64) -> Result<Option<Charge>, Closed> {
        if size <= self.room.own_bytes
            && let Some(own) = self.room.own.try_take(size)?
        {
            return Ok(Some(Charge {
                own,
                ..Charge::default()
            }));
        }
        let shared = self.room.shared.try_take(size)?;
        Ok(shared.map(|shared| Charge {
            shared,
            ..Charge::default()
        }))
    }

    fn complete(mut self, rest: Charge) -> Charge {
        let stream = std::mem::take(&mut self.stream);
        Charge { stream, ..rest }
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        self.room.stream.give_back(self.stream);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn polled<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_greedy_stream_leaves_the_others_what_is_their_own() {
        let shared = Arc::new(Room::new(100, 0));
        let greedy = StreamRoom::new(1000, 20, shared.clone());
        let modest = StreamRoom::new(1000, 20, shared);
        let mut held = Vec::new();
        while let Some(charge) = greedy.try_take(10).unwrap() {
            held.push(charge);
        }
        assert_eq!(held.len(), 12);
        let mut waiting = pin!(greedy.take(10));
        assert!(polled(waiting.as_mut()).is_none());
        let charge = modest.try_take(10).unwrap().expect("its own part is free");
        assert_eq!((charge.stream, charge.own, charge.shared), (10, 10, 0));
        greedy.give_back(held[0]);
        assert!(polled(waiting.as_mut()).unwrap().is_ok());
    }

    #[test]
    fn what_was_taken_for_a_wait_that_is_given_up_is_free_again() {
        let room = StreamRoom::new(100, 10, Arc::new(Room::new(10, 0)));
        let first = room.try_take(15).unwrap().expect("all that is shared");
        {
            let mut waiting = pin!(room.take(50));
            assert!(polled(waiting.as_mut()).is_none());
        }
        room.give_back(first);
        assert!(room.try_take(100).unwrap().is_some());
    }

    #[test]
    fn more_than_there_is_room_for_is_paid_off_first() {
        let room = StreamRoom::new(100, 30, Arc::new(Room::new(50, 0)));
        let first = room.charge_for_held(90, 0);
        assert_eq!((first.own, first.shared), (30, 60));
        let second = room.charge_for_held(40, 30);
        assert_eq!(room.try_take(1), Ok(None));
        room.give_back(second);
        assert_eq!(room.try_take(1), Ok(None), "ten are owed to what is shared");
        room.give_back(first);
        assert!(room.try_take(100).unwrap().is_some());
    }

    #[test]
    fn closing_one_stream_wakes_its_own_and_nobody_else() {
        let shared = Arc::new(Room::new(10, 10));
        let (one, other) = (StreamRoom::new(100, 1, shared.clone()), StreamRoom::new(100, 1, shared));
        let (mut ours, mut theirs) = (pin!(one.take(20)), pin!(other.take(20)));
        assert!(polled(ours.as_mut()).is_none() && polled(theirs.as_mut()).is_none());
        one.close();
        assert_eq!(polled(ours.as_mut()), Some(Err(Closed)));
        assert!(polled(theirs.as_mut()).is_none());
    }
}
