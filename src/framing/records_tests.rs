//! The splitter: single facts, and any split of any stream against the slow way.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

/// What came out, with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Out {
    Record(Vec<u8>),
    TooLong(TooLong),
}

/// The same by the slow way: the whole stream at once, record by record.
fn expected(stream: &[u8], max: usize) -> (Vec<Out>, u64) {
    let mut records: Vec<_> = stream.split_inclusive(|byte| *byte == b'\n').collect();
    let cut = records.pop_if(|last| !last.ends_with(b"\n")).map_or(0, <[u8]>::len);
    let out = records.into_iter().map(|record| {
        let bare = without_line_ending(record);
        if bare.len() <= max {
            Out::Record(record.to_vec())
        } else {
            let first_bytes = Bytes::copy_from_slice(&bare[..bare.len().min(KEPT_OF_TOO_LONG)]);
            Out::TooLong(TooLong {
                first_bytes,
                length: bare.len() as u64,
            })
        }
    });
    (out.collect(), cut as u64)
}

/// Takes what must be taken, or all there is.
fn drain(splitter: &mut RecordSplitter, all: bool, out: &mut Vec<Out>) {
    while all || splitter.is_due() {
        match splitter.take() {
            Some(Piece::Records(run)) => {
                assert_eq!(run.last(), Some(&b'\n'), "a run is whole records");
                out.extend(
                    run.split_inclusive(|byte| *byte == b'\n')
                        .map(|record| Out::Record(record.to_vec())),
                );
            }
            Some(Piece::TooLong(too_long)) => out.push(Out::TooLong(too_long)),
            None => {
                assert!(!splitter.is_due(), "due, but nothing to take");
                break;
            }
        }
    }
}

/// Feeds `pieces`, taking eagerly after each and resting, or taking only when it is due.
fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, max: usize, eager: bool) -> (Vec<Out>, u64) {
    let mut splitter = RecordSplitter::new(max);
    let mut out = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            drain(&mut splitter, false, &mut out);
            let room = splitter.room();
            assert!((LEAST_ROOM..=STEP_BYTES).contains(&room.len()));
            let count = piece.len().min(room.len());
            room[..count].copy_from_slice(&piece[..count]);
            splitter.filled(count);
            piece = &piece[count..];
            let most = max + 2 * USUAL_BUFFER + 2 * STEP_BYTES;
            assert!(splitter.buffer.len() <= most, "{} bytes held", splitter.buffer.len());
        }
        if eager {
            drain(&mut splitter, true, &mut out);
            let cut = splitter.unfinished_bytes();
            splitter.rest();
            assert_eq!(splitter.unfinished_bytes(), cut, "a rest loses nothing");
        }
    }
    drain(&mut splitter, true, &mut out);
    let cut = splitter.unfinished_bytes();
    (out, cut)
}

fn records(out: &[Out]) -> Vec<&[u8]> {
    out.iter()
        .map(|out| match out {
            Out::Record(record) => &record[..],
            Out::TooLong(too_long) => panic!("{too_long:?}"),
        })
        .collect()
}

#[test]
fn bytes_pass_as_they_came_whatever_the_line_ending() {
    let (out, cut) = split([&b"{\"a\":1}\r\n{\"b\":\r2}\n\r\n\n{\"c\":3}\r\n"[..]], 1 << 20, false);
    assert_eq!(
        records(&out),
        [
            &b"{\"a\":1}\r\n"[..],
            b"{\"b\":\r2}\n",
            b"\r\n",
            b"\n",
            b"{\"c\":3}\r\n"
        ]
    );
    assert_eq!(cut, 0);
}

#[test]
fn what_hits_hold_is_not_shown() {
    let mut splitter = RecordSplitter::new(3);
    splitter.room()[..14].copy_from_slice(b"ok\nsecret\nsecr");
    splitter.filled(14);
    let shown = format!("{splitter:?}");
    assert!(shown.contains("whole_bytes: 10, unfinished_bytes: 4"), "{shown}");
    assert!(!shown.contains("115"), "{shown}");
    assert_eq!(format!("{:?}", splitter.take().unwrap()), "Records(3 bytes)");
    assert_eq!(format!("{:?}", splitter.take().unwrap()), "TooLong(6 bytes)");
}

