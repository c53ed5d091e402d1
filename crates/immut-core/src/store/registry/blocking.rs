//! The bridge between blocking callers and the client's own runtime.
//!
//! Callers may be anywhere: on a plain thread, or inside somebody's tokio runtime of either kind.
//! So nothing here enters a runtime from the caller's thread: futures run on threads of our own,
//! and the caller's thread is parked until they are done.

use std::future::Future;
use std::io;

use tokio::runtime;
use tokio::task::{JoinHandle, unconstrained};

/// The threads on which everything asynchronous of one registry runs.
#[derive(Debug)]
pub(super) struct Runtime(Option<runtime::Runtime>);

impl Runtime {
    pub(super) fn new() -> io::Result<Self> {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("immut-registry")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs a future to its end; none if it panicked.
    pub(super) fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        wait(self.spawn(future)?).ok()
    }

    /// Starts a future.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        Some(self.0.as_ref()?.spawn(future))
    }
}

impl Drop for Runtime {
    /// Waiting for the threads would panic inside another runtime.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Parks this thread until the future is done.
///
/// A caller inside a tokio task has a budget of polls; when it is used up tokio's own futures wait
/// for the task to yield, which a parked thread never does. Hence `unconstrained`.
pub(super) fn wait<F: Future>(future: F) -> F::Output {
    pollster::block_on(unconstrained(future))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_no_value() {
        let runtime = Runtime::new().expect("threads");
        assert_eq!(runtime.run(async { 7 }), Some(7));
        let nothing: Option<u8> = std::hint::black_box(None);
        let bug = async move { nothing.expect("a value") };
        assert_eq!(runtime.run(bug), None);
    }

    #[tokio::test]
    async fn callers_in_a_runtime_never_run_out_of_budget() {
        let runtime = Runtime::new().expect("threads");
        for count in 0..1000 {
            assert_eq!(runtime.run(async move { count }), Some(count));
        }
    }
}
