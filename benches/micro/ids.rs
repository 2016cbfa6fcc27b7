//! The ids in a record, for hits of several sizes.

use criterion::Criterion;

use crate::HITS;
use crate::stages::forwarding;
use crate::stages::input::Input;

pub fn bench(criterion: &mut Criterion) {
    let sized = [1_000, 2_500, 4_000, 16_000].map(|bytes| (format!("{bytes}"), Input::of_size(HITS, bytes)));
    for (name, input) in sized.into_iter().chain([("as_served".to_owned(), Input::of(HITS))]) {
        let mut group = crate::group(criterion, "ids", &input);
        group.bench_function(name, |bencher| bencher.iter(|| forwarding::ids(&input.plain)));
        group.finish();
    }
}
