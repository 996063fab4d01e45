// What a client is told of its groups.

/** Tells what others do in groups, and what WhatsApp reports of this account's own changes. */
export function watchGroups(socket, emit) {
	socket.ev.on('groups.upsert', groups => {
		for (const { id, subject, author, authorPn, linkedParent } of groups) {
			emit({ event: 'group', id, subject, by: authorPn ?? author ?? null, community: linkedParent ?? null });
		}
	});
	socket.ev.on('groups.update', groups => {
		// Baileys also tells whole groups this way, after it has asked for all of them.
		for (const { id, author, authorPn, authorUsername, ...change } of groups.filter(group => group.author)) {
			emit({ event: 'group_changed', id, by: authorPn ?? author, change });
		}
	});
	socket.ev.on('group-participants.update', ({ id, author, authorPn, participants, action }) => {
		const people = participants.map(({ id, phoneNumber }) => phoneNumber ?? id);
		emit({ event: 'members', id, by: authorPn ?? author ?? null, action, people });
	});
	socket.ev.on('group.join-request', ({ id, participant, participantPn, action, method }) => {
		emit({ event: 'join_request', id, whom: participantPn ?? participant, action, method: method ?? null });
	});
}
