//! The server's side of the Noise handshake: XX for a first visit, IK for a client that knows the
//! server's key, XX-fallback for one that knows an old key; and the certificate chain a strict
//! client verifies.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use wacore_binary::consts::{
    NOISE_PATTERN_IK, NOISE_PATTERN_XX, NOISE_PATTERN_XXFALLBACK, WA_CONN_HEADER,
};
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::{NoiseCipher, NoiseHandshake};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp::{
    self as wa, cert_chain::NoiseCertificate, cert_chain::noise_certificate::Details,
};

use crate::model::faults::{Corruption, FallbackPolicy};

const DAY: u64 = 24 * 60 * 60;

/// The server's long-lived Noise key and the chain that vouches for it: root → intermediate → leaf,
/// as WhatsApp's.
pub(crate) struct NoiseIdentity {
    root: KeyPair,
    static_key: KeyPair,
    chain: Vec<u8>,
    fallback: FallbackPolicy,
    corruption: Option<Corruption>,
}

impl NoiseIdentity {
    /// Makes new keys and signs the chain. Certificates are valid from yesterday for thirty days,
    /// so that a client that checks the period accepts them and caches the key for IK.
    pub(crate) fn generate(corruption: Option<Corruption>) -> anyhow::Result<Self> {
        Self::under_root(
            KeyPair::generate(&mut rand::rng()),
            FallbackPolicy::default(),
            corruption,
        )
    }

    /// Makes another key under the same root.
    pub(crate) fn with_new_key(&self, fallback: FallbackPolicy) -> anyhow::Result<Self> {
        Self::under_root(self.root.clone(), fallback, self.corruption)
    }

    fn under_root(
        root: KeyPair,
        fallback: FallbackPolicy,
        corruption: Option<Corruption>,
    ) -> anyhow::Result<Self> {
        let mut rng = rand::rng();
        let intermediate = KeyPair::generate(&mut rng);
        let static_key = KeyPair::generate(&mut rng);
        let chain = sign_chain(&root, &intermediate, &static_key, corruption)?;
        Ok(Self {
            root,
            static_key,
            chain,
            fallback,
            corruption,
        })
    }

    /// The 32-byte root key that a strict client must be given in place of WhatsApp's.
    pub(crate) fn root_public_key(&self) -> &[u8] {
        self.root.public_key.public_key_bytes()
    }

    fn public_key(&self) -> &[u8] {
        self.static_key.public_key.public_key_bytes()
    }
}

fn sign_chain(
    root: &KeyPair,
    intermediate: &KeyPair,
    leaf: &KeyPair,
    corruption: Option<Corruption>,
) -> anyhow::Result<Vec<u8>> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs();
    let details = |serial, issuer_serial, key: &KeyPair| Details {
        serial: Some(serial),
        issuer_serial: Some(issuer_serial),
        key: Some(key.public_key.public_key_bytes().to_vec()),
        not_before: Some(now - DAY),
        not_after: Some(now + 30 * DAY),
    };
    // Serial 0 is the root's: clients compare the intermediate's issuer with it.
    let intermediate_details = details(1, 0, intermediate);
    let leaf_details = match corruption {
        Some(Corruption::NoiseLeafKey) => details(2, 1, intermediate),
        _ => details(2, 1, leaf),
    };
    let chain = wa::CertChain {
        leaf: MessageField::some(sign_certificate(
            intermediate,
            &leaf_details,
            corruption == Some(Corruption::NoiseLeafSignature),
        )?),
        intermediate: MessageField::some(sign_certificate(
            root,
            &intermediate_details,
            corruption == Some(Corruption::NoiseIntermediateSignature),
        )?),
    };
    Ok(chain.encode_to_vec())
}

fn sign_certificate(
    issuer: &KeyPair,
    details: &Details,
    corrupt: bool,
) -> anyhow::Result<NoiseCertificate> {
    let details = details.encode_to_vec();
    let mut signature = issuer
        .calculate_signature(&details, &mut rand::rng())
        .map_err(|error| anyhow!("signing a Noise certificate: {error}"))?
        .to_vec();
    if corrupt {
        signature[10] ^= 0x01;
    }
    Ok(NoiseCertificate {
        details: Some(details),
        signature: Some(signature),
    })
}

