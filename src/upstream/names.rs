//! Names and their addresses: every connect looks its name up anew, and a lookup that hangs holds up nobody but who asked.
//!
//! The system's resolver blocks a thread, for half a minute and more if its servers do not answer, and cannot be interrupted. The threads
//! are those that leases and journals need too: so only a few lookups run at once, one for each name, and whoever finds them all hanging
//! waits, within his limit, without a thread. Who asks for a name that is being looked up gets the answer to that.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

/// So many lookups run at once. Answered ones take milliseconds; and tokio has 512 threads for all that blocks.
const AT_ONCE: usize = 16;

type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Looks names up. Clones share the bound.
#[derive(Clone)]
pub(super) struct Names {
    lookup: Arc<Lookup>,
    at_once: Arc<Semaphore>,
    running: Arc<Mutex<HashMap<String, Running>>>,
}

/// A lookup that has not ended: nothing yet, and then its answer.
type Running = watch::Receiver<Option<Answer>>;
/// Addresses, or what the system says.
type Answer = Result<Vec<IpAddr>, String>;

impl Names {
    /// As the system is configured: `/etc/hosts`, `/etc/resolv.conf` and the like. What it remembers is its own affair; we remember nothing.
    pub(super) fn of_the_system() -> Self {
        // The port means nothing.
        Self::with(|name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }

    /// With another way to look a name up, which may block.
    pub(super) fn with(lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Self {
            lookup: Arc::new(lookup),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
            running: Arc::default(),
        }
    }

    /// The addresses of `name`, in the system's order of preference; at least one.
    ///
    /// # Errors
    /// There is none, or no answer within `limit`; names the name, and says that it is DNS.
    pub(super) async fn addresses(&self, name: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, String> {
        let late =
            |_| format!("DNS did not answer for {name} within {limit:?}: see to the name servers of this machine");
        let found = timeout(limit, self.look_up(name)).await.map_err(late)?;
        let found = found.map_err(|error| format!("DNS has no answer for {name}: {error}"))?;
        if found.is_empty() {
            return Err(format!("DNS has no address of {name}"));
        }
        Ok(found
            .into_iter()
            .map(|address| SocketAddr::new(address, port))
            .collect())
    }

    /// Waits for the lookup of `name` that is running, or begins one.
    async fn look_up(&self, name: &str) -> Answer {
        let known = lock(&self.running).get(name).cloned();
        let mut running = match known {
            Some(running) => running,
            None => self.begin(name).await?,
        };
        let answer = running
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|answer| answer.clone());
        answer.unwrap_or_else(|| Err("the lookup broke off".to_owned()))
    }

    async fn begin(&self, name: &str) -> Result<Running, String> {
        let turn = self.at_once.clone().acquire_owned().await;
        let turn = turn.map_err(|error| error.to_string())?;
        let mut all = lock(&self.running);
        // Somebody else may have begun while we waited.
        if let Some(running) = all.get(name) {
            return Ok(running.clone());
        }
        let (sender, running) = watch::channel(None);
        all.insert(name.to_owned(), running.clone());
        drop(all);
        let (lookup, all, name) = (self.lookup.clone(), self.running.clone(), name.to_owned());
        tokio::task::spawn_blocking(move || {
            // Until the thread is free again, and not only until nobody wants the answer any more.
            let _turn = turn;
            // Also if the lookup panics: its name must not stay taken.
            let ended = Ended {
                all,
                name: name.clone(),
            };
            let answer = lookup(&name).map_err(|error| error.to_string());
            // Before anybody has the answer, so that it is remembered for nobody.
            drop(ended);
            sender.send_replace(Some(answer));
        });
        Ok(running)
    }
}

/// Makes room for the next lookup of a name.
struct Ended {
    all: Arc<Mutex<HashMap<String, Running>>>,
    name: String,
}

impl Drop for Ended {
    fn drop(&mut self) {
        lock(&self.all).remove(&self.name);
    }
}

/// Nothing panics while it holds this lock.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Condvar;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_name_that_is_not_there_is_a_fault_of_dns_that_names_it() {
        let names = Names::with(|_| Err(io::Error::other("Name or service not known")));
        let error = names.addresses("a.example", 443, LIMIT).await.unwrap_err();
        assert_eq!(error, "DNS has no answer for a.example: Name or service not known");
        let names = Names::with(|_| Ok(Vec::new()));
        let error = names.addresses("a.example", 443, LIMIT).await.unwrap_err();
        assert_eq!(error, "DNS has no address of a.example");
    }

    #[tokio::test]
    async fn the_system_knows_this_machine() {
        let found = Names::of_the_system().addresses("localhost", 443, LIMIT).await.unwrap();
        assert!(
            found
                .iter()
                .all(|address| address.ip().is_loopback() && address.port() == 443),
            "{found:?}"
        );
    }

    /// Lookups that hang until they are told not to.
    #[derive(Default)]
    struct Stuck {
        running: watch::Sender<usize>,
        released: Mutex<bool>,
        news: Condvar,
    }

    impl Stuck {
        fn names(self: &Arc<Self>) -> Names {
            let stuck = self.clone();
            Names::with(move |_| {
                stuck.running.send_modify(|running| *running += 1);
                let released = stuck.released.lock().unwrap();
                drop(stuck.news.wait_while(released, |released| !*released).unwrap());
                Ok(vec![IpAddr::from([127, 0, 0, 1])])
            })
        }

        fn release(&self) {
            *self.released.lock().unwrap() = true;
            self.news.notify_all();
        }
    }

    #[test]
    fn lookups_that_hang_leave_threads_for_leases_and_journals() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            // One more than lookups may have.
            .max_blocking_threads(AT_ONCE + 1)
            .build()
            .unwrap();
        let stuck = Arc::new(Stuck::default());
        let names = stuck.names();
        runtime.block_on(async {
            let many = (0..4 * AT_ONCE).map(|number| {
                let names = names.clone();
                let name = format!("{number}.example");
                tokio::spawn(async move { names.addresses(&name, 443, Duration::from_millis(200)).await })
            });
            for (number, late) in many.collect::<Vec<_>>().into_iter().enumerate() {
                let error = late.await.unwrap().unwrap_err();
                let begins = format!("DNS did not answer for {number}.example within 200ms");
                assert!(error.starts_with(&begins), "{error}");
            }
            // A busy machine may start them late: they keep their turns all the same.
            let mut running = stuck.running.subscribe();
            timeout(LIMIT, running.wait_for(|running| *running >= AT_ONCE))
                .await
                .unwrap()
                .unwrap();
            assert_eq!(*running.borrow(), AT_ONCE, "the rest waited without a thread");
            let lease = tokio::task::spawn_blocking(|| "stored");
            assert_eq!(timeout(LIMIT, lease).await.unwrap().unwrap(), "stored");
            stuck.release();
            let found = names.addresses("a.example", 443, LIMIT).await.unwrap();
            assert_eq!(
                found,
                [SocketAddr::from(([127, 0, 0, 1], 443))],
                "and all is well again"
            );
        });
    }
    #[tokio::test]
    async fn a_name_whose_lookup_hangs_takes_one_thread_and_a_late_answer_serves_all_who_ask_again() {
        let stuck = Arc::new(Stuck::default());
        let names = stuck.names();
        let asked = (0..2 * AT_ONCE).map(|_| names.addresses("a.example", 443, Duration::from_millis(50)));
        for late in asked {
            assert!(late.await.is_err());
        }
        assert_eq!(*stuck.running.borrow(), 1);
        let (again, ()) = tokio::join!(names.addresses("a.example", 443, LIMIT), async { stuck.release() });
        assert_eq!((again.unwrap().len(), *stuck.running.borrow()), (1, 1));
        names.addresses("a.example", 443, LIMIT).await.unwrap();
        assert_eq!(*stuck.running.borrow(), 2, "an answer is not remembered");
    }

    #[tokio::test]
    async fn a_lookup_that_panics_does_not_keep_its_name() {
        let calls = Mutex::new(0);
        let names = Names::with(move |_| {
            let mut calls = lock(&calls);
            *calls += 1;
            assert!(*calls > 1, "the first one");
            Ok(vec![IpAddr::from([127, 0, 0, 1])])
        });
        assert!(names.addresses("a.example", 443, LIMIT).await.is_err());
        assert!(names.addresses("a.example", 443, LIMIT).await.is_ok());
    }
}
