
// The end of every script of package portaltest: a JSON request a line on standard input, its answer a line on standard
// output. Several requests may be in progress. The script ends with its input; a script defines actions and end.
import { createInterface } from 'node:readline'

// inTime limits what has no time limit of its own. It may take several steps that have one.
async function inTime(action) {
	let timer
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error('no result in time')), 45_000)
	})
	try {
		return await Promise.race([action, late])
	} finally {
		clearTimeout(timer)
	}
}

async function answer({ id, ask }) {
	let reply
	try {
		reply = { id, result: await inTime(actions[ask.do](ask)) ?? null }
	} catch (error) {
		reply = { id, error: (error.message ?? String(error)).replace(/\x1b\[\d+m/g, '') } // without colours
	}
	process.stdout.write(JSON.stringify(reply) + '\n')
}

for await (const line of createInterface({ input: process.stdin })) answer(JSON.parse(line))
await end()
process.exit()
