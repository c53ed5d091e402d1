//! Referrers: the registry's own list of them, or the fallback index that its clients keep
//! (distribution specification 1.1, "Listing Referrers" and "Referrers Tag Schema").

use reqwest::header::{ACCEPT, HeaderMap};
use reqwest::{Method, Url};

use super::client::{Call, Client, Document};
use super::{Error, retry};
use crate::image::{Descriptor, RawManifest, media_type};
use crate::name::Digest;
use crate::store::{self, fallback_tag, referrers};

impl Client {
    /// The manifests about `digest`.
    pub(super) async fn referrers(&self, digest: &Digest) -> Result<Vec<Descriptor>, store::Error> {
        if let Some(native) = self.native_referrers(digest).await? {
            return Ok(native);
        }
        match self.manifest(&fallback_tag(digest)).await? {
            Some(index) => referrers::listed(&index),
            None => Ok(Vec::new()),
        }
    }

    /// The registry's own list; none if it keeps none.
    async fn native_referrers(
        &self,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, store::Error> {
        let step = format!("list the referrers of {digest}");
        let mut all = Vec::new();
        let mut next = Some(self.url(&["referrers", &digest.to_string()]));
        for _ in 0..MOST_PAGES {
            let Some(url) = next.take() else { return Ok(Some(all)) };
            let call = Call::new(&step, Method::GET, url, self.to_pull())
                .header(ACCEPT, media_type::OCI_INDEX)
                .staying();
            let page = match self.document(&call).await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(None),
                Err(error) if lacks_the_api(&error) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            next = self.next_page(&step, &page)?;
            let media_type = media_type::OCI_INDEX.to_owned();
            // Some registries answer every address with a page for people.
            match referrers::listed(&RawManifest { media_type, bytes: page.bytes }) {
                Ok(listed) if all.len() + listed.len() > MOST_REFERRERS => {
                    let reason = format!("it lists more than {MOST_REFERRERS} referrers");
                    return Err(self.transport.protocol(&step, &reason).into());
                }
                Ok(listed) => all.extend(listed),
                Err(_) if all.is_empty() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let reason = "its list of referrers has too many pages";
        Err(self.transport.protocol(&step, reason).into())
    }

    /// Where the next page is: always on the registry itself.
    fn next_page(&self, step: &str, page: &Document) -> Result<Option<Url>, Error> {
        let Some(target) = next_link(&page.headers) else { return Ok(None) };
        let url = self.transport.target(step, &page.url, &target)?;
        if self.transport.owns(&url) {
            return Ok(Some(url));
        }
        Err(self.transport.protocol(step, "the next page lies on another host"))
    }

    /// Adds a referrer to the fallback index of its subject.
    ///
    /// Registries cannot compare and swap: another writer may overwrite our line between our
    /// reading and its writing. So the index is read again after a pause, and written again until
    /// the line is seen there.
    pub(super) async fn list_referrer(
        &self,
        manifest: &RawManifest,
        subject: &Digest,
    ) -> Result<(), store::Error> {
        let tag = fallback_tag(subject);
        for _ in 0..MOST_RACES {
            // Anything but a definite "there is none" ends here: other tools' lines are at stake.
            let old = self.manifest(&tag).await?;
            let Some(merged) = referrers::merge(old.as_ref(), manifest)? else { return Ok(()) };
            self.put_manifest(&tag, &merged).await?;
            tokio::time::sleep(retry::jittered(self.backoff)).await;
        }
        let old = self.manifest(&tag).await?;
        if referrers::merge(old.as_ref(), manifest)?.is_none() {
            return Ok(());
        }
        let step = format!("list a referrer of {subject} at tag {tag}");
        let reason = "what is written there does not stay; others write at the same time";
        Err(self.transport.protocol(&step, reason).into())
    }
}

/// Statuses by which registries say that they know no such address; one leads to its website.
fn lacks_the_api(error: &Error) -> bool {
    matches!(error.status(), Some(300..=399 | 400 | 405 | 406 | 501))
}

/// The target of `Link: <target>; rel="next"` (RFC 8288, as far as registries use it).
fn next_link(headers: &HeaderMap) -> Option<String> {
    let links = headers.get_all("link").into_iter().filter_map(|link| link.to_str().ok());
    links.flat_map(|link| link.split(',')).find_map(|link| {
        let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let next = parameters.replace([' ', '"'], "").to_ascii_lowercase().contains("rel=next");
        next.then(|| target.to_owned())
    })
}

const MOST_PAGES: usize = 100;
/// Far more than anybody signs and attests; the list is held in memory.
const MOST_REFERRERS: usize = 10_000;
const MOST_RACES: usize = 6;
