// Sends a text with the generated client and prints what it is told, as JSON.

import { client } from './client/client.gen';
import { getMessage, listSessions, sendMessage } from './client/sdk.gen';

declare const process: { env: Record<string, string | undefined> };

const setting = (name: string): string => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};

client.setConfig({ baseUrl: setting('WAPI_BASE'), auth: () => setting('WAPI_KEY') });
const session = setting('WAPI_SESSION');

async function main(): Promise<void> {
  const sent = await sendMessage({
    path: { session },
    body: { to: setting('WAPI_TO'), text: { body: 'sent by a generated client' } },
    throwOnError: true,
  });
  const id: string = sent.data.messages[0].id;
  const message = await getMessage({ path: { session, id }, throwOnError: true });
  const status: 'queued' | 'unknown' | 'failed' | 'cancelled' | 'sent' | 'delivered' | 'read' | 'played' = message.data.status;
  const sessions = await listSessions({ throwOnError: true });

  const refused = await sendMessage({ path: { session }, body: { to: 'nobody', text: { body: '' } } });
  const code: string | undefined = refused.error?.code;

  console.log(JSON.stringify({ id, status, sessions: sessions.data.sessions.length, code }));
}

void main();
