//! Which files of a crate name things of which others: read as text, so that a path counts wherever it stands.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::Path,
};

/// Segments of a path within the crate, without `crate`.
type Module = Vec<String>;

/// Who names whom.
pub type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The modules of a crate, each in a file of its own.
#[derive(Default)]
pub struct Modules(BTreeMap<Module, Source>);

struct Source {
    /// Words and signs, without comments, texts and tests.
    tokens: Vec<String>,
    /// `mod.rs` or `lib.rs`: it says which modules there are, and may pass on what they hold.
    is_map: bool,
}

impl Modules {
    /// Those below `folder`, which holds `lib.rs`.
    pub fn of(folder: &Path) -> Self {
        let mut modules = Self::default();
        modules.read(folder, &[]);
        modules
    }

    fn read(&mut self, folder: &Path, at: &[String]) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            if path.is_dir() {
                self.read(&path, &[at, &[name.to_owned()]].concat());
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                match name {
                    "lib" | "mod" => self.add(at.to_vec(), true, &text),
                    _ => self.add([at, &[name.to_owned()]].concat(), false, &text),
                }
            }
        }
    }

    fn add(&mut self, module: Module, is_map: bool, text: &str) {
        self.0.insert(module, Source { tokens: tokens(text), is_map });
    }

    /// Who names whom. What a map passes on counts for the file that holds it, and the map itself names nobody.
    pub fn arrows(&self) -> Arrows {
        let of = |(module, source): (&Module, &Source)| {
            let homes = paths(&source.tokens, is_anchor).into_iter().map(|(path, _)| self.home(&absolute(module, path)));
            (module.join("::"), homes.filter(|home| home != module).map(|home| home.join("::")).collect())
        };
        self.0.iter().filter(|(_, source)| !source.is_map).map(of).collect()
    }

    /// The module that holds what a path names.
    fn home(&self, path: &[String]) -> Module {
        let module = (0..=path.len()).rev().map(|end| &path[..end]).find(|start| self.0.contains_key(*start)).unwrap();
        let passed = path.get(module.len()).and_then(|name| self.passed_on(module, name));
        passed.map_or_else(|| module.to_vec(), |path| self.home(&path))
    }

    /// What a map passes on under a name.
    fn passed_on(&self, map: &[String], name: &str) -> Option<Module> {
        let source = self.0.get(map).filter(|source| source.is_map)?;
        let is_here = |word: &str| is_anchor(word) || self.0.contains_key(&[map, &[word.to_owned()]].concat());
        let uses = source.tokens.split(|token| token == ";").filter_map(|line| {
            let at = line.windows(2).position(|pair| pair == ["pub", "use"])?;
            Some(paths(&line[at..], is_here))
        });
        let (path, _) = uses.flatten().find(|(_, known_as)| known_as == name)?;
        Some(absolute(map, path))
    }
}

/// A path that stands in `module`, from the root of the crate on.
fn absolute(module: &[String], path: Module) -> Module {
    let (mut base, mut rest) = (module.to_vec(), VecDeque::from(path));
    while let Some(word) = rest.pop_front_if(|word| is_anchor(word)) {
        match word.as_str() {
            "crate" => base.clear(),
            "super" => drop(base.pop()),
            _ => {}
        }
    }
    base.into_iter().chain(rest).collect()
}

fn is_anchor(word: &str) -> bool {
    matches!(word, "crate" | "self" | "super")
}

