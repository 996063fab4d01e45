// One WhatsApp account on the real Baileys client, driven by lines: a JSON command per line in, a JSON event per line out.
// README.md lists both. Nothing but events is ever written to standard output; logs go to standard error.
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { createInterface } from 'node:readline';
import { Console } from 'node:console';
import { parseArgs } from 'node:util';
import { downloader, fence } from './fence.mjs';
import { watchGroups } from './groups.mjs';
import { profileOperations, watchProfiles } from './profile.mjs';
import { shopOperations } from './shop.mjs';
import { verifySignaturesForReal } from './strict.mjs';

const EXIT = { ok: 0, crashed: 1, misused: 2, fenced: 3, outOfTime: 4 };
const STATUS = ['error', 'pending', 'server', 'delivered', 'read', 'played'];
const ACKNOWLEDGED = STATUS.indexOf('server');
const RESTART = 515;
const GOODBYE_MS = 2000;

/** What Baileys says where the account's app state is not what its MACs promise; it says so in its log alone. */
const APP_STATE_FAILURES = ['LTHash verification failed', 'failed to decode patch', 'failed to sync', 'blocked on missing key', 'HMAC'];

const flags = readFlags();
const events = { emit: event => process.stdout.write(`${JSON.stringify(event)}\n`) };
const log = makeLog(process.env.BAILEYS_LOG ?? 'error');

// libsignal talks on the console, whose standard output is ours.
globalThis.console = new Console(process.stderr, process.stderr);
fence(flags.ws, address => leave(EXIT.fenced, `tried to dial ${address}`));
globalThis.fetch = downloader(flags.ca, flags.ws.host);
if (!flags.lax) {
	verifySignaturesForReal(right => right || log.error('a wrong signature was refused'));
}
const baileys = await import('baileys');
baileys.WA_CERT_DETAILS.PUBLIC_KEY = flags.noiseRoot;

const auth = { creds: baileys.initAuthCreds(), keys: memoryKeys() };
const deviceLists = memoryCache();
const sentMessages = new Map();
// By id, both ways: what commands answer, react to, change and delete.
const known = new Map();
let socket;
let qrShown = deferred();

process.on('uncaughtException', error => leave(EXIT.crashed, error.stack));
process.on('unhandledRejection', error => log.error({ error }, 'unhandled rejection'));
setTimeout(() => leave(EXIT.outOfTime, `still running after ${flags.maxSeconds} s`), flags.maxSeconds * 1000);
process.stdout.on('error', () => process.exit(EXIT.ok));

connect();
listen();

// ---- the connection

function connect() {
	qrShown = deferred();
	const current = baileys.makeWASocket({
		waWebSocketUrl: flags.ws,
		agent: flags.ws.protocol === 'wss:' ? new https.Agent({ ca: flags.ca }) : undefined,
		fetchAgent: new https.Agent({ ca: flags.ca }),
		auth,
		logger: log,
		pushName: flags.pushName,
		// Messages must not wait for a history that the phone of most tests does not send.
		shouldSyncHistoryMessage: () => flags.history,
		syncFullHistory: false,
		appStateMacVerification: { patch: true, snapshot: true },
		emitOwnEvents: false,
		userDevicesCache: deviceLists,
		getMessage: async key => sentMessages.get(key.id)
	});
	socket = current;
	current.ev.on('creds.update', update => {
		Object.assign(auth.creds, update);
		if (update.myAppStateKeyId) {
			events.emit({ event: 'app_state_key' });
		}
		// A phone tells its companions their name by app state. Without a name Baileys is never "available".
		if (auth.creds.me && flags.pushName) {
			auth.creds.me.name ||= flags.pushName;
		}
	});
	current.ev.on('connection.update', update => onConnection(current, update));
	current.ev.on('messages.upsert', ({ messages, type }) => {
		for (const message of messages) {
			onMessage(message, type === 'append').catch(error => fail(undefined, error));
		}
	});
	current.ev.on('messages.update', updates => updates.forEach(onStatus));
	current.ev.on('messages.update', updates => updates.forEach(onChange));
	current.ev.on('messages.reaction', reactions => reactions.forEach(onReaction));
	current.ev.on('message-receipt.update', updates => updates.forEach(onGroupReceipt));
	current.ev.on('chats.update', changes => changes.forEach(onChat));
	current.ev.on('messaging-history.set', onHistory);
	current.ev.on('contacts.upsert', contacts => contacts.forEach(onContact));
	watchProfiles(current, events.emit);
	watchGroups(current, events.emit);
	current.ws.on('CB:ack,class:message', ({ attrs }) => {
		if (!attrs.error) {
			events.emit({ event: 'receipt', id: attrs.id, status: 'server' });
		}
	});
}

