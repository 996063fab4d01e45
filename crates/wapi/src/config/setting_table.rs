//! The table of settings: name, default, example, and meaning of each in one row.

use super::settings::{Setting, SettingDefault};
use crate::system::master_key::EXAMPLE_KEYS;
use SettingDefault::{Required, Unset, Value};

const REQUIRED: &str = "Required";
const ACCESS: &str = "Access";
const DASHBOARD: &str = "Dashboard";
const WEBHOOKS: &str = "Webhooks and events";
const SESSIONS: &str = "Sessions";
const ENCRYPTION: &str = "Encryption";
const RETENTION: &str = "Retention";
const FILES: &str = "Files";
const LOGS: &str = "Logs";
const SIMULATED: &str = "Simulated WhatsApp";

/// All settings, in the order of the reference and of `wapi config`.
pub static SETTINGS: &[Setting] = &[
    Setting {
        section: REQUIRED,
        name: "WAPI_GETTING_MESSAGES_WEBHOOK",
        default: Required,
        example: "https://example.com/webhook/",
        secret: false,
        meaning: "Base URL for received messages; the name of the session is appended.",
    },
    Setting {
        section: REQUIRED,
        name: "WAPI_INTERNAL_HOST",
        default: Required,
        example: "127.0.0.1:8080",
        secret: false,
        meaning: "`host:port` to listen on.",
    },
    Setting {
        section: REQUIRED,
        name: "WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH",
        default: Required,
        example: "/var/lib/wapi",
        secret: false,
        meaning: "The data folder: sessions, QR codes, databases, files. Created when it is missing. \
                  One program at a time, on a file system with working locks, owned by the user of \
                  the program.",
    },
    Setting {
        section: ACCESS,
        name: "WAPI_API_KEY",
        default: Unset("none"),
        example: "wapi_a-long-random-text",
        secret: true,
        meaning: "The first admin key, as `Authorization: Bearer …` or `X-Api-Key: …`; `POST \
                  /v1/api-keys` creates others. At least 16 characters where others can reach the \
                  gateway.",
    },
    Setting {
        section: ACCESS,
        name: "WAPI_AUTH",
        default: Value("key"),
        example: "key",
        secret: false,
        meaning: "`key`: callers need an API key; without one, wapi listens on loopback only and is \
                  open until a key is created. `none`: everyone who reaches the listener may do \
                  everything, and keys are ignored.",
    },
    Setting {
        section: ACCESS,
        name: "WAPI_HOSTS",
        default: Unset("none"),
        example: "gateway.example.com,wapi",
        secret: false,
        meaning: "Host names of a gateway that asks for no key, separated by commas, in addition to \
                  `localhost` and loopback addresses; with `WAPI_AUTH=none`, any address. Other \
                  names are refused, because any website could point a name of its own here.",
    },
    Setting {
        section: ACCESS,
        name: "WAPI_TRUSTED_PROXIES",
        default: Unset("none"),
        example: "10.0.0.0/8,127.0.0.1",
        secret: false,
        meaning: "Networks of proxies in front of the gateway. The caller is the last address in \
                  their `X-Forwarded-For` that is not a proxy's, and their `X-Forwarded-Proto` \
                  counts. From others these headers mean nothing; a gateway that asks for no key \
                  refuses them.",
    },
    Setting {
        section: ACCESS,
        name: "WAPI_ALLOW_PRIVATE_TARGETS",
        default: Unset(
            "`all` on loopback while no key is required and no proxy is trusted, else `none`",
        ),
        example: "10.0.0.0/8,192.168.0.0/16",
        secret: false,
        meaning: "Networks that webhooks, media links, and proxies of callers may reach in addition to \
                  the internet, separated by commas, or `all`, or `none`. Unless it is `all`, these \
                  requests bypass the environment's proxy (`HTTPS_PROXY`), which could reach \
                  anything. A name that the proxy of a session resolves is not judged: see \
                  `WAPI_PROXY_LINKS`.",
    },
    Setting {
        section: ACCESS,
        name: "WAPI_CERT_FILE_PATH",
        default: Unset("none"),
        example: "/etc/wapi/certificate.pem",
        secret: false,
        meaning: "PEM certificate; with its key, wapi serves HTTPS. A new certificate is loaded \
                  within a minute, or at once on SIGHUP.",
    },
    Setting {
        section: ACCESS,
        name: "WAPI_CERT_KEY_PATH",
        default: Unset("none"),
        example: "/etc/wapi/key.pem",
        secret: false,
        meaning: "PEM key of the certificate; both or neither.",
    },
    Setting {
        section: DASHBOARD,
        name: "WAPI_DASHBOARD",
        default: Value("on"),
        example: "on",
        secret: false,
        meaning: "`on`: the dashboard is at `/dashboard`. `off`: there is none.",
    },
    Setting {
        section: DASHBOARD,
        name: "WAPI_DASHBOARD_LISTEN",
        default: Unset("`WAPI_INTERNAL_HOST`"),
        example: "127.0.0.1:8081",
        secret: false,
        meaning: "`host:port` of the dashboard alone. The API is not served there, nor the \
                  dashboard on the API's address.",
    },
    Setting {
        section: DASHBOARD,
        name: "WAPI_DASHBOARD_INSECURE",
        default: Value("false"),
        example: "false",
        secret: false,
        meaning: "`true`: people log in over plain HTTP from other machines, too, where everybody on \
                  the way can read the key. `false`: over HTTPS, or from the gateway's own machine.",
    },
    Setting {
        section: WEBHOOKS,
        name: "WAPI_WEBHOOK_SECRET",
        default: Unset("none"),
        example: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        secret: true,
        meaning: "Signs the posts to the webhook of the settings, as Standard Webhooks does: \
                  `whsec_` and 24 to 64 bytes of base64.",
    },
    Setting {
        section: WEBHOOKS,
        name: "WAPI_WEBHOOK_DISABLE_AFTER_HOURS",
        default: Value("72"),
        example: "72",
        secret: false,
        meaning: "A webhook created over the API that accepts nothing for so many hours, in ten \
                  attempts or more, is disabled; its events wait.",
    },
    Setting {
        section: WEBHOOKS,
        name: "WAPI_REDIS_HOST",
        default: Unset("none"),
        example: "localhost:6379",
        secret: true,
        meaning: "Redis (`host:port`, `redis://…`, `rediss://…`) remembers for 30 days which \
                  messages were forwarded, for an operator who lost the database or runs a copy of \
                  the data folder.",
    },
    Setting {
        section: WEBHOOKS,
        name: "WAPI_ENV",
        default: Value("prod"),
        example: "prod",
        secret: false,
        meaning: "`prod`, or `dev`: the certificate of the webhook is not verified.",
    },
    Setting {
        section: SESSIONS,
        name: "WAPI_CONNECTIONS_CHECKOUT_DURATION_SECS",
        default: Value("600"),
        example: "600",
        secret: false,
        meaning: "Seconds between two checks of a connection.",
    },
    Setting {
        section: SESSIONS,
        name: "WAPI_CONNECTIONS_CHECKOUT_DURATION_MILLISECONDS",
        default: Unset("none"),
        example: "600000",
        secret: false,
        meaning: "The same in milliseconds; set one of the two.",
    },
    Setting {
        section: SESSIONS,
        name: "WAPI_WHATSAPP_CONNECTION_TIMEOUT",
        default: Value("20"),
        example: "20",
        secret: false,
        meaning: "Seconds to wait for WhatsApp: for a connection when a session is registered, and \
                  for the acknowledgement of a message.",
    },
    Setting {
        section: SESSIONS,
        name: "WAPI_RESTORE_CONCURRENCY",
        default: Value("100"),
        example: "100",
        secret: false,
        meaning: "Number of saved sessions that log in at the same time at start, at most.",
    },
    Setting {
        section: SESSIONS,
        name: "WAPI_LOGINS_PER_SECOND",
        default: Value("25"),
        example: "25",
        secret: false,
        meaning: "Number of saved sessions that begin to log in each second at start, at most. \
                  Nobody outside knows how many logins WhatsApp bears from one address; the default \
                  is cautious, and takes at least 20 seconds for 500 sessions.",
    },
    Setting {
        section: SESSIONS,
        name: "WAPI_NEW_CHATS",
        default: Value("hold"),
        example: "hold",
        secret: false,
        meaning: "Messages to people who have not written to the account, while WhatsApp would refuse \
                  them: `hold` (they wait in the queue) or `send` (they are sent, and fail).",
    },
    Setting {
        section: SESSIONS,
        name: "WAPI_PROXY",
        default: Unset("none"),
        example: "socks5h://user:password@proxy.example.com:1080",
        secret: true,
        meaning: "The proxy through which sessions without one of their own reach WhatsApp: \
                  `socks5h://`, `socks5://`, `http://`, or `https://`, with a port. While it does not \
                  work, they wait. Webhooks do not use it.",
    },
    Setting {
        section: SESSIONS,
        name: "WAPI_PROXY_LINKS",
        default: Value("on"),
        example: "on",
        secret: false,
        meaning: "Media links of callers and pages for previews, of sessions with a proxy: `on` (they \
                  are fetched through the proxy) or `off` (directly).",
    },
    Setting {
        section: ENCRYPTION,
        name: "WAPI_MASTER_KEY",
        default: Unset("none"),
        example: EXAMPLE_KEYS[0],
        secret: true,
        meaning: "Seals the keys of sessions on the disk: 64 hex digits (`openssl rand -hex 32`) or the \
                  base64 of 32 bytes; the example is refused. At most one of this and the next two. \
                  Without it, a data folder that is sealed is refused.",
    },
    Setting {
        section: ENCRYPTION,
        name: "WAPI_MASTER_KEY_FILE",
        default: Unset("none"),
        example: "/run/secrets/wapi-master-key",
        // A key may stand in it by mistake.
        secret: true,
        meaning: "A file with the master key.",
    },
    Setting {
        section: ENCRYPTION,
        name: "WAPI_MASTER_KEY_COMMAND",
        default: Unset("none"),
        example: "vault kv get -field=key secret/wapi",
        secret: true,
        meaning: "A command that prints the master key, run once at start, for 30 seconds at most. There \
                  is no shell: it is split at spaces, quotes keep words together, and nothing is \
                  replaced.",
    },
    Setting {
        section: ENCRYPTION,
        name: "WAPI_MASTER_KEY_OLD",
        default: Unset("none"),
        example: EXAMPLE_KEYS[1],
        secret: true,
        meaning: "The former master key, while it is changed.",
    },
    Setting {
        section: ENCRYPTION,
        name: "WAPI_MASTER_KEY_OLD_FILE",
        default: Unset("none"),
        example: "/run/secrets/wapi-master-key-old",
        // A key may stand in it by mistake.
        secret: true,
        meaning: "A file with the former master key.",
    },
    Setting {
        section: ENCRYPTION,
        name: "WAPI_ENCRYPT",
        default: Unset("`keys` with a master key, else `none`"),
        example: "keys",
        secret: false,
        meaning: "`keys`: the keys of sessions and other secrets are sealed. `none`: the seal is taken \
                  off at start, which needs the master key.",
    },
    Setting {
        section: RETENTION,
        name: "WAPI_RETENTION_DAYS",
        default: Value("30"),
        example: "30",
        secret: false,
        meaning: "Days to keep events, and files of former devices; pending deliveries stay until \
                  they are done.",
    },
    Setting {
        section: RETENTION,
        name: "WAPI_RETENTION_DEAD_DAYS",
        default: Value("90"),
        example: "90",
        secret: false,
        meaning: "Days to keep deliveries that were given up.",
    },
    Setting {
        section: RETENTION,
        name: "WAPI_RETENTION_ACTIVITY_DAYS",
        default: Value("90"),
        example: "90",
        secret: false,
        meaning: "Days to keep the activity: what callers did, as `GET /v1/activity` lists it.",
    },
    Setting {
        section: RETENTION,
        name: "WAPI_RETENTION_SIZE_MIB",
        default: Value("10240"),
        example: "10240",
        secret: false,
        meaning: "Size of the database without the history in MiB above which the oldest events go early; \
                  events with pending deliveries stay.",
    },
    Setting {
        section: RETENTION,
        name: "WAPI_HISTORY",
        default: Value("30"),
        example: "30",
        secret: false,
        meaning: "Chats, contacts, and messages to list and search: `off`, the number of days to \
                  keep messages, or `forever`. Costs about a fifth of the CPU of a received message. What was \
                  kept goes ten minutes after a start with `off`.",
    },
    Setting {
        section: FILES,
        name: "WAPI_MEDIA_DOWNLOAD",
        default: Value("eager"),
        example: "eager",
        secret: false,
        meaning: "Download of files of received messages: `eager` (as they come in), `on_demand` \
                  (on request; WhatsApp deletes them after some weeks), or `never` (described only).",
    },
    Setting {
        section: FILES,
        name: "WAPI_MEDIA_MAX_MIB",
        default: Value("2048"),
        example: "2048",
        secret: false,
        meaning: "Size of the largest file in MiB, from WhatsApp or from callers.",
    },
    Setting {
        section: FILES,
        name: "WAPI_MEDIA_RETENTION_DAYS",
        default: Value("30"),
        example: "30",
        secret: false,
        meaning: "Days to keep files; files of pending messages stay.",
    },
    Setting {
        section: FILES,
        name: "WAPI_MEDIA_RETENTION_SIZE_MIB",
        default: Value("10240"),
        example: "10240",
        secret: false,
        meaning: "Total size in MiB above which the oldest files go early; files of pending messages stay.",
    },
    Setting {
        section: FILES,
        name: "WAPI_MEDIA_STORAGE",
        default: Unset("the data folder"),
        example: "s3://bucket/prefix",
        secret: false,
        meaning: "`s3://bucket/prefix` keeps files in an S3-compatible bucket. Files on their way in \
                  or out are in the data folder meanwhile.",
    },
    Setting {
        section: FILES,
        name: "WAPI_MEDIA_S3_ENDPOINT",
        default: Unset("AWS"),
        example: "https://minio.example.com",
        secret: false,
        meaning: "The bucket's server, `http://…` or `https://…`.",
    },
    Setting {
        section: FILES,
        name: "WAPI_MEDIA_S3_REGION",
        default: Unset("`us-east-1`"),
        example: "eu-central-1",
        secret: false,
        meaning: "The bucket's region.",
    },
    Setting {
        section: FILES,
        name: "WAPI_MEDIA_S3_ACCESS_KEY_ID",
        default: Unset("none"),
        example: "AKIAIOSFODNN7EXAMPLE",
        secret: false,
        meaning: "A key that may read, write, and delete in the bucket; required for a bucket.",
    },
    Setting {
        section: FILES,
        name: "WAPI_MEDIA_S3_SECRET_ACCESS_KEY",
        default: Unset("none"),
        example: "a-long-random-text",
        secret: true,
        meaning: "The secret of that key; required for a bucket.",
    },
    Setting {
        section: FILES,
        name: "WAPI_FFMPEG_PATH",
        default: Unset("the one on `PATH`"),
        example: "/usr/bin/ffmpeg",
        secret: false,
        meaning: "Full path of ffmpeg, for voice notes, videos from GIF and MOV, animated stickers, \
                  and thumbnails; `none` uses none.",
    },
    Setting {
        section: FILES,
        name: "WAPI_HEIF_CONVERT_PATH",
        default: Unset("the one on `PATH`"),
        example: "/usr/bin/heif-convert",
        secret: false,
        meaning: "Full path of heif-convert (or heif-dec) of libheif, for JPEG from HEIC and AVIF; \
                  `none` uses none. Debian has it in libheif-examples.",
    },
    Setting {
        section: LOGS,
        name: "WAPI_LOG",
        default: Value("info"),
        example: "info",
        secret: false,
        meaning: "Log filter, such as `info,wapi=debug`.",
    },
    Setting {
        section: LOGS,
        name: "WAPI_LOG_FORMAT",
        default: Value("text"),
        example: "json",
        secret: false,
        meaning: "`text`, for people, or `json`, an object per line.",
    },
    Setting {
        section: LOGS,
        name: "WAPI_SENTRY_DSN",
        default: Unset("none"),
        example: "https://key@sentry.example.com/1",
        secret: true,
        meaning: "Sentry, for lost devices, failed restores, and server errors, without texts and \
                  phone numbers.",
    },
    Setting {
        section: SIMULATED,
        name: "WAPI_WHATSAPP_URL",
        default: Unset("the real WhatsApp"),
        example: "ws://127.0.0.1:8080/ws/chat",
        secret: false,
        meaning: "A simulated WhatsApp on loopback, for builds with the feature `sandbox` only.",
    },
    Setting {
        section: SIMULATED,
        name: "WAPI_WHATSAPP_CA_FILE",
        default: Unset("none"),
        example: "/tmp/simulator-ca.pem",
        secret: false,
        meaning: "The certificate authority of the simulated WhatsApp.",
    },
];
