//! Databases with a record in a file of its own for each package: the `status.d` of distroless images,
//! and pacman's folders.

use super::lines::Lines;
use super::owned::Owned;
use super::{Edits, Fate, MOST, Package, View, paragraph};
use crate::inventory::{Inode, Kind};
use crate::path::RootPath;

/// How such a database has its packages.
struct Form {
    database: &'static str,
    folder: &'static str,
    /// Whether a package has a folder, with these names for its record and its list.
    nested: Option<(&'static str, &'static str)>,
    lines: Lines,
    field: fn(&[u8], Field) -> Option<String>,
    is_marked: fn(&[u8]) -> bool,
    marked: fn(&[u8]) -> Vec<u8>,
}

#[derive(Clone, Copy)]
enum Field {
    Name,
    Version,
}

const FORMS: [Form; 2] = [
    Form {
        database: "dpkg",
        folder: "/var/lib/dpkg/status.d",
        nested: None,
        lines: Lines::Sums,
        field: |record, field| match field {
            Field::Name => paragraph::text(record, b"Package"),
            Field::Version => paragraph::text(record, b"Version"),
        },
        is_marked: paragraph::is_marked,
        marked: paragraph::marked,
    },
    Form {
        database: "pacman",
        folder: "/var/lib/pacman/local",
        nested: Some(("desc", "files")),
        lines: Lines::Sections,
        field: |record, field| match field {
            Field::Name => section(record, b"%NAME%"),
            Field::Version => section(record, b"%VERSION%"),
        },
        is_marked: |record| section(record, SECTION).is_some(),
        marked: |record| {
            let (text, _) = record.split_at(record.trim_ascii_end().len());
            [text, b"\n\n", SECTION, b"\nyes\n\n"].concat()
        },
    },
];

/// The section that marks pacman's record of a package of which a part is gone: libalpm passes over
/// sections that it does not know.
const SECTION: &[u8] = b"%IMMUT_STRIPPED%";

/// The first line of a section of pacman's record.
fn section(record: &[u8], name: &[u8]) -> Option<String> {
    let mut lines = record.split(|byte| *byte == b'\n').skip_while(|line| *line != name);
    let value = lines.nth(1).filter(|value| !value.is_empty())?;
    str::from_utf8(value).ok().map(str::to_owned)
}

/// A package's files in the database.
struct Place<'a> {
    record: (&'a RootPath, &'a Inode),
    list: Option<(&'a RootPath, &'a Inode)>,
    /// What goes with the package.
    all: Vec<&'a RootPath>,
    package: Option<Package>,
    marked: bool,
    fate: Fate,
}

pub(super) fn edit(view: View<'_>, edits: &mut Edits) {
    for form in &FORMS {
        let mut places = form.places(view);
        if places.len() > MOST {
            let folder = form.folder;
            edits.unseen.push(format!("{folder}: the database is too large to be looked at"));
            continue;
        }
        form.read(view, &mut places);
        form.edit(view, places, edits);
    }
}

/// The files of the packages whose records and lists stay.
pub(super) fn owned(view: View<'_>, all: &mut Vec<Owned>) {
    for form in &FORMS {
        let mut places = form.places(view);
        places.truncate(MOST);
        form.read_records(view, &mut places);
        let listed = places.into_iter().filter_map(|place| Some((place.list?.1, place.package?)));
        let listed: Vec<_> = listed.collect();
        view.see_each(listed, |package, list| {
            all.push(Owned::of(view, package, form.lines.paths(list)));
        });
    }
}

impl Form {
    fn places<'a>(&self, view: View<'a>) -> Vec<Place<'a>> {
        let place = |record, list: Option<_>, all| Place {
            record,
            list,
            all,
            package: None,
            marked: false,
            fate: Fate::Kept,
        };
        let children = view.children(self.folder);
        let Some((record, list)) = self.nested else {
            let (lists, records): (Vec<_>, Vec<_>) =
                children.into_iter().partition(|(path, _)| path.as_bytes().ends_with(SUMS));
            let of = |record: (&'a RootPath, &'a Inode)| {
                let list = [record.0.as_bytes(), SUMS].concat();
                let at = lists.binary_search_by(|(path, _)| path.as_bytes().cmp(&list));
                let list = at.ok().map(|at| lists[at]);
                let all = [record.0].into_iter().chain(list.map(|(path, _)| path)).collect();
                place(record, list, all)
            };
            return records.into_iter().filter(|(_, inode)| is_file(inode)).map(of).collect();
        };
        let of = |(folder, _): (&'a RootPath, &'a Inode)| {
            let file = |name: &str| {
                let (path, name) =
                    view.inventory.names().get_key_value(&folder.join(name.as_bytes()))?;
                let inode = view.inventory.inode(name.inode);
                (is_file(inode) && !view.goes(path)).then_some((path, inode))
            };
            Some(place(file(record)?, file(list), vec![folder]))
        };
        children.into_iter().filter_map(of).collect()
    }

    /// Reads records, and the lists of those that could be read.
    fn read<'a>(&self, view: View<'a>, places: &mut [Place<'a>]) {
        self.read_records(view, places);
        if !view.draft.removes() {
            return;
        }
        let readable = places.iter().zip(0..).filter(|(place, _)| place.package.is_some());
        let lists: Vec<_> = readable.filter_map(|(place, at)| Some((place.list?.1, at))).collect();
        view.see_each(lists, |at: usize, list| {
            let configuration = self.lines.configuration(list);
            places[at].fate = self.lines.fate(view, list, &configuration);
        });
    }

    fn read_records<'a>(&self, view: View<'a>, places: &mut [Place<'a>]) {
        let records: Vec<_> = places.iter().map(|place| place.record.1).zip(0..).collect();
        view.see_each(records, |at: usize, text| {
            let field = |field| (self.field)(text, field);
            let package = field(Field::Name).zip(field(Field::Version));
            let package =
                package.map(|(name, version)| Package { name, version, database: self.database });
            (places[at].package, places[at].marked) = (package, (self.is_marked)(text));
        });
    }

    fn edit<'a>(&self, view: View<'a>, places: Vec<Place<'a>>, edits: &mut Edits) {
        let mut wanted = Vec::new();
        let (mut unreadable, mut unlisted) = (0, 0);
        for place in places {
            let Some(package) = place.package else {
                unreadable += 1;
                continue;
            };
            unlisted += usize::from(place.list.is_none());
            match place.fate {
                Fate::Kept => {}
                Fate::Removed => edits.gone.extend(place.all.into_iter().cloned()),
                Fate::Partly => {
                    let record = (!place.marked).then_some(place.record);
                    wanted.extend(record.map(|(path, inode)| (inode, (path, true))));
                    wanted.extend(place.list.map(|(path, inode)| (inode, (path, false))));
                }
            }
            let marked = place.marked && place.fate == Fate::Kept;
            edits.add(package, if marked { Fate::Partly } else { place.fate });
        }
        if let Ok(folder) = self.folder.parse() {
            edits.unreadable(unreadable, &folder);
        }
        if unlisted > 0 && view.draft.removes() {
            let folder = self.folder;
            edits.unseen.push(format!("{folder}: {unlisted} packages have no list of their files"));
        }
        view.see_each(wanted, |(path, record), text| {
            let new =
                if record { (self.marked)(text) } else { self.lines.without_lost(view, text) };
            if new != text {
                edits.contents.push((path.clone(), new));
            }
        });
    }
}

fn is_file(inode: &Inode) -> bool {
    inode.kind == Kind::File
}

const SUMS: &[u8] = b".md5sums";
