//! Redis, when it is configured: remembers what was forwarded; may die at any time.

use crate::harness::{Setup, TestApp, TestReceiver, TestRedis, Wapi, free_address, options};

async fn app_with(redis: &TestRedis) -> TestApp {
    Setup::new()
        .set("WAPI_REDIS_HOST", format!("127.0.0.1:{}", redis.port))
        .start()
        .await
}

/// The text of the next message forwarded.
async fn text(app: &TestApp) -> String {
    app.webhook.next().await.body["data"]["text"]["body"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn messages_are_forwarded_while_redis_lives_dies_and_comes_back() {
    let Some(redis) = TestRedis::start().await else {
        return;
    };
    let port = redis.port;
    let app = app_with(&redis).await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    bob.sends_text(alice.number(), "alive").await.unwrap();
    assert_eq!(text(&app).await, "alive");
    redis.dies().await;
    bob.sends_text(alice.number(), "dead").await.unwrap();
    assert_eq!(text(&app).await, "dead");
    let _redis = TestRedis::start_on(port).await.unwrap();
    bob.sends_text(alice.number(), "back").await.unwrap();
    assert_eq!(text(&app).await, "back");
    app.finish().await;
}

#[tokio::test]
async fn what_was_forwarded_is_remembered_for_thirty_days() {
    let Some(redis) = TestRedis::start().await else {
        return;
    };
    let app = app_with(&redis).await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let id = bob.sends_text(alice.number(), "once").await.unwrap();
    assert_eq!(text(&app).await, "once");
    let client = ::redis::Client::open(format!("redis://127.0.0.1:{}", redis.port)).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = ::redis::cmd("KEYS")
        .arg(format!("*{id}*"))
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    let left: i64 = ::redis::cmd("TTL")
        .arg(&keys[0])
        .query_async(&mut connection)
        .await
        .unwrap();
    let month = 30 * 24 * 3600;
    assert!((month - 3600..=month).contains(&left), "{left}");
    app.finish().await;
}

/// Two devices of one account, each with a process and a database of its own, under the same session name. `is_copy`: of one data folder.
async fn forwarded_by_two_processes(is_copy: bool) -> Option<usize> {
    let redis = TestRedis::start().await?;
    let simulator = wapi_simulator::Simulator::start(options()).await.unwrap();
    let webhook = TestReceiver::start().await;
    let (alice, bob) = (
        simulator.add_phone("Alice").unwrap(),
        simulator.add_phone("Bob").unwrap(),
    );
    let addresses = [free_address(), free_address()];
    let [first, second] = addresses.map(|address| {
        Wapi::new()
            .set("WAPI_INTERNAL_HOST", address)
            .set("WAPI_WHATSAPP_URL", simulator.ws_url())
            .set("WAPI_GETTING_MESSAGES_WEBHOOK", webhook.base())
            .set("WAPI_REDIS_HOST", format!("127.0.0.1:{}", redis.port))
    });
    let (running, client) = second.serves(addresses[1]).await;
    client.pair("shop", &alice).await;
    running.kill().await;
    if is_copy {
        std::fs::create_dir(first.folder().join("data")).unwrap();
        let id = |wapi: &Wapi| wapi.folder().join("data/folder-id.json");
        std::fs::copy(id(&second), id(&first)).unwrap();
    }
    let (running, client) = first.serves(addresses[0]).await;
    client.pair("shop", &alice).await;
    bob.sends_text(alice.number(), "once").await.unwrap();
    assert_eq!(webhook.next().await.body["data"]["text"]["body"], "once");
    assert!(running.terminate().await.success);

    let (running, _) = second.serves(addresses[1]).await;
    bob.sends_text(alice.number(), "the next one")
        .await
        .unwrap();
    let mut told = 1;
    while webhook.next().await.body["data"]["text"]["body"] != "the next one" {
        told += 1;
    }
    assert!(running.terminate().await.success);
    assert_eq!(webhook.leftovers().len(), 0);
    simulator.finish().await.unwrap();
    Some(told)
}

#[tokio::test]
async fn what_was_forwarded_is_not_forwarded_again_by_who_has_a_copy_of_the_folder() {
    assert!(matches!(
        forwarded_by_two_processes(true).await,
        None | Some(1)
    ));
}

#[tokio::test]
async fn two_installations_on_one_redis_do_not_swallow_each_others_posts() {
    assert!(matches!(
        forwarded_by_two_processes(false).await,
        None | Some(2)
    ));
}

#[tokio::test]
async fn a_redis_that_does_not_answer_at_start_ends_the_program() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let told = Wapi::new().set("WAPI_REDIS_HOST", free).refusal().await;
    assert!(
        told.contains("WAPI_REDIS_HOST") && told.contains("cannot be reached"),
        "{told}"
    );
}
