//! A linked device of these tests' own, stanza by stanza: what no client of others' says or shows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeContent};
use wacore_libsignal::protocol::KeyPair;
use wapi_simulator::{Phone, Simulator};
use waproto::buffa::Message;
use waproto::whatsapp as wa;

use crate::companion::PATIENCE;
use crate::strict::{StrictClient, key_bytes, login, registration_of};

/// The server, as an address.
fn server() -> Jid {
    Jid::pn("")
}

/// A device that is linked, and its connection.
pub struct RawDevice {
    pub client: StrictClient,
    noise_key: KeyPair,
    number: u64,
    device: u16,
    asked: u32,
}

impl RawDevice {
    /// Links a device to the phone's account, up to the word to come back and log in, and stays on that connection.
    pub async fn just_linked_to(phone: &Phone, simulator: &Simulator) -> Self {
        let [noise_key, identity] = [(); 2].map(|()| KeyPair::generate(&mut rand::rng()));
        let mut client =
            StrictClient::connect(simulator, &noise_key, &registration_of(&identity)).await;
        let offer = client.stanza().await;
        let reference = offer
            .get_optional_child_by_tag(&["pair-device", "ref"])
            .unwrap();
        let reference = String::from_utf8(content(reference)).unwrap();
        client.send(&result(&offer, None)).await;
        let [noise, own] = [&noise_key, &identity].map(|key| STANDARD.encode(key_bytes(key)));
        let qr = format!("{reference},{noise},{own},{}", STANDARD.encode([7; 32]));
        let scan = tokio::spawn({
            let phone = phone.clone();
            async move { phone.scans_qr(&qr).await }
        });
        let success = client.stanza().await;
        let sealed = success
            .get_optional_child_by_tag(&["pair-success", "device-identity"])
            .unwrap();
        let sealed = wa::ADVSignedDeviceIdentityHMAC::decode_from_slice(&content(sealed)).unwrap();
        let mut signed =
            wa::ADVSignedDeviceIdentity::decode_from_slice(&sealed.details.unwrap()).unwrap();
        let (details, account) = (
            signed.details.clone().unwrap(),
            signed.account_signature_key.clone().unwrap(),
        );
        let message = [&[6, 1], &details[..], &key_bytes(&identity), &account].concat();
        signed.device_signature = Some(
            identity
                .calculate_signature(&message, &mut rand::rng())
                .unwrap()
                .to_vec(),
        );
        let sign = NodeBuilder::new("device-identity")
            .attr("key-index", "1")
            .bytes(signed.encode_to_vec())
            .build();
        let sign = NodeBuilder::new("pair-device-sign")
            .children([sign])
            .build();
        client.send(&result(&success, Some(sign))).await;
        let device = scan.await.unwrap().unwrap().device;
        Self {
            client,
            noise_key,
            number: phone.number().parse().unwrap(),
            device,
            asked: 0,
        }
    }

    /// A device that has logged in, and said that it is active.
    pub async fn linked_to(phone: &Phone, simulator: &Simulator) -> Self {
        let mut device = Self::just_linked_to(phone, simulator)
            .await
            .logged_in(simulator, true)
            .await;
        device
            .ask("passive", "set", [NodeBuilder::new("active").build()])
            .await;
        device
    }

    /// The same device on a new connection, let in by the server.
    pub async fn logged_in(self, simulator: &Simulator, is_passive: bool) -> Self {
        let device = Some(u32::from(self.device));
        let payload = wa::ClientPayload {
            passive: Some(is_passive),
            device,
            ..login(self.number)
        };
        let mut client = StrictClient::connect(simulator, &self.noise_key, &payload).await;
        assert_eq!(client.stanza().await.tag, "success");
        Self { client, ..self }
    }

    /// Its key, for another connection of the same device.
    pub fn noise_key(&self) -> KeyPair {
        self.noise_key.clone()
    }

    /// Asks the server; what comes in before the answer is passed over.
    pub async fn ask(
        &mut self,
        namespace: &str,
        kind: &str,
        content: impl IntoIterator<Item = Node>,
    ) -> Node {
        let id = self.question(namespace, kind, content).await;
        self.until(|node| node.tag == "iq" && word(node, "id") == id)
            .await
    }

