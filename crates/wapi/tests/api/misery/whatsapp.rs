//! WhatsApp cuts, freezes, repeats, reorders, or cannot be reached.

use wapi_simulator::DeliveryFault;

use super::crowd::{Crowd, time_passes_until, time_passes_until_home};
use crate::harness::{Line, Setup, TestApp};

async fn gateway() -> (TestApp, Crowd) {
    let app = Setup::new().over_a_breakable_line().start().await;
    let crowd = Crowd::with(&app).await;
    (app, crowd)
}

#[tokio::test]
async fn a_line_that_breaks_in_any_way_loses_nothing_and_repeats_nothing() {
    let (app, mut crowd) = gateway().await;
    for broken in [
        Line::Refused,
        Line::Reset,
        Line::CutAfter(500),
        Line::CutAfter(6_000),
        Line::Stalled,
    ] {
        println!("{broken:?}");
        crowd.writes(3).await;
        let taken = app.line().taken();
        app.line().set(broken);
        crowd.writes(10).await;
        if broken != Line::Refused {
            time_passes_until(&app, "it dialled again", || app.line().taken() > taken + 1).await;
        }
        crowd.writes(3).await;
        app.line().set(Line::Whole);
        time_passes_until_home(&app, &mut crowd).await;
        crowd.is_confirmed().await;
    }
    assert_eq!(crowd.repetitions(), 0);
    app.finish().await;
}

#[tokio::test]
async fn connections_that_are_cut_in_the_middle_of_a_flood_lose_nothing() {
    let (app, mut crowd) = gateway().await;
    for _ in 0..10 {
        crowd.writes(10).await;
        // It may be between two connections.
        let _ = app
            .simulator
            .faults()
            .cut_connection(crowd.alice.number(), crowd.device());
    }
    time_passes_until_home(&app, &mut crowd).await;
    crowd.is_confirmed().await;
    assert_eq!(crowd.repetitions(), 0);
    app.finish().await;
}

#[tokio::test]
async fn a_freeze_and_a_thaw_lose_nothing() {
    let (app, mut crowd) = gateway().await;
    for _ in 0..3 {
        crowd.writes(5).await;
        app.simulator
            .faults()
            .freeze_device(crowd.alice.number(), crowd.device())
            .unwrap();
        crowd.writes(5).await;
        let taken = app.line().taken();
        time_passes_until(&app, "it gave the frozen connection up", || {
            app.line().taken() > taken
        })
        .await;
        app.simulator
            .faults()
            .thaw_device(crowd.alice.number(), crowd.device())
            .unwrap();
        time_passes_until_home(&app, &mut crowd).await;
    }
    crowd.is_confirmed().await;
    assert_eq!(crowd.repetitions(), 0);
    app.finish().await;
}

#[tokio::test]
async fn what_whatsapp_repeats_comes_once_and_what_it_swaps_comes_all_the_same() {
    let (app, mut crowd) = gateway().await;
    app.simulator
        .faults()
        .set_delivery_fault(DeliveryFault::Repeat);
    crowd.writes(20).await;
    time_passes_until_home(&app, &mut crowd).await;
    assert_eq!(crowd.repetitions(), 0);
    // Two neighbours are from two people here, so that the order within each chat stays.
    app.simulator
        .faults()
        .set_delivery_fault(DeliveryFault::Reorder);
    crowd.writes(20).await;
    app.simulator
        .faults()
        .set_delivery_fault(DeliveryFault::None);
    time_passes_until_home(&app, &mut crowd).await;
    assert_eq!(crowd.repetitions(), 0);
    crowd.is_confirmed().await;
    app.finish().await;
}
