
// The last part of every script of package portaltest; the first part defines actions and end. Each line of standard input is
// a request in JSON, and each line of standard output an answer. Requests can be concurrent. The script exits when its
// standard input ends.
import { createInterface } from 'node:readline'

// inTime limits the duration of an action as a whole, since some of its steps may have no time limit of their own.
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
