// The extension in Chromium: a virtual authenticator answers a request in a page of WhatsApp's name.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate, createHash, createPrivateKey, createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { startChromium } from "./chromium.mjs";

/** Much more than a step takes, so that a hanging one fails. */
const PATIENCE = { timeout: 20_000 };
const HOST = "web.whatsapp.com";
/** The party that WhatsApp names in its requests. */
const PARTY = "whatsapp.com";
const EXTENSION = fileURLToPath(new URL("../../extension", import.meta.url));

const sha256 = (data) => createHash("sha256").update(data).digest();
const challenge = Buffer.from("a challenge of WhatsApp's server").toString("base64url");

let server, chromium, browser, session, isolated;
const credentialId = Buffer.from("a passkey");
const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

/** A certificate for WhatsApp's name, and the hash of its key by which Chromium takes it. */
async function makeCertificate() {
  const folder = await mkdtemp(join(tmpdir(), "wapi-certificate-"));
  const [key, cert] = ["key.pem", "cert.pem"].map((name) => join(folder, name));
  const subject = ["-subj", `/CN=${HOST}`, "-addext", `subjectAltName=DNS:${HOST}`];
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  execFileSync("openssl", ["req", "-x509", ...kind, ...subject, "-keyout", key, "-out", cert], { stdio: "ignore" });
  const pems = { key: await readFile(key), cert: await readFile(cert) };
  await rm(folder, { recursive: true });
  const spki = new X509Certificate(pems.cert).publicKey.export({ type: "spki", format: "der" });
  return { ...pems, hash: sha256(spki).toString("base64") };
}

before(async () => {
  const certificate = await makeCertificate();
  server = createServer(certificate, (_, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.end("<!doctype html><title>stands in for WhatsApp Web</title>");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  chromium = await startChromium([
    `--host-resolver-rules=MAP ${HOST}:443 127.0.0.1:${server.address().port},MAP * ~NOTFOUND,EXCLUDE 127.0.0.1`,
    `--ignore-certificate-errors-spki-list=${certificate.hash}`,
  ]);
  browser = chromium.browser;
  const { id } = await browser.send("Extensions.loadUnpacked", { path: EXTENSION });
  const { targetId } = await browser.send("Target.createTarget", { url: "about:blank" });
  ({ sessionId: session } = await browser.send("Target.attachToTarget", { targetId, flatten: true }));
  await browser.send("Page.enable", {}, session);
  const world = browser.next("Runtime.executionContextCreated", session, ({ context }) =>
    context.origin === `chrome-extension://${id}`,
  );
  await browser.send("Runtime.enable", {}, session);
  await browser.send("WebAuthn.enable", {}, session);
  const options = {
    protocol: "ctap2",
    transport: "internal",
    hasResidentKey: true,
    hasUserVerification: true,
    isUserVerified: true,
    automaticPresenceSimulation: true,
  };
  const { authenticatorId } = await browser.send("WebAuthn.addVirtualAuthenticator", { options }, session);
  const credential = {
    credentialId: credentialId.toString("base64"),
    isResidentCredential: true,
    rpId: PARTY,
    privateKey: createPrivateKey(privateKey.export({ type: "pkcs8", format: "pem" }))
      .export({ type: "pkcs8", format: "der" })
      .toString("base64"),
    userHandle: Buffer.from("owner").toString("base64"),
    signCount: 1,
  };
  await browser.send("WebAuthn.addCredential", { authenticatorId, credential }, session);
  await browser.send("Page.navigate", { url: `https://${HOST}/` }, session);
  isolated = (await world).context.id;
});

after(async () => {
  await chromium?.stop();
  server?.close();
});

/** Pastes a request into the panel, and uses the passkey. */
async function paste(request) {
  const text = JSON.stringify(typeof request === "string" ? request : JSON.stringify(request));
  await browser.evaluate(session, isolated, `showPanel(); panel.request.value = ${text}; useRequest()`);
  return browser.evaluate(session, isolated, "({answer: panel.answer.value, message: panel.message.textContent})");
}

const options = (change = {}) => ({
  challenge,
  rpId: PARTY,
  timeout: 600000,
  userVerification: "required",
  allowCredentials: [{ type: "public-key", id: credentialId.toString("base64url") }],
  ...change,
});

for (const [name, request] of [
  ["the options alone", options()],
  ["the whole answer of the gateway", { step: "assertion", options: options(), code: null }],
]) {
  test(`a passkey answers ${name}`, PATIENCE, async () => {
    const { answer, message } = await paste(request);
    assert.notEqual(answer, "", message);
    const { assertion } = JSON.parse(answer);
    assert.equal(assertion.type, "public-key");
    assert.equal(assertion.id, credentialId.toString("base64url"));
    assert.equal(assertion.rawId, assertion.id);
    const part = (field) => Buffer.from(assertion.response[field], "base64url");
    const [clientData, authenticatorData] = [part("clientDataJSON"), part("authenticatorData")];
    const said = JSON.parse(clientData);
    assert.deepEqual(
      { type: said.type, challenge: said.challenge, origin: said.origin },
      { type: "webauthn.get", challenge, origin: `https://${HOST}` },
    );
    assert.deepEqual(authenticatorData.subarray(0, 32), sha256(PARTY));
    assert.equal(authenticatorData[32] & 5, 5);
    const signed = Buffer.concat([authenticatorData, sha256(clientData)]);
    assert.ok(verify("sha256", signed, createPublicKey(publicKey.export({ type: "spki", format: "pem" })), part("signature")));
  });
}

for (const [name, request, message] of [
  ["something else", "hello", "This is not the request: copy all of it."],
  ["a request without a challenge", {}, "This is not the request: it has no challenge."],
  ["a request for another site", options({ rpId: "example.com" }), "This request is for another site."],
  [
    "a request for another passkey",
    options({ allowCredentials: [{ type: "public-key", id: "AAAA" }], timeout: 1000 }),
    "The passkey was not used, or there is none here.",
  ],
]) {
  test(`${name} is refused`, PATIENCE, async () => {
    assert.deepEqual(await paste(request), { answer: "", message });
  });
}

test("a click on the icon shows the panel", PATIENCE, async () => {
  await browser.evaluate(session, isolated, "panel.host.remove()");
  const { targetInfos } = await browser.send("Target.getTargets");
  const { targetId } = targetInfos.find(({ type, url }) => type === "service_worker" && url.endsWith("/background.js"));
  const { sessionId: worker } = await browser.send("Target.attachToTarget", { targetId, flatten: true });
  const click = `chrome.tabs.query({url: "https://${HOST}/*"}).then(([tab]) => chrome.action.onClicked.dispatch(tab))`;
  await browser.evaluate(worker, undefined, click);
  const shown = `new Promise((resolve) => {
    const look = () => (panel.host.isConnected ? resolve(true) : setTimeout(look, 10));
    look();
  })`;
  assert.ok(await browser.evaluate(session, isolated, shown));
});

test("the page cannot see the panel", PATIENCE, async () => {
  await paste("secret");
  const seen = await browser.evaluate(
    session,
    undefined,
    "document.documentElement.lastElementChild.shadowRoot === null && !document.documentElement.outerHTML.includes('secret')",
  );
  assert.ok(seen);
});
