//! People who write to the session, and what of it has come home.

use std::time::Duration;

use serde_json::Value;
use wapi_simulator::Phone;

use crate::harness::{Ledger, PATIENCE, TestApp, eventually};

/// Two people and the phone they write to.
pub struct Crowd {
    pub alice: Phone,
    people: [Phone; 2],
    written: usize,
    ledger: Ledger,
}

impl Crowd {
    /// Pairs the session `shop`; nobody has written yet.
    pub async fn with(app: &TestApp) -> Self {
        let (alice, people) = (app.phone("Alice"), [app.phone("Bob"), app.phone("Carol")]);
        app.pair("shop", &alice).await;
        Self {
            alice,
            people,
            written: 0,
            ledger: Ledger::default(),
        }
    }

    /// The session's number among Alice's devices.
    pub fn device(&self) -> u16 {
        self.alice.linked_devices()[0].device
    }

    /// Each writes so many texts, numbered on from the last.
    pub async fn writes(&mut self, each: usize) {
        for number in self.written..self.written + each {
            for person in &self.people {
                self.ledger.promise(&person.jid(), number);
                person
                    .sends_text(self.alice.number(), &number.to_string())
                    .await
                    .unwrap();
            }
        }
        self.written += each;
    }

    /// Waits until WhatsApp was told that everything arrived.
    pub async fn is_confirmed(&self) {
        let empty = |phone: &Phone| (phone.linked_devices()[0].queued == 0).then_some(());
        self.alice
            .wait_until("WhatsApp was told that everything arrived", PATIENCE, empty)
            .await
            .unwrap();
    }

    /// The addresses of those who write.
    pub fn chats(&self) -> [String; 2] {
        [self.people[0].jid(), self.people[1].jid()]
    }

    /// Takes note of posts.
    pub fn note(&mut self, posts: impl IntoIterator<Item = Value>) {
        for post in posts {
            let data = &post["data"];
            let number = data["text"]["body"]
                .as_str()
                .expect("a text")
                .parse()
                .expect("a number");
            self.ledger
                .arrive(data["chat"].as_str().expect("a chat"), number);
        }
    }

    pub fn is_home(&self) -> bool {
        self.ledger.is_complete()
    }

    /// How many came more than once so far.
    pub fn repetitions_so_far(&self) -> usize {
        self.ledger.tally().repeated.len()
    }

    /// Everything that was written has come, in order within its chat; how many came more than once.
    #[track_caller]
    pub fn repetitions(&self) -> usize {
        let tally = self.ledger.tally();
        assert_eq!(tally.lost, [""; 0]);
        assert_eq!(tally.overtaken, [""; 0]);
        tally.repeated.len()
    }
}

/// The gateway's clock runs a hundred times as fast until something is so.
pub async fn time_passes_until(app: &TestApp, what: &str, mut is_so: impl FnMut() -> bool) {
    let look = async || {
        app.push_clock(Duration::from_secs(1));
        is_so().then_some(())
    };
    eventually(look, async || {
        format!(
            "time passed in vain until {what}: {}",
            app.info("shop").await.json()
        )
    })
    .await;
}

/// As [`time_passes_until`], until what the crowd wrote has come to the app's own webhook.
pub async fn time_passes_until_home(app: &TestApp, crowd: &mut Crowd) {
    time_passes_until(app, "everything came", || {
        crowd.note(
            app.webhook
                .leftovers()
                .into_iter()
                .map(|delivery| delivery.body),
        );
        crowd.is_home()
    })
    .await;
}
