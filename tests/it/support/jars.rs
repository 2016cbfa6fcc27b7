//! Kafka's jars, and a Java to run them: fetched once by Maven from the pinned pom, kept under `target/`.
//!
//! Several test processes may ask at once: one fetches, under a lock, into a directory that gets its name only when it is whole.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const POM: &str = include_str!("../../kafka/pom.xml");

/// What a developer must know when the tests cannot start a broker. One sentence.
const NEEDS: &str = "the integration tests start a Kafka broker and need Java 17 or newer and Maven (Debian: apt-get install \
                     openjdk-17-jre-headless maven), or set LIVESTREAMD_TEST_KAFKA=host:port to use a broker that runs already";

/// A small heap, a quick start, no files in /tmp.
const JVM_OPTIONS: [&str; 6] = [
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Djava.awt.headless=true",
];

/// A Java, and the class path of Kafka.
pub struct Kafka {
    java: PathBuf,
    class_path: String,
}

impl Kafka {
    /// The program and the arguments that run one of Kafka's main classes.
    pub fn command(&self, main_class: &str) -> Vec<String> {
        let mut command = vec![self.java.to_string_lossy().into_owned()];
        command.extend(JVM_OPTIONS.map(str::to_owned));
        command.extend(["-cp", &self.class_path, main_class].map(str::to_owned));
        command
    }

    /// Runs one of Kafka's own tools to its end. An error is what it said.
    pub fn run<'a>(&self, main_class: &str, arguments: impl IntoIterator<Item = &'a str>) -> Result<(), String> {
        let command = self.command(main_class);
        let output = Command::new(&command[0])
            .args(&command[1..])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("cannot run Java: {e}"))?;
        if output.status.success() {
            return Ok(());
        }
        // Some of them complain on standard output.
        let said = [output.stdout, output.stderr].concat();
        Err(format!(
            "{main_class} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&said).trim()
        ))
    }
}

/// Finds Java and the jars; fetches the jars if they are not there. An error is a sentence for a person.
pub fn find() -> Result<Kafka, String> {
    let java = java()?;
    let version =
        between(POM, "<kafka.version>", "</kafka.version>").ok_or("tests/kafka/pom.xml has no kafka.version")?;
    let jars = target_dir().join(format!("kafka-{version}"));
    let lock = target_dir().join("kafka.lock");
    let lock = File::create(&lock).map_err(|e| format!("cannot create {}: {e}", lock.display()))?;
    lock.lock().map_err(|e| format!("cannot lock target/kafka.lock: {e}"))?;
    if fs::read_to_string(jars.join("pom.xml")).ok().as_deref() != Some(POM) {
        fetch(&jars)?;
    }
    Ok(Kafka {
        java,
        class_path: format!("{}/*", jars.display()),
    })
}

/// Where cargo puts what it makes.
fn target_dir() -> &'static Path {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tmp.parent().unwrap_or(tmp)
}

fn java() -> Result<PathBuf, String> {
    let java = std::env::var_os("JAVA_HOME").map_or_else(|| "java".into(), |home| PathBuf::from(home).join("bin/java"));
    let output = Command::new(&java)
        .arg("-version")
        .output()
        .map_err(|e| format!("{}: {e}: {NEEDS}", java.display()))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match major_version(&said) {
        Some(17..) => Ok(java),
        Some(old) => Err(format!("{} is Java {old}: {NEEDS}", java.display())),
        None => Err(format!("{} does not say its version: {NEEDS}", java.display())),
    }
}

/// `openjdk version "17.0.15" 2025-04-15` is 17, `java version "1.8.0_402"` is 1, and that is old enough.
fn major_version(said: &str) -> Option<u32> {
    let version = between(said, "version \"", "\"")?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

fn fetch(jars: &Path) -> Result<(), String> {
    let partial = jars.with_extension("partial");
    for old in [jars, &partial] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(|e| format!("cannot remove {}: {e}", old.display()))?;
        }
    }
    let output = Command::new("mvn")
        .args(["--batch-mode", "--quiet", "--file"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kafka/pom.xml"))
        .args(["dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", partial.display()))
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("mvn: {e}: {NEEDS}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        return Err(format!(
            "Maven could not fetch Kafka's jars ({}): {}",
            output.status,
            said.trim()
        ));
    }
    fs::write(partial.join("pom.xml"), POM).map_err(|e| format!("cannot write to {}: {e}", partial.display()))?;
    fs::rename(&partial, jars).map_err(|e| format!("cannot rename {} to {}: {e}", partial.display(), jars.display()))
}

#[test]
fn the_major_version_of_java_is_read_old_style_and_new() {
    assert_eq!(
        major_version("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime"),
        Some(17)
    );
    assert_eq!(major_version("openjdk version \"24-ea\" 2025-03-18"), Some(24));
    assert_eq!(major_version("java version \"1.8.0_402\""), Some(1));
    assert_eq!(major_version("command not found"), None);
}
