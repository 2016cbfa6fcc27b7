//! `[kafka.property_files]`, and properties that name a file: found, read once, compared at a reload, and never shown.

use std::path::PathBuf;
use std::time::SystemTime;

use super::*;
use crate::settings::tls::testing::{Authority, DAY, write};
use crate::settings::{Changes, summary};

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        write(self.0.path(), name, content)
    }

    fn load_with(&self, text: &str, env: &[(&str, &str)]) -> Result<Loaded, Faults> {
        load_str(&with(text), Format::Toml, variables(env), self.0.path())
    }

    #[track_caller]
    fn load(&self, text: &str) -> Settings {
        let loaded = self.load_with(text, &[]).unwrap_or_else(|faults| panic!("{faults}"));
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        loaded.settings
    }

    /// The key of the one fault, and what it says.
    #[track_caller]
    fn fault(&self, text: &str) -> (String, String) {
        let faults = self.load_with(text, &[]).unwrap_err();
        let all: Vec<_> = faults.iter().collect();
        let [fault] = all[..] else { panic!("{faults}") };
        assert!(!faults.to_string().contains("hush"), "{faults}");
        (fault.key().to_owned(), faults.to_string())
    }
}

const PASSWORD: &str = "[kafka.property_files]\n\"sasl.password\" = \"password\"\n";

#[test]
fn a_property_may_stand_in_a_file_of_its_own_and_is_shown_nowhere() {
    let files = Files::new();
    let path = files.write("password", "hush hush\n");
    let settings = files.load(PASSWORD);
    assert_eq!(settings.kafka.properties["sasl.password"], "hush hush");
    assert_eq!(settings.kafka.property_files["sasl.password"], path);
    let printed = format!("{settings:#?} {:?} {}", settings.kafka, summary(&settings));
    assert!(!printed.contains("hush hush"), "{printed}");
    assert!(
        summary(&settings).contains(&format!("sasl.password is in {}", path.display())),
        "{printed}"
    );

    // One line break is not part of it, and PEM may have more lines.
    for (name, content, value) in [
        ("sasl.password", "hush\r\n", "hush"),
        ("ssl.key.password", "hush", "hush"),
        (
            "ssl.key.pem",
            "-----BEGIN\nhush\n-----END\n",
            "-----BEGIN\nhush\n-----END",
        ),
    ] {
        files.write("file", content);
        let settings = files.load(&format!("[kafka.property_files]\n{name:?} = \"file\"\n"));
        assert_eq!(settings.kafka.properties[name], value);
    }
    // Without quotes it is a table in a table, and means the same.
    let unquoted = files.load("[kafka.property_files]\nsasl.password = \"password\"\n");
    assert_eq!(unquoted.kafka.properties["sasl.password"], "hush hush");
}

#[test]
fn a_variable_names_such_a_file_and_the_service_manager_is_asked_first() {
    let (files, given) = (Files::new(), Files::new());
    files.write("password", "hush beside");
    given.write("password", "hush given");
    let directory = given.0.path().to_str().unwrap();
    let env = [
        ("CREDENTIALS_DIRECTORY", directory),
        ("LIVESTREAMD__KAFKA__PROPERTY_FILES__SASL_PASSWORD", "password"),
    ];
    for text in ["", PASSWORD] {
        let settings = files.load_with(text, &env).unwrap().settings;
        assert_eq!(settings.kafka.properties["sasl.password"], "hush given");
    }
    let settings = files.load_with("", &env[1..]).unwrap().settings;
    assert_eq!(settings.kafka.properties["sasl.password"], "hush beside");
    let faults = files
        .load_with("", &[("LIVESTREAMD__KAFKA__PROPERTY_FILES", "password")])
        .unwrap_err();
    assert!(faults.to_string().contains("KAFKA__PROPERTY_FILES__NAME"), "{faults}");
}

