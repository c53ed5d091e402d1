//! [`PackageScript`]: a script of `package.json`, which npm, pnpm and yarn run by a shell.

use serde_json::Value;

use super::Look;
use super::exec_form::Purpose;
use super::shell_form::ShellForm;
use crate::path::RootPath;

/// The programs that run scripts of a package.
const RUNNERS: [&str; 3] = ["npm", "pnpm", "yarn"];
/// Their commands that are the names of scripts.
const SCRIPTS: [&str; 4] = ["restart", "start", "stop", "test"];
/// Their commands that are followed by the name of a script.
const RUN: [&str; 3] = ["run", "run-script", "rum"];
/// Options whose value is the package's folder.
const FOLDERS: [&str; 4] = ["--cwd", "--dir", "--prefix", "-C"];

/// A script that a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageScript {
    /// The folder in which it runs.
    folder: RootPath,
    /// The `package.json` that has it.
    pub(super) file: RootPath,
    /// Where it has it, counted from 1.
    pub(super) line: usize,
    /// Its name.
    pub(super) name: String,
    /// What the shell runs.
    pub(super) command: String,
    /// Words that follow the command.
    arguments: Vec<String>,
}

impl Look<'_> {
    /// The script that a command line runs; none if it runs none, or if it cannot be read.
    pub(super) fn package_script(&self, words: &[String]) -> Option<PackageScript> {
        let (runner, arguments) = words.split_first()?;
        let runner = runner.rsplit('/').next().filter(|name| RUNNERS.contains(name))?;
        let asked = Asked::of(arguments, runner == "npm")?;
        let folder = self.in_working_dir(asked.folder)?;
        let file = self.inventory.resolve(&folder.join(b"package.json")).found?;
        let text = self.text_of(&file)?;
        let text = str::from_utf8(&text).ok()?;
        let package: Value = serde_json::from_str(text).ok()?;
        let command = package["scripts"][asked.script].as_str()?.to_owned();
        Some(PackageScript {
            line: line_of(text, asked.script),
            name: asked.script.to_owned(),
            arguments: asked.arguments.to_vec(),
            folder,
            file,
            command,
        })
    }

    /// The program that a package's folder has for its scripts, which these find first.
    pub(super) fn package_program(&self, script: &PackageScript, word: &str) -> Option<RootPath> {
        let plain = !word.is_empty() && !word.contains('/');
        let path = script.folder.join(b"node_modules/.bin").join(word.as_bytes());
        (plain && self.executable(&path.to_string()).is_some()).then_some(path)
    }

    /// The command line that a package's script runs in the end, if it does without a shell: what a
    /// user could start instead. npm's own variables are not set then, so it is not the same.
    pub(crate) fn package_start(&self, words: &[String]) -> Option<Vec<String>> {
        let (at, wrappers) = self.unwrapped(words);
        // Official images start a script with the application's own command for its arguments.
        let mut scripts = [&words[at..], words.get(1..)?].into_iter();
        let script = scripts.find_map(|words| self.package_script(words))?;
        let form = ShellForm::of(&script.command).exec_form(self, Purpose::Start).ok()?;
        let here = self.in_working_dir(".")? == script.folder;
        if !here || !form.env.is_empty() || form.workdir.is_some() {
            return None;
        }
        let (program, arguments) = form.argv.split_first()?;
        let own = self.package_program(&script, program).map(|path| path.to_string());
        let program = own.unwrap_or_else(|| program.clone());
        let starts = self.executable(&program).is_some_and(|path| self.kernel_starts(&path));
        let argv = wrappers.into_iter().chain([program]).chain(arguments.iter().cloned());
        starts.then(|| argv.chain(script.arguments).collect())
    }
}

/// What a runner's arguments ask for.
struct Asked<'a> {
    folder: &'a str,
    script: &'a str,
    arguments: &'a [String],
}

impl<'a> Asked<'a> {
    /// Reads arguments; `parted`: those of the script follow `--` alone, as npm has it.
    fn of(arguments: &'a [String], parted: bool) -> Option<Self> {
        let mut asked = Self { folder: ".", script: "", arguments: &[] };
        let (mut run, mut at) = (false, 0);
        while let Some(word) = arguments.get(at) {
            at += 1;
            if word == "--" {
                asked.arguments = &arguments[at..];
                break;
            }
            if let Some(by) = asked.option(word, arguments.get(at)) {
                at += by;
            } else if !run && RUN.contains(&word.as_str()) {
                run = true;
            } else if asked.script.is_empty()
                && (run || !parted || SCRIPTS.contains(&word.as_str()))
            {
                asked.script = word;
                if !parted {
                    let rest = &arguments[at..];
                    asked.arguments = rest.strip_prefix(&["--".to_owned()]).unwrap_or(rest);
                    break;
                }
            } else if asked.script.is_empty() {
                return None;
            }
        }
        (!asked.script.is_empty()).then_some(asked)
    }

    /// Reads an option: how many words after it are its value; none if it is none.
    fn option(&mut self, word: &'a str, next: Option<&'a String>) -> Option<usize> {
        if !word.starts_with('-') {
            return None;
        }
        let (name, value) = word.split_once('=').map_or((word, None), |(a, b)| (a, Some(b)));
        if !FOLDERS.contains(&name) {
            return Some(0);
        }
        self.folder = value.or(next.map(String::as_str)).unwrap_or(self.folder);
        Some(usize::from(value.is_none()))
    }
}

/// Where a `package.json` names a script, counted from 1.
fn line_of(text: &str, script: &str) -> usize {
    let key = Value::from(script).to_string();
    let mut lines = text.lines().zip(1..).skip_while(|(line, _)| !line.contains("\"scripts\""));
    lines.find(|(line, _)| line.contains(&key)).map_or(1, |(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::Asked;

    /// Folder, script, arguments.
    fn asked(line: &str) -> Option<(String, String, Vec<String>)> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let asked = Asked::of(&words[1..], words[0] == "npm")?;
        Some((asked.folder.to_owned(), asked.script.to_owned(), asked.arguments.to_vec()))
    }

    #[test]
    fn scripts_are_found_among_options() {
        for (line, folder, script, arguments) in [
            ("npm start", ".", "start", &[][..]),
            ("npm run serve", ".", "serve", &[]),
            ("npm --silent run serve -- --port 80", ".", "serve", &["--port", "80"]),
            ("npm run start --prefix /app", "/app", "start", &[]),
            ("npm --prefix=/app start", "/app", "start", &[]),
            ("yarn start --port 80", ".", "start", &["--port", "80"]),
            ("yarn --cwd web run dev", "web", "dev", &[]),
            ("pnpm -C web dev -- x", "web", "dev", &["x"]),
        ] {
            let expected = arguments.iter().map(|word| (*word).to_owned()).collect();
            let expected = Some((folder.to_owned(), script.to_owned(), expected));
            assert_eq!(asked(line), expected, "{line}");
        }
        for line in ["npm ci", "npm --version", "npm install start", "npm run"] {
            assert_eq!(asked(line), None, "{line}");
        }
    }
}
