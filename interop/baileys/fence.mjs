// The fence: this process can reach one host and port, the simulated WhatsApp's, and nothing else.
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { Readable } from 'node:stream';

/**
 * Refuses every outgoing connection of the process but those to `url`'s host and port. All of Node's clients (ws, https, fetch)
 * end in `Socket.connect`, so this one place is enough. `onBreach(address)` is called before the refusal is thrown.
 */
export function fence(url, onBreach) {
	const allowed = `${url.hostname}:${url.port || (url.protocol === 'wss:' ? 443 : 80)}`;
	const connect = net.Socket.prototype.connect;
	net.Socket.prototype.connect = function (...args) {
		const address = addressOf(args);
		if (address !== allowed) {
			onBreach(address);
			throw new Error(`refused to dial ${address}: only ${allowed} may be reached`);
		}
		return connect.apply(this, args);
	};
}

/** The forms of `Socket.connect`: (options), (port, host), (path), or one array that holds any of these. */
function addressOf(args) {
	const [first, second] = Array.isArray(args[0]) ? args[0] : args;
	if (first !== null && typeof first === 'object') {
		return first.path && !first.port ? first.path : `${first.host ?? 'localhost'}:${first.port}`;
	}
	const isPort = Number.isInteger(Number(first));
	return isPort ? `${typeof second === 'string' ? second : 'localhost'}:${first}` : String(first);
}

/** Where Baileys looks for files whose address names no host, such as snapshots and histories. */
const WHATSAPPS_MEDIA_HOST = 'mmg.whatsapp.net';

/**
 * A `fetch` for downloads that trusts `ca`, and looks for files of no host on `host`. Node's own takes extra roots only from
 * NODE_EXTRA_CA_CERTS, which must be set before the process starts; with this one a flag is enough.
 */
export function downloader(ca, host) {
	return (input, { method = 'GET', headers, signal, body } = {}) =>
		new Promise((resolve, reject) => {
			if (body) {
				reject(new Error('this fetch only downloads'));
				return;
			}
			const url = new URL(input);
			if (url.hostname === WHATSAPPS_MEDIA_HOST) {
				url.host = host;
			}
			const { request } = url.protocol === 'https:' ? https : http;
			const options = { method, headers: Object.fromEntries(new Headers(headers)), signal, ca };
			request(url, options, answer => {
				const empty = answer.statusCode === 204 || answer.statusCode === 304;
				const head = { status: answer.statusCode, headers: headersOf(answer) };
				resolve(new Response(empty ? null : Readable.toWeb(answer), head));
			})
				.on('error', reject)
				.end();
		});
}

function headersOf(answer) {
	const headers = new Headers();
	for (let i = 0; i < answer.rawHeaders.length; i += 2) {
		headers.append(answer.rawHeaders[i], answer.rawHeaders[i + 1]);
	}
	return headers;
}
