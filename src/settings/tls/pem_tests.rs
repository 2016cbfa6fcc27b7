use super::super::testing::{Authority, DAY, VERSION_1};
use super::*;

fn unix(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn all_certificates_of_a_file_are_found_and_other_sections_are_passed_over() {
    let authority = Authority::new("a");
    let issued = authority.issue(&["a.example"]);
    let text = format!("a comment\n{}{}{}", issued.pem, issued.key_pem(), authority.pem);
    let found = certificates(text.as_bytes()).unwrap();
    assert_eq!(found, [issued.certificate, authority.certificate]);
    assert_eq!(
        authorities(authority.pem.replace('\n', "\r\n").as_bytes())
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn what_holds_no_usable_certificate_is_refused_with_the_reason() {
    let authority = Authority::new("a");
    let issued = authority.issue(&["a.example"]);
    let whole = &authority.pem;
    let cut = &whole[..whole.len() / 2];
    let damaged = whole.replacen("MII", "M!I", 1);
    let not_one = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let second_not_one = format!("{whole}{not_one}");
    for (pem, says) in [
        ("", "holds no certificate"),
        ("hello", "holds no certificate"),
        (&issued.key_pem(), "holds no certificate"),
        ("\u{1}\u{2}DER", "holds no certificate"),
        (cut, "breaks off"),
        (&damaged, "not base64"),
        ("-----BEGIN CERTIFICATE---\nAAAA\n", "BEGIN line that is not whole"),
        (not_one, "certificate 1 in it is not valid"),
        (&second_not_one, "certificate 2 in it is not valid"),
    ] {
        for flaw in [
            certificates(pem.as_bytes()).unwrap_err(),
            authorities(pem.as_bytes()).unwrap_err(),
        ] {
            assert!(flaw.to_string().contains(says), "{flaw}, not {says}");
        }
    }
}

#[test]
fn a_key_fits_its_certificate_and_no_other() {
    let authority = Authority::new("a");
    let (one, other) = (authority.issue(&["a.example"]), authority.issue(&["a.example"]));
    let chain = || vec![one.certificate.clone()];
    assert_eq!(identity(chain(), one.key_pem().as_bytes()).unwrap().cert, chain());
    let both = format!("{}{}", one.pem, one.key_pem());
    assert!(identity(chain(), both.as_bytes()).is_ok(), "both in one file");
    assert_eq!(
        identity(chain(), other.key_pem().as_bytes()).unwrap_err(),
        Flaw::OtherKey
    );
    assert_eq!(identity(chain(), one.pem.as_bytes()).unwrap_err(), Flaw::NoKey);
    let not_one = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_eq!(identity(chain(), not_one.as_bytes()).unwrap_err(), Flaw::BadKey);
}

#[test]
fn an_encrypted_key_is_told_from_no_key() {
    let authority = Authority::new("a");
    let chain = || vec![authority.certificate.clone()];
    for encrypted in [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    ] {
        let flaw = identity(chain(), encrypted.as_bytes()).unwrap_err();
        assert_eq!(flaw, Flaw::EncryptedKey);
        assert!(flaw.to_string().contains("openssl pkey -in FILE"), "{flaw}");
    }
}

#[test]
fn the_dates_of_a_certificate_are_read() {
    let authority = Authority::new("a");
    // Before and after 2050, where certificates change the way in which they write a year.
    for (from, until) in [(1_000_000_000, 1_900_000_000), (3_000_000_000, 5_000_000_000)] {
        let issued = authority.issue_for(&["a.example"], unix(from), unix(until));
        let read = validity(&issued.certificate).unwrap();
        assert_eq!((read.from, read.until), (unix(from), unix(until)));
    }
    assert!(validity(&authority.certificate).is_some(), "of an authority too");
    assert_eq!(validity(&CertificateDer::from(vec![1, 2, 3])), None);
}

#[test]
fn who_has_less_than_thirty_days_left_is_warned() {
    let now = unix(1_800_000_000);
    let warning = |from, until| Validity { until, from }.warning(now);
    assert_eq!(warning(now - DAY, now + 31 * DAY), None);
    for (from, until, says) in [
        (now - DAY, now, "has expired on 2027-01-15T08:00:00Z"),
        (now - DAY, now + 30 * DAY, "expires on 2027-02-14T08:00:00Z"),
        (now + DAY, now + 90 * DAY, "is not valid before 2027-01-16T08:00:00Z"),
    ] {
        let told = warning(from, until).unwrap();
        assert!(told.starts_with(says), "{told}");
    }
}

#[test]
fn an_old_certificate_of_version_1_is_good_for_an_authority_and_nothing_else() {
    assert_eq!(authorities(VERSION_1.as_bytes()).unwrap().len(), 1);
    let flaw = certificates(VERSION_1.as_bytes()).unwrap_err();
    assert!(flaw.to_string().contains("have it issued as version 3"), "{flaw}");
}
