//! Work that continues after its client disconnects.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::runtime::Handle;
use tracing::Instrument;

/// Runs work to its end, even if the returned future is dropped: a handler is dropped when its client disconnects.
///
/// The work runs in the request's own task while that exists: a body arrives in many pieces, and each transfer to
/// another task would cost two wake-ups, often on another processor.
pub(crate) fn run_to_completion<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    RunToCompletion(Some(Box::pin(work.in_current_span())))
}

struct RunToCompletion<T: Send + 'static>(Option<Work<T>>);

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<T: Send + 'static> Future for RunToCompletion<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.0 else {
            // Polled after completion.
            return Poll::Pending;
        };
        let result = ready!(work.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(result)
    }
}

impl<T: Send + 'static> Drop for RunToCompletion<T> {
    fn drop(&mut self) {
        // A future that has panicked must not be polled again.
        let work = self.0.take().filter(|_| !std::thread::panicking());
        if let (Some(work), Ok(runtime)) = (work, Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_completes_after_client_disconnects() {
        let (resume, resumed) = oneshot::channel();
        let (done, is_done) = oneshot::channel();
        let mut work = Box::pin(run_to_completion(async move {
            resumed.await.expect("the test resumes the work");
            done.send(()).expect("the test waits");
        }));
        assert!(futures_util::poll!(&mut work).is_pending(), "started");
        drop(work);
        resume.send(()).expect("the work still runs");
        is_done.await.expect("the work completes");
    }

    #[tokio::test]
    async fn work_dropped_before_first_poll_completes() {
        let (done, is_done) = oneshot::channel();
        drop(run_to_completion(async move {
            done.send(()).expect("the test waits");
        }));
        is_done.await.expect("the work completes");
    }
}