function onConnection(current, { connection, qr, lastDisconnect }) {
	if (qr) {
		qrShown.resolve();
		events.emit({ event: 'qr', text: qr });
	}
	if (connection === 'open') {
		// The credentials learn the LID in a handler of the same tick.
		setImmediate(() => events.emit({ event: 'open', jid: auth.creds.me.id, lid: auth.creds.me.lid ?? null }));
	}
	if (connection === 'close' && current === socket) {
		const code = lastDisconnect?.error?.output?.statusCode ?? 0;
		socket = undefined;
		if (code === RESTART) {
			events.emit({ event: 'restart' });
			connect();
		} else {
			events.emit({ event: 'closed', code, reason: lastDisconnect?.error?.message ?? 'asked' });
		}
	}
}

// ---- what arrives

async function onMessage({ key, message, messageStubParameters, pushName, status }, offline) {
	const sender = key.participant || (key.fromMe ? auth.creds.me.id : key.remoteJid);
	const head = { id: key.id, chat: key.remoteJid, chat_alt: key.remoteJidAlt ?? null, sender, from_me: !!key.fromMe };
	const content = baileys.normalizeMessageContent(message);
	const kind = baileys.getContentType(content);
	if (!kind) {
		events.emit({ event: 'undecryptable', ...head, reason: messageStubParameters?.[0] ?? 'empty', offline });
		return;
	}
	if (kind === 'protocolMessage') {
		log.debug({ head }, 'protocol message');
		return;
	}
	// A receipt that came while Baileys held the message back is not told apart: it is the message's status.
	if (key.fromMe && status > ACKNOWLEDGED) {
		onStatus({ key, update: { status } });
	}
	if (kind === 'pollUpdateMessage') {
		onVote(key, content.pollUpdateMessage);
		return;
	}
	known.set(key.id, { key, message });
	const body = content[kind];
	const type = kind === 'conversation' || kind === 'extendedTextMessage' ? 'text' : kind.replace(/Message$/, '');
	const text = typeof body === 'string' ? body : (body.text ?? null);
	const media = body.mediaKey ? await download({ key, message }, body) : null;
	events.emit({ event: 'message', ...head, type, text, caption: body.caption ?? null, push_name: pushName ?? null, media, offline, body: plain(body) });
}

/** What another device of the account did to a chat; Baileys tells of its messages in the same event. */
function onChat({ id, archived, pinned, muteEndTime, unreadCount }) {
	const change = { archived, pinned, muted_until: muteEndTime, unread: unreadCount === undefined ? undefined : unreadCount < 0 };
	if (archived !== undefined || pinned !== undefined || muteEndTime !== undefined || unreadCount < 0) {
		events.emit({ event: 'chat', chat: id, ...change });
	}
}

/** A part of the past that the phone has told, or some parts in one. */
async function onHistory({ chats, contacts, messages, syncType, progress }) {
	const text = ({ key, message }) => ({ id: key.id, chat: key.remoteJid, from_me: !!key.fromMe, text: message?.conversation ?? null });
	const name = ({ id, name, notify }) => ({ id, name: name ?? null, push_name: notify ?? null });
	// What Baileys keeps of it: where it holds events back, it forgets to tell.
	const numbers = chats.map(({ id }) => id.split('@')[0]);
	const lids = await auth.keys.get('lid-mapping', numbers);
	events.emit({
		event: 'history',
		type: syncType,
		progress: progress ?? null,
		chats: chats.map(({ id }) => id),
		contacts: contacts.map(name),
		messages: messages.map(text),
		lids
	});
}

function onContact({ id, name }) {
	if (name) {
		events.emit({ event: 'contact', id, name });
	}
}

