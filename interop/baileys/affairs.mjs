// What an account sees to beside its chats, as Baileys asks for it: scenarios for scenarios.mjs.
import assert from 'node:assert/strict';

export const affairs = {
	async own_affairs(world) {
		const [ann, bob] = [await world.phone('Ann'), await world.phone('Bob')];
		const [a, b] = [await world.linked(ann, 'Ann'), await world.linked(bob, 'Bob')];
		const ask = async (client, method, ...args) => (await client.ask('newsletter', { method, args })).result;
		await ask(a, 'updateDefaultDisappearingMode', 604_800);
		assert.equal((await world.call('GET', `/phones/${ann.number}/preferences`)).default_timer, 604_800);
		const timers = await ask(b, 'fetchDisappearingDuration', ann.jid);
		assert.equal(timers[0].disappearing_mode.duration, 604_800);
		assert.ok((await ask(a, 'getBotListV2'))[0].jid.endsWith('@bot'));

		assert.equal(await ask(b, 'getBusinessProfile', ann.jid), null);
		const hours = [{ day: 'mon', mode: 'open_24h' }];
		await world.call('PUT', `/phones/${ann.number}/business`, { description: 'Bread', email: 'a@example.org', timezone: 'UTC', hours });
		// Baileys makes an address of whatever has an @ in it, which no server can read.
		await ask(a, 'updateBussinesProfile', { address: 'Baker Street', websites: ['https://example.org/'] });
		const business = await ask(b, 'getBusinessProfile', ann.jid);
		assert.deepEqual([business.address, business.description, business.website], ['Baker Street', 'Bread', ['https://example.org/']]);
		assert.equal(business.business_hours.business_config[0].day_of_week, 'mon');

		const lock = await ask(a, 'fetchAccountReachoutTimelock');
		assert.equal(lock.isActive, false);
		assert.equal((await ask(a, 'fetchNewChatMessageCap')).capping_status, 'NONE');
	},

	async privacy(world) {
		const [ann, bob] = [await world.phone('Ann'), await world.phone('Bob')];
		const [a, b] = [await world.linked(ann, 'Ann'), await world.linked(bob, 'Bob')];
		const ask = async (client, method, ...args) => (await client.ask('newsletter', { method, args })).result;
		await ask(a, 'updateLastSeenPrivacy', 'none');
		await ask(a, 'updateGroupsAddPrivacy', 'contacts');
		await ask(a, 'updateReadReceiptsPrivacy', 'none');
		const settings = await ask(a, 'fetchPrivacySettings', true);
		assert.deepEqual([settings.last, settings.groupadd, settings.readreceipts, settings.calladd], ['none', 'contacts', 'none', 'all']);
		await assert.rejects(ask(a, 'updateOnlinePrivacy', 'contacts'));
		assert.equal((await ask(b, 'fetchPrivacySettings', true)).last, 'all');
	},

	async labels(world) {
		const [ann, bob] = [await world.phone('Ann'), await world.phone('Bob')];
		const [one, two] = [await world.linked(ann, 'Ann'), await world.linked(ann, 'Ann')];
		const ask = async (client, method, ...args) => (await client.ask('newsletter', { method, args })).result;
		await ask(one, 'addLabel', bob.jid, { id: '5', name: 'Paid', color: 3 });
		assert.equal((await two.until({ event: 'label', id: '5' })).name, 'Paid');
		await ask(two, 'addChatLabel', bob.jid, '5');
		assert.equal((await one.until({ event: 'chat_label', label: '5' })).labeled, true);
		await ask(one, 'removeChatLabel', bob.jid, '5');
		await two.until({ event: 'chat_label', label: '5', labeled: false });
	},

	async newsletters(world) {
		const [ann, bob] = [await world.phone('Ann'), await world.phone('Bob')];
		const [a, b] = [await world.linked(ann, 'Ann'), await world.linked(bob, 'Bob')];
		const ask = async (client, method, ...args) => (await client.ask('newsletter', { method, args })).result;
		const { id } = await ask(a, 'newsletterCreate', 'News', 'of the day');
		await ask(b, 'newsletterFollow', id);
		await ask(b, 'newsletterMute', id);
		assert.equal((await ask(b, 'newsletterMetadata', 'jid', id)).viewer_metadata.mute, 'ON');
		await ask(b, 'newsletterUnmute', id);
		assert.equal((await ask(b, 'newsletterMetadata', 'jid', id)).viewer_metadata.mute, 'OFF');
		assert.equal((await ask(a, 'newsletterSubscribers', id)).subscribers.edges.length, 2);
		assert.equal(await ask(a, 'newsletterAdminCount', id), 1);
		await ask(b, 'newsletterUnfollow', id);
		await ask(a, 'newsletterDelete', id);
	},

	async asked_of_the_phone(world) {
		const [ann, tom] = [await world.phone('Ann'), await world.phone('Tom')];
		const first = await tom.text(ann, 'before it was linked');
		const a = await world.linked(ann, 'Ann');
		await a.until({ event: 'message', id: await tom.text(ann, 'since then') });
		const key = { remoteJid: tom.jid, fromMe: false, id: first };
		await a.ask('newsletter', { method: 'requestPlaceholderResend', args: [key] });
		assert.equal((await a.until({ event: 'message', id: first })).text, 'before it was linked');
	},

	/** The account writes only to those who have written to it. */
	async restricted(world) {
		const [ann, tom] = [await world.phone('Ann'), await world.phone('Tom')];
		const a = await world.linked(ann, 'Ann');
		const until = Math.floor(Date.now() / 1000) + 3600;
		await world.call('PUT', `/phones/${ann.number}/restriction`, { kind: 'new_chats', until });
		const { id } = await a.text(tom.jid, 'to a stranger');
		assert.equal((await a.until({ event: 'receipt', id, status: 'error' })).code, '463');
		await a.until({ event: 'message', id: await tom.text(ann, 'a question') });
		await ann.isQuiet();
		const answer = await a.text(tom.jid, 'an answer');
		await a.until({ event: 'receipt', id: answer.id, status: 'server' });
		assert.equal((await tom.message(answer.id)).text, 'an answer');
	}
};
