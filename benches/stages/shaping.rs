//! Hits shaped, as the forwarder will: by shapes such as teams ask for.

use std::hint::black_box;

use livestreamd::hit::records;
use livestreamd::shape::condition::{Condition, IS_BOT, IS_EXCLUDED};
use livestreamd::shape::pointer::Pointer;
use livestreamd::shape::privacy::{Action, HashKey};
use livestreamd::shape::{Fields, Filter, Plan, Scratch, Shape, Verdict};

/// What is shaped, by name.
pub fn shapes() -> [(&'static str, Shape); 6] {
    [
        ("filter", plan(&[IS_BOT, IS_EXCLUDED], &[], Fields::All)),
        (
            "match",
            plan(&[r#"/pageURL =~ "^https?://internal\.""#], &[], Fields::All),
        ),
        ("drop_30", plan(&[], &[], Fields::Drop(thirty()))),
        ("keep_10", plan(&[], &[], Fields::Keep(ten()))),
        (
            "hash_3",
            plan(&[], &["/ip", "/evars/evars/campaign", "/visIdLow"], Fields::All),
        ),
        (
            "all_of_it",
            plan(
                &[IS_BOT, IS_EXCLUDED],
                &["/ip", "/userAgent", "/visIdLow"],
                Fields::Drop(thirty()),
            ),
        ),
    ]
    .map(|(name, plan)| (name, plan.shape().expect("few fields")))
}

fn plan(drop_if: &[&str], hashed: &[&str], fields: Fields) -> Plan {
    let key = HashKey::new(b"a key for the benchmark").expect("long enough");
    let drop_if = drop_if.iter().map(|text| Condition::parse(text).expect("a condition"));
    let mut plan = Plan {
        filters: drop_if.map(Filter::DropIf).collect(),
        privacy: hashed
            .iter()
            .map(|field| (pointer(field), Action::Hash(key.clone())))
            .collect(),
        fields,
        ..Plan::default()
    };
    // The usual key of a message.
    for field in ["/visIdHigh", "/visIdLow"] {
        plan.value(pointer(field)).expect("one field");
    }
    plan
}

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).expect("a pointer")
}

fn thirty() -> Vec<Pointer> {
    let evars = (1..=15).map(|number| format!("/evars/evars/evar{number}"));
    let props = (1..=10).map(|number| format!("/props/prop{number}"));
    let others = ["/browser", "/cookies", "/mvvars", "/products/*/evars", "/lat"].map(String::from);
    evars.chain(props).chain(others).map(|field| pointer(&field)).collect()
}

fn ten() -> Vec<Pointer> {
    let fields = "/evars/evars/campaign /evars/evars/evar1 /events /hitIdHigh /hitIdLow /pageURL /products/*/name /props/prop1 /timeGMT /visIdLow";
    fields.split(' ').map(pointer).collect()
}

/// Shapes all records of a batch, and says how many bytes go out.
pub fn shape(shape: &Shape, batch: &[u8], scratch: &mut Scratch) -> usize {
    let sizes = records(batch).map(|record| match shape.apply(record.bytes, scratch) {
        Verdict::Forward(shaped) => black_box(shaped).bytes().len(),
        Verdict::Dropped { .. } | Verdict::Incomplete { .. } => 0,
        Verdict::Unshapable(why) => panic!("{why}"),
    });
    sizes.sum()
}
