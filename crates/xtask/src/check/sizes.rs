//! Lengths of files and functions, and what every file must begin with (docs/architecture.md, Rules 1, 2).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use syn::{spanned::Spanned as _, visit::Visit};

use crate::run::files;

const FILE_MEDIAN_MAX: usize = 150;
const FILE_P95_MAX: usize = 450;
const FILE_MAX: usize = 600;
const FUNCTION_MAX: usize = 70;

/// Words that mean unfinished work or a test that is not run.
const BANNED: &[&str] = &[
    "TODO",
    "FIXME",
    "XXX",
    "#[ignore",
    "unimplemented!(",
    "todo!(",
];

/// Measures every Rust file.
pub(super) fn check() -> anyhow::Result<()> {
    let mut wrong = Vec::new();
    let mut lengths = Vec::new();
    for path in files(".rs")? {
        let text = std::fs::read_to_string(&path)?;
        let measured = measure(&path, &text)?;
        wrong.extend(measured.wrong);
        if !is_test(&path) {
            lengths.push((measured.lines, path));
        }
    }
    lengths.sort();
    wrong.extend(judge(&lengths));
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n  "));
    }
    println!(
        "sizes: {} files, median {} lines",
        lengths.len(),
        lengths[lengths.len() / 2].0
    );
    Ok(())
}

struct Measured {
    lines: usize,
    wrong: Vec<String>,
}

/// Files whose whole content is tests.
fn is_test(path: &Path) -> bool {
    let within = |name: &str| path.components().any(|part| part.as_os_str() == name);
    within("tests") || within("benches") || path.ends_with("tests.rs")
}

fn measure(path: &Path, text: &str) -> anyhow::Result<Measured> {
    let shown = path.display();
    let mut wrong = Vec::new();
    if !text.starts_with("//!") {
        wrong.push(format!(
            "{shown} does not open with `//!`: its role and its invariant"
        ));
    }
    if !path.ends_with("xtask/src/check/sizes.rs") {
        for (index, line) in text.lines().enumerate() {
            if let Some(word) = BANNED.iter().find(|word| line.contains(**word)) {
                wrong.push(format!("{shown}:{}: `{word}`", index + 1));
            }
        }
    }
    let file = syn::parse_file(text).with_context(|| format!("{shown} does not parse"))?;
    let mut visitor = Visitor::default();
    visitor.visit_file(&file);
    if !is_test(path) {
        for (name, line, length) in visitor.long {
            wrong.push(format!(
                "{shown}:{line}: fn {name} has {length} lines, at most {FUNCTION_MAX} are allowed"
            ));
        }
    }
    let lines = text.lines().count().saturating_sub(visitor.test_lines);
    Ok(Measured { lines, wrong })
}

fn judge(lengths: &[(usize, PathBuf)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let at = |share: usize| lengths[(lengths.len() * share / 100).min(lengths.len() - 1)].0;
    if at(50) > FILE_MEDIAN_MAX {
        wrong.push(format!(
            "the median file has {} lines, at most {FILE_MEDIAN_MAX}",
            at(50)
        ));
    }
    if at(95) > FILE_P95_MAX {
        wrong.push(format!(
            "the 95th percentile is {} lines, at most {FILE_P95_MAX}",
            at(95)
        ));
    }
    for (lines, path) in lengths.iter().filter(|(lines, _)| *lines > FILE_MAX) {
        wrong.push(format!(
            "{} has {lines} lines, at most {FILE_MAX}",
            path.display()
        ));
    }
    wrong
}

#[derive(Default)]
struct Visitor {
    /// Lines inside `#[cfg(test)]` modules.
    test_lines: usize,
    /// Functions over the bound: name, line, length.
    long: Vec<(String, usize, usize)>,
}

impl Visitor {
    fn function(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let span = block.span();
        let length = span.end().line - span.start().line + 1;
        if length > FUNCTION_MAX {
            self.long
                .push((signature.ident.to_string(), span.start().line, length));
        }
    }
}

impl<'ast> Visit<'ast> for Visitor {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let test = module.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Path>()
                    .is_ok_and(|path| path.is_ident("test"))
        });
        if test {
            let span = module.span();
            self.test_lines += span.end().line - span.start().line + 1;
        } else {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.function(&function.sig, &function.block);
        syn::visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.function(&function.sig, &function.block);
        syn::visit::visit_impl_item_fn(self, function);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_function_and_a_missing_header_are_found() {
        let body = "let x = 1;\n".repeat(FUNCTION_MAX);
        let text = format!("fn long() {{\n{body}}}\n");
        let measured = measure(Path::new("a.rs"), &text).expect("parses");
        assert_eq!(measured.wrong.len(), 2, "{:?}", measured.wrong);
    }

    #[test]
    fn tests_inside_a_file_do_not_count() {
        let text = "//! x\nfn a() {}\n#[cfg(test)]\nmod tests {\nfn b() {}\n}\n";
        assert_eq!(measure(Path::new("a.rs"), text).expect("parses").lines, 2);
    }
}
