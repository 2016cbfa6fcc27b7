//! Files that may change while we run, read anew each time they are needed, off the async threads.
//!
//! Promise: a disk that hangs costs whoever needs the file a second at the most, and takes one thread, however many ask. (Leases and the
//! journal need the threads that may block.)

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::settings::{SecretError, SecretSource};

/// How long a reading is waited for. It may take longer; then the next one waits for its end.
pub(super) const LONGEST_READING: Duration = Duration::from_secs(1);

/// Reads the files of one user of them, one reading at a time. Clones share the turn.
#[derive(Clone, Debug, Default)]
pub(super) struct FileReader(Arc<Mutex<()>>);

/// Why nothing was read.
#[derive(Debug)]
pub(super) enum NotRead {
    /// It took too long. The reading goes on, and the next one waits for it.
    Late,
    /// It broke off, which has been reported.
    Failed(String),
}

impl FileReader {
    /// What `read`, which may block, brings within `limit`.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        limit: Duration,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotRead> {
        let turn = self.0.clone();
        let reading = async move {
            let turn = turn.lock_owned().await;
            let reading = tokio::task::spawn_blocking(move || {
                // Until the thread is free again, and not only until nobody waits any more.
                let _turn = turn;
                read()
            });
            reading.await
        };
        let read = timeout(limit, reading).await.map_err(|_| NotRead::Late)?;
        read.map_err(|error| NotRead::Failed(error.to_string()))
    }

    /// Keeps everybody from reading, as a disk that hangs does.
    #[cfg(test)]
    pub(super) async fn hang(&self) -> tokio::sync::OwnedMutexGuard<()> {
        self.0.clone().lock_owned().await
    }

    /// A secret as it is now, read by `read`.
    ///
    /// # Errors
    /// It cannot be read, is none, or did not come in time. It may be in the middle of its rotation: tried again later.
    pub(super) async fn secret(
        &self,
        source: &SecretSource,
        read: impl FnOnce(&SecretSource) -> Result<SecretString, SecretError> + Send + 'static,
    ) -> Result<SecretString, String> {
        let told = |error: SecretError| error.to_string();
        let SecretSource::File(path) = source else {
            return read(source).map_err(told);
        };
        let source = source.clone();
        match self.read(LONGEST_READING, move || read(&source)).await {
            Ok(secret) => secret.map_err(told),
            Err(NotRead::Failed(why)) => Err(why),
            Err(NotRead::Late) => Err(format!(
                "the secret file {} could not be read within {LONGEST_READING:?}: see to the disk that it is on",
                path.display()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn a_file_that_hangs_takes_one_thread_and_a_second_of_each_who_asks() {
        static READINGS: AtomicUsize = AtomicUsize::new(0);
        let reader = FileReader::default();
        let source = SecretSource::File("/hangs".into());
        let (release, hang) = mpsc::channel::<()>();
        let hanging = move |_: &SecretSource| {
            READINGS.fetch_add(1, Ordering::Relaxed);
            let _ = hang.recv();
            Ok(SecretString::from("late"))
        };
        let error = reader.secret(&source, hanging).await.unwrap_err();
        assert!(error.contains("/hangs") && error.contains("within 1s"), "{error}");
        for _ in 0..2 {
            let impatient = |_: &SecretSource| {
                READINGS.fetch_add(1, Ordering::Relaxed);
                Ok(SecretString::from("early"))
            };
            assert!(reader.secret(&source, impatient).await.is_err());
        }
        assert_eq!(READINGS.load(Ordering::Relaxed), 1);
        drop(release);
        let read = reader.secret(&source, |_| Ok(SecretString::from("good"))).await;
        assert!(read.is_ok());
    }
}
