//! Rust source, read just well enough to see which paths a file mentions outside its tests.
//!
//! Comments and what stands under `#[cfg(test)]` are left out; groups (`use a::{b, c::d}`) are written out; `crate`, `super` and, in
//! `main.rs`, the crate's name are followed to the module that they mean. No macro is expanded.

/// The crate's name, which is how `main.rs` calls the library.
const CRATE: &str = "livestreamd";

/// What a file mentions.
pub struct Source {
    /// Every path, a single word being a path too.
    pub mentions: Vec<Mention>,
    /// Files that this one declares as modules under `#[cfg(test)]`, as paths from the crate's directory.
    pub test_files: Vec<String>,
}

/// A path in a file.
pub struct Mention {
    /// Counted from 1.
    pub line: usize,
    /// As written, the group it stands in resolved: `std`, `time`, `Instant`.
    pub path: Vec<String>,
    /// The same from the root of our crate, if it leads there: `journal`, `Position`.
    pub in_crate: Option<Vec<String>>,
}

/// Reads the source `text` of the file at `path`, such as `src/kafka/mod.rs`.
pub fn parse(path: &str, text: &str) -> Source {
    let tokens = tokens(text);
    let (tokens, test_modules) = without_tests(&tokens);
    let test_files = test_modules.iter().map(|module| module_file(path, module)).collect();
    let mut reader = Reader {
        tokens: &tokens,
        at: 0,
        found: Vec::new(),
    };
    let mut module = module_of(path);
    // For each open brace, whether it is that of a `mod name {`.
    let mut braces = Vec::new();
    let mut mentions = Vec::new();
    while let Some(token) = tokens.get(reader.at) {
        match token.text.as_str() {
            "mod" if reader.text(2) == "{" => {
                module.push(reader.text(1).to_owned());
                braces.push(true);
                reader.at += 3;
            }
            "{" => {
                braces.push(false);
                reader.at += 1;
            }
            "}" => {
                if braces.pop() == Some(true) {
                    module.pop();
                }
                reader.at += 1;
            }
            // `pub(crate)` and `pub(super)` lead nowhere.
            "crate" | "super" if reader.text(1) == ")" => reader.at += 1,
            word if is_word(word) => {
                reader.read_path(&[]);
                for (line, path) in reader.found.drain(..) {
                    let in_crate = from_root(&module, &path);
                    mentions.push(Mention { line, path, in_crate });
                }
            }
            _ => reader.at += 1,
        }
    }
    Source { mentions, test_files }
}

/// `src/kafka/mod.rs` is module `kafka`, `src/kafka/a.rs` is `kafka`, `a`; the roots are nothing.
fn module_of(path: &str) -> Vec<String> {
    let path = path
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    if ["lib", "main"].contains(&path) {
        return Vec::new();
    }
    path.split('/').map(str::to_owned).collect()
}

/// Where a module lies that the file at `path` declares.
fn module_file(path: &str, module: &TestModule) -> String {
    let (dir, file) = path.rsplit_once('/').unwrap_or(("", path));
    match module {
        TestModule::At(place) => format!("{dir}/{place}"),
        TestModule::Named(name) if ["mod.rs", "lib.rs", "main.rs"].contains(&file) => format!("{dir}/{name}.rs"),
        TestModule::Named(name) => format!("{}/{name}.rs", path.trim_end_matches(".rs")),
    }
}

/// Follows `crate`, `super` and the crate's name from `module`; `None` for a path that does not begin so.
fn from_root(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let first = path.first()?;
    if first == "crate" || (first == CRATE && path.len() > 1) {
        return Some(path[1..].to_vec());
    }
    let ups = path.iter().take_while(|segment| *segment == "super").count();
    let base = module.len().checked_sub(ups).filter(|_| ups > 0)?;
    Some(module[..base].iter().chain(&path[ups..]).cloned().collect())
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    found: Vec<(usize, Vec<String>)>,
}

impl Reader<'_> {
    /// The token that stands `ahead` of the next one.
    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text.as_str())
    }

    /// Reads one path, or a group of them, behind `prefix`, and notes each.
    fn read_path(&mut self, prefix: &[String]) {
        let line = self.tokens[self.at].line;
        let mut path = prefix.to_vec();
        loop {
            match self.text(0) {
                "{" => {
                    self.at += 1;
                    while !["}", ""].contains(&self.text(0)) {
                        match self.text(0) {
                            // `a as b`: the new name is not mentioned, it is made.
                            "as" => self.at += 2,
                            word if is_word(word) || ["*", "{"].contains(&word) => self.read_path(&path),
                            _ => self.at += 1,
                        }
                    }
                    self.at += 1;
                    return;
                }
                segment if segment == "*" || is_word(segment) => path.push(segment.to_owned()),
                // `a::<T>`: what is in the brackets is met later.
                _ => break,
            }
            self.at += 1;
            if self.text(0) != "::" {
                break;
            }
            self.at += 1;
        }
        self.found.push((line, path));
    }
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

#[derive(Clone)]
struct Token {
    line: usize,
    /// A word, a sign (`::` is one), or a literal, which begins with a quotation mark.
    text: String,
}

fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    let mut line = 1;
    while at < chars.len() {
        let end = token_end(&chars, at);
        let token: String = chars[at..end].iter().collect();
        let is_comment = token.starts_with("//") || token.starts_with("/*");
        if !is_comment && !token.trim().is_empty() {
            let text = literal(&token).map_or_else(|| token.clone(), |content| format!("\"{content}"));
            tokens.push(Token { line, text });
        }
        line += token.matches('\n').count();
        at = end;
    }
    tokens
}

/// What is between the quotation marks, if `token` is a text or a character.
fn literal(token: &str) -> Option<&str> {
    let bare = token.trim_start_matches(['b', 'c', 'r', '#']).trim_end_matches('#');
    let mark = ["\"", "'"]
        .into_iter()
        .find(|mark| bare.len() > 1 && bare.starts_with(mark) && bare.ends_with(mark))?;
    bare.strip_prefix(mark)?.strip_suffix(mark)
}

/// Where the token that begins at `start` ends.
fn token_end(chars: &[char], start: usize) -> usize {
    let rest = &chars[start..];
    let begins = |what: &str| what.chars().enumerate().all(|(i, c)| rest.get(i) == Some(&c));
    let length = match rest[0] {
        _ if begins("//") => rest.iter().position(|&c| c == '\n'),
        _ if begins("/*") => comment_length(rest),
        'r' | 'b' | 'c' if prefixed_text_length(rest).is_some() => prefixed_text_length(rest),
        '"' => quoted_length(rest, '"'),
        // A character, or else the beginning of a lifetime.
        '\'' if rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'') => quoted_length(rest, '\''),
        _ if begins("::") => Some(2),
        c if c.is_alphanumeric() || c == '_' => rest.iter().position(|&c| !c.is_alphanumeric() && c != '_'),
        _ => Some(1),
    };
    start + length.unwrap_or(rest.len())
}

/// Comments nest.
fn comment_length(rest: &[char]) -> Option<usize> {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// `b"..."`, `c"..."`, `r"..."`, `br#"..."#` and their like; `None` for a word that merely begins so.
fn prefixed_text_length(rest: &[char]) -> Option<usize> {
    let letters = rest.iter().take_while(|c| ['b', 'c', 'r'].contains(c)).count();
    let hashes = rest[letters..].iter().take_while(|&&c| c == '#').count();
    let quote = letters + hashes;
    let is_raw = rest[..letters].contains(&'r');
    match rest.get(quote)? {
        '"' if is_raw => {
            let closes =
                |at: usize| rest[at] == '"' && rest[at + 1..].iter().take_while(|&&c| c == '#').count() >= hashes;
            Some((quote + 1..rest.len()).find(|&at| closes(at))? + 1 + hashes)
        }
        '"' if hashes == 0 => Some(quote + quoted_length(&rest[quote..], '"')?),
        '\'' if hashes == 0 && letters == 1 && rest[0] == 'b' => Some(quote + quoted_length(&rest[quote..], '\'')?),
        _ => None,
    }
}

fn quoted_length(rest: &[char], mark: char) -> Option<usize> {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            c if c == mark => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

enum TestModule {
    Named(String),
    At(String),
}

/// Leaves out every item under `#[cfg(test)]`; returns the modules among them that lie in files of their own.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<TestModule>) {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    let mut kept = Vec::new();
    let mut modules = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if text(at) != "#" || text(at + 1) != "[" {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let end = past_brackets(tokens, at + 1);
        if !is_for_tests(&tokens[at..end]) {
            kept.extend_from_slice(&tokens[at..end]);
            at = end;
            continue;
        }
        // Further attributes of the same item, then the item up to its semicolon or the end of its braces.
        let mut item = end;
        let mut place = None;
        while text(item) == "#" {
            let next = past_brackets(tokens, item + 1);
            if text(item + 2) == "path" {
                place = text(item + 4).strip_prefix('"').map(str::to_owned);
            }
            item = next;
        }
        at = item;
        while at < tokens.len() && !["{", ";"].contains(&text(at)) {
            at = if ["(", "["].contains(&text(at)) {
                past_brackets(tokens, at)
            } else {
                at + 1
            };
        }
        if text(at) == ";" && at >= 2 && text(at - 2) == "mod" {
            modules.push(place.map_or_else(|| TestModule::Named(text(at - 1).to_owned()), TestModule::At));
        }
        at = if text(at) == "{" {
            past_brackets(tokens, at)
        } else {
            at + 1
        };
        // `use a::{b};`
        if text(at) == ";" {
            at += 1;
        }
    }
    (kept, modules)
}

/// `cfg(test)`, or `cfg(all(test, ...))`.
fn is_for_tests(attribute: &[Token]) -> bool {
    let words: Vec<&str> = attribute
        .iter()
        .map(|token| token.text.as_str())
        .filter(|text| *text != "(")
        .collect();
    match words.as_slice() {
        ["#", "[", "cfg", "test", ..] => true,
        ["#", "[", "cfg", "all", conditions @ ..] => !conditions.contains(&"not") && conditions.contains(&"test"),
        _ => false,
    }
}

/// Where what the opening bracket at `open` holds has ended.
fn past_brackets(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}