/** What Baileys makes of an edit, a star or a deletion. */
function onChange({ key, update }) {
	const edited = update.message?.editedMessage?.message;
	if (edited) {
		events.emit({ event: 'edited', id: key.id, text: edited.conversation ?? edited.extendedTextMessage?.text ?? null });
	}
	if (typeof update.starred === 'boolean') {
		events.emit({ event: 'starred', id: key.id, starred: update.starred });
	}
	if (update.message === null) {
		events.emit({ event: 'deleted', id: key.id });
	}
}

function onReaction({ key, reaction }) {
	events.emit({ event: 'reaction', id: key.id, from_me: !!key.fromMe, emoji: reaction.text || null });
}

/** Baileys opens votes for those who ask it to, and does not know by which of their addresses people voted. */
function onVote(key, { pollCreationMessageKey, vote }) {
	const poll = known.get(pollCreationMessageKey.id)?.message;
	const own = [auth.creds.me.id, auth.creds.me.lid].filter(Boolean).map(baileys.jidNormalizedUser);
	const theirs = [key.remoteJid, key.remoteJidAlt].filter(Boolean).map(baileys.jidNormalizedUser);
	const creators = pollCreationMessageKey.fromMe ? own : theirs;
	const voters = key.fromMe ? own : theirs;
	const pollEncKey = poll?.messageContextInfo?.messageSecret;
	const pairs = creators.flatMap(pollCreatorJid => voters.map(voterJid => ({ pollCreatorJid, voterJid })));
	for (const pair of pairs) {
		try {
			const opened = baileys.decryptPollVote(vote, { ...pair, pollEncKey, pollMsgId: pollCreationMessageKey.id });
			const pollUpdates = [{ pollUpdateMessageKey: key, vote: opened, senderTimestampMs: Date.now() }];
			const counted = baileys.getAggregateVotesInPollMessage({ message: poll, pollUpdates }, auth.creds.me.id);
			const options = counted.filter(({ voters }) => voters.length > 0).map(({ name }) => name);
			events.emit({ event: 'vote', id: pollCreationMessageKey.id, options });
			return;
		} catch (error) {
			log.debug({ error, pair }, 'a vote did not open');
		}
	}
	events.emit({ event: 'error', ref: null, message: `a vote on ${pollCreationMessageKey.id} does not open` });
}

/** As JSON; bytes in hexadecimal. */
function plain(body) {
	return JSON.parse(JSON.stringify(body, readable));
}

/** Baileys checks no hash of what it downloads, so the plain bytes are compared here with what the message promised. */
async function download(message, { mimetype, fileSha256 }) {
	try {
		const bytes = await baileys.downloadMediaMessage(message, 'buffer', {}, { logger: log });
		const sha256 = createHash('sha256').update(bytes).digest('hex');
		const promised = Buffer.from(fileSha256 ?? []).toString('hex');
		const error = sha256 === promised ? undefined : `the message promised sha256 ${promised}`;
		return { mime: mimetype, sha256, bytes: bytes.length, error };
	} catch (error) {
		return { mime: mimetype, error: explain(error) };
	}
}

function onStatus({ key, update }) {
	if (typeof update.status === 'number') {
		const code = update.messageStubParameters?.[0];
		events.emit({ event: 'receipt', id: key.id, status: STATUS[update.status], code });
	}
}

function onGroupReceipt({ key, receipt }) {
	const status = receipt.readTimestamp ? 'read' : 'delivered';
	events.emit({ event: 'receipt', id: key.id, status, by: receipt.userJid });
}

// ---- what is asked

