//! What businesses offer, and what is in orders: asked of WhatsApp over HTTP.

use serde_json::{Value, json};
use wapi_simulator::{Addressing, CatalogProduct};

use crate::harness::{encoded, gateway, shop, steady};

fn offer(id: &str, name: &str, price: i64) -> CatalogProduct {
    let (id, name, currency) = (id.to_owned(), name.to_owned(), "EUR".to_owned());
    CatalogProduct {
        id,
        name,
        price,
        currency,
        ..CatalogProduct::default()
    }
}

fn titles(catalog: &Value) -> Vec<&str> {
    catalog["products"]
        .as_array()
        .unwrap()
        .iter()
        .map(|product| product["title"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_catalogue_is_read_page_by_page_by_number_and_lid() {
    shop(async |app, alice, bob| {
        let answer = app.get("/v1/sessions/shop/catalog").await.expect(404);
        assert_eq!(answer.code(), "catalog_not_found");
        let tea = CatalogProduct {
            description: "From the hills".to_owned(),
            retailer_id: "tea-1".to_owned(),
            url: "https://example.com/tea".to_owned(),
            images: vec!["https://media.example/tea.jpg".to_owned()],
            ..offer("65132", "Green tea", 9_990)
        };
        let secret = CatalogProduct {
            hidden: true,
            ..offer("8", "Cup", 0)
        };
        bob.fills_catalog(vec![
            tea,
            offer("7", "Mug", 4_500),
            secret.clone(),
            offer("9", "Pot", 0),
        ]);
        alice.fills_catalog(vec![secret]);

        let route = format!("/v1/sessions/shop/catalog?of={}&limit=2", bob.number());
        let catalog = app.get(&route).await.expect(200).json();
        let image = json!({"url": "https://media.example/tea.jpg", "preview_url": "https://media.example/tea.jpg?s=100"});
        let expected = json!({
            "id": "65132", "title": "Green tea", "description": "From the hills", "price": {"amount": 9.99, "currency": "EUR"},
            "retailer_id": "tea-1", "url": "https://example.com/tea", "images": [image], "hidden": false, "review": "approved",
        });
        assert_eq!(catalog["products"][0], expected);
        assert_eq!(titles(&catalog), vec!["Green tea", "Mug"]);
        let cursor = catalog["next"].as_str().expect("there are more");
        let rest = app
            .get(&format!("{route}&cursor={cursor}"))
            .await
            .expect(200)
            .json();
        assert_eq!(titles(&rest), vec!["Pot"]);
        assert_eq!(rest["next"], Value::Null);
        assert_eq!(rest["products"][0]["price"], Value::Null);
        let by_lid = app
            .get(&format!(
                "/v1/sessions/shop/catalog?of={}",
                encoded(&bob.lid())
            ))
            .await
            .expect(200)
            .json();
        assert_eq!(titles(&by_lid), ["Green tea", "Mug", "Pot"]);
        // What is hidden is shown to its owner, however the account is addressed.
        alice.uses_addressing(Addressing::Lid);
        let own = app
            .get("/v1/sessions/shop/catalog")
            .await
            .expect(200)
            .json();
        assert_eq!(titles(&own), vec!["Cup"]);
        assert_eq!(own["products"][0]["hidden"], true);
    }).await;
}

#[tokio::test]
async fn an_order_is_opened_with_its_token_alone() {
    shop(async |app, alice, bob| {
        let tea = CatalogProduct {
            images: vec!["https://media.example/tea.jpg".to_owned()],
            ..offer("65132", "Green tea", 9_990)
        };
        alice.fills_catalog(vec![tea, offer("7", "Mug", 4_500)]);
        let placed = bob
            .orders_products(alice.number(), &[("65132", 2), ("7", 1)], "By Friday")
            .unwrap();
        let data = app.webhook.next().await.body["data"].clone();
        assert_eq!(data["id"], placed.message);
        insta::assert_json_snapshot!(steady(&data["order"], &[(&placed.id, "[order]"), (&placed.token, "[token]")]), @r#"
        {
          "id": "[order]",
          "item_count": 2,
          "message": "By Friday",
          "seller": "375440000001@s.whatsapp.net",
          "status": "inquiry",
          "surface": "catalog",
          "title": "Alice",
          "token": "[token]",
          "total": {
            "amount": 24.48,
            "currency": "EUR"
          }
        }
        "#);

        let route = format!("/v1/sessions/shop/orders/{}", placed.id);
        let opened = app
            .get(&format!("{route}?token={}", encoded(&placed.token)))
            .await
            .expect(200)
            .json();
        let expected = json!({"id": placed.id, "total": {"amount": 24.48, "currency": "EUR"}, "items": [
            {"id": "65132", "title": "Green tea", "quantity": 2, "price": {"amount": 9.99, "currency": "EUR"},
             "image_url": "https://media.example/tea.jpg"},
            {"id": "7", "title": "Mug", "quantity": 1, "price": {"amount": 4.5, "currency": "EUR"}, "image_url": null},
        ]});
        assert_eq!(opened, expected);
        for path in [
            format!("{route}?token=another"),
            "/v1/sessions/shop/orders/1?token=another".to_owned(),
        ] {
            assert_eq!(app.get(&path).await.expect(404).code(), "order_not_found");
        }
    }).await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_named() {
    gateway(async |app| {
        let path = |rest: &str| format!("/v1/sessions/shop/{rest}");
        for (rest, field) in [
            ("catalog?of=120363025246125486%40g.us", "of"),
            ("catalog?of=nobody", "of"),
            ("catalog?limit=101", "limit"),
            ("catalog?page=2", "page"),
            ("orders/1", "token"),
            ("orders/1?token=", "token"),
        ] {
            assert_eq!(
                app.get(&path(rest)).await.expect(400).fields(),
                [field],
                "{rest}"
            );
        }
        assert_eq!(
            app.get(&path("catalog")).await.expect(404).code(),
            "session_not_found"
        );
    })
    .await;
}
