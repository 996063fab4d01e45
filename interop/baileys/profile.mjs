// What a client does with profiles and the list of those it blocks: commands, and what it is told of others.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** No picture, or none that this account may see. */
const NONE = [401, 404];

/** Commands, with a way to the socket of the moment. */
export function profileOperations(open) {
	return {
		profile: async ({ of }) => {
			const [status] = (await open().fetchStatus(of)) ?? [];
			return { event: 'profile', about: status?.status?.status ?? null, picture: await picture(open(), of) };
		},
		set_profile: async ({ name, about, picture }) => {
			if (name !== undefined) {
				await open().updateProfileName(name);
			}
			if (about !== undefined) {
				await open().updateProfileStatus(about);
			}
			if (picture === null) {
				await open().removeProfilePicture(open().user.id);
			} else if (picture !== undefined) {
				await setPicture(open(), readFileSync(picture));
			}
			return { event: 'done' };
		},
		block: async ({ whom, blocked }) => {
			await open().updateBlockStatus(whom, blocked ? 'block' : 'unblock');
			return { event: 'done' };
		},
		blocked: async () => ({ event: 'blocked', people: await open().fetchBlocklist() })
	};
}

/** Tells what others change. */
export function watchProfiles(socket, emit) {
	socket.ev.on('contacts.update', contacts => {
		for (const { id, imgUrl } of contacts.filter(contact => contact.imgUrl)) {
			emit({ event: 'picture', id, change: imgUrl });
		}
	});
	socket.ev.on('labels.edit', ({ id, name, color, deleted }) => emit({ event: 'label', id, name, color, deleted }));
	socket.ev.on('labels.association', ({ type, association: { chatId, labelId } }) => {
		emit({ event: 'chat_label', chat: chatId, label: labelId, labeled: type === 'add' });
	});
	socket.ev.on('blocklist.update', ({ blocklist, type }) => emit({ event: 'blocklist', people: blocklist, type }));
}

async function picture(socket, of) {
	try {
		const url = await socket.profilePictureUrl(of, 'image');
		const bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
		return { sha256: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length };
	} catch (error) {
		if (NONE.includes(error.data ?? error.output?.statusCode)) {
			return null;
		}
		throw error;
	}
}

/** The request that Baileys' `updateProfilePicture` makes once it has resized a picture, for which it would need an image library. */
function setPicture({ query }, jpeg) {
	const attrs = { to: 's.whatsapp.net', type: 'set', xmlns: 'w:profile:picture' };
	return query({ tag: 'iq', attrs, content: [{ tag: 'picture', attrs: { type: 'image' }, content: jpeg }] });
}