const operations = {
	...profileOperations(open),
	...shopOperations(open, send),
	send_text: ({ to, text }) => send(to, { text, linkPreview: null }),
	// A thumbnail would need an image library, and tests send bytes that are no image.
	send_image: ({ to, path, caption }) => send(to, { image: readFileSync(path), caption, jpegThumbnail: '' }),
	// Any content that Baileys knows.
	send: ({ to, content, quoted, options }) => send(to, content, { ...options, ...(quoted && { quoted: meant(quoted) }) }),
	react: ({ to, id, emoji }) => send(to, { react: { text: emoji ?? '', key: meant(id).key } }),
	edit: ({ to, id, text }) => send(to, { text, edit: meant(id).key, linkPreview: null }),
	delete: ({ to, id }) => send(to, { delete: meant(id).key }),
	star: async ({ chat, id, from_me, starred }) => {
		await open().chatModify({ star: { messages: [{ id, fromMe: from_me }], star: starred } }, chat);
		return { event: 'done' };
	},
	// What Baileys can do with newsletters: `newsletterFollow`, `newsletterMetadata`, …
	newsletter: async ({ method, args }) => {
		const result = await open()[method](...args);
		return { event: 'done', result: plain(result ?? null) };
	},
	read: async ({ keys }) => {
		const theirs = keys.map(({ id, chat, sender }) => ({
			id,
			remoteJid: chat,
			fromMe: false,
			participant: baileys.isJidGroup(chat) || baileys.isJidStatusBroadcast(chat) ? sender : undefined
		}));
		await open().readMessages(theirs);
		return { event: 'done' };
	},
	// What Baileys' `chatModify` takes: `{archive}`, `{pin}`, `{mute}`, `{markRead}`, …
	set_chat: async ({ chat, change }) => {
		await open().chatModify({ lastMessages: [], ...change }, chat);
		return { event: 'done' };
	},
	pair_code: async ({ phone }) => {
		await qrShown.promise;
		// Baileys does not wait for the server's answer, before which the code means nothing to anyone.
		const { ws, requestPairingCode } = open();
		const answered = new Promise(resolve => ws.once('CB:iq,,link_code_companion_reg', resolve));
		const code = await requestPairingCode(phone);
		await answered;
		return { event: 'pairing_code', code };
	},
	logout: async () => {
		await open().logout();
		return { event: 'done' };
	},
	disconnect: async () => {
		await open().end(undefined);
		return { event: 'done' };
	},
	connect: async () => {
		if (socket) {
			throw new Error('already connected');
		}
		connect();
		return { event: 'done' };
	},
	// As after the five minutes for which Baileys keeps the lists of people's devices, its own account's among them.
	forget_devices: async () => {
		deviceLists.clear();
		return { event: 'done' };
	},
	// As after a restored backup: the identity is the same, and what others encrypt for the old sessions is lost.
	forget_sessions: async () => {
		auth.keys.each('session', () => null);
		return { event: 'done' };
	},
	// What this side encrypts next does not decrypt at the other one, unless Baileys asks for new sessions, as it does once a connection.
	spoil_sessions: async () => {
		auth.keys.each('session', spoilt);
		return { event: 'done' };
	}
};

/** A session record of libsignal whose sending chains have another key. */
function spoilt(record) {
	const SENDING = 1;
	const copy = structuredClone(record);
	for (const session of Object.values(copy._sessions)) {
		for (const { chainType, chainKey } of Object.values(session._chains)) {
			if (chainType === SENDING) {
				chainKey.key = randomBytes(32).toString('base64');
			}
		}
	}
	return copy;
}

function meant(id) {
	if (!known.has(id)) {
		throw new Error(`no message ${id}`);
	}
	return known.get(id);
}

async function send(to, content, options = {}) {
	const message = await open().sendMessage(to, content, options);
	sentMessages.set(message.key.id, message.message);
	known.set(message.key.id, message);
	return { event: 'sent', id: message.key.id };
}

function open() {
	if (!socket) {
		throw new Error('not connected');
	}
	return socket;
}

/** Commands run one after another, so that messages leave in the order asked. Only `quit` does not wait its turn. */
function listen() {
	let turn = Promise.resolve();
	const lines = createInterface({ input: process.stdin });
	lines.on('line', line => {
		let command;
		try {
			command = JSON.parse(line);
		} catch (error) {
			fail(undefined, error);
			return;
		}
		if (command.op === 'quit') {
			quit();
			return;
		}
		turn = turn.then(() => run(command));
	});
	lines.on('close', quit);
}

async function run(command) {
	try {
		const operation = operations[command.op];
		if (!operation) {
			throw new Error(`unknown op ${command.op}`);
		}
		const { event, ...rest } = await operation(command);
		events.emit({ event, ref: command.ref, ...rest });
	} catch (error) {
		fail(command.ref, error);
	}
}