/// The pattern of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandshakePattern {
    Xx,
    Ik,
    XxFallback,
}

/// A finished handshake: the keys of both directions and the client's identity.
pub(crate) struct FinishedHandshake {
    pub(crate) pattern: HandshakePattern,
    pub(crate) read: NoiseCipher,
    pub(crate) write: NoiseCipher,
    /// The client's static Noise key, which identifies a linked device.
    pub(crate) client_static: [u8; 32],
    pub(crate) payload: wa::ClientPayload,
}

/// The state of the handshake after the client's first message.
pub(crate) enum FirstAnswer {
    /// IK: the client is already known; send `encode_server_hello` and go on.
    Done {
        server_hello: Vec<u8>,
        established: Box<FinishedHandshake>,
    },
    /// XX or XX-fallback: send `encode_server_hello` and wait for the client's finish.
    AwaitFinish {
        server_hello: Vec<u8>,
        pending: Box<PendingFinish>,
    },
}

/// An XX or XX-fallback handshake that waits for the client's last message.
pub(crate) struct PendingFinish {
    pattern: HandshakePattern,
    noise: NoiseHandshake,
    ephemeral: KeyPair,
}

/// Answers the client's hello.
pub(crate) fn answer_hello(identity: &NoiseIdentity, hello: &[u8]) -> anyhow::Result<FirstAnswer> {
    let message = wa::HandshakeMessage::decode_from_slice(hello)
        .context("the client hello is no HandshakeMessage")?;
    let hello = message
        .client_hello
        .into_option()
        .context("the first handshake message has no client hello")?;
    let client_ephemeral = require_key(hello.ephemeral, "client ephemeral")?;
    let (Some(sealed_static), Some(sealed_payload)) = (hello.r#static, hello.payload) else {
        return start_xx(identity, HandshakePattern::Xx, &client_ephemeral);
    };
    // A client that encrypted its key for another server key is not refused: it goes through the
    // fallback, as with WhatsApp.
    match open_ik(identity, &client_ephemeral, &sealed_static, &sealed_payload) {
        Ok(opened) => finish_ik(identity, &client_ephemeral, opened),
        Err(error) if identity.fallback == FallbackPolicy::Refused => {
            Err(error.context("the client knows another key"))
        }
        Err(_) => start_xx(identity, HandshakePattern::XxFallback, &client_ephemeral),
    }
}

/// The content of an IK hello: the transcript so far, the client's static key and its payload.
struct IkHello {
    noise: NoiseHandshake,
    client_static: [u8; 32],
    payload: Vec<u8>,
}

fn open_ik(
    identity: &NoiseIdentity,
    client_ephemeral: &[u8; 32],
    sealed_static: &[u8],
    sealed_payload: &[u8],
) -> anyhow::Result<IkHello> {
    let ours = identity.static_key.private_key.serialize();
    let mut noise = NoiseHandshake::new(NOISE_PATTERN_IK, &WA_CONN_HEADER)?;
    noise.authenticate(identity.public_key());
    noise.authenticate(client_ephemeral);
    noise.mix_shared_secret(ours, client_ephemeral)?;
    let client_static = require_key(Some(noise.decrypt(sealed_static)?), "client static")?;
    noise.mix_shared_secret(ours, &client_static)?;
    let payload = noise.decrypt(sealed_payload)?;
    Ok(IkHello {
        noise,
        client_static,
        payload,
    })
}

