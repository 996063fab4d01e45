//! A client of these tests' own that trusts nothing: it verifies the certificate chain against the root it was given, and looks at
//! how each stanza is encoded.

use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as WsMessage;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use wacore_binary::consts::{NOISE_PATTERN_XX, WA_CONN_HEADER};
use wacore_binary::{Node, NodeValue, OwnedNodeRef, Server, marshal};
use wacore_libsignal::protocol::{KeyPair, PublicKey};
use wacore_noise::framing::{FrameDecoder, encode_frame};
use wacore_noise::{
    IkHandshakeState, IkServerHelloOutcome, NoiseCipher, NoiseHandshake, XxFallbackHandshakeState,
};
use wapi_simulator::{Corruption, FallbackPolicy, Simulator, SimulatorOptions};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp::{self as wa, cert_chain::noise_certificate::Details};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What a strict client found out about the server's certificates.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Trusted,
    IntermediateSignatureWrong,
    LeafSignatureWrong,
    LeafNamesAnotherKey,
    OutsideValidity,
}

pub struct StrictClient {
    socket: Socket,
    read: NoiseCipher,
    received: u32,
    /// Frames that came in one WebSocket message with the last.
    frames: FrameDecoder,
    write: NoiseCipher,
    sent: u32,
    verdict: Verdict,
    server_key: [u8; 32],
}

/// What a client sees next.
#[derive(Debug)]
pub enum Seen {
    Stanza(Node),
    /// The server's close frame.
    Close,
    /// TCP is over.
    End,
}

pub fn key_bytes(key: &KeyPair) -> Vec<u8> {
    key.public_key.public_key_bytes().to_vec()
}

/// One WebSocket message holds whole frames only; returns the first and checks that nothing is cut off.
fn only_frame(message: WsMessage) -> Vec<u8> {
    let bytes = message.into_data();
    let length = usize::from(bytes[0]) << 16 | usize::from(bytes[1]) << 8 | usize::from(bytes[2]);
    assert_eq!(
        bytes.len(),
        length + 3,
        "one frame, whole, in one WebSocket message"
    );
    bytes[3..].to_vec()
}

async fn exchange(socket: &mut Socket, frame: Vec<u8>) -> Vec<u8> {
    socket.send(WsMessage::Binary(frame.into())).await.unwrap();
    only_frame(socket.next().await.unwrap().unwrap())
}

