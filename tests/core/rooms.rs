//! The rooms of `src`, its files and folders, and the arrows between them, read from `use` lines and paths:
//! none goes round in a circle. The compiler allows it, but of a circle nothing is understood, nor changed,
//! without the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A file of the crate as a module: `nn::layers::dense`; that of `mod.rs` is its folder's.
type Module = String;

/// A file's own text: without comments, strings and its tests.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    for line in text.lines() {
        if line.starts_with("#[cfg(test)]") {
            break;
        }
        let line = line.split("//").next().unwrap_or_default();
        code.push_str(line);
        code.push('\n');
    }
    code
}

fn modules(root: &Path) -> BTreeMap<Module, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![(root.to_path_buf(), String::new())];
    while let Some((folder, name)) = folders.pop() {
        let mut entries: Vec<PathBuf> = fs::read_dir(&folder)
            .expect("a folder of src")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        entries.sort();
        for path in entries {
            let stem = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let inner = match name.as_str() {
                "" => stem.clone(),
                name => format!("{name}::{stem}"),
            };
            if path.is_dir() {
                folders.push((path, inner));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module = match stem.as_str() {
                    "mod" | "lib" => name.clone(),
                    _ => inner,
                };
                let text = fs::read_to_string(&path).expect("a source file");
                found.insert(module, code_of(&text));
            }
        }
    }
    found
}

/// What a `use` line brings in.
#[derive(Debug, PartialEq)]
struct Import {
    path: Vec<String>,
    /// The name it has here.
    name: String,
    /// Whether it is shown to others.
    shown: bool,
}

/// The paths of a tree of imports: `a::{b, c::{self, d as e}}`.
fn leaves(tree: &str, before: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let mut path = before.to_vec();
        path.extend(
            tree[..open]
                .split("::")
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(str::to_owned),
        );
        let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
        let (mut depth, mut start) = (0, 0);
        for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    if !inner[start..at].trim().is_empty() {
                        leaves(&inner[start..at], &path, found);
                    }
                    start = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let (tree, alias) = match tree.split_once(" as ") {
        Some((tree, alias)) => (tree, Some(alias.trim().to_owned())),
        None => (tree, None),
    };
    let mut path = before.to_vec();
    path.extend(
        tree.split("::")
            .map(|part| part.trim().to_owned())
            .filter(|part| !part.is_empty()),
    );
    if path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let name = alias.or_else(|| path.last().cloned()).unwrap_or_default();
    found.push((path, name));
}

fn imports(code: &str) -> Vec<Import> {
    let mut found = Vec::new();
    let mut rest = code;
    let mut at_line_start = true;
    while !rest.is_empty() {
        let line = rest.trim_start_matches([' ', '\t']);
        let after = ["pub use ", "pub(crate) use ", "pub(super) use ", "use "]
            .iter()
            .find_map(|start| {
                line.strip_prefix(start)
                    .map(|after| (after, *start != "use "))
            })
            .or_else(|| {
                let inner = line.strip_prefix("pub(in ")?;
                let (_, after) = inner.split_once(") use ")?;
                (!inner[..inner.find(')')?].contains('\n')).then_some((after, true))
            });
        if let (true, Some((after, shown))) = (at_line_start, after) {
            let end = after.find(';').unwrap_or(after.len());
            let mut paths = Vec::new();
            leaves(&after[..end].replace('\n', " "), &[], &mut paths);
            found.extend(
                paths
                    .into_iter()
                    .map(|(path, name)| Import { path, name, shown }),
            );
            rest = &after[end..];
        }
        let next = rest.find('\n').map_or(rest.len(), |at| at + 1);
        rest = &rest[next..];
        at_line_start = true;
    }
    found
}

/// Paths in the code itself: `crate::a::b` and `super::a`.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let fresh = code[..at]
                .chars()
                .next_back()
                .is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
            let path = &code[at..];
            let end = path
                .find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
                .unwrap_or(path.len());
            // `pub(in crate::a)` says who may see, not what is needed.
            let shown = code[..at].ends_with("(in ");
            if fresh && !shown && !path[..end].ends_with(':') {
                found.push(path[..end].split("::").map(str::to_owned).collect());
            }
        }
    }
    found
}

struct Crate {
    code: BTreeMap<Module, String>,
    imports: BTreeMap<Module, Vec<Import>>,
}

impl Crate {
    fn read() -> Crate {
        let code = modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        let imports = code
            .iter()
            .map(|(module, code)| (module.clone(), imports(code)))
            .collect();
        Crate { code, imports }
    }

    /// The module in which what a path names is written, following what rooms show of others.
    fn resolve(&self, from: &str, path: &[String], level: usize) -> Option<Module> {
        let mut module: Vec<String> = match from {
            "" => Vec::new(),
            from => from.split("::").map(str::to_owned).collect(),
        };
        let mut parts = path.iter().peekable();
        match parts.peek()?.as_str() {
            "crate" => {
                module.clear();
                parts.next();
            }
            "self" => drop(parts.next()),
            "super" => {
                while parts.next_if(|part| *part == "super").is_some() {
                    module.pop()?;
                }
            }
            first => {
                // A child module, or something from elsewhere.
                let child = [module.join("::"), first.to_owned()].join("::");
                if !self.code.contains_key(child.trim_start_matches(':')) {
                    return None;
                }
            }
        }
        while let Some(part) = parts.next() {
            let inner = match module.is_empty() {
                true => part.clone(),
                false => format!("{}::{part}", module.join("::")),
            };
            if self.code.contains_key(&inner) {
                module.push(part.clone());
                continue;
            }
            let here = module.join("::");
            let import = self
                .imports
                .get(&here)
                .into_iter()
                .flatten()
                .find(|import| &import.name == part);
            if let (Some(import), true) = (import, level < 8) {
                let mut path = import.path.clone();
                path.extend(parts.cloned());
                return self.resolve(&here, &path, level + 1).or(Some(here));
            }
            return Some(here);
        }
        Some(module.join("::"))
    }

