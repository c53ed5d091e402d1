//! The application's own folders: what lies beside a program, or beside a file that it is told of.

use std::sync::LazyLock;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use super::budget::Spent;
use super::{Origin, Walk};
use crate::inventory::{Content, Inode, Kind};
use crate::needs::{Access, Hop, Need};
use crate::path::RootPath;

const CATALOG: &str = include_str!("../../../catalog/shared-folders.toml");

static SHARED: LazyLock<Shared> =
    LazyLock::new(|| Shared::parse(CATALOG).expect("the built-in list is tested"));

/// Variables that say where to look for what is followed in another way, or that are no paths of the
/// application; and those by which people choose a program.
const OTHER_VARIABLES: [&str; 9] =
    ["EDITOR", "HOME", "LD_LIBRARY_PATH", "PAGER", "PATH", "PWD", "SHELL", "TMPDIR", "VISUAL"];
/// The most pieces of one word, or of one variable, that are taken for paths.
const MOST_PIECES: usize = 64;

/// Folders that many programs share (`catalog/shared-folders.toml`).
struct Shared {
    folders: GlobSet,
    above: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    above: Vec<String>,
    folders: Vec<String>,
}

impl Shared {
    fn parse(text: &str) -> Result<Self, String> {
        let File { above, folders } = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut globs = GlobSetBuilder::new();
        for folder in folders {
            let glob =
                GlobBuilder::new(folder.trim_start_matches('/')).literal_separator(true).build();
            globs.add(glob.map_err(|error| error.to_string())?);
        }
        let folders = globs.build().map_err(|error| error.to_string())?;
        Ok(Self { folders, above })
    }

    /// Whether a folder is nobody's own; one whose name is no text is.
    fn has(&self, folder: &RootPath) -> bool {
        str::from_utf8(folder.as_bytes()).map_or(true, |path| self.folders.is_match(path))
    }

    /// The application's own folder in which a file lies.
    fn own(&self, file: &RootPath) -> Option<RootPath> {
        let mut folder = file.parent()?;
        while self.above.iter().any(|name| name.as_bytes() == folder.file_name()) {
            folder = folder.parent().filter(|above| !self.has(above))?;
        }
        (!self.has(&folder)).then_some(folder)
    }
}

impl Walk<'_> {
    /// The folder that a program, or a file that it is told of, has for itself.
    pub(super) fn beside(&mut self, pointer: &'static str, need: usize) {
        let file = self.start.needs[need].path.clone();
        if let Some(folder) = SHARED.own(&file) {
            let why = Hop::Folder("the application's folder".to_owned());
            self.folder(pointer, &folder, why, &Origin::from(need, false));
        }
    }

    /// What a word names that is no program: a file with what lies beside it and what it names itself,
    /// or a folder.
    pub(super) fn place(
        &mut self,
        pointer: &'static str,
        path: &RootPath,
        origin: &Origin,
    ) -> Option<usize> {
        let Some(need) = self.need(pointer, path, Access::Read, origin) else {
            let why = Hop::Folder("a folder that it is told of".to_owned());
            return self.folder(pointer, path, why, origin);
        };
        self.beside(pointer, need);
        self.unread.push_back(need);
        Some(need)
    }

    /// The working directory, and what variables of the config name, which its program may open.
    pub(super) fn surroundings(&mut self, pointer: &'static str) {
        let Some(program) = (0..self.start.needs.len()).rfind(|need| self.is_program(*need)) else {
            return;
        };
        let origin = Origin::from(program, false);
        if let Some(folder) = self.look.in_working_dir(".") {
            self.folder(pointer, &folder, Hop::Folder("the working directory".to_owned()), &origin);
        }
        for variable in self.look.variables() {
            let Some((name, value)) = variable.split_once('=') else { continue };
            if OTHER_VARIABLES.contains(&name) {
                continue;
            }
            for path in pieces(value).filter_map(|piece| piece.parse().ok()) {
                self.variable(pointer, name, &path, &origin);
            }
        }
    }

    /// A path that a variable names: a file as a word names one, of a program or library what it needs,
    /// or a folder.
    fn variable(&mut self, pointer: &'static str, name: &str, path: &RootPath, origin: &Origin) {
        let Some((_, inode)) = self.look.file(path) else {
            let why = Hop::Folder(format!("{name} in the environment"));
            self.folder(pointer, path, why, origin);
            return;
        };
        if !self.spend(Spent::Words, 1) {
            return;
        }
        let origin = origin.because(Hop::Variable(name.to_owned()));
        if let Some(need) = self.place(pointer, path, &origin)
            && matches!(inode.content, Content::Elf(_))
        {
            self.opened(pointer, need, std::slice::from_ref(path));
        }
    }

    /// Whether something is executed in any case, and is no loader.
    fn is_program(&self, need: usize) -> bool {
        let Need { access, certain, .. } = self.start.needs[need];
        let loader = matches!(self.start.first(need).why.last(), Some(Hop::Loader(_)));
        certain && access == Access::Execute && !loader
    }

    /// A folder with all that lies in it and what its libraries need; none if it is shared.
    pub(super) fn folder(
        &mut self,
        pointer: &'static str,
        path: &RootPath,
        why: Hop,
        origin: &Origin,
    ) -> Option<usize> {
        let resolution = self.look.inventory.resolve(path);
        let found = resolution.found.clone()?;
        let directory = |inode: &Inode| inode.kind == Kind::Directory;
        if SHARED.has(&found) || !self.look.inventory.lookup(&found).is_some_and(directory) {
            return None;
        }
        let origin = origin.because(why);
        let known = self.start.needs.len();
        let need = self.add(pointer, path, resolution, Access::Read, &origin)?;
        if need == known {
            let libraries = self.look.binaries_in(&found);
            self.opened(pointer, need, &libraries);
        }
        Some(need)
    }
}

