//! Starts a task again that panicked, or ended untold: a bug in one stream must neither end that stream nor touch the others.

use std::time::Duration;

use super::Stop;

/// The pause before a task is started again: doubled with each panic in a row, so that one that always panics does not spin.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A task that ran this long before it panicked is paused for as if it were the first time.
const STEADY: Duration = Duration::from_secs(600);

/// Runs the task that `make` makes, and makes another one whenever it ends without having been told to. Returns when the task ends
/// after `stop` was requested, or when that happens during a pause. `failed` is called at each such end with the pause that follows.
pub async fn keep_alive<F>(stop: &Stop, mut make: impl FnMut() -> F, mut failed: impl FnMut(Duration))
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let started = tokio::time::Instant::now();
        let mut task = AbortOnDrop::spawn(make());
        let ended = (&mut task.0).await;
        if ended.is_ok() && stop.is_requested() {
            return;
        }
        if started.elapsed() > STEADY {
            pause = FIRST_PAUSE;
        }
        failed(pause);
        tokio::select! {
            () = stop.requested() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// A spawned task that does not outlive who waits for it.
#[derive(Debug)]
pub struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl AbortOnDrop {
    /// Spawns it.
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task))
    }

    /// Returns when it has ended, in whatever way. Cancel-safe.
    pub async fn ended(&mut self) {
        if !self.is_finished() {
            let _ = (&mut self.0).await;
        }
    }

    /// Ends it where it is. Returns when it has ended.
    pub async fn end_here(&mut self) {
        self.0.abort();
        self.ended().await;
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::stream::stop_switch;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_fails_is_started_again_after_ever_longer_pauses_until_it_ends_as_told() {
        let (switch, stop) = stop_switch();
        let runs = Arc::new(AtomicU32::new(0));
        let mut pauses = Vec::new();
        let make = || {
            let (runs, switch) = (runs.clone(), switch.clone());
            async move {
                match runs.fetch_add(1, Ordering::Relaxed) {
                    0 => {} // ends untold
                    1 | 2 => panic!("planted"),
                    _ => switch.stop(),
                }
            }
        };
        keep_alive(&stop, make, |pause| pauses.push(pause.as_secs())).await;
        assert_eq!(runs.load(Ordering::Relaxed), 4);
        assert_eq!(pauses, [1, 2, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_pause() {
        let (switch, stop) = stop_switch();
        let mut failures = 0;
        let failed = |_| {
            failures += 1;
            if failures == 5 {
                switch.stop();
            }
        };
        keep_alive(&stop, || async { panic!("planted") }, failed).await;
        assert_eq!(failures, 5);
    }
}
