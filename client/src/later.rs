//! A value that comes later, within one thread.
//!
//! Channels and shared futures that also serve many threads bring locks and atomics along: 3 kB of what a page fetches.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

/// Where a [`Later`] gets its value from. Dropping it unused says that none will come.
#[derive(Debug)]
pub(crate) struct Sender<T>(Weak<RefCell<Slot<T>>>);

/// Comes to the value that was sent; to nothing when none will come. Not to be polled again after that.
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Later<T>(Rc<RefCell<Slot<T>>>);

#[derive(Debug)]
struct Slot<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

/// A value to come, and where it will come from.
pub(crate) fn later<T>() -> (Sender<T>, Later<T>) {
    let slot = Rc::new(RefCell::new(Slot {
        value: None,
        waker: None,
    }));
    (Sender(Rc::downgrade(&slot)), Later(slot))
}

/// What comes of `work`; nothing when `over` comes first.
pub(crate) async fn unless<T>(
    mut over: Later<()>,
    mut work: impl Future<Output = T> + Unpin,
) -> Option<T> {
    poll_fn(move |context| match Pin::new(&mut work).poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => Pin::new(&mut over).poll(context).map(|_| None),
    })
    .await
}

impl<T> Sender<T> {
    /// Nobody may wait for it any more; it is dropped then.
    pub(crate) fn send(self, value: T) {
        if let Some(slot) = self.0.upgrade() {
            slot.borrow_mut().value = Some(value);
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // Taken out first: whoever is woken may look at once.
        let waker = self.0.upgrade().and_then(|it| it.borrow_mut().waker.take());
        self.0 = Weak::new();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Later<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let is_over = Rc::weak_count(&self.0) == 0;
        let mut slot = self.0.borrow_mut();
        match slot.value.take() {
            None if !is_over => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
            value => Poll::Ready(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls twice, with `between` in the middle; what came, and how often somebody was woken.
    fn check(between: impl FnOnce(Sender<u8>)) -> (Poll<Option<u8>>, usize) {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let (sender, mut later) = later();
        assert_eq!(Pin::new(&mut later).poll(&mut context), Poll::Pending);
        between(sender);
        let came = Pin::new(&mut later).poll(&mut context);
        (came, woken.0.load(Ordering::Relaxed))
    }

    #[test]
    fn what_is_sent_comes_and_wakes_who_waits() {
        assert_eq!(check(|it| it.send(7)), (Poll::Ready(Some(7)), 1));
    }

    #[test]
    fn a_sender_that_is_gone_sends_nothing() {
        assert_eq!(check(drop), (Poll::Ready(None), 1));
    }

    #[test]
    fn until_then_it_waits() {
        let (keep, kept) = (RefCell::new(None), Poll::Pending);
        assert_eq!(check(|it| drop(keep.replace(Some(it)))), (kept, 0));
    }

    #[test]
    fn work_goes_on_until_it_is_over() {
        let waker = Waker::noop();
        let mut context = Context::from_waker(waker);
        let (stop, over) = later::<()>();
        let mut endless = Box::pin(unless(over, std::future::pending::<u8>()));
        assert_eq!(endless.as_mut().poll(&mut context), Poll::Pending);
        drop(stop);
        assert_eq!(endless.as_mut().poll(&mut context), Poll::Ready(None));
        // What is there counts, even when both are.
        let (stop, over) = later();
        stop.send(());
        let mut quick = Box::pin(unless(over, std::future::ready(7)));
        assert_eq!(quick.as_mut().poll(&mut context), Poll::Ready(Some(7)));
    }

    #[test]
    fn what_nobody_waits_for_is_dropped() {
        let (sender, receiver) = later();
        let value = Rc::new(());
        drop(receiver);
        sender.send(Rc::clone(&value));
        assert_eq!(Rc::strong_count(&value), 1);
    }
}
