//! Redis hangs, breaks off, dies and comes back with nothing.

use super::crowd::{Crowd, time_passes_until, time_passes_until_home};
use crate::harness::{ChaosProxy, Line, Setup, TestApp, TestRedis};

/// A gateway that asks Redis over a line that breaks. `None` where there is no Redis.
async fn gateway() -> Option<(TestApp, TestRedis, ChaosProxy, Crowd)> {
    let redis = TestRedis::start().await?;
    let line = ChaosProxy::to(([127, 0, 0, 1], redis.port).into()).await;
    let app = Setup::new()
        .set("WAPI_REDIS_HOST", line.address)
        .start()
        .await;
    let crowd = Crowd::with(&app).await;
    Some((app, redis, line, crowd))
}

/// How many messages this Redis remembers as forwarded.
fn remembered(redis: &TestRedis) -> usize {
    let client = ::redis::Client::open(format!("redis://127.0.0.1:{}", redis.port)).unwrap();
    ::redis::cmd("DBSIZE")
        .query(&mut client.get_connection().unwrap())
        .unwrap()
}

#[tokio::test]
async fn a_line_to_redis_that_breaks_in_any_way_costs_no_message_and_no_repetition() {
    let Some((app, redis, line, mut crowd)) = gateway().await else {
        return;
    };
    for broken in [
        Line::Refused,
        Line::Reset,
        Line::CutAfter(1),
        Line::CutAfter(200),
        Line::Stalled,
    ] {
        println!("{broken:?}");
        let (taken, known) = (line.taken(), remembered(&redis));
        line.set(broken);
        crowd.writes(5).await;
        time_passes_until_home(&app, &mut crowd).await;
        if broken != Line::Refused {
            time_passes_until(&app, "it dialled again", || line.taken() > taken).await;
        }
        line.set(Line::Whole);
        // Until Redis was found again, what is forwarded is not remembered there; at last it is.
        let mut written = 0;
        while remembered(&redis) == known {
            crowd.writes(1).await;
            written += 1;
            assert!(written < 200, "Redis is not asked again after {broken:?}");
            time_passes_until_home(&app, &mut crowd).await;
        }
    }
    assert_eq!(crowd.repetitions(), 0);
    app.finish().await;
}

#[tokio::test]
async fn a_redis_that_hangs_costs_one_wait_and_not_one_for_each_message() {
    let Some((app, _redis, line, mut crowd)) = gateway().await else {
        return;
    };
    line.set(Line::Stalled);
    crowd.writes(40).await;
    let mut sent_at: Vec<i64> = Vec::new();
    for _ in 0..80 {
        let post = app.webhook.next().await;
        sent_at.push(
            post.headers["webhook-timestamp"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap(),
        );
        crowd.note([post.body]);
    }
    let took = sent_at.iter().max().unwrap() - sent_at.iter().min().unwrap();
    // Each chat's messages go one after the other: 2 s for each would be 80 s.
    assert!(took < 20, "40 messages of a chat took {took} s");
    assert_eq!(crowd.repetitions(), 0);
    app.finish().await;
}

#[tokio::test]
async fn a_redis_that_dies_in_the_middle_and_comes_back_empty_costs_nothing() {
    let Some((app, redis, _line, mut crowd)) = gateway().await else {
        return;
    };
    let port = redis.port;
    crowd.writes(10).await;
    redis.dies().await;
    crowd.writes(10).await;
    let redis = TestRedis::start_on(port).await.unwrap();
    crowd.writes(10).await;
    time_passes_until_home(&app, &mut crowd).await;
    assert_eq!(crowd.repetitions(), 0);
    while remembered(&redis) == 0 {
        crowd.writes(1).await;
        time_passes_until_home(&app, &mut crowd).await;
    }
    app.finish().await;
}