/// All paths that begin with certain words, however they are grouped, and the names that they give.
fn paths(tokens: &[String], begins: impl Fn(&str) -> bool) -> Vec<(Module, String)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 1 < tokens.len() {
        if begins(&tokens[at]) && tokens[at + 1] == "::" && (at == 0 || tokens[at - 1] != "::") {
            at = tree(tokens, at, &[], &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Reads one path, or a group of them behind `prefix`; where it ends.
fn tree(tokens: &[String], mut at: usize, prefix: &[String], found: &mut Vec<(Module, String)>) -> usize {
    let mut path = prefix.to_vec();
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    loop {
        match token(at) {
            "{" => {
                at += 1;
                while !matches!(token(at), "}" | "") {
                    at = if token(at) == "," { at + 1 } else { tree(tokens, at, &path, found) };
                }
                return at + 1;
            }
            "self" if !prefix.is_empty() => at += 1,
            word if is_word(word) => {
                path.push(word.to_owned());
                at += 1;
            }
            // `*`, or the types that a function is called with.
            _ => at += 1,
        }
        if token(at) == "::" {
            at += 1;
            continue;
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if token(at) == "as" {
            token(at + 1).clone_into(&mut name);
            at += 2;
        }
        found.push((path, name));
        return at;
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}

/// Words and signs, without comments and texts, up to the tests at the end of a file.
fn tokens(text: &str) -> Vec<String> {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => quoted(rest),
            // A character, and no lifetime.
            '\'' if rest[1..].starts_with('\\') => 4 + rest[3..].find('\'').unwrap_or_default(),
            '\'' => rest.char_indices().nth(2).filter(|(_, third)| *third == '\'').map_or(1, |(at, _)| at + 1),
            _ if rest.starts_with("::") => 2,
            _ if is_word(rest) => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        if token == "::" || is_word(token) || "{},;*<".contains(token) {
            tokens.push(token.to_owned());
        }
        rest = behind;
    }
    tokens
}

/// How long the text is that begins here.
fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|(_, c)| match c {
        '\\' if !escaped => {
            escaped = true;
            false
        }
        '"' if !escaped => true,
        _ => {
            escaped = false;
            false
        }
    });
    end.map_or(rest.len(), |(at, _)| at + 1)
}

/// The shortest way from one of those to itself, by way of others, if there is one.
pub fn circle(arrows: &Arrows, of: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    arrows.keys().filter(|start| of(start)).filter_map(|start| way_back(arrows, start)).min_by_key(Vec::len)
}

fn way_back(arrows: &Arrows, start: &String) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![start.clone()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in way.last().and_then(|last| arrows.get(last)).into_iter().flatten() {
            if next == start {
                return Some([way, vec![next.clone()]].concat());
            }
            if seen.insert(next) {
                ways.push_back([way.clone(), vec![next.clone()]].concat());
            }
        }
    }
    None
}

#[test]
fn a_circle_is_found_however_it_is_named() {
    let with = |text: &str| {
        let mut modules = Modules::default();
        let path = |path: &str| path.split("::").map(str::to_owned).collect::<Vec<_>>();
        modules.add(vec![], true, "pub mod shelf;\npub use shelf::{a::A as First, b::B};\n");
        modules.add(path("shelf"), true, "pub mod a;\npub mod b;\npub mod c;\n");
        modules.add(path("shelf::a"), false, text);
        modules.add(path("shelf::b"), false, "use super::{a, c::{C, D}};\npub struct B;\n");
        modules.add(path("shelf::c"), false, "pub struct C;\n");
        circle(&modules.arrows(), |_| true)
    };
    let found = Some(["shelf::a", "shelf::b", "shelf::a"].map(str::to_owned).to_vec());
    for text in [
        "use super::b::B;",
        "use crate::{Value, shelf::{b::{self, B}, c}};",
        "use super::super::B as Second;",
        "fn a() -> char { let _ = '\"'; super::b::made::<u8>('\\''); '\"' }",
        "impl From<crate::B> for A {}",
    ] {
        assert_eq!(with(text), found, "{text}");
    }
    for text in [
        "use super::c::C;",
        "// use super::b::B;",
        "const A: &str = \"a \\\" super::b::B\";",
        "use crate::First;",
        "use std::b::B;\n#[cfg(test)]\nmod tests { use super::super::b; }",
    ] {
        assert_eq!(with(text), None, "{text}");
    }
}
