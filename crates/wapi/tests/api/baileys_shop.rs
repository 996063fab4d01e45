//! Products, catalogues and orders with a client that others wrote.

use serde_json::{Value, json};
use wapi_simulator::CatalogProduct;

use crate::harness::{Baileys, TestReceiver, eventually, gateway};

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 not much of a picture, but it begins like one";

fn tea() -> CatalogProduct {
    CatalogProduct {
        id: "65132".to_owned(),
        name: "Green tea".to_owned(),
        price: 9_990,
        currency: "EUR".to_owned(),
        images: vec!["https://media.example/tea.jpg".to_owned()],
        ..CatalogProduct::default()
    }
}

#[tokio::test]
async fn the_gateway_and_baileys_show_each_other_products() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let Some(mut baileys) = Baileys::start(&app.simulator, "Bob") else {
            return;
        };
        app.pair("shop", &alice).await;
        baileys.pair(&bob).await;
        let files = axum::Router::new().route("/tea.jpg", axum::routing::get(async || JPEG));
        let link = format!(
            "{}/tea.jpg",
            TestReceiver::serve(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), files)
        );
        let price = json!({"amount": 9.99, "currency": "EUR"});
        let product = json!({
            "id": "65132", "title": "Green tea", "price": price, "image": {"link": link}, "body": "Look",
        });
        let id = app
            .accepted("shop", json!({"to": bob.number(), "product": product}))
            .await;
        let shown = baileys
            .until("the product", |event| {
                event["event"] == "message" && event["id"] == id.as_str()
            })
            .await;
        assert_eq!(shown["type"], "product");
        assert_eq!(shown["body"]["body"], "Look");
        assert_eq!(shown["body"]["businessOwnerJid"], json!(alice.jid()));
        let snapshot = &shown["body"]["product"];
        assert_eq!(snapshot["productId"], "65132");
        assert_eq!(snapshot["title"], "Green tea");
        let price = [&snapshot["priceAmount1000"], &snapshot["currencyCode"]]
            .map(|it| it.to_string().replace('"', ""));
        assert_eq!(price, ["9990", "EUR"]);
        assert_eq!(snapshot["productImage"]["mimetype"], "image/jpeg");

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), JPEG).unwrap();
        let product =
            json!({"productId": "7", "title": "Mug", "currencyCode": "EUR", "priceAmount1000": 4_500});
        let command = json!({
            "op": "send_product", "to": alice.jid(), "product": product, "path": file.path(), "owner": bob.jid(), "body": "Mine",
        });
        let sent = baileys.command(command).await;
        let data = app.webhook.next().await.body["data"].clone();
        let told = &data["product"];
        assert_eq!(data["id"], sent["id"]);
        assert_eq!(told["title"], "Mug");
        assert_eq!(told["body"], "Mine");
        assert_eq!(told["price"], json!({"amount": 4.5, "currency": "EUR"}));
        assert_eq!(told["owner"], bob.jid());
        let image = &told["image"];
        let content =
            async || Some(app.get(image["url"].as_str()?).await).filter(|answer| answer.status == 200);
        let content = eventually(content, async || format!("{image} is not there")).await;
        assert_eq!(content.body, JPEG);
    }).await;
}

#[tokio::test]
async fn what_the_gateway_reads_of_catalogues_and_orders_baileys_reads_too() {
    gateway(async |app| {
        let [alice, bob, carol] = ["Alice", "Bob", "Carol"].map(|name| app.phone(name));
        let Some(mut baileys) = Baileys::start(&app.simulator, "Alice") else {
            return;
        };
        app.pair("shop", &alice).await;
        baileys.pair(&alice).await;
        let mug = CatalogProduct {
            id: "7".to_owned(),
            name: "Mug".to_owned(),
            price: 4_500,
            ..tea()
        };
        alice.fills_catalog(vec![tea(), mug]);
        let named = |of: &Value, name: &str| -> Vec<Value> {
            of["products"]
                .as_array()
                .unwrap()
                .iter()
                .map(|product| product[name].clone())
                .collect()
        };
        let first = baileys.command(json!({"op": "catalog", "limit": 1})).await;
        let ours = app
            .get("/v1/sessions/shop/catalog?limit=1")
            .await
            .expect(200)
            .json();
        assert_eq!(named(&first, "name"), named(&ours, "title"));
        assert_eq!(first["nextPageCursor"], ours["next"]);
        assert_eq!(first["products"][0]["price"], 9990);
        assert_eq!(ours["products"][0]["price"]["amount"], 9.99);
        let links = json!({"requested": "https://media.example/tea.jpg?s=100", "original": "https://media.example/tea.jpg"});
        assert_eq!(first["products"][0]["imageUrls"], links);
        let rest = baileys
            .command(json!({"op": "catalog", "of": alice.jid(), "cursor": first["nextPageCursor"]}))
            .await;
        assert_eq!(named(&rest, "name"), vec![json!("Mug")]);
        assert_eq!(rest.get("nextPageCursor"), None);
        let none = baileys
            .command(json!({"op": "catalog", "of": bob.jid()}))
            .await;
        assert_eq!(none["event"], "catalog");
        assert_eq!(none["products"], Value::Null);

        let placed = carol
            .orders_products(alice.number(), &[("65132", 2), ("7", 1)], "Soon please")
            .unwrap();
        app.webhook.next().await;
        let seen = baileys
            .command(json!({"op": "order_details", "id": placed.id, "token": placed.token}))
            .await;
        let path = format!(
            "/v1/sessions/shop/orders/{}?token={}",
            placed.id,
            crate::harness::encoded(&placed.token)
        );
        let ours = app.get(&path).await.expect(200).json();
        assert_eq!(seen["price"]["total"], 24_480);
        assert_eq!(ours["total"]["amount"], 24.48);
        let quantities: Vec<_> = ours["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["quantity"].clone())
            .collect();
        assert_eq!(named(&seen, "quantity"), quantities);
    }).await;
}
