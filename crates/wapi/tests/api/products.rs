//! Products and orders of them, both ways.

use serde_json::{Value, json};
use wapi_simulator::{FileKind, MediaFile, Phone, SentOrder, ShownProduct};

use crate::harness::{PATIENCE, TestReceiver, eventually, gateway, shop};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 not much of a picture, but it begins like one";

fn words(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// What a phone decrypts, without what is new in each message.
async fn decrypted(phone: &Phone) -> Value {
    let mut message = phone.next_message(PATIENCE).await.unwrap().to_json();
    message
        .as_object_mut()
        .unwrap()
        .remove("message_context_info");
    message
}

#[tokio::test]
async fn products_reach_the_phone_and_what_is_shown_can_be_sent_again() {
    shop(async |app, alice, bob| {
        for (product, expected) in [
            (
                json!({
                    "id": "65132", "owner": "+375 44 000-00-09", "title": "Green tea", "description": "From the hills",
                    "price": {"amount": 9.99, "currency": "EUR"}, "sale_price": {"amount": 8.5, "currency": "EUR"},
                    "retailer_id": "tea-1", "url": "https://example.com/tea", "image_count": 3, "body": "Look", "footer": "Soon",
                }),
                json!({"product_message": {
                    "business_owner_jid": "375440000009@s.whatsapp.net", "body": "Look", "footer": "Soon",
                    "product": {
                        "product_id": "65132", "title": "Green tea", "description": "From the hills", "currency_code": "EUR",
                        "price_amount1000": 9_990, "sale_price_amount1000": 8_500, "retailer_id": "tea-1",
                        "url": "https://example.com/tea", "product_image_count": 3,
                    },
                }}),
            ),
            (
                json!({"id": "65132", "title": "Green tea"}),
                json!({"product_message": {
                    "business_owner_jid": alice.jid(), "product": {"product_id": "65132", "title": "Green tea"},
                }}),
            ),
        ] {
            let id = app
                .accepted("shop", json!({"to": bob.number(), "product": product}))
                .await;
            assert_eq!(decrypted(&bob).await, expected);
            let shown = app.message("shop", &id).await;
            assert_eq!(shown["type"], "product");
            app.accepted(
                "shop",
                json!({"to": bob.number(), "type": "product", "product": shown["product"]}),
            )
            .await;
            assert_eq!(decrypted(&bob).await, expected);
        }
    }).await;
}

#[tokio::test]
async fn a_product_goes_with_its_picture_and_is_passed_on_and_answered() {
    gateway(async |app| {
        let [alice, bob, carol] = ["Alice", "Bob", "Carol"].map(|name| app.phone(name));
        app.pair("shop", &alice).await;
        let files = axum::Router::new().route("/tea.jpg", axum::routing::get(async || JPEG));
        let link = format!(
            "{}/tea.jpg",
            TestReceiver::serve(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), files)
        );
        let product = json!({"id": "1", "title": "Tea", "image": {"link": link}});
        let id = app
            .accepted("shop", json!({"to": bob.number(), "product": product}))
            .await;
        let received = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(received.kind, "product");
        assert_eq!(received.media.as_ref().unwrap().bytes.as_slice(), JPEG);
        let product = &received.to_json()["product_message"]["product"];
        assert_eq!(product["product_image_count"], 1);
        assert_eq!(product["product_image"]["mimetype"], "image/jpeg");
        assert_eq!(
            app.message("shop", &id).await["product"]["image"]["link"],
            json!(link)
        );

        // It is passed on with its picture, and quoted without its file.
        let forward = format!("/v1/sessions/shop/messages/{id}/forward");
        app.post(&forward, json!({"to": carol.number()}))
            .await
            .expect(200);
        let received = carol.next_message(PATIENCE).await.unwrap();
        assert_eq!(received.media.as_ref().unwrap().bytes, JPEG);
        assert_eq!(
            received.to_json()["product_message"]["context_info"]["is_forwarded"],
            true
        );
        let answer =
            json!({"to": bob.number(), "text": {"body": "this one"}, "context": {"message_id": id}});
        app.accepted("shop", answer).await;
        let quoted =
            decrypted(&bob).await["extended_text_message"]["context_info"]["quoted_message"].clone();
        assert_eq!(
            quoted,
            json!({"product_message": {"product": {"product_id": "1", "title": "Tea"}}})
        );
    }).await;
}

