//! Orders to one session that come all at once: the last word counts, a removal is final, and everybody is answered.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use wapi::system::clock::Clock;

use crate::crash::Dice;
use crate::harness::{Answer, PATIENCE, Setup, TestApp, eventually, gateway};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Make,
    Register,
    Start,
    Stop,
    Restart,
    LogOut,
    Remove,
}

use Order::{LogOut, Make, Register, Remove, Restart, Start, Stop};

impl Order {
    /// Gives it and waits for the answer, which must come.
    async fn give(self, app: &TestApp, name: &str) -> Answer {
        let answer = async {
            match self {
                Make => app.post("/v1/sessions", json!({"id": name})).await,
                Register => app.register(name).await,
                Start => app.order(name, "start").await,
                Stop => app.order(name, "stop").await,
                Restart => app.order(name, "restart").await,
                LogOut => app.order(name, "logout").await,
                Remove => app.delete(&format!("/v1/sessions/{name}")).await,
            }
        };
        let answered = Clock::system().timeout(2 * PATIENCE, answer).await;
        let answer = answered.unwrap_or_else(|_| panic!("{self:?} of {name} is not answered"));
        assert!(
            answer.status < 500,
            "{self:?} of {name}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        answer
    }
}

/// Whether there is such a session, and whether it is stopped.
async fn found(app: &TestApp, name: &str) -> Option<bool> {
    let answer = app.session(name).await;
    (answer.status == 200).then(|| answer.json()["status"] == "stopped")
}

/// Waits until a session is as the model says.
async fn becomes(app: &TestApp, name: &str, expected: Option<bool>) {
    let so = async || (found(app, name).await == expected).then_some(());
    eventually(so, async || {
        format!(
            "{name} is {:?} and not {expected:?}",
            found(app, name).await
        )
    })
    .await;
}

/// What becomes of `work` while the clock runs.
async fn overtaken_by_time<T>(app: &TestApp, work: impl Future<Output = T>) -> T {
    let time = async {
        loop {
            Clock::system().sleep(Duration::from_millis(100)).await;
            app.push_clock(Duration::from_secs(5));
        }
    };
    tokio::select! {
        done = work => done,
        () = time => unreachable!(),
    }
}

#[tokio::test]
async fn whatever_is_ordered_at_once_everybody_is_answered_and_the_last_word_counts() {
    gateway(async |app| {
        let mut dice = Dice::new(0x5eed);
        let mut model = BTreeMap::new();
        for round in 0..24 {
            let name = format!("shop{round}");
            let has_begun = dice.below(4) > 0;
            if has_begun {
                Make.give(app, &name).await.expect(201);
            }
            let all = [Make, Start, Stop, Restart, LogOut, Remove, Remove];
            let orders: Vec<Order> = (0..6)
                .map(|_| all[dice.below(all.len() as u64) as usize])
                .collect();
            let answers = join_all(orders.iter().map(|order| order.give(app, &name))).await;
            let count = |order: Order, status: u16| {
                orders
                    .iter()
                    .zip(&answers)
                    .filter(|(given, answer)| **given == order && answer.status == status)
                    .count()
            };
            // Each that was made is there until it is removed, once.
            let (made, removed) = (
                count(Make, 201) + usize::from(has_begun),
                count(Remove, 204),
            );
            assert!(
                made == removed || made == removed + 1,
                "{orders:?}: {made} made and {removed} removed"
            );
            assert_eq!(
                found(app, &name).await.is_some(),
                made > removed,
                "{orders:?}"
            );
            let last = [Start, Stop, Restart, Remove, Register][dice.below(5) as usize];
            let answer = last.give(app, &name).await;
            let expected = match last {
                Register => Some(false),
                _ if made == removed => None,
                Remove => None,
                last => Some(last == Stop),
            };
            assert_eq!(
                answer.status == 404,
                made == removed && last != Register,
                "{last:?} after {orders:?}"
            );
            becomes(app, &name, expected).await;
            // Nobody remembers one that was only registered and never scanned.
            model.insert(name, expected.filter(|_| made > removed));
        }
        app.restart().await;
        for (name, expected) in model {
            becomes(app, &name, expected).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_removal_beside_any_other_order_is_final_for_a_linked_session_too() {
    gateway(async |app| {
        for other in [Start, Stop, Restart, Register, Make] {
            for removal_first in [false, true] {
                let phone = app.phone(&format!("Owner {other:?} {removal_first}"));
                app.pair("shop", &phone).await;
                let (removal, answer) = if removal_first {
                    tokio::join!(Remove.give(app, "shop"), other.give(app, "shop"))
                } else {
                    let (answer, removal) =
                        tokio::join!(other.give(app, "shop"), Remove.give(app, "shop"));
                    (removal, answer)
                };
                removal.expect(204);
                let is_made_anew =
                    matches!((other, answer.status), (Make, 201) | (Register, 200 | 202));
                if !is_made_anew {
                    becomes(app, "shop", None).await;
                } else if let Some(session) =
                    Some(app.session("shop").await).filter(|answer| answer.status == 200)
                {
                    // A session of its own, which knows nothing of the former one's device.
                    assert_eq!(session.json()["paired"], false, "{other:?}");
                    Remove.give(app, "shop").await.expect(204);
                }
                becomes(app, "shop", None).await;
            }
        }
        app.restart().await;
        assert_eq!(
            app.get("/v1/sessions").await.expect(200).json()["sessions"],
            json!([])
        );
    })
    .await;
}

#[tokio::test]
async fn a_session_that_waits_for_its_turn_at_the_start_hears_every_order() {
    Setup::new()
        .set("WAPI_RESTORE_CONCURRENCY", 1)
        .gateway(async |app| {
            let orders = [
                ("a", None),
                ("b", Some(Stop)),
                ("c", Some(Remove)),
                ("d", Some(Restart)),
                ("e", Some(Start)),
            ];
            let mut phones = BTreeMap::new();
            for (name, _) in orders {
                let phone = app.phone(&format!("Owner of {name}"));
                app.pair(name, &phone).await;
                phones.insert(name, phone);
            }
            let stopped = app.stop().await;
            // The one before them never gets anywhere.
            stopped.simulator.faults().refuse_connections(true);
            stopped.start().await;
            for (name, order) in orders {
                let Some(order) = order else { continue };
                order.give(app, name).await;
                let expected = match order {
                    Remove => None,
                    order => Some(order == Stop),
                };
                becomes(app, name, expected).await;
            }
            app.simulator.faults().refuse_connections(false);
            // The restarted one does not wait for the others, nor they for ever.
            for name in ["d", "a", "e"] {
                let look = async || {
                    app.push_clock(Duration::from_secs(5));
                    (app.info(name).await.json()["status"] == "online").then_some(())
                };
                eventually(look, async || format!("{name} is not online")).await;
            }
            assert_eq!(
                phones["c"].linked_devices().len(),
                1,
                "nobody asked for it to be logged out"
            );
        })
        .await;
}

#[tokio::test]
async fn a_device_whose_file_stays_where_it_is_comes_back_to_nobody() {
    for is_restarted in [false, true] {
        let mut app = TestApp::start().await;
        let (phone, other) = (app.phone("Owner"), app.phone("Other"));
        app.pair("shop", &phone).await;
        app.pair("cafe", &other).await;
        let obstacle = app.root().join("sessions/removed");
        std::fs::write(&obstacle, "").unwrap();
        overtaken_by_time(&app, app.delete("/v1/sessions/shop"))
            .await
            .expect(503);
        if is_restarted {
            app.restart().await;
        }
        app.until("cafe", "online").await;
        assert_ne!(app.session("shop").await.json()["status"], "online");
        overtaken_by_time(&app, app.post("/v1/sessions", json!({"id": "shop"})))
            .await
            .expect(503);
        assert!(
            app.root().join("sessions/shop.session").exists(),
            "it is still in the way"
        );
        std::fs::remove_file(&obstacle).unwrap();
        becomes(&app, "shop", None).await;
        let made = Make.give(&app, "shop").await.expect(201).json();
        assert_eq!(made["paired"], false);
        app.finish().await;
    }
}

#[tokio::test]
async fn a_session_is_made_anew_while_its_former_one_is_still_being_removed() {
    gateway(async |app| {
        for round in 0..6 {
            let phone = app.phone(&format!("Owner {round}"));
            app.pair("shop", &phone).await;
            let (removed, registered) = tokio::join!(Remove.give(app, "shop"), async {
                // Most often in the midst of the removal.
                eventually(
                    async || {
                        let is_leaving = app.session("shop").await;
                        (is_leaving.status == 404 || is_leaving.json()["status"] != "online")
                            .then_some(())
                    },
                    async || "it is not removed".to_owned(),
                )
                .await;
                app.register("shop").await
            });
            removed.expect(204);
            let registered: Value = registered.expect(202).json();
            assert_eq!(registered["status"], "scan_qr");
            assert_eq!(registered["paired"], false);
            let newcomer = app.phone(&format!("Newcomer {round}"));
            newcomer
                .scans_qr(&app.qr("shop").await)
                .await
                .expect("its code is alive");
            app.until("shop", "online").await;
            Remove.give(app, "shop").await.expect(204);
        }
    })
    .await;
}

#[tokio::test]
async fn a_phone_that_links_a_session_in_the_moment_of_its_removal_keeps_no_device() {
    gateway(async |app| {
        let paired = async || {
            let events = app.session_events().await;
            events
                .iter()
                .filter(|event| event["type"] == "session.paired")
                .count()
        };
        for round in 0..10_u64 {
            let (phone, before) = (app.phone(&format!("Owner {round}")), paired().await);
            app.register("shop").await.expect(202);
            let code = app.qr("shop").await;
            let pause = Dice::new(round).within(Duration::from_millis(3 * round + 1));
            let query = if round % 2 == 0 { "" } else { "?logout=true" };
            let removing = async {
                Clock::system().sleep(pause).await;
                app.delete(&format!("/v1/sessions/shop{query}")).await
            };
            let (_, removed) = tokio::join!(phone.scans_qr(&code), removing);
            if removed.status == 409 {
                // Linked, but not online yet, and so nothing was done.
                app.until("shop", "online").await;
                app.delete("/v1/sessions/shop?logout=true")
                    .await
                    .expect(204);
            } else {
                removed.expect(204);
            }
            // Without `logout`, one that was known to be linked when the removal was ordered stays on the list.
            let is_well = async || {
                let was_known = query.is_empty() && paired().await > before;
                (phone.linked_devices().is_empty() || was_known).then_some(())
            };
            eventually(is_well, async || {
                format!(
                    "round {round}: the phone lists {:?}",
                    phone.linked_devices()
                )
            })
            .await;
            becomes(app, "shop", None).await;
        }
    })
    .await;
}
