//! What is logged, for tests to look at.

use std::sync::LazyLock;

use tracing::subscriber::{DefaultGuard, NoSubscriber};
use tracing::{Dispatch, Subscriber};

/// `subscriber` hears all that is logged on this thread from now on, for as long as the guard is there.
pub fn hear(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    // Where there is one subscriber alone, tracing asks the thread that comes by a line first whether anybody listens, and believes it for
    // all threads: another test, which does not listen, would switch the line off for this one. So there are always two.
    static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::default()));
    LazyLock::force(&ANOTHER);
    tracing::subscriber::set_default(subscriber)
}
