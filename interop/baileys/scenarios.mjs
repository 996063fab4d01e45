// The real Baileys client against the simulator, by hand: node scenarios.mjs PATH/TO/wapi-simulator [NAME…]
// Each scenario has a simulator of its own. Logs of failed ones stay in the folder that is printed at the start.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, openSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { affairs } from './affairs.mjs';

const CLIENT = fileURLToPath(new URL('client.mjs', import.meta.url));
const PATIENCE_MS = 20_000;
const [program, ...wanted] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'wapi-baileys-'));

/** A process that writes one JSON event per line, and everything it has said. */
class Talker {
	constructor(name, logs, command, args, env) {
		this.name = name;
		this.seen = [];
		this.waiting = new Set();
		const stderr = openSync(join(logs, `${name}.log`), 'w');
		this.process = spawn(command, args, { stdio: ['pipe', 'pipe', stderr], env: { ...process.env, ...env } });
		this.gone = new Promise(resolve => this.process.on('exit', resolve));
		const events = openSync(join(logs, `${name}.events`), 'w');
		createInterface({ input: this.process.stdout }).on('line', line => {
			writeFileSync(events, `${new Date().toISOString()} ${line}\n`);
			this.seen.push(JSON.parse(line));
			this.waiting.forEach(look => look());
		});
	}

	/** The first event from `start` on that has all the given fields. */
	async until(fields, start = 0) {
		const fits = event => Object.entries(fields).every(([name, value]) => event[name] === value);
		const find = () => this.seen.slice(start).find(fits);
		if (find()) return find();
		return new Promise((resolve, reject) => {
			const late = setTimeout(() => {
				this.waiting.delete(look);
				const last = this.seen.slice(-8).map(event => JSON.stringify(event).slice(0, 300));
				reject(new Error(`${this.name}: no ${JSON.stringify(fields)}; last:\n${last.join('\n')}`));
			}, PATIENCE_MS);
			const look = () => {
				if (find()) {
					clearTimeout(late);
					this.waiting.delete(look);
					resolve(find());
				}
			};
			this.waiting.add(look);
		});
	}

	count(fields) {
		return this.seen.filter(event => Object.entries(fields).every(([name, value]) => event[name] === value)).length;
	}
}

class Client extends Talker {
	refs = 0;

	async ask(op, fields = {}) {
		const ref = ++this.refs;
		this.process.stdin.write(`${JSON.stringify({ op, ref, ...fields })}\n`);
		const answer = await this.until({ ref });
		assert.notEqual(answer.event, 'error', `${this.name} ${op}: ${answer.message}`);
		return answer;
	}

	text(to, text) {
		return this.ask('send_text', { to, text });
	}

	image(to, bytes, caption) {
		const path = join(folder, `${randomBytes(6).toString('hex')}.bin`);
		writeFileSync(path, bytes);
		return this.ask('send_image', { to, path, caption });
	}

	async disconnect() {
		const start = this.seen.length;
		await this.ask('disconnect');
		await this.until({ event: 'closed' }, start);
	}

	async connect() {
		const start = this.seen.length;
		await this.ask('connect');
		await this.until({ event: 'open' }, start);
	}
}

/** A simulator and what talks to it. */
class World {
	constructor(name) {
		this.logs = mkdtempSync(join(folder, `${name}-`));
		this.talkers = [];
	}

	async start(args = []) {
		const env = { RUST_LOG: 'wapi_simulator=trace', NO_COLOR: '1' };
		const simulator = new Talker('simulator', this.logs, program, ['--listen', '127.0.0.1:0', ...args], env);
		this.simulator = simulator;
		this.ready = await simulator.until({});
	}

