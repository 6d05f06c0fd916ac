//! Writes the source of the engine, and of what decides about writing, once for each planted mistake.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// A source that is copied: where it is, its mistakes, the beginning of its copies' names, and the type of what decides.
struct Copied {
    source: &'static str,
    mistakes: &'static str,
    name: &'static str,
    kind: &'static str,
}

const ENGINE: Copied =
    Copied { source: "../src/policy/epoch_2.rs", mistakes: "mistakes.txt", name: "engine", kind: "Engine" };
const WRITING: Copied = Copied {
    source: "../src/policy/writing.rs",
    mistakes: "mistakes_in_writing.txt",
    name: "writing",
    kind: "Writing",
};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    // What decides about writing rests on the engine as it is.
    let text = format!(
        "pub(crate) use caretrail_contract::policy::{{LedgerFacts, MayAdd, NewRecord, Request}};\n\
         use engine_unchanged as epoch_2;\n\
         {}{}",
        ENGINE.copies()?,
        WRITING.copies()?
    );
    fs::write(Path::new(&env::var("OUT_DIR")?).join("mutants.rs"), text)?;
    Ok(())
}

impl Copied {
    /// The source as it is, and once for each mistake.
    fn copies(&self) -> Result<String, Box<dyn Error>> {
        let Self { source, mistakes, name: prefix, kind } = self;
        for file in [source, mistakes] {
            println!("cargo::rerun-if-changed={file}");
        }
        let source = fs::read_to_string(source)?;
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let code: String =
            code.lines().filter(|line| !line.starts_with("//!")).map(|line| format!("{line}\n")).collect();

        let mut modules = String::new();
        let mut list = String::new();
        module(&mut modules, &format!("{prefix}_unchanged"), &code)?;
        let mistakes = fs::read_to_string(mistakes)?;
        for (number, mistake) in mistakes.split("\n\n").filter(|block| block.contains("\n- ")).enumerate() {
            let lines: Vec<&str> = mistake.trim().lines().filter(|line| !line.starts_with('#')).collect();
            let [name, right, wrong] = lines.as_slice() else {
                let shape = "a name, a `- ` and a `+ ` line";
                return Err(format!("mistake {number} is not {shape}:\n{mistake}").into());
            };
            let (right, wrong) = (unescaped(right, "- ")?, unescaped(wrong, "+ ")?);
            if code.matches(&right).count() != 1 {
                return Err(format!("`{name}`: its place is not there exactly once: {right}").into());
            }
            module(&mut modules, &format!("{prefix}_{number}"), &code.replacen(&right, &wrong, 1))?;
            writeln!(list, "    ({name:?}, {prefix}_{number}::decide),")?;
        }
        let constants = prefix.to_uppercase();
        Ok(format!(
            "{modules}\
             pub(crate) const {constants}: crate::{kind} = {prefix}_unchanged::decide;\n\
             pub(crate) const {constants}_MUTANTS: &[(&str, crate::{kind})] = &[\n{list}];\n"
        ))
    }
}

fn module(modules: &mut String, name: &str, code: &str) -> Result<(), std::fmt::Error> {
    writeln!(modules, "mod {name} {{\n{code}\n}}")
}

/// The text of a line, whose `\n` stands for a line break.
fn unescaped(line: &str, prefix: &str) -> Result<String, String> {
    let text = line.strip_prefix(prefix).ok_or_else(|| format!("expected `{prefix}`: {line}"))?;
    Ok(text.replace("\\n", "\n"))
}