#[test]
fn a_run_is_the_longest_there_is() {
    let mut splitter = RecordSplitter::new(1 << 20);
    splitter.room()[..10].copy_from_slice(b"a\nb\r\n\ncut!");
    splitter.filled(10);
    assert!(!splitter.is_due(), "it can wait for more");
    assert_eq!(splitter.take(), Some(Piece::Records(Bytes::from_static(b"a\nb\r\n\n"))));
    assert_eq!(splitter.take(), None);
    assert_eq!(splitter.unfinished_bytes(), 4);
}

#[test]
fn a_line_cut_off_at_the_end_is_counted_and_never_a_record() {
    let (out, cut) = split([&b"whole\r\n{\"cut"[..], b" off\":1}\r"], 1 << 20, true);
    assert_eq!((records(&out), cut), (vec![&b"whole\r\n"[..]], 14));
}

#[test]
fn a_record_of_exactly_the_limit_is_kept_and_one_byte_more_is_not() {
    for ending in ["\n", "\r\n"] {
        for (length, kept) in [(99, true), (100, true), (101, false), (102, false)] {
            let stream = format!("before{ending}{}{ending}after{ending}", "x".repeat(length));
            for piece in [1, 7, stream.len()] {
                let got = split(stream.as_bytes().chunks(piece), 100, piece % 2 == 1);
                assert_eq!(got, expected(stream.as_bytes(), 100), "{length} in pieces of {piece}");
                assert_eq!(matches!(&got.0[1], Out::Record(_)), kept, "{length}");
                assert_eq!(got.0.len(), 3, "the stream goes on");
            }
        }
    }
}

#[test]
fn an_endless_record_is_never_held_and_its_whole_length_is_told() {
    let max = 100_000;
    let mut stream = vec![b'x'; 50 << 20];
    stream.splice(..4, *b"head");
    stream.extend_from_slice(b"\r\nafter\r\n");
    let (out, cut) = split([&b"before\r\n"[..], &stream], max, false);
    let Out::TooLong(too_long) = &out[1] else {
        panic!("{:?}", out[1])
    };
    assert_eq!(
        (too_long.length, too_long.first_bytes.len(), cut),
        (50 << 20, KEPT_OF_TOO_LONG, 0)
    );
    assert!(too_long.first_bytes.starts_with(b"headxxx"));
    assert_eq!(
        (&out[0], &out[2]),
        (
            &Out::Record(b"before\r\n".to_vec()),
            &Out::Record(b"after\r\n".to_vec())
        )
    );
}

#[test]
fn an_endless_record_that_is_cut_off_counts_all_its_bytes() {
    let stream = vec![b'x'; 1 << 20];
    assert_eq!(split(stream.chunks(10_000), 70_000, false), (Vec::new(), 1 << 20));
}

#[test]
fn the_buffer_shrinks_again_after_a_long_record() {
    let mut splitter = RecordSplitter::new(8 << 20);
    let mut out = Vec::new();
    for piece in [&vec![b'x'; 4 << 20][..], b"\n"]
        .iter()
        .flat_map(|bytes| bytes.chunks(LEAST_ROOM))
    {
        splitter.room()[..piece.len()].copy_from_slice(piece);
        splitter.filled(piece.len());
    }
    assert!(splitter.buffer.len() > 4 << 20);
    drain(&mut splitter, true, &mut out);
    splitter.room();
    assert_eq!(
        (splitter.buffer.len(), splitter.buffer.capacity(), out.len()),
        (USUAL_BUFFER, USUAL_BUFFER, 1)
    );
}

