//! The upstream side: token, request, redirects, and the body of a Live Stream connection.
//!
//! | module | job |
//! | --- | --- |
//! | [`connector`] | where sockets come from: [`Connector`], the one seam that tests replace |
//! | [`dial`] | the real one: [`Dialer`], TCP, proxy and TLS |
//! | [`socket`] | what it makes: a connected socket in its layers |
//! | `names`, `tcp` | addresses of a name; sockets that notice a dead peer |
//! | [`tcp_socket`] | a TCP socket that its reader can leave alone |
//! | [`proxy`] | a way through an HTTP proxy |
//! | `tls`, `rotation`, `tls_fault` | whom TLS trusts and what it shows; files that change; what a failed handshake means |
//! | [`activity`] | what the socket did: bytes, the last read, how it ended |
//! | [`token`] | [`TokenSource`]: one access token per credential, shared |
//! | `ims` | one fetch of a token |
//! | `files` | secrets and other files that may change, read anew each time |
//! | [`request`] | [`StreamRequest`]: what we ask for, with which headers |
//! | [`redirect`] | which redirect is followed, and so who may see the token |
//! | [`answer`] | what a refusal says |
//! | [`attempt`] | [`open`]: one attempt, redirects included, to a stream or to the reason why not |
//! | [`body`] | [`Body`]: an open stream, handed out as whole records |
//! | `exchange` | one request and its answer on one socket, driven by whoever reads it |
//! | `printable` | text from the other side, made fit to be shown |
//!
//! Nothing here decides *when* to connect or waits between attempts, and nothing is spawned: a future that is dropped has closed
//! its socket. HTTP/1.1 only. How an attempt, a token fetch or a connection ended is said in the words of [`crate::lifecycle`].

pub mod activity;
pub mod answer;
pub mod attempt;
pub mod body;
pub mod connector;
pub mod dial;
mod exchange;
mod files;
mod ims;
#[cfg(test)]
mod injection_tests;
mod names;
mod printable;
pub mod proxy;
pub mod redirect;
pub mod request;
mod rotation;
pub mod socket;
mod tcp;
pub mod tcp_socket;
#[cfg(test)]
pub(crate) mod testing;
mod tls;
mod tls_fault;
pub mod token;

pub use activity::Activity;
pub use attempt::{Answer, AttemptError, open};
pub use body::{Body, Drained};
pub use connector::{ConnectError, Connector, Scheme, Target, Transport};
pub use dial::Dialer;
pub use printable::{is_unprintable, printable_within};
pub use request::StreamRequest;
pub use tls_fault::of_their_certificate;
pub use token::{AccessToken, Generation, TokenSource};
