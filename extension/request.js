// The request for a passkey: reads WhatsApp's options, asks the authenticator, and writes its answer.
"use strict";

/** The parties that passkeys of WhatsApp are for: the page in which this runs, and the site that it belongs to. */
const RELYING_PARTIES = ["whatsapp.com", "web.whatsapp.com"];

/** Reads the text that wapi shows: the options alone, or the whole answer of `GET …/passkey`. */
function parseRequest(text) {
  let request;
  try {
    request = JSON.parse(text);
  } catch {
    throw new Error("This is not the request: copy all of it.");
  }
  const options = request?.options ?? request;
  if (typeof options?.challenge !== "string") {
    throw new Error("This is not the request: it has no challenge.");
  }
  if (options.rpId && !RELYING_PARTIES.includes(options.rpId)) {
    throw new Error("This request is for another site.");
  }
  return PublicKeyCredential.parseRequestOptionsFromJSON(options);
}

/** Uses the passkey, and returns the text for wapi. */
async function answerRequest(text) {
  const publicKey = parseRequest(text);
  const credential = await navigator.credentials.get({ publicKey });
  return JSON.stringify({ assertion: credential.toJSON() });
}
