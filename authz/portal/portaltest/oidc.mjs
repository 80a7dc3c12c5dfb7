// Runs OpenID providers for package portaltest, each on its own port. Package portaltest appends serve.mjs to this script.
import { createServer } from 'node:http'
import Provider from 'oidc-provider'

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

// These pages replace the provider's default pages, which load a font from the network.
const page = (title, form) => `<!doctype html><html lang="en"><meta charset="utf-8"><title>${title}</title>
<main><h1>${title}</h1>${form}</main></html>`

const forms = {
	login: () => page('Log in', `<form method="post"><label>User <input name="login" required></label>
<button>Log in</button></form>`),
	consent: ({ params }) => page('Consent', `<p>${escape(params.client_id)} asks for ${escape(params.scope)}.</p>
<form method="post"><button name="allow" value="yes">Allow</button> <button name="allow" value="">Deny</button></form>`),
}

// results maps each form to the result of its interaction. Every known user can log in.
const results = (users, provider) => ({
	login: (body) => users[body.get('login')] ?
		{ login: { accountId: body.get('login') } } : { error: 'access_denied', error_description: 'no such user' },
	async consent(body, { params, session, prompt, grantId }) {
		if (!body.get('allow')) return { error: 'access_denied', error_description: 'the user denied it' }
		const grant = await provider.Grant.find(grantId ?? '') ??
			new provider.Grant({ accountId: session.accountId, clientId: params.client_id })
		grant.addOIDCScope((prompt.details.missingOIDCScope ?? []).join(' '))
		grant.addOIDCClaims(prompt.details.missingOIDCClaims ?? [])
		return { consent: { grantId: await grant.save() } }
	},
})

async function interact(provider, users, request, response) {
	const details = await provider.interactionDetails(request, response)
	const name = details.prompt.name
	if (request.method !== 'POST') {
		response.setHeader('Content-Type', 'text/html; charset=utf-8')
		return response.end(forms[name](details))
	}
	let body = ''
	for await (const chunk of request) body += chunk
	const result = await results(users, provider)[name](new URLSearchParams(body), details)
	await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: name === 'consent' })
}

function claims(users) {
	const names = new Set(Object.values(users).flatMap(Object.keys))
	const email = ['email', 'email_verified'].filter((name) => names.delete(name))
	return { openid: ['sub'], email, profile: [...names] }
}

function provide(issuer, { users, redirects, logouts, publicID, confidentialID, secret, userinfoOnly, ttl }) {
	const client = { redirect_uris: redirects, post_logout_redirect_uris: logouts, response_types: ['code'] }
	return new Provider(issuer, {
		clients: [
			{ ...client, client_id: publicID, token_endpoint_auth_method: 'none' },
			{ ...client, client_id: confidentialID, client_secret: secret, token_endpoint_auth_method: 'client_secret_basic' },
		],
		findAccount: (_, sub) => users[sub] && { accountId: sub, claims: () => ({ ...users[sub], sub }) },
		claims: claims(users),
		conformIdTokenClaims: userinfoOnly,
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
		ttl: { AccessToken: 600, AuthorizationCode: 60, Grant: 3600, IdToken: 600, Interaction: 600, Session: 3600, ...ttl },
	})
}

const servers = new Map() // by issuer

const actions = {
	// start starts a provider and returns its issuer.
	async start(config) {
		const server = createServer()
		await new Promise((done) => server.listen(0, '127.0.0.1', done))
		const issuer = `http://${config.host}:${server.address().port}`
		const provider = provide(issuer, config)
		const callback = provider.callback()
		server.on('request', (request, response) => {
			if (!request.url.startsWith('/interaction/')) return callback(request, response)
			interact(provider, config.users, request, response).catch((error) => {
				console.error(error)
				response.writeHead(400).end(error.message)
			})
		})
		servers.set(issuer, server)
		return issuer
	},
	async stop({ issuer }) {
		const server = servers.get(issuer)
		servers.delete(issuer)
		server.closeAllConnections()
		await new Promise((done) => server.close(done))
	},
}

const end = () => {}
