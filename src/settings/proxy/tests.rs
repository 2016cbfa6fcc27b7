//! Which way to which host: tables, and properties over a model.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::address::{Spelling, parse};
use super::*;

fn exception(text: &str) -> Exception {
    Exception::parse(text).unwrap_or_else(|error| panic!("{text:?} {error}"))
}

fn host(text: &str) -> Host {
    Host::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn settings(exceptions: &[&str]) -> ProxySettings {
    ProxySettings {
        proxy: Some(Arc::new(parse("http://proxy.corp:3128", Spelling::Whole).unwrap())),
        exceptions: exceptions.iter().map(|text| exception(text)).collect(),
        ..ProxySettings::default()
    }
}

fn is_direct(settings: &ProxySettings, name: &str, port: u16) -> bool {
    matches!(settings.route(&host(name), port), Route::Direct(_))
}

#[test]
fn an_exception_is_for_these_and_not_for_those() {
    for (item, these, those) in [
        ("*", &["a.example", "10.0.0.1", "[2001:db8::1]"][..], &[][..]),
        (
            "example.com",
            &["example.com", "a.example.com", "a.b.example.com", "example.com."],
            &["notexample.com", "example.com.net", "com", "1.2.3.4"],
        ),
        (
            ".example.com",
            &["example.com", "a.example.com"],
            &["notexample.com", "example.org"],
        ),
        ("*.example.com", &["example.com", "a.example.com"], &["notexample.com"]),
        ("EXAMPLE.com.", &["example.com", "A.Example.COM"], &["example.co"]),
        (
            "b\u{fc}cher.example",
            &["xn--bcher-kva.example", "b\u{fc}cher.example"],
            &["bucher.example"],
        ),
        ("intranet", &["intranet", "a.intranet"], &["intranet.example"]),
        ("my_host.corp", &["my_host.corp"], &["myhost.corp"]),
        (
            "10.1.2.3",
            &["10.1.2.3", "[::ffff:10.1.2.3]", "[::ffff:a01:203]"],
            &["10.1.2.4", "a10.1.2.3.example"],
        ),
        ("::ffff:10.1.2.3", &["10.1.2.3"], &["10.1.2.4"]),
        (
            "2001:db8::1",
            &["[2001:db8::1]", "[2001:0db8:0:0::1]"],
            &["[2001:db8::2]", "1.2.3.4"],
        ),
        ("[2001:db8::1]", &["[2001:db8::1]"], &["[2001:db8::2]"]),
        (
            "10.0.0.0/8",
            &["10.0.0.0", "10.255.255.255", "[::ffff:10.9.9.9]"],
            &["9.255.255.255", "11.0.0.0", "ten.example"],
        ),
        ("10.1.2.3/8", &["10.200.0.1"], &["11.1.2.3"]),
        ("10.1.2.3/32", &["10.1.2.3"], &["10.1.2.2"]),
        ("0.0.0.0/0", &["1.2.3.4"], &["[2001:db8::1]", "a.example"]),
        ("::/0", &["[2001:db8::1]"], &["1.2.3.4", "a.example"]),
        (
            "2001:db8::/33",
            &["[2001:db8:7fff::1]"],
            &["[2001:db8:8000::1]", "[2001:db9::1]"],
        ),
        ("::ffff:10.0.0.0/104", &["10.2.3.4"], &["11.2.3.4"]),
    ] {
        let settings = settings(&[item]);
        for (hosts, expected) in [(these, true), (those, false)] {
            for name in hosts {
                assert_eq!(is_direct(&settings, name, 443), expected, "{item} and {name}");
            }
        }
    }
}

#[test]
fn a_port_makes_an_exception_for_that_port_only() {
    for (item, name) in [
        ("a.example:8443", "a.example"),
        (".a.example:8443", "b.a.example"),
        ("10.1.2.3:8443", "10.1.2.3"),
        ("[2001:db8::1]:8443", "[2001:db8::1]"),
        ("*:8443", "anything.example"),
    ] {
        let settings = settings(&[item]);
        assert!(is_direct(&settings, name, 8443), "{item}");
        assert!(!is_direct(&settings, name, 443), "{item}");
    }
}

#[test]
fn what_is_no_exception_is_refused_with_the_reason() {
    for (item, says) in [
        ("", "no host"),
        (".", "no host"),
        ("..", "no host"),
        ("...", "no host"),
        ("*.", "no host"),
        ("<local>", "no host"),
        ("a b", "no host"),
        ("https://a.example", "is a URL"),
        ("192.168.*", "has a *"),
        ("a.*.example", "has a *"),
        ("**", "has a *"),
        ("10.1", "no whole address"),
        ("0x7f000001", "no whole address"),
        ("10.0.0.0/33", "has 32 bits"),
        ("2001:db8::/129", "has 128 bits"),
        ("10.0.0.0/", "is no network"),
        ("10.0.0.0/+8", "is no network"),
        ("10.0.0.0/8/8", "is no network"),
        ("[2001:db8::]/32", "is no network"),
        ("a.example/8", "is no network"),
        ("a.example:", "host:port"),
        ("a.example:0", "host:port"),
        ("a.example:65536", "host:port"),
        ("a.example:+1", "host:port"),
        ("[2001:db8::1", "no host"),
        ("[2001:db8::1]8443", "host:port"),
        ("2001:db8::1:zz", "host:port"),
    ] {
        let error = Exception::parse(item).unwrap_err();
        assert!(error.contains(says), "{item:?} {error}");
    }
}

#[test]
fn a_loopback_host_is_reached_directly_and_the_reason_is_told() {
    let settings = settings(&["a.example"]);
    for here in [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "127.0.0.1",
        "127.9.9.9",
        "[::1]",
    ] {
        assert!(
            matches!(settings.route(&host(here), 443), Route::Direct(Direct::Loopback)),
            "{here}"
        );
    }
    assert!(
        matches!(settings.route(&host("a.example"), 443), Route::Direct(Direct::Excepted(item)) if item.to_string() == "a.example")
    );
    assert!(
        matches!(settings.route(&host("b.example"), 443), Route::Through(proxy) if proxy.to_string() == "http://proxy.corp:3128")
    );
    let none = ProxySettings::default();
    assert!(matches!(
        none.route(&host("localhost"), 443),
        Route::Direct(Direct::NoProxy)
    ));
}

fn labels() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ab]{1,2}", 1..4)
}

