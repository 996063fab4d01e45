// The two promises this folder makes by itself: nothing but the simulator is reached, and a wrong signature is refused.
// Run with `node --test`.
import assert from 'node:assert/strict';
import net from 'node:net';
import tls from 'node:tls';
import { test } from 'node:test';
import { fence } from './fence.mjs';
import { verifySignaturesForReal } from './strict.mjs';

verifySignaturesForReal();
const { Curve } = await import('baileys');

test('a right signature passes, and any changed byte is refused', () => {
	const { private: secret, public: key } = Curve.generateKeyPair();
	const message = Buffer.from('a message');
	const signature = Curve.sign(secret, message);
	assert.equal(Curve.verify(key, message, signature), true);
	for (let at = 0; at < signature.length; at++) {
		const changed = Buffer.from(signature);
		changed[at] ^= 1;
		assert.equal(Curve.verify(key, message, changed), false, `byte ${at}`);
	}
	assert.equal(Curve.verify(key, Buffer.from('another'), signature), false);
	assert.equal(Curve.verify(Curve.generateKeyPair().public, message, signature), false);
});

test('only the given host and port may be dialled', async () => {
	const server = net.createServer(socket => socket.end());
	await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
	const { port } = server.address();
	const breaches = [];
	fence(new URL(`wss://127.0.0.1:${port}/ws/chat`), address => breaches.push(address));

	await new Promise(resolve => net.connect(port, '127.0.0.1').on('close', resolve).resume());
	assert.deepEqual(breaches, []);

	assert.throws(() => net.connect({ host: '127.0.0.1', port: port + 1 }));
	assert.throws(() => net.connect(port, 'localhost'));
	assert.throws(() => net.connect('/tmp/a-socket'));
	assert.throws(() => tls.connect({ host: 'web.whatsapp.com', port: 443 }));
	await assert.rejects(fetch('https://mmg.whatsapp.net/'));
	assert.equal(breaches.length, 5);
	assert.deepEqual(breaches.slice(-2), ['web.whatsapp.com:443', 'mmg.whatsapp.net:443']);
	server.close();
});
