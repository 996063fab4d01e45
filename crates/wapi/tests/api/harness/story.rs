//! Stories: a test is an async closure that is given a gateway and people, and cannot forget to finish.

use std::panic::Location;
use std::time::Duration;

use wapi_simulator::Phone;

use super::{PATIENCE, Setup, TestApp};

/// The time a story may take: more than the patience of a single wait, whose own message says more.
const LIMIT: Duration = PATIENCE.saturating_mul(2);

/// A story of a shop: Alice's account is linked as the session `shop`, and Bob is a customer.
#[track_caller]
pub fn shop(story: impl AsyncFnOnce(&mut TestApp, Phone, Phone)) -> impl Future<Output = ()> {
    Setup::new().shop(story)
}

/// A story of a gateway to which no account is linked yet.
#[track_caller]
pub fn gateway(story: impl AsyncFnOnce(&mut TestApp)) -> impl Future<Output = ()> {
    Setup::new().gateway(story)
}

impl Setup {
    /// The same as [`shop`], with these settings.
    #[track_caller]
    pub fn shop(
        self,
        story: impl AsyncFnOnce(&mut TestApp, Phone, Phone),
    ) -> impl Future<Output = ()> {
        self.gateway(async |app: &mut TestApp| {
            let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
            app.pair("shop", &alice).await;
            story(app, alice, bob).await;
        })
    }

    /// The same as [`gateway`], with these settings.
    #[track_caller]
    pub fn gateway(self, story: impl AsyncFnOnce(&mut TestApp)) -> impl Future<Output = ()> {
        let place = Location::caller();
        async move {
            let mut app = self.start().await;
            // Boxed, because the stack of a test is too small for the largest stories.
            let story = Box::pin(story(&mut app));
            if tokio::time::timeout(LIMIT, story).await.is_err() {
                let call = app.last_call();
                panic!(
                    "the story at {place} takes longer than {LIMIT:?}; its last call was {call}"
                );
            }
            app.finish().await;
        }
    }
}

/// Fails the test that drops it armed: it has not looked at the leftovers.
pub struct FinishGuard {
    is_armed: bool,
}

impl FinishGuard {
    pub fn armed() -> Self {
        Self { is_armed: true }
    }

    pub fn disarm(mut self) {
        self.is_armed = false;
    }
}

impl Drop for FinishGuard {
    fn drop(&mut self) {
        assert!(
            !self.is_armed || std::thread::panicking(),
            "the test ends without app.finish()"
        );
    }
}

#[tokio::test]
#[should_panic(expected = "the test ends without app.finish()")]
async fn a_test_that_forgets_to_finish_fails() {
    TestApp::start().await;
}