#[test]
fn a_splitter_at_rest_keeps_no_more_than_the_record_that_it_waits_for_and_two_of_them_share_a_buffer() {
    let buffers: &'static Buffers = Box::leak(Box::new(Buffers::new(USUAL_BUFFER, 2)));
    let mut splitters = [
        RecordSplitter::with(buffers, 1 << 20),
        RecordSplitter::with(buffers, 1 << 20),
    ];
    let mut out = Vec::new();
    for (number, bytes) in [(0, &b"1\n1"[..]), (1, b"2\n"), (0, b"1\n"), (1, b"2")] {
        let splitter = &mut splitters[number];
        splitter.room()[..bytes.len()].copy_from_slice(bytes);
        splitter.filled(bytes.len());
        drain(splitter, true, &mut out);
        splitter.rest();
        assert_eq!(splitter.buffer.capacity() as u64, splitter.unfinished_bytes());
    }
    assert_eq!(records(&out), [&b"1\n"[..], b"2\n", b"11\n"]);
    let spare = buffers.take();
    let address = spare.as_ptr();
    buffers.give_back(spare);
    assert_eq!(splitters[0].room().as_ptr(), address, "what the other has used");
}

#[test]
fn a_long_run_leaves_with_its_buffer_and_what_stays_is_whole() {
    let buffers: &'static Buffers = Box::leak(Box::new(Buffers::new(USUAL_BUFFER, 2)));
    let mut splitter = RecordSplitter::with(buffers, 1 << 20);
    let record = [&b"x".repeat(999)[..], b"\n"].concat();
    let stream = [&record.repeat(140)[..], b"y".repeat(500).as_slice()].concat();
    let mut at = 0;
    while at < stream.len() {
        let room = splitter.room();
        let count = room.len().min(stream.len() - at);
        room[..count].copy_from_slice(&stream[at..at + count]);
        splitter.filled(count);
        at += count;
    }
    let inflated_at = splitter.buffer.as_ptr();
    let Some(Piece::Records(run)) = splitter.take() else {
        panic!()
    };
    assert_eq!((run.as_ptr(), run.len()), (inflated_at, 140_000));
    assert_eq!(splitter.unfinished_bytes(), 500);
    splitter.room()[..1].copy_from_slice(b"\n");
    splitter.filled(1);
    let Some(Piece::Records(rest)) = splitter.take() else {
        panic!()
    };
    assert_eq!(rest, [&b"y".repeat(500)[..], b"\n"].concat());
    assert!(
        run.iter().all(|byte| b"x\n".contains(byte)),
        "nothing was written over it"
    );
    drop(run);
    let again = buffers.take();
    assert_eq!(again.as_ptr(), inflated_at, "it is used again");
}

#[test]
fn a_long_record_is_not_moved_about_at_each_wait() {
    let mut splitter = RecordSplitter::new(8 << 20);
    for _ in 0..4 {
        splitter.room()[..LEAST_ROOM].fill(b'x');
        splitter.filled(LEAST_ROOM);
    }
    let address = splitter.buffer.as_ptr();
    splitter.rest();
    assert_eq!(
        (splitter.buffer.as_ptr(), splitter.unfinished_bytes()),
        (address, 4 * LEAST_ROOM as u64)
    );
}

/// Records of lengths around a small limit and around [`KEPT_OF_TOO_LONG`], with either ending and stray `\r`.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![4 => 0..40_usize, 2 => 28..36_usize, 1 => 4090..4102_usize, 1 => 8_000..70_000_usize];
    let record = (length, prop::sample::select(vec!["\n", "\r\n", "\r\r\n"])).prop_map(|(length, ending)| {
        let body = (0..length).map(|n| b'a' + u8::try_from(n % 26).unwrap());
        body.chain(ending.bytes()).collect::<Vec<u8>>()
    });
    (
        prop::collection::vec(record, 0..12),
        prop::sample::select(vec![&b""[..], b"\r", b"cut off", b"cut off\r", &[b'x'; 99]]),
    )
        .prop_map(|(records, rest)| [records.concat(), rest.to_vec()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, rng_seed: RngSeed::Fixed(2), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_records(
        stream in streams(),
        max in prop::sample::select(vec![1, 31, 32, 33, 5_000, 66_000, 1 << 20]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        eager in any::<bool>(),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect();
        cuts.sort_unstable();
        let got = split(cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]), max, eager);
        prop_assert_eq!(got, expected(&stream, max));
    }

    #[test]
    fn one_byte_at_a_time_gives_the_same_records(stream in streams(), max in 1..6_000_usize) {
        let got = split(stream.chunks(1), max, true);
        prop_assert_eq!(got, expected(&stream, max));
    }
}
