// Drives Chromium for package portaltest. Package portaltest appends serve.mjs to this script.
import { readFileSync } from 'node:fs'
import { chromium } from 'playwright-core'

const axe = readFileSync('node_modules/axe-core/axe.min.js', 'utf8')
const pages = []
let browser // a promise

const launch = (executablePath) => chromium.launch({
	executablePath,
	args: ['--no-sandbox', '--disable-quic', '--disable-background-networking', '--disable-component-update',
		// Pages can't reach other machines.
		'--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost'],
})

// scope returns the request's page or, if r.frames is set, the innermost of these nested frames.
const scope = (r) => (r.frames ?? []).reduce((s, selector) => s.frameLocator(selector), pages[r.page])

// target returns the locator for r.target in that scope. Playwright has no selector for labels, so they have a prefix of our own.
const target = (r) => r.target.startsWith('label=') ?
	scope(r).getByLabel(r.target.slice('label='.length), { exact: true }) : scope(r).locator(r.target)

// frame is like scope, but returns a Frame, for actions that a FrameLocator does not support.
async function frame(r) {
	let found = pages[r.page].mainFrame()
	for (const selector of r.frames ?? []) {
		found = await (await found.locator(selector).elementHandle()).contentFrame()
	}
	return found
}

// record collects a page's problems and requests until the test reads them.
function record(page, scripted) {
	page.scripted = scripted
	page.problems = []
	page.requests = []
	page.on('console', (message) => {
		if (message.type() !== 'error' && message.type() !== 'warning') return
		const kind = message.text().includes('Content Security Policy') ? 'csp' : message.type()
		page.problems.push({ kind, text: message.text(), url: message.location().url })
	})
	page.on('pageerror', (error) => page.problems.push({ kind: 'exception', text: String(error), url: page.url() }))
	page.on('request', (request) => page.requests.push(request.url()))
	return pages.push(page) - 1
}

const drain = (list) => list.splice(0, list.length)

// scripting calls work, which needs JavaScript in the page. If JavaScript is disabled, it is enabled for the duration of the
// call. The page's own scripts still do not run, since the browser skipped them when it loaded the page.
async function scripting(page, work) {
	if (page.scripted) return work()
	// Keep the session: JavaScript would stay enabled after the session ends. Disable first: otherwise enabling has no effect.
	page.session ??= await page.context().newCDPSession(page)
	const disabled = (value) => page.session.send('Emulation.setScriptExecutionDisabled', { value })
	await disabled(true)
	await disabled(false)
	try {
		return await work()
	} finally {
		await disabled(true)
	}
}

const actions = {
	async page(r) {
		browser ??= launch(r.executable)
		const context = await (await browser).newContext({ ignoreHTTPSErrors: true, ...r.options })
		context.setDefaultTimeout(r.timeout)
		return record(await context.newPage(), r.options.javaScriptEnabled)
	},
	async tab(r) {
		const page = pages[r.page]
		return record(await page.context().newPage(), page.scripted)
	},
	async close(r) {
		const context = pages[r.page].context()
		await pages[r.page].close()
		if (context.pages().length === 0) await context.close()
	},

	async open(r) {
		const response = await pages[r.page].goto(r.url)
		return response ? response.status() : 0
	},
	async reload(r) { return (await pages[r.page].reload()).status() },
	async back(r) { await pages[r.page].goBack() },
	async url(r) { return (await frame(r)).url() },
	async waitURL(r) { await (await frame(r)).waitForURL(r.url) },

	async click(r) { await target(r).click() },
	async follow(r) {
		const f = await frame(r)
		await Promise.all([pages[r.page].waitForEvent('framenavigated', (g) => g === f), target(r).click()])
		await f.waitForLoadState('load')
	},
	async download(r) {
		const [download] = await Promise.all([pages[r.page].waitForEvent('download'), target(r).click()])
		return { name: download.suggestedFilename(), text: readFileSync(await download.path(), 'utf8') }
	},
	async fill(r) { await target(r).fill(r.text) },
	async attach(r) { await target(r).setInputFiles(r.path) },
	async choose(r) { await target(r).selectOption(r.text) },
	async check(r) { await target(r).setChecked(r.on) },
	async press(r) { await pages[r.page].keyboard.press(r.text) },

	async text(r) { return target(r).innerText() },
	async value(r) { return target(r).inputValue() },
	async attribute(r) { return target(r).getAttribute(r.text) },
	async count(r) { return target(r).count() },
	async wait(r) { await target(r).first().waitFor({ state: r.state }) },
	async waitText(r) { await target(r).filter({ hasText: r.text }).first().waitFor() },

	async resize(r) { await pages[r.page].setViewportSize({ width: r.width, height: r.height }) },
	async screenshot(r) { await pages[r.page].screenshot({ path: r.path, fullPage: r.on, animations: 'disabled' }) },
	async evaluate(r) { return (await frame(r)).evaluate(r.text) },
	async cookies(r) { return pages[r.page].context().cookies() },
	async problems(r) { return drain(pages[r.page].problems) },
	async requests(r) { return drain(pages[r.page].requests) },

	// Grant the permissions only for this call, so that pages write to the clipboard under Chromium's default rules.
	async clipboard(r) {
		const context = pages[r.page].context()
		await context.grantPermissions(['clipboard-read', 'clipboard-write'])
		try {
			return await (await frame(r)).evaluate('navigator.clipboard.readText()')
		} finally {
			await context.clearPermissions()
		}
	},

	// focused reads Chromium's accessibility tree, which is also what a screen reader gets.
	async focused(r) {
		const page = pages[r.page]
		const cdp = await page.context().newCDPSession(r.frames ? await frame(r) : page)
		try {
			const { result } = await cdp.send('Runtime.evaluate', { expression: 'document.activeElement' })
			const { nodes: [node] } = await cdp.send('Accessibility.getPartialAXTree',
				{ objectId: result.objectId, fetchRelatives: false })
			return { role: node.role?.value, name: node.name?.value, description: node.description?.value }
		} finally {
			await cdp.detach()
		}
	},

	// Code from Chromium's debugger runs despite the page's Content Security Policy, so the policy can stay in place.
	async axe(r) {
		const f = await frame(r)
		const { violations } = await scripting(pages[r.page], async () => {
			await f.evaluate(axe)
			return f.evaluate('axe.run({ iframes: false, resultTypes: ["violations"] })')
		})
		return violations.map(({ id, impact, help, nodes }) =>
			({ id, impact, help, nodes: nodes.map((n) => ({ html: n.html, summary: n.failureSummary })) }))
	},
}

const end = async () => (await browser)?.close()
