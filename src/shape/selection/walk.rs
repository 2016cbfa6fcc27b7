//! The walk: one pass over a hit, with a frame for each object or array that pointers lead into.

use super::compile::{Node, Selection};
use super::sheet::{Edit, Fate, Frame, NONE, Outcome, Sheet};
use crate::hit::scan::{NotJson, Scan};
use crate::shape::privacy::{Action, Effect};
use crate::shape::text::unescaped;

impl Frame {
    fn root(is_whole: bool, at: usize) -> Self {
        Self {
            node: 0,
            is_object: true,
            is_whole,
            is_settled: false,
            is_hidden: false,
            keeps_one: false,
            is_open: false,
            index: 0,
            last_end: at,
            member: at,
            value: at,
            value_node: NONE,
            outcome: Outcome::Keep,
            fate: Fate::Open,
        }
    }

    /// Decides over the present value, to which pointers lead; as far as that does not take its end.
    fn decide(&mut self, node: &Node, is_nested: bool) {
        self.fate = if self.is_hidden || node.is_removed {
            Fate::Hidden
        } else {
            node.act.map_or(Fate::Open, Fate::Act)
        };
        let is_kept = self.is_whole || node.is_kept || (node.leads_to_kept && is_nested && node.act.is_none());
        self.outcome = if node.is_removed || node.is_dropped || !is_kept {
            Outcome::LeaveOut
        } else {
            node.act.map_or(Outcome::Keep, Outcome::Replace)
        };
    }

    /// The frame of the present value.
    fn inner(&self, node: &Node, is_object: bool, at: usize) -> Self {
        Self {
            node: self.value_node,
            is_object,
            is_whole: self.is_whole || node.is_kept,
            is_settled: self.is_settled || self.outcome != Outcome::Keep,
            is_hidden: self.fate != Fate::Open,
            ..Self::root(true, at)
        }
    }
}

impl Selection {
    /// Walks over the object that begins at `from`, where a `{` stands, and notes on the sheet what it finds. Returns where the object ends.
    pub(in crate::shape) fn walk(
        &self,
        text: &str,
        from: usize,
        actions: &[Action],
        sheet: &mut Sheet,
    ) -> Result<usize, NotJson> {
        sheet.begin(self.questions);
        let mut scan = Scan {
            text: text.as_bytes(),
            at: from + 1,
        };
        if scan.token()? == b'}' {
            return Ok(scan.at + 1);
        }
        let mut frame = Frame::root(self.is_whole, scan.at);
        loop {
            self.enter(text, &mut scan, &mut frame, sheet)?;
            let first = scan.token()?;
            frame.value = scan.at;
            match self.nodes.get(frame.value_node as usize) {
                None => {
                    frame.outcome = if frame.is_whole {
                        Outcome::Keep
                    } else {
                        Outcome::LeaveOut
                    };
                    scan.value(first)?;
                }
                Some(node) => {
                    for question in &node.questions_within {
                        sheet.forget(*question);
                    }
                    let is_nested = matches!(first, b'{' | b'[');
                    frame.decide(node, is_nested);
                    if !is_nested || !node.is_inner() {
                        scan.value(first)?;
                    } else {
                        let is_object = first == b'{';
                        scan.at += 1;
                        if scan.token()? != closing(is_object) {
                            let inner = frame.inner(node, is_object, scan.at);
                            sheet.frames.push(frame);
                            frame = inner;
                            continue;
                        }
                        scan.at += 1;
                    }
                }
            }
            loop {
                self.leave(text, scan.at, actions, &mut frame, sheet);
                let next = scan.token()?;
                scan.at += 1;
                if next == b',' {
                    break;
                }
                if next != closing(frame.is_object) {
                    return Err(NotJson);
                }
                match sheet.frames.pop() {
                    Some(outer) => frame = outer,
                    None => return Ok(scan.at),
                }
            }
        }
    }

    /// From the beginning of a member or element to where its value begins.
    #[inline]
    fn enter(&self, text: &str, scan: &mut Scan<'_>, frame: &mut Frame, sheet: &mut Sheet) -> Result<(), NotJson> {
        scan.token()?;
        frame.member = scan.at;
        if frame.is_open {
            frame.is_open = false;
            if let Some(edit) = sheet.edits.last_mut() {
                edit.span.end = scan.at;
            }
        }
        let node = self.nodes.get(frame.node as usize);
        frame.value_node = if frame.is_object {
            let key = scan.key()?;
            let raw = &text.as_bytes()[key.start..key.end];
            match node {
                Some(node) if key.is_escaped => {
                    let raw = text.get(key.start..key.end).unwrap_or_default();
                    node.of_key(unescaped(raw, &mut sheet.key).as_bytes())
                }
                Some(node) => node.of_key(raw),
                None => NONE,
            }
        } else {
            let index = frame.index;
            frame.index += 1;
            node.map_or(NONE, |node| node.of_index(index))
        };
        Ok(())
    }

    /// Notes what is to be noted of the present member, whose value ends at `end`.
    #[inline]
    fn leave(&self, text: &str, end: usize, actions: &[Action], frame: &mut Frame, sheet: &mut Sheet) {
        if let Some(node) = self.nodes.get(frame.value_node as usize) {
            for (question, is_wild) in &node.questions {
                sheet.answer(*question, *is_wild, frame.value..end, frame.fate);
            }
        }
        if frame.outcome != Outcome::Keep && !frame.is_settled {
            change(text, end, actions, frame, sheet);
        } else {
            frame.keeps_one = true;
        }
        frame.last_end = end;
    }
}

const fn closing(is_object: bool) -> u8 {
    if is_object { b'}' } else { b']' }
}

/// Notes how the present member, whose value ends at `end`, changes.
fn change(text: &str, end: usize, actions: &[Action], frame: &mut Frame, sheet: &mut Sheet) {
    let value = text.get(frame.value..end).unwrap_or_default();
    let (effect, action) = match frame.outcome {
        Outcome::Keep => (Effect::Keep, None),
        Outcome::LeaveOut => (Effect::Remove, None),
        Outcome::Replace(action) => (
            actions
                .get(action as usize)
                .map_or(Effect::Remove, |action| action.effect(value, &mut sheet.buffers.text)),
            Some(action),
        ),
    };
    match effect {
        Effect::Keep => frame.keeps_one = true,
        Effect::Replace => {
            frame.keeps_one = true;
            sheet.edits.push(Edit {
                span: frame.value..end,
                action,
            });
        }
        Effect::Remove => {
            // With the comma before it, if one stays there; else with the one behind it, of which `enter` knows.
            let start = if frame.keeps_one { frame.last_end } else { frame.member };
            frame.is_open = !frame.keeps_one;
            match sheet.edits.last_mut() {
                Some(last) if last.action.is_none() && last.span.end == start => last.span.end = end,
                Some(_) | None => sheet.edits.push(Edit {
                    span: start..end,
                    action: None,
                }),
            }
        }
    }
}
