//! A way through an HTTP proxy: `CONNECT`, and then the bytes of the target.
//!
//! | module | job |
//! | --- | --- |
//! | [`request`] | what we ask the proxy for |
//! | [`answer`] | how its answer is read |
//! | [`refusal`] | what a refusal means, in words that say what to mend |
//! | [`tunnel`] | what is left when it agreed |
//!
//! Promise: the target's name goes to the proxy as it is, and is not looked up here. No byte of the target has gone out before the
//! proxy has agreed, so whatever fails here has left nothing behind upstream (protocol notes, section 1).

mod answer;
mod refusal;
mod request;
#[cfg(test)]
mod tests;
mod tunnel;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::connector::{ConnectError, Target};
use super::files::FileReader;
use crate::settings::{Proxy, SecretSource};

use answer::Answer;
pub use tunnel::Tunnel;

/// The longest head that is read, interim answers included: far more than proxies send, and a bound on those that do not end.
const HEAD_LIMIT: usize = 16 * 1024;

/// The proxy's credentials as they are now.
///
/// # Errors
/// The file cannot be read, or holds something else: it may be in the middle of its rotation.
pub(super) async fn credentials(proxy: &Proxy, reader: &FileReader) -> Result<Option<SecretString>, ConnectError> {
    let Some(source) = &proxy.credentials else {
        return Ok(None);
    };
    let secret = reader.secret(source, SecretSource::read_user_and_password).await;
    secret
        .map(Some)
        .map_err(|why| ConnectError(format!("the proxy {}: {why}", proxy.address())))
}

/// Asks the proxy at the other end of `io` for a way to `target`.
///
/// # Errors
/// It refused, is no proxy, or the connection broke. The error says what to do.
pub(super) async fn open<Io: AsyncRead + AsyncWrite + Unpin>(
    mut io: Io,
    proxy: &Proxy,
    target: &Target,
    credentials: Option<&SecretString>,
) -> Result<Tunnel<Io>, ConnectError> {
    let broken = |error: std::io::Error| {
        ConnectError(format!(
            "the proxy {} broke the connection off: {error}",
            proxy.address()
        ))
    };
    let request = request::connect(target, credentials).map_err(ConnectError)?;
    io.write_all(request.expose_secret()).await.map_err(broken)?;
    io.flush().await.map_err(broken)?;

    let mut received = Vec::with_capacity(1024);
    // Where the answer begins that counts: after the interim ones.
    let mut begin = 0;
    loop {
        let mut chunk = [0; 4096];
        let length = io.read(&mut chunk).await.map_err(broken)?;
        if length == 0 {
            return Err(ConnectError(refusal::closed(proxy, !received.is_empty())));
        }
        received.extend_from_slice(&chunk[..length]);
        loop {
            match answer::read(&received[begin..]) {
                Answer::Interim { length } => begin += length,
                Answer::Unfinished if received.len() >= HEAD_LIMIT => {
                    return Err(ConnectError(refusal::endless(proxy)));
                }
                Answer::Unfinished => break,
                Answer::Open { length } => {
                    let early = received.split_off(begin + length);
                    return Ok(Tunnel::new(io, early));
                }
                Answer::Refused(refused) => {
                    return Err(ConnectError(refusal::describe(&refused, proxy, target, credentials)));
                }
                Answer::NotHttp => {
                    return Err(ConnectError(refusal::not_http(proxy, &received)));
                }
            }
        }
    }
}
