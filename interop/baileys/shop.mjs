// What a client does with catalogues, products and orders: commands.
import { readFileSync } from 'node:fs';

/** There is none. */
const NONE = 404;

/** Commands, with a way to the socket of the moment and one to send. */
export function shopOperations(open, send) {
	return {
		// A number for `of`, or the account itself.
		catalog: async ({ of, limit, cursor }) => ({ event: 'catalog', ...(await catalog(open(), { jid: of, limit, cursor })) }),
		order_details: async ({ id, token }) => ({ event: 'order_details', ...(await open().getOrderDetails(id, token)) }),
		// `product` as Baileys takes it, with the path of its picture; `owner`, `body` and `footer` stand beside it.
		send_product: ({ to, product, path, owner, body, footer }) =>
			send(to, { product: { ...product, productImage: readFileSync(path) }, businessOwnerJid: owner, body, footer })
	};
}

async function catalog(socket, asked) {
	try {
		return await socket.getCatalog(asked);
	} catch (error) {
		if (error.data === NONE) {
			return { products: null };
		}
		throw error;
	}
}