impl StrictClient {
    /// Connects, does an XX handshake with the given payload, and judges the certificates.
    pub async fn connect(
        simulator: &Simulator,
        noise_key: &KeyPair,
        payload: &wa::ClientPayload,
    ) -> Self {
        let (mut socket, _) = tokio_tungstenite::connect_async(simulator.ws_url())
            .await
            .unwrap();
        let ephemeral = KeyPair::generate(&mut rand::rng());
        let mut noise = NoiseHandshake::new(NOISE_PATTERN_XX, &WA_CONN_HEADER).unwrap();
        noise.authenticate(&key_bytes(&ephemeral));
        let hello = wa::HandshakeMessage {
            client_hello: MessageField::some(wa::handshake_message::ClientHello {
                ephemeral: Some(key_bytes(&ephemeral)),
                ..Default::default()
            }),
            ..Default::default()
        };
        let hello = encode_frame(&hello.encode_to_vec(), Some(&WA_CONN_HEADER)).unwrap();
        let answer =
            wa::HandshakeMessage::decode_from_slice(&exchange(&mut socket, hello).await).unwrap();
        let answer = answer.server_hello.into_option().unwrap();

        let server_ephemeral = answer.ephemeral.unwrap();
        noise.authenticate(&server_ephemeral);
        noise
            .mix_shared_secret(ephemeral.private_key.serialize(), &server_ephemeral)
            .unwrap();
        let server_key: [u8; 32] = noise
            .decrypt(&answer.r#static.unwrap())
            .unwrap()
            .try_into()
            .unwrap();
        noise
            .mix_shared_secret(ephemeral.private_key.serialize(), &server_key)
            .unwrap();
        let chain = noise.decrypt(&answer.payload.unwrap()).unwrap();
        let root = hex::decode(simulator.noise_root_public_key_hex()).unwrap();
        let verdict = verify(&chain, &root, &server_key);

        let sealed_static = noise.encrypt(&key_bytes(noise_key)).unwrap();
        noise
            .mix_shared_secret(noise_key.private_key.serialize(), &server_ephemeral)
            .unwrap();
        let sealed_payload = noise.encrypt(&payload.encode_to_vec()).unwrap();
        let finish =
            wacore_noise::HandshakeUtils::build_client_finish(sealed_static, sealed_payload);
        let finish = encode_frame(&finish.encode_to_vec(), None).unwrap();
        socket.send(WsMessage::Binary(finish.into())).await.unwrap();
        let (write, read) = noise.finish().unwrap();
        Self {
            socket,
            read,
            received: 0,
            frames: FrameDecoder::new(),
            write,
            sent: 0,
            verdict,
            server_key,
        }
    }

    pub async fn send(&mut self, stanza: &Node) {
        let sealed = self
            .write
            .encrypt_with_counter(self.sent, &marshal(stanza).unwrap())
            .unwrap();
        self.sent += 1;
        self.socket
            .send(WsMessage::Binary(
                encode_frame(&sealed, None).unwrap().into(),
            ))
            .await
            .unwrap();
    }

    /// Says that it leaves, as WebSockets do.
    pub async fn hang_up(&mut self) {
        self.socket.send(WsMessage::Close(None)).await.unwrap();
    }

    pub async fn next(&mut self) -> Seen {
        loop {
            if let Some(mut frame) = self.frames.decode_frame() {
                self.read
                    .decrypt_in_place_with_counter(self.received, &mut frame)
                    .unwrap();
                self.received += 1;
                let unpacked = wacore_binary::util::unpack_bytes(frame).unwrap();
                return Seen::Stanza(OwnedNodeRef::new(unpacked).unwrap().to_owned_node());
            }
            match self.socket.next().await {
                Some(Ok(WsMessage::Binary(bytes))) => self.frames.feed(&bytes),
                Some(Ok(WsMessage::Close(_))) => return Seen::Close,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Seen::End,
            }
        }
    }

    pub async fn stanza(&mut self) -> Node {
        match self.next().await {
            Seen::Stanza(stanza) => stanza,
            other => panic!("instead of a stanza: {other:?}"),
        }
    }
}

fn verify(chain: &[u8], root: &[u8], server_key: &[u8]) -> Verdict {
    let chain = wa::CertChain::decode_from_slice(chain).unwrap();
    let (leaf, intermediate) = (
        chain.leaf.into_option().unwrap(),
        chain.intermediate.into_option().unwrap(),
    );
    let signed_by = |key: &[u8], certificate: &wa::cert_chain::NoiseCertificate| {
        let key = PublicKey::from_djb_public_key_bytes(key).unwrap();
        let (details, signature) = (
            certificate.details.as_deref().unwrap(),
            certificate.signature.as_deref().unwrap(),
        );
        key.verify_signature(details, signature)
    };
    if !signed_by(root, &intermediate) {
        return Verdict::IntermediateSignatureWrong;
    }
    let intermediate = Details::decode_from_slice(&intermediate.details.unwrap()).unwrap();
    assert_eq!(intermediate.issuer_serial, Some(0));
    if !signed_by(intermediate.key.as_deref().unwrap(), &leaf) {
        return Verdict::LeafSignatureWrong;
    }
    let leaf = Details::decode_from_slice(&leaf.details.unwrap()).unwrap();
    assert_eq!(leaf.issuer_serial, intermediate.serial);
    if leaf.key.as_deref() != Some(server_key) {
        return Verdict::LeafNamesAnotherKey;
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let inside = |details: &Details| {
        (details.not_before.unwrap()..details.not_after.unwrap()).contains(&now)
    };
    if inside(&leaf) && inside(&intermediate) {
        Verdict::Trusted
    } else {
        Verdict::OutsideValidity
    }
}

pub fn login(number: u64) -> wa::ClientPayload {
    wa::ClientPayload {
        username: Some(number),
        device: Some(1),
        passive: Some(true),
        ..Default::default()
    }
}

fn registration() -> wa::ClientPayload {
    registration_of(&KeyPair::generate(&mut rand::rng()))
}

pub fn registration_of(identity: &KeyPair) -> wa::ClientPayload {
    let prekey = KeyPair::generate(&mut rand::rng());
    let signature = identity
        .calculate_signature(&prekey.public_key.serialize(), &mut rand::rng())
        .unwrap();
    wa::ClientPayload {
        device_pairing_data: MessageField::some(
            wa::client_payload::DevicePairingRegistrationData {
                e_regid: Some(vec![0, 0, 1, 2]),
                e_keytype: Some(vec![5]),
                e_ident: Some(key_bytes(identity)),
                e_skey_id: Some(vec![0, 0, 1]),
                e_skey_val: Some(key_bytes(&prekey)),
                e_skey_sig: Some(signature.to_vec()),
                ..Default::default()
            },
        ),
        ..Default::default()
    }
}

async fn verdict(corruption: Option<Corruption>) -> Verdict {
    let simulator = Simulator::start(SimulatorOptions {
        corruption,
        ..SimulatorOptions::default()
    })
    .await
    .unwrap();
    let noise_key = KeyPair::generate(&mut rand::rng());
    let client = StrictClient::connect(&simulator, &noise_key, &registration()).await;
    drop(client.socket);
    simulator.finish().await.unwrap();
    client.verdict
}

#[tokio::test]
async fn the_chain_is_trusted_by_its_root_and_each_corrupted_part_of_it_is_noticed() {
    assert_eq!(verdict(None).await, Verdict::Trusted);
    assert_eq!(
        verdict(Some(Corruption::NoiseIntermediateSignature)).await,
        Verdict::IntermediateSignatureWrong
    );
    assert_eq!(
        verdict(Some(Corruption::NoiseLeafSignature)).await,
        Verdict::LeafSignatureWrong
    );
    assert_eq!(
        verdict(Some(Corruption::NoiseLeafKey)).await,
        Verdict::LeafNamesAnotherKey
    );
}

#[tokio::test]
async fn a_device_nobody_linked_is_refused_with_401() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let alice = simulator.add_phone("Alice").unwrap();
    let stranger = KeyPair::generate(&mut rand::rng());
    let mut client = StrictClient::connect(
        &simulator,
        &stranger,
        &login(alice.number().parse().unwrap()),
    )
    .await;
    let failure = client.stanza().await;
    assert_eq!(failure.tag, "failure");
    assert_eq!(failure.attrs.get("reason").unwrap().as_str(), "401");
    drop(client);
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_client_without_keys_gets_six_references_from_an_address_in_jid_form() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let noise_key = KeyPair::generate(&mut rand::rng());
    let mut client = StrictClient::connect(&simulator, &noise_key, &registration()).await;
    let iq = client.stanza().await;
    // One client ignores pair-device when its sender is a string instead of a JID token.
    match iq.attrs.get("from") {
        Some(NodeValue::Jid(jid)) => assert_eq!((jid.user.as_str(), jid.server), ("", Server::Pn)),
        other => panic!("from is {other:?}"),
    }
    let children = iq.children().unwrap();
    assert_eq!(children.len(), 1, "another client accepts one child only");
    assert_eq!(children[0].tag, "pair-device");
    assert_eq!(children[0].get_children_by_tag("ref").count(), 6);
    drop(client);
    simulator.finish().await.unwrap();
}

/// An IK hello sealed for `server_key`; returns the client's state and the server's answer.
async fn ik(
    simulator: &Simulator,
    noise_key: &KeyPair,
    server_key: [u8; 32],
) -> (Socket, IkServerHelloOutcome) {
    let (mut socket, _) = tokio_tungstenite::connect_async(simulator.ws_url())
        .await
        .unwrap();
    let payload = registration().encode_to_vec();
    let mut state =
        IkHandshakeState::new(noise_key.clone(), server_key, payload, &WA_CONN_HEADER).unwrap();
    let hello = encode_frame(&state.build_client_hello().unwrap(), Some(&WA_CONN_HEADER)).unwrap();
    let answer = exchange(&mut socket, hello).await;
    let outcome = state.read_server_hello(&answer).unwrap();
    (socket, outcome)
}

#[tokio::test]
async fn a_client_that_knows_the_key_is_let_in_at_once_and_one_that_knows_an_old_key_by_the_fallback()
 {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let noise_key = KeyPair::generate(&mut rand::rng());
    let first = StrictClient::connect(&simulator, &noise_key, &registration()).await;

    let (_socket, outcome) = ik(&simulator, &noise_key, first.server_key).await;
    assert!(
        matches!(outcome, IkServerHelloOutcome::Continue(_)),
        "IK with the right key"
    );

    let old_key: [u8; 32] = key_bytes(&KeyPair::generate(&mut rand::rng()))
        .try_into()
        .unwrap();
    let (mut socket, outcome) = ik(&simulator, &noise_key, old_key).await;
    let IkServerHelloOutcome::Fallback(inputs) = outcome else {
        panic!("a wrong key was taken for the right one")
    };
    let mut fallback = XxFallbackHandshakeState::from_ik_failure(*inputs, &WA_CONN_HEADER).unwrap();
    let finish = encode_frame(&fallback.build_client_finish().unwrap(), None).unwrap();
    socket.send(WsMessage::Binary(finish.into())).await.unwrap();
    let outcome = fallback.finish().unwrap();
    // The keys agree: the server's first stanza opens.
    let mut frame = bytes::BytesMut::from(&only_frame(socket.next().await.unwrap().unwrap())[..]);
    outcome
        .read_cipher
        .decrypt_in_place_with_counter(0, &mut frame)
        .unwrap();
    drop((first, socket, _socket));
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_server_that_comes_back_has_another_key_under_the_same_root_and_may_refuse_who_knows_the_old_one()
 {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let noise_key = KeyPair::generate(&mut rand::rng());
    let before = StrictClient::connect(&simulator, &noise_key, &registration()).await;
    simulator
        .faults()
        .change_key(FallbackPolicy::Refused)
        .unwrap();
    let after = StrictClient::connect(&simulator, &noise_key, &registration()).await;
    assert_ne!(before.server_key, after.server_key);
    assert_eq!(
        (&before.verdict, &after.verdict),
        (&Verdict::Trusted, &Verdict::Trusted)
    );

    let (mut socket, _) = tokio_tungstenite::connect_async(simulator.ws_url())
        .await
        .unwrap();
    let payload = registration().encode_to_vec();
    let mut state = IkHandshakeState::new(
        noise_key.clone(),
        before.server_key,
        payload,
        &WA_CONN_HEADER,
    )
    .unwrap();
    let hello = encode_frame(&state.build_client_hello().unwrap(), Some(&WA_CONN_HEADER)).unwrap();
    socket.send(WsMessage::Binary(hello.into())).await.unwrap();
    let answer = socket.next().await;
    assert!(
        !matches!(answer, Some(Ok(WsMessage::Binary(_)))),
        "it was answered: {answer:?}"
    );
    drop((before, after));
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_registration_with_a_wrong_signature_is_refused() {
    let simulator = Simulator::start(SimulatorOptions::default()).await.unwrap();
    let noise_key = KeyPair::generate(&mut rand::rng());
    let mut payload = registration();
    let mut data = payload.device_pairing_data.into_option().unwrap();
    data.e_skey_sig.as_mut().unwrap()[3] ^= 1;
    payload.device_pairing_data = MessageField::some(data);
    let mut client = StrictClient::connect(&simulator, &noise_key, &payload).await;
    assert_eq!(client.stanza().await.tag, "failure");
    drop(client);
    simulator.finish().await.unwrap();
}
