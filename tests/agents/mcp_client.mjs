// npm's @modelcontextprotocol/sdk, given only the address of a server: log in, list the tools,
// call two. node mcp_client.mjs SERVER BROWSER, as mcp_client.py.
import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [server, browser] = process.argv.slice(2);
const callback = "http://127.0.0.1:3999/callback";
const kept = {};
let code;
const authProvider = {
  redirectUrl: callback,
  clientMetadata: {
    client_name: "an agent",
    redirect_uris: [callback],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  codeVerifier: () => kept.verifier,
  async redirectToAuthorization(url) {
    const answer = await fetch(`${browser}?url=${encodeURIComponent(url)}`);
    code = new URL(await answer.text()).searchParams.get("code");
  },
};

let transport;

async function connected() {
  const client = new Client({ name: "agent", version: "1" });
  transport = new StreamableHTTPClientTransport(new URL(server), { authProvider });
  await client.connect(transport);
  return client;
}

// What the SDK leaves to its user: take the code, and do it again.
async function withLogin(attempt) {
  try {
    return await attempt();
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    await transport.finishAuth(code);
    return attempt();
  }
}

const client = await withLogin(connected);
const { tools } = await client.listTools();
console.log("tools:", tools.map((each) => each.name).sort().join(" "));
const note = { name: "add_note", arguments: { text: "Written by JavaScript" } };
await withLogin(() => client.callTool(note));
const { content } = await client.callTool({ name: "list_notes", arguments: {} });
console.log("notes:", content[0].text);
await client.close();