fn any_host() -> impl Strategy<Value = Host> {
    prop_oneof![
        labels().prop_map(|labels| Host::Domain(labels.join("."))),
        Just(Host::Domain("localhost".to_owned())),
        any::<[u8; 4]>().prop_map(|octets| Host::Ipv4(octets.into())),
        (0..4_u8).prop_map(|last| Host::Ipv4(Ipv4Addr::new(127, 0, 0, last))),
        any::<u128>().prop_map(|bits| Host::Ipv6(Ipv6Addr::from_bits(bits))),
        (0..4_u128).prop_map(|bits| Host::Ipv6(Ipv6Addr::from_bits(bits))),
    ]
}

fn any_exception() -> impl Strategy<Value = Exception> {
    let item = prop_oneof![
        Just("*".to_owned()),
        labels().prop_map(|labels| labels.join(".")),
        labels().prop_map(|labels| format!(".{}:443", labels.join("."))),
        (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(octets, bits)| format!("{}/{bits}", Ipv4Addr::from(octets))),
        (any::<u128>(), 0..=128_u8).prop_map(|(address, bits)| format!("{}/{bits}", Ipv6Addr::from_bits(address))),
    ];
    item.prop_map(|item| exception(&item))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_domain_is_for_the_names_that_end_in_its_labels(domain in labels(), name in labels(), dot in any::<bool>()) {
        let item = format!("{}{}", if dot { "." } else { "" }, domain.join("."));
        prop_assert_eq!(exception(&item).is_for(&Host::Domain(name.join(".")), 443), name.ends_with(&domain));
    }

    #[test]
    fn a_network_is_for_the_addresses_that_begin_with_its_bits(network in any::<u32>(), flipped in 0..32_u32, bits in 0..=32_u32) {
        let (network, other) = (Ipv4Addr::from_bits(network), Ipv4Addr::from_bits(network ^ (1 << (31 - flipped))));
        let item = exception(&format!("{network}/{bits}"));
        prop_assert!(item.is_for(&Host::Ipv4(network), 443));
        prop_assert_eq!(item.is_for(&Host::Ipv4(other), 443), flipped >= bits);
        prop_assert_eq!(item.is_for(&Host::Ipv6(other.to_ipv6_mapped()), 443), flipped >= bits);
    }

    #[test]
    fn a_network_of_ipv6_is_too(network in any::<u128>(), flipped in 0..128_u32, bits in 0..=128_u32) {
        let other = network ^ (1 << (127 - flipped));
        let is_v4 = |bits: u128| matches!(IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical(), IpAddr::V4(_));
        prop_assume!(!is_v4(network) && !is_v4(other));
        let item = exception(&format!("{}/{bits}", Ipv6Addr::from_bits(network)));
        prop_assert_eq!(item.is_for(&Host::Ipv6(Ipv6Addr::from_bits(other)), 443), flipped >= bits);
    }

    #[test]
    fn loopback_is_always_direct_and_an_exception_more_sends_nobody_through_the_proxy(
        host in any_host(), port in 1..=u16::MAX, exceptions in prop::collection::vec(any_exception(), 0..4), more in any_exception(),
    ) {
        let mut settings = ProxySettings { exceptions, ..settings(&[]) };
        let before = matches!(settings.route(&host, port), Route::Direct(_));
        let expected = is_loopback_host(&host) || settings.exceptions.iter().any(|item| item.is_for(&host, port));
        prop_assert_eq!(before, expected);
        settings.exceptions.push(more);
        let after = matches!(settings.route(&host, port), Route::Direct(_));
        prop_assert!(after || !before);
    }

    #[test]
    fn any_text_is_an_exception_or_is_refused(text in ".{0,30}|[0-9a-f:./\\[\\]*]{0,20}", host in any_host()) {
        if let Ok(item) = Exception::parse(&text) {
            item.is_for(&host, 443);
            prop_assert_eq!(item.to_string(), text);
        }
    }

    #[test]
    fn any_text_is_an_address_or_is_refused_in_one_line_of_our_own(text in ".{0,30}|https?://[a-z:@%0-9/.\\[\\]]{0,30}") {
        for spelling in [Spelling::Whole, Spelling::Usual] {
            match parse(&text, spelling) {
                Ok(proxy) => {
                    let shown = proxy.to_string();
                    prop_assert!(!shown.contains('@') && shown.bytes().all(|b| b.is_ascii_graphic()), "{shown}");
                }
                Err(error) => prop_assert!(!error.contains(['\n', '\r'])),
            }
        }
    }
}
