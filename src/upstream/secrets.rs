//! Files of secrets, read anew each time they are needed, off the async threads.
//!
//! Promise: a disk that hangs costs whoever needs the secret a second, and takes one thread, however many ask. (Leases and the journal need
//! the threads that may block.)

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::settings::{SecretError, SecretSource};

/// How long a reading is waited for. It may take longer; then the next one waits for its end.
const LONGEST_READING: Duration = Duration::from_secs(1);

/// Reads the secrets of one user of them, one at a time. Clones share the turn.
#[derive(Clone, Debug, Default)]
pub(super) struct SecretReader(Arc<Mutex<()>>);

impl SecretReader {
    /// The secret as it is now, read by `read`.
    ///
    /// # Errors
    /// It cannot be read, is none, or did not come in time. It may be in the middle of its rotation: tried again later.
    pub(super) async fn read(
        &self,
        source: &SecretSource,
        read: impl FnOnce(&SecretSource) -> Result<SecretString, SecretError> + Send + 'static,
    ) -> Result<SecretString, String> {
        let told = |error: SecretError| error.to_string();
        let SecretSource::File(path) = source else {
            return read(source).map_err(told);
        };
        let (turn, source) = (self.0.clone(), source.clone());
        let reading = async move {
            let turn = turn.lock_owned().await;
            let reading = tokio::task::spawn_blocking(move || {
                // Until the thread is free again, and not only until nobody waits any more.
                let _turn = turn;
                read(&source)
            });
            reading.await
        };
        match timeout(LONGEST_READING, reading).await {
            Ok(Ok(secret)) => secret.map_err(told),
            Ok(Err(failed)) => Err(failed.to_string()),
            Err(_) => Err(format!(
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
        let reader = SecretReader::default();
        let source = SecretSource::File("/hangs".into());
        let (release, hang) = mpsc::channel::<()>();
        let hanging = move |_: &SecretSource| {
            READINGS.fetch_add(1, Ordering::Relaxed);
            let _ = hang.recv();
            Ok(SecretString::from("late"))
        };
        let error = reader.read(&source, hanging).await.unwrap_err();
        assert!(error.contains("/hangs") && error.contains("within 1s"), "{error}");
        for _ in 0..2 {
            let impatient = |_: &SecretSource| {
                READINGS.fetch_add(1, Ordering::Relaxed);
                Ok(SecretString::from("early"))
            };
            assert!(reader.read(&source, impatient).await.is_err());
        }
        assert_eq!(READINGS.load(Ordering::Relaxed), 1);
        drop(release);
        let read = reader.read(&source, |_| Ok(SecretString::from("good"))).await;
        assert!(read.is_ok());
    }
}