	async call(method, path, body) {
		const text = typeof body === 'string' ? body : JSON.stringify(body);
		const headers = typeof body === 'string' ? {} : { 'content-type': 'application/json' };
		const answer = await fetch(this.ready.admin + path, { method, headers, body: method === 'GET' ? undefined : text });
		const said = await answer.text();
		assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${said}`);
		return said ? JSON.parse(said) : null;
	}

	client(name, ...flags) {
		const { wss, noise_root_public_key_hex: root, ca_pem_file: ca } = this.ready;
		const args = [CLIENT, '--ws', wss, '--noise-root', root, '--ca', ca, '--push-name', name, ...flags];
		const client = new Client(`${name}${this.talkers.length}`, this.logs, process.execPath, args, {
			BAILEYS_LOG: process.env.BAILEYS_LOG ?? 'trace'
		});
		this.talkers.push(client);
		return client;
	}

	async phone(name) {
		return new Phone(this, await this.call('POST', '/phones', { name }));
	}

	/** A client linked to a phone by QR. */
	async linked(phone, name = 'Client') {
		const client = this.client(name);
		const { text } = await client.until({ event: 'qr' });
		const device = await this.call('POST', `/phones/${phone.number}/scan`, { qr: text });
		const open = await client.until({ event: 'open' });
		assert.equal(open.jid, device.jid);
		client.device = device.device;
		return client;
	}

	async finish() {
		const unknown = this.ready ? await this.call('GET', '/unknown-requests').catch(error => [error.message]) : [];
		for (const client of this.talkers) {
			client.process.stdin.end();
			await client.gone;
		}
		this.simulator.process.kill('SIGTERM');
		await this.simulator.gone;
		assert.deepEqual(unknown, []);
	}
}

class Phone {
	constructor(world, { number, jid, lid }) {
		Object.assign(this, { world, number, jid, lid });
	}

	post(path, body) {
		return this.world.call('POST', `/phones/${this.number}/${path}`, body);
	}

	async text(to, text) {
		return (await this.post('messages', { to: to.number, text })).id;
	}

	async image(to, bytes, caption) {
		const image = { base64: bytes.toString('base64'), mime: 'image/png', caption };
		return (await this.post('messages', { to: to.number, image })).id;
	}

	/** Asks again and again until `find` finds something in a list of the admin API. */
	async find(list, what, find) {
		const end = Date.now() + PATIENCE_MS;
		for (;;) {
			const answer = await this.world.call('GET', `/phones/${this.number}/${list}`);
			const found = find(answer);
			if (found) return found;
			assert.ok(Date.now() < end, `${this.number}: no ${what} in ${list}: ${JSON.stringify(answer).slice(0, 2000)}`);
			await sleep(50);
		}
	}

	message(id) {
		return this.find('messages', id, ({ messages }) => messages.find(message => message.id === id));
	}

	receipt(id, status, device) {
		const fits = receipt => receipt.id === id && receipt.status === status && receipt.from_device === device;
		return this.find('receipts', `${status} ${id} by ${device}`, receipts => receipts.find(fits));
	}

	async failures() {
		return (await this.world.call('GET', `/phones/${this.number}/messages`)).failures;
	}

	async isQuiet() {
		await this.find('devices', 'empty queues', devices => devices.every(device => device.queued === 0));
	}
}

const sha = bytes => createHash('sha256').update(bytes).digest('hex');

const scenarios = {
	...affairs,

	async mock_phone(world) {
		const client = world.client('Ann');
		const { text } = await client.until({ event: 'qr' });
		const answer = await world.call('POST', '/mock-phone/scan-qr', text);
		const open = await client.until({ event: 'open' });
		assert.equal(open.jid, `${answer.number}:${answer.device.device}@s.whatsapp.net`);
		assert.equal(open.lid?.split(/[:@]/)[0], answer.lid.split('@')[0]);
		await new Phone(world, answer).isQuiet();
	},

	async two_accounts(world) {
		const [ann, bob] = [await world.phone('Ann'), await world.phone('Bob')];
		const [a, b] = [await world.linked(ann, 'Ann'), await world.linked(bob, 'Bob')];
		for (const [from, x, to, y] of [[ann, a, bob, b], [bob, b, ann, a]]) {
			const { id } = await x.text(to.jid, `hi from ${from.number}`);
			const message = await y.until({ event: 'message', id });
			assert.equal(message.text, `hi from ${from.number}`);
			assert.equal(message.from_me, false);
			assert.equal(message.offline, false);
			assert.equal(message.push_name, from === ann ? 'Ann' : 'Bob');
			assert.ok([message.chat, message.chat_alt].includes(from.jid), JSON.stringify(message));
			assert.ok([message.chat, message.chat_alt].includes(from.lid), JSON.stringify(message));
			await x.until({ event: 'receipt', id, status: 'server' });
			await x.until({ event: 'receipt', id, status: 'delivered' });
			assert.equal((await to.message(id)).text, message.text);
			assert.equal((await from.message(id)).from_me, true);

			const bytes = randomBytes(70_000);
			const image = await x.image(to.jid, bytes, 'look');
			const seen = await y.until({ event: 'message', id: image.id });
			assert.deepEqual([seen.type, seen.caption, seen.media.sha256, seen.media.error], ['image', 'look', sha(bytes), undefined]);
			await y.ask('read', { keys: [message, seen] });
			await x.until({ event: 'receipt', id, status: 'read' });
			await x.until({ event: 'receipt', id: image.id, status: 'read' });
		}
		await ann.isQuiet();
		await bob.isQuiet();
		assert.deepEqual([...(await ann.failures()), ...(await bob.failures())], []);
	},

	async with_a_phone(world) {
		const [ann, tom] = [await world.phone('Ann'), await world.phone('Tom')];
		const a = await world.linked(ann, 'Ann');
		const { id } = await a.text(tom.jid, 'to the phone');
		assert.equal((await tom.message(id)).text, 'to the phone');
		assert.equal((await tom.message(id)).from, ann.jid);
		assert.equal((await ann.message(id)).chat, tom.jid);
		await a.until({ event: 'receipt', id, status: 'delivered' });
		await tom.post('read', { chat: ann.number, ids: [id] });
		await a.until({ event: 'receipt', id, status: 'read' });

		const bytes = randomBytes(40_000);
		const sent = await a.image(tom.jid, bytes, 'mine');
		const got = await tom.message(sent.id);
		assert.deepEqual([got.kind, got.caption, got.media?.bytes], ['image', 'mine', bytes.toString('base64')]);

		const text = await tom.text(ann, 'from the phone');
		const message = await a.until({ event: 'message', id: text });
		assert.deepEqual([message.text, message.push_name, message.from_me], ['from the phone', 'Tom', false]);
		await tom.receipt(text, 'delivered', a.device);
		const theirs = randomBytes(40_000);
		const picture = await a.until({ event: 'message', id: await tom.image(ann, theirs, 'yours') });
		assert.deepEqual([picture.caption, picture.media.sha256, picture.media.mime], ['yours', sha(theirs), 'image/png']);
		await a.ask('read', { keys: [message, picture] });
		await tom.receipt(text, 'read', a.device);
		await tom.receipt(picture.id, 'read', a.device);
		// By its LID, too.
		const byLid = await a.text(tom.lid, 'by lid');
		assert.equal((await tom.message(byLid.id)).text, 'by lid');
		await a.until({ event: 'receipt', id: byLid.id, status: 'delivered' });
		await ann.isQuiet();
		assert.deepEqual([...(await ann.failures()), ...(await tom.failures())], []);
	},

	async own_phone(world) {
		const [ann, tom] = [await world.phone('Ann'), await world.phone('Tom')];
		const a = await world.linked(ann, 'Ann');
		const id = await ann.text(tom, 'typed on my phone');
		const copy = await a.until({ event: 'message', id });
		assert.deepEqual([copy.text, copy.from_me], ['typed on my phone', true]);
		assert.ok([copy.chat, copy.chat_alt].includes(tom.jid), JSON.stringify(copy));
		await a.until({ event: 'receipt', id, status: 'delivered' });
		await ann.isQuiet();
	},

	async offline(world) {
		const [ann, bob, tom] = [await world.phone('Ann'), await world.phone('Bob'), await world.phone('Tom')];
		const [a, b] = [await world.linked(ann, 'Ann'), await world.linked(bob, 'Bob')];
		await b.until({ event: 'message', id: (await a.text(bob.jid, 'first')).id });
		await b.disconnect();
		const texts = [];
		for (let n = 0; n < 20; n++) {
			texts.push(`queued ${n}`);
			if (n % 2) {
				const { id } = await a.text(bob.jid, `queued ${n}`);
				await a.until({ event: 'receipt', id, status: 'server' });
			} else {
				await tom.text(bob, `queued ${n}`);
			}
		}
		const start = b.seen.length;
		await b.connect();
		for (const text of texts) {
			assert.equal((await b.until({ event: 'message', text })).offline, true);
		}
		const order = b.seen.slice(start).filter(event => event.event === 'message');
		assert.deepEqual(order.map(event => event.text), texts);
		const live = await b.until({ event: 'message', id: await tom.text(bob, 'live') });
		assert.equal(live.offline, false);
		for (const event of order.filter((_, n) => n % 2)) {
			await a.until({ event: 'receipt', id: event.id, status: 'delivered' });
		}
		await bob.isQuiet();
		assert.deepEqual(b.count({ event: 'undecryptable' }), 0);
	},

	async second_device(world) {
		const [ann, bob] = [await world.phone('Ann'), await world.phone('Bob')];
		const [a, b] = [await world.linked(ann, 'Ann'), await world.linked(bob, 'Bob')];
		await b.until({ event: 'message', id: (await a.text(bob.jid, 'one device')).id });
		const c = await world.linked(ann, 'Ann');
		// Baileys does not read what WhatsApp says of an account's own devices.
		await a.ask('forget_devices');
		const { id } = await a.text(bob.jid, 'from the first');
		await b.until({ event: 'message', id });
		const copy = await c.until({ event: 'message', id });
		assert.deepEqual([copy.text, copy.from_me], ['from the first', true]);
		assert.ok([copy.chat, copy.chat_alt].includes(bob.jid), JSON.stringify(copy));
		const second = await c.text(bob.jid, 'from the second');
		await b.until({ event: 'message', id: second.id });
		assert.equal((await a.until({ event: 'message', id: second.id })).from_me, true);
		const answer = await b.text(ann.jid, 'to both');
		await Promise.all([a, c].map(client => client.until({ event: 'message', id: answer.id })));
		const phone = await ann.text(bob, 'from the phone');
		await Promise.all([a, b, c].map(client => client.until({ event: 'message', id: phone })));
		const image = await a.image(bob.jid, randomBytes(5000), 'copied');
		assert.equal((await c.until({ event: 'message', id: image.id })).media.error, undefined);
		await ann.isQuiet();
		await bob.isQuiet();
		assert.equal(a.count({ event: 'undecryptable' }) + b.count({ event: 'undecryptable' }) + c.count({ event: 'undecryptable' }), 0);
	},

	/** The client lost its sessions: what the phone sends for the old one must come again. */
	async retry_from_phone(world) {
		const [ann, tom] = [await world.phone('Ann'), await world.phone('Tom')];
		const a = await world.linked(ann, 'Ann');
		await a.text(tom.jid, 'opens the session');
		await a.until({ event: 'message', id: await tom.text(ann, 'before') });
		await a.disconnect();
		await a.ask('forget_sessions');
		await a.connect();
		const id = await tom.text(ann, 'again please');
		await a.until({ event: 'undecryptable', id });
		assert.equal((await a.until({ event: 'message', id })).text, 'again please');
		await tom.receipt(id, 'delivered', a.device);
		const { id: back } = await a.text(tom.jid, 'and back');
		assert.equal((await tom.message(back)).text, 'and back');
		await ann.isQuiet();
	},

	/** The phone cannot decrypt: it asks, the client sends again. */
	async retry_to_phone(world) {
		const [ann, tom] = [await world.phone('Ann'), await world.phone('Tom')];
		const a = await world.linked(ann, 'Ann');
		await a.text(tom.jid, 'opens the session');
		await a.until({ event: 'message', id: await tom.text(ann, 'answered') });
		await tom.message((await a.text(tom.jid, 'ratchets')).id);
		await a.ask('spoil_sessions');
		const { id } = await a.text(tom.jid, 'again please');
		assert.equal((await tom.message(id)).text, 'again please');
		assert.ok((await tom.failures()).length > 0);
		await a.until({ event: 'receipt', id, status: 'delivered' });
		assert.equal((await a.until({ event: 'message', id: await tom.text(ann, 'and back') })).text, 'and back');
		assert.equal((await ann.message(id)).from_me, true);
		await ann.isQuiet();
	},

	async retry_between_clients(world) {
		const [ann, bob] = [await world.phone('Ann'), await world.phone('Bob')];
		const [a, b] = [await world.linked(ann, 'Ann'), await world.linked(bob, 'Bob')];
		await b.until({ event: 'message', id: (await a.text(bob.jid, 'one')).id });
		await a.until({ event: 'message', id: (await b.text(ann.jid, 'two')).id });
		await b.disconnect();
		await b.ask('forget_sessions');
		await b.connect();
		const { id } = await a.text(bob.jid, 'again please');
		await b.until({ event: 'undecryptable', id });
		assert.equal((await b.until({ event: 'message', id })).text, 'again please');
		await a.until({ event: 'receipt', id, status: 'delivered' });
		await a.until({ event: 'message', id: (await b.text(ann.jid, 'and back')).id });
		assert.equal(b.count({ event: 'message', id }), 1, 'shown once');
		await ann.isQuiet();
		await bob.isQuiet();
	},

	async pair_code(world) {
		const [ann, tom] = [await world.phone('Ann'), await world.phone('Tom')];
		const a = world.client('Ann');
		const { code } = await a.ask('pair_code', { phone: ann.number });
		const device = await ann.post('link-code', { code });
		assert.equal((await a.until({ event: 'open' })).jid, device.jid);
		assert.equal((await a.until({ event: 'message', id: await tom.text(ann, 'hello') })).text, 'hello');
		await ann.isQuiet();
	},

	async wrong_code(world) {
		const ann = await world.phone('Ann');
		const a = world.client('Ann');
		await a.ask('pair_code', { phone: ann.number });
		await assert.rejects(ann.post('link-code', { code: 'AAAA-AAAA' }), /409/);
		assert.equal(a.count({ event: 'open' }), 0);
	},

	async logout_from_client(world) {
		const ann = await world.phone('Ann');
		const a = await world.linked(ann, 'Ann');
		await a.ask('logout');
		assert.equal((await a.until({ event: 'closed' })).code, 401);
		await ann.find('devices', 'no devices', devices => devices.length === 0);
	},

	async logout_from_phone(world) {
		const ann = await world.phone('Ann');
		const a = await world.linked(ann, 'Ann');
		await world.call('DELETE', `/phones/${ann.number}/devices/${a.device}`, {});
		assert.equal((await a.until({ event: 'closed' })).code, 401);
		await a.ask('connect');
		const start = a.seen.length;
		assert.equal((await a.until({ event: 'closed' }, start)).code, 401);
	},

	async faults(world) {
		const [ann, tom] = [await world.phone('Ann'), await world.phone('Tom')];
		const a = await world.linked(ann, 'Ann');
		for (const [fault, code] of [[{ fault: 'cut' }, 428], [{ fault: 'stream_error', code: 503 }, 503]]) {
			const start = a.seen.length;
			await ann.post(`devices/${a.device}/faults`, fault);
			assert.equal((await a.until({ event: 'closed' }, start)).code, code);
			await a.connect();
			await a.until({ event: 'message', id: await tom.text(ann, `after ${fault.fault}`) });
		}
		await world.call('POST', '/faults', { fault: 'acks', mode: 'refuse', code: 463 });
		const { id } = await a.text(tom.jid, 'refused');
		assert.equal((await a.until({ event: 'receipt', id, status: 'error' })).code, '463');
		await world.call('POST', '/faults', { fault: 'acks', mode: 'normal' });
		for (const mode of ['repeat', 'reorder', 'normal']) {
			await world.call('POST', '/faults', { fault: 'deliveries', mode });
			const ids = [await tom.text(ann, `${mode} 1`), await tom.text(ann, `${mode} 2`)];
			for (const id of ids) {
				await a.until({ event: 'message', id });
			}
			await ann.isQuiet();
			ids.forEach(id => assert.equal(a.count({ event: 'message', id }), 1, mode));
		}
	}
};

if (!program) {
	console.error('usage: scenarios.mjs SIMULATOR [NAME…]');
	process.exit(2);
}
console.log(`logs: ${folder}`);
for (const lid of { pn: [false], lid: [true] }[process.env.ADDRESSING] ?? [false, true]) {
	for (const [name, run] of Object.entries(scenarios)) {
		if (wanted.length && !wanted.includes(name)) continue;
		const world = new World(`${name}${lid ? '-lid' : ''}`);
		const began = Date.now();
		const problems = [];
		try {
			await world.start(lid ? ['--lid'] : []);
			await run(world);
		} catch (error) {
			problems.push(error);
		}
		await world.finish().catch(error => problems.push(error));
		const stderrs = problems.map(error => `\n    ${error.message.replaceAll('\n', '\n    ')}`);
		const verdict = problems.length ? 'FAILED' : 'ok';
		console.log(`${verdict} ${name}${lid ? ' (lid)' : ''} ${Date.now() - began} ms${stderrs.join('')}`);
		process.exitCode ||= problems.length ? 1 : 0;
	}
}
process.exit();