#[test]
fn a_file_that_is_of_no_use_is_refused_with_its_key_and_without_its_content() {
    let files = Files::new();
    files.write("password", "hush");
    files.write("empty", "\n");
    files.write("lines", "hush\nhush\n");
    files.write("long", &"hush".repeat(20_000));
    files.write("acks", "0");
    std::fs::write(files.0.path().join("binary"), b"hush\xff").unwrap();
    for (table, key, says) in [
        (
            "\"sasl.password\" = \"gone\"",
            "sasl.password",
            "there is no file of the name that stands here",
        ),
        ("\"sasl.password\" = \"empty\"", "sasl.password", "is empty"),
        ("\"sasl.password\" = \"lines\"", "sasl.password", "alone, on one line"),
        ("\"sasl.password\" = \"long\"", "sasl.password", "is longer than"),
        ("\"sasl.password\" = \"binary\"", "sasl.password", "is not UTF-8 text"),
        ("\"sasl.password\" = \".\"", "sasl.password", "it is not a regular file"),
        ("\"sasl.password\" = \"\"", "sasl.password", "is empty"),
        (
            "\"sasl.password\" = 5",
            "sasl.password",
            "a number stands where the name of a file, in quotes, belongs",
        ),
        (
            "\"sasl password\" = \"password\"",
            "sasl password",
            "is not the name of",
        ),
        ("\"acks\" = \"acks\"", "acks", "acks: may only be all"),
        (
            "\"bootstrap.servers\" = \"acks\"",
            "bootstrap.servers",
            "set kafka.brokers",
        ),
        (
            "\"ssl.key.location\" = \"password\"",
            "ssl.key.location",
            "names a file by itself",
        ),
    ] {
        let (at, told) = files.fault(&format!("[kafka.property_files]\n{table}\n"));
        assert_eq!(at, format!("kafka.property_files.{key}"), "{told}");
        assert!(told.contains(says), "{told}");
    }
}

#[test]
fn a_property_that_stands_in_both_tables_is_refused() {
    let files = Files::new();
    files.write("password", "hush");
    for other in [
        "\"sasl.oauthbearer.client.secret\"",
        "\"sasl.oauthbearer.client.credentials.client.secret\"",
    ] {
        let (key, told) = files.fault(&format!(
            "[kafka.properties]\n{other} = \"hush\"\n[kafka.property_files]\n\"sasl.oauthbearer.client.secret\" = \"password\"\n"
        ));
        assert_eq!(key, "kafka.property_files.sasl.oauthbearer.client.secret");
        assert!(told.contains("is set as well; keep one of the two"), "{told}");
    }
    let (key, told) = files.fault(
        "[kafka.property_files]\n\"sasl.oauthbearer.client.secret\" = \"password\"\n\
         \"sasl.oauthbearer.client.credentials.client.secret\" = \"password\"\n",
    );
    assert!(
        key.starts_with("kafka.property_files.sasl.oauthbearer.client."),
        "{key}"
    );
    assert!(told.contains("is another name of kafka.property_files."), "{told}");
}

