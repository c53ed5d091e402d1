//! How musl's loader searches: [`Musl`] (musl, `ldso/dynlink.c`).

use std::ops::ControlFlow;

use super::hunt::Hunt;
use super::process::ancestors;
use super::tokens::Tokens;
use super::{FileSystem, How, Loaded};
use crate::needs::elf::{Elf, Machine};
use crate::path::RootPath;

/// What the loader of an image goes by.
#[derive(Debug)]
pub(super) struct Musl {
    /// The system's folders.
    folders: Vec<u8>,
    /// How they are known.
    how: How,
}

const DEFAULT: &[u8] = b"/lib:/usr/local/lib:/usr/lib";
/// Libraries that the loader itself is, whatever follows these beginnings of their names.
const OWN: [&[u8]; 7] =
    [b"libc.", b"libpthread.", b"librt.", b"libm.", b"libdl.", b"libutil.", b"libxnet."];

/// Whether the loader itself is the library of that name.
pub(super) fn is_own(name: &[u8]) -> bool {
    OWN.iter().any(|own| name.starts_with(own))
}

/// Whether a file was linked against musl.
pub(super) fn is_needed_by(elf: &Elf) -> bool {
    elf.needed.iter().any(|name| name.starts_with(b"libc.musl-") || name == b"libc.so")
}

impl Musl {
    /// Reads the path file of the loader of that name, which lies in `etc` beside the loader's
    /// folder. There is no default beside one that is there.
    pub(super) fn of(files: &dyn FileSystem, loader: &RootPath, machine: Machine) -> Self {
        let prefix = loader.parent().and_then(|folder| folder.parent());
        let architecture = architecture(loader).or_else(|| machine.musl_name().map(str::as_bytes));
        let file = prefix.zip(architecture).map(|(prefix, architecture)| {
            prefix.join(b"etc").join(&[b"ld-musl-", architecture, b".path"].concat())
        });
        let found = file.as_ref().and_then(|file| files.resolve(file));
        match (file, found) {
            (Some(file), Some(found)) => Self {
                folders: files.text(&found.file).unwrap_or_default(),
                how: How::PathFile(file),
            },
            _ => Self { folders: DEFAULT.to_vec(), how: How::Default },
        }
    }

    /// Looks for a library that `loaded[owner]` asks for.
    pub(super) fn hunt(
        &self,
        hunt: &mut Hunt<'_, '_>,
        loaded: &[Loaded],
        owner: usize,
    ) -> ControlFlow<()> {
        if hunt.name.contains(&b'/') {
            let path = hunt.name;
            return hunt.path(How::Path, path);
        }
        let library_path = hunt.ground.environment.library_path.clone();
        folders(hunt, &How::LibraryPath, &library_path)?;
        for file in ancestors(loaded, owner) {
            hunt.go_on()?;
            if let Some(list) = run_path(file) {
                folders(hunt, &How::RPath(file.found.file.clone()), &list)?;
            }
        }
        folders(hunt, &self.how, &self.folders)
    }
}

fn folders(hunt: &mut Hunt<'_, '_>, how: &How, list: &[u8]) -> ControlFlow<()> {
    let folders = list.split(|byte| matches!(byte, b':' | b'\n'));
    for folder in folders.filter(|folder| !folder.is_empty()) {
        hunt.folder(how.clone(), folder)?;
    }
    ControlFlow::Continue(())
}

/// The run path of a file, `$ORIGIN` put in; none if it has another token.
fn run_path(file: &Loaded) -> Option<Vec<u8>> {
    let list = file.elf.runpath.as_ref().or(file.elf.rpath.as_ref())?;
    if !list.contains(&b'$') {
        return Some(list.clone());
    }
    let origin = file.path.parent().unwrap_or_else(RootPath::root);
    let expanded = Tokens { origin: &origin, lib: None, platform: None }.expand(list)?;
    (!expanded.contains(&b'$')).then_some(expanded)
}

/// `ARCH` of `ld-musl-ARCH.so.1`.
fn architecture(loader: &RootPath) -> Option<&[u8]> {
    let rest = loader.file_name().strip_prefix(b"ld-musl-")?;
    let end = rest.windows(3).position(|part| part == b".so")?;
    Some(&rest[..end])
}
