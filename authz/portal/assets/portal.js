// Every page works without this file. Only copying a key, saving it to a file and its live status need JavaScript.
'use strict'

const each = (selector, use) => document.querySelectorAll(selector).forEach(use)

// All pages show times in UTC, so that a key's last day is the day that was picked. The element's title has the time in the
// reader's time zone.
const locale = { en: 'en-GB' }[document.documentElement.lang] ?? document.documentElement.lang // dates in the same order as on the server
const day = new Intl.DateTimeFormat(locale, { dateStyle: 'long' })
const clock = new Intl.DateTimeFormat(locale, { hour: '2-digit', minute: '2-digit', timeZoneName: 'short' })
each('time[data-local]', (time) => {
	const at = new Date(time.dateTime)
	if (isNaN(at)) return
	time.title = `${day.format(at)}, ${clock.format(at)}`
})

// say shows the result of an action in the section of the element near, where screen readers announce it.
const say = (near, text) => { near.closest('section').querySelector('.said').textContent = text }

// copy reports whether it succeeded. If the Clipboard API is missing, or not allowed in a frame, it tries execCommand.
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

// watch polls until all gateways accept the key, for about two minutes at most.
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

// Forms with serious consequences open in a dialog. When the dialog closes, the browser returns the focus to the button.
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

// Picking a day also selects the radio button for a date.
each('#date', (date) => date.addEventListener('input', () => { document.getElementById('expiry-date').checked = true }))

// A double click must not create two keys: a form that is being sent is not sent again.
each('form[method=post]', (form) => form.addEventListener('submit', (event) => {
	if (form.dataset.sent) return event.preventDefault()
	form.dataset.sent = '1'
	const button = event.submitter
	if (!button?.dataset.busy) return
	button.dataset.idle = button.textContent
	button.textContent = button.dataset.busy
	button.setAttribute('aria-busy', 'true')
}))

// After the person has come back to the page, its forms can be sent again.
addEventListener('pageshow', () => {
	each('form[data-sent]', (form) => { delete form.dataset.sent })
	each('button[data-idle]', (button) => {
		button.textContent = button.dataset.idle
		button.removeAttribute('aria-busy')
		delete button.dataset.idle
	})
})
