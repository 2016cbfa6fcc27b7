//! A hit with its changes, written anew.
//!
//! Promise: whatever is not changed is copied byte for byte: numbers, the order of keys, escapes, spaces. One object comes out, on one line if it came on one.

use super::privacy::{Action, Buffers};
use super::selection::Edit;

/// Writes `text` with its edits, which stand in the order of the text, in place of what `out` held.
pub(super) fn write(text: &str, edits: &[Edit], actions: &[Action], buffers: &mut Buffers, out: &mut Vec<u8>) {
    out.clear();
    let mut done = 0;
    for edit in edits {
        out.extend_from_slice(text.as_bytes().get(done..edit.span.start).unwrap_or_default());
        done = edit.span.end;
        if let Some(action) = edit.action.and_then(|at| actions.get(at as usize)) {
            let value = text.get(edit.span.clone()).unwrap_or_default();
            action.write_quoted(value, buffers, out);
        }
    }
    out.extend_from_slice(text.as_bytes().get(done..).unwrap_or_default());
}