#[test]
fn a_file_with_a_secret_that_everybody_may_read_is_warned_about() {
    use std::os::unix::fs::PermissionsExt as _;
    let files = Files::new();
    for name in ["password", "user", "key", "ca"] {
        let path = files.write(name, "hush");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let text = "[kafka.properties]\n\"ssl.key.location\" = \"key\"\n\"ssl.ca.location\" = \"ca\"\n\
                [kafka.property_files]\n\"sasl.password\" = \"password\"\n\"sasl.username\" = \"user\"\n";
    let warnings = files.load_with(text, &[]).unwrap().warnings;
    let keys: Vec<&str> = warnings.iter().map(crate::settings::Warning::key).collect();
    assert_eq!(
        keys,
        [
            "kafka.properties.ssl.key.location",
            "kafka.property_files.sasl.password"
        ]
    );
}

#[test]
fn a_file_that_a_property_names_is_found_as_a_secret_file_is() {
    let (files, given) = (Files::new(), Files::new());
    let ca = files.write("ca.pem", "x");
    let key = given.write("client.key", "x");
    std::fs::create_dir(files.0.path().join("authorities")).unwrap();
    let env = [("CREDENTIALS_DIRECTORY", given.0.path().to_str().unwrap())];
    let text = "[kafka.properties]\n\"ssl.ca.location\" = \"ca.pem\"\n\"ssl.key.location\" = \"client.key\"\n\
                \"https.ca.location\" = \"authorities\"\n";
    let settings = files.load_with(text, &env).unwrap().settings;
    let named = |name: &str| PathBuf::from(&settings.kafka.properties[name]);
    assert_eq!((named("ssl.ca.location"), named("ssl.key.location")), (ca.clone(), key));
    assert_eq!(named("https.ca.location"), files.0.path().join("authorities"));

    // What librdkafka understands by itself stays as it is.
    for (name, value) in [
        ("ssl.ca.location", "probe"),
        ("ssl.crl.location", ""),
        ("client.id", "ca.pem"),
    ] {
        let settings = files.load(&format!("[kafka.properties]\n{name:?} = {value:?}\n"));
        assert_eq!(settings.kafka.properties[name], value);
    }
    let (at, told) = files.fault("[kafka.properties]\n\"ssl.certificate.location\" = \"gone.pem\"\n");
    assert_eq!(at, "kafka.properties.ssl.certificate.location");
    assert!(told.contains("= \"gone.pem\": there is no such file ("), "{told}");
    let (_, told) = files.fault("[kafka.properties]\n\"ssl.key.location\" = \"authorities\"\n");
    assert!(told.contains("cannot be read: it is not a regular file"), "{told}");
}

#[test]
fn a_certificate_that_ends_soon_is_warned_of() {
    let files = Files::new();
    let now = SystemTime::now();
    let issued = Authority::new("a").issue_for(&["client.example"], now - DAY, now + DAY);
    files.write("client.pem", &issued.pem);
    let text = "[kafka.properties]\n\"ssl.certificate.location\" = \"client.pem\"\n";
    let warnings = files.load_with(text, &[]).unwrap().warnings;
    let [warning] = &warnings[..] else {
        panic!("{warnings:?}")
    };
    assert_eq!(warning.key(), "kafka.properties.ssl.certificate.location");
}

#[test]
fn what_a_file_holds_now_is_compared_at_a_reload_and_asks_for_a_restart() {
    let files = Files::new();
    files.write("password", "hush");
    files.write("moved", "hush\n");
    files.write("ca.pem", "x");
    let text =
        format!("[kafka.properties]\n\"ssl.ca.location\" = \"ca.pem\"\n\"https.ca.location\" = \"ca.pem\"\n{PASSWORD}");
    let before = files.load(&text);
    let needs = |wanted: &Settings| {
        let changes = Changes::between(&before, wanted);
        assert!(changes.streams.is_empty() && changes.daemon.is_empty(), "{changes:?}");
        assert!(!format!("{changes:?}").contains("hush"), "{changes:?}");
        changes.needs_restart
    };
    assert!(needs(&files.load(&text)).is_empty());
    // The same secret in another place is the same.
    assert!(needs(&files.load(&text.replace("\"password\"", "\"moved\""))).is_empty());
    files.write("password", "hush anew");
    assert_eq!(needs(&files.load(&text)), ["kafka.property_files.sasl.password"]);
    files.write("password", "hush");
    files.write("ca.pem", "y");
    // The other is read for each token, whatever it holds.
    assert_eq!(needs(&files.load(&text)), ["kafka.properties.ssl.ca.location"]);
    files.write("ca.pem", "x");
    let without = text.replace(PASSWORD, "");
    assert_eq!(needs(&files.load(&without)), ["kafka.property_files.sasl.password"]);
}
