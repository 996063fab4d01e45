//! The webhook is down, slow, breaks off, refuses, or talks without end.

use super::crowd::{Crowd, time_passes_until};
use super::moody::{Mood, Moody};
use crate::harness::{ChaosProxy, Line, Setup, TestApp};

/// A gateway that posts to a moody webhook over a line that breaks.
async fn gateway() -> (TestApp, Moody, ChaosProxy, Crowd) {
    let moody = Moody::start();
    let line = ChaosProxy::to(moody.address).await;
    let hooks = format!("http://{}/hooks/", line.address);
    let app = Setup::new()
        .set("WAPI_GETTING_MESSAGES_WEBHOOK", hooks)
        .start()
        .await;
    let crowd = Crowd::with(&app).await;
    (app, moody, line, crowd)
}

/// Time passes until everything came; how many came more than once.
async fn home(app: &TestApp, moody: &Moody, crowd: &mut Crowd) -> usize {
    let before = crowd.repetitions_so_far();
    time_passes_until(app, "everything came", || {
        crowd.note(moody.taken().into_iter().map(|post| post.event));
        crowd.is_home()
    })
    .await;
    crowd.repetitions() - before
}

#[tokio::test]
async fn a_line_that_breaks_in_any_way_loses_nothing() {
    let (app, moody, line, mut crowd) = gateway().await;
    for broken in [
        Line::Refused,
        Line::Reset,
        Line::CutAfter(1),
        Line::CutAfter(300),
        Line::CutAfter(1_500),
        Line::Stalled,
    ] {
        println!("{broken:?}");
        crowd.writes(2).await;
        home(&app, &moody, &mut crowd).await;
        let before = line.taken();
        line.set(broken);
        crowd.writes(3).await;
        crowd.is_confirmed().await;
        if broken != Line::Refused {
            time_passes_until(&app, "it tried again", || line.taken() > before + 1).await;
        }
        line.set(Line::Whole);
        home(&app, &moody, &mut crowd).await;
    }
    app.finish().await;
}

#[tokio::test]
async fn a_webhook_that_refuses_gets_everything_once_when_it_is_well() {
    let (app, moody, _line, mut crowd) = gateway().await;
    let moods = [
        Mood::Status(500),
        Mood::Status(503),
        Mood::Status(404),
        Mood::Status(410),
        Mood::Moved,
        Mood::ComeAgainIn(120),
        Mood::Dripping(500),
        Mood::Flooding(500),
        Mood::Silent,
    ];
    for mood in moods {
        println!("{mood:?}");
        let before = moody.refused().len();
        moody.is(mood);
        crowd.writes(2).await;
        time_passes_until(&app, "it tried again", || {
            moody.refused().len() >= before + 4
        })
        .await;
        moody.is(Mood::Well);
        assert_eq!(home(&app, &moody, &mut crowd).await, 0, "{mood:?}");
    }
    assert!(
        moody
            .refused()
            .iter()
            .all(|post| post.path == "/hooks/shop"),
        "no redirect was followed"
    );
    app.finish().await;
}

#[tokio::test]
async fn the_time_a_webhook_asks_for_is_given() {
    let (app, moody, _line, mut crowd) = gateway().await;
    moody.is(Mood::ComeAgainIn(120));
    crowd.writes(1).await;
    time_passes_until(&app, "both chats tried three times", || {
        moody.refused().len() >= 6
    })
    .await;
    moody.is(Mood::Well);
    home(&app, &moody, &mut crowd).await;
    for chat in crowd.chats() {
        let sent: Vec<i64> = moody
            .refused()
            .iter()
            .filter(|post| post.event["data"]["chat"] == chat)
            .map(|post| post.sent_at)
            .collect();
        let pauses: Vec<i64> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // The post says when it was sent in whole seconds.
        assert!(
            pauses.len() >= 2 && pauses.iter().all(|pause| *pause >= 119),
            "{pauses:?}"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn an_answer_without_end_counts_by_its_status_and_is_not_read_for_ever() {
    let (app, moody, _line, mut crowd) = gateway().await;
    for mood in [Mood::Dripping(200), Mood::Flooding(200)] {
        moody.is(mood);
        crowd.writes(5).await;
        assert_eq!(home(&app, &moody, &mut crowd).await, 0, "{mood:?}");
    }
    app.finish().await;
}

#[tokio::test]
async fn what_was_posted_and_not_answered_in_time_comes_again_and_in_order() {
    let (app, moody, line, mut crowd) = gateway().await;
    crowd.writes(1).await;
    home(&app, &moody, &mut crowd).await;
    // The answer is lost, so nobody can know that the post was taken.
    line.set(Line::CutAfter(2_000));
    crowd.writes(10).await;
    time_passes_until(&app, "it tried a few times", || line.taken() > 4).await;
    line.set(Line::Whole);
    home(&app, &moody, &mut crowd).await;
    app.finish().await;
}
