//! What configuration names: files and folders that an application opens without a word about them in
//! its command.

use super::budget::Spent;
use super::command::Word;
use super::{Origin, Walk};
use crate::inventory::{Content, Inode, Kind};
use crate::needs::{Access, Hop};
use crate::path::RootPath;

/// What a line may begin with that says nothing.
const COMMENTS: [&str; 3] = ["#", ";", "//"];
/// The most of a line that is shown.
const MOST_SHOWN: usize = 60;

impl Walk<'_> {
    /// A text, or those in a folder, are configuration, and read as such later on.
    pub(super) fn configured(&mut self, need: usize, place: &RootPath, origin: &Origin) {
        let (look, pointer) = (self.look, self.start.pointer(need));
        let beneath = look.inventory.beneath(place).map(|(path, _)| path);
        for path in std::iter::once(place).chain(beneath) {
            if !self.spend(Spent::Settings, 1) {
                return;
            }
            let text = |inode: &Inode| inode.kind == Kind::File && inode.content == Content::Other;
            if look.inventory.lookup(path).is_some_and(text) {
                let file = self.need(pointer, path, Access::Read, origin);
                self.unread.extend(file);
            }
        }
    }

    /// What a text names by absolute paths, line by line; each text once.
    pub(super) fn settings(&mut self, need: usize) {
        let path = self.start.needs[need].path.clone();
        if self.texts.contains(&need) || !self.settled.insert(need) {
            return;
        }
        let Some(text) = self.look.text_of(&path) else { return };
        for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
            let Ok(line) = str::from_utf8(line) else { continue };
            self.run_setting(need, line, number);
            for (path, pattern) in paths(line) {
                if !self.spend(Spent::Settings, 1) {
                    return;
                }
                self.setting(need, &path, pattern, shown(line, number));
            }
        }
    }

    /// The command line in a line of a supervisor's configuration.
    fn run_setting(&mut self, need: usize, line: &str, number: usize) {
        let Some((key, value)) = line.split_once('=') else { return };
        if !self.command_keys.contains(key.trim()) || !self.spend(Spent::Commands, 1) {
            return;
        }
        // A comment begins at a semicolon after a blank (supervisord's manual).
        let value = value.split(" ;").next().unwrap_or(value);
        let pointer = self.start.pointer(need);
        let path = &self.start.needs[need].path;
        let Some(words) = shlex::split(value) else {
            return self.unseen(format!(
                "{pointer}: line {number} of {path} has a quote that is not closed"
            ));
        };
        let literal = words.iter().take_while(|word| !word.contains("%("));
        let literal: Vec<Word> = literal.map(|word| Word::new(pointer, word)).collect();
        let (cut, why) = (literal.len() < words.len(), vec![shown(line, number)]);
        self.exec(&literal, &Origin { why, cut, ..Origin::from(need, false) });
    }

    /// A path that a line names; a folder by a pattern is more configuration. Programs are left out:
    /// what they are to be run for is not known.
    fn setting(&mut self, need: usize, path: &RootPath, pattern: bool, line: Hop) {
        let (look, pointer) = (self.look, self.start.pointer(need));
        let origin = Origin::from(need, false);
        let Some((_, inode)) = look.file(path) else {
            let folder = self.folder(pointer, path, line, &origin).filter(|_| pattern);
            if let Some(folder) = folder {
                let place = self.start.needs[folder].path.clone();
                self.configured(need, &place, &Origin::from(folder, false));
            }
            return;
        };
        let library = path.file_name().windows(3).any(|part| part == b".so");
        match inode.content {
            Content::Elf(_) if library => {
                if let Some(need) = self.need(pointer, path, Access::Read, &origin.because(line)) {
                    self.opened(pointer, need, std::slice::from_ref(path));
                }
            }
            Content::Elf(_) | Content::Script(_) => {}
            Content::Other => {
                let file = self.need(pointer, path, Access::Read, &origin.because(line));
                self.unread.extend(file);
            }
        }
    }
}

/// A line as evidence.
fn shown(line: &str, number: usize) -> Hop {
    Hop::Setting { number, text: line.trim().chars().take(MOST_SHOWN).collect() }
}

/// The absolute paths in a line, and whether each is the folder of a pattern; none in a comment.
fn paths(line: &str) -> impl Iterator<Item = (RootPath, bool)> {
    let line = line.trim_start();
    let comment = COMMENTS.iter().any(|mark| line.starts_with(mark));
    let ends = |c: char| c.is_whitespace() || "\"'`=,;:(){}<>[]|".contains(c);
    let words = line.split(ends).filter(move |word| !comment && word.starts_with('/'));
    words.filter_map(|word| {
        let wild = word.find(['*', '?']);
        let path = wild.map_or(Some(word), |wild| Some(&word[..word[..wild].rfind('/')?]))?;
        let path: RootPath = path.parse().ok()?;
        (!path.is_root()).then_some((path, wild.is_some()))
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_hold_paths() {
        let all = |line| super::paths(line).map(|(path, _)| path.to_string()).collect::<Vec<_>>();
        assert_eq!(all("  ssl_certificate /certs/a.pem; # and /b"), ["/certs/a.pem", "/b"]);
        assert_eq!(all("include /etc/nginx/conf.d/*.conf;"), ["/etc/nginx/conf.d"]);
        assert_eq!(all("listen = unix:/run/x.sock"), ["/run/x.sock"]);
        assert_eq!(all("path=\"/data/model.bin\""), ["/data/model.bin"]);
        assert_eq!(all("  # root /srv"), [""; 0]);
        assert_eq!(all("a / b /* c"), [""; 0]);
        assert_eq!(all("relative/path ../up"), [""; 0]);
    }
}
