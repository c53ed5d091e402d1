//! `publish`: Hardened -> Sink, Signer.

use super::Hardened;
use crate::copy;
use crate::error::Error;
use crate::name::PinnedRef;
use crate::progress::{Progress, Task};
use crate::store::{Kind, Layout, Sink, Transfer, Tree};
use crate::trust::{self, Signer};

/// How a hardened image is published.
#[derive(Clone, Copy)]
pub struct Publication<'a> {
    /// Where to.
    pub to: &'a dyn Sink,
    /// Who signs it; none: it is not signed.
    pub signer: Option<&'a dyn Signer>,
    /// How signatures are made.
    pub signing: &'a trust::Options,
    /// The tags that will name it.
    pub tags: &'a [String],
    /// Blobs that are sent at the same time; at least 1.
    pub jobs: usize,
    /// Who is told.
    pub progress: &'a dyn Progress,
}

impl std::fmt::Debug for Publication<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let to = self.to.location();
        f.debug_struct("Publication")
            .field("to", &to)
            .field("tags", &self.tags)
            .finish_non_exhaustive()
    }
}

/// What was published.
#[derive(Debug)]
pub struct Published {
    /// Its name by digest.
    pub reference: PinnedRef,
    /// The signatures, of each platform and of the whole.
    pub signed: trust::Signatures,
}

/// Publishes a hardened image: blobs, manifests by digest, signatures, and the tags last, so that no
/// tag ever names an image that is not signed yet. A layout or an archive is as it was until all of
/// that is there.
///
/// ```
/// # use immut_testkit::{Recipe, contents};
/// use immut_core::{Options, Publication, harden, progress, publish, store::Layout, trust};
/// # let folder = tempfile::tempdir()?;
/// # let at = |name: &str| folder.path().join(name);
/// # let image = Recipe::new().layer(|l| l.file("/app", 0o755, contents::program())).entrypoint(&["/app"]).write(&at("image"));
/// # let pinned = format!("oci:{}@{}", at("image").display(), image.digest).parse()?;
/// let (source, stage) = (Layout::open(&at("image"))?, Layout::create(&at("stage"))?);
/// let hardened = harden(&pinned, &source, &stage, &Options::default())?;
/// let (to, signing) = (Layout::create(&at("out"))?, trust::Options::default());
/// let (tags, progress) = (["latest".to_owned()], &progress::Silent);
/// let how = Publication { to: &to, signer: None, signing: &signing, tags: &tags, jobs: 2, progress };
/// let published = publish(&hardened, &stage, &how)?;
/// assert_eq!(published.reference.digest, hardened.digest());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn publish(
    hardened: &Hardened,
    stage: &Layout,
    how: &Publication<'_>,
) -> Result<Published, Error> {
    let transfer = Transfer::new(stage, how.to, Task::Upload, how.jobs, how.progress);
    let mut tree = Tree::default();
    tree.add(hardened.result.clone(), stage, Kind::Image).map_err(Error::Publish)?;
    let place = how.to.location();
    tree.leave_out(|blob| hardened.sent.is_at(&place, blob));
    transfer.tree(&tree).map_err(Error::Publish)?;
    let digest = hardened.digest();
    let signed = match how.signer {
        Some(signer) => {
            trust::sign_all(&digest, how.to, signer, how.signing).map_err(Error::Sign)?
        }
        None => trust::Signatures::default(),
    };
    for tag in how.tags {
        copy::tag(tag, &hardened.result, how.to).map_err(Error::Publish)?;
    }
    how.to.finish().map_err(Error::Publish)?;
    let known = how.to.known_as(&hardened.result);
    Ok(Published {
        reference: PinnedRef { location: how.to.location(), tag: None, digest: known },
        signed,
    })
}
