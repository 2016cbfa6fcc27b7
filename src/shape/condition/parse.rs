//! From words to a condition: recursive descent, no deeper than [`MAX_DEPTH`].

use regex_lite::RegexBuilder;

use super::lex::{Token, Word, end, token};
use super::{Item, Literal, Node, Ordered, Test, number};
use crate::shape::fault::Fault;
use crate::shape::pointer::Pointer;

/// How deep brackets and `not` may be nested.
const MAX_DEPTH: usize = 64;

/// A regular expression may take so much memory once it is compiled, in bytes: a thousand times what is usual.
const MAX_REGEX_BYTES: usize = 1 << 20;

const COMPARISONS: &str = "==, !=, <, <=, >, >=, in, =~, !~, starts_with, ends_with or contains";

/// Reads a whole condition, and the pointers in it.
pub(super) fn parse(text: &str) -> Result<(Node, Vec<Pointer>), Fault> {
    let mut parser = Parser {
        text,
        next: token(text, 0)?,
        depth: 0,
        pointers: Vec::new(),
    };
    let root = parser.any()?;
    if parser.next.word != Word::End {
        return Err(parser.expected("and, or, or the end of the condition"));
    }
    Ok((root, parser.pointers))
}

struct Parser<'a> {
    text: &'a str,
    next: Token<'a>,
    depth: usize,
    pointers: Vec<Pointer>,
}

