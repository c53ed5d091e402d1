//! Layers side by side.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Runs `one` for 0..count on at most `jobs` threads. After an error no new one is begun, and the
/// first error in order is given back.
pub(crate) fn in_parallel<T: Send, E: Send>(
    count: usize,
    jobs: usize,
    one: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<T, E>>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(result) = results.get(number) else { return };
            let outcome = one(number);
            if outcome.is_err() {
                next.store(count, Ordering::Relaxed);
            }
            *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, count.max(1)) {
            scope.spawn(work);
        }
    });
    let results = results.into_iter().map(Mutex::into_inner);
    results.filter_map(|result| result.unwrap_or_else(PoisonError::into_inner)).collect()
}
