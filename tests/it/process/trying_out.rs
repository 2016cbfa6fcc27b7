//! `livestreamd shape` and the `[[tests]]` of a configuration: the binary with hits on its standard input or in files. Nothing listens where the configuration points to.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::child::{Ended, Scratch};

const CONFIG: &str = "
[credentials.default]
client_id = \"0123456789abcdef\"
client_secret = \"hush\"
[kafka]
brokers = \"127.0.0.1:1\"
dead_letter_topic = \"dead\"
[streams.web]
url = \"https://livestream.adobe.net/api/1/stream/adobe-livestream-examplecomprod\"
topic = \"hits\"
max_record_bytes = \"64KiB\"
[streams.web.shape]
bots = \"drop\"
required = [\"/pageName\"]
drop = [\"/ip\"]
[streams.web.outputs.all]
topic = \"all\"
shape = { bots = \"keep\", required = [], drop = [] }
";

const SECOND: &str = "
[streams.app]
url = \"https://livestream.adobe.net/api/1/stream/app\"
";

/// A hit that goes out, a bot, one that is incomplete, none at all.
const HITS: &str = "{\"visIdHigh\":1,\"visIdLow\":2,\"pageName\":\"home\",\"ip\":\"::1\"}\r\n\n{\"bot\":\"Googlebot\"}\n{\"a\":1}\nbroken\n";

const PAGE: &str = include_str!("../../../docs/shaping.md");

/// Runs `livestreamd` in the directory of `scratch`, without an environment.
fn run(scratch: &Scratch, arguments: &[&str], input: &[u8]) -> Ended {
    let mut child = Command::new(env!("CARGO_BIN_EXE_livestreamd"))
        .args(arguments)
        .current_dir(scratch.path())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // It may refuse its arguments, and read nothing.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended {
        code: output.status.code().unwrap(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// `shape` with this configuration.
fn shape(config: &str, arguments: &[&str], input: &[u8]) -> Ended {
    let scratch = Scratch::new();
    scratch.write("c.toml", config);
    scratch.write("hits.ndjson", HITS);
    run(&scratch, &[&["shape", "--config", "c.toml"], arguments].concat(), input)
}

fn objects(ended: &Ended) -> Vec<Value> {
    let lines = ended.stdout.lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The fenced blocks of this kind in the section of the page.
fn blocks(section: &str, kind: &str) -> Vec<String> {
    let (_, section) = PAGE.split_once(&format!("\n## {section}\n")).expect(section);
    let section = section.split("\n## ").next().unwrap();
    let fence = format!("```{kind}\n");
    let blocks = section.split(&fence).skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn hits_on_standard_input_are_shown_as_they_would_come_out() {
    let ended = shape(
        CONFIG,
        &["--output=default", "--received=1700000000000"],
        HITS.as_bytes(),
    );
    assert_eq!(ended.code, 0, "{ended:?}");
    let expected = "line 1: forwarded
  topic      hits
  key        1_2
  timestamp  1700000000000 (2023-11-14T22:13:20.000Z)
  header     livestream.stream: web
  header     livestream.report_suite: web
  value      {\"visIdHigh\":1,\"visIdLow\":2,\"pageName\":\"home\"}
line 3: held back by the filter bots
line 4: incomplete, without /pageName, and dropped
line 5: a dead letter, not_json
  topic      dead
  key        (none)
  timestamp  1700000000000 (2023-11-14T22:13:20.000Z)
  header     livestream.stream: web
  header     livestream.report_suite: web
  header     livestream.dead_letter.reason: not_json
  value      broken
";
    assert_eq!(ended.stdout, expected);
    assert_eq!(
        ended.stderr,
        "4 hits read\noutput default: 1 forwarded, 1 held back (bots 1), 1 incomplete, 1 dead letters (not_json 1)\n"
    );
}

#[test]
fn files_are_read_and_each_output_is_told() {
    let ended = shape(CONFIG, &["--json", "hits.ndjson", "-"], b"{}");
    let told = objects(&ended);
    let outcomes: Vec<_> = told
        .iter()
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap_or("none").to_owned();
            let line = one["line"].as_u64().unwrap();
            (text("file"), line, text("output"), text("outcome"), text("topic"))
        })
        .collect();
    let expected = [
        ("hits.ndjson", 1, "default", "forwarded", "hits"),
        ("hits.ndjson", 1, "all", "forwarded", "all"),
        ("hits.ndjson", 3, "default", "held_back", "none"),
        ("hits.ndjson", 3, "all", "forwarded", "all"),
        ("hits.ndjson", 4, "default", "incomplete", "none"),
        ("hits.ndjson", 4, "all", "forwarded", "all"),
        ("hits.ndjson", 5, "default", "dead_letter", "dead"),
        ("hits.ndjson", 5, "all", "dead_letter", "none"),
        ("none", 1, "default", "incomplete", "none"),
        ("none", 1, "all", "forwarded", "all"),
    ];
    let expected = expected.map(|(file, line, output, outcome, topic)| {
        let [file, output, outcome, topic] = [file, output, outcome, topic].map(str::to_owned);
        (file, line, output, outcome, topic)
    });
    assert_eq!(outcomes, expected, "{ended:?}");
    assert_eq!(told[1]["value"], HITS.lines().next().unwrap());
    assert!(ended.stderr.starts_with("5 hits read\noutput default: ") && ended.stderr.contains("\noutput all: "));
}

#[test]
fn hostile_bytes_steer_no_terminal() {
    let hostile = "{\"pageName\":\"a\u{9b}2J\u{202e}\"}\n\x1b]0;title\x07\n\0\n".as_bytes();
    let hostile = [hostile, b"\xff\xfe\x1b[2J\n"].concat();
    for form in [&["-oall"][..], &["-oall", "--json"]] {
        let ended = shape(CONFIG, form, &hostile);
        let obeyed = |c: char| c != '\n' && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c));
        assert!(ended.code == 0 && !ended.stdout.contains(obeyed), "{ended:?}");
        assert!(ended.stdout.contains("a\\u009b2J\\u202e"), "{ended:?}");
    }
}

#[test]
fn a_line_that_is_too_long_is_told_and_passed_over() {
    let long = [
        &b"{\"pageName\":\""[..],
        &vec![b'x'; 3_000_000],
        b"\"}\n{\"pageName\":1}\n",
    ]
    .concat();
    let ended = shape(CONFIG, &["--json", "--output=default"], &long);
    let told = objects(&ended);
    assert_eq!((told.len(), ended.code), (2, 0));
    assert_eq!(
        (
            &told[0]["dead_letter"],
            &told[0]["headers"]["livestream.dead_letter.length"]
        ),
        (&"too_long".into(), &"3000015".into())
    );
    assert!(told[0]["value"].as_str().unwrap().len() <= 4096);
    assert_eq!(
        (&told[1]["line"], &told[1]["outcome"]),
        (&2.into(), &"forwarded".into())
    );
}

#[test]
fn what_it_is_asked_for_must_be_there() {
    let two = format!("{CONFIG}{SECOND}");
    for (config, arguments, code, says) in [
        (
            CONFIG,
            &["--stream=wep"][..],
            64,
            "there is no stream \"wep\": give --stream one of web\n",
        ),
        (
            CONFIG,
            &["--output=some"],
            64,
            "no output \"some\": give --output one of default, all\n",
        ),
        (
            two.as_str(),
            &[],
            64,
            "there are several streams: give --stream, one of app, web\n",
        ),
        (CONFIG, &["no-such-file"], 1, "cannot read no-such-file: No such file"),
        (CONFIG, &["."], 1, "cannot read .: "),
        ("[streams.web]", &[], 78, "streams.web.url: is missing"),
        (CONFIG, &["--received=soon"], 64, "invalid value 'soon'"),
    ] {
        let ended = shape(config, arguments, b"{}");
        assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{ended:?}");
        assert!(ended.stderr.contains(says), "{says}: {ended:?}");
    }
    let ended = shape(&two, &["--stream=app"], b"{}");
    assert!(
        ended.code == 0 && ended.stdout.contains("topic      livestream.app"),
        "{ended:?}"
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    let scratch = Scratch::new();
    scratch.write("c.toml", CONFIG);
    scratch.write("hits.ndjson", &HITS.repeat(20_000));
    let script = "{ \"$1\" shape --config c.toml hits.ndjson; echo $? >code; } | head -n 1";
    let output = Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_livestreamd")])
        .current_dir(scratch.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "hits.ndjson, line 1, output default: forwarded\n"
    );
    assert_eq!(std::fs::read_to_string(scratch.path().join("code")).unwrap(), "0\n");
    let full = Command::new("sh")
        .args(["-c", "exec \"$1\" shape --config c.toml hits.ndjson >/dev/full", "sh"])
        .arg(env!("CARGO_BIN_EXE_livestreamd"))
        .current_dir(scratch.path())
        .output()
        .unwrap();
    assert_eq!(full.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&full.stderr).contains("cannot write to standard output"));
}

#[test]
fn a_hit_is_shown_before_the_next_has_come() {
    use std::io::{BufRead as _, BufReader};
    let scratch = Scratch::new();
    scratch.write("c.toml", CONFIG);
    let mut child = Command::new(env!("CARGO_BIN_EXE_livestreamd"))
        .args(["shape", "--config=c.toml", "--output=all", "--json"])
        .current_dir(scratch.path())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for number in 1..4 {
        stdin.write_all(b"{}\n").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(told["line"], number);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn check_runs_the_tests_of_a_configuration() {
    let check = |tests: &str| {
        let scratch = Scratch::new();
        scratch.write("c.toml", &format!("{CONFIG}{tests}"));
        run(&scratch, &["check", "--config", "c.toml"], b"")
    };
    let passing = "
[[tests]]
name = \"bots stay out\"
input = '{\"bot\":\"Googlebot\"}'
held_back_by = \"bots\"
";
    let ended = check(passing);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    assert!(ended.stdout.ends_with("\nok     tests.1 bots stay out\n"), "{ended:?}");
    let failing = format!(
        "{passing}
[[tests]]
name = \"all goes out\"
output = \"all\"
input = '{{\"ip\":\"::1\"}}'
topic = \"hits\"
value = '{{}}'
"
    );
    let ended = check(&failing);
    assert_eq!((ended.code, ended.stderr.as_str()), (1, ""), "{ended:?}");
    let last: Vec<&str> = ended.stdout.lines().rev().take(2).collect();
    assert_eq!(
        last,
        [
            r#"fault  tests.2 all goes out: topic is "all" where "hits" was expected; value is "{\"ip\":\"::1\"}" where "{}" was expected"#,
            "ok     tests.1 bots stay out",
        ]
    );
    for command in ["check", "run"] {
        let scratch = Scratch::new();
        scratch.write("c.toml", &format!("{CONFIG}{passing}topic = \"hits\""));
        let ended = run(&scratch, &[command, "--config", "c.toml"], b"");
        assert!(
            ended.code == 78 && ended.stderr.contains("tests.1.held_back_by: "),
            "{ended:?}"
        );
    }
}

#[test]
fn the_examples_of_the_page_are_as_it_says() {
    let scratch = Scratch::new();
    let of = |section: &str, kind: &str| blocks(section, kind).concat();
    let config = of("Trying it out", "toml");
    scratch.write("livestreamd.toml", &config);
    scratch.write("hits.ndjson", &of("Trying it out", "json"));
    run_consoles(&scratch, "Trying it out", 0);
    let tests = of("Tests in the configuration", "toml");
    scratch.write("livestreamd.toml", &format!("{config}{tests}"));
    run_consoles(&scratch, "Tests in the configuration", 1);
}

#[test]
fn the_configurations_of_the_page_are_taken() {
    let (intro, _) = PAGE.split_once("\n## ").unwrap();
    let intro = intro.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let outputs = blocks("Several outputs of one stream", "toml").concat();
    for more in [intro.to_owned(), format!("shape = {{ bots = \"drop\" }}\n{outputs}")] {
        let scratch = Scratch::new();
        scratch.write("hash-key", "0123456789abcdef0123456789abcdef\n");
        let stream = "[credentials.default]\naccess_token = \"none\"\n[streams.web]\nurl = \"https://livestream.adobe.net/api/1/stream/web\"\n";
        scratch.write("c.toml", &format!("{stream}{more}"));
        let ended = run(&scratch, &["check", "--config", "c.toml"], b"");
        assert_eq!(ended.code, 0, "{ended:?}");
    }
}

/// Each block is a command and what it says in the end, on both streams.
fn run_consoles(scratch: &Scratch, section: &str, code: i32) {
    let consoles = blocks(section, "console");
    assert!(!consoles.is_empty(), "{section}");
    for console in consoles {
        let (command, expected) = console.split_once('\n').unwrap();
        let arguments: Vec<&str> = command.trim_start_matches("$ livestreamd ").split(' ').collect();
        let ended = run(scratch, &arguments, b"");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.ends_with(expected), "{command}\n{said}");
        assert_eq!(ended.code, code, "{command}");
    }
}