impl<'a> Parser<'a> {
    /// Takes the next word.
    fn take(&mut self) -> Result<Token<'a>, Fault> {
        let following = token(self.text, end(self.text, &self.next))?;
        Ok(std::mem::replace(&mut self.next, following))
    }

    /// Takes the next word if it is this name or sign.
    fn take_if(&mut self, wanted: &str) -> Result<bool, Fault> {
        let is_wanted = match &self.next.word {
            Word::Name(word) => *word == wanted,
            Word::Sign(sign) => *sign == wanted,
            Word::Pointer(_) | Word::String(_) | Word::Number(_) | Word::End => false,
        };
        if is_wanted {
            self.take()?;
        }
        Ok(is_wanted)
    }

    fn must_take(&mut self, wanted: &str) -> Result<(), Fault> {
        if self.take_if(wanted)? {
            Ok(())
        } else {
            Err(self.expected(wanted))
        }
    }

    fn expected(&self, what: &str) -> Fault {
        let found = match &self.next.word {
            Word::End => "the end".to_owned(),
            Word::String(_) => "a string".to_owned(),
            Word::Pointer(word) | Word::Number(word) | Word::Name(word) => (*word).to_owned(),
            Word::Sign(sign) => (*sign).to_owned(),
        };
        Fault::new(self.text, self.next.at, format!("expected {what}, found {found}"))
    }

    fn any(&mut self) -> Result<Node, Fault> {
        let mut parts = vec![self.all()?];
        while self.take_if("or")? {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Node::Any))
    }

    fn all(&mut self) -> Result<Node, Fault> {
        let mut parts = vec![self.part()?];
        while self.take_if("and")? {
            parts.push(self.part()?);
        }
        Ok(one_or(parts, Node::All))
    }

    fn part(&mut self) -> Result<Node, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::new(
                self.text,
                self.next.at,
                "nested too deep: more than 64 levels",
            ));
        }
        self.depth += 1;
        let node = if self.take_if("not")? {
            Node::Not(Box::new(self.part()?))
        } else if self.take_if("(")? {
            let inner = self.any()?;
            self.must_take(")")?;
            inner
        } else if self.take_if("exists")? {
            self.must_take("(")?;
            let field = self.pointer("a field, such as /pageName")?;
            self.must_take(")")?;
            Node::Field(field, Test::Exists)
        } else {
            let field = self.pointer("a field such as /pageName, exists, not or (")?;
            Node::Field(field, self.test()?)
        };
        self.depth -= 1;
        Ok(node)
    }

    /// A pointer, in quotes if it has characters that mean something here. Returns its number.
    fn pointer(&mut self, expected: &str) -> Result<u32, Fault> {
        let at = self.next.at;
        let pointer = match &self.next.word {
            Word::Pointer(text) => Pointer::parse(text).map_err(|fault| fault.within(self.text, at))?,
            // Quotes that stand twice would shift the place, so it is that of the string.
            Word::String(text) => Pointer::parse(text).map_err(|fault| Fault::new(self.text, at, fault.what()))?,
            Word::Name(text) if !matches!(*text, "and" | "or" | "in" | "true" | "false" | "null") => {
                let what = Pointer::parse(text).map_or_else(|fault| fault.what().to_owned(), |_| String::new());
                return Err(Fault::new(self.text, at, what));
            }
            Word::Name(_) | Word::Number(_) | Word::Sign(_) | Word::End => return Err(self.expected(expected)),
        };
        self.take()?;
        let known = self.pointers.iter().position(|known| *known == pointer);
        Ok(known.unwrap_or_else(|| {
            self.pointers.push(pointer);
            self.pointers.len() - 1
        }) as u32)
    }

    fn test(&mut self) -> Result<Test, Fault> {
        let (Word::Sign(operator) | Word::Name(operator)) = self.next.word else {
            return Err(self.expected(COMPARISONS));
        };
        Ok(match operator {
            "==" => {
                self.take()?;
                Test::Equals(self.literal()?)
            }
            "!=" => {
                self.take()?;
                Test::Differs(self.literal()?)
            }
            "<" | "<=" | ">" | ">=" => {
                self.take()?;
                let place = self.next.clone();
                let Literal::Ordered(limit) = self.literal()? else {
                    self.next = place;
                    return Err(self.expected("a number or a string"));
                };
                match operator {
                    "<" => Test::Less(limit),
                    "<=" => Test::LessOrEqual(limit),
                    ">" => Test::Greater(limit),
                    _ => Test::GreaterOrEqual(limit),
                }
            }
            "in" => {
                self.take()?;
                Test::OneOf(self.items()?)
            }
            "=~" | "!~" => {
                self.take()?;
                let regex = self.regex()?;
                if operator == "=~" {
                    Test::Matches(regex)
                } else {
                    Test::MatchesNot(regex)
                }
            }
            "starts_with" | "ends_with" | "contains" => {
                self.take()?;
                let text = self.string()?.into();
                match operator {
                    "starts_with" => Test::StartsWith(text),
                    "ends_with" => Test::EndsWith(text),
                    _ => Test::Contains(text),
                }
            }
            "not" => {
                let what = "not stands in front of the field: not /field in [...]";
                return Err(Fault::new(self.text, self.next.at, what));
            }
            _ => return Err(self.expected(COMPARISONS)),
        })
    }

    fn string(&mut self) -> Result<String, Fault> {
        match self.take_value()? {
            Some(Word::String(string)) => Ok(string),
            Some(_) | None => Err(self.expected("a string in quotes")),
        }
    }

    /// Takes a string; leaves anything else.
    fn take_value(&mut self) -> Result<Option<Word<'a>>, Fault> {
        if matches!(self.next.word, Word::String(_)) {
            return Ok(Some(self.take()?.word));
        }
        Ok(None)
    }

    fn regex(&mut self) -> Result<regex_lite::Regex, Fault> {
        let at = self.next.at;
        let pattern = self.string()?;
        RegexBuilder::new(&pattern)
            .size_limit(MAX_REGEX_BYTES)
            .build()
            .map_err(|error| Fault::new(self.text, at, format!("no regular expression: {error}")))
    }

    /// A list in brackets, or a range without.
    fn items(&mut self) -> Result<Vec<Item>, Fault> {
        if !self.take_if("[")? {
            let place = self.next.clone();
            return match self.item()? {
                range @ Item::Range(..) => Ok(vec![range]),
                Item::One(_) => {
                    self.next = place;
                    Err(self.expected("a list such as [1, 2] or a range such as 1..9"))
                }
            };
        }
        let mut items = vec![self.item()?];
        while self.take_if(",")? {
            items.push(self.item()?);
        }
        if !self.take_if("]")? {
            return Err(self.expected(", or ]"));
        }
        Ok(items)
    }

    fn item(&mut self) -> Result<Item, Fault> {
        let at = self.next.at;
        let literal = self.literal()?;
        let Literal::Ordered(Ordered::Number(from)) = &literal else {
            return Ok(Item::One(literal));
        };
        if !self.take_if("..")? {
            return Ok(Item::One(literal));
        }
        let Word::Number(to) = self.next.word else {
            return Err(self.expected("the number at which the range ends"));
        };
        self.take()?;
        if number(from) > number(to) {
            return Err(Fault::new(self.text, at, format!("the range {from}..{to} is empty")));
        }
        Ok(Item::Range(from.clone(), to.into()))
    }

    fn literal(&mut self) -> Result<Literal, Fault> {
        let literal = match &self.next.word {
            Word::String(string) => Literal::Ordered(Ordered::String(string.as_str().into())),
            Word::Number(number) => Literal::Ordered(Ordered::Number((*number).into())),
            Word::Name("null") => Literal::Null,
            Word::Name("true") => Literal::Bool(true),
            Word::Name("false") => Literal::Bool(false),
            Word::Pointer(_) => {
                let what = "a field is compared with a value, not with another field; a string stands in quotes";
                return Err(Fault::new(self.text, self.next.at, what));
            }
            Word::Name(_) | Word::Sign(_) | Word::End => {
                return Err(self.expected("a value: a string in quotes, a number, true, false or null"));
            }
        };
        self.take()?;
        Ok(literal)
    }
}

fn one_or(mut parts: Vec<Node>, many: impl FnOnce(Vec<Node>) -> Node) -> Node {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            parts.extend(last);
            many(parts)
        }
    }
}
