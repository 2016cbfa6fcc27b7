//! Names and their addresses: every connect looks its name up anew, and a lookup that hangs holds up nobody but who asked.
//!
//! The system's resolver blocks a thread, for half a minute and more if its servers do not answer, and cannot be interrupted. The threads
//! are those that leases and journals need too: so only a few lookups run at once, and whoever finds them all hanging waits, within his limit,
//! without a thread.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// So many lookups run at once. Answered ones take milliseconds; and tokio has 512 threads for all that blocks.
const AT_ONCE: usize = 16;

type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Looks names up. Clones share the bound.
#[derive(Clone)]
pub(super) struct Names {
    lookup: Arc<Lookup>,
    at_once: Arc<Semaphore>,
}

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

    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let turn = self.at_once.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (lookup, name) = (self.lookup.clone(), name.to_owned());
        let looked_up = tokio::task::spawn_blocking(move || {
            // Until the thread is free again, and not only until nobody wants the answer any more.
            let _turn = turn;
            lookup(&name)
        });
        looked_up.await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use tokio::sync::watch;

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
            let many = (0..4 * AT_ONCE).map(|_| {
                let names = names.clone();
                tokio::spawn(async move { names.addresses("a.example", 443, Duration::from_millis(200)).await })
            });
            for late in many.collect::<Vec<_>>() {
                let error = late.await.unwrap().unwrap_err();
                assert!(
                    error.starts_with("DNS did not answer for a.example within 200ms"),
                    "{error}"
                );
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
}
