//! What is looked for, as data ([`Catalog`], [`Rule`]), and the search for it ([`examine`]).
//!
//! Names lie: a file called `es` is a shell or a search engine. So a name alone never removes. A
//! file is a hit when an unambiguous name among executables has one more signal (package or
//! content), when an ambiguous name has its package or content, or when it is the same file, link
//! or bytes as another hit. A content signature alone gives a finding without a remedy, since
//! scanners carry such strings too.

mod base;
mod catalog;
mod examine;
mod files;
mod people;
mod places;
mod profile;
mod root_only;

pub use base::{Base, Part};
pub use catalog::{Catalog, Error, Executables, Matcher, Places, Rule, Signature};
pub use examine::examine;
pub(crate) use files::SMALLEST_IDENTITY;
pub(crate) use people::People;
pub use profile::{Keep, Profile, Removes};

use crate::finding::Subject as FindingSubject;
use crate::inventory::{EntryId, Inventory};

/// Whether an entry is in the merged view or hidden, as a finding's subject. A hidden name of a
/// file that is visible by another name counts through that one.
fn subject_of(inventory: &Inventory, id: EntryId) -> FindingSubject {
    let path = inventory.entry(id).path.clone();
    if inventory.is_hidden(id) {
        FindingSubject::Hidden { layer: id.layer as usize, path }
    } else {
        FindingSubject::File(path)
    }
}
