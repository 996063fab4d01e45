//! What is said of a file because the gateway has looked into it.

use serde_json::json;
use wapi_simulator::{File, FileKind};

use crate::harness::{PATIENCE, TestApp, eventually};
use crate::uploads::upload;

/// A PDF of so many pages, all of them empty.
fn pdf(pages: u32) -> Vec<u8> {
    let kids: String = (0..pages).map(|page| format!("{} 0 R ", page + 3)).collect();
    let tree = format!("<</Type/Pages/Kids[{kids}]/Count {pages}>>");
    let objects = ["<</Type/Catalog/Pages 2 0 R>>".to_owned(), tree];
    let leaves = (0..pages).map(|_| "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>".to_owned());
    let (mut file, mut table) = ("%PDF-1.4\n".to_owned(), String::new());
    for (number, object) in (1..).zip(objects.into_iter().chain(leaves)) {
        table += &format!("{:010} 00000 n \n", file.len());
        file += &format!("{number} 0 obj\n{object}\nendobj\n");
    }
    let (at, size) = (file.len(), pages + 3);
    file += &format!("xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<</Size {size}/Root 1 0 R>>\n");
    file += &format!("startxref\n{at}\n%%EOF\n");
    file.into_bytes()
}

#[tokio::test]
async fn the_pages_of_a_document_are_counted_in_both_directions() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let file = upload(&app, "shop", "; filename=\"a.pdf\"", &pdf(3)).await;
    assert_eq!((&file["mime_type"], &file["pages"]), (&json!("application/pdf"), &json!(3)), "{file}");
    app.accepted("shop", json!({"to": bob.jid(), "document": {"id": file["id"]}})).await;
    let sent = bob.next_message(PATIENCE).await.unwrap();
    assert_eq!(sent.protobuf.document_message.as_option().unwrap().page_count, Some(3));

    // What the sender says is told; what they do not say is seen when the file is here.
    for (said, told, known) in [(Some(12), json!(12), 12), (Some(0), json!(null), 5), (None, json!(null), 5)] {
        let document = File::new(FileKind::Document, pdf(5), "application/pdf");
        bob.sends_file(alice.number(), File { pages: said, ..document }).await.unwrap();
        let received = app.webhook.next().await.body["data"]["document"].clone();
        assert_eq!(received["pages"], told, "{received}");
        let info =
            async || app.get(&format!("/v1/media/{}", received["id"].as_str().unwrap())).await.expect(200).json();
        let stored = async || Some(info().await).filter(|info| info["status"] == "stored");
        let info = eventually(stored, async || format!("{}", info().await)).await;
        assert_eq!(info["pages"], json!(known), "{info}");
    }

    let hostile = upload(&app, "shop", "", b"%PDF-1.7\nstartxref\n9\n%%EOF").await;
    assert_eq!(hostile["pages"], json!(null), "{hostile}");
    app.finish().await;
}
