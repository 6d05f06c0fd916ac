//! Writes the engine's source once for each planted mistake.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const ENGINE: &str = "../src/policy/epoch_2.rs";
const MISTAKES: &str = "mistakes.txt";

fn main() -> Result<(), Box<dyn Error>> {
    for file in [ENGINE, MISTAKES, "build.rs"] {
        println!("cargo::rerun-if-changed={file}");
    }
    let source = fs::read_to_string(ENGINE)?;
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let code: String =
        code.lines().filter(|line| !line.starts_with("//!")).map(|line| format!("{line}\n")).collect();

    let mut modules = String::new();
    let mut list = String::new();
    module(&mut modules, "unchanged", &code)?;
    let mistakes = fs::read_to_string(MISTAKES)?;
    for (number, mistake) in mistakes.split("\n\n").filter(|block| block.contains("\n- ")).enumerate() {
        let lines: Vec<&str> = mistake.trim().lines().filter(|line| !line.starts_with('#')).collect();
        let [name, right, wrong] = lines.as_slice() else {
            return Err(format!("mistake {number} is not a name, a `- ` and a `+ ` line:\n{mistake}").into());
        };
        let (right, wrong) = (unescaped(right, "- ")?, unescaped(wrong, "+ ")?);
        if code.matches(&right).count() != 1 {
            return Err(format!("`{name}`: its place is not there exactly once: {right}").into());
        }
        module(&mut modules, &format!("mutant_{number}"), &code.replacen(&right, &wrong, 1))?;
        writeln!(list, "    ({name:?}, mutant_{number}::decide),")?;
    }
    let text = format!(
        "pub(crate) use caretrail_contract::policy::{{LedgerFacts, Request}};\n\
         {modules}\
         pub(crate) const UNCHANGED: crate::Engine = unchanged::decide;\n\
         pub(crate) const MUTANTS: &[(&str, crate::Engine)] = &[\n{list}];\n"
    );
    fs::write(Path::new(&env::var("OUT_DIR")?).join("mutants.rs"), text)?;
    Ok(())
}

fn module(modules: &mut String, name: &str, code: &str) -> Result<(), std::fmt::Error> {
    writeln!(modules, "mod {name} {{\n{code}\n}}")
}

/// The text of a line, whose `\n` stands for a line break.
fn unescaped(line: &str, prefix: &str) -> Result<String, String> {
    let text = line.strip_prefix(prefix).ok_or_else(|| format!("expected `{prefix}`: {line}"))?;
    Ok(text.replace("\\n", "\n"))
}
