//! What a start or a part of the config is called where it is told: JSON pointers (RFC 6901), and
//! flags.

/// The entrypoint.
pub(crate) const ENTRYPOINT: &str = "/config/Entrypoint";
/// The default arguments, or the command where there is no entrypoint.
pub(crate) const CMD: &str = "/config/Cmd";
/// The health check.
pub(crate) const HEALTHCHECK: &str = "/config/Healthcheck";
/// The user.
pub(crate) const USER: &str = "/config/User";
/// The working directory.
pub(crate) const WORKING_DIR: &str = "/config/WorkingDir";
/// A command that the caller says the image is started with too.
pub(crate) const START_WITH: &str = "--start-with";
/// What the caller keeps.
pub(crate) const KEEP: &str = "--keep";
/// What an app profile needs.
pub(crate) const APP: &str = "--app";
