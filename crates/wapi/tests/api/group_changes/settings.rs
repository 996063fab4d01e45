//! Subject, description, settings, and picture of a group.

use image::ImageFormat;
use serde_json::{Value, json};

use super::{GROUPS, create, seen};
use crate::harness::{Setup, shop};
use crate::profile::picture;

#[tokio::test]
async fn properties_change_one_after_the_other_and_are_told() {
    shop(async |app, alice, bob| {
        let id = create(app, "club", &[&bob]).await;
        let path = format!("{GROUPS}/{id}");
        let settings = json!({
            "announcement": true, "locked": true, "approval": true, "member_add": "admins",
            "member_link": "all", "share_history": "all", "limit_sharing": true,
            "limit_forwarding": true, "admin_reports": true,
        });
        let wish = json!({"subject": "new club", "description": "about", "settings": settings});
        let answer = app.patch(&path, wish).await.expect(200).json();
        let changed: Vec<_> = answer["changed"].as_array().unwrap().iter().collect();
        assert_eq!(
            (changed.len(), &answer["failed"]),
            (11, &json!([])),
            "{answer}"
        );
        let shown = app.get(&path).await.expect(200).json();
        for (name, value) in settings.as_object().unwrap() {
            assert_eq!(&shown[name], value, "{name}: {shown}");
        }
        assert_eq!(
            (&shown["subject"], &shown["description"]),
            (&json!("new club"), &json!("about"))
        );
        let there = seen(&bob, &id).unwrap();
        assert!(there.announcement && there.locked && there.approval && there.all_link);
        assert!(!there.all_add);
        app.patch(&path, json!({"description": null}))
            .await
            .expect(200);
        assert_eq!(seen(&alice, &id).unwrap().description, None);

        // Bob's phone has no say now, so all events are about these changes.
        let told = app.events("group.updated", 10).await;
        let changes: Vec<Value> = told
            .iter()
            .map(|event| event["data"]["change"].clone())
            .collect();
        for change in [
            json!({"subject": "new club"}),
            json!({"description": "about"}),
            json!({"approval": true}),
            json!({"member_add": "admins"}),
            json!({"limit_forwarding": true}),
            json!({"admin_reports": true}),
            json!({"description": null}),
        ] {
            assert!(changes.contains(&change), "{change} is not in {changes:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_picture_of_a_group_is_set_and_removed() {
    shop(async |app, _, bob| {
        let id = create(app, "club", &[&bob]).await;
        let route = format!("{GROUPS}/{id}/picture");
        let bytes = picture(900, 700, [250, 10, 10], ImageFormat::Png);
        let set = app.request(reqwest::Method::PUT, &route);
        let set = set.header("content-type", "image/png").body(bytes);
        app.answer(set).await.expect(204);
        let jpeg = app.get(&route).await.expect(200);
        let jpeg = image::load_from_memory_with_format(&jpeg.body, ImageFormat::Jpeg).unwrap();
        assert_eq!(jpeg.width(), jpeg.height());
        app.delete(&route).await.expect(204);
        assert_eq!(
            app.get(&route).await.expect(404).code(),
            "picture_not_found"
        );
    })
    .await;
}

#[tokio::test]
async fn a_description_that_changed_meanwhile_is_not_overwritten() {
    shop(async |app, _, bob| {
        let id = create(app, "club", &[&bob]).await;
        app.simulator.faults().outrun_description();
        let wish = json!({"subject": "kept", "description": "mine"});
        let answer = app
            .patch(&format!("{GROUPS}/{id}"), wish)
            .await
            .expect(200)
            .json();
        assert_eq!(answer["changed"], json!(["subject"]));
        assert_eq!(answer["failed"][0]["field"], "description");
        assert_eq!(answer["failed"][0]["code"], "description_changed");
        app.simulator.faults().outrun_description();
        let wish = json!({"description": "mine"});
        let answer = app.patch(&format!("{GROUPS}/{id}"), wish).await.expect(409);
        assert_eq!(answer.code(), "description_changed");
        let there = seen(&bob, &id).unwrap();
        assert_eq!(
            (there.subject.as_str(), there.description.as_deref()),
            ("kept", Some("sooner"))
        );
    })
    .await;
}

#[tokio::test]
async fn too_many_changes_are_waited_out_within_the_limit() {
    Setup::new()
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 6)
        .shop(async |app, _, bob| {
            let id = create(app, "club", &[&bob]).await;
            let path = format!("{GROUPS}/{id}");
            app.simulator.faults().limit_group_changes(1);
            let first = app.patch(&path, json!({"subject": "one"}));
            let second = app.patch(&path, json!({"description": "two"}));
            let (first, second) = tokio::join!(first, second);
            first.expect(200);
            second.expect(200);
            let there = seen(&bob, &id).unwrap();
            assert_eq!(
                (there.subject.as_str(), there.description.as_deref()),
                ("one", Some("two"))
            );
            app.simulator.faults().limit_group_changes(50);
            let answer = app
                .patch(&path, json!({"subject": "three"}))
                .await
                .expect(429);
            assert_eq!(answer.code(), "group_rate_limited");
            assert!(answer.headers.contains_key("retry-after"));
            assert_eq!(seen(&bob, &id).unwrap().subject, "one");
        })
        .await;
}