    /// For each module those that it is written with.
    fn arrows(&self) -> BTreeMap<&str, BTreeSet<Module>> {
        let mut arrows = BTreeMap::new();
        for (module, code) in &self.code {
            let own = self.imports[module].iter().filter(|import| {
                // What a room shows of its own rooms is no need of it.
                !import.shown
            });
            let inline = paths(code);
            let to: BTreeSet<Module> = own
                .map(|import| &import.path)
                .chain(inline.iter())
                .filter_map(|path| self.resolve(module, path, 0))
                .filter(|to| to != module && !to.is_empty())
                .collect();
            arrows.insert(module.as_str(), to);
        }
        arrows
    }
}

/// Tarjan's strongly connected components of more than one module.
fn circles(arrows: &BTreeMap<&str, BTreeSet<Module>>) -> Vec<Vec<String>> {
    fn visit<'a>(at: &'a str, arrows: &'a BTreeMap<&str, BTreeSet<Module>>, state: &mut State<'a>) {
        let index = state.index.len();
        state.index.insert(at, index);
        state.low.insert(at, index);
        state.stack.push(at);
        for to in arrows.get(at).into_iter().flatten() {
            if !state.index.contains_key(to.as_str()) {
                visit(to, arrows, state);
                let low = state.low[at].min(state.low[to.as_str()]);
                state.low.insert(at, low);
            } else if state.stack.contains(&to.as_str()) {
                let low = state.low[at].min(state.index[to.as_str()]);
                state.low.insert(at, low);
            }
        }
        if state.low[at] == index {
            let from = state
                .stack
                .iter()
                .position(|module| *module == at)
                .expect("it is on the stack");
            let circle: Vec<String> = state.stack.drain(from..).map(str::to_owned).collect();
            if circle.len() > 1 {
                state.circles.push(circle);
            }
        }
    }
    #[derive(Default)]
    struct State<'a> {
        index: BTreeMap<&'a str, usize>,
        low: BTreeMap<&'a str, usize>,
        stack: Vec<&'a str>,
        circles: Vec<Vec<String>>,
    }
    let mut state = State::default();
    for module in arrows.keys() {
        if !state.index.contains_key(module) {
            visit(module, arrows, &mut state);
        }
    }
    state.circles
}

/// The arrows between what lies in one folder, files and folders with all that is in them.
fn arrows_within<'a>(
    folder: &str,
    arrows: &'a BTreeMap<&str, BTreeSet<Module>>,
) -> BTreeMap<&'a str, BTreeSet<Module>> {
    // The room of the folder that a module is in.
    fn room<'a>(folder: &str, module: &'a str) -> Option<&'a str> {
        let start = match folder {
            "" => 0,
            folder => module
                .strip_prefix(folder)?
                .strip_prefix("::")
                .map(|_| folder.len() + 2)?,
        };
        let end = module[start..]
            .find("::")
            .map_or(module.len(), |at| start + at);
        (end > start).then(|| &module[..end])
    }
    let mut within: BTreeMap<&str, BTreeSet<Module>> = BTreeMap::new();
    for (module, to) in arrows {
        let Some(from) = room(folder, module) else {
            continue;
        };
        let to = to
            .iter()
            .filter_map(|to| room(folder, to))
            .filter(|to| *to != from);
        within
            .entry(from)
            .or_default()
            .extend(to.map(str::to_owned));
    }
    within
}

/// The circles in words.
fn described(arrows: &BTreeMap<&str, BTreeSet<Module>>) -> String {
    let mut text = String::new();
    for circle in circles(arrows) {
        text.push_str("a circle:\n");
        for module in &circle {
            let to: Vec<&str> = arrows[module.as_str()]
                .iter()
                .filter(|to| circle.contains(to))
                .map(String::as_str)
                .collect();
            text.push_str(&format!("    {module} needs {}\n", to.join(", ")));
        }
    }
    text
}

#[test]
fn no_files_go_round_in_a_circle() {
    let source = Crate::read();
    let found = described(&source.arrows());
    assert!(found.is_empty(), "{found}");
}

#[test]
fn no_rooms_go_round_in_a_circle() {
    let source = Crate::read();
    let arrows = source.arrows();
    let folders: BTreeSet<&str> = arrows
        .keys()
        .filter_map(|module| module.rsplit_once("::").map(|(folder, _)| folder))
        .chain([""])
        .collect();
    let found: String = folders
        .into_iter()
        .map(|folder| described(&arrows_within(folder, &arrows)))
        .collect();
    assert!(found.is_empty(), "{found}");
}