#[tokio::test]
async fn products_and_orders_reach_the_webhook_the_files_and_the_history() {
    shop(async |app, alice, bob| {
        let product = ShownProduct {
            id: words("65132"),
            owner: words(&alice.jid()),
            title: words("Green tea"),
            description: words("From the hills"),
            price: Some(("EUR".to_owned(), 9_990)),
            image_count: Some(2),
            body: words("Is it there?"),
        };
        let picture = MediaFile {
            width: Some(3),
            ..MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg")
        };
        let asked = bob
            .sends_product(alice.number(), product, picture)
            .await
            .unwrap();
        let data = app.webhook.next().await.body["data"].clone();
        let image = &data["product"]["image"];
        let expected = json!({
            "id": "65132", "owner": alice.jid(), "title": "Green tea", "description": "From the hills",
            "price": {"amount": 9.99, "currency": "EUR"}, "retailer_id": null, "url": null, "image_count": 2,
            "image": image, "body": "Is it there?", "footer": null,
        });
        assert_eq!(data["type"], "product");
        assert_eq!(data["product"], expected);
        assert_eq!(image["mime_type"], "image/jpeg");
        assert_eq!(image["width"], 3);
        let content =
            async || Some(app.get(image["url"].as_str()?).await).filter(|answer| answer.status == 200);
        let content = eventually(content, async || format!("{image} is not there")).await;
        assert_eq!(content.body, JPEG);

        let order = SentOrder {
            id: "42".to_owned(),
            token: "c2VjcmV0".to_owned(),
            title: "The shop".to_owned(),
            message: "By Friday please".to_owned(),
            seller: alice.jid(),
            item_count: 3,
            total: ("EUR".to_owned(), 29_970),
            thumbnail: vec![1, 2, 3],
        };
        let ordered = bob.sends_order(alice.number(), order).unwrap();
        let data = app.webhook.next().await.body["data"].clone();
        let expected = json!({
            "id": "42", "token": "c2VjcmV0", "title": "The shop", "message": "By Friday please", "seller": alice.jid(),
            "item_count": 3, "status": "inquiry", "surface": "catalog", "total": {"amount": 29.97, "currency": "EUR"},
        });
        assert_eq!(data["type"], "order");
        assert_eq!(data["order"], expected);

        for (word, id) in [("hills", &asked), ("friday", &ordered)] {
            let found = app
                .get(&format!("/v1/sessions/shop/messages?q={word}"))
                .await
                .expect(200)
                .json();
            assert_eq!(found["messages"][0]["id"], json!(id), "{word}: {found}");
        }
    }).await;
}

#[tokio::test]
async fn products_that_wait_over_a_restart_leave_with_their_pictures_in_order() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let device = app.pair("shop", &alice).await;
        let picture = MediaFile::new(FileKind::Image, JPEG.to_vec(), "image/jpeg");
        bob.sends_product(alice.number(), ShownProduct::default(), picture)
            .await
            .unwrap();
        let image = app.webhook.next().await.body["data"]["product"]["image"]["id"].clone();
        app.simulator.faults().refuse_connections(true);
        app.simulator
            .faults()
            .cut_connection(alice.number(), device)
            .unwrap();
        app.until("shop", "offline").await;
        for product in [
            json!({"id": "1", "title": "with a picture", "image": {"id": image}}),
            json!({"id": "2", "title": "without one"}),
        ] {
            let asked = json!({"to": bob.number(), "product": product});
            app.post("/v1/sessions/shop/messages?wait=0", asked)
                .await
                .expect(202);
        }
        app.restart().await;
        app.simulator.faults().refuse_connections(false);
        app.register("shop").await;
        for (title, bytes) in [("with a picture", Some(JPEG)), ("without one", None)] {
            let received = bob.next_message(PATIENCE).await.unwrap();
            let media = received.media.as_ref().map(|media| media.bytes.as_slice());
            let said = received.to_json()["product_message"]["product"]["title"].clone();
            assert_eq!(said, title);
            assert_eq!(media, bytes);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_no_product_is_named_and_orders_come_in_only() {
    gateway(async |app| {
        app.register("shop").await.expect(202);
        let tea = |more: Value| {
            let mut product = json!({"id": "1", "title": "Tea"});
            product
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            json!({"product": product})
        };
        let price = |amount: Value, currency: &str| json!({"amount": amount, "currency": currency});
        for (message, wrong) in [
            (json!({"product": {}}), vec!["product.id", "product.title"]),
            (
                tea(json!({"owner": "120363025246125486@g.us"})),
                vec!["product.owner"],
            ),
            (
                tea(json!({"price": price(json!(1.0005), "EUR")})),
                vec!["product.price.amount"],
            ),
            (
                tea(json!({"price": price(json!(-1), "euro")})),
                vec!["product.price.amount", "product.price.currency"],
            ),
            (
                tea(json!({"price": price(json!(2), "EUR"), "sale_price": price(json!(1), "USD")})),
                vec!["product.sale_price"],
            ),
            (tea(json!({"url": "tea"})), vec!["product.url"]),
            (
                tea(json!({"image": {"link": "https://a/", "caption": "x"}})),
                vec!["product.image.caption"],
            ),
            (
                tea(json!({"image": {"id": "media_unknown"}})),
                vec!["product.image.id"],
            ),
            (json!({"order": {"id": "1"}}), vec!["order"]),
            (
                json!({"type": "order", "order": {"id": "1"}}),
                vec!["type", "order"],
            ),
        ] {
            let mut asked = message.clone();
            asked["to"] = json!("375440000009");
            let answer = app
                .post("/v1/sessions/shop/messages", asked)
                .await
                .expect(400);
            assert_eq!(answer.fields(), wrong, "{message}");
        }
    })
    .await;
}
