// Every page works without this file, except the copying and saving of a key and its live status.
'use strict'

const each = (selector, use) => document.querySelectorAll(selector).forEach(use)

// All pages show times in UTC, so that a key's last day is the one that was picked. The title has the time in the reader's own
// time zone.
const locale = { en: 'en-GB' }[document.documentElement.lang] ?? document.documentElement.lang // with the server's order of a date
const day = new Intl.DateTimeFormat(locale, { dateStyle: 'long' })
const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', timeZoneName: 'short' })
each('time[data-local]', (time) => {
	const at = new Date(time.dateTime)
	if (isNaN(at)) return
	time.title = `${day.format(at)}, ${clock.format(at)}`
})

// say shows the result of an action in the same section, and has it read aloud.
const say = (near, text) => { near.closest('section').querySelector('.said').textContent = text }

// copy returns whether it could: a frame may not be allowed to, and an old browser can't.
async function copy(from) {
	try {
		await navigator.clipboard.writeText(from.value ?? from.textContent)
		return true
	} catch {
		if (from.select) {
			from.focus()
			from.select()
		} else {
			getSelection().selectAllChildren(from)
		}
		return document.execCommand('copy')
	}
}

each('[data-copy]', (button) => {
	button.hidden = false
	button.addEventListener('click', async () => {
		const done = await copy(document.getElementById(button.dataset.copy))
		say(button, done ? button.dataset.done : button.dataset.failed)
	})
})

each('[data-download]', (button) => {
	button.hidden = false
	button.addEventListener('click', () => {
		const token = document.getElementById(button.dataset.download).value
		const file = URL.createObjectURL(new Blob([`${button.dataset.variable}=${token}\n`], { type: 'text/plain' }))
		const link = document.createElement('a')
		link.href = file
		link.download = button.dataset.file
		link.click()
		setTimeout(() => URL.revokeObjectURL(file), 60000)
		say(button, button.dataset.done)
	})
})

// watch asks until the key is live, for as long as it could take.
async function watch(box) {
	const words = box.querySelector('[data-words]')
	const end = (text) => {
		delete box.dataset.watching
		box.querySelector('[data-state]').hidden = true
		say(box, text)
	}
	box.dataset.watching = ''
	for (let tries = 0; tries < 120; tries++) {
		const answer = await fetch(box.dataset.live, { headers: { Accept: 'application/json' } }).catch(() => null)
		if (answer?.status === 401 || answer?.status === 404) break
		const state = answer?.ok ? await answer.json().catch(() => ({})) : {}
		if (state.status === 'live') {
			box.classList.add('good')
			return end(box.dataset.liveText)
		}
		if (state.status === 'gone') return end(box.dataset.goneText)
		if (state.in) words.textContent = box.dataset.waiting.replace('{n}', state.in)
		await new Promise((resolve) => setTimeout(resolve, 1000))
	}
	delete box.dataset.watching
}
each('[data-live]', watch)

// A form that changes something big is put into a dialog. The browser gives the focus back to the button when it closes.
each('[data-dialog]', (place) => {
	if ('stay' in place.dataset || !window.HTMLDialogElement) return
	const form = place.querySelector('form')
	const dialog = document.createElement('dialog')
	dialog.setAttribute('aria-labelledby', form.getAttribute('aria-labelledby'))
	const button = (text, use) => {
		const b = document.createElement('button')
		b.type = 'button'
		b.textContent = text
		b.addEventListener('click', use)
		return b
	}
	form.querySelector('.actions').append(button(place.dataset.cancel, () => dialog.close()))
	dialog.append(form)
	place.classList.add('shut')
	place.append(button(place.dataset.dialog, () => dialog.showModal()), dialog)
})

// A picked day selects its option.
each('#date', (date) => date.addEventListener('input', () => { document.getElementById('expiry-date').checked = true }))

// One click is one key: a form that is on its way is not sent again.
each('form[method=post]', (form) => form.addEventListener('submit', (event) => {
	if (form.dataset.sent) return event.preventDefault()
	form.dataset.sent = '1'
	const button = event.submitter
	if (!button?.dataset.busy) return
	button.dataset.idle = button.textContent
	button.textContent = button.dataset.busy
	button.setAttribute('aria-busy', 'true')
}))

// A form that the person returns to can be sent again.
addEventListener('pageshow', () => {
	each('form[data-sent]', (form) => { delete form.dataset.sent })
	each('button[data-idle]', (button) => {
		button.textContent = button.dataset.idle
		button.removeAttribute('aria-busy')
		delete button.dataset.idle
	})
})
