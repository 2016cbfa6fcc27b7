//! The judge finds each fault that is planted, and none where there is none.

use std::time::Duration;

use super::*;
use crate::simulator::{End, Follows, HitId, TokenSeen};

fn entry(fingerprint: u64, kind: RecordKind) -> RecordEntry {
    RecordEntry {
        id: HitId { high: 0, low: 0 },
        fingerprint,
        kind,
    }
}

fn hits(prints: impl IntoIterator<Item = u64>) -> Vec<(RecordEntry, bool)> {
    let hit = |print| (entry(print, RecordKind::Hit), true);
    prints.into_iter().map(hit).collect()
}

/// A connection that ended so, and was not killed.
fn connection(number: u64, by: EndedBy, records: Vec<(RecordEntry, bool)>) -> Connection {
    let accept = Accept {
        connection: number,
        stream: "web".to_owned(),
        at: Duration::ZERO,
        wall_ms: 0,
        follows: Follows::Nothing,
        waited: None,
        early: false,
        status: Some(200),
        request: String::new(),
        query: String::new(),
        token: TokenSeen::Valid,
        headers: Vec::new(),
        headers_lost: Vec::new(),
        tls: false,
        records: records.len() as u64,
        whole: records.iter().filter(|(_, whole)| *whole).count() as u64,
        end: Some(End {
            at: Duration::ZERO,
            by,
            orderly: true,
            taken: Some(true),
        }),
    };
    Connection {
        accept,
        records,
        was_killed: false,
    }
}

/// What arrived, to be judged with [`Self::verdict`].
struct Run {
    connections: Vec<Connection>,
    arrivals: Vec<Arrival>,
    dead_letters: Arrived,
}

impl Run {
    /// Hits 1 to 40 on a connection that was closed, one of them garbage and the last one cut off; 41 to 60 on one that was killed,
    /// of which the first ten were read; 45 to 60 again and 61 to 80 on a third. All that can be expected arrived, in two partitions.
    fn good() -> Self {
        let mut first = hits(1..=40);
        first.insert(5, (entry(1000, RecordKind::Garbage), true));
        first.push((entry(2000, RecordKind::Hit), false));
        let mut second = connection(2, EndedBy::Client, hits(41..=60));
        second.was_killed = true;
        let mut third: Vec<_> = (45..=60)
            .map(|print| (entry(print, RecordKind::Repeat), true))
            .collect();
        third.extend(hits(61..=80));
        let mut run = Self {
            connections: vec![
                connection(1, EndedBy::Fault("cut"), first),
                second,
                connection(3, EndedBy::Fault("close"), third),
            ],
            arrivals: Vec::new(),
            dead_letters: Arrived::from([(1000, 2)]),
        };
        // A replay after the kill repeats some.
        (1..=45).chain(38..=80).for_each(|print| run.arrive(print));
        run
    }

    fn arrive(&mut self, fingerprint: u64) {
        self.arrivals.push(Arrival {
            fingerprint,
            visitor: Some(fingerprint % 4),
            partition: (fingerprint % 2) as i32,
        });
    }

    fn miss(&mut self, gone: impl Fn(u64) -> bool) {
        self.arrivals.retain(|arrival| !gone(arrival.fingerprint));
    }

    fn verdict(&self) -> Verdict {
        Verdict::of(&Evidence {
            stream: "web",
            connections: &self.connections,
            hits: &self.arrivals,
            dead_letters: &self.dead_letters,
        })
    }
}

/// The counts of faults, in the order in which the verdict has them.
fn faults(verdict: &Verdict) -> [u64; 6] {
    let Verdict {
        lost,
        holes,
        invented,
        out_of_order,
        early,
        given_up,
        ..
    } = *verdict;
    [lost, holes, invented, out_of_order, early, given_up]
}

#[test]
fn a_run_in_which_all_that_was_owed_arrived_is_good() {
    let verdict = Run::good().verdict();
    assert!(verdict.is_good() && verdict.told.is_empty(), "{verdict:?}");
    // 80 hits, the garbage, and the one that was cut off and did not arrive.
    assert_eq!((verdict.written, verdict.arrived), (82, 81));
    assert_eq!((verdict.owed, verdict.owed_repeats), (41 + 36, 16));
    assert_eq!((verdict.duplicates, verdict.connections, verdict.killed), (8, 3, 1));
}

#[test]
fn an_owed_record_that_is_missing_is_lost() {
    // The last of its connection, so that it is no hole; a repeated one; garbage.
    let mut run = Run::good();
    run.miss(|print| print == 40);
    assert_eq!(faults(&run.verdict()), [1, 0, 0, 0, 0, 0], "{:?}", run.verdict());
    let mut run = Run::good();
    run.miss(|print| print == 50);
    assert_eq!(faults(&run.verdict()), [1, 0, 0, 0, 0, 0], "{:?}", run.verdict());
    let mut run = Run::good();
    run.dead_letters.clear();
    let verdict = run.verdict();
    assert!(verdict.lost == 1 && !verdict.is_good(), "{verdict:?}");
}

#[test]
fn garbage_in_the_topic_for_hits_does_not_count_as_there() {
    let mut run = Run::good();
    run.dead_letters.clear();
    run.arrive(1000);
    let verdict = run.verdict();
    assert!(verdict.lost == 1 && verdict.invented == 1, "{verdict:?}");
}