    /// Asks something of a group, or of all of them.
    pub async fn ask_at(&mut self, to: &str, namespace: &str, kind: &str, content: Node) -> Node {
        let to = if to.contains('@') {
            to.parse().unwrap()
        } else {
            Jid::new("", wacore_binary::Server::Group)
        };
        let id = self.question_at(to, namespace, kind, [content]).await;
        self.until(|node| node.tag == "iq" && word(node, "id") == id)
            .await
    }

    /// Whatever the server says next, at the latest when it is asked something.
    pub async fn next_word(&mut self) -> Node {
        self.question("w:p", "get", []).await;
        self.client.stanza().await
    }

    async fn question(
        &mut self,
        namespace: &str,
        kind: &str,
        content: impl IntoIterator<Item = Node>,
    ) -> String {
        self.question_at(server(), namespace, kind, content).await
    }

    async fn question_at(
        &mut self,
        to: Jid,
        namespace: &str,
        kind: &str,
        content: impl IntoIterator<Item = Node>,
    ) -> String {
        self.asked += 1;
        let id = format!("raw-{}", self.asked);
        let iq = NodeBuilder::new("iq")
            .attr("to", to)
            .attr("xmlns", namespace)
            .attr("type", kind);
        self.client
            .send(
                &iq.attr("id", id.as_str())
                    .children(content.into_iter().collect::<Vec<_>>())
                    .build(),
            )
            .await;
        id
    }

    /// The next stanza that fits; those before it are passed over. On a timeout they are printed.
    pub async fn until(&mut self, fits: impl Fn(&Node) -> bool) -> Node {
        let mut passed = Vec::new();
        let waiting = async {
            loop {
                let stanza = self.client.stanza().await;
                if fits(&stanza) {
                    return stanza;
                }
                passed.push(stanza);
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("waited in vain; what came: {passed:#?}"))
    }

    /// The next notification of a kind.
    pub async fn notification(&mut self, kind: &str) -> Node {
        self.until(|node| node.tag == "notification" && word(node, "type") == kind)
            .await
    }

    /// Sends something to these devices that nobody can read, and returns the server's ack.
    pub async fn writes(&mut self, to: Jid, devices: &[Jid]) -> Node {
        let sealed = |jid: &Jid| {
            let enc = NodeBuilder::new("enc")
                .attr("v", "2")
                .attr("type", "msg")
                .bytes(vec![1, 2, 3])
                .build();
            NodeBuilder::new("to")
                .attr("jid", jid.clone())
                .children([enc])
                .build()
        };
        let fanout = NodeBuilder::new("participants")
            .children(devices.iter().map(sealed).collect::<Vec<_>>());
        self.sends(NodeBuilder::new("message").attr("to", to), fanout.build())
            .await
    }

    /// Sends something that is for no device and shows these tokens, and returns the server's ack.
    pub async fn writes_showing(&mut self, to: Jid, shown: Vec<Node>) -> Node {
        self.asked += 1;
        let id = format!("3EB0{:06}", self.asked);
        let nobody = NodeBuilder::new("participants").build();
        let message = NodeBuilder::new("message")
            .attr("to", to)
            .attr("id", id.as_str())
            .attr("type", "text");
        self.client
            .send(
                &message
                    .children([nobody].into_iter().chain(shown).collect::<Vec<_>>())
                    .build(),
            )
            .await;
        self.until(|node| node.tag == "ack" && word(node, "id") == id)
            .await
    }

    /// Sends a message of this content, and returns the server's ack.
    pub async fn sends(&mut self, message: NodeBuilder, content: Node) -> Node {
        self.asked += 1;
        let id = format!("3EB0{:06}", self.asked);
        self.client
            .send(
                &message
                    .attr("id", id.as_str())
                    .attr("type", "text")
                    .children([content])
                    .build(),
            )
            .await;
        self.until(|node| node.tag == "ack" && word(node, "id") == id)
            .await
    }
}

fn result(to: &Node, child: Option<Node>) -> Node {
    let iq = NodeBuilder::new("iq")
        .attr("to", server())
        .attr("type", "result")
        .attr("id", word(to, "id"));
    iq.children(Vec::from_iter(child)).build()
}

/// An attribute's text; empty where there is none.
pub fn word(node: &Node, name: &str) -> String {
    node.attrs
        .get(name)
        .map(|value| value.as_str().into_owned())
        .unwrap_or_default()
}

/// What it holds in bytes.
pub fn content(node: &Node) -> Vec<u8> {
    match node.content.as_ref() {
        Some(NodeContent::Bytes(bytes)) => bytes.to_vec(),
        other => panic!("{} holds {other:?}", node.tag),
    }
}
