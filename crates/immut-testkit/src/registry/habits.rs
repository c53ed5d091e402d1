//! Registries that people have, as far as their habits are known; `docs/registries.md` says from
//! where.
//!
//! ```
//! use immut_testkit::registry::{Registry, habits};
//! let registry = Registry::with(habits::harbor());
//! assert!(registry.log().is_empty());
//! ```

use super::{Auth, Options, Referrers, Rule, Sessions, TokenService, Uploads};

const BEARER: Auth = Auth::Bearer { anonymous_pull: true, uses: None };

/// Docker Hub: tokens for everybody who pulls, blobs from a storage host.
pub fn docker_hub(storage: &str) -> Options {
    Options {
        auth: BEARER,
        referrers: Referrers::Absent,
        blobs_at: Some(storage.to_owned()),
        ..Options::default()
    }
}

/// GitHub's: tokens that do not say how long they live, small chunks, referrers elsewhere.
pub fn ghcr(website: &str) -> Options {
    Options {
        auth: BEARER,
        tokens: TokenService { expires_in: None, ..TokenService::default() },
        uploads: Uploads { largest_chunk: Some(4 << 20), ..Uploads::default() },
        referrers: Referrers::LeadsTo(website.to_owned()),
        ..Options::default()
    }
}

/// Amazon's: passwords, repositories that have to be made, tags that may be told not to move, and
/// sessions that say only how far they were after their first chunk.
pub fn ecr(storage: &str) -> Options {
    Options {
        auth: Auth::Basic,
        uploads: Uploads { stale_range: true, ..Uploads::default() },
        referrers: Referrers::Native,
        immutable: Some(Rule {
            status: 400,
            code: "TAG_INVALID",
            message: "The image tag already exists in the repository and cannot be overwritten because the repository is immutable.",
        }),
        made_first: true,
        blobs_at: Some(storage.to_owned()),
        ..Options::default()
    }
}

/// Azure's: refresh tokens, its own referrers, no upload that goes on after it broke.
pub fn acr(storage: &str) -> Options {
    Options {
        auth: Auth::Bearer { anonymous_pull: false, uses: None },
        tokens: TokenService {
            path: "/oauth2/token",
            field: Some("access_token"),
            expires_in: None,
            ..TokenService::default()
        },
        uploads: Uploads { no_status: true, loses_what_breaks: true, ..Uploads::default() },
        referrers: Referrers::Native,
        blobs_at: Some(storage.to_owned()),
        ..Options::default()
    }
}

/// Google's: a challenge that names nothing but where, sessions beside `/v2/`.
pub fn gar() -> Options {
    Options {
        auth: BEARER,
        tokens: TokenService { path: "/v2/token", bare: true, ..TokenService::default() },
        uploads: Uploads { sessions: Sessions::OtherPath, ..Uploads::default() },
        referrers: Referrers::Native,
        ..Options::default()
    }
}

/// Harbor: a token service of its own, rules for tags, referrers, and beneath it [`docker_registry`].
pub fn harbor() -> Options {
    Options {
        auth: BEARER,
        tokens: TokenService { path: "/service/token", ..TokenService::default() },
        uploads: Uploads { sessions: Sessions::Absolute, ..docker_uploads() },
        referrers: Referrers::Native,
        immutable: Some(Rule {
            status: 412,
            code: "PRECONDITION",
            message: "Failed to process request due to 'app:v1' configured as immutable.",
        }),
        ..Options::default()
    }
}

/// Quay: a token service beneath `/v2/`, tags that may be told not to move, referrers.
pub fn quay() -> Options {
    Options {
        auth: BEARER,
        tokens: TokenService { path: "/v2/auth", ..TokenService::default() },
        referrers: Referrers::Native,
        immutable: Some(Rule { status: 409, code: "TAG_IMMUTABLE", message: "tag is immutable" }),
        ..Options::default()
    }
}

/// The distribution project's registry 2: no referrers, no going on with an upload that broke.
pub fn docker_registry() -> Options {
    let uploads = Uploads { sessions: Sessions::Absolute, ..docker_uploads() };
    Options { uploads, ..Options::default() }
}

fn docker_uploads() -> Uploads {
    Uploads { no_status: true, ..Uploads::default() }
}
