use futures_util::future::BoxFuture;
use futures_util::{FutureExt, poll};
use jiff::Timestamp;
use parking_lot::Mutex;
use whatsapp_rust::wacore::libsignal::protocol::{KeyPair, SignalMessage};
use whatsapp_rust::wacore_binary::builder::NodeBuilder;

use crate::model::event::MessageKey;
use crate::store::Store;
use crate::store::tests::{accept_engine_rows, hold_database, refuse_engine_rows};
use crate::system::clock::TimeSource;
use crate::system::lifecycle::Lifecycle;
use crate::whatsapp::connection::link_events::{self, LinkEventReceiver};
use crate::whatsapp::device_store::key_barrier::*;

/// Records the lengths of sent data, and whether it was disconnected.
#[derive(Clone, Default)]
struct RecordingTransport(Arc<Mutex<(Vec<usize>, bool)>>);

impl RecordingTransport {
    fn sent(&self) -> Vec<usize> {
        self.0.lock().0.clone()
    }
}

#[async_trait]
impl Transport for RecordingTransport {
    async fn send(&self, data: Bytes) -> Result<()> {
        self.0.lock().0.push(data.len());
        Ok(())
    }

    async fn disconnect(&self) {
        self.0.lock().1 = true;
    }
}

#[async_trait]
impl TransportFactory for RecordingTransport {
    async fn create_transport(&self) -> Result<DialledTransport> {
        let (_, events) = whatsapp_rust::async_channel::unbounded();
        Ok((Arc::new(self.clone()), events))
    }
}

/// A clock with sleeps that end at once, so that every wait in vain is over.
struct InstantClock;

impl TimeSource for InstantClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        tokio::task::yield_now().boxed()
    }
}

struct BarrierFixture {
    gated: BarrierTransport,
    line: RecordingTransport,
    opened: Arc<DecryptedBuffer>,
    backend: Arc<EngineStore>,
    saved: Arc<PersistenceManager>,
    troubles: WriteFailures,
    signals: LinkEventReceiver,
    folder: tempfile::TempDir,
}

impl BarrierFixture {
    /// Creates a session that no phone has linked.
    async fn unlinked(clock: Clock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wapi.db"), Clock::system())
            .await
            .unwrap();
        let opened = Arc::new(DecryptedBuffer::new(
            store.device_life("shop"),
            store.clone(),
        ));
        let (file, tasks) = (folder.path().join("shop.session"), Lifecycle::new());
        let backend = EngineStore::open(
            store.device_life("shop"),
            &file,
            Arc::clone(&opened),
            store.clone(),
            Clock::system(),
            &tasks,
        );
        let backend = Arc::new(backend.await.unwrap());
        let saved = Arc::new(
            PersistenceManager::new(Arc::clone(&backend) as _)
                .await
                .unwrap(),
        );
        let kept = KeyStorage {
            decrypted: Arc::clone(&opened),
            backend: Arc::clone(&backend),
            persistence: Arc::clone(&saved),
        };
        let (troubles, (reports, signals)) = (
            WriteFailures::default(),
            link_events::link_event_channel(store.device_life("shop")),
        );
        let gate = KeyBarrier::new(kept, troubles.clone(), reports, clock);
        gate.is_live.store(true, Ordering::Release);
        let line = RecordingTransport::default();
        let gated = BarrierTransport {
            inner: Arc::new(line.clone()),
            barrier: gate,
        };
        Self {
            gated,
            line,
            opened,
            backend,
            saved,
            troubles,
            signals,
            folder,
        }
    }

    /// Creates a session that a phone has linked.
    async fn new(clock: Clock) -> Self {
        let session = Self::unlinked(clock).await;
        session.is_scanned().await;
        session.saved.flush().await.unwrap();
        session
    }

    async fn is_scanned(&self) {
        self.saved
            .modify_device(|device| {
                device.pn = Some("1@s.whatsapp.net".parse().unwrap());
                device.account = Some(Arc::default());
            })
            .await;
    }

    fn reads(&self, id: &str) {
        self.opened
            .add_messages(std::iter::once((message_key(id), Vec::new())));
    }

    async fn writes_keys(&self) {
        use whatsapp_rust::wacore::store::traits::SignalStore;
        for id in ["1", "2"] {
            self.opened
                .remove_messages(vec![message_key(id)])
                .await
                .unwrap();
        }
        self.backend.put_session("bob.0", b"key").await.unwrap();
    }
}

fn message_key(id: &str) -> MessageKey {
    MessageKey {
        chat: "1@lid".to_owned(),
        sender: "1@lid".to_owned(),
        id: id.to_owned(),
    }
}

/// Returns frames of these lengths, in one piece.
fn frames(lengths: &[usize]) -> Bytes {
    let frame = |length: &usize| [&(*length as u32).to_be_bytes()[1..], &vec![0; *length]].concat();
    lengths.iter().flat_map(frame).collect()
}

#[tokio::test]
async fn a_message_waits_for_the_keys_of_what_was_read_before_it_to_be_on_the_disk() {
    let session = BarrierFixture::new(Clock::system()).await;
    session.gated.send(frames(&[500])).await.unwrap();
    session.reads("1");
    let sending = session.gated.send(frames(&[600]));
    tokio::pin!(sending);
    assert!(poll!(&mut sending).is_pending());
    session.gated.send(frames(&[50])).await.unwrap();
    let disk = hold_database(session.folder.path()).await;
    session.writes_keys().await;
    assert!(
        poll!(&mut sending).is_pending(),
        "they are handed over, and not on the disk"
    );
    disk.release().await;
    sending.await.unwrap();
    assert_eq!(session.line.sent(), [503, 53, 603]);
    assert!(
        session.gated.send(frames(&[600])).now_or_never().is_some(),
        "there is nothing to wait for"
    );
}