function fail(ref, error) {
	log.error({ error }, 'failed');
	events.emit({ event: 'error', ref: ref ?? null, message: explain(error) });
}

async function quit() {
	setTimeout(() => process.exit(EXIT.ok), GOODBYE_MS);
	await socket?.end(undefined);
	process.exit(EXIT.ok);
}

function leave(code, reason) {
	events.emit({ event: 'error', ref: null, message: reason });
	process.exit(code);
}

// ---- small parts

function readFlags() {
	const usage = 'usage: client.mjs --ws URL --noise-root HEX [--ca FILE] [--push-name NAME] [--max-seconds N] [--lax-signatures] [--history]';
	try {
		const { values } = parseArgs({
			options: {
				ws: { type: 'string' },
				'noise-root': { type: 'string' },
				ca: { type: 'string' },
				'push-name': { type: 'string' },
				'max-seconds': { type: 'string', default: '120' },
				'lax-signatures': { type: 'boolean', default: false },
				history: { type: 'boolean', default: false }
			}
		});
		const noiseRoot = Buffer.from(values['noise-root'] ?? '', 'hex');
		const maxSeconds = Number(values['max-seconds']);
		if (noiseRoot.length !== 32 || !(maxSeconds > 0)) {
			throw new Error('--noise-root is 64 hex digits, --max-seconds a positive number');
		}
		const ca = values.ca && readFileSync(values.ca);
		return { ws: new URL(values.ws), noiseRoot, ca, pushName: values['push-name'], maxSeconds, lax: values['lax-signatures'], history: values.history };
	} catch (error) {
		process.stderr.write(`${error.message}\n${usage}\n`);
		process.exit(EXIT.misused);
	}
}

/** What Baileys keeps lists of devices in. */
function memoryCache() {
	const all = new Map();
	return {
		get: async key => all.get(key),
		set: async (key, value) => void all.set(key, value),
		del: async key => void all.delete(key),
		flushAll: async () => all.clear(),
		clear: () => all.clear()
	};
}

function memoryKeys() {
	const all = new Map();
	return {
		get: async (type, ids) =>
			Object.fromEntries(ids.filter(id => all.has(`${type}/${id}`)).map(id => [id, all.get(`${type}/${id}`)])),
		set: async update => {
			for (const [type, entries] of Object.entries(update)) {
				for (const [id, value] of Object.entries(entries)) {
					value === null || value === undefined ? all.delete(`${type}/${id}`) : all.set(`${type}/${id}`, value);
				}
			}
		},
		/** Replaces every value of a type; null removes it. */
		each: (type, change) => {
			for (const [name, value] of all) {
				if (name.startsWith(`${type}/`)) {
					const changed = change(value);
					changed === null ? all.delete(name) : all.set(name, changed);
				}
			}
		}
	};
}

/** Baileys' logger interface on standard error, one JSON line per entry. At `trace` Baileys adds every stanza as XML. */
function makeLog(level) {
	const levels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'];
	const least = Math.max(0, levels.indexOf(level));
	const log = { level: levels[least], child: () => log };
	for (const [rank, name] of levels.slice(0, -1).entries()) {
		log[name] = (first, second) => {
			const [fields, message] = typeof first === 'string' ? [undefined, first] : [first, second];
			if (APP_STATE_FAILURES.some(failure => message?.includes(failure))) {
				events.emit({ event: 'app_state_failure', message, reason: fields?.error ?? null });
			}
			if (rank >= least) {
				process.stderr.write(`${JSON.stringify({ level: name, message, fields }, readable)}\n`);
			}
		};
	}
	return log;
}

function readable(_key, value) {
	if (value instanceof Error) {
		return { error: value.message, data: value.data, stack: value.stack };
	}
	const isBytes = value instanceof Uint8Array || (value?.type === 'Buffer' && Array.isArray(value.data));
	return isBytes ? Buffer.from(value.data ?? value).toString('hex') : value;
}

function explain(error) {
	const code = error?.output?.statusCode;
	return code ? `${error.message} (${code})` : String(error?.message ?? error);
}

function deferred() {
	const parts = {};
	parts.promise = new Promise(resolve => (parts.resolve = resolve));
	return parts;
}
