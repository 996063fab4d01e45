// Signatures that count. Baileys asks its Signal library to verify the Noise certificates, the account signature of a pairing and
// the signed prekeys, but drops the answer, so that garbage passes. Here a wrong signature throws, which Baileys does heed.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const curvePath = require.resolve('libsignal/src/curve.js');
const curve = require(curvePath);
const { verify } = createRequire(curvePath)('curve25519-js');

/** Must run before Baileys is loaded: what an ES module imports from libsignal is copied at that moment. */
export function verifySignaturesForReal(onCheck = () => {}) {
	curve.verifySignature = (publicKey, message, signature) => {
		const right = isRight(publicKey, message, signature);
		onCheck(right);
		if (!right) {
			throw new Error(`wrong signature by ${Buffer.from(publicKey).toString('hex')}`);
		}
		return true;
	};
}

function isRight(publicKey, message, signature) {
	const hasTypeByte = publicKey?.length === 33 && publicKey[0] === 5;
	const key = hasTypeByte ? publicKey.subarray(1) : publicKey;
	return key?.length === 32 && signature?.length === 64 && verify(key, message, signature);
}
