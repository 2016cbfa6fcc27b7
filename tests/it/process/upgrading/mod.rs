//! What outlives one version of livestreamd: the state on disk.
//!
//! | module | holds |
//! | --- | --- |
//! | [`writing`] | a small state directory, written by this version: the same bytes each time |
//! | [`frozen`] | those that were written by each version so far, in `tests/state`, are read by this one |
//! | [`too_new`] | what a newer one has written is refused and left alone |

mod frozen;
mod too_new;
mod writing;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::child::{Scratch, path as child_path};

/// The stream whose state it is.
const STREAM: &str = "web";
/// Its URL, by which its leases are found. Nobody has that host.
const URL: &str = "https://livestream.invalid/api/1/stream/adobe-livestream-web";
/// Its connections.
const CONNECTIONS: u8 = 2;

/// All files below a directory, by their paths in it.
fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut all, mut dirs) = (BTreeMap::new(), vec![dir.to_owned()]);
    while let Some(inside) = dirs.pop() {
        for entry in fs::read_dir(&inside).expect("it is a directory that we may read") {
            let path = entry.expect("its entries can be read").path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("it is in there").to_owned();
                all.insert(name, fs::read(path).expect("it can be read"));
            }
        }
    }
    all
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in content(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().expect("it is in a directory")).expect("a directory can be made");
        fs::write(path, bytes).expect("a file can be written");
    }
}

/// A configuration for the stream, on `state/` in the scratch directory.
fn config(scratch: &Scratch, upstream: &str, brokers: &str, topic: &str, dead_letters: &str) -> PathBuf {
    let state_dir = scratch.path().join("state");
    let text = format!(
        "state_dir = {:?}\n\
         [credentials.default]\naccess_token = \"of-no-use\"\n\
         [upstream]\n{upstream}\n\
         [kafka]\nbrokers = \"{brokers}\"\ndead_letter_topic = \"{dead_letters}\"\n\
         [admin]\nlisten = \"off\"\n\
         [log]\nformat = \"json\"\nfilter = \"debug\"\n\
         [streams.{STREAM}]\nurl = \"{URL}\"\ntopic = \"{topic}\"\nconnections = {CONNECTIONS}\n",
        child_path(&state_dir)
    );
    scratch.write("livestreamd.toml", &text)
}
