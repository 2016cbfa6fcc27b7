//! Hits shaped, beside the look at a hit that each gets anyway.

use criterion::Criterion;
use livestreamd::shape::Scratch;

use crate::stages::input::Input;
use crate::stages::{forwarding, shaping};

pub fn bench(criterion: &mut Criterion, input: &Input) {
    let mut group = crate::group(criterion, "shape", input);
    group.bench_function("inspect_alone", |bencher| {
        bencher.iter(|| forwarding::ids(&input.plain));
    });
    for (name, shape) in shaping::shapes() {
        let mut scratch = Scratch::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| shaping::shape(&shape, &input.plain, &mut scratch));
        });
    }
    group.finish();
}