#[test]
fn a_killed_or_reset_connection_owes_nothing_but_its_beginning() {
    for spoil in [
        (|it: &mut Connection| it.was_killed = true) as fn(&mut Connection),
        |it| it.accept.end.as_mut().unwrap().by = EndedBy::Fault("reset"),
        |it| it.accept.end = None,
    ] {
        let mut run = Run::good();
        spoil(&mut run.connections[2]);
        run.miss(|print| print > 75);
        let verdict = run.verdict();
        assert!(verdict.is_good(), "{verdict:?}");
        run.miss(|print| print == 70);
        assert_eq!(faults(&run.verdict()), [0, 1, 0, 0, 0, 0], "{:?}", run.verdict());
    }
}

#[test]
fn a_hole_is_found_also_before_a_kill() {
    let mut run = Run::good();
    run.miss(|print| print == 42);
    let verdict = run.verdict();
    assert_eq!(faults(&verdict), [0, 1, 0, 0, 0, 0], "{verdict:?}");
    assert!(!verdict.is_good());
}

#[test]
fn a_changed_byte_is_invented_and_lost() {
    let mut run = Run::good();
    for arrival in run.arrivals.iter_mut().filter(|arrival| arrival.fingerprint == 61) {
        arrival.fingerprint = 3000;
    }
    let verdict = run.verdict();
    assert_eq!((verdict.lost, verdict.invented), (1, 1), "{verdict:?}");
    assert!(!verdict.is_good());
}

#[test]
fn a_record_that_the_service_cut_off_must_not_arrive() {
    let mut run = Run::good();
    run.arrive(2000);
    let verdict = run.verdict();
    assert!(verdict.invented == 1 && !verdict.is_good(), "{verdict:?}");
}

#[test]
fn a_reordered_visitor_is_found() {
    // 61 and 65 are of one visitor.
    let mut run = Run::good();
    for arrival in &mut run.arrivals {
        arrival.fingerprint = match arrival.fingerprint {
            61 => 65,
            65 => 61,
            other => other,
        };
    }
    let verdict = run.verdict();
    assert!(verdict.out_of_order > 0 && !verdict.is_good(), "{verdict:?}");
    assert_eq!(faults(&verdict)[..3], [0, 0, 0], "{verdict:?}");
}

#[test]
fn a_visitor_in_two_partitions_is_out_of_order() {
    let mut run = Run::good();
    run.arrivals.last_mut().unwrap().partition = 7;
    assert_eq!(faults(&run.verdict()), [0, 0, 0, 1, 0, 0], "{:?}", run.verdict());
}

#[test]
fn a_record_that_was_sent_again_may_stand_where_its_later_copy_was_sent_and_no_later() {
    // The first copy of 46 was never read; the second one was, after 45.
    let mut run = Run::good();
    let place = run
        .arrivals
        .iter()
        .rposition(|arrival| arrival.fingerprint == 46)
        .unwrap();
    let late = run.arrivals.remove(place);
    run.arrivals.push(late);
    let verdict = run.verdict();
    assert_eq!(verdict.out_of_order, 1, "after 80 it is too late: {verdict:?}");
    let mut run = Run::good();
    run.connections[2].records.swap(0, 3);
    run.arrivals.retain(|arrival| arrival.fingerprint <= 40);
    let read: Vec<u64> = run.connections[2]
        .records
        .iter()
        .map(|(entry, _)| entry.fingerprint)
        .collect();
    for print in read {
        run.arrive(print);
    }
    assert_eq!(run.verdict().out_of_order, 0, "{:?}", run.verdict());
}

#[test]
fn an_early_attempt_is_not_good() {
    let mut run = Run::good();
    run.connections[1].accept.early = true;
    assert_eq!(faults(&run.verdict()), [0, 0, 0, 0, 1, 0]);
    assert!(!run.verdict().is_good());
}

#[test]
fn a_connection_that_the_daemon_gives_up_by_itself_is_not_good() {
    let mut run = Run::good();
    run.connections[1].was_killed = false;
    assert_eq!(faults(&run.verdict()), [0, 0, 0, 0, 0, 1]);
    assert!(!run.verdict().is_good());
}

#[test]
fn below_nine_tenths_of_all_is_not_good_even_if_nothing_was_owed() {
    let mut run = Run::good();
    for connection in &mut run.connections {
        connection.was_killed = true;
    }
    run.miss(|print| print > 73);
    let verdict = run.verdict();
    assert!(verdict.share() > SHARE && verdict.is_good(), "{verdict:?}");
    run.miss(|print| print > 72);
    let verdict = run.verdict();
    assert_eq!((verdict.arrived, faults(&verdict)), (73, [0; 6]), "{verdict:?}");
    assert!(!verdict.is_good(), "{verdict:?}");
    assert!(!Verdict::default().is_good(), "nothing at all is no success");
}

#[test]
fn dead_letters_must_be_what_some_stream_sent_as_no_hit() {
    let run = Run::good();
    let foreign = |arrived: &Arrived| foreign_dead_letters(run.connections.iter(), arrived);
    assert_eq!(foreign(&run.dead_letters), 0);
    assert_eq!(
        foreign(&Arrived::from([(1000, 1), (1, 1), (4000, 3)])),
        2,
        "a hit that went astray, and a stranger"
    );
}

#[test]
fn what_is_waited_for_is_what_is_owed() {
    let (hits, garbage) = owed(&Run::good().connections);
    let mut hits: Vec<u64> = hits.into_iter().collect();
    hits.sort_unstable();
    assert_eq!(hits, (1..=40).chain(45..=80).collect::<Vec<u64>>());
    assert_eq!(garbage, HashSet::from([1000]));
}
