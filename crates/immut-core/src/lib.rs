//! Makes container images immutable in practice: what an attacker needs and the application does
//! not (shells, package managers, setuid and setgid bits, file capabilities) goes from every layer,
//! the user becomes a number that is not root's, and the image is written anew and signed.
//!
//! ```text
//! audit  = Source -> Inventory -> Findings
//! plan   = Source -> Inventory -> Findings -> Plan
//! harden = Source -> Inventory -> Findings -> Plan -> rewrite -> Hardened -> publish (Sink, Signer)
//! check  = Source -> Inventory -> Closure -> what keeps the image from starting
//! verify = pinned reference -> signatures -> Verified
//! copy   = Source -> Sink, byte for byte
//! ```
//!
//! Every verb is a blocking function, which also works when it is called from inside a tokio
//! runtime.
//!
//! ```
//! # use immut_testkit::{Recipe, contents};
//! use immut_core::{Options, audit, harden, store::Layout};
//! let folder = tempfile::tempdir()?;
//! # let image = Recipe::new()
//! #     .layer(|l| l.file("/bin/bash", 0o755, contents::bash()).file("/app", 0o755, contents::program()))
//! #     .entrypoint(&["/app"]).write(&folder.path().join("image"));
//! # let reference = format!("oci:{}@{}", folder.path().join("image").display(), image.digest);
//! let source = Layout::open(&folder.path().join("image"))?;
//! let stage = Layout::create(&folder.path().join("stage"))?;
//! let hardened = harden(&reference.parse()?, &source, &stage, &Options::default())?;
//! let after = audit(&hardened.digest(), &stage, &Options::default())?;
//! assert!(after.platforms[0].findings.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod apps;
mod archive;
mod audit;
mod check;
mod codec;
mod copy;
mod error;
mod explain;
pub mod finding;
mod harden;
pub mod image;
pub mod inventory;
pub mod name;
pub mod needs;
mod options;
mod parallel;
pub mod path;
pub mod plan;
mod planning;
pub mod progress;
pub mod receipt;
pub mod rewrite;
pub mod rules;
mod select;
pub mod store;
pub mod trust;
pub mod user;

pub use archive::Error as ArchiveError;
pub use audit::{Audit, Audited, audit};
pub use check::{Check, Checked, check};
pub use copy::{Copied, Copying, Referrers, Tagging, copy};
pub use error::{Error, LeftOut, Refused};
pub use explain::{Explanation, Fate, Needed, There, explain};
pub use harden::{Hardened, Outcome, Publication, Published, harden, publish};
pub use options::{Ahead, Options};
pub use planning::{Planned, Planning, plan};
