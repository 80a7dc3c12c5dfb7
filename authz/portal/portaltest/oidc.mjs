// Runs an OpenID provider for package portaltest. A line of JSON on standard input says what it has; a line on standard
// output says where it is. It ends when its input does.
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import Provider from 'oidc-provider'

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

// The provider's own pages would ask the network for a font.
const page = (title, form) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title>
<main><h1>${title}</h1>${form}</main></html>`

const forms = {
	login: () => page('Log in', `<form method="post"><label>User <input name="login" required></label>
<button>Log in</button></form>`),
	consent: ({ params }) => page('Consent', `<p>${escape(params.client_id)} asks for ${escape(params.scope)}.</p>
<form method="post"><button name="allow" value="yes">Allow</button> <button name="allow" value="">Deny</button></form>`),
}

// results are what the forms come to. Any user who is known may log in.
const results = {
	login: (body) => config.users[body.get('login')] ?
		{ login: { accountId: body.get('login') } } : { error: 'access_denied', error_description: 'no such user' },
	async consent(body, { params, session, prompt, grantId }) {
		if (!body.get('allow')) return { error: 'access_denied', error_description: 'the user denied it' }
		const grant = await provider.Grant.find(grantId ?? '') ??
			new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
		grant.addOIDCScope((prompt.details.missingOIDCScope ?? []).join(' '))
		grant.addOIDCClaims(prompt.details.missingOIDCClaims ?? [])
		return { consent: { grantId: await grant.save() } }
	},
}

async function interact(request, response) {
	const details = await provider.interactionDetails(request, response)
	const name = details.prompt.name
	if (request.method !== 'POST') {
		response.setHeader('Content-Type', 'text/html; charset=utf-8')
		return response.end(forms[name](details))
	}
	let body = ''
	for await (const chunk of request) body += chunk
	const result = await results[name](new URLSearchParams(body), details)
	await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: name === 'consent' })
}

function claims() {
	const names = new Set(Object.values(config.users).flatMap(Object.keys))
	const email = ['email', 'email_verified'].filter((name) => names.delete(name))
	return { openid: ['sub'], email, profile: [...names] }
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const config = JSON.parse((await lines.next()).value)
const server = createServer((request, response) => {
	if (!request.url.startsWith('/interaction/')) return answer(request, response)
	interact(request, response).catch((error) => {
		console.error(error)
		response.writeHead(400).end(error.message)
	})
})
await new Promise((done) => server.listen(0, '127.0.0.1', done))

const client = { redirect_uris: config.redirects, post_logout_redirect_uris: config.logouts, response_types: ['code'] }
const provider = new Provider(`http://${config.host}:${server.address().port}`, {
	clients: [
		{ ...client, client_id: config.publicID, token_endpoint_auth_method: 'none' },
		{ ...client, client_id: config.confidentialID, client_secret: config.secret,
			token_endpoint_auth_method: 'client_secret_basic' },
	],
	findAccount: (_, sub) => config.users[sub] &&
		{ accountId: sub, claims: () => ({ ...config.users[sub], sub }) },
	claims: claims(),
	conformIdTokenClaims: config.userinfoOnly,
	pkce: { required: () => true },
	features: {
		devInteractions: { enabled: false },
		rpInitiatedLogout: {
			enabled: true,
			logoutSource(ctx, form) {
				ctx.body = page('Log out?', `${form}<button form="op.logoutForm" name="logout" value="yes">Log out</button>`)
			},
			postLogoutSuccessSource(ctx) { ctx.body = page('Logged out', '') },
		},
	},
	renderError(ctx, { error, error_description: description }) {
		ctx.type = 'html'
		ctx.body = page('Error', `<p>${escape(error)}: ${escape(description)}</p>`)
	},
	interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
	cookies: { keys: ['of a test'] },
	ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 3600, IdToken: 600, Interaction: 600, Session: 3600, ...config.ttl },
})
const answer = provider.callback()
process.stdout.write(JSON.stringify({ result: provider.issuer }) + '\n')
while (!(await lines.next()).done);
process.exit()