fn finish_ik(
    identity: &NoiseIdentity,
    client_ephemeral: &[u8; 32],
    opened: IkHello,
) -> anyhow::Result<FirstAnswer> {
    let IkHello {
        mut noise,
        client_static,
        payload,
    } = opened;
    let ephemeral = KeyPair::generate(&mut rand::rng());
    let public = ephemeral.public_key.public_key_bytes().to_vec();
    noise.authenticate(&public);
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &client_static)?;
    let sealed_chain = noise.encrypt(&identity.chain)?;
    let established = finish_handshake(HandshakePattern::Ik, noise, client_static, &payload)?;
    Ok(FirstAnswer::Done {
        server_hello: encode_server_hello(public, None, sealed_chain),
        established: Box::new(established),
    })
}

fn start_xx(
    identity: &NoiseIdentity,
    pattern: HandshakePattern,
    client_ephemeral: &[u8; 32],
) -> anyhow::Result<FirstAnswer> {
    let name = if pattern == HandshakePattern::XxFallback {
        NOISE_PATTERN_XXFALLBACK
    } else {
        NOISE_PATTERN_XX
    };
    let mut noise = NoiseHandshake::new(name, &WA_CONN_HEADER)?;
    noise.authenticate(client_ephemeral);
    let ephemeral = KeyPair::generate(&mut rand::rng());
    let public = ephemeral.public_key.public_key_bytes().to_vec();
    noise.authenticate(&public);
    noise.mix_shared_secret(ephemeral.private_key.serialize(), client_ephemeral)?;
    let sealed_static = noise.encrypt(identity.public_key())?;
    noise.mix_shared_secret(
        identity.static_key.private_key.serialize(),
        client_ephemeral,
    )?;
    let sealed_chain = noise.encrypt(&identity.chain)?;
    Ok(FirstAnswer::AwaitFinish {
        server_hello: encode_server_hello(public, Some(sealed_static), sealed_chain),
        pending: Box::new(PendingFinish {
            pattern,
            noise,
            ephemeral,
        }),
    })
}

impl PendingFinish {
    /// Processes the client's finish, which proves its static key and carries its payload.
    pub(crate) fn finish(mut self, finish: &[u8]) -> anyhow::Result<FinishedHandshake> {
        let message = wa::HandshakeMessage::decode_from_slice(finish)
            .context("the client finish is no HandshakeMessage")?;
        let finish = message
            .client_finish
            .into_option()
            .context("the second handshake message has no client finish")?;
        let sealed_static = finish
            .r#static
            .context("the client finish has no static key")?;
        let sealed_payload = finish.payload.context("the client finish has no payload")?;
        let client_static =
            require_key(Some(self.noise.decrypt(&sealed_static)?), "client static")?;
        self.noise
            .mix_shared_secret(self.ephemeral.private_key.serialize(), &client_static)?;
        let payload = self.noise.decrypt(&sealed_payload)?;
        finish_handshake(self.pattern, self.noise, client_static, &payload)
    }
}

fn finish_handshake(
    pattern: HandshakePattern,
    noise: NoiseHandshake,
    client_static: [u8; 32],
    payload: &[u8],
) -> anyhow::Result<FinishedHandshake> {
    let payload = wa::ClientPayload::decode_from_slice(payload)
        .context("the client payload does not decode")?;
    // The client writes with the first half, so the server reads with it.
    let (read, write) = noise.finish()?;
    Ok(FinishedHandshake {
        pattern,
        read,
        write,
        client_static,
        payload,
    })
}

fn encode_server_hello(
    ephemeral: Vec<u8>,
    sealed_static: Option<Vec<u8>>,
    sealed_chain: Vec<u8>,
) -> Vec<u8> {
    wa::HandshakeMessage {
        server_hello: MessageField::some(wa::handshake_message::ServerHello {
            ephemeral: Some(ephemeral),
            r#static: sealed_static,
            payload: Some(sealed_chain),
            ..Default::default()
        }),
        ..Default::default()
    }
    .encode_to_vec()
}

fn require_key(bytes: Option<Vec<u8>>, what: &str) -> anyhow::Result<[u8; 32]> {
    let bytes = bytes.with_context(|| format!("the {what} key is missing"))?;
    bytes
        .try_into()
        .map_err(|bytes: Vec<u8>| anyhow!("the {what} key has {} bytes instead of 32", bytes.len()))
}