#[tokio::test]
async fn a_new_device_is_saved_before_whatsapp_hears_of_it() {
    let session = BarrierFixture::unlinked(Clock::system()).await;
    let file = session.folder.path().join("shop.session");
    session.is_scanned().await;
    assert!(!file.exists());
    let disk = hold_database(session.folder.path()).await;
    let sending = session.gated.send(frames(&[300]));
    tokio::pin!(sending);
    assert!(poll!(&mut sending).is_pending());
    disk.release().await;
    sending.await.unwrap();
    use whatsapp_rust::wacore::store::traits::DeviceStore;
    assert!(session.backend.load().await.unwrap().unwrap().pn.is_some());
    assert!(file.exists());
}

#[tokio::test]
async fn a_disk_that_does_not_come_back_ends_the_connection_and_holds_the_next() {
    let mut session = BarrierFixture::new(Clock::new(InstantClock)).await;
    session.reads("1");
    let refused = session
        .gated
        .send(frames(&[600]))
        .await
        .unwrap_err()
        .to_string();
    assert_eq!(
        refused,
        "the disk takes longer than 10 s to save a session's keys"
    );
    assert_eq!(
        session.line.0.lock().clone(),
        (vec![], true),
        "nothing left, and it hung up"
    );
    assert!(
        session
            .troubles
            .describe_failures()
            .unwrap()
            .starts_with(&refused)
    );
    let Some(LinkEvent::Unreachable { reason }) = session.signals.recv().await else {
        panic!("nobody was told")
    };
    assert_eq!(reason, refused);
    let dialer = BarrierDialer::new(session.line.clone(), Arc::clone(&session.gated.barrier));
    refuse_engine_rows(session.folder.path()).await;
    use whatsapp_rust::wacore::store::traits::SignalStore;
    session.backend.put_session("bob.0", b"key").await.unwrap();
    session.backend.save_keys().await.unwrap_err();
    let disk = hold_database(session.folder.path()).await;
    assert!(
        dialer.create_transport().await.is_err(),
        "the next connection could not send either"
    );
    disk.release().await;
    accept_engine_rows(session.folder.path()).await;
    session.writes_keys().await;
    session.backend.save_keys().await.unwrap();
    dialer.create_transport().await.unwrap();
    assert_eq!(session.troubles.describe_failures(), None);
}

#[tokio::test]
async fn what_the_disk_says_is_told() {
    let session = BarrierFixture::new(Clock::new(InstantClock)).await;
    session.reads("1");
    refuse_engine_rows(session.folder.path()).await;
    use whatsapp_rust::wacore::store::traits::SignalStore;
    session.backend.put_session("bob.0", b"key").await.unwrap();
    session.backend.save_keys().await.unwrap_err();
    let refused = session
        .gated
        .send(frames(&[600]))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.starts_with("a session's keys cannot be saved: ") && refused.contains("it is full"),
        "{refused}"
    );
}

#[tokio::test]
async fn what_whatsapp_delivers_again_moves_no_key() {
    let session = BarrierFixture::new(Clock::system()).await;
    let opened = &session.opened;
    for id in ["unsaved", "kept"] {
        session.reads(id);
        opened.record_written_keys(opened.advanced_count());
        if id == "kept" {
            opened.save_messages().await.unwrap();
        }
        assert!(
            opened
                .find_message(&message_key(id))
                .await
                .unwrap()
                .is_some()
        );
        session.reads(id);
        assert!(
            session.gated.send(frames(&[500])).now_or_never().is_some(),
            "{id}"
        );
        // The same id with another key: its sender has encrypted it again.
        session.reads(id);
        assert!(
            session.gated.send(frames(&[600])).now_or_never().is_none(),
            "{id}"
        );
        opened.record_written_keys(opened.advanced_count());
    }
    assert_eq!(session.line.sent(), [503, 503]);
}

#[test]
fn no_message_is_so_small_that_it_passes_by() {
    // The smallest encrypted message, in the smallest stanza around it.
    let mut rng = rand::rng();
    let (ratchet, ours, theirs) = (
        KeyPair::generate(&mut rng),
        KeyPair::generate(&mut rng),
        KeyPair::generate(&mut rng),
    );
    let (ours, theirs) = (ours.public_key.into(), theirs.public_key.into());
    let sealed = SignalMessage::new(
        3,
        &[0; 32],
        ratchet.public_key,
        0,
        0,
        &[0; 16],
        &ours,
        &theirs,
    )
    .unwrap();
    let enc = NodeBuilder::new("enc")
        .bytes(sealed.serialized().to_vec())
        .build();
    let stanza = NodeBuilder::new("message").children([enc]).build();
    let smallest = whatsapp_rust::wacore_binary::marshal::marshal(&stanza)
        .unwrap()
        .len()
        + 16;
    assert!(may_hold_message(&frames(&[smallest])), "{smallest}");
    assert!(
        may_hold_message(&frames(&[40, 40, smallest, 40])),
        "{smallest}"
    );
    assert!(
        !may_hold_message(&frames(&[70, 80, 91])),
        "receipts do not wait"
    );
    assert!(
        !may_hold_message(b"WA\x06\x03\x00\x00\x02hi"),
        "nobody greets with a message"
    );
    assert!(may_hold_message(b"what is no frame may be anything"));
    assert!(may_hold_message(&[0, 0]) && may_hold_message(&[0, 0, 5, 1]));
}
