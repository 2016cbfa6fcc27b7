//! Ports and socket files.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use super::*;

fn at(listen: AdminListen) -> AdminSettings {
    AdminSettings { listen, ..open() }
}

fn unix(path: &Path) -> AdminSettings {
    at(AdminListen::Unix(path.to_owned()))
}

async fn refused(settings: &AdminSettings) -> AdminError {
    match Listener::bind(settings).await {
        Ok(_) => panic!("{settings:?} was listened on"),
        Err(error) => error,
    }
}

fn get(path: &Path) -> Answer {
    let request = "GET /healthz HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n";
    ask(UnixStream::connect(path).unwrap(), request)
}

#[tokio::test]
async fn a_port_in_use_is_told_with_its_key_and_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = refused(&at(AdminListen::Tcp(address))).await.to_string();
    let wanted = format!("admin.listen = \"{address}\": is in use by another program; ");
    assert!(
        error.starts_with(&wanted) && error.contains("admin.listen = \"off\""),
        "{error}"
    );
}

#[tokio::test]
async fn an_address_that_is_not_ours_is_told_with_its_key() {
    let error = refused(&at(AdminListen::Tcp("192.0.2.1:9600".parse().unwrap()))).await;
    assert!(
        error
            .to_string()
            .starts_with("admin.listen = \"192.0.2.1:9600\": cannot be listened on: "),
        "{error}"
    );
}

#[tokio::test]
async fn off_means_off() {
    assert!(Listener::bind(&at(AdminListen::Off)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_socket_file_is_for_the_user_and_the_group_and_goes_with_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let trial = Trial::with(&unix(&path), LIMITS).await;
    assert_eq!(trial.admin.url(), format!("unix:{}", path.display()));
    let there = std::fs::metadata(&path).unwrap();
    assert!(there.file_type().is_socket());
    assert_eq!(there.permissions().mode() & 0o777, 0o660);
    assert_eq!(get(&path).status, 200, "whatever the name");
    trial.admin.stop().await;
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_a_dead_daemon_left_behind_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    for name in ["admin.sock", "admin.sock.new"] {
        drop(UnixListener::bind(directory.path().join(name)).unwrap());
    }
    assert!(path.exists(), "the file stays, and nobody listens");
    let _trial = Trial::with(&unix(&path), LIMITS).await;
    assert_eq!(get(&path).status, 200);
}

#[tokio::test]
async fn a_socket_that_lives_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let _first = Trial::with(&unix(&path), LIMITS).await;
    let error = refused(&unix(&path)).await.to_string();
    let wanted = format!(
        "admin.listen = \"unix:{}\": is in use by another program",
        path.display()
    );
    assert!(error.starts_with(&wanted), "{error}");
    assert_eq!(get(&path).status, 200);
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    std::fs::write(&path, "precious").unwrap();
    let error = refused(&unix(&path)).await.to_string();
    assert!(error.contains("a file that is no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn a_socket_of_somebody_else_in_our_place_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("admin.sock");
    let trial = Trial::with(&unix(&path), LIMITS).await;
    std::fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    trial.admin.stop().await;
    assert!(path.exists());
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_told_with_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gone/admin.sock");
    let error = refused(&unix(&path)).await.to_string();
    assert!(
        error.starts_with("admin.listen = \"unix:") && error.contains("cannot be listened on"),
        "{error}"
    );
}