/// The parts of a text that may be absolute paths: of `--config=/a.conf`, `/a:/b/*` and `-I/lib`.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || ":,;=@".contains(c);
    let pieces = text.split(ends).map(|piece| piece.trim_end_matches("/*"));
    let path = |piece: &'_ str| match piece.strip_prefix('-') {
        Some(option) => option.find('/').map(|at| at + 1),
        None => piece.starts_with('/').then_some(0),
    };
    pieces.filter_map(move |piece| Some(&piece[path(piece)?..])).take(MOST_PIECES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(file: &str) -> Option<String> {
        Some(SHARED.own(&file.parse().expect("a path"))?.to_string())
    }

    #[test]
    fn a_folder_is_the_application_s_unless_many_share_it() {
        assert_eq!(own("/app/server").as_deref(), Some("/app"));
        assert_eq!(own("/opt/shop/bin/server").as_deref(), Some("/opt/shop"));
        assert_eq!(own("/srv/index.js").as_deref(), Some("/srv"));
        assert_eq!(own("/usr/local/tomcat/bin/catalina.sh").as_deref(), Some("/usr/local/tomcat"));
        assert_eq!(own("/etc/shop/shop.conf").as_deref(), Some("/etc/shop"));
        for shared in ["/server", "/usr/bin/env", "/usr/local/bin/x", "/opt/bin/x", "/etc/x.conf"] {
            assert_eq!(own(shared), None, "{shared}");
        }
        assert_eq!(own("/usr/lib/x86_64-linux-gnu/libnss/x"), None);
    }

    #[test]
    fn words_hold_paths() {
        let all = |text| pieces(text).collect::<Vec<_>>();
        assert_eq!(all("--config=/etc/a.conf"), ["/etc/a.conf"]);
        assert_eq!(all("/app/lib/*:/app/classes"), ["/app/lib", "/app/classes"]);
        assert_eq!(
            all("-javaagent:/opt/a.jar=80:/etc/c.yml -I/lib"),
            ["/opt/a.jar", "/etc/c.yml", "/lib"]
        );
        assert_eq!(all("server.js --port=80 a/b"), [""; 0]);
    }

    #[test]
    fn the_list_is_sorted() {
        let File { above, folders } = toml::from_str(CATALOG).expect("TOML");
        assert!(above.is_sorted() && folders.is_sorted());
    }
}
